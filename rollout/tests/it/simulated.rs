//! Whole rollouts in virtual time: viewers, instances with pulses at times of their own, a runner that looks every two
//! seconds and is killed now and then.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use stickshift_contract::{Draws, Histogram, PULSE_FORMAT, Plan, PlanRecord, Pulse, State};
use stickshift_rollout::{Decided, Failures, Look, OnFail, Outcome, Pair, Run, RunOptions, Watch};

use crate::{NOW, code, percent, planned};

/// What becomes of viewers at a version.
#[derive(Debug, Clone, Copy)]
struct Risks {
    first_fails: f64,
    session_fails: f64,
    is_slow: f64,
}

/// What happens in a simulated rollout.
#[derive(Debug, Clone, Copy)]
struct World {
    stable: Risks,
    canary: Risks,
    /// New viewers a second.
    arrivals: f64,
    /// Five seconds in which every request of both versions fails: how many times.
    outages: u32,
    /// Runners that are killed and replaced within a minute.
    kills: u32,
    /// Instances that end and are replaced.
    restarts: u32,
}

const QUIET: Risks = Risks { first_fails: 0.01, session_fails: 0.02, is_slow: 0.02 };

impl Risks {
    fn times(self, factor: f64) -> Self {
        Self {
            first_fails: self.first_fails * factor,
            session_fails: self.session_fails * factor,
            is_slow: self.is_slow * factor,
        }
    }
}

impl World {
    fn of(canary: Risks) -> Self {
        Self { stable: QUIET, canary, arrivals: 6.0, outages: 3, kills: 2, restarts: 3 }
    }
}

fn options() -> RunOptions {
    RunOptions {
        to: code("2"),
        steps: ["1", "5", "25", "50", "100"].map(percent).to_vec(),
        every_seconds: 300,
        alpha: 0.05,
        tolerance: 1.5,
        max_failed: 0.05,
        max_slow: 0.1,
        min_sessions: 20,
        settle_seconds: 300,
        warm_up_seconds: 30,
        on_fail: OnFail::Drain,
        timeout_seconds: 5_400,
        has_check: false,
    }
}

/// How a simulated rollout ended.
#[derive(Debug)]
struct End {
    outcome: Option<Outcome>,
    why: String,
    /// Sessions that the canary got.
    canary_sessions: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A viewer without a session comes, for the so many-th time.
    Draw(u8),
    /// A session is visited again: its version, its instance, its revision, whether it was renewed before.
    Visit {
        side: usize,
        revision: u64,
        is_renewed: bool,
        has_failed: bool,
    },
    Pulse {
        side: usize,
        instance: usize,
    },
    Restart,
    Look,
    Kill,
}

/// The instances of both versions.
#[derive(Debug, Default)]
struct Instances {
    /// What they have counted, and the pulse that they wrote last.
    by_side: [Vec<(Pulse, Pulse)>; 2],
}

impl Instances {
    fn start(&mut self, side: usize, now: u64) -> usize {
        let instance = format!("{side}-{}", self.by_side[side].len());
        let pulse = Pulse {
            format: PULSE_FORMAT,
            instance,
            interval_seconds: 10,
            started_at: now,
            written_at: now,
            clock_allowance_seconds: 60,
            has_receipts: true,
            ..Pulse::default()
        };
        self.by_side[side].push((pulse.clone(), pulse));
        self.by_side[side].len() - 1
    }

    fn write(&mut self, side: usize, instance: usize, now: u64) {
        let (counted, written) = &mut self.by_side[side][instance];
        counted.sequence += 1;
        counted.written_at = now;
        *written = counted.clone();
    }

    /// One of the instances that have not ended counts something.
    fn count(&mut self, side: usize, revision: u64, rng: &mut StdRng, count: impl FnOnce(&mut Draws)) {
        let mut running: Vec<_> = self.by_side[side].iter_mut().filter(|(counted, _)| !counted.ended).collect();
        let index = rng.random_range(0..running.len());
        count(running[index].0.revisions.entry(revision).or_default());
    }

    fn last(&self, side: usize) -> Vec<Pulse> {
        self.by_side[side].iter().map(|(_, written)| written.clone()).filter(|pulse| pulse.sequence > 0).collect()
    }
}

/// Milliseconds of virtual time.
const SECOND: u64 = 1_000;

/// The session of a viewer is visited so often at most, and so many seconds lie between two visits on average.
const VISITS: f64 = 90.0;

