//! Changing the plan: what would change, what speaks against it, and the write.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use stickshift_contract::{Plan, PlanRecord, VersionCode};
use stickshift_rollout::{Change, Danger, Leaving, canary, dangers};

use super::{Site, status::Live, steer, words};
use crate::clock::unix_now;
use crate::store::plans::{PlanStoreError, highest_revision, read_revision, write_plan};

/// How often an abort is tried.
const ABORT_ATTEMPTS: u32 = 5;

/// How a change is made.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Who makes it, for the history; `None` is whoever runs this program.
    pub by: Option<String>,
    /// Why, for the history.
    pub reason: String,
    /// Whether the plan stays as it is.
    pub is_dry_run: bool,
    /// Whether it is made although it is dangerous.
    pub is_forced: bool,
    /// The revision of the plan that whoever makes the change has seen; `None` takes the plan as it is. An abort does
    /// not depend on it.
    pub seen: Option<u64>,
    /// The next revision is above this one, too.
    pub above: u64,
}

/// A plan and the one that follows from a change.
#[derive(Debug, Clone)]
pub struct Proposal {
    change: Change,
    /// The plan in force.
    pub before: PlanRecord,
    /// The plan that the change makes of it.
    pub after: Plan,
}

/// The plan changed between the read and the write.
#[derive(Debug, thiserror::Error)]
#[error(
    "somebody else was faster, so nothing was changed: revision {} of {} is by {}: {}",
    .now.plan.revision(), words::time(.now.changed_at), words::plain(&.now.changed_by), words::plain(&.now.why)
)]
pub struct Outrun {
    /// The plan that the change was made for; `None` if nobody read it here.
    pub before: Option<Box<Plan>>,
    /// The plan in force.
    pub now: Box<PlanRecord>,
}

/// Nothing was changed, because the plan would be dangerous: why, for people.
#[derive(Debug, thiserror::Error)]
#[error("{}; nothing was changed, and --force changes it all the same", .0.join("; "))]
pub struct Dangerous(pub Vec<String>);

/// What became of the rollout whose version was aborted.
#[derive(Debug)]
pub enum Aborted {
    /// The plan was changed, and the rollout to the version has ended if there was one.
    Changed(Proposal),
    /// The version was out already, as the text says, and only its rollout has ended.
    RolloutEnded {
        /// The version.
        version: VersionCode,
        /// Why the plan stays as it is.
        cause: String,
    },
}

impl Proposal {
    /// What a change would make of the plan in force, with a revision above `above`. Errors: it is refused.
    pub async fn new(site: &Site, change: Change, above: u64) -> Result<Self> {
        let before = site.plan_in_force().await?;
        let highest = highest_revision(&site.client, &site.rollout_table).await;
        let highest = highest.with_context(|| format!("could not read the history from {}", site.name))?;
        let after = change.apply(&before.plan, highest.unwrap_or(0).max(above), unix_now())?;
        Ok(Self { change, before, after })
    }

    /// Why the plan would be dangerous, for people. Errors: what instances report cannot be read.
    pub async fn dangers(&self, site: &Site) -> Result<Vec<String>> {
        // An emergency must not wait for what instances and edges say of themselves.
        let is_emergency = matches!(self.change, Change::Abort { .. } | Change::Reissue);
        let mut last = BTreeMap::new();
        for &version in self.after.versions().keys() {
            match site.pulses.last(version).await {
                Ok(stored) => drop(last.insert(version, stored.pulses)),
                Err(cause) if is_emergency => {
                    log::warn!("whether instances are alive is not known: {cause}");
                    return Ok(Vec::new());
                }
                Err(cause) => return Err(cause).context("could not read what the instances report"),
            }
        }
        let dangers = dangers(&self.before.plan, &self.after, &last, unix_now()).into_iter();
        let counts = |danger: &Danger| !is_emergency || matches!(danger, Danger::NoInstance(_));
        let mut dangers: Vec<String> = dangers.filter(counts).map(|danger| danger.to_string()).collect();
        if let Change::Remove(version) = self.change {
            // Nothing less than every item says that there is none.
            let count = Live::count(&site.sessions, unix_now(), u64::MAX).await?.on(version).sessions;
            if count > 0 {
                dangers.push(format!("{count} sessions are on version {version}: drain it first"));
            }
        }
        Ok(dangers)
    }

