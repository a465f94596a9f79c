//! A run, look by look: what holds it, what fails it, and what operators do to it.

use std::collections::BTreeMap;
use std::time::Duration;

use stickshift_contract::{Draws, Histogram, PULSE_FORMAT, Plan, PlanRecord, Pulse, State};
use stickshift_rollout::{
    Change, Check, Decided, Hold, Leaving, Look, OnFail, Outcome, Pair, Phase, Run, RunOptions, RunRefusal, Verdict,
    Watch,
};

use crate::{NOW, code, percent, planned};

/// The runner looks every so many seconds.
const PACE: u64 = 2;

/// An instance pulses every so many seconds.
const INTERVAL: u64 = 10;

/// A table with pulses and a plan, and a runner that looks at it.
struct Stage {
    run: Run,
    watch: Watch,
    record: PlanRecord,
    /// What instances have counted, by name; those of the canary begin with `c`.
    counted: BTreeMap<String, Pulse>,
    /// What they have written.
    written: BTreeMap<String, Pulse>,
    /// Those that write no more.
    silent: Vec<String>,
    check: Option<Check>,
    now: u64,
    runner_started: u64,
    decisions: Vec<Decided>,
}

pub(crate) fn options() -> RunOptions {
    RunOptions {
        to: code("2"),
        steps: ["10", "50", "100"].map(percent).to_vec(),
        every_seconds: 60,
        alpha: 0.05,
        tolerance: 1.5,
        max_failed: 0.05,
        max_slow: 0.1,
        min_sessions: 10,
        settle_seconds: 20,
        warm_up_seconds: 30,
        on_fail: OnFail::Drain,
        timeout_seconds: 3_600,
        has_check: false,
    }
}

fn first_answers(count: u64, milliseconds: u64) -> Histogram {
    let mut answers = Histogram::default();
    answers.add(Histogram::bucket(Duration::from_millis(milliseconds)), count);
    answers
}

impl Stage {
    /// Version 1 has everything and is known well enough.
    fn new(options: RunOptions) -> Self {
        let versions = [("1", planned(State::Live, "100")), ("2", planned(State::Staged, "0"))];
        let versions = versions.into_iter().map(|(version, planned)| (code(version), planned)).collect();
        let plan = Plan::new(7, code("1"), versions).expect("a plan");
        let run = Run::new(options, &plan, "ada", NOW).expect("a run");
        let record = PlanRecord { plan, changed_at: NOW, changed_by: "ada".into(), why: String::new() };
        let mut stage = Self {
            run,
            watch: Watch::default(),
            record,
            counted: BTreeMap::new(),
            written: BTreeMap::new(),
            silent: Vec::new(),
            check: None,
            now: NOW,
            runner_started: NOW,
            decisions: Vec::new(),
        };
        for instance in ["c1", "s1"] {
            stage.start(instance);
        }
        stage.count("s1", 7, |draws| draws.first_answers = first_answers(500, 20));
        stage
    }

    /// Until the canary is in its first step.
    fn in_first_step(options: RunOptions) -> Self {
        let mut stage = Self::new(options);
        stage.wait(44);
        assert!(matches!(stage.run.phase, Phase::Step { index: 0, .. }), "{:?}", stage.run.phase);
        stage.decisions.clear();
        stage
    }

    fn start(&mut self, instance: &str) {
        let pulse = Pulse {
            format: PULSE_FORMAT,
            instance: instance.to_owned(),
            started_at: self.now,
            clock_allowance_seconds: 60,
            has_receipts: true,
            ..Pulse::default()
        };
        self.counted.insert(instance.to_owned(), pulse);
    }

    fn pulse(&mut self, instance: &str) -> &mut Pulse {
        self.counted.get_mut(instance).expect("an instance")
    }

    fn count(&mut self, instance: &str, revision: u64, count: impl FnOnce(&mut Draws)) {
        count(self.pulse(instance).revisions.entry(revision).or_default());
    }

    /// Sessions under the plan in force: draws, all of them renewed, and some of them failed.
    fn sessions(&mut self, instance: &str, sessions: u64, failed: u64) {
        let revision = self.record.plan.revision();
        self.count(instance, revision, |draws| {
            draws.drawn += sessions;
            draws.renewed += sessions;
            draws.failed += failed;
            draws.first_answers.add_all(&first_answers(sessions, 20));
        });
    }

