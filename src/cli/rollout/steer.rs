//! Acting on a rollout that runs, from elsewhere: `pause`, `resume`, `retry`.

use anyhow::Result;
use clap::Args;
use stickshift::operator::steer;
use stickshift::operator::words::parse_reason;
use stickshift_rollout::Run;

use super::site::Site;
use super::words;

#[derive(Debug, Args)]
pub(super) struct Pause {
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = parse_reason)]
    reason: String,
}

impl Pause {
    pub(super) async fn run(self, site: &Site) -> Result<()> {
        let run = steer::pause(site, &site.caller().await?, &self.reason, None).await?;
        tell(site, &run, "takes no step until `resume`; if the version fails, it is taken back all the same")
    }
}

/// Goes on after a pause.
pub(super) async fn resume(site: &Site) -> Result<()> {
    let run = steer::resume(site, &site.caller().await?, None).await?;
    tell(site, &run, "goes on")
}

/// Judges a version anew that has failed.
pub(super) async fn retry(site: &Site) -> Result<()> {
    let run = steer::retry(site, &site.caller().await?).await?;
    tell(site, &run, "begins again with its first step, and without the evidence so far")
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