    async fn put_in_force(&self, site: &Site, terms: &Terms) -> Result<()> {
        let changed_by = match &terms.by {
            Some(by) => by.clone(),
            None => site.caller().await?,
        };
        let why = terms.reason.clone();
        let record = PlanRecord { plan: self.after.clone(), changed_at: unix_now(), changed_by, why };
        match write_plan(&site.client, &site.rollout_table, self.before.plan.revision(), &record).await {
            Err(PlanStoreError::Conflict(_) | PlanStoreError::InHistory(_)) => {
                let before = Some(Box::new(self.before.plan.clone()));
                Err(Outrun { before, now: Box::new(site.plan_in_force().await?) }.into())
            }
            written => written.with_context(|| format!("could not write the plan to {}", site.name)),
        }
    }
}

/// Changes the plan in force. Errors: the change is refused or dangerous, or [`Outrun`].
pub async fn change(site: &Site, change: &Change, terms: &Terms) -> Result<Proposal> {
    let is_abort = matches!(change, Change::Abort { .. });
    let mut left = if is_abort { ABORT_ATTEMPTS } else { 1 };
    loop {
        let proposal = Proposal::new(site, change.clone(), terms.above).await?;
        if !is_abort && terms.seen.is_some_and(|seen| seen != proposal.before.plan.revision()) {
            return Err(Outrun { before: None, now: Box::new(proposal.before) }.into());
        }
        if !terms.is_forced {
            let dangers = proposal.dangers(site).await?;
            if !dangers.is_empty() {
                return Err(Dangerous(dangers).into());
            }
        }
        if terms.is_dry_run {
            return Ok(proposal);
        }
        left -= 1;
        match proposal.put_in_force(site, terms).await {
            // An abort does not give up because somebody else was faster.
            Err(cause) if left > 0 && cause.is::<Outrun>() => {}
            written => return written.map(|()| proposal),
        }
    }
}

/// The version that an abort without a name means: that of the rollout that runs, or the only one that gets new
/// sessions besides the stable version. Errors: there is none.
pub async fn version_to_abort(site: &Site) -> Result<VersionCode> {
    match steer::canary_of_run(site).await {
        Some(version) => Ok(version),
        None => Ok(canary(&site.plan_in_force().await?.plan)?),
    }
}

/// Takes a version back, and ends the rollout to it. Errors: as those of [`change()`].
pub async fn abort(site: &Site, version: VersionCode, leaving: Leaving, terms: &Terms) -> Result<Aborted> {
    let is_of_run = !terms.is_dry_run && steer::canary_of_run(site).await == Some(version);
    let aborted = match change(site, &Change::Abort { version, leaving }, terms).await {
        Err(cause) if is_of_run && cause.is::<stickshift_rollout::Refusal>() => {
            Aborted::RolloutEnded { version, cause: cause.to_string() }
        }
        changed => Aborted::Changed(changed?),
    };
    if is_of_run {
        let by = match &terms.by {
            Some(by) => by.clone(),
            None => site.caller().await?,
        };
        let ended = steer::end_run(site, version, format!("{by}: {}", terms.reason).trim_end_matches(": ")).await;
        ended.with_context(|| format!("version {version} is taken back, but the rollout to it could not be ended"))?;
    }
    Ok(aborted)
}

/// The change that puts an earlier plan in force again, and its reason. Without `to`: the plan before the one in force.
///
/// Errors: there is none.
pub async fn undo(site: &Site, to: Option<u64>, reason: &str) -> Result<(Change, String)> {
    let wanted = match to {
        Some(wanted) => wanted,
        None => {
            let before = site.plan_in_force().await?.plan.revision().checked_sub(1);
            before.filter(|before| *before > 0).context("there is no plan before this one")?
        }
    };
    let earlier = read_revision(&site.client, &site.rollout_table, wanted).await;
    let earlier = earlier.with_context(|| format!("could not read revision {wanted}"))?;
    let earlier = earlier.with_context(|| format!("the history has no revision {wanted}: see `history`"))?;
    let back = format!("back to revision {wanted}");
    let reason = if reason.is_empty() { back } else { format!("{back}: {reason}") };
    Ok((Change::PutBack(earlier.plan), reason))
}
