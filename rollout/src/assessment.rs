//! What one look says: what keeps from judging, what has failed, and what is missing for the next step.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};
use stickshift_contract::{VersionCode, Weight};

use crate::evidence::{Failures, scale};
use crate::gate::{Gate, GateReport, Reading, Verdict};
use crate::run::{BASELINE_ANSWERS, Judged, Look, Phase, Run, Seen, stable_answers};
use crate::watch::{ByRevision, Counts, Pair, Watch};

/// What the operator's own check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// All is well.
    Pass,
    /// The canary must go.
    Fail,
    /// It does not know, so no step is taken.
    Inconclusive,
}

/// What one look says.
#[derive(Debug)]
pub(crate) struct Assessment {
    readings: Vec<Reading>,
    pub(crate) hold: Option<Hold>,
    fault: Option<Fault>,
    waits: Vec<Wait>,
    pub(crate) drawn: Pair<u64>,
    drawn_in_step: u64,
    unix_now: u64,
    /// Seconds of this step.
    elapsed: u64,
}

/// What is missing for the next step.
#[derive(Debug, Clone, Copy)]
enum Wait {
    /// First answers of stable.
    Baseline(u64),
    /// Seconds of the warm-up.
    WarmUp(u64),
    /// Seconds of the step.
    Time(u64),
    /// Sessions of the canary.
    Sessions(u64),
    /// A gate that passes: its place among the readings.
    Gate(usize),
    /// A check that passes.
    Check,
}

/// What a look saw, for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Unix seconds.
    pub at: u64,
    /// Draws that arrived under revisions of the run.
    pub drawn: Pair<u64>,
    /// Those of the canary in this step.
    pub drawn_in_step: u64,
    /// The figures of every gate; none before the first step.
    pub gates: Vec<GateReport>,
    /// What is missing for the next step.
    pub waits: Vec<String>,
}

/// Why nothing can be judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "hold")]
pub enum Hold {
    /// Nobody reports.
    #[error("no pulse has arrived for {seconds} s, so the table may be away")]
    Blackout {
        /// For how long.
        seconds: u64,
    },
    /// Stable does not report, and the canary does.
    #[error("STABLE IS DEAD: no instance of version {version} has reported for 30 s; look at it now")]
    StableDead {
        /// Stable.
        version: VersionCode,
    },
    /// The edge sends a version's requests to another one.
    #[error("{count} requests came to the wrong version: an origin in the plan is wrong; mend it and resume")]
    Misdirected {
        /// How many.
        count: u64,
    },
    /// More draws arrived at the canary than its share.
    #[error("version {version} got {drawn} of {of} new sessions, more than it should: the split is broken")]
    TooMany {
        /// The canary.
        version: VersionCode,
        /// Its draws.
        drawn: u64,
        /// The draws of both.
        of: u64,
    },
    /// An instance without keys: nobody can say on which version one of its sessions failed.
    #[error("instance {instance} issues no receipts: set its STICKSHIFT_KEYS")]
    NoReceipts {
        /// The instance.
        instance: String,
    },
    /// The runner has just started, or the table was away: nobody knows how old the last pulses are.
    #[error("waiting for fresh pulses of both versions")]
    NotFresh,
}

/// Why the canary has failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("no instance of version {0} has reported for 30 s")]
    Dead(VersionCode),
    #[error("{0} instances of version {1} stopped without saying so, and none of version {2}")]
    Crashes(usize, VersionCode, VersionCode),
    #[error("only {drawn} of {of} new sessions arrived at version {version}: it does not serve those that it gets")]
    TooFew { version: VersionCode, drawn: u64, of: u64 },
    #[error("{} than on version {stable}", gate.worse())]
    Gate { gate: Gate, stable: VersionCode },
    #[error("the check has failed")]
    Check,
}

/// The probability that the split of a sound rollout is called wrong.
const SPLIT_ALPHA: f64 = 0.001;

/// So many instances of the canary must stop without a word.
const CRASHES: usize = 2;

impl Assessment {
    pub(crate) fn new(run: &mut Run, watch: &Watch, look: &Look<'_>) -> Self {
        let latest = watch.counts(Pair::default());
        let is_ours = |revision| run.revisions.contains_key(&revision);
        let drawn = latest.map(|counts| sum(counts, is_ours, |counts| counts.drawn));
        let (seen, coming) = settled(run, &latest.canary);
        let cuts = watch.cuts();
        let early = watch.counts(Pair { canary: cuts.stable, stable: None });
        let late = watch.counts(Pair { canary: None, stable: cuts.canary });
        let has_begun = run.phase != Phase::Baseline;
        let mut readings = Vec::new();
        if has_begun {
            for ((gate, seen), coming) in Gate::EVERY.into_iter().zip(seen).zip(coming) {
                let failures = |counts: &Pair<ByRevision>| failures(run, counts, gate);
                let (early, late) = (failures(&early), failures(&late));
                readings.push(Reading::new(gate, early, late, seen, coming, run.options.limits(gate)));
            }
        }
        let since = match run.phase {
            Phase::Step { since, .. } | Phase::WarmUp { since } => since,
            _ => run.watched.as_secs(),
        };
        let drawn_in_step = drawn.canary.saturating_sub(run.drawn_before);
        let mut assessment = Self {
            readings,
            hold: None,
            fault: None,
            waits: Vec::new(),
            drawn,
            drawn_in_step,
            unix_now: look.unix_now,
            elapsed: run.watched.as_secs().saturating_sub(since),
        };
        (assessment.hold, assessment.fault) =
            assessment.guard(run, watch, look, &draws(run, &early), &draws(run, &late));
        // Before its first step, the canary has nothing to fail with.
        assessment.fault = assessment.fault.filter(|_| has_begun);
        assessment.waits = assessment.waits(run, look);
        assessment
    }

