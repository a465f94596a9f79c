//! A progressive rollout: step by step, as long as the canary does no worse than stable.
//!
//! A run is a state that is kept in the table of plans. Whoever holds its lease looks at the pulses again and again;
//! each look makes the next state and at most one change of the plan.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stickshift_contract::{
    Histogram, Lease, Plan, PlanRecord, Pulse, RUN_FORMAT, State, VersionCode, Weight, known_format,
};

use crate::assessment::{Assessment, Check, Hold, RunReport};
use crate::change::{Change, Leaving};
use crate::gate::{Gate, Limits};
use crate::watch::{Finished, Pair, Watch};

/// What an operator chooses. `docs/operations.md` has the defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunOptions {
    /// The canary.
    pub to: VersionCode,
    /// Its shares of new sessions, one step after the other, ascending; 100 % makes it stable and is the last.
    pub steps: Vec<Weight>,
    /// How long a step takes at least, in seconds.
    pub every_seconds: u64,
    /// The probability that a rollout of a version that is no worse than tolerated fails by chance, between 0 and 1.
    pub alpha: f64,
    /// How many times stable's risk the canary's may be, at least 1.
    pub tolerance: f64,
    /// The share of failed sessions, and of failed first answers, that is good enough whatever stable's is; 0 to 1.
    pub max_failed: f64,
    /// The share of slow sessions that is good enough, from 0 to 1.
    pub max_slow: f64,
    /// Draws of the canary that a step takes at least.
    pub min_sessions: u64,
    /// How long after its draw a session counts as clean, in seconds.
    pub settle_seconds: u64,
    /// How long the canary gets until the times of its answers count, in seconds.
    pub warm_up_seconds: u64,
    /// What becomes of the canary when it fails.
    pub on_fail: OnFail,
    /// How long the run may take, in seconds.
    pub timeout_seconds: u64,
    /// Whether an operator's own check judges too. The command is not kept: whoever may write the table must not run
    /// commands.
    pub has_check: bool,
}

/// What becomes of a canary that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFail {
    /// It gets no new sessions; its sessions finish where they are.
    Drain,
    /// Its sessions move to a live version with their next request.
    Evict,
    /// Nothing, until an operator decides.
    Pause,
}

/// The state of a run, as it is kept under the keys `rollout` and `run`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// See [`RUN_FORMAT`].
    #[serde(deserialize_with = "known_run_format")]
    pub format: u64,
    /// Rises with every write of the item, by whomever.
    pub sequence: u64,
    /// Who looks at it.
    pub lease: Lease,
    /// What the operator chose.
    pub options: RunOptions,
    /// The version that was stable when the run began.
    pub stable: VersionCode,
    /// Unix seconds of the begin.
    pub started_at: u64,
    /// Who began it.
    pub started_by: String,
    /// For how long somebody has looked at it. Steps and settling go by it: clocks of runners differ.
    pub watched: Duration,
    /// Unix seconds at which it gives up.
    pub deadline_at: u64,
    /// How often it was begun: 1, and one more for each retry.
    pub attempt: u64,
    /// Where it is.
    pub phase: Phase,
    /// Since when it takes no step, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// The revision of the plan that it made or accepted last.
    pub revision: u64,
    /// The plans under which sessions count, by revision.
    pub revisions: BTreeMap<u64, Judged>,
    /// First answers in higher buckets of the histogram are slow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_above: Option<u8>,
    /// Instances that report no more.
    pub finished: Pair<Finished>,
    /// What could fail on the canary at earlier looks.
    pub settling: Vec<Seen>,
    /// Requests that the edge meant for another version, since the run began or was resumed.
    pub misdirected: u64,
    /// Draws of the canary before this step.
    pub drawn_before: u64,
    /// Why nothing could be judged at the last look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Hold>,
    /// The last hold that was told, while it is not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Hold>,
    /// What operators did since the last look, to be told by whoever looks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steered: Vec<Decision>,
    /// What the last look saw, for whoever wants to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<RunReport>,
}

