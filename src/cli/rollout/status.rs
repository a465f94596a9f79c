//! `stickshift rollout status`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;
use stickshift::clock::unix_now;
use stickshift_contract::{PlanRecord, Protocol, State, VersionCode};

use super::site::Site;
use super::words;

/// How often a watched status is read.
const ROUND: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(super) struct Status {
    /// Read it again every 2 s, and print it whenever it has changed, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

impl Status {
    pub(super) async fn run(self, site: &Site) -> Result<()> {
        let mut printed = None;
        loop {
            let record = site.plan_in_force().await?;
            let live = site.sessions.count_live(unix_now()).await.context("could not count the live sessions")?;
            let text = if site.is_json { as_json(&record, &live) } else { as_text(&record, &live, site) };
            if printed.as_ref() != Some(&text) {
                print!("{text}");
                printed = Some(text);
            }
            if !self.watch {
                return Ok(());
            }
            tokio::time::sleep(ROUND).await;
        }
    }
}

type Live = BTreeMap<Option<VersionCode>, u64>;

fn as_text(record: &PlanRecord, live: &Live, site: &Site) -> String {
    let PlanRecord { plan, changed_at, changed_by, why } = record;
    let since = words::time(*changed_at);
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    let mut text = format!("{}\nrevision {} since {since}, by {changed_by}{why}\n\n", site.name, plan.revision());
    let mut rows = vec![["version", "state", "live sessions", "origin"].map(str::to_owned).to_vec()];
    for (&version, planned) in plan.versions() {
        let protocol = if planned.origin.protocol == Protocol::Https { "https" } else { "http" };
        rows.push(vec![
            version.to_string(),
            words::version(plan, version),
            live.get(&Some(version)).unwrap_or(&0).to_string(),
            format!("{protocol}://{}:{}", planned.origin.domain, planned.origin.port),
        ]);
    }
    text.push_str(&words::table(&rows));
    for warning in warnings(record, live) {
        text.push_str(&format!("\nwarning: {warning}\n"));
    }
    text
}

fn as_json(record: &PlanRecord, live: &Live) -> String {
    let counts: BTreeMap<String, u64> =
        live.iter().filter_map(|(version, count)| Some(((*version)?.to_string(), *count))).collect();
    let status = json!({ "plan": record, "live_sessions": counts, "warnings": warnings(record, live) });
    format!("{status}\n")
}

/// What an operator should know.
fn warnings(record: &PlanRecord, live: &Live) -> Vec<String> {
    let plan = &record.plan;
    let mut warnings = Vec::new();
    for (version, planned) in plan.versions() {
        let count = live.get(&Some(*version)).copied().unwrap_or(0);
        match planned.state {
            State::Draining if planned.until.is_none() && count > 0 => warnings.push(format!(
                "version {version} drains without an end: a session that stays active can hold it for ever"
            )),
            State::Withdrawn if count > 0 => warnings.push(format!(
                "version {version} is withdrawn, and {count} sessions have not come back since: they move with their next request"
            )),
            _ => {}
        }
    }
    for (version, count) in live {
        if let Some(version) = version.filter(|version| !plan.versions().contains_key(version)) {
            warnings.push(format!("{count} sessions are on version {version}, which is not in the plan"));
        }
    }
    warnings
}
