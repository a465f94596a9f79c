//! The three gates of a rollout: what counts as a failure, and the verdict over the failures so far.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use crate::evidence::{Failures, is_rare, rate};
use crate::watch::Counts;

/// A kind of failure. The populations differ, so each has its own share of `alpha`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// The answer to a draw was a 5xx.
    FirstAnswers,
    /// A session saw its first 5xx after its first answer.
    Sessions,
    /// The first answer of a session took longer than the limit.
    SlowSessions,
}

/// What the failures so far say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The canary is worse than tolerated.
    Fail,
    /// It is not.
    Pass,
    /// Nobody can say yet.
    Inconclusive,
}

/// When a gate decides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limits {
    /// The gate's own probability of a wrong verdict.
    pub(crate) alpha: f64,
    /// How many times stable's risk the canary's may be.
    pub(crate) tolerance: f64,
    /// The share of failures, from 0 to 1, that is good enough whatever stable's is.
    pub(crate) max_share: f64,
}

impl Limits {
    /// From there on, the evidence is a failure.
    fn threshold(self) -> f64 {
        1.0 / self.alpha
    }
}

/// One gate at one look: the failures, and the verdict over them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    pub(crate) gate: Gate,
    pub(crate) verdict: Verdict,
    early: Failures,
    late: Failures,
    seen: u64,
    pub(crate) coming: u64,
    limits: Limits,
}

/// The figures of one gate at one look. Counts are of the canary unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateReport {
    /// The gate.
    pub gate: Gate,
    /// What the failures say.
    pub verdict: Verdict,
    /// Those that could fail, a settling time ago or longer.
    pub seen: u64,
    /// Those that failed.
    pub failed: u64,
    /// Failures on either version.
    pub failed_on_both: u64,
    /// See [`Failures::evidence`]. Between [`GateReport::LOWEST_EVIDENCE`] and [`GateReport::HIGHEST_EVIDENCE`].
    pub evidence: f64,
    /// From there on, the evidence is a failure.
    pub threshold: f64,
    /// See [`Failures::ratio`]. `None`: no end.
    pub ratio: (f64, Option<f64>),
    /// The tolerated ratio.
    pub tolerance: f64,
    /// The highest share of failures that the canary may still have.
    pub highest_share: f64,
    /// The share that is good enough.
    pub max_share: f64,
    /// How many more it takes to pass, besides those that have to settle, if failures go on as they did. `None`: no
    /// number is enough.
    pub missing: Option<u64>,
}

impl Gate {
    /// Every gate.
    pub const EVERY: [Self; 3] = [Self::FirstAnswers, Self::Sessions, Self::SlowSessions];

    /// What a failure of the gate says.
    pub(crate) fn worse(self) -> &'static str {
        match self {
            Self::FirstAnswers => "first answers fail more often",
            Self::Sessions => "sessions fail more often",
            Self::SlowSessions => "sessions begin slowly more often",
        }
    }

    /// Those that could fail, and those that failed.
    pub(crate) fn numbers(self, counts: &Counts) -> (u64, u64) {
        match self {
            Self::FirstAnswers => (counts.drawn, counts.first_failed),
            Self::Sessions => (counts.renewed, counts.failed),
            Self::SlowSessions => (counts.timed, counts.slow),
        }
    }
}

impl Display for Gate {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::FirstAnswers => "first answers",
            Self::Sessions => "sessions",
            Self::SlowSessions => "slow sessions",
        })
    }
}

impl GateReport {
    /// DynamoDB takes [no number](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html)
    /// above 1e126 or below 1e-130, and nobody needs one.
    pub const HIGHEST_EVIDENCE: f64 = 1e100;
    /// The same at the other end.
    pub const LOWEST_EVIDENCE: f64 = 1e-100;

    /// The evidence as it is shown.
    pub(crate) fn shown(evidence: f64) -> f64 {
        evidence.clamp(Self::LOWEST_EVIDENCE, Self::HIGHEST_EVIDENCE)
    }

    /// A failure takes at least so many failures on the canary.
    const FEWEST_FAILURES: u64 = 3;
}

impl Reading {
    /// `early`: failures whose canary side was seen before stable's, so that an outage of both cannot look like one of
    /// the canary. `late`: the other way round. `seen`: what could fail on the canary and has had its time. `coming`:
    /// the same with what has not had it yet.
    pub(crate) fn new(gate: Gate, early: Failures, late: Failures, seen: u64, coming: u64, limits: Limits) -> Self {
        let seen = seen.max(late.on_canary());
        let coming = coming.max(seen);
        let has_enough = early.on_canary() >= GateReport::FEWEST_FAILURES;
        let verdict = if has_enough && early.evidence(limits.tolerance) >= limits.threshold() {
            Verdict::Fail
        } else if passes(&late, seen, limits) {
            Verdict::Pass
        } else {
            Verdict::Inconclusive
        };
        Self { gate, verdict, early, late, seen, coming, limits }
    }

    /// The figures behind the verdict.
    pub(crate) fn report(&self) -> GateReport {
        let Self { gate, verdict, early, late, seen, limits, .. } = self;
        let (low, high) = late.ratio(limits.alpha / 2.0);
        GateReport {
            gate: *gate,
            verdict: *verdict,
            seen: *seen,
            failed: late.on_canary(),
            failed_on_both: late.on_both(),
            evidence: GateReport::shown(early.evidence(limits.tolerance)),
            threshold: limits.threshold(),
            ratio: (low, Some(high).filter(|high| high.is_finite())),
            tolerance: limits.tolerance,
            highest_share: rate(late.on_canary(), *seen, limits.alpha / 2.0).1,
            max_share: limits.max_share,
            missing: self.missing(),
        }
    }

    /// See [`GateReport::missing`].
    pub(crate) fn missing(&self) -> Option<u64> {
        missing(&self.late, self.coming, self.limits)
    }
}

/// Each of two ways to pass has half of the gate's alpha.
fn passes(failures: &Failures, seen: u64, limits: Limits) -> bool {
    let alpha = limits.alpha / 2.0;
    failures.is_below(limits.tolerance, alpha) || is_rare(failures.on_canary(), seen, limits.max_share, alpha)
}

/// How many more than `seen` it takes to pass if everything goes on as it did.
fn missing(failures: &Failures, seen: u64, limits: Limits) -> Option<u64> {
    /// Nobody waits for more sessions than that.
    const FARTHEST: u64 = 10_000_000;
    let passes_at = |total: u64| passes(&failures.scaled(total, seen.max(1)), total, limits);
    let mut high = seen.max(1);
    while !passes_at(high) {
        high = high.checked_mul(2).filter(|high| *high <= FARTHEST)?;
    }
    let mut low = seen;
    while low < high {
        let middle = u64::midpoint(low, high);
        if passes_at(middle) { high = middle } else { low = middle + 1 }
    }
    Some(high - seen)
}