    fn write(&mut self, instance: &str) {
        let now = self.now;
        let pulse = self.pulse(instance);
        (pulse.sequence, pulse.written_at) = (pulse.sequence + 1, now);
        let pulse = pulse.clone();
        self.written.insert(instance.to_owned(), pulse);
    }

    /// The last pulse.
    fn end(&mut self, instance: &str) {
        self.pulse(instance).ended = true;
        self.write(instance);
        self.silent.push(instance.to_owned());
    }

    /// Time goes on: instances pulse, the runner looks.
    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds / PACE {
            self.now += PACE;
            let names: Vec<String> = self.counted.keys().cloned().collect();
            for (index, name) in (0u64..).zip(names) {
                // Each has moments of its own.
                let is_time = (self.now + index * 4) % INTERVAL < PACE;
                if is_time && !self.silent.contains(&name) {
                    self.write(&name);
                }
            }
            self.look();
        }
    }

    fn look(&mut self) {
        let of = |side: char| -> Vec<Pulse> {
            self.written.iter().filter(|(name, _)| name.starts_with(side)).map(|(_, pulse)| pulse.clone()).collect()
        };
        let (canary, stable, others) = (of('c'), of('s'), of('o'));
        let look = Look {
            record: &self.record,
            pulses: Pair { canary: &canary, stable: &stable },
            others: &others,
            check: self.check,
            now: Duration::from_secs(self.now - self.runner_started),
            unix_now: self.now,
        };
        let turn = self.run.look(&mut self.watch, &look);
        self.run.report = turn.report(&self.run).or(self.run.report.take());
        self.decisions.extend(turn.decisions.iter().map(|decision| decision.decision));
        if let Some((change, _)) = turn.change {
            let plan = change.apply(&self.record.plan, 0, self.now).expect("a plan");
            self.run.note_plan(&plan);
            self.record = PlanRecord { plan, ..self.record.clone() };
        }
    }

    /// Somebody else changes the plan.
    fn change(&mut self, change: &Change) {
        self.record.plan = change.apply(&self.record.plan, 0, self.now).expect("a plan");
    }

    /// The runner is killed, and another one goes on.
    fn restart(&mut self) {
        let text = serde_json::to_string(&self.run).expect("JSON");
        self.run = serde_json::from_str(&text).expect("a run");
        self.watch = Watch::resume(&self.run.finished);
        self.runner_started = self.now;
    }

    fn outcome(&self) -> Option<Outcome> {
        self.run.outcome()
    }

    fn why(&self) -> &str {
        match &self.run.phase {
            Phase::Ended { why, .. } => why,
            _ => "",
        }
    }

    /// Failures on the canary in the gate of sessions, and in all.
    fn failures(&self) -> (u64, u64) {
        let gate = &self.run.report.as_ref().expect("a report").gates[1];
        (gate.failed, gate.failed_on_both)
    }
}

#[test]
fn a_good_canary_takes_every_step_and_the_last_one_takes_a_pass() {
    let mut stage = Stage::in_first_step(options());
    stage.sessions("c1", 9, 0);
    stage.sessions("s1", 90, 0);
    stage.wait(90);
    assert_eq!(stage.decisions, [], "a session is missing");
    stage.sessions("c1", 1, 0);
    stage.wait(20);
    assert_eq!(stage.decisions, [Decided::Stepped]);
    stage.sessions("c1", 150, 0);
    stage.sessions("s1", 150, 0);
    stage.wait(90);
    assert_eq!(stage.decisions, [Decided::Stepped], "200 clean sessions are not enough");
    stage.sessions("c1", 60, 0);
    stage.sessions("s1", 60, 0);
    stage.wait(50);
    assert_eq!(stage.outcome(), Some(Outcome::Reached));
    assert_eq!(stage.record.plan.stable(), code("2"));
}

#[test]
fn a_canary_that_reports_no_more_is_dead_after_half_a_minute() {
    let mut stage = Stage::in_first_step(options());
    stage.silent.push("c1".to_owned());
    stage.wait(28);
    assert_eq!(stage.outcome(), None);
    stage.wait(16);
    assert_eq!((stage.outcome(), stage.why().starts_with("no instance of version 2")), (Some(Outcome::Failed), true));
    assert_eq!(stage.record.plan.versions()[&code("2")].state, State::Draining);
}

