//! What is counted over many timelines.

use std::fmt;

use derive_more::AddAssign;
use stickshift_contract::{Plan, State, VersionCode};

/// Counts over many timelines.
#[derive(Debug, Clone, Default, PartialEq, AddAssign)]
pub struct Tally {
    /// Timelines.
    pub timelines: u64,
    /// Requests of viewers.
    pub requests: u64,
    /// Requests of a session in progress.
    pub in_session: u64,
    /// Sessions that viewers began.
    pub begun: u64,
    /// Sessions that viewers began under a pass.
    pub begun_under_pass: u64,
    /// Sessions that an operator's change moved.
    pub moved: u64,
    /// Plans that the operator put in force.
    pub changes: u64,
    /// Changes that the rules of plans refused.
    pub refused_changes: u64,
    /// Look-ups that asked for a session.
    pub session_look_ups: u64,
    /// Look-ups that asked for the plan.
    pub plan_reads: u64,
    /// Writes.
    pub writes: u64,
    /// Renewals by answers that stay open.
    pub stream_renewals: u64,
    /// Answers of another version than the one that the session is on. The session stays where it is.
    pub foreign: u64,
    /// Receipts that were issued by an older placement than the session's, because their write failed.
    pub stale: u64,
    /// Sessions that were moved twice: two edges had two plans, and a write failed.
    pub moved_twice: u64,
    /// Sessions that were moved again by a restored backup.
    pub moved_by_backup: u64,
    /// Sessions that began twice at once: the last cookie won.
    pub begun_twice_at_once: u64,
    /// Sessions that one request renewed at their very end while another request began a new one. The last
    /// cookie won.
    pub renewed_against_roll: u64,
    /// Sessions in progress that the viewer lost to a new session. With keys each one is a violation.
    pub lost: u64,
    /// Violations.
    pub violations: u64,
    /// Sessions drawn for version 2, and what the weights let expect: the mean and the variance.
    pub drawn: Drawn,
}

/// How often version 2 was drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, AddAssign)]
pub struct Drawn {
    /// Sessions drawn for version 2.
    pub version_2: u64,
    /// The sum of its weights, as shares.
    pub expected: f64,
    /// The sum of the variances.
    pub variance: f64,
}

impl Drawn {
    /// Counts a draw by a plan.
    pub(crate) fn note(&mut self, plan: &Plan, version_2: VersionCode, drawn: VersionCode) {
        let planned = plan.versions().get(&version_2).filter(|planned| planned.state == State::Live);
        let share = planned.map_or(0.0, |planned| f64::from(planned.weight.basis_points()) / 10_000.0);
        self.version_2 += u64::from(drawn == version_2);
        self.expected += share;
        self.variance += share * (1.0 - share);
    }

    /// By how many standard deviations the draws differ from the weights.
    pub fn deviation(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a count of draws is far below 2^52")]
        let difference = self.version_2 as f64 - self.expected;
        if self.variance > 0.0 { difference / self.variance.sqrt() } else { difference }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_rows(
            f,
            &[
                ("timelines", self.timelines),
                ("requests", self.requests),
                ("requests of a session in progress", self.in_session),
                ("sessions begun", self.begun),
                ("sessions begun under a pass", self.begun_under_pass),
                ("sessions moved by an operator", self.moved),
                ("plans put in force", self.changes),
                ("changes refused", self.refused_changes),
                ("look-ups of a session", self.session_look_ups),
                ("reads of the plan", self.plan_reads),
                ("writes", self.writes),
                ("renewals by streams", self.stream_renewals),
                ("answers of another version", self.foreign),
                ("receipts of an older placement", self.stale),
                ("sessions moved twice, a write failed", self.moved_twice),
                ("sessions moved again by a backup", self.moved_by_backup),
                ("sessions begun twice at once", self.begun_twice_at_once),
                ("renewals against a roll", self.renewed_against_roll),
                ("sessions lost", self.lost),
                ("violations", self.violations),
            ],
        )?;
        write!(f, "{:<38}{:>12.2}", "draws against weights, in sigmas", self.drawn.deviation())
    }
}

/// Writes counts, a line each.
pub(crate) fn write_rows(f: &mut fmt::Formatter<'_>, rows: &[(&str, u64)]) -> fmt::Result {
    rows.iter().try_for_each(|(name, count)| writeln!(f, "{name:<38}{count:>12}"))
}
