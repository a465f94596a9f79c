//! The verbs that change the plan.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::json;
use stickshift::clock::unix_now;
use stickshift::status::Live;
use stickshift::store::plans::{PlanStoreError, highest_revision, read_revision, write_plan};
use stickshift_contract::{Domain, Origin, Plan, PlanRecord, Port, Protocol, VersionCode, Weight};
use stickshift_rollout::{Change, Danger, Leaving, Refusal, canary, dangers};

use super::site::Site;
use super::steer;
use super::wait::{Deadline, gone, until_drained};
use super::words;
use crate::cli::arguments::parse_weight;

/// What every change takes.
#[derive(Debug, Args)]
pub(super) struct PlanChange {
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = parse_reason)]
    reason: String,
    /// Show what the plan would be, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do it although it is dangerous: new sessions for a version without a living instance, or a version removed
    /// while sessions are on it
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The version
    #[arg(value_parser = VersionCode::parse)]
    version: VersionCode,
    /// Where it is served: http://HOST:PORT or https://HOST:PORT
    #[arg(long, value_name = "URL", value_parser = parse_origin_url)]
    origin: Origin,
    #[command(flatten)]
    change: PlanChange,
}

#[derive(Debug, Args)]
pub(super) struct SetWeight {
    /// A version and its share of new sessions in percent, for example 2=25
    #[arg(value_name = "VERSION=PERCENT", required = true, value_parser = parse_weight)]
    weights: Vec<(VersionCode, Weight)>,
    #[command(flatten)]
    change: PlanChange,
}

#[derive(Debug, Args)]
pub(super) struct Version {
    /// The version
    #[arg(value_parser = VersionCode::parse)]
    version: VersionCode,
    #[command(flatten)]
    change: PlanChange,
}

#[derive(Debug, Args)]
pub(super) struct Drain {
    /// The version
    #[arg(value_parser = VersionCode::parse)]
    version: VersionCode,
    /// How long its sessions may stay, for example 30m; then they move
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<u64>,
    /// Wait until the version may be switched off, and show what keeps it from that
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// How long to wait, for example 2h; then the exit status is 4
    #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "wait")]
    timeout: Option<u64>,
    /// An instance that stopped without saying so and that you know to be switched off; `all` for every one
    #[arg(long, value_name = "INSTANCE", requires = "wait")]
    gone: Vec<String>,
    #[command(flatten)]
    change: PlanChange,
}

#[derive(Debug, Args)]
pub(super) struct Abort {
    /// The version; without it, the only one that gets new sessions besides the stable version
    #[arg(value_parser = VersionCode::parse)]
    version: Option<VersionCode>,
    /// Its sessions finish where they are; this is what happens without a flag
    #[arg(long)]
    drain: bool,
    /// Its sessions move to a live version with their next request
    #[arg(long, conflicts_with = "drain")]
    evict: bool,
    #[command(flatten)]
    change: PlanChange,
}

#[derive(Debug, Args)]
pub(super) struct Remove {
    /// The version
    #[arg(value_parser = VersionCode::parse)]
    version: VersionCode,
    #[command(flatten)]
    change: PlanChange,
}

#[derive(Debug, Args)]
pub(super) struct Undo {
    /// The revision to go back to; without it, the one before the plan in force
    #[arg(long, value_name = "REVISION")]
    to: Option<u64>,
    #[command(flatten)]
    change: PlanChange,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The highest revision that was in force before, if you know it; the table may have lost it
    #[arg(long, value_name = "REVISION", default_value_t = 0)]
    above: u64,
    #[command(flatten)]
    change: PlanChange,
}

impl Add {
    pub(super) async fn run(self, site: &Site) -> Result<()> {
        self.change.make(site, &Change::Add { version: self.version, origin: self.origin }).await
    }
}

impl SetWeight {
    pub(super) async fn run(self, site: &Site) -> Result<()> {
        self.change.make(site, &Change::SetWeights(self.weights)).await
    }
}

impl Version {
    pub(super) async fn promote(self, site: &Site) -> Result<()> {
        self.change.make(site, &Change::Promote(self.version)).await
    }
}

impl Drain {
    pub(super) async fn run(self, site: &Site) -> Result<()> {
        if self.wait {
            words::note_waiting();
        }
        let until = self.until.map(|seconds| unix_now() + seconds);
        let drained = self.change.make(site, &Change::Drain { version: self.version, until }).await;
        match drained {
            // Somebody waits for a drain that goes on.
            Err(cause) if self.wait && cause.downcast_ref() == Some(&Refusal::NothingChanges) => {}
            drained => drained?,
        }
        if until.is_none() && !site.is_json {
            words::show(&format!(
                "The drain has no end: a session that stays active can hold version {} for ever. Set one with --until.",
                self.version
            ))?;
        }
        if self.wait {
            let deadline = Deadline::after(self.timeout);
            until_drained(site, Some(self.version), &gone(self.gone), &deadline).await?;
        }
        Ok(())
    }
}