#[test]
fn a_table_that_is_away_kills_nobody_whoever_comes_back_first() {
    for first in ["c1", "s1"] {
        let mut stage = Stage::in_first_step(options());
        stage.silent = vec!["c1".to_owned(), "s1".to_owned()];
        stage.wait(300);
        assert!(matches!(stage.run.held, Some(Hold::Blackout { .. })), "{:?}", stage.run.held);
        stage.silent.retain(|instance| instance != first);
        stage.wait(20);
        assert_eq!(stage.run.held, Some(Hold::NotFresh), "what it knows of the other one is old");
        stage.silent.clear();
        stage.wait(60);
        assert_eq!((stage.outcome(), &stage.run.held), (None, &None), "{first}");
        assert_eq!(stage.decisions, [Decided::Held, Decided::Released]);
    }
}

#[test]
fn a_runner_that_cannot_look_for_a_while_kills_nobody() {
    let mut stage = Stage::in_first_step(options());
    let watched = stage.run.watched.as_secs();
    // The table is away for the runner alone.
    for _ in 0..30 {
        stage.now += 10;
        stage.write("c1");
        stage.write("s1");
    }
    stage.now += 6;
    stage.write("s1");
    stage.look();
    stage.wait(40);
    assert_eq!(stage.outcome(), None);
    assert!(stage.run.watched.as_secs() - watched <= 42, "nothing settles while nobody looks");
}

#[test]
fn while_stable_is_dead_nothing_is_judged() {
    let mut stage = Stage::in_first_step(options());
    stage.silent.push("s1".to_owned());
    stage.sessions("c1", 50, 40);
    stage.wait(120);
    assert_eq!((stage.outcome(), &stage.run.held), (None, &Some(Hold::StableDead { version: code("1") })));
}

#[test]
fn two_crashes_of_the_canary_fail_it_unless_stable_crashes_too() {
    for (crashes, is_failed) in
        [(&["c1"][..], false), (&["c1", "c2"], true), (&["c1", "c2", "s1"], false), (&["s1", "s2"], false)]
    {
        let mut stage = Stage::in_first_step(options());
        for instance in ["c2", "c3", "s2", "s3"] {
            stage.start(instance);
        }
        stage.wait(20);
        stage.silent.extend(crashes.iter().map(|instance| (*instance).to_owned()));
        stage.wait(90);
        assert_eq!(stage.outcome().is_some(), is_failed, "{crashes:?}: {}", stage.why());
        // One that says so has not crashed.
        let mut stage = Stage::in_first_step(options());
        stage.start("c2");
        stage.start("c3");
        stage.wait(20);
        stage.end("c1");
        stage.end("c2");
        stage.wait(90);
        assert_eq!(stage.outcome(), None, "{}", stage.why());
    }
}

#[test]
fn instances_that_died_before_the_run_neither_hold_nor_fail_it() {
    let mut stage = Stage::new(options());
    for instance in ["c8", "c9", "s9"] {
        stage.start(instance);
        stage.now -= 5_000;
        stage.write(instance);
        stage.now += 5_000;
        stage.silent.push(instance.to_owned());
    }
    stage.wait(300);
    assert_eq!((stage.outcome(), &stage.run.held), (None, &None));
}

#[test]
fn a_request_at_the_wrong_version_holds_until_somebody_resumes() {
    let mut stage = Stage::in_first_step(options());
    stage.pulse("c1").misdirected = 3;
    stage.sessions("c1", 50, 40);
    stage.sessions("s1", 450, 0);
    stage.wait(60);
    assert_eq!((stage.outcome(), &stage.run.held), (None, &Some(Hold::Misdirected { count: 3 })));
    stage.run.resume("ada").expect("resumed");
    stage.wait(20);
    assert_eq!(stage.outcome(), Some(Outcome::Failed));
    // Sessions that reach a third version do not arrive either.
    let mut stage = Stage::in_first_step(options());
    stage.start("o1");
    stage.pulse("o1").misdirected = 1;
    stage.sessions("s1", 900, 0);
    stage.wait(60);
    assert_eq!((stage.outcome(), &stage.run.held), (None, &Some(Hold::Misdirected { count: 1 })));
}

