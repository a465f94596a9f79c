//! The verbs that change the plan.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;
use stickshift::clock::unix_now;
use stickshift::operator::change::{self, Aborted, Outrun, Proposal, Terms};
use stickshift::operator::words::parse_reason;
use stickshift_contract::{Domain, Origin, Plan, Port, Protocol, VersionCode, Weight};
use stickshift_rollout::{Change, Leaving, Refusal};

use super::site::Site;
use super::wait::{Deadline, gone, until_drained};
use super::words::{self, parse_time};
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
        let version = match self.version {
            Some(version) => version,
            None => change::version_to_abort(site).await?,
        };
        match change::abort(site, version, leaving, &self.change.terms()).await.map_err(with_plans)? {
            Aborted::Changed(proposal) => self.change.show(site, &proposal),
            Aborted::RolloutEnded { version, cause } => {
                let text = format!("The plan stays as it is: {cause}. The rollout to version {version} ends.");
                words::show(&if site.is_json { json!({ "note": text }).to_string() } else { text })
            }
        }
    }
}

impl Remove {
    pub(super) async fn run(self, site: &Site) -> Result<()> {
        self.change.make(site, &Change::Remove(self.version)).await
    }
}

impl Undo {
    pub(super) async fn run(self, site: &Site) -> Result<()> {
        let (change, reason) = change::undo(site, self.to, &self.change.reason).await?;
        PlanChange { reason, ..self.change }.make(site, &change).await
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

    /// The same, with a revision above `known`.
    async fn make_above(&self, site: &Site, change: &Change, known: u64) -> Result<()> {
        let terms = Terms { above: known, ..self.terms() };
        self.show(site, &change::change(site, change, &terms).await.map_err(with_plans)?)
    }

    fn terms(&self) -> Terms {
        let Self { reason, dry_run, force } = self;
        Terms { by: None, reason: reason.clone(), is_dry_run: *dry_run, is_forced: *force, seen: None, above: 0 }
    }

    fn show(&self, site: &Site, proposal: &Proposal) -> Result<()> {
        let (before, after) = (&proposal.before.plan, &proposal.after);
        if site.is_json {
            let made = json!({ "before": before, "after": after, "is_dry_run": self.dry_run });
            return words::show(&made.to_string());
        }
        let outcome = if self.dry_run {
            "Nothing was changed: this was a dry run.".to_owned()
        } else {
            format!("Revision {} is in force. Every edge uses it within 10 s.", after.revision())
        };
        words::show(&format!("{}\n\n{}\n{outcome}", site.name, compared(before, after)))
    }
}

/// Whoever was outrun sees what the other one changed.
fn with_plans(cause: anyhow::Error) -> anyhow::Error {
    match cause.downcast_ref() {
        Some(Outrun { before: Some(before), now }) => {
            anyhow::anyhow!("{cause}\n{}", compared(before, &now.plan).trim_end())
        }
        _ => cause,
    }
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
