//! `stickshift rollout status`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Value, json};
use stickshift::clock::unix_now;
use stickshift::store::sessions::Counts;
use stickshift_contract::{PlanRecord, Protocol, State, VersionCode};
use stickshift_rollout::Count;

use super::site::Site;
use super::words;

/// How often a watched status is read.
const ROUND: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(super) struct Status {
    /// Read it again every 2 s until Ctrl-C: a terminal shows it in place, a pipe gets a line for each change
    #[arg(long)]
    watch: bool,
    /// Count every live session, however many there are; otherwise a table with over 100,000 items is estimated
    #[arg(long)]
    exact: bool,
}

/// A table with more items is not read whole.
const BOUND: u64 = 100_000;

impl Status {
    pub(super) async fn run(self, site: &Site) -> Result<()> {
        let is_in_place = self.watch && words::is_for_person();
        let mut printed: Option<String> = None;
        let mut has_failed = false;
        loop {
            match self.read(site, self.watch && !is_in_place).await {
                Ok(text) if printed.as_ref() != Some(&text) => {
                    // A failure stands between this text and the one before.
                    let before = printed.as_ref().filter(|_| is_in_place && !site.is_json && !has_failed);
                    match before {
                        Some(before) => words::show_in_place(&text, before.lines().count())?,
                        None => words::show(&text)?,
                    }
                    (printed, has_failed) = (Some(text), false);
                }
                Ok(_) => {}
                // The table may be away for a while.
                Err(cause) if self.watch && printed.is_some() => {
                    if !has_failed {
                        log::warn!("{cause:#}; trying again every {} s", ROUND.as_secs());
                    }
                    has_failed = true;
                }
                Err(cause) => return Err(cause),
            }
            if !self.watch {
                return Ok(());
            }
            tokio::time::sleep(ROUND).await;
        }
    }

    /// The status as it is printed.
    async fn read(&self, site: &Site, is_in_a_line: bool) -> Result<String> {
        let record = site.plan_in_force().await?;
        let live = Live::count(site, if self.exact { u64::MAX } else { BOUND }).await?;
        Ok(match (site.is_json, is_in_a_line) {
            (true, _) => as_json(&record, &live),
            (false, true) => as_line(&record, &live),
            (false, false) => as_text(&record, &live, site),
        })
    }
}

/// The live sessions of each version.
pub(super) struct Live {
    counts: BTreeMap<Option<VersionCode>, Count>,
    /// What it is based on.
    about: String,
}

impl Live {
    pub(super) async fn count(site: &Site, bound: u64) -> Result<Self> {
        let live = site.sessions.count_live(unix_now(), bound).await.context("could not count the live sessions")?;
        let versions: BTreeSet<_> = live.counts.iter().flat_map(Counts::keys).copied().collect();
        let count = |version| {
            let counts: Vec<u64> =
                live.counts.iter().map(|counts| counts.get(&version).copied().unwrap_or(0)).collect();
            (version, Count::estimated(&counts, live.parts))
        };
        let how = match live.counts.len() as u64 {
            read if read < live.parts => format!("estimated from {read} of {} parts of the table", live.parts),
            _ => "counted".to_owned(),
        };
        let about = format!("live sessions are {how}: {} items read, {} read units", live.items_read, live.read_units);
        Ok(Self { counts: versions.into_iter().map(count).collect(), about })
    }

    pub(super) fn of(&self, version: VersionCode) -> Count {
        self.counts.get(&Some(version)).copied().unwrap_or_default()
    }
}

/// `29`, or `about 1234000 (1200000 to 1268000)`.
fn in_words(count: Count) -> String {
    match count.interval {
        None => count.sessions.to_string(),
        Some((low, high)) => format!("about {} ({low} to {high})", count.sessions),
    }
}

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
            in_words(live.of(version)),
            format!("{protocol}://{}:{}", planned.origin.domain, planned.origin.port),
        ]);
    }
    text.push_str(&words::table(&rows));
    text.push_str(&format!("\n{}\n", live.about));
    for warning in warnings(record, live) {
        text.push_str(&format!("\nwarning: {warning}\n"));
    }
    text
}

/// What can change, in one line.
fn as_line(record: &PlanRecord, live: &Live) -> String {
    let plan = &record.plan;
    let versions = plan.versions().keys().map(|version| {
        format!("version {version}: {}, {} live sessions", words::version(plan, *version), in_words(live.of(*version)))
    });
    format!("revision {}; {}\n", plan.revision(), versions.collect::<Vec<_>>().join("; "))
}

fn as_json(record: &PlanRecord, live: &Live) -> String {
    let counts: BTreeMap<String, Value> = live
        .counts
        .iter()
        .filter_map(|(version, Count { sessions, interval })| {
            Some(((*version)?.to_string(), json!({ "sessions": sessions, "interval": interval })))
        })
        .collect();
    let status = json!({ "plan": record, "live_sessions": counts, "warnings": warnings(record, live) });
    format!("{status}\n")
}

/// What an operator should know.
fn warnings(record: &PlanRecord, live: &Live) -> Vec<String> {
    let plan = &record.plan;
    let mut warnings = Vec::new();
    for (version, planned) in plan.versions() {
        let count = live.of(*version).sessions;
        match planned.state {
            State::Draining if planned.until.is_none() && count > 0 => warnings.push(format!(
                "version {version} drains without an end: a session that stays active can hold it for ever"
            )),
            State::Withdrawn if count > 0 => warnings.push(format!(
                "version {version} is withdrawn, and {count} sessions have not come back since: they \
                 move with their next request"
            )),
            _ => {}
        }
    }
    for (version, Count { sessions: count, .. }) in &live.counts {
        if let Some(version) = version.filter(|version| !plan.versions().contains_key(version)) {
            warnings.push(format!("{count} sessions are on version {version}, which is not in the plan"));
        }
    }
    warnings
}