#[test]
fn an_instance_without_receipts_holds() {
    let mut stage = Stage::in_first_step(options());
    stage.start("c2");
    stage.pulse("c2").has_receipts = false;
    stage.wait(40);
    assert_eq!(stage.run.held, Some(Hold::NoReceipts { instance: "c2".to_owned() }));
    stage.end("c2");
    stage.wait(20);
    assert_eq!(stage.run.held, None);
}

#[test]
fn draws_must_arrive_as_the_weights_say() {
    for (canary, stable, expected) in [(100, 900, None), (0, 900, Some("only 0 of 900 new sessions arrived"))] {
        let mut stage = Stage::in_first_step(options());
        stage.sessions("c1", canary, 0);
        stage.sessions("s1", stable, 0);
        stage.wait(40);
        assert_eq!(stage.outcome().is_some(), expected.is_some());
        assert!(stage.why().starts_with(expected.unwrap_or("")), "{}", stage.why());
    }
    let mut stage = Stage::in_first_step(options());
    stage.sessions("c1", 500, 400);
    stage.sessions("s1", 500, 0);
    stage.wait(40);
    let held = Some(Hold::TooMany { version: code("2"), drawn: 500, of: 1000 });
    assert_eq!((stage.outcome(), &stage.run.held), (None, &held), "a broken split judges nothing");
}

#[test]
fn an_outage_of_both_versions_that_reaches_the_canary_first_fails_nobody() {
    let mut stage = Stage::in_first_step(RunOptions { every_seconds: 3_000, ..options() });
    stage.sessions("c1", 100, 0);
    stage.sessions("s1", 900, 0);
    stage.wait(20);
    // Only the canary has reported its part of it.
    stage.sessions("c1", 0, 10);
    stage.write("c1");
    stage.look();
    stage.look();
    assert_eq!((stage.outcome(), stage.failures()), (None, (10, 10)));
    stage.sessions("s1", 0, 90);
    stage.wait(60);
    assert_eq!((stage.outcome(), stage.failures()), (None, (10, 100)));
    // The same without stable's part.
    stage.sessions("c1", 0, 30);
    stage.wait(40);
    assert_eq!(stage.outcome(), Some(Outcome::Failed));
}

#[test]
fn a_pass_takes_what_stable_reported_before() {
    let mut stage = Stage::in_first_step(options());
    stage.sessions("c1", 1_000, 60);
    stage.sessions("s1", 9_000, 540);
    stage.wait(60);
    let gate = |stage: &Stage| stage.run.report.clone().expect("a report").gates[1].clone();
    let before = gate(&stage);
    // Stable alone reports an outage of both.
    stage.sessions("s1", 0, 5_000);
    stage.write("s1");
    stage.look();
    assert_eq!(gate(&stage).failed_on_both, before.failed_on_both);
}

#[test]
fn in_the_warm_up_failures_count_and_times_do_not() {
    let mut stage = Stage::new(options());
    stage.wait(14);
    assert!(matches!(stage.run.phase, Phase::WarmUp { .. }), "{:?}", stage.run.phase);
    let warm_up = stage.record.plan.revision();
    stage.count("c1", warm_up, |draws| {
        draws.drawn = 2;
        draws.first_failed = 1;
        draws.first_answers = first_answers(2, 5_000);
    });
    stage.wait(60);
    assert_ne!(stage.record.plan.revision(), warm_up, "the same plan under a new revision");
    let gates = stage.run.report.expect("a report").gates;
    assert_eq!((gates[0].failed, gates[2].failed, gates[2].seen), (1, 0, 0));
}

#[test]
fn a_warm_up_that_somebody_interrupts_begins_anew() {
    let mut stage = Stage::new(options());
    stage.wait(14);
    stage.change(&Change::SetWeights(vec![(code("2"), percent("0"))]));
    stage.wait(60);
    stage.run.resume("ada").expect("resumed");
    stage.wait(20);
    assert!(matches!(stage.run.phase, Phase::WarmUp { .. }), "{:?}", stage.run.phase);
    assert_eq!(stage.record.plan.versions()[&code("2")].weight, percent("10"));
    stage.wait(20);
    assert_eq!(stage.decisions.last(), Some(&Decided::WarmedUp));
}

#[test]
fn a_change_before_the_first_step_pauses_and_its_sessions_do_not_count() {
    let mut stage = Stage::new(options());
    stage.wait(2);
    stage.change(&Change::SetWeights(vec![(code("2"), percent("5"))]));
    stage.wait(40);
    assert_eq!(stage.decisions, [Decided::Paused]);
    stage.sessions("c1", 50, 50);
    stage.run.resume("ada").expect("resumed");
    stage.wait(60);
    assert_eq!((stage.outcome(), stage.failures()), (None, (0, 0)));
}