fn simulate(world: World, options: &RunOptions, seed: u64) -> End {
    let mut rng = StdRng::seed_from_u64(seed);
    let rng = &mut rng;
    let versions = [("1", planned(State::Live, "100")), ("2", planned(State::Staged, "0"))];
    let versions = versions.into_iter().map(|(version, planned)| (code(version), planned)).collect();
    let plan = Plan::new(7, code("1"), versions).expect("a plan");
    let mut plans = vec![(0, plan.clone())];
    let mut run = Run::new(options.clone(), &plan, "sim", NOW).expect("a run");
    let mut watch = Watch::resume(&run.finished);
    let mut runner_started = 0;

    let mut instances = Instances::default();
    let mut events: BinaryHeap<Reverse<(u64, u64, Event)>> = BinaryHeap::new();
    let mut order = 0;
    let end = (options.timeout_seconds + 120) * SECOND;
    let mut put = |events: &mut BinaryHeap<_>, at: u64, event| {
        order += 1;
        events.push(Reverse((at, order, event)));
    };
    for side in [0, 1] {
        for _ in 0..2 {
            let instance = instances.start(side, NOW);
            put(&mut events, rng.random_range(0..10 * SECOND), Event::Pulse { side, instance });
        }
    }
    let outages: Vec<u64> = (0..world.outages).map(|_| rng.random_range(600 * SECOND..end)).collect();
    let is_out = |at: u64| outages.iter().any(|begin| (*begin..*begin + 5 * SECOND).contains(&at));
    for _ in 0..world.kills {
        put(&mut events, rng.random_range(0..end), Event::Kill);
    }
    for _ in 0..world.restarts {
        put(&mut events, rng.random_range(0..end), Event::Restart);
    }
    put(&mut events, 0, Event::Draw(0));
    put(&mut events, 0, Event::Look);
    let risks = [world.stable, world.canary];
    let mut drawn = [0, 0];

    while let Some(Reverse((at, _, event))) = events.pop() {
        if at > end {
            break;
        }
        let unix_now = NOW + at / SECOND;
        match event {
            Event::Draw(attempt) => {
                if attempt == 0 {
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds")]
                    let pause = (-(1.0 - rng.random::<f64>()).ln() / world.arrivals * 1000.0) as u64;
                    put(&mut events, at + pause.max(1), Event::Draw(0));
                }
                // An edge uses a plan that is up to ten seconds old.
                let known = at.saturating_sub(rng.random_range(0..10 * SECOND));
                let plan = &plans.iter().rev().find(|(since, _)| *since <= known).unwrap_or(&plans[0]).1;
                let weight = plan.versions()[&code("2")].weight.basis_points();
                let side = usize::from(rng.random_range(0..10_000) < weight);
                drawn[side] += 1;
                let revision = plan.revision();
                let has_failed = is_out(at) || rng.random::<f64>() < risks[side].first_fails;
                let is_slow = rng.random::<f64>() < risks[side].is_slow;
                let took = Duration::from_millis(if is_slow { 2_000 } else { rng.random_range(2..30) });
                instances.count(side, revision, rng, |draws| {
                    draws.drawn += 1;
                    draws.first_failed += u64::from(has_failed);
                    draws.first_answers.add(Histogram::bucket(took), 1);
                });
                if has_failed {
                    if attempt < 5 {
                        put(&mut events, at + 2 * SECOND, Event::Draw(attempt + 1));
                    }
                } else {
                    let visit = Event::Visit { side, revision, is_renewed: false, has_failed: false };
                    put(&mut events, at + rng.random_range(SECOND..180 * SECOND), visit);
                }
            }
            Event::Visit { side, revision, is_renewed, has_failed } => {
                // Five visits on average, and a session fails at one of them.
                let fails = is_out(at) || rng.random::<f64>() < risks[side].session_fails / 5.0;
                instances.count(side, revision, rng, |draws| {
                    draws.renewed += u64::from(!is_renewed);
                    draws.failed += u64::from(fails && !has_failed);
                });
                if rng.random::<f64>() < 0.8 {
                    let has_failed = has_failed || fails;
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds")]
                    let pause = (rng.random::<f64>() * 2.0 * VISITS * 1000.0) as u64;
                    let visit = Event::Visit { side, revision, is_renewed: true, has_failed };
                    put(&mut events, at + pause, visit);
                }
            }
            Event::Pulse { side, instance } => {
                if !instances.by_side[side][instance].0.ended {
                    instances.write(side, instance, unix_now);
                    // Timers and networks are not exact.
                    put(&mut events, at + rng.random_range(9 * SECOND..11 * SECOND), event);
                }
            }
            Event::Restart => {
                let side = rng.random_range(0..2);
                let new = instances.start(side, unix_now);
                put(&mut events, at, Event::Pulse { side, instance: new });
                let old = instances.by_side[side].iter().position(|(counted, _)| !counted.ended).expect("one runs");
                instances.by_side[side][old].0.ended = true;
                instances.write(side, old, unix_now);
            }
            Event::Kill => {
                let text = serde_json::to_string(&run).expect("JSON");
                run = serde_json::from_str(&text).expect("a run");
                watch = Watch::resume(&run.finished);
                // The next runner starts within a minute.
                events.retain(|Reverse((_, _, event))| *event != Event::Look);
                runner_started = at + rng.random_range(0..60 * SECOND);
                put(&mut events, runner_started, Event::Look);
            }
            Event::Look => {
                put(&mut events, at + 2 * SECOND, Event::Look);
                let (stable, canary) = (instances.last(0), instances.last(1));
                let record = PlanRecord {
                    plan: plans.last().expect("one").1.clone(),
                    changed_at: unix_now,
                    changed_by: "sim".into(),
                    why: String::new(),
                };
                let look = Look {
                    record: &record,
                    pulses: Pair { canary: &canary, stable: &stable },
                    others: &[],
                    check: None,
                    now: Duration::from_millis(at - runner_started),
                    unix_now,
                };
                let turn = run.look(&mut watch, &look);
                if let Some((change, _)) = turn.change {
                    let plan = change.apply(&record.plan, 0, unix_now).expect("a plan");
                    run.note_plan(&plan);
                    plans.push((at, plan));
                }
                if run.outcome().is_some()
                    || turn.decisions.iter().any(|decision| decision.decision == Decided::TimedOut)
                {
                    break;
                }
            }
        }
    }
    let why = match &run.phase {
        stickshift_rollout::Phase::Ended { why, .. } => why.clone(),
        phase => format!("{phase:?}"),
    };
    End { outcome: run.outcome(), why, canary_sessions: drawn[1] }
}

