//! What pulses say together.

use std::collections::BTreeMap;

use stickshift_contract::{Draws, PLAN_FORMAT, PlanRecord, Pulse};
use stickshift_rollout::{
    Change, Confidence, Danger, Leaving, LiveOnVersion, Obstacle, VersionReport, dangers, interval, obstacles,
};

use crate::{NOW, code, plan};

/// A pulse of an instance that has run for an hour.
fn pulse(instance: &str, written_at: u64, requests: u64) -> Pulse {
    Pulse {
        instance: instance.to_owned(),
        started_at: NOW - 3_600,
        written_at,
        interval_seconds: 10,
        lifetime_seconds: 720,
        formats: "receipt=1, plan=1".to_owned(),
        requests: BTreeMap::from([("receipt".to_owned(), [0, requests, 0, 0, requests / 10])]),
        ..Pulse::default()
    }
}

fn with_draws(pulse: Pulse, draws: &[(u64, Draws)]) -> Pulse {
    Pulse { revisions: draws.iter().cloned().collect(), ..pulse }
}

#[test]
fn a_report_counts_the_last_five_minutes() {
    let draws = |drawn, failed| Draws { drawn, failed, ..Draws::default() };
    let last = [with_draws(pulse("a", NOW, 5_000), &[(6, draws(50, 1)), (7, draws(30, 2))])];
    let minutes = [
        // Before the window; the first one in it; a later one; another instance.
        with_draws(pulse("a", NOW - 301, 1_000), &[(6, draws(40, 0))]),
        with_draws(pulse("a", NOW - 290, 2_000), &[(6, draws(50, 1)), (7, draws(10, 0))]),
        pulse("a", NOW - 230, 3_000),
        pulse("b", NOW - 295, 9_000),
    ];
    let report = VersionReport::new(&last, &minutes, 7, NOW);
    assert_eq!((report.instances, report.crashed), (1, 0));
    assert_eq!((report.requests, report.server_errors), (3_300, 300), "5xx are requests as well");
    assert!((report.requests_per_second - 3_300.0 / 290.0).abs() < 1e-9);
    assert_eq!((report.drawn, report.failed), (20, 2), "draws of the plan in force, failures of any");
}

#[test]
fn an_instance_that_restarts_is_a_new_one_and_the_old_one_still_counts() {
    let draws = |drawn| Draws { drawn, ..Draws::default() };
    let old = Pulse { ended: true, ..with_draws(pulse("old", NOW - 100, 100), &[(7, draws(8))]) };
    let minute = with_draws(pulse("old", NOW - 280, 90), &[(7, draws(5))]);
    let young = Pulse { started_at: NOW - 95, ..with_draws(pulse("new", NOW - 5, 40), &[(7, draws(4))]) };
    let report = VersionReport::new(&[old, young], &[minute], 7, NOW);
    assert_eq!((report.instances, report.crashed, report.drawn), (1, 0, 3 + 4));
    assert_eq!(report.requests, 11 + 44);
    assert!((report.requests_per_second - 44.0 / 90.0).abs() < 1e-9, "only the new one serves");
}

#[test]
fn an_instance_that_falls_silent_has_crashed() {
    let at = |written_at| VersionReport::new(&[pulse("a", written_at, 0)], &[], 7, NOW);
    assert_eq!((at(NOW - 90).instances, at(NOW - 90).crashed), (1, 0));
    assert_eq!((at(NOW - 91).instances, at(NOW - 91).crashed), (0, 1));
    assert_eq!((at(NOW - 301).instances, at(NOW - 301).crashed), (0, 0), "long ago");
    // A clock that is ahead or behind by a minute changes nothing.
    assert_eq!(at(NOW + 60).instances, 1);
}

/// Version 2 drains since five minutes ago.
fn draining() -> PlanRecord {
    let drain = Change::Abort { version: Some(code("2")), leaving: Leaving::Drain };
    let plan = drain.apply(&plan(), 7, NOW).expect("a plan");
    PlanRecord { plan, changed_at: NOW - 300, changed_by: "somebody".to_owned(), why: String::new() }
}

