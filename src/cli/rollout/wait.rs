//! Waiting until a version may be switched off.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::json;
use stickshift::status::{COUNTED_ITEMS, what_keeps};
use stickshift_contract::{State, VersionCode};
use stickshift_rollout::Obstacle;

use super::site::Site;
use super::words;

/// How often the tables are read. A large table is read less often.
const ROUND: Duration = Duration::from_secs(5);
const ROUND_OF_A_LARGE_TABLE: Duration = Duration::from_secs(60);

/// Until when to wait.
#[derive(Debug)]
pub(super) struct Deadline(Option<Instant>);

/// The time was over. The exit status is then another one than after an error.
#[derive(Debug, thiserror::Error)]
#[error("gave up waiting: {0}")]
pub(crate) struct TimedOut(String);

impl Deadline {
    /// So many seconds from now; `None` waits for ever.
    pub(super) fn after(seconds: Option<u64>) -> Self {
        Self(seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds)))
    }

    /// Sleeps. Errors: [`TimedOut`], which says what is `missing`.
    pub(super) async fn sleep(&self, pause: Duration, missing: impl FnOnce() -> String) -> Result<(), TimedOut> {
        let Some(deadline) = self.0 else {
            tokio::time::sleep(pause).await;
            return Ok(());
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(TimedOut(missing()));
        }
        tokio::time::sleep(pause.min(left)).await;
        Ok(())
    }
}

/// Waits until a version may be switched off, and shows what keeps it from that. Without a version: every version that
/// is draining or withdrawn.
///
/// Errors: [`TimedOut`]; or there is no such version.
pub(super) async fn until_drained(site: &Site, version: Option<VersionCode>, deadline: &Deadline) -> Result<()> {
    let mut printed = String::new();
    let is_in_place = words::is_for_person() && !site.is_json;
    loop {
        let round = round(site, version).await;
        let (text, pause, is_over) = match round {
            Ok(round) => round,
            // The table may be away for a while.
            Err(cause) if !printed.is_empty() => {
                log::warn!("{cause:#}; trying again every {} s", ROUND.as_secs());
                deadline.sleep(ROUND, || format!("{cause:#}")).await?;
                continue;
            }
            Err(cause) => return Err(cause),
        };
        if text != printed {
            match printed.as_str() {
                before if is_in_place && !before.is_empty() => words::show_in_place(&text, before.lines().count())?,
                _ => words::show(&text)?,
            }
            printed = text;
        }
        if is_over {
            return Ok(());
        }
        deadline.sleep(pause, || printed.trim_end().to_owned()).await?;
    }
}

/// What is to be printed, how long to pause, and whether it is over.
async fn round(site: &Site, version: Option<VersionCode>) -> Result<(String, Duration, bool)> {
    let record = site.plan_in_force().await?;
    let versions: Vec<VersionCode> = match version {
        Some(version) => vec![version],
        None => {
            let leaves = |state: State| matches!(state, State::Draining | State::Withdrawn);
            let versions = record.plan.versions().iter();
            versions.filter(|(_, planned)| leaves(planned.state)).map(|(version, _)| *version).collect()
        }
    };
    if versions.is_empty() {
        bail!("no version is draining or withdrawn: drain one first");
    }
    let (mut text, mut pause, mut is_over) = (String::new(), ROUND, true);
    for version in versions {
        let (obstacles, items_read) = what_keeps(&record, version, &site.sessions, &site.pulses).await?;
        is_over &= obstacles.is_empty();
        if items_read > COUNTED_ITEMS {
            pause = ROUND_OF_A_LARGE_TABLE;
        }
        if site.is_json {
            text.push_str(&json!({ "version": version, "keeps": obstacles }).to_string());
        } else if obstacles.is_empty() {
            text.push_str(&format!(
                "version {version} is drained: switch it off when it is not the distribution's default origin"
            ));
        } else {
            let obstacles: Vec<String> = obstacles.iter().map(in_words).collect();
            let between = if words::is_for_person() { "\n  " } else { "; " };
            let (obstacles, before) = (obstacles.join(between), between.trim_start_matches(';'));
            text.push_str(&format!("version {version} is not drained:{before}{obstacles}"));
        }
        text.push('\n');
    }
    Ok((text, pause, is_over))
}

fn in_words(obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::Stable => "it is stable, so promote another version first".to_owned(),
        Obstacle::NewSessions => "it gets new sessions, so drain it first".to_owned(),
        Obstacle::JustChanged { until } => format!("the plan is in force everywhere at {}", words::time(*until)),
        Obstacle::LiveSessions { sessions, last_end } => {
            format!("{sessions} live sessions, the last one until {} if nobody comes back", words::time(*last_end))
        }
        Obstacle::OpenConnections { count } => format!("{count} open connections"),
        Obstacle::OldPulse { instance } => {
            format!("instance {instance} has not reported since the plan is in force everywhere")
        }
        Obstacle::FailedWrite { instance, until } => format!(
            "instance {instance} could not write a session, which may go on until {} and be in no table",
            words::time(*until)
        ),
        Obstacle::Crashed { instance, until } => format!(
            "instance {instance} stopped without saying so, and a session that it could not write may go on until {}",
            words::time(*until)
        ),
        Obstacle::NoReport => {
            "no instance has reported for seven days, so nobody knows its open connections and failed writes".to_owned()
        }
    }
}
