//! What pulses say together.

use std::collections::BTreeMap;

use stickshift_contract::{Draws, PLAN_FORMAT, PlanRecord, Pulse};
use stickshift_rollout::{
    Change, Confidence, Danger, Departing, Gone, Leaving, Obstacle, VersionReport, dangers, interval,
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
        clock_allowance_seconds: 60,
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
    let drain = Change::Abort { version: code("2"), leaving: Leaving::Drain };
    let plan = drain.apply(&plan(), 7, NOW).expect("a plan");
    PlanRecord { plan, changed_at: NOW - 300, changed_by: "somebody".to_owned(), why: String::new() }
}

/// What keeps a version from being drained whose instance `a` has written two pulses since no session was left.
fn keeps(record: &PlanRecord, version: &str, last: &[Pulse], change: impl FnOnce(&mut Departing<'_>)) -> Vec<Obstacle> {
    let (gone, quiet) = (Gone::default(), BTreeMap::from([("a".to_owned(), 10)]));
    let mut departing = Departing {
        version: code(version),
        sessions: 0,
        last_end: 0,
        last,
        unreadable: 0,
        quiet_since: Some(&quiet),
        gone: &gone,
    };
    change(&mut departing);
    departing.obstacles(record, NOW)
}

fn quiet() -> Pulse {
    Pulse { sequence: 12, ..pulse("a", NOW - 5, 10) }
}

#[test]
fn a_version_is_drained_when_nothing_keeps_it() {
    let record = draining();
    let keeps = |last: &[Pulse]| keeps(&record, "2", last, |_| ());
    assert_eq!(keeps(&[quiet()]), []);
    let ended_long_ago = Pulse { ended: true, ..pulse("b", NOW - 86_400, 10) };
    assert_eq!(keeps(std::slice::from_ref(&ended_long_ago)), [], "it is switched off already");
    assert_eq!(keeps(&[]), [Obstacle::NoReport]);
    for (last_end, until) in [(NOW - 60, None), (NOW - 59, Some(NOW + 1))] {
        let ended = self::keeps(&record, "2", &[quiet()], |departing| departing.last_end = last_end);
        assert_eq!(ended, until.map(|until| Obstacle::JustEnded { until }).into_iter().collect::<Vec<_>>());
    }
    let open = Pulse { open_connections: 2, ..quiet() };
    assert_eq!(keeps(&[open.clone(), open]), [Obstacle::OpenConnections { count: 4 }]);
    let with_sessions = |departing: &mut Departing<'_>| (departing.sessions, departing.last_end) = (3, NOW + 500);
    assert_eq!(
        self::keeps(&record, "2", &[quiet()], with_sessions),
        [Obstacle::LiveSessions { sessions: 3, last_end: NOW + 500 }]
    );
    assert_eq!(
        self::keeps(&record, "2", &[quiet()], |departing| departing.unreadable = 2),
        [Obstacle::UnreadablePulses { count: 2 }]
    );
    let instance = || "a".to_owned();
    for (failed_at, until) in [(NOW - 780, None), (NOW - 779, Some(NOW + 1)), (NOW, Some(NOW + 780))] {
        let failed = Pulse { last_failed_write: Some(failed_at), ..quiet() };
        let expected = until.map(|until| Obstacle::FailedWrite { instance: instance(), until });
        assert_eq!(keeps(&[failed]), expected.into_iter().collect::<Vec<_>>());
        let ended = Pulse { last_failed_write: Some(failed_at), ended: true, ..quiet() };
        assert_eq!(keeps(&[ended]).len(), usize::from(until.is_some()), "its viewers' cookies outlive it");
    }
}

#[test]
fn an_instance_that_says_nothing_may_still_serve() {
    let record = draining();
    let silent = |last_pulse, is_alive| Obstacle::Silent { instance: "a".to_owned(), last_pulse, is_alive };
    // Cut off from the table for hours, it serves sessions by their cookies.
    let cut_off = Pulse { sequence: 11, ..pulse("a", NOW - 7_200, 10) };
    let last = std::slice::from_ref(&cut_off);
    assert_eq!(keeps(&record, "2", last, |_| ()), [silent(NOW - 7_200, false)]);
    let first_look = |departing: &mut Departing<'_>| departing.quiet_since = None;
    assert_eq!(keeps(&record, "2", &[quiet()], first_look), [silent(NOW - 5, true)]);
    let new = Pulse { instance: "new".to_owned(), ..quiet() };
    assert_eq!(keeps(&record, "2", &[new], |_| ()).len(), 1, "an instance that has just come");

    let busy = |departing: &mut Departing<'_>| (departing.sessions, departing.quiet_since) = (3, None);
    assert_eq!(keeps(&record, "2", &[quiet()], busy).len(), 1, "the sessions, and nothing of the instance yet");
    assert_eq!(keeps(&record, "2", last, busy).len(), 2);

    // An operator knows better. What it did after its last pulse is not known until its sessions are over.
    for gone in [Gone { all: true, ..Gone::default() }, Gone { instances: ["a".to_owned()].into(), all: false }] {
        let say = |last: &[Pulse]| {
            let mut obstacles = Vec::new();
            let gone = gone.clone();
            obstacles.extend(keeps_with(&record, last, &gone));
            obstacles
        };
        assert_eq!(say(last), []);
        let crashed = Pulse { open_connections: 3, ..pulse("a", NOW - 100, 10) };
        assert_eq!(say(&[crashed]), [Obstacle::FailedWrite { instance: "a".to_owned(), until: NOW + 690 }]);
        assert_eq!(say(&[]).is_empty(), gone.all);
    }
}

fn keeps_with(record: &PlanRecord, last: &[Pulse], gone: &Gone) -> Vec<Obstacle> {
    let departing =
        Departing { version: code("2"), sessions: 0, last_end: 0, last, unreadable: 0, quiet_since: None, gone };
    departing.obstacles(record, NOW)
}

#[test]
fn a_version_is_not_drained_while_it_may_get_sessions() {
    let keeps = |record: &PlanRecord, version: &str| keeps(record, version, &[quiet()], |_| ());
    assert_eq!(keeps(&draining(), "1"), [Obstacle::Stable]);
    let young = PlanRecord { changed_at: NOW - 119, ..draining() };
    assert_eq!(keeps(&young, "2"), [Obstacle::JustChanged { until: NOW + 1 }]);
    let live = PlanRecord { plan: plan(), ..draining() };
    assert_eq!(keeps(&live, "2"), [Obstacle::NewSessions]);
    let gone = Change::Remove(code("2")).apply(&plan(), 7, NOW).expect("a plan");
    assert_eq!(keeps(&PlanRecord { plan: gone, ..draining() }, "2"), [], "it is not in the plan any more");
}

#[test]
fn numbers_that_nobody_can_have_counted_break_nothing() {
    let most = u64::MAX;
    let draws =
        Draws { drawn: most, first_failed: most, renewed: most, failed: most, finished: most, ..Draws::default() };
    let hostile = Pulse {
        written_at: most,
        started_at: most,
        interval_seconds: most,
        lifetime_seconds: most,
        clock_allowance_seconds: most,
        sequence: most,
        open_connections: most,
        misdirected: most,
        failed_writes: most,
        last_failed_write: Some(most),
        edges: BTreeMap::from([("plan=1".to_owned(), most)]),
        requests: BTreeMap::from([("roll".to_owned(), [most; 5]), ("record".to_owned(), [most; 5])]),
        revisions: BTreeMap::from([(7, draws.clone()), (most, draws)]),
        ..pulse("a", NOW, 1)
    };
    let last = [hostile.clone(), Pulse { written_at: 0, started_at: 0, ..hostile.clone() }, hostile];
    let report = VersionReport::new(&last, &last, 7, NOW);
    assert_eq!((report.open_connections, report.drawn), (most, most));
    assert!(!keeps(&draining(), "2", &last, |_| ()).is_empty());
    let all = BTreeMap::from([(code("1"), last.to_vec())]);
    assert!(dangers(&plan(), &plan(), &all, NOW).is_empty());
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
        edges: BTreeMap::from([
            ("receipt=1, plan=0".to_owned(), NOW - 300),
            ("receipt=1, plan=00".to_owned(), NOW - 306),
        ]),
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
