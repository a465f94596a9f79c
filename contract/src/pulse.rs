//! A pulse: what one instance of the app reports about itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::format;
use crate::histogram::Histogram;

/// The format of pulses that this release reads and writes; `docs/formats.md` tells how to change it.
pub const PULSE_FORMAT: u64 = 1;

/// An instance is taken for dead when its last pulse is older, in seconds.
pub const PULSE_SILENCE_SECONDS: u64 = 30;

/// How long the last pulse of an instance is kept, in seconds: seven days.
pub const PULSE_LIFETIME_SECONDS: u64 = 7 * 86_400;

/// How long the pulse of each minute is kept, in seconds: a day.
pub const MINUTE_LIFETIME_SECONDS: u64 = 86_400;

/// The counters of an instance since it started. Every number only rises, but for `open_connections`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulse {
    /// See [`PULSE_FORMAT`].
    #[serde(deserialize_with = "known_format")]
    pub format: u64,
    /// The instance: a name that it gave itself when it started.
    pub instance: String,
    /// Rises with every pulse of the instance, so that a late write cannot undo a later one.
    pub sequence: u64,
    /// Unix seconds at which the instance started, by its own clock.
    pub started_at: u64,
    /// Unix seconds of this pulse, by the same clock.
    pub written_at: u64,
    /// Whether the instance has stopped, so that this is its last pulse.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ended: bool,
    /// How often the instance writes its pulse, in seconds: see [`PULSE`](crate::PULSE).
    pub interval_seconds: u64,
    /// How long a session lives after its last write, in seconds: see
    /// [`Timing::lifetime_seconds`](crate::Timing::lifetime_seconds).
    pub lifetime_seconds: u64,
    /// How far clocks may differ, in seconds: see [`CLOCK_ALLOWANCE`](crate::CLOCK_ALLOWANCE).
    pub clock_allowance_seconds: u64,
    /// The highest revision of a plan that the instance has read; 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub plan_revision: u64,
    /// The formats that the instance reads, as in [`FORMATS`](crate::FORMATS).
    pub formats: String,
    /// The formats that its edges said they read, and when each was last seen, in Unix seconds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub edges: BTreeMap<String, u64>,
    /// Requests by the edge's reason, `direct` without an edge, and by the status's class: 1xx to 5xx.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, [u64; 5]>,
    /// How long the answers took.
    #[serde(default, skip_serializing_if = "Histogram::is_empty")]
    pub latencies: Histogram,
    /// Whether sessions have receipts: without keys, an edge may send a session elsewhere before it has heard of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub has_receipts: bool,
    /// For how many seconds the beat of a rollout's [`Lease`](crate::Lease) has not changed, by the instance's clock.
    /// `None` without a rollout that runs by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_age_seconds: Option<u64>,
    /// Answers that are being sent, WebSockets among them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub open_connections: u64,
    /// Requests that the edge meant for another version.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub misdirected: u64,
    /// Writes of sessions that failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed_writes: u64,
    /// Calls to DynamoDB that read, the SDK's second attempts among them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub table_reads: u64,
    /// Calls to DynamoDB that write, likewise.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub table_writes: u64,
    /// Unix seconds of the last write of a session that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failed_write: Option<u64>,
    /// What became of drawn sessions, by the revision that they were drawn under: the last
    /// [`REVISIONS`](Pulse::REVISIONS).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub revisions: BTreeMap<u64, Draws>,
}

/// What became of the sessions that were drawn for this version under one revision. Sessions that moved here, and
/// those without an edge, do not count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draws {
    /// Draws that arrived. Each one whose first answer was a 5xx is followed by another draw.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub drawn: u64,
    /// First answers with a 5xx status: these began no session.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub first_failed: u64,
    /// Sessions that were renewed at least once.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub renewed: u64,
    /// Sessions that saw a 5xx after their first answer.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// Sessions that finished their activity.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub finished: u64,
    /// How long the first answers took, those among them that the viewer gave up.
    #[serde(default, skip_serializing_if = "Histogram::is_empty")]
    pub first_answers: Histogram,
}

impl Pulse {
    /// How many revisions a pulse has at most. The highest ones stay.
    pub const REVISIONS: usize = 16;

    /// Requests of every reason.
    pub fn requests(&self) -> u64 {
        self.requests.values().flatten().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Requests that were answered with a 5xx status.
    pub fn server_errors(&self) -> u64 {
        self.requests.values().fold(0, |sum, classes| sum.saturating_add(classes[4]))
    }
}

impl Draws {
    /// What was counted since `earlier`, an older state of this.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            drawn: self.drawn.saturating_sub(earlier.drawn),
            first_failed: self.first_failed.saturating_sub(earlier.first_failed),
            renewed: self.renewed.saturating_sub(earlier.renewed),
            failed: self.failed.saturating_sub(earlier.failed),
            finished: self.finished.saturating_sub(earlier.finished),
            first_answers: self.first_answers.since(&earlier.first_answers),
        }
    }

    /// Adds every count of another.
    pub fn add_all(&mut self, other: &Self) {
        let numbers = [
            (&mut self.drawn, other.drawn),
            (&mut self.first_failed, other.first_failed),
            (&mut self.renewed, other.renewed),
            (&mut self.failed, other.failed),
            (&mut self.finished, other.finished),
        ];
        numbers.into_iter().for_each(|(sum, number)| *sum = sum.saturating_add(number));
        self.first_answers.add_all(&other.first_answers);
    }
}

fn known_format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    format::known(deserializer, "pulse", PULSE_FORMAT)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