/// Where a run is. Times are in seconds of [`Run::watched`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "at")]
pub enum Phase {
    /// Before the first step: it learns how long stable's first answers take.
    Baseline,
    /// In the first step, while the times of the canary's answers do not count.
    WarmUp {
        /// Its begin.
        since: u64,
    },
    /// In a step.
    Step {
        /// Which one, from 0.
        index: usize,
        /// Its begin.
        since: u64,
    },
    /// It is over.
    Ended {
        /// How.
        outcome: Outcome,
        /// Why.
        why: String,
    },
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It took its last step.
    Reached,
    /// The canary failed and was taken back.
    Failed,
    /// Somebody took the canary back.
    Aborted,
}

impl Outcome {
    fn decided(self) -> Decided {
        match self {
            Self::Reached => Decided::Reached,
            Self::Failed => Decided::Failed,
            Self::Aborted => Decided::Aborted,
        }
    }
}

impl Display for Outcome {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.decided().fmt(formatter)
    }
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Why, in words.
    pub why: String,
    /// Whether the canary failed: then nothing is judged until somebody decides.
    pub has_failed: bool,
}

/// A plan under which sessions count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// The canary's weight.
    pub canary: Weight,
    /// Stable's weight.
    pub stable: Weight,
    /// Whether the times of answers do not count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_warm_up: bool,
    /// Whether an instance has forgotten it before anybody looked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_incomplete: bool,
}

/// What could fail on the canary at one look, by gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Seconds of [`Run::watched`].
    pub at: u64,
    /// In the order of [`Gate::EVERY`].
    pub counts: [u64; Gate::EVERY.len()],
}

/// What a look is at.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The plan in force.
    pub record: &'a PlanRecord,
    /// The last pulse of every instance.
    pub pulses: Pair<&'a [Pulse]>,
    /// The same of the other versions in the plan.
    pub others: &'a [Pulse],
    /// What the operator's own check says, if there is one.
    pub check: Option<Check>,
    /// Time since the runner started.
    pub now: Duration,
    /// Unix seconds.
    pub unix_now: u64,
}

/// What follows from a look.
#[derive(Debug, Default)]
pub struct Turn {
    /// A change of the plan, and the reason for its history.
    pub change: Option<(Change, String)>,
    /// What the operator is told.
    pub decisions: Vec<Decision>,
    assessment: Option<Assessment>,
}

/// A decision of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What was decided.
    pub decision: Decided,
    /// The same with the figures behind it, in words.
    pub text: String,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// The canary gets its first sessions.
    Began,
    /// The times of its answers count from now on.
    WarmedUp,
    /// It gets more sessions.
    Stepped,
    /// It has its last step.
    Reached,
    /// It failed and is taken back.
    Failed,
    /// Somebody took it back.
    Aborted,
    /// No step is taken until somebody decides.
    Paused,
    /// It goes on after a pause.
    Resumed,
    /// It begins again with the first step.
    Retried,
    /// The plan is as the step wants it again.
    Restored,
    /// Nothing can be judged now.
    Held,
    /// It can be judged again.
    Released,
    /// The time is over, and nobody can say how good the canary is.
    TimedOut,
}

/// A run cannot begin, or cannot do what somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunRefusal {
    /// The versions are not two.
    #[error("version {0} is stable: a rollout shifts new sessions from the stable version to another one")]
    IsStable(VersionCode),
    /// The plan does not have the canary.
    #[error("version {0} is not in the plan: add it first")]
    Unknown(VersionCode),
    /// There are no steps, or they do not ascend.
    #[error("the steps must be shares above 0 % that rise from one to the next, the first one below 100 %")]
    Steps,
    /// It is over.
    #[error("the run to version {0} is over: start another one with `rollout run`")]
    Over(VersionCode),
    /// It does not pause.
    #[error("the run to version {0} is not paused")]
    NotPaused(VersionCode),
    /// It pauses already.
    #[error("the run to version {0} is paused already: {1}")]
    IsPaused(VersionCode, String),
    /// It has failed.
    #[error("version {0} has failed: take it back with `abort`, or judge it anew with `retry`")]
    HasFailed(VersionCode),
    /// Another version is stable now.
    #[error("version {0} is stable now, so there is nothing to compare with as before: start another rollout")]
    OtherStable(VersionCode),
    /// It has not failed.
    #[error("the run to version {0} has not failed: `resume` goes on after a pause")]
    NotFailed(VersionCode),
}

/// So many first answers of stable must be known before anything is called slow.
pub const BASELINE_ANSWERS: u64 = 200;