    /// The guards around the gates, the surest first.
    fn guard(
        &self,
        run: &Run,
        watch: &Watch,
        look: &Look<'_>,
        early: &Failures,
        late: &Failures,
    ) -> (Option<Hold>, Option<Fault>) {
        let (canary, stable) = (run.canary(), run.stable);
        let hold = |hold| (Some(hold), None);
        let fault = |fault| (None, Some(fault));
        if let Some(silence) = watch.blackout(look.now) {
            return hold(Hold::Blackout { seconds: silence.as_secs() });
        }
        let is_dead = watch.is_dead();
        if is_dead.stable {
            return hold(Hold::StableDead { version: stable });
        }
        if is_dead.canary {
            return fault(Fault::Dead(canary));
        }
        let crashes = watch.crashes(|revision| run.revisions.contains_key(&revision));
        if crashes.canary >= CRASHES && crashes.stable == 0 {
            return fault(Fault::Crashes(crashes.canary, canary, stable));
        }
        if run.misdirected > 0 {
            return hold(Hold::Misdirected { count: run.misdirected });
        }
        let cuts = watch.cuts();
        if cuts.canary.is_none() || cuts.stable.is_none() {
            return hold(Hold::NotFresh);
        }
        if early.is_above(1.0, SPLIT_ALPHA) {
            let (drawn, of) = (early.on_canary(), early.on_both());
            return hold(Hold::TooMany { version: canary, drawn, of });
        }
        if late.is_below(1.0, SPLIT_ALPHA) {
            let (drawn, of) = (late.on_canary(), late.on_both());
            return fault(Fault::TooFew { version: canary, drawn, of });
        }
        if let Some(failed) = self.readings.iter().find(|reading| reading.verdict == Verdict::Fail) {
            return fault(Fault::Gate { gate: failed.gate, stable });
        }
        if look.check == Some(Check::Fail) {
            return fault(Fault::Check);
        }
        match watch.without_receipts() {
            Some(instance) => hold(Hold::NoReceipts { instance: instance.to_owned() }),
            None => (None, None),
        }
    }

    /// What is missing for the next step.
    fn waits(&self, run: &Run, look: &Look<'_>) -> Vec<Wait> {
        let now = run.watched.as_secs();
        let mut waits = Vec::new();
        match run.phase {
            Phase::Baseline => {
                let answers = stable_answers(look.pulses.stable).count();
                waits.push(Wait::Baseline(BASELINE_ANSWERS.saturating_sub(answers)));
            }
            Phase::WarmUp { since } => {
                waits.push(Wait::WarmUp(since.saturating_add(run.options.warm_up_seconds).saturating_sub(now)));
            }
            Phase::Step { index, since } => {
                waits.push(Wait::Time(since.saturating_add(run.options.every_seconds).saturating_sub(now)));
                waits.push(Wait::Sessions(run.options.min_sessions.saturating_sub(self.drawn_in_step)));
                if run.options.steps.get(index.saturating_add(1)) == Some(&Weight::ALL) {
                    let readings = self.readings.iter().enumerate();
                    let open = readings.filter(|(_, reading)| reading.verdict != Verdict::Pass);
                    waits.extend(open.map(|(index, _)| Wait::Gate(index)));
                }
                if look.check == Some(Check::Inconclusive) {
                    waits.push(Wait::Check);
                }
            }
            Phase::Ended { .. } => {}
        }
        let is_over =
            |wait: &Wait| matches!(wait, Wait::Baseline(0) | Wait::WarmUp(0) | Wait::Time(0) | Wait::Sessions(0));
        waits.retain(|wait| !is_over(wait));
        waits
    }

    /// Whether it is time for the next step.
    pub(crate) fn is_ready(&self) -> bool {
        self.hold.is_none() && self.waits.is_empty()
    }