impl Abort {
    pub(super) async fn run(self, site: &Site) -> Result<()> {
        let leaving = if self.evict { Leaving::Evict } else { Leaving::Drain };
        let running = steer::canary_of_run(site).await;
        let version = match self.version.or(running) {
            Some(version) => version,
            None => canary(&site.plan_in_force().await?.plan)?,
        };
        let made = self.change.make(site, &Change::Abort { version, leaving }).await;
        let is_of_run = running == Some(version) && !self.change.dry_run;
        match made {
            Ok(()) if is_of_run => {}
            // The version is as it should be, and only the rollout is still to be ended.
            Err(cause) if is_of_run && cause.is::<Refusal>() => {
                let text = format!("The plan stays as it is: {cause}. The rollout to version {version} ends.");
                words::show(&if site.is_json { json!({ "note": text }).to_string() } else { text })?;
            }
            made => return made,
        }
        let by = format!("{}: {}", site.caller().await?, self.change.reason);
        steer::end_run(site, by.trim_end_matches(": ")).await
    }
}

impl Remove {
    pub(super) async fn run(self, site: &Site) -> Result<()> {
        if !self.change.force {
            // Nothing less than every item says that there is none.
            let count = Live::count(&site.sessions, unix_now(), u64::MAX).await?.on(self.version).sessions;
            if count > 0 {
                bail!(
                    "{count} sessions are on version {}: drain it first, or move them now with `remove {} --force`",
                    self.version,
                    self.version
                );
            }
        }
        self.change.make(site, &Change::Remove(self.version)).await
    }
}

impl Undo {
    pub(super) async fn run(self, site: &Site) -> Result<()> {
        let revision = site.plan_in_force().await?.plan.revision();
        let wanted = match self.to {
            Some(wanted) => wanted,
            None => revision.checked_sub(1).filter(|before| *before > 0).context("there is no plan before this one")?,
        };
        let earlier = read_revision(&site.client, &site.rollout_table, wanted).await;
        let earlier = earlier.with_context(|| format!("could not read revision {wanted}"))?;
        let earlier = earlier.with_context(|| format!("the history has no revision {wanted}: see `history`"))?;
        let reason = format!("back to revision {wanted}");
        let PlanChange { reason: given, dry_run, force } = self.change;
        let reason = if given.is_empty() { reason } else { format!("{reason}: {given}") };
        PlanChange { reason, dry_run, force }.make(site, &Change::PutBack(earlier.plan)).await
    }
}

impl Restore {
    pub(super) async fn run(self, site: &Site) -> Result<()> {
        // Instances remember later plans than the backup has.
        let mut known = self.above;
        for &version in site.plan_in_force().await?.plan.versions().keys() {
            let last = site.pulses.last(version).await.context("could not read what the instances report")?;
            let read = last.pulses.iter().map(|pulse| pulse.plan_revision);
            known = read.filter(|revision| *revision < Plan::MAX_REVISION).fold(known, u64::max);
        }
        self.change.make_above(site, &Change::Reissue, known).await
    }
}

impl PlanChange {
    /// Changes the plan and shows it before and after. Errors: the change is refused, or somebody else was
    /// faster.
    async fn make(&self, site: &Site, change: &Change) -> Result<()> {
        self.make_above(site, change, 0).await
    }

    /// The same, with a revision above `known`. An abort does not give up because somebody else was faster.
    async fn make_above(&self, site: &Site, change: &Change, known: u64) -> Result<()> {
        let attempts = if matches!(change, Change::Abort { .. }) { ABORT_ATTEMPTS } else { 1 };
        let mut made = self.attempt(site, change, known).await;
        for _ in 1..attempts {
            if !made.as_ref().is_err_and(anyhow::Error::is::<Outrun>) {
                break;
            }
            made = self.attempt(site, change, known).await;
        }
        made
    }