/// All but so many of stable's first answers, in percent, are not slow.
const BASELINE_PERCENTILE: u64 = 95;

impl RunOptions {
    pub(crate) fn limits(&self, gate: Gate) -> Limits {
        #[expect(clippy::cast_precision_loss, reason = "there are three gates")]
        let alpha = self.alpha / Gate::EVERY.len() as f64;
        let max_share = if gate == Gate::SlowSessions { self.max_slow } else { self.max_failed };
        Limits { alpha, tolerance: self.tolerance, max_share }
    }

    /// Errors: the steps are not steps.
    fn check(&self) -> Result<(), RunRefusal> {
        let is_ascending = self.steps.is_sorted_by(|earlier, later| earlier < later);
        let first = self.steps.first().copied().unwrap_or(Weight::NONE);
        if !is_ascending || first == Weight::NONE || first == Weight::ALL {
            return Err(RunRefusal::Steps);
        }
        Ok(())
    }
}

impl Judged {
    /// The probability that a draw for one of the two versions was one for the canary.
    pub(crate) fn share(&self) -> f64 {
        let [canary, stable] = [self.canary, self.stable].map(|weight| f64::from(weight.basis_points()));
        canary / (canary + stable)
    }
}

impl Run {
    /// Begins a run. `unix_now`: Unix seconds.
    ///
    /// Errors: the versions or the steps do not fit the plan.
    pub fn new(options: RunOptions, plan: &Plan, started_by: &str, unix_now: u64) -> Result<Self, RunRefusal> {
        options.check()?;
        if plan.stable() == options.to {
            return Err(RunRefusal::IsStable(options.to));
        }
        if !plan.versions().contains_key(&options.to) {
            return Err(RunRefusal::Unknown(options.to));
        }
        Ok(Self {
            format: RUN_FORMAT,
            sequence: 0,
            lease: Lease::default(),
            watched: Duration::ZERO,
            deadline_at: unix_now.saturating_add(options.timeout_seconds),
            options,
            stable: plan.stable(),
            started_at: unix_now,
            started_by: started_by.to_owned(),
            attempt: 1,
            phase: Phase::Baseline,
            paused: None,
            revision: plan.revision(),
            revisions: BTreeMap::new(),
            slow_above: None,
            finished: Pair::default(),
            settling: Vec::new(),
            misdirected: 0,
            drawn_before: 0,
            held: None,
            told: None,
            steered: Vec::new(),
            report: None,
        })
    }

    /// The version that the run shifts new sessions to.
    pub fn canary(&self) -> VersionCode {
        self.options.to
    }

