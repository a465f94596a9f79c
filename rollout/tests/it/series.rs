//! What instances counted, minute by minute.

use std::collections::BTreeMap;

use proptest::prelude::*;
use stickshift_contract::{Draws, Pulse};
use stickshift_rollout::{Failures, Judged, Run, Series, Stretch, first_minute};

use crate::guards::options;
use crate::{NOW, code, percent, plan};

/// The begin of a minute.
const BEGIN: u64 = NOW - NOW % 60;

fn pulse(instance: &str, started_at: u64, written_at: u64, drawn: u64) -> Pulse {
    let draws = Draws { drawn, first_failed: drawn / 10, ..Draws::default() };
    Pulse {
        instance: instance.to_owned(),
        started_at,
        written_at,
        revisions: BTreeMap::from([(7, draws)]),
        ..Pulse::default()
    }
}

fn noted<'a>(pulses: impl IntoIterator<Item = &'a Pulse>) -> Series {
    let mut series = Series::default();
    pulses.into_iter().for_each(|pulse| series.note(code("1"), pulse));
    series
}

/// What was drawn in each minute, counted from [`BEGIN`], and by how many instances.
fn drawn(series: &Series) -> Vec<(u64, u64, u64)> {
    let of = |(begin, stretch): (u64, Stretch)| {
        ((begin - BEGIN) / 60, stretch.activity.sum_of(|draws| draws.drawn), stretch.instances)
    };
    series.stretches(code("1"), 60).into_iter().map(of).collect()
}

#[test]
fn the_pulse_at_the_begin_of_a_minute_counts_for_the_minute_before() {
    // It started in the first minute, so it has counted since then.
    let at = |minute: u64, drawn| pulse("one", BEGIN + 20, BEGIN + 60 * minute + 5, drawn);
    let pulses = [at(1, 10), at(2, 40), at(3, 45)];
    assert_eq!(drawn(&noted(&pulses)), [(0, 10, 1), (1, 30, 1), (2, 5, 1)]);
    let twice = pulses.iter().chain(&pulses[..2]);
    assert_eq!(drawn(&noted(twice)), drawn(&noted(&pulses)), "what is known changes nothing");
    // The last pulses come every ten seconds.
    let last = (0..6).map(|ten| pulse("one", BEGIN + 20, BEGIN + 185 + 10 * ten, 45 + ten)).collect::<Vec<_>>();
    assert_eq!(drawn(&noted(pulses.iter().chain(&last)))[3], (3, 5, 1));
}

#[test]
fn what_an_instance_did_before_anybody_knew_it_is_in_no_minute() {
    let old = |minute: u64, drawn| pulse("old", BEGIN - 9_000, BEGIN + 60 * minute + 30, drawn);
    assert_eq!(drawn(&noted(&[old(0, 1_000), old(1, 1_004)])), [(0, 0, 1), (1, 4, 1)]);
}

#[test]
fn instances_are_counted_once_in_a_minute_and_the_most_of_any_minute_in_a_longer_stretch() {
    let pulses: Vec<Pulse> = ["one", "two", "three"]
        .iter()
        .zip(1u64..)
        .flat_map(|(name, minutes)| {
            (0..=minutes).map(move |minute| pulse(name, BEGIN, BEGIN + 60 * minute + 3, 10 * minute))
        })
        .collect();
    let series = noted(&pulses);
    assert_eq!(drawn(&series), [(0, 30, 3), (1, 20, 2), (2, 10, 1)]);
    let whole = series.stretches(code("1"), 3_600);
    let sums: Vec<_> =
        whole.values().map(|stretch| (stretch.activity.sum_of(|draws| draws.drawn), stretch.instances)).collect();
    assert!(sums.iter().map(|(drawn, _)| drawn).sum::<u64>() == 60 && sums.iter().any(|(_, most)| *most == 3));
}

#[test]
fn a_name_that_starts_again_counts_from_nothing() {
    let pulses = [pulse("one", BEGIN, BEGIN + 50, 500), pulse("one", BEGIN + 70, BEGIN + 110, 8)];
    assert_eq!(drawn(&noted(&pulses)), [(0, 500, 1), (1, 8, 1)]);
}

