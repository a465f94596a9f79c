//! Whether a version may be switched off.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use stickshift_contract::{CLOCK_ALLOWANCE, PlanRecord, Pulse, State, VersionCode, Weight};

use crate::report::is_alive;

/// How long a plan takes to be in force everywhere, in seconds, with plenty to spare: an edge uses one that is at most
/// a minute old ([`PLAN_TTL`](stickshift_contract::PLAN_TTL)), a replica follows within about a second, and clocks
/// differ.
pub const PROPAGATION_SECONDS: u64 = 120;

/// What is known of a version that is to be switched off.
#[derive(Debug, Clone)]
pub struct Departing<'a> {
    /// The version.
    pub version: VersionCode,
    /// Its live sessions, all of them counted.
    pub sessions: u64,
    /// Unix seconds at which the last of them ends, if its viewer does not come back; or at which the last one ended
    /// that was seen.
    pub last_end: u64,
    /// The last pulse of each of its instances, read after the sessions were counted.
    pub last: &'a [Pulse],
    /// Pulses that this release cannot read.
    pub unreadable: u64,
    /// How far the pulses were when the sessions were first found to be none: the sequence number of each instance.
    pub quiet_since: Option<&'a BTreeMap<String, u64>>,
    /// Instances that an operator knows to be switched off.
    pub gone: &'a Gone,
}

/// Instances that an operator knows to be switched off, although they did not say so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gone {
    /// Every instance of the version.
    pub all: bool,
    /// These.
    pub instances: BTreeSet<String>,
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
    /// The last session is over, but not by every clock.
    JustEnded {
        /// From then on, it is over everywhere.
        until: u64,
    },
    /// Answers that are being sent, WebSockets among them.
    OpenConnections {
        /// Their number.
        count: u64,
    },
    /// An instance has not reported since no session was left. It may be cut off from the table and still serve
    /// sessions by their cookies.
    Silent {
        /// The instance.
        instance: String,
        /// When it last reported, by its own clock.
        last_pulse: u64,
        /// Whether it has reported lately.
        is_alive: bool,
    },
    /// The write of a session failed, so perhaps only its viewer's cookie knows of it.
    FailedWrite {
        /// The instance.
        instance: String,
        /// When that session ends.
        until: u64,
    },
    /// Pulses of another release: nobody knows what they say.
    UnreadablePulses {
        /// Their number.
        count: u64,
    },
    /// No instance has reported for seven days, so nobody knows its open connections and failed writes.
    NoReport,
}

impl Gone {
    fn has(&self, instance: &str) -> bool {
        self.all || self.instances.contains(instance)
    }
}

impl Departing<'_> {
    /// Whether every session is over, by every clock.
    pub fn is_quiet(&self, now: u64) -> bool {
        self.sessions == 0 && now >= self.over_everywhere()
    }

    fn over_everywhere(&self) -> u64 {
        let clocks = self.last.iter().map(|pulse| pulse.clock_allowance_seconds).max();
        self.last_end.saturating_add(clocks.unwrap_or(CLOCK_ALLOWANCE.default))
    }

    /// Everything that keeps the version from being drained; nothing if it may be switched off. `now`: Unix seconds.
    ///
    /// A session lives in the table, or its last write has failed and only its viewer's cookie knows of it. So there
    /// must be none in the table, and each instance must have reported since then that no write has failed within
    /// the lifetime of a session. The second pulse after that was surely put together later.
    pub fn obstacles(&self, record: &PlanRecord, now: u64) -> Vec<Obstacle> {
        let mut obstacles = Vec::new();
        let planned = record.plan.versions().get(&self.version);
        if record.plan.stable() == self.version {
            obstacles.push(Obstacle::Stable);
        } else if planned.is_some_and(|planned| planned.state == State::Live && planned.weight != Weight::NONE) {
            obstacles.push(Obstacle::NewSessions);
        }
        let everywhere = record.changed_at.saturating_add(PROPAGATION_SECONDS);
        if now < everywhere {
            obstacles.push(Obstacle::JustChanged { until: everywhere });
        }
        if self.sessions > 0 {
            obstacles.push(Obstacle::LiveSessions { sessions: self.sessions, last_end: self.last_end });
        } else if !self.is_quiet(now) {
            obstacles.push(Obstacle::JustEnded { until: self.over_everywhere() });
        }
        if self.unreadable > 0 && !self.gone.all {
            obstacles.push(Obstacle::UnreadablePulses { count: self.unreadable });
        }
        if self.last.is_empty() && self.unreadable == 0 && !self.gone.all {
            obstacles.push(Obstacle::NoReport);
        }
        let running = || self.last.iter().filter(|pulse| !pulse.ended && !self.gone.has(&pulse.instance));
        let count = running().fold(0u64, |sum, pulse| sum.saturating_add(pulse.open_connections));
        if count > 0 {
            obstacles.push(Obstacle::OpenConnections { count });
        }
        for pulse in running() {
            let is_alive = is_alive(pulse, now);
            // While there are sessions, nobody waits for it.
            if is_alive && !self.is_quiet(now) {
                continue;
            }
            let wanted = self.quiet_since.and_then(|sequences| sequences.get(&pulse.instance));
            if wanted.is_none_or(|sequence| pulse.sequence < sequence.saturating_add(2)) {
                let instance = pulse.instance.clone();
                obstacles.push(Obstacle::Silent { instance, last_pulse: pulse.written_at, is_alive });
            }
        }
        for pulse in self.last {
            let until = last_doubt(pulse, self.gone)
                .map(|at| at.saturating_add(pulse.lifetime_seconds).saturating_add(pulse.clock_allowance_seconds));
            if let Some(until) = until.filter(|until| *until > now) {
                obstacles.push(Obstacle::FailedWrite { instance: pulse.instance.clone(), until });
            }
        }
        obstacles
    }
}

/// When a write of an instance last failed, or may have failed: nobody knows what one that is gone without a word did
/// after its last pulse.
fn last_doubt(pulse: &Pulse, gone: &Gone) -> Option<u64> {
    let is_gone = !pulse.ended && gone.has(&pulse.instance);
    let unknown = is_gone.then(|| pulse.written_at.saturating_add(pulse.interval_seconds));
    pulse.last_failed_write.max(unknown)
}
