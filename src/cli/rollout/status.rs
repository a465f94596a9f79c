//! `stickshift rollout status`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use stickshift::clock::unix_now;
use stickshift::operator::status::{COUNTED_ITEMS, Live, Status};
use stickshift::operator::table::{ROWS, cells};
use stickshift_contract::{PlanRecord, VersionCode};
use stickshift_rollout::{Count, VersionReport};

use super::progress;
use super::site::Site;
use super::wait::{Deadline, gone, until_drained};
use super::words::{self, WARNING};

/// How often a watched status is read.
const ROUND: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    /// Read it again every 2 s until Ctrl-C: a terminal shows it in place, a pipe gets a line for each change
    #[arg(long)]
    watch: bool,
    /// Count every live session, however many there are; otherwise a table with over 100,000 items is estimated
    #[arg(long)]
    exact: bool,
    /// Wait until every draining or withdrawn version may be switched off, or until the plan changes
    #[arg(long, value_name = "EVENT", conflicts_with = "watch")]
    until: Option<Until>,
    /// How long to wait, for example 30m; then the exit status is 4
    #[arg(long, value_name = "TIME", value_parser = words::parse_time, requires = "until")]
    timeout: Option<u64>,
    /// An instance that stopped without saying so and that you know to be switched off; `all` for every one
    #[arg(long, value_name = "INSTANCE", requires = "until")]
    gone: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Until {
    Drained,
    Changed,
}

impl StatusArguments {
    pub(super) async fn run(self, site: &Site) -> Result<()> {
        let deadline = Deadline::after(self.timeout);
        match self.until {
            Some(Until::Drained) => return until_drained(site, None, &gone(self.gone), &deadline).await,
            Some(Until::Changed) => return self.until_changed(site, &deadline).await,
            None => {}
        }
        let is_in_place = self.watch && words::is_for_person();
        let mut printed: Option<String> = None;
        let mut has_failed = false;
        loop {
            match self.read(site, self.watch && !is_in_place).await {
                Ok(text) if printed.as_ref() != Some(&text) => {
                    // A failure stands between this text and the one before.
                    let before = printed.as_ref().filter(|_| is_in_place && !site.is_json && !has_failed);
                    match before {
                        Some(before) => words::show_in_place(&text, before)?,
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

    /// Shows the status once the plan is another one.
    async fn until_changed(&self, site: &Site, deadline: &Deadline) -> Result<()> {
        words::note_waiting();
        let revision = site.plan_in_force().await?.plan.revision();
        loop {
            deadline.sleep(ROUND, || format!("the plan is still revision {revision}")).await?;
            match site.plan_in_force().await {
                Ok(record) if record.plan.revision() == revision => {}
                Ok(_) => return words::show(&self.read(site, false).await?),
                Err(cause) => log::warn!("{cause:#}; trying again every {} s", ROUND.as_secs()),
            }
        }
    }

    /// The status as it is printed.
    async fn read(&self, site: &Site, is_in_a_line: bool) -> Result<String> {
        let bound = if self.exact { u64::MAX } else { COUNTED_ITEMS };
        let record = site.plan_in_force().await?;
        let live = Live::count(&site.sessions, unix_now(), bound).await?;
        let status = Status::read(site, record, live).await?;
        Ok(match (site.is_json, is_in_a_line) {
            (true, _) => as_json(&status),
            (false, true) => as_line(&status),
            (false, false) => as_text(&status, site),
        })
    }
}

fn as_text(status: &Status, site: &Site) -> String {
    let PlanRecord { plan, changed_at, changed_by, why } = &status.record;
    let since = words::time(*changed_at);
    let why = if why.is_empty() { String::new() } else { format!(": {}", words::plain(why)) };
    let changed_by = words::plain(changed_by);
    let mut text = format!("{}\nrevision {} since {since}, by {changed_by}{why}\n\n", site.name, plan.revision());
    let versions: Vec<VersionCode> = plan.versions().keys().copied().collect();
    let side_by_side = as_table(status, &versions);
    let is_too_wide = |width| side_by_side.lines().any(|line| line.chars().count() > width);
    if words::width().is_some_and(is_too_wide) {
        let tables: Vec<String> = versions.iter().map(|version| as_table(status, &[*version])).collect();
        text.push_str(&tables.join("\n"));
    } else {
        text.push_str(&side_by_side);
    }
    text.push_str(&format!("\n{}; the rest is of the last 5 minutes\n", status.live.about));
    if let Some(run) = &status.run {
        text.push_str(&format!("\n{}", progress::as_text(run)));
        if run.outcome().is_none() && !run.lease.holder.is_empty() {
            let age = status.lease_age_seconds.map_or_else(String::new, |age| format!(", last seen {age} s ago"));
            text.push_str(&format!("looked at by {}{age}\n", words::plain(&run.lease.holder)));
        }
    }
    for warning in status.warnings() {
        text.push_str(&format!("\n{WARNING}{warning}\n"));
    }
    text
}

/// Versions side by side.
fn as_table(status: &Status, versions: &[VersionCode]) -> String {
    let mut rows: Vec<Vec<String>> = ROWS.iter().map(|row| vec![(*row).to_owned()]).collect();
    for &version in versions {
        for (row, cell) in rows.iter_mut().zip(cells(status, version)) {
            row.push(cell);
        }
    }
    words::table(&rows)
}

/// What can change by somebody's doing, in one line.
fn as_line(status: &Status) -> String {
    let plan = &status.record.plan;
    let versions = plan.versions().keys().map(|version| {
        let (state, live) = (words::version(plan, *version), words::count(status.live.on(*version)));
        format!("version {version}: {state}, {live} live sessions")
    });
    format!("revision {}; {}\n", plan.revision(), versions.collect::<Vec<_>>().join("; "))
}

fn as_json(status: &Status) -> String {
    let live: BTreeMap<String, Value> = status
        .live
        .by_version()
        .map(|(version, Count { sessions, interval })| {
            (version.to_string(), json!({ "sessions": sessions, "interval": interval }))
        })
        .collect();
    let reports: BTreeMap<String, &VersionReport> =
        status.reports.iter().map(|(version, report)| (version.to_string(), report)).collect();
    let new: BTreeMap<String, Value> = status
        .reports
        .keys()
        .filter_map(|version| {
            let (share, interval) = status.share_of_new(*version)?;
            Some((version.to_string(), json!({ "share": share, "interval": interval })))
        })
        .collect();
    let status = json!({
        "plan": status.record,
        "live_sessions": live,
        "count": {
            "is_exact": status.live.is_exact,
            "items_read": status.live.items_read,
            "read_units": status.live.read_units,
        },
        "new_sessions": new,
        "last_five_minutes": reports,
        "run": status.run,
        "lease_age_seconds": status.lease_age_seconds,
        "warnings": status.warnings(),
    });
    format!("{status}\n")
}