#[test]
fn a_wrong_origin_is_seen_by_every_runner() {
    let mut stage = Stage::in_first_step(options());
    stage.pulse("c1").misdirected = 500;
    stage.end("c1");
    stage.start("c2");
    stage.wait(20);
    stage.run.resume("ada").expect("resumed");
    stage.restart();
    stage.wait(20);
    assert_eq!(stage.run.held, None);
    stage.pulse("c2").misdirected = 1;
    stage.wait(20);
    assert_eq!(stage.run.held, Some(Hold::Misdirected { count: 1 }));
}

#[test]
fn a_runner_that_is_killed_has_the_same_evidence_afterwards() {
    let mut stage = Stage::in_first_step(options());
    stage.start("c2");
    stage.sessions("c1", 60, 1);
    stage.sessions("c2", 40, 1);
    stage.sessions("s1", 900, 9);
    stage.wait(30);
    stage.end("c2");
    stage.wait(4);
    let before = (stage.failures(), stage.run.report.clone().expect("a report").drawn);
    // While nobody looks, TTL deletes the pulse of the instance that has ended.
    stage.written.remove("c2");
    stage.counted.remove("c2");
    stage.restart();
    stage.look();
    assert_eq!(stage.run.held, Some(Hold::NotFresh), "its first look knows the age of no pulse");
    stage.wait(20);
    assert_eq!(stage.run.held, None);
    assert_eq!((stage.failures(), stage.run.report.clone().expect("a report").drawn), before);
}

#[test]
fn what_crashed_before_a_runner_was_killed_has_crashed_and_counts_on_when_it_comes_back() {
    let mut stage = Stage::in_first_step(options());
    for instance in ["c2", "c3", "s2"] {
        stage.start(instance);
    }
    stage.sessions("c1", 60, 2);
    stage.sessions("s1", 540, 18);
    stage.wait(30);
    stage.silent.push("c1".to_owned());
    stage.wait(50);
    stage.restart();
    stage.wait(4);
    let crashed = |stage: &Stage| stage.run.finished.canary.crashed.keys().cloned().collect::<Vec<_>>();
    assert_eq!((crashed(&stage), stage.failures().0), (vec!["c1".to_owned()], 2));
    stage.silent.clear();
    stage.sessions("c1", 10, 1);
    stage.wait(20);
    assert_eq!((crashed(&stage), stage.failures().0), (vec![], 3));
}

#[test]
fn numbers_of_a_hostile_table_end_nothing() {
    let mut stage = Stage::in_first_step(options());
    for revision in [1, 2, stage.record.plan.revision(), u64::MAX] {
        for instance in ["c1", "s1"] {
            stage.count(instance, revision, |draws| {
                (draws.drawn, draws.first_failed, draws.renewed) = (u64::MAX, u64::MAX, u64::MAX);
                (draws.failed, draws.first_answers) = (u64::MAX, first_answers(u64::MAX, 9_000));
            });
            stage.pulse(instance).misdirected = u64::MAX;
        }
    }
    stage.wait(100);
    stage.restart();
    stage.run.phase = Phase::Step { index: usize::MAX, since: u64::MAX };
    stage.wait(100);
}

#[test]
fn the_evidence_of_many_failures_is_a_number_that_the_table_takes() {
    let mut stage = Stage::in_first_step(RunOptions { every_seconds: 3_000, ..options() });
    stage.sessions("c1", 20_000, 10_000);
    stage.sessions("s1", 180_000, 90_000);
    stage.wait(40);
    for gate in &stage.run.report.as_ref().expect("a report").gates {
        assert!((1e-130..1e126).contains(&gate.evidence), "{gate:?}");
    }
}

#[test]
fn when_another_version_becomes_stable_there_is_nothing_to_compare_with() {
    let mut stage = Stage::new(options());
    stage.change(&Change::Add { version: code("3"), origin: crate::origin(8083) });
    stage.run.revision = stage.record.plan.revision();
    stage.wait(44);
    stage.change(&Change::Promote(code("3")));
    stage.wait(2);
    assert_eq!(stage.outcome(), Some(Outcome::Aborted));
    assert_eq!(stage.run.retry(&stage.record.plan, "ada", stage.now), Err(RunRefusal::OtherStable(code("3"))));
}