    /// How it ended; `None` while it goes on.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.phase {
            Phase::Ended { outcome, .. } => Some(outcome),
            _ => None,
        }
    }

    /// The canary's share in the step that it is in.
    pub fn weight(&self) -> Weight {
        let index = if let Phase::Step { index, .. } = self.phase { index } else { 0 };
        self.options.steps.get(index).copied().unwrap_or(Weight::NONE)
    }

    /// Takes no step until somebody resumes it. A canary that fails is taken back all the same.
    ///
    /// Errors: it is over, or paused already.
    pub fn pause(&mut self, why: String) -> Result<(), RunRefusal> {
        self.refuse_over()?;
        if let Some(paused) = &self.paused {
            return Err(RunRefusal::IsPaused(self.canary(), paused.why.clone()));
        }
        self.steered.push(Decision { decision: Decided::Paused, text: why.clone() });
        self.paused = Some(Paused { why, has_failed: false });
        Ok(())
    }

    /// Goes on with the step in which it was paused, or which a wrong origin held. `by`: who says so.
    ///
    /// Errors: it is over, not paused, or has failed.
    pub fn resume(&mut self, by: &str) -> Result<(), RunRefusal> {
        self.refuse_over()?;
        if self.has_failed() {
            return Err(RunRefusal::HasFailed(self.canary()));
        }
        if self.paused.is_none() && !matches!(self.held, Some(Hold::Misdirected { .. })) {
            return Err(RunRefusal::NotPaused(self.canary()));
        }
        self.steered.push(Decision { decision: Decided::Resumed, text: format!("by {by}") });
        (self.paused, self.misdirected) = (None, 0);
        Ok(())
    }

    /// Begins again with the first step and forgets all evidence. `plan`: the one in force. `by`: who says so.
    /// `unix_now`: Unix seconds.
    ///
    /// Errors: the canary has not failed and was not taken back, or the plan has another pair of versions.
    pub fn retry(&mut self, plan: &Plan, by: &str, unix_now: u64) -> Result<(), RunRefusal> {
        if !self.has_failed() && !matches!(self.outcome(), Some(Outcome::Failed | Outcome::Aborted)) {
            return Err(RunRefusal::NotFailed(self.canary()));
        }
        if !plan.versions().contains_key(&self.canary()) {
            return Err(RunRefusal::Unknown(self.canary()));
        }
        if plan.stable() != self.stable {
            return Err(RunRefusal::OtherStable(plan.stable()));
        }
        let mut lease = Lease { is_over: false, ..self.lease.clone() };
        if self.outcome().is_some() {
            // Whoever looked at it has left.
            lease.holder.clear();
        }
        let attempt = self.attempt.saturating_add(1);
        let again = Self::new(self.options.clone(), plan, &self.started_by, unix_now)?;
        *self = Self { lease, attempt, sequence: self.sequence, ..again };
        self.steered.push(Decision { decision: Decided::Retried, text: format!("by {by}") });
        Ok(())
    }

    fn refuse_over(&self) -> Result<(), RunRefusal> {
        if self.outcome().is_some() { Err(RunRefusal::Over(self.canary())) } else { Ok(()) }
    }

    /// Ends, because somebody has taken the canary back or promoted it. `plan`: the one in force. `by`: who, and why.
    /// Errors: it is over.
    pub fn end_by_hand(&mut self, plan: &Plan, by: &str) -> Result<(), RunRefusal> {
        self.refuse_over()?;
        if plan.stable() == self.canary() {
            self.end(Outcome::Reached, format!("promoted before it was ended by {by}"));
        } else {
            self.end(Outcome::Aborted, format!("taken back by {by}"));
        }
        Ok(())
    }

    /// Takes in what a look is at, and decides. The changed state holds once the turn's change is in force.
    pub fn look(&mut self, watch: &mut Watch, look: &Look<'_>) -> Turn {
        let pause = watch.look(look.pulses, look.others, self.slow_above, look.now, look.unix_now);
        self.watched = self.watched.saturating_add(pause);
        let complete_from = watch.complete_from();
        for (_, judged) in self.revisions.range_mut(..complete_from).filter(|(_, judged)| !judged.is_incomplete) {
            judged.is_incomplete = true;
            // What could fail under it counts no more.
            self.settling.clear();
        }
        self.finished = watch.finished(|revision| self.revisions.contains_key(&revision));
        self.misdirected = self.misdirected.saturating_add(watch.new_misdirected());
        let steered = std::mem::take(&mut self.steered);
        let mut turn = self.decide(watch, look);
        turn.decisions.splice(..0, steered);
        turn
    }

    fn decide(&mut self, watch: &Watch, look: &Look<'_>) -> Turn {
        if let Phase::Ended { outcome, why } = &self.phase {
            return Turn::of(outcome.decided(), why.clone());
        }
        if let Some(turn) = self.notice_change(look.record) {
            return turn;
        }
        let assessment = Assessment::new(self, watch, look);
        self.held.clone_from(&assessment.hold);
        let mut turn = self.judge(&assessment, look);
        if turn.decisions.is_empty() {
            turn = self.tell_hold();
        }
        turn.assessment = Some(assessment);
        turn
    }

    fn judge(&mut self, assessment: &Assessment, look: &Look<'_>) -> Turn {
        if let Some(fault) = assessment.fault().filter(|_| !self.has_failed()) {
            return self.fail(&fault, assessment);
        }
        if look.unix_now >= self.deadline_at {
            let what = if self.has_failed() { "nobody has decided" } else { "no verdict" };
            let figures = assessment.report(self);
            return Turn::of(Decided::TimedOut, format!("{what} in time, so the plan stays as it is: {figures}"));
        }
        if self.paused.is_some() { Turn::default() } else { self.step(assessment, look) }
    }

    /// Says that nothing can be judged any more, or that it can again.
    fn tell_hold(&mut self) -> Turn {
        match &self.held {
            // Every start of a runner waits for fresh pulses.
            Some(Hold::NotFresh) => Turn::default(),
            Some(hold) if !self.told.as_ref().is_some_and(|told| told.is_like(hold)) => {
                self.told = Some(hold.clone());
                Turn::of(Decided::Held, hold.to_string())
            }
            None if self.told.take().is_some() => {
                Turn::of(Decided::Released, "what kept it from judging is over".to_owned())
            }
            _ => Turn::default(),
        }
    }

    /// The change of a turn is about to be put in force.
    pub fn note_plan(&mut self, plan: &Plan) {
        self.revision = plan.revision();
        let weight = |version| plan.versions().get(&version).map_or(Weight::NONE, |planned| planned.weight);
        let (canary, stable) = (weight(self.canary()), weight(self.stable));
        if self.phase != Phase::Baseline && canary != Weight::NONE && stable != Weight::NONE {
            let is_warm_up = matches!(self.phase, Phase::WarmUp { .. });
            let judged = Judged { canary, stable, is_warm_up, is_incomplete: false };
            self.revisions.insert(plan.revision(), judged);
        }
    }

    /// Whether the canary has failed and an operator is to decide.
    pub fn has_failed(&self) -> bool {
        self.paused.as_ref().is_some_and(|paused| paused.has_failed)
    }

    /// Somebody else may have changed the plan.
    fn notice_change(&mut self, record: &PlanRecord) -> Option<Turn> {
        let plan = &record.plan;
        if plan.revision() == self.revision {
            return None;
        }
        let why = if record.why.is_empty() { String::new() } else { format!(": {}", record.why) };
        let by = format!("{} with revision {}{why}", record.changed_by, plan.revision());
        let state = plan.versions().get(&self.canary()).map(|planned| planned.state);
        self.note_plan(plan);
        if plan.stable() == self.canary() {
            return Some(self.end(Outcome::Reached, format!("promoted by {by}")));
        }
        if plan.stable() != self.stable {
            let why = format!("version {} was made stable by {by}, so there is nothing to compare with", plan.stable());
            return Some(self.end(Outcome::Aborted, why));
        }
        let has_begun = self.phase != Phase::Baseline;
        if state.is_none() || has_begun && state != Some(State::Live) {
            return Some(self.end(Outcome::Aborted, format!("taken back by {by}")));
        }
        let why = format!("the plan was changed by {by}");
        let paused = self.paused.get_or_insert_with(|| Paused { why: why.clone(), has_failed: false });
        if !paused.has_failed {
            paused.why.clone_from(&why);
        }
        Some(Turn::of(Decided::Paused, why))
    }

    fn end(&mut self, outcome: Outcome, why: String) -> Turn {
        self.phase = Phase::Ended { outcome, why: why.clone() };
        (self.paused, self.lease.is_over) = (None, true);
        Turn::of(outcome.decided(), why)
    }

    fn fail(&mut self, fault: &str, assessment: &Assessment) -> Turn {
        let why = format!("{fault}: {}", assessment.report(self));
        let leaving = match self.options.on_fail {
            OnFail::Drain => Leaving::Drain,
            OnFail::Evict => Leaving::Evict,
            OnFail::Pause => {
                self.paused = Some(Paused { why: fault.to_owned(), has_failed: true });
                return Turn::of(Decided::Paused, format!("version {} has failed: {why}", self.canary()));
            }
        };
        let change = Change::Abort { version: self.canary(), leaving };
        self.end(Outcome::Failed, why).with(change)
    }

    /// Takes a step, if it is time.
    fn step(&mut self, assessment: &Assessment, look: &Look<'_>) -> Turn {
        let (now, weight) = (self.watched.as_secs(), self.weight());
        if assessment.hold.is_some() {
            return Turn::default();
        }
        let planned = look.record.plan.versions().get(&self.canary()).map(|planned| planned.weight);
        let is_placed = planned == Some(weight);
        match &mut self.phase {
            Phase::WarmUp { since } | Phase::Step { since, .. } if !is_placed => {
                // The step takes its whole time at its own share.
                *since = now;
                self.drawn_before = assessment.drawn.canary;
                let text = format!("{weight} % again: {}", assessment.report(self));
                return self.place(weight, &look.record.plan, Decided::Restored, text);
            }
            _ => {}
        }
        match self.phase {
            Phase::Baseline => self.begin(look),
            Phase::WarmUp { since } if now < since.saturating_add(self.options.warm_up_seconds) => Turn::default(),
            Phase::WarmUp { .. } => {
                self.phase = Phase::Step { index: 0, since: now };
                let figures = assessment.report(self);
                let text = format!("the times of version {} count from now on: {figures}", self.canary());
                Turn::of(Decided::WarmedUp, text).with(Change::Reissue)
            }
            Phase::Step { index, .. } => {
                if !assessment.is_ready() {
                    return Turn::default();
                }
                let (before, figures) = (format!("{weight} %"), assessment.report(self));
                self.drawn_before = assessment.drawn.canary;
                match self.options.steps.get(index.saturating_add(1)).copied() {
                    None => {
                        let text = format!("{before} is the last step: {figures}");
                        self.end(Outcome::Reached, text)
                    }
                    Some(Weight::ALL) => {
                        let text = format!("{before} to 100 %, every gate passes: {figures}");
                        self.end(Outcome::Reached, text).with(Change::Promote(self.canary()))
                    }
                    Some(next) => {
                        self.phase = Phase::Step { index: index + 1, since: now };
                        let text = format!("{before} to {next} %, no evidence of harm so far: {figures}");
                        let change = Change::SetWeights(vec![(self.canary(), next)]);
                        Turn::of(Decided::Stepped, text).with(change)
                    }
                }
            }
            Phase::Ended { .. } => Turn::default(),
        }
    }

    /// The first step, once it is known how long stable takes.
    fn begin(&mut self, look: &Look<'_>) -> Turn {
        let answers = stable_answers(look.pulses.stable);
        let Some(bucket) =
            answers.percentile_bucket(BASELINE_PERCENTILE).filter(|_| answers.count() >= BASELINE_ANSWERS)
        else {
            return Turn::default();
        };
        let (weight, since) = (self.weight(), self.watched.as_secs());
        self.slow_above = Some(bucket);
        self.phase =
            if self.options.warm_up_seconds > 0 { Phase::WarmUp { since } } else { Phase::Step { index: 0, since } };
        let limit = Histogram::upper_edge(bucket).map_or_else(String::new, |edge| {
            format!(
                "; a first answer is slow when it takes longer than {edge:?}, as 5 % of version {}'s do",
                self.stable
            )
        });
        self.place(
            weight,
            &look.record.plan,
            Decided::Began,
            format!("version {} gets {weight} %{limit}", self.canary()),
        )
    }

    /// Gives the canary a weight, or the same plan the next revision.
    fn place(&self, weight: Weight, plan: &Plan, decided: Decided, text: String) -> Turn {
        let is_placed = plan.versions().get(&self.canary()).is_some_and(|planned| planned.weight == weight);
        let change = if is_placed { Change::Reissue } else { Change::SetWeights(vec![(self.canary(), weight)]) };
        Turn::of(decided, text).with(change)
    }
}