#[test]
fn a_day_is_kept_and_nothing_older() {
    let at = |minute: u64| pulse("one", BEGIN, BEGIN + 60 * minute + 3, minute);
    let mut series = noted(&(0..10).map(at).collect::<Vec<_>>());
    series.forget_before(BEGIN + 300);
    assert_eq!(drawn(&series).first(), Some(&(5, 1, 1)));
    series.forget_before(BEGIN + 100_000);
    assert_eq!((drawn(&series), series.versions().count()), (Vec::new(), 0));
    assert_eq!(first_minute(BEGIN + 30), BEGIN - 86_400);
}

fn run() -> Run {
    let mut run = Run::new(options(), &plan(), "ada", BEGIN).expect("a run");
    let judged = |canary, stable| Judged {
        canary: percent(canary),
        stable: percent(stable),
        is_warm_up: false,
        is_incomplete: false,
    };
    run.revisions = BTreeMap::from([(8, judged("10", "90")), (9, judged("50", "50"))]);
    run
}

#[test]
fn the_evidence_of_a_minute_is_that_of_all_failures_until_then() {
    let mut series = Series::default();
    // Failures of first answers under each of the run's revisions, by the minute, on the canary and on stable. Those
    // under an earlier revision are not the run's.
    let (canary, stable) = ([[1, 0], [2, 3], [2, 9]], [[4, 0], [5, 1], [5, 4]]);
    for minute in 0..3u64 {
        for (version, failed) in [("2", canary), ("1", stable)] {
            let of = |first_failed| Draws { drawn: 50, first_failed, ..Draws::default() };
            let [under_8, under_9] = failed[usize::try_from(minute).expect("small")];
            let revisions = BTreeMap::from([(7, of(40)), (8, of(under_8)), (9, of(under_9))]);
            let at = BEGIN + 60 * minute + 62;
            series.note(code(version), &Pulse { revisions, ..pulse(version, BEGIN, at, 0) });
        }
    }
    let evidence = series.evidence(&run(), 60);
    assert_eq!(evidence.keys().map(|begin| (begin - BEGIN) / 60).collect::<Vec<_>>(), [0, 1, 2]);
    for ((of_gates, canary), stable) in evidence.values().zip(canary).zip(stable) {
        let mut failures = Failures::default();
        failures.add(0.1, canary[0], stable[0]);
        failures.add(0.5, canary[1], stable[1]);
        assert!((of_gates[0] - failures.evidence(1.5)).abs() < 1e-9, "{of_gates:?}");
    }
    let mut ended = run();
    ended.started_at = BEGIN + 120;
    assert_eq!(series.evidence(&ended, 60).len(), 1, "only the minutes of the run");
}

proptest! {
    #[test]
    fn no_draw_is_lost_or_counted_twice(
        steps in prop::collection::vec((0u64..200, 0u64..1_000), 1..60),
        seconds in 1u64..4,
    ) {
        let (mut at, mut drawn) = (BEGIN, 0);
        let mut pulses = vec![pulse("one", BEGIN, at, 0)];
        for (pause, more) in steps {
            at += pause + 1;
            drawn += more;
            pulses.push(pulse("one", BEGIN, at, drawn));
        }
        let stretches = noted(&pulses).stretches(code("1"), 60 * seconds);
        let sum: u64 = stretches.values().map(|stretch| stretch.activity.sum_of(|draws| draws.drawn)).sum();
        prop_assert_eq!(sum, drawn);
    }

    #[test]
    fn pulses_with_any_numbers_make_no_panic(numbers in prop::collection::vec(any::<[u64; 3]>(), 0..20)) {
        let of = |[started_at, written_at, drawn]: &[u64; 3]| pulse("one", *started_at, *written_at, *drawn);
        let pulses: Vec<Pulse> = numbers.iter().map(of).collect();
        let mut series = noted(&pulses);
        series.evidence(&run(), 300);
        series.forget_before(BEGIN);
    }
}