#[test]
fn a_check_that_fails_while_stable_is_dead_sends_nobody_there() {
    let mut stage = Stage::in_first_step(options());
    stage.silent.push("s1".to_owned());
    stage.wait(60);
    stage.check = Some(Check::Fail);
    stage.wait(60);
    assert_eq!((stage.outcome(), &stage.run.held), (None, &Some(Hold::StableDead { version: code("1") })));
}

#[test]
fn a_runner_whose_clock_is_ahead_settles_nothing_early() {
    let mut stage = Stage::in_first_step(RunOptions { settle_seconds: 600, every_seconds: 3_000, ..options() });
    stage.sessions("c1", 500, 0);
    stage.sessions("s1", 4_500, 0);
    stage.wait(30);
    stage.restart();
    stage.now += 1_200;
    stage.runner_started += 1_200;
    stage.wait(30);
    let seen: Vec<u64> = stage.run.report.expect("a report").gates.iter().map(|gate| gate.seen).collect();
    assert_eq!(seen, [0, 0, 0]);
}

#[test]
fn a_revision_that_was_forgotten_unseen_is_left_out_of_both_versions() {
    let mut stage = Stage::in_first_step(options());
    stage.sessions("c1", 100, 2);
    stage.sessions("s1", 900, 20);
    stage.wait(30);
    assert_eq!(stage.failures(), (2, 22));
    let first = stage.record.plan.revision();
    let forget = |stage: &mut Stage| {
        let pulse = stage.pulse("c1");
        pulse.revisions = (first + 1..=first + 16).map(|revision| (revision, Draws::default())).collect();
    };
    // Seen all the time, it keeps what it had.
    let mut watched = Stage { watch: std::mem::take(&mut stage.watch), ..Stage::in_first_step(options()) };
    (watched.run, watched.record) = (stage.run.clone(), stage.record.clone());
    (watched.counted, watched.written) = (stage.counted.clone(), stage.written.clone());
    (watched.now, watched.runner_started) = (stage.now, stage.runner_started);
    forget(&mut watched);
    watched.wait(30);
    assert_eq!(watched.failures(), (2, 22));
    // Forgotten while no runner looked, it is left out.
    forget(&mut stage);
    stage.write("c1");
    stage.restart();
    stage.wait(30);
    assert_eq!(stage.failures(), (0, 0));
}

#[test]
fn a_change_by_hand_pauses_and_resume_puts_the_step_back() {
    let mut stage = Stage::in_first_step(options());
    stage.change(&Change::SetWeights(vec![(code("2"), percent("30"))]));
    stage.wait(100);
    assert_eq!(stage.decisions, [Decided::Paused]);
    assert_eq!(stage.record.plan.versions()[&code("2")].weight, percent("30"));
    // Sessions under that plan count.
    stage.sessions("c1", 30, 3);
    stage.sessions("s1", 70, 0);
    stage.wait(20);
    assert_eq!(stage.failures(), (3, 3));
    stage.run.resume("ada").expect("resumed");
    stage.wait(2);
    assert_eq!(stage.decisions, [Decided::Paused, Decided::Resumed, Decided::Restored]);
    assert_eq!(stage.record.plan.versions()[&code("2")].weight, percent("10"));
    // The step takes its time and its sessions anew.
    stage.wait(50);
    assert_eq!(stage.decisions.len(), 3);
    stage.sessions("c1", 10, 0);
    stage.sessions("s1", 90, 0);
    stage.wait(30);
    assert_eq!(stage.decisions.last(), Some(&Decided::Stepped));
}

#[test]
fn a_canary_that_somebody_takes_back_or_promotes_ends_the_run() {
    let abort = |leaving| Change::Abort { version: code("2"), leaving };
    for (change, outcome) in [
        (abort(Leaving::Drain), Outcome::Aborted),
        (abort(Leaving::Evict), Outcome::Aborted),
        (Change::Remove(code("2")), Outcome::Aborted),
        (Change::Promote(code("2")), Outcome::Reached),
    ] {
        let mut stage = Stage::in_first_step(options());
        stage.change(&change);
        stage.wait(2);
        assert_eq!(stage.outcome(), Some(outcome), "{change:?}");
        assert!(stage.run.lease.is_over);
    }
}