#[test]
fn a_version_is_drained_when_nothing_keeps_it() {
    let record = draining();
    let quiet = pulse("a", NOW - 5, 10);
    let nobody = LiveOnVersion::default();
    let keeps = |live, last: &[Pulse]| obstacles(&record, code("2"), live, last, NOW);
    assert_eq!(keeps(nobody, std::slice::from_ref(&quiet)), []);
    let ended_long_ago = Pulse { ended: true, ..pulse("b", NOW - 86_400, 10) };
    assert_eq!(keeps(nobody, &[ended_long_ago]), [], "it is switched off already");

    let live = LiveOnVersion { sessions: 3, last_end: NOW + 500 };
    assert_eq!(
        keeps(live, std::slice::from_ref(&quiet)),
        [Obstacle::LiveSessions { sessions: 3, last_end: NOW + 500 }]
    );
    let open = Pulse { open_connections: 2, ..quiet.clone() };
    assert_eq!(keeps(nobody, &[open.clone(), open]), [Obstacle::OpenConnections { count: 4 }]);
    assert_eq!(keeps(nobody, &[]), [Obstacle::NoReport]);

    let instance = || "a".to_owned();
    for (failed_at, keeps_until) in [(NOW - 780, None), (NOW - 779, Some(NOW + 1)), (NOW, Some(NOW + 780))] {
        let failed = Pulse { last_failed_write: Some(failed_at), ..quiet.clone() };
        let expected = keeps_until.map(|until| Obstacle::FailedWrite { instance: instance(), until });
        assert_eq!(keeps(nobody, &[failed]), expected.into_iter().collect::<Vec<_>>());
    }
    // One that said nothing before it fell silent may have failed to write until the next pulse was due.
    let crashed = pulse("a", NOW - 100, 10);
    assert_eq!(keeps(nobody, &[crashed]), [Obstacle::Crashed { instance: instance(), until: NOW + 690 }]);
    assert_eq!(keeps(nobody, &[pulse("a", NOW - 790, 10)]), []);
}

#[test]
fn a_version_is_not_drained_while_it_may_get_sessions() {
    let quiet = [pulse("a", NOW - 5, 10)];
    let keeps = |record: &PlanRecord, version: &str, now| {
        obstacles(record, code(version), LiveOnVersion::default(), &quiet, now)
    };
    let record = draining();
    assert_eq!(keeps(&record, "1", NOW), [Obstacle::Stable]);
    let young = PlanRecord { changed_at: NOW - 59, ..draining() };
    assert_eq!(keeps(&young, "2", NOW), [Obstacle::JustChanged { until: NOW + 1 }]);
    let just = PlanRecord { changed_at: NOW - 60, ..draining() };
    assert_eq!(keeps(&just, "2", NOW), [Obstacle::OldPulse { instance: "a".to_owned() }]);
    let live = PlanRecord { plan: plan(), ..draining() };
    assert_eq!(keeps(&live, "2", NOW), [Obstacle::NewSessions]);
    let gone = Change::Remove(code("2")).apply(&plan(), 7, NOW).expect("a plan");
    assert_eq!(keeps(&PlanRecord { plan: gone, ..draining() }, "2", NOW), [], "it is not in the plan any more");
}

#[test]
fn more_new_sessions_need_a_living_instance_and_edges_that_read_the_plan() {
    let before = plan();
    let more = Change::SetWeights(vec![(code("2"), crate::percent("50"))]).apply(&before, 7, NOW).expect("a plan");
    let less = Change::SetWeights(vec![(code("2"), crate::percent("5"))]).apply(&before, 7, NOW).expect("a plan");
    let living = |version: &str| (code(version), vec![pulse("a", NOW - 5, 10)]);
    let both = BTreeMap::from([living("1"), living("2")]);
    assert_eq!(dangers(&before, &more, &both, NOW), []);
    assert_eq!(dangers(&before, &more, &BTreeMap::from([living("1")]), NOW), [Danger::NoInstance(code("2"))]);
    // Version 1 gets more.
    assert_eq!(dangers(&before, &less, &BTreeMap::from([living("2")]), NOW), [Danger::NoInstance(code("1"))]);
    let ended = (code("2"), vec![Pulse { ended: true, ..pulse("a", NOW - 5, 10) }]);
    assert_eq!(dangers(&before, &more, &BTreeMap::from([living("1"), ended]), NOW), [Danger::NoInstance(code("2"))]);

    let old = Pulse {
        edges: BTreeMap::from([("receipt=1, plan=0".to_owned(), NOW)]),
        formats: format!("receipt=1, plan={PLAN_FORMAT}"),
        ..pulse("a", NOW - 5, 10)
    };
    let told = dangers(&before, &more, &BTreeMap::from([living("1"), (code("2"), vec![old.clone(), old])]), NOW);
    let told: Vec<String> = told.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["an edge in front of version 2 reads plans up to format 0, and this one has format 1"]);
}

#[test]
fn an_interval_is_wilsons() {
    let rounded = |(low, high): (f64, f64)| ((low * 1e4).round() / 1e4, (high * 1e4).round() / 1e4);
    // Checked against statsmodels' proportion_confint(method="wilson").
    for (part, whole, expected) in
        [(10, 100, (0.0552, 0.1744)), (0, 20, (0.0, 0.1611)), (20, 20, (0.8389, 1.0)), (0, 0, (0.0, 1.0))]
    {
        assert_eq!(rounded(interval(part, whole, Confidence::Percent95)), expected, "{part} of {whole}");
    }
    let wider = interval(10, 100, Confidence::Percent999);
    assert!(wider.0 < 0.0552 && wider.1 > 0.1744, "{wider:?}");
}
