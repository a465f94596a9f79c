//! Acting on a rollout that runs, from elsewhere: `pause`, `resume`, `retry`.

use anyhow::{Context as _, Result, bail};
use stickshift_contract::VersionCode;
use stickshift_rollout::{Run, RunRefusal};

use super::Site;
use crate::clock::unix_now;
use crate::store::plans::PlanStoreError;

/// How often a change is tried: whoever looks at the run writes it every two seconds.
const ATTEMPTS: u32 = 10;

/// Lets it take no step. Errors: there is none, or it refuses.
pub async fn pause(site: &Site, by: &str, reason: &str) -> Result<Run> {
    let why = if reason.is_empty() { format!("by {by}") } else { format!("by {by}: {reason}") };
    steer(site, |run| run.pause(why.clone())).await
}

/// Lets it go on after a pause. Errors: there is none, or it refuses.
pub async fn resume(site: &Site, by: &str) -> Result<Run> {
    steer(site, |run| run.resume(by)).await
}

/// Judges a version anew that has failed. Errors: there is no rollout, or it refuses.
pub async fn retry(site: &Site, by: &str) -> Result<Run> {
    let plan = site.plan_in_force().await?.plan;
    steer(site, |run| run.retry(&plan, by, unix_now())).await
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

/// Ends the rollout whose version somebody has taken back, or promoted before. Errors: it could not be written.
pub(super) async fn end_run(site: &Site, by: &str) -> Result<()> {
    let plan = site.plan_in_force().await?.plan;
    match steer(site, |run| run.end_by_hand(&plan, by)).await {
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
async fn steer(site: &Site, change: impl Fn(&mut Run) -> Result<(), RunRefusal>) -> Result<Run> {
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