#[test]
fn paused_it_takes_no_step_and_still_takes_back_what_fails() {
    let mut stage = Stage::in_first_step(options());
    stage.sessions("c1", 100, 0);
    stage.sessions("s1", 900, 0);
    stage.run.pause("by ada".to_owned()).expect("paused");
    stage.wait(200);
    assert_eq!((stage.decisions.as_slice(), stage.outcome()), (&[Decided::Paused][..], None));
    stage.sessions("c1", 0, 20);
    stage.wait(20);
    assert_eq!(stage.outcome(), Some(Outcome::Failed));
    assert_eq!(stage.run.resume("ada"), Err(RunRefusal::Over(code("2"))));
}

#[test]
fn with_on_fail_pause_nothing_changes_until_somebody_decides() {
    let mut stage = Stage::in_first_step(RunOptions { on_fail: OnFail::Pause, ..options() });
    stage.sessions("c1", 100, 50);
    stage.sessions("s1", 900, 0);
    stage.wait(100);
    assert_eq!((stage.decisions.as_slice(), stage.outcome()), (&[Decided::Paused][..], None));
    assert_eq!(stage.run.resume("ada"), Err(RunRefusal::HasFailed(code("2"))));
    let attempt = stage.run.attempt;
    stage.run.retry(&stage.record.plan, "ada", stage.now).expect("again");
    assert_eq!(stage.run.attempt, attempt + 1);
    stage.restart();
    stage.wait(60);
    assert!(matches!(stage.run.phase, Phase::Step { index: 0, .. }), "{:?}", stage.run.phase);
    assert_eq!(stage.failures(), (0, 0), "the evidence is forgotten");
    assert_eq!(stage.run.retry(&stage.record.plan, "ada", stage.now), Err(RunRefusal::NotFailed(code("2"))));
}

#[test]
fn the_operator_s_check_fails_the_canary_and_keeps_it_from_a_step() {
    let mut stage = Stage::in_first_step(options());
    stage.check = Some(Check::Inconclusive);
    stage.sessions("c1", 100, 0);
    stage.sessions("s1", 900, 0);
    stage.wait(200);
    assert_eq!(stage.decisions, []);
    stage.check = Some(Check::Pass);
    stage.wait(2);
    assert_eq!(stage.decisions, [Decided::Stepped]);
    stage.check = Some(Check::Fail);
    stage.wait(2);
    assert_eq!((stage.outcome(), stage.why().starts_with("the check has failed")), (Some(Outcome::Failed), true));
}

#[test]
fn without_a_verdict_in_time_the_plan_stays_and_the_run_can_go_on() {
    let mut stage = Stage::in_first_step(RunOptions { timeout_seconds: 300, ..options() });
    let plan = stage.record.plan.clone();
    stage.wait(260);
    assert_eq!(stage.decisions.first(), Some(&Decided::TimedOut));
    assert_eq!((stage.outcome(), &stage.record.plan), (None, &plan));
}

#[test]
fn two_failures_are_never_enough_however_rare_the_canary_is() {
    let mut stage = Stage::in_first_step(RunOptions { steps: ["0.01", "100"].map(percent).to_vec(), ..options() });
    stage.sessions("c1", 2, 2);
    stage.wait(60);
    assert_eq!(stage.outcome(), None);
    let gate = &stage.run.report.as_ref().expect("a report").gates[1];
    assert!(gate.evidence > gate.threshold && gate.verdict == Verdict::Inconclusive, "{gate:?}");
}

#[test]
fn a_run_begins_only_with_another_version_of_the_plan_and_steps_that_rise() {
    let plan = Stage::new(options()).record.plan;
    let begin = |options| Run::new(options, &plan, "ada", NOW).map(|_| ()).expect_err("refused");
    assert_eq!(begin(RunOptions { to: code("1"), ..options() }), RunRefusal::IsStable(code("1")));
    assert_eq!(begin(RunOptions { to: code("9"), ..options() }), RunRefusal::Unknown(code("9")));
    for steps in [&[][..], &["0", "10"], &["10", "5"], &["10", "10"], &["100"]] {
        let steps = steps.iter().map(|step| percent(step)).collect();
        assert_eq!(begin(RunOptions { steps, ..options() }), RunRefusal::Steps);
    }
}
