//! Whether a version may be switched off.

use serde::Serialize;
use stickshift_contract::{CLOCK_ALLOWANCE, PlanRecord, Pulse, State, VersionCode, Weight};

use crate::report::is_alive;

/// How long a plan takes to be in force everywhere, in seconds, with plenty to spare: an edge uses one that is at most
/// 10 s old, a replica follows within about a second, and clocks differ.
pub const PROPAGATION_SECONDS: u64 = 60;

/// The live sessions of a version, all of them counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LiveOnVersion {
    /// Their number.
    pub sessions: u64,
    /// Unix seconds at which the last of them ends, if its viewer does not come back.
    pub last_end: u64,
}

/// What keeps a version from being drained. Times are in Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "obstacle")]
pub enum Obstacle {
    /// It is stable.
    Stable,
    /// It gets new sessions.
    NewSessions,
    /// The plan in force is too young.
    JustChanged {
        /// From then on, it is in force everywhere.
        until: u64,
    },
    /// Live sessions.
    LiveSessions {
        /// Their number.
        sessions: u64,
        /// When the last one ends, if its viewer does not come back.
        last_end: u64,
    },
    /// Answers that are being sent, WebSockets among them.
    OpenConnections {
        /// Their number.
        count: u64,
    },
    /// An instance has not reported since the plan was in force everywhere.
    OldPulse {
        /// The instance.
        instance: String,
    },
    /// The write of a session failed, so perhaps only its viewer's cookie knows of it.
    FailedWrite {
        /// The instance.
        instance: String,
        /// When that session ends.
        until: u64,
    },
    /// An instance stopped without saying so, so the last writes may have failed.
    Crashed {
        /// The instance.
        instance: String,
        /// When a session ends whose write failed there.
        until: u64,
    },
    /// No instance has reported for seven days, so nobody knows its open connections and failed writes.
    NoReport,
}

/// Everything that keeps a version from being drained; nothing if it may be switched off.
///
/// `last`: the last pulse of each of its instances. `now`: Unix seconds.
pub fn obstacles(
    record: &PlanRecord,
    version: VersionCode,
    live: LiveOnVersion,
    last: &[Pulse],
    now: u64,
) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    let planned = record.plan.versions().get(&version);
    if record.plan.stable() == version {
        obstacles.push(Obstacle::Stable);
    } else if planned.is_some_and(|planned| planned.state == State::Live && planned.weight != Weight::NONE) {
        obstacles.push(Obstacle::NewSessions);
    }
    let everywhere = record.changed_at + PROPAGATION_SECONDS;
    if now < everywhere {
        obstacles.push(Obstacle::JustChanged { until: everywhere });
    }
    if live.sessions > 0 {
        obstacles.push(Obstacle::LiveSessions { sessions: live.sessions, last_end: live.last_end });
    }
    if last.is_empty() {
        obstacles.push(Obstacle::NoReport);
    }
    let count = last.iter().filter(|pulse| is_alive(pulse, now)).map(|pulse| pulse.open_connections).sum();
    if count > 0 {
        obstacles.push(Obstacle::OpenConnections { count });
    }
    for pulse in last {
        let instance = pulse.instance.clone();
        let is_alive = is_alive(pulse, now);
        if is_alive && now >= everywhere && pulse.written_at < everywhere {
            obstacles.push(Obstacle::OldPulse { instance: instance.clone() });
        }
        let end = |at: u64| at + pulse.lifetime_seconds + CLOCK_ALLOWANCE.default;
        if !is_alive && !pulse.ended {
            // Nobody knows what it did after its last pulse.
            let until = end(pulse.written_at + pulse.interval_seconds);
            obstacles.extend((until > now).then_some(Obstacle::Crashed { instance, until }));
        } else if let Some(until) = pulse.last_failed_write.map(end).filter(|until| *until > now) {
            obstacles.push(Obstacle::FailedWrite { instance, until });
        }
    }
    obstacles
}