    async fn attempt(&self, site: &Site, change: &Change, known: u64) -> Result<()> {
        let before = site.plan_in_force().await?.plan;
        let highest = highest_revision(&site.client, &site.rollout_table).await;
        let highest = highest.with_context(|| format!("could not read the history from {}", site.name))?;
        let after = change.apply(&before, highest.unwrap_or(0).max(known), unix_now())?;
        if !self.force {
            refuse_dangers(site, change, &before, &after).await?;
        }
        if !self.dry_run {
            let (changed_at, changed_by) = (unix_now(), site.caller().await?);
            let record = PlanRecord { plan: after.clone(), changed_at, changed_by, why: self.reason.clone() };
            match write_plan(&site.client, &site.rollout_table, before.revision(), &record).await {
                Err(PlanStoreError::Conflict(_) | PlanStoreError::InHistory(_)) => {
                    let PlanRecord { plan, changed_at, changed_by, why } = site.plan_in_force().await?;
                    return Err(Outrun(format!(
                        "revision {} of {} is by {}: {}\n{}",
                        plan.revision(),
                        words::time(changed_at),
                        words::plain(&changed_by),
                        words::plain(&why),
                        compared(&before, &plan).trim_end()
                    ))
                    .into());
                }
                written => written.with_context(|| format!("could not write the plan to {}", site.name))?,
            }
        }
        if site.is_json {
            let made = json!({ "before": before, "after": after, "is_dry_run": self.dry_run });
            return words::show(&made.to_string());
        }
        let outcome = if self.dry_run {
            "Nothing was changed: this was a dry run.".to_owned()
        } else {
            format!("Revision {} is in force. Every edge uses it within 10 s.", after.revision())
        };
        words::show(&format!("{}\n\n{}\n{outcome}", site.name, compared(&before, &after)))
    }
}

/// How often an abort is tried.
const ABORT_ATTEMPTS: u32 = 5;

/// The plan changed between the read and the write.
#[derive(Debug, thiserror::Error)]
#[error("somebody else was faster, so nothing was changed: {0}")]
struct Outrun(String);

/// Errors: the plan is dangerous.
async fn refuse_dangers(site: &Site, change: &Change, before: &Plan, after: &Plan) -> Result<()> {
    // An emergency must not wait for what instances and edges say of themselves.
    let is_emergency = matches!(change, Change::Abort { .. } | Change::Reissue);
    let mut last = BTreeMap::new();
    for &version in after.versions().keys() {
        match site.pulses.last(version).await {
            Ok(stored) => drop(last.insert(version, stored.pulses)),
            Err(cause) if is_emergency => {
                log::warn!("whether instances are alive is not known: {cause}");
                return Ok(());
            }
            Err(cause) => return Err(cause).context("could not read what the instances report"),
        }
    }
    let dangers = dangers(before, after, &last, unix_now()).into_iter();
    let dangers: Vec<String> = dangers
        .filter(|danger| !is_emergency || matches!(danger, Danger::NoInstance(_)))
        .map(|danger| danger.to_string())
        .collect();
    if !dangers.is_empty() {
        bail!("{}; nothing was changed, and --force changes it all the same", dangers.join("; "));
    }
    Ok(())
}

/// Two plans side by side.
fn compared(before: &Plan, after: &Plan) -> String {
    let versions: BTreeSet<VersionCode> = before.versions().keys().chain(after.versions().keys()).copied().collect();
    let mut rows = vec![["version", "before", "after"].map(str::to_owned).to_vec()];
    for version in versions {
        rows.push(vec![version.to_string(), words::version(before, version), words::version(after, version)]);
    }
    words::table(&rows)
}

pub(super) fn parse_reason(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("a reason is one line of text, without control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// Reads `http://HOST:PORT` or `https://HOST`.
fn parse_origin_url(text: &str) -> Result<Origin, String> {
    let expected =
        || format!("`{text}`: expected http://HOST:PORT or https://HOST, for example https://v2.example.org");
    let (protocol, place, usual_port) = match text.split_once("://") {
        Some(("http", place)) => (Protocol::Http, place, 80),
        Some(("https", place)) => (Protocol::Https, place, 443),
        _ => return Err(expected()),
    };
    let (domain, port) = match place.rsplit_once(':') {
        Some((domain, port)) => (domain, port.parse().map_err(|_| expected())?),
        None => (place, usual_port),
    };
    let domain = Domain::parse(domain).map_err(|cause| cause.to_string())?;
    let port = Port::new(port).map_err(|cause| cause.to_string())?;
    Ok(Origin { domain, port, protocol })
}

/// Reads a length of time such as `45s`, `30m`, `2h` or `1d`, as seconds.
pub(super) fn parse_time(text: &str) -> Result<u64, String> {
    let expected = || format!("`{text}`: expected a number and s, m, h or d, for example 30m");
    let unit = text.chars().last().ok_or_else(expected)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(expected()),
    };
    let count: u32 = text[..text.len() - 1].parse().map_err(|_| expected())?;
    u64::from(count).checked_mul(seconds).filter(|seconds| *seconds > 0).ok_or_else(expected)
}
