//! Acting on a rollout that runs, from elsewhere: `pause`, `resume`, `retry`.

use anyhow::{Context as _, Result, bail};
use stickshift_contract::VersionCode;
use stickshift_rollout::{Run, RunRefusal};

use super::Site;
use crate::clock::unix_now;
use crate::store::plans::PlanStoreError;

/// How often a change is tried: whoever looks at the run writes it every two seconds.
const ATTEMPTS: u32 = 10;

/// What somebody has seen of a rollout who then steers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its begin, which no other one has.
    pub started_at: u64,
    /// Why it was paused, if it was.
    pub paused: Option<String>,
}

impl Seen {
    /// What there is to see.
    pub fn of(run: &Run) -> Self {
        Self { started_at: run.started_at, paused: run.paused.as_ref().map(|paused| paused.why.clone()) }
    }
}

/// The rollout is not the one that somebody has seen.
#[derive(Debug, thiserror::Error)]
#[error("the rollout has changed meanwhile, so nothing was done: look at it once more")]
pub struct Changed;

/// Lets it take no step. `seen`: it must still be as somebody saw it.
///
/// Errors: there is none, it refuses, or [`Changed`].
pub async fn pause(site: &Site, by: &str, reason: &str, seen: Option<&Seen>) -> Result<Run> {
    let why = if reason.is_empty() { format!("by {by}") } else { format!("by {by}: {reason}") };
    steer(site, |run| {
        is_as_seen(run, seen)?;
        Ok(run.pause(why.clone())?)
    })
    .await
}

/// Lets it go on after a pause. `seen` and errors: as those of [`pause`].
pub async fn resume(site: &Site, by: &str, seen: Option<&Seen>) -> Result<Run> {
    steer(site, |run| {
        is_as_seen(run, seen)?;
        Ok(run.resume(by)?)
    })
    .await
}

/// Errors: [`Changed`].
fn is_as_seen(run: &Run, seen: Option<&Seen>) -> Result<()> {
    match seen {
        Some(seen) if *seen != Seen::of(run) => Err(Changed.into()),
        _ => Ok(()),
    }
}

/// Judges a version anew that has failed. Errors: there is no rollout, or it refuses.
pub async fn retry(site: &Site, by: &str) -> Result<Run> {
    let plan = site.plan_in_force().await?.plan;
    steer(site, |run| Ok(run.retry(&plan, by, unix_now())?)).await
}

/// The version of the rollout that goes on; `None` without one. One that cannot be read must not stop an abort.
pub async fn canary_of_run(site: &Site) -> Option<VersionCode> {
    match site.runs.read().await {
        Ok(run) => run.filter(|run| run.outcome().is_none()).map(|run| run.canary()),
        Err(cause) => {
            log::warn!("whether a rollout runs is not known: {cause}");
            None
        }
    }
}

/// Ends the rollout to a version that somebody has taken back. Errors: it could not be written.
pub(super) async fn end_run(site: &Site, version: VersionCode, by: &str) -> Result<()> {
    let plan = site.plan_in_force().await?.plan;
    let end = |run: &mut Run| {
        if run.canary() != version {
            return Err(RunRefusal::Over(version).into());
        }
        Ok(run.end_by_hand(&plan, by)?)
    };
    match steer(site, end).await {
        // Whoever looks at it was faster.
        Err(cause) if cause.is::<RunRefusal>() => Ok(()),
        ended => ended.map(|_| ()),
    }
}

/// No rollout has ever run.
#[derive(Debug, thiserror::Error)]
#[error("no rollout runs: start one with `rollout run`")]
struct NoRun;

/// Changes the run, whoever looks at it. Errors: there is none, or it refuses.
async fn steer(site: &Site, change: impl Fn(&mut Run) -> Result<()>) -> Result<Run> {
    for _ in 0..ATTEMPTS {
        let before =
            site.runs.read().await.with_context(|| format!("could not read the rollout from {}", site.name))?;
        let before = before.ok_or(NoRun)?;
        let mut run = before.clone();
        change(&mut run)?;
        match site.runs.write(Some(&before), &mut run).await {
            Err(PlanStoreError::RunConflict) => {}
            written => return written.context("could not write the rollout").map(|()| run),
        }
    }
    bail!("the rollout changes all the time: try again")
}
