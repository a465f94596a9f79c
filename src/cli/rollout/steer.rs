//! Acting on a rollout that runs, from elsewhere: `pause`, `resume`, `retry`.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use stickshift::clock::unix_now;
use stickshift::store::plans::PlanStoreError;
use stickshift_contract::VersionCode;
use stickshift_rollout::{Run, RunRefusal};

use super::change::parse_reason;
use super::site::Site;
use super::words;

/// How often a change is tried: whoever looks at the run writes it every two seconds.
const ATTEMPTS: u32 = 10;

#[derive(Debug, Args)]
pub(super) struct Pause {
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = parse_reason)]
    reason: String,
}

impl Pause {
    pub(super) async fn run(self, site: &Site) -> Result<()> {
        let why = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        let why = format!("by {}{why}", site.caller().await?);
        let run = steer(site, |run| run.pause(why.clone())).await?;
        tell(site, &run, "takes no step until `resume`; if the version fails, it is taken back all the same")
    }
}

/// Goes on after a pause.
pub(super) async fn resume(site: &Site) -> Result<()> {
    let by = site.caller().await?;
    let run = steer(site, |run| run.resume(&by)).await?;
    tell(site, &run, "goes on")
}

/// Judges a version anew that has failed.
pub(super) async fn retry(site: &Site) -> Result<()> {
    let (by, plan) = (site.caller().await?, site.plan_in_force().await?.plan);
    let run = steer(site, |run| run.retry(&plan, &by, unix_now())).await?;
    tell(site, &run, "begins again with its first step, and without the evidence so far")
}

/// The version of the rollout that goes on; `None` without one. One that cannot be read must not stop an abort.
pub(super) async fn canary_of_run(site: &Site) -> Option<VersionCode> {
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

fn tell(site: &Site, run: &Run, what: &str) -> Result<()> {
    if site.is_json {
        return words::show(&serde_json::to_string(run)?);
    }
    let nobody = if run.lease.holder.is_empty() {
        format!("\nNobody looks at it: start `rollout run --to {}`.", run.canary())
    } else {
        String::new()
    };
    words::show(&format!("{}\n\nThe rollout to version {} {what}.{nobody}", site.name, run.canary()))
}
