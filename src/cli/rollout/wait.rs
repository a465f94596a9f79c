//! Waiting until a version may be switched off.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use stickshift::operator::status::{COUNTED_ITEMS, DrainWatch};
use stickshift_contract::{State, VersionCode};
use stickshift_rollout::{Gone, Obstacle};

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
pub(crate) struct TimedOut(pub(super) String);

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

/// What `--gone` says.
pub(super) fn gone(names: Vec<String>) -> Gone {
    Gone { all: names.iter().any(|name| name == "all"), instances: names.into_iter().collect() }
}

/// Waits until a version may be switched off, and shows what keeps it from that. Without a version: every version that
/// is draining or withdrawn now.
///
/// Errors: [`TimedOut`]; or there is no such version.
pub(super) async fn until_drained(
    site: &Site,
    version: Option<VersionCode>,
    gone: &Gone,
    deadline: &Deadline,
) -> Result<()> {
    let versions: Vec<VersionCode> = match version {
        Some(version) => vec![version],
        None => {
            let leaves = |state: State| matches!(state, State::Draining | State::Withdrawn);
            let plan = site.plan_in_force().await?.plan;
            let leaving = plan.versions().iter().filter(|(_, planned)| leaves(planned.state));
            leaving.map(|(version, _)| *version).collect()
        }
    };
    if versions.is_empty() {
        bail!("no version is draining or withdrawn: drain one first");
    }
    if version.is_none() && !site.is_json {
        words::show(&site.name)?;
    }
    let mut watches: Vec<_> =
        versions.into_iter().map(|version| (version, DrainWatch::new(version, gone.clone()))).collect();
    words::note_waiting();
    let mut printed = String::new();
    let is_in_place = words::is_for_person() && !site.is_json;
    loop {
        let (text, pause, left) = match round(site, &mut watches).await {
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
                before if is_in_place && !before.is_empty() => words::show_in_place(&text, before)?,
                _ => words::show(&text)?,
            }
            printed = text;
        }
        if left.is_empty() {
            return Ok(());
        }
        deadline.sleep(pause, || format!("version {} is not drained", left.join(", "))).await?;
    }
}

/// What is to be printed, how long to pause, and the versions that are not drained.
async fn round(site: &Site, watches: &mut [(VersionCode, DrainWatch)]) -> Result<(String, Duration, Vec<String>)> {
    let (mut text, mut pause, mut left) = (String::new(), ROUND, Vec::new());
    for (version, watch) in watches {
        let look = watch.look(site).await;
        let (obstacles, items_read) = look.with_context(|| format!("could not ask {}", site.name))?;
        if items_read > COUNTED_ITEMS {
            pause = ROUND_OF_A_LARGE_TABLE;
        }
        if !obstacles.is_empty() {
            left.push(version.to_string());
        }
        if site.is_json {
            text.push_str(&json!({ "version": version, "keeps": obstacles }).to_string());
        } else if obstacles.is_empty() {
            text.push_str(&format!(
                "version {version} is drained. Take it out of the plan with `remove {version}`, which ends previews \
                 too. A minute later, switch it off, unless it is the distribution's default origin."
            ));
        } else {
            let between = if words::is_for_person() { "\n- " } else { "; " };
            let obstacles: Vec<String> = obstacles.iter().map(in_words).collect();
            let (obstacles, before) = (obstacles.join(between), between.trim_start_matches(';'));
            text.push_str(&format!("version {version} is not drained:{before}{obstacles}"));
        }
        text.push('\n');
    }
    Ok((text, pause, left))
}

fn in_words(obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::Stable => "it is stable, so promote another version first".to_owned(),
        Obstacle::NewSessions => "it gets new sessions, so drain it first".to_owned(),
        Obstacle::JustChanged { until } => format!("the plan is in force everywhere at {}", words::time(*until)),
        Obstacle::LiveSessions { sessions, last_end } => {
            format!("live sessions: {sessions}, the last one until {} if nobody comes back", words::time(*last_end))
        }
        Obstacle::JustEnded { until } => {
            format!("its last session is over, and by every clock at {}", words::time(*until))
        }
        Obstacle::OpenConnections { count } => format!("open connections: {count}"),
        Obstacle::Silent { instance, is_alive: true, .. } => {
            format!("instance {} is about to report that it is quiet", words::plain(instance))
        }
        Obstacle::Silent { instance, last_pulse, .. } => format!(
            "instance {} has said nothing since {}, so it may still serve; if it is switched off, say so with \
             --gone {0}",
            words::plain(instance),
            words::time(*last_pulse)
        ),
        Obstacle::FailedWrite { instance, until } => format!(
            "instance {} may have failed to write a session, which then goes on until {} and is in no table",
            words::plain(instance),
            words::time(*until)
        ),
        Obstacle::UnreadablePulses { count } => {
            format!("{count} pulses of its instances cannot be read, so update this program")
        }
        Obstacle::NoReport => {
            "no instance has reported for seven days; if none runs, say so with --gone all".to_owned()
        }
    }
}