fn known_run_format<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    known_format(deserializer, "run", RUN_FORMAT)
}

/// How long stable's first answers took.
pub(crate) fn stable_answers(pulses: &[Pulse]) -> Histogram {
    let mut answers = Histogram::default();
    for draws in pulses.iter().flat_map(|pulse| pulse.revisions.values()) {
        answers.add_all(&draws.first_answers);
    }
    answers
}

impl Turn {
    /// What the look saw; `None` if it judged nothing.
    pub fn report(&self, run: &Run) -> Option<RunReport> {
        self.assessment.as_ref().map(|assessment| assessment.report(run))
    }

    fn of(decision: Decided, text: String) -> Self {
        Self { decisions: vec![Decision { decision, text }], ..Self::default() }
    }

    fn with(self, change: Change) -> Self {
        let why = self.decisions.first().map_or_else(String::new, |decision| decision.text.clone());
        Self { change: Some((change, why)), ..self }
    }
}

impl Display for Decided {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Began => "began",
            Self::WarmedUp => "warmed up",
            Self::Stepped => "step",
            Self::Reached => "reached",
            Self::Failed => "FAILED",
            Self::Aborted => "aborted",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Retried => "retried",
            Self::Restored => "restored",
            Self::Held => "held",
            Self::Released => "released",
            Self::TimedOut => "timed out",
        })
    }
}