    fn wait_in_words(&self, wait: Wait, run: &Run) -> String {
        match wait {
            Wait::Baseline(missing) => {
                format!("{missing} more first answers of version {} to compare with", run.stable)
            }
            Wait::WarmUp(seconds) => format!("{} more to warm up", seconds_in_words(seconds)),
            Wait::Time(seconds) => format!("{} more of this step", seconds_in_words(seconds)),
            Wait::Sessions(missing) => {
                format!("{missing} more sessions on version {}{}", run.canary(), self.about(missing))
            }
            Wait::Gate(index) => match self.readings[index].missing() {
                Some(0) => {
                    let settle = seconds_in_words(run.options.settle_seconds);
                    format!(
                        "{settle} at most, for a verdict over {}: sessions have to settle",
                        self.readings[index].gate
                    )
                }
                Some(missing) => {
                    // Not every draw becomes a session that is renewed.
                    let sessions = scale(missing, self.drawn.canary, self.readings[index].coming.max(1));
                    format!(
                        "{missing} more like these to show that {} are good enough{}",
                        self.readings[index].gate,
                        self.about(sessions)
                    )
                }
                None => {
                    format!("a verdict over {}, which does not come if it goes on like this", self.readings[index].gate)
                }
            },
            Wait::Check => "a check that passes".to_owned(),
        }
    }

    /// About how long so many sessions of the canary take.
    fn about(&self, sessions: u64) -> String {
        if self.drawn_in_step == 0 {
            return String::new();
        }
        format!(" (about {} at this rate)", seconds_in_words(scale(sessions, self.elapsed.max(1), self.drawn_in_step)))
    }

    /// Why the canary has failed, in words.
    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.as_ref().map(ToString::to_string)
    }

    /// The figures. It takes about a millisecond.
    pub(crate) fn report(&self, run: &Run) -> RunReport {
        RunReport {
            at: self.unix_now,
            drawn: self.drawn,
            drawn_in_step: self.drawn_in_step,
            gates: self.readings.iter().map(Reading::report).collect(),
            waits: self.waits.iter().map(|wait| self.wait_in_words(*wait, run)).collect(),
        }
    }
}

/// What could fail on the canary, by gate: first what has had its time, then all of it.
fn settled(run: &mut Run, latest: &ByRevision) -> ([u64; Gate::EVERY.len()], [u64; Gate::EVERY.len()]) {
    /// The time is exact to a tenth.
    const PARTS: u64 = 10;
    let settle = run.options.settle_seconds;
    let counts = Gate::EVERY.map(|gate| sum(latest, counted(run, gate), |counts| gate.numbers(counts).0));
    let now = run.watched.as_secs();
    if run.settling.last().is_none_or(|seen| seen.at.saturating_add(settle / PARTS) <= now) {
        run.settling.push(Seen { at: now, counts });
    }
    let has_settled = |seen: &Seen| seen.at.saturating_add(settle) <= now;
    while run.settling.get(1).is_some_and(has_settled) {
        run.settling.remove(0);
    }
    let settled = run.settling.first().filter(|seen| has_settled(seen));
    (settled.map_or([0; Gate::EVERY.len()], |seen| seen.counts), counts)
}

/// Whether sessions of a revision count for a gate.
fn counted(run: &Run, gate: Gate) -> impl Fn(u64) -> bool {
    let is_left_out = move |judged: &Judged| judged.is_incomplete || judged.is_warm_up && gate == Gate::SlowSessions;
    move |revision| run.revisions.get(&revision).is_some_and(|judged| !is_left_out(judged))
}

pub(crate) fn failures(run: &Run, counts: &Pair<ByRevision>, gate: Gate) -> Failures {
    pick(run, counts, counted(run, gate), |counts| gate.numbers(counts).1)
}

/// Every draw, as if it were a failure: if the split is as planned, they lie on the canary by its share.
fn draws(run: &Run, counts: &Pair<ByRevision>) -> Failures {
    pick(run, counts, counted(run, Gate::FirstAnswers), |counts| counts.drawn)
}

fn pick(
    run: &Run,
    counts: &Pair<ByRevision>,
    is_counted: impl Fn(u64) -> bool,
    number: impl Fn(&Counts) -> u64,
) -> Failures {
    let mut failures = Failures::default();
    for (revision, judged) in run.revisions.iter().filter(|(revision, _)| is_counted(**revision)) {
        let of = |counts: &ByRevision| counts.get(revision).map_or(0, &number);
        failures.add(judged.share(), of(&counts.canary), of(&counts.stable));
    }
    failures
}

/// A number of one version, over all revisions that count.
fn sum(counts: &ByRevision, is_counted: impl Fn(u64) -> bool, number: impl Fn(&Counts) -> u64) -> u64 {
    let counted = counts.iter().filter(|(revision, _)| is_counted(**revision));
    // Numbers from a table may be anything.
    counted.fold(0, |sum, (_, counts)| sum.saturating_add(number(counts)))
}

/// Seconds as `45 s`, `12 min` or `3.5 h`.
pub fn seconds_in_words(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{}.{} h", seconds / 3_600, seconds % 3_600 / 360),
    }
}

impl Hold {
    /// Whether it is of the same kind, and only its numbers differ.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl Display for RunReport {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let gates: Vec<String> = self.gates.iter().map(ToString::to_string).collect();
        write!(formatter, "{} drawn; {}", self.drawn.canary, gates.join("; "))
    }
}

impl Display for GateReport {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { gate, failed, seen, evidence, threshold, .. } = self;
        let how = if *gate == Gate::SlowSessions { "" } else { " failed" };
        write!(formatter, "{gate} {failed} of {seen}{how}, evidence {evidence:.2} of {threshold:.0}")
    }
}