/// The outcomes of many seeds, with how often each came.
fn outcomes(world: World, options: &RunOptions, seeds: u64) -> (BTreeMap<String, u64>, Vec<End>) {
    let ends: Vec<End> = std::thread::scope(|scope| {
        let halves = [0, 1].map(|half| {
            scope.spawn(move || {
                (0..seeds)
                    .filter(|seed| seed % 2 == half)
                    .map(|seed| simulate(world, options, seed))
                    .collect::<Vec<_>>()
            })
        });
        halves.into_iter().flat_map(|half| half.join().expect("no panic")).collect()
    });
    let mut outcomes = BTreeMap::new();
    for end in &ends {
        *outcomes.entry(format!("{:?}", end.outcome)).or_default() += 1;
    }
    (outcomes, ends)
}

fn count(outcomes: &BTreeMap<String, u64>, outcome: Option<Outcome>) -> u64 {
    outcomes.get(&format!("{outcome:?}")).copied().unwrap_or(0)
}

/// The canary is exactly as bad as it may be, and everything that can go wrong goes wrong.
#[test]
fn a_canary_that_is_as_bad_as_tolerated_fails_no_more_often_than_alpha_says() {
    const SEEDS: u64 = 400;
    let (outcomes, ends) = outcomes(World::of(QUIET.times(1.5)), &options(), SEEDS);
    let failed = count(&outcomes, Some(Outcome::Failed));
    let whys: Vec<_> = ends.iter().map(|end| &end.why).collect();
    assert!(failed * 20 <= SEEDS, "{outcomes:?}: {whys:#?}");
}

#[test]
fn a_canary_that_is_like_stable_arrives() {
    const SEEDS: u64 = 60;
    let (outcomes, ends) = outcomes(World::of(QUIET), &options(), SEEDS);
    let whys: Vec<_> = ends.iter().map(|end| &end.why).collect();
    assert!(count(&outcomes, Some(Outcome::Reached)) * 10 >= SEEDS * 9, "{outcomes:?}: {whys:#?}");
}

#[test]
fn a_canary_that_is_much_worse_fails_soon() {
    const SEEDS: u64 = 60;
    for (canary, most) in [
        (Risks { session_fails: 0.2, ..QUIET }, 400),
        (Risks { first_fails: 0.2, ..QUIET }, 200),
        (Risks { is_slow: 0.5, ..QUIET }, 200),
    ] {
        let (outcomes, ends) = outcomes(World::of(canary), &options(), SEEDS);
        let mut sessions: Vec<u64> = ends.iter().map(|end| end.canary_sessions).collect();
        sessions.sort_unstable();
        assert_eq!(count(&outcomes, Some(Outcome::Failed)), SEEDS, "{canary:?}: {outcomes:?}");
        assert!(sessions[sessions.len() / 2] < most, "{canary:?}: {sessions:?}");
    }
}

/// `docs/analysis.md` has these medians.
#[test]
fn it_takes_so_many_sessions_of_the_canary_to_see_that_it_is_worse() {
    let sessions_until_fail = |canary: f64, seed: u64| {
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut on_canary, mut on_stable, mut sessions) = (0, 0, 0);
        loop {
            let is_canary = rng.random::<f64>() < 0.1;
            sessions += u64::from(is_canary);
            if rng.random::<f64>() >= if is_canary { canary } else { 0.01 } {
                continue;
            }
            *(if is_canary { &mut on_canary } else { &mut on_stable }) += 1;
            let mut failures = Failures::default();
            failures.add(0.1, on_canary, on_stable);
            if on_canary >= 3 && failures.evidence(1.0) >= 20.0 {
                return sessions;
            }
        }
    };
    for (canary, median) in [(0.05, 80), (0.03, 318)] {
        let mut sessions: Vec<u64> = (0..1001).map(|seed| sessions_until_fail(canary, seed)).collect();
        sessions.sort_unstable();
        let ours = sessions[500];
        assert!(ours.abs_diff(median) * 5 <= median, "{ours} and not about {median}");
    }
}
