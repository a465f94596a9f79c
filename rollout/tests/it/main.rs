//! What each verb makes of a plan, and what it refuses.

mod evidence;
mod guards;
mod live;
mod picture;
mod pulses;
mod series;
mod simulated;

use std::collections::BTreeMap;

use proptest::prelude::*;
use stickshift_contract::{Domain, Origin, Plan, PlannedVersion, Port, Protocol, State, VersionCode, Weight};
use stickshift_rollout::{Change, Leaving, Refusal, canary};

const NOW: u64 = 1_800_000_000;

fn code(text: &str) -> VersionCode {
    VersionCode::parse(text).expect("a version code")
}

fn percent(text: &str) -> Weight {
    Weight::parse_percent(text).expect("a weight")
}

fn origin(port: u16) -> Origin {
    let port = Port::new(port).expect("a port");
    Origin { domain: Domain::parse("localhost").expect("a name"), port, protocol: Protocol::Http }
}

fn planned(state: State, weight: &str) -> PlannedVersion {
    PlannedVersion { origin: origin(8081), weight: percent(weight), state, until: None, withdrawn_at: None }
}

/// Version 1 is stable, version 2 is the canary, version 3 is staged, version 4 drains, version 5 was withdrawn.
fn plan() -> Plan {
    let versions = [
        ("1", planned(State::Live, "90")),
        ("2", planned(State::Live, "10")),
        ("3", planned(State::Staged, "0")),
        ("4", PlannedVersion { until: Some(NOW + 60), ..planned(State::Draining, "0") }),
        ("5", PlannedVersion { withdrawn_at: Some(NOW - 60), ..planned(State::Withdrawn, "0") }),
    ];
    let versions = versions.into_iter().map(|(version, planned)| (code(version), planned)).collect();
    Plan::new(7, code("1"), versions).expect("a plan")
}

/// A plan in short: `1 live 90.00 stable, 2 live 10.00`.
fn in_short(plan: &Plan) -> String {
    let words = plan.versions().iter().map(|(version, planned)| {
        let stable = if *version == plan.stable() { " stable" } else { "" };
        let until = planned.until.map_or_else(String::new, |until| format!(" until {}", until - NOW));
        let withdrawn =
            planned.withdrawn_at.map_or_else(String::new, |at| format!(" withdrawn at {}", at as i64 - NOW as i64));
        format!("{version} {} {}{stable}{until}{withdrawn}", planned.state, planned.weight)
    });
    words.collect::<Vec<_>>().join(", ")
}

#[test]
fn every_verb_makes_the_next_plan() {
    let set = |weights: &[(&str, &str)]| {
        Change::SetWeights(weights.iter().map(|(version, weight)| (code(version), percent(weight))).collect())
    };
    let rest = "3 staged 0.00, 4 draining 0.00 until 60, 5 withdrawn 0.00 withdrawn at -60";
    for (change, after) in [
        (set(&[("2", "25")]), format!("1 live 75.00 stable, 2 live 25.00, {rest}")),
        (set(&[("2", "0")]), format!("1 live 100.00 stable, 2 live 0.00, {rest}")),
        (set(&[("2", "100")]), format!("1 live 0.00 stable, 2 live 100.00, {rest}")),
        (
            set(&[("2", "25"), ("3", "5.5")]),
            "1 live 69.50 stable, 2 live 25.00, 3 live 5.50, 4 draining 0.00 until 60, 5 withdrawn 0.00 withdrawn at -60".into(),
        ),
        (
            set(&[("4", "1"), ("5", "1")]),
            "1 live 88.00 stable, 2 live 10.00, 3 staged 0.00, 4 live 1.00, 5 live 1.00 withdrawn at -60".into(),
        ),
        (set(&[("1", "60"), ("2", "40")]), format!("1 live 60.00 stable, 2 live 40.00, {rest}")),
        (
            Change::Promote(code("2")),
            format!("1 live 0.00, 2 live 100.00 stable, {rest}"),
        ),
        (
            Change::Drain { version: code("2"), until: None },
            format!("1 live 100.00 stable, 2 draining 0.00, {rest}"),
        ),
        (
            Change::Drain { version: code("2"), until: Some(NOW + 600) },
            format!("1 live 100.00 stable, 2 draining 0.00 until 600, {rest}"),
        ),
        (
            Change::Abort { version: code("2"), leaving: Leaving::Drain },
            format!("1 live 100.00 stable, 2 draining 0.00, {rest}"),
        ),
        (
            Change::Abort { version: code("2"), leaving: Leaving::Evict },
            format!("1 live 100.00 stable, 2 withdrawn 0.00 withdrawn at 0, {rest}"),
        ),
        (Change::Remove(code("2")), format!("1 live 100.00 stable, {rest}")),
        (
            Change::Add { version: code("6"), origin: origin(8086) },
            format!("1 live 90.00 stable, 2 live 10.00, {rest}, 6 staged 0.00"),
        ),
    ] {
        let next = change.apply(&plan(), 7, NOW).unwrap_or_else(|refusal| panic!("{change:?}: {refusal}"));
        assert_eq!(in_short(&next), after, "{change:?}");
        assert_eq!(next.revision(), 8);
    }
    assert_eq!(Change::Promote(code("2")).apply(&plan(), 41, NOW).expect("a plan").revision(), 42);
}

#[test]
fn an_earlier_plan_comes_back_and_withdrawals_are_remembered() {
    let evicted = Change::Abort { version: code("2"), leaving: Leaving::Evict }.apply(&plan(), 7, NOW).expect("a plan");
    let back = Change::PutBack(plan()).apply(&evicted, 8, NOW + 5).expect("a plan");
    assert_eq!((back.revision(), back.stable()), (9, code("1")));
    let two = &back.versions()[&code("2")];
    assert_eq!((two.state, two.weight, two.withdrawn_at), (State::Live, percent("10"), Some(NOW)));
    let restored = Change::Reissue.apply(&plan(), 41, NOW).expect("a plan");
    assert_eq!((restored.revision(), restored.versions()), (42, plan().versions()));
    // Withdrawing again what is withdrawn changes nothing, so the time stays.
    let again = Change::Abort { version: code("2"), leaving: Leaving::Evict }.apply(&evicted, 8, NOW + 9);
    assert_eq!(again, Err(Refusal::NothingChanges));
}

#[test]
fn what_breaks_a_rule_is_refused_by_name() {
    let set = |weights: &[(&str, &str)]| {
        Change::SetWeights(weights.iter().map(|(version, weight)| (code(version), percent(weight))).collect())
    };
    for (change, says) in [
        (set(&[("9", "1")]), "version 9 is not in the plan, which has versions 1, 2, 3, 4, 5"),
        (
            set(&[("2", "60"), ("3", "60")]),
            "the other versions would get 120.00 percent: at most 100.00 is left for them",
        ),
        (set(&[("2", "1"), ("2", "2")]), "version 2 is named twice"),
        (
            set(&[("1", "50")]),
            "with 50.00 for version 1, which is stable, the weights add up to 60.00 percent: leave it out, and it gets the rest",
        ),
        (set(&[("2", "10")]), "the plan is like that already"),
        (Change::Promote(code("9")), "version 9 is not in the plan, which has versions 1, 2, 3, 4, 5"),
        (
            Change::Drain { version: code("1"), until: None },
            "version 1 is stable, and stable gets what nobody else gets: promote another version first",
        ),
        (
            Change::Drain { version: code("2"), until: Some(NOW) },
            "the end of the drain is not in the future: evict the sessions with `abort --evict` instead",
        ),
        (
            Change::Abort { version: code("1"), leaving: Leaving::Evict },
            "version 1 is stable, and stable gets what nobody else gets: promote another version first",
        ),
        (
            Change::Remove(code("1")),
            "version 1 is stable, and stable gets what nobody else gets: promote another version first",
        ),
        (
            Change::Add { version: code("2"), origin: origin(8082) },
            "version 2 is in the plan already, live: give it new sessions with set-weight, or remove it first",
        ),
    ] {
        let refusal = change.apply(&plan(), 7, NOW).expect_err("must be refused");
        assert_eq!(refusal.to_string(), says, "{change:?}");
    }
    assert_eq!(canary(&plan()), Ok(code("2")));
    let both = set(&[("3", "5")]).apply(&plan(), 7, NOW).expect("a plan");
    assert_eq!(
        canary(&both).expect_err("two").to_string(),
        "versions 2, 3 get new sessions besides the stable version: name the one to abort"
    );
    let none = set(&[("2", "0")]).apply(&plan(), 7, NOW).expect("a plan");
    assert_eq!(canary(&none), Err(Refusal::NothingToAbort));
}

fn any_change() -> impl Strategy<Value = Change> {
    let version = || (1..7u8).prop_map(|number| code(&number.to_string()));
    let weight = || (0..=10_000u16).prop_map(|points| Weight::from_basis_points(points).expect("a weight"));
    prop_oneof![
        version().prop_map(|version| Change::Add { version, origin: origin(8080) }),
        prop::collection::vec((version(), weight()), 1..3).prop_map(Change::SetWeights),
        version().prop_map(Change::Promote),
        (version(), prop::option::of(NOW..NOW + 900)).prop_map(|(version, until)| Change::Drain { version, until }),
        (version(), any::<bool>()).prop_map(|(version, evicts)| Change::Abort {
            version,
            leaving: if evicts { Leaving::Evict } else { Leaving::Drain }
        }),
        version().prop_map(Change::Remove),
    ]
}

proptest! {
    /// Whatever is asked for in whatever order: the plan keeps its rules, the revision rises by one, a refused
    /// change changes nothing, and a version keeps the time of its last withdrawal.
    #[test]
    fn plans_keep_their_rules(changes in prop::collection::vec(any_change(), 1..20)) {
        let mut plan = plan();
        for (step, change) in changes.iter().enumerate() {
            let now = NOW + step as u64;
            let Ok(next) = change.apply(&plan, plan.revision(), now) else { continue };
            prop_assert_eq!(next.revision(), plan.revision() + 1);
            let again: BTreeMap<_, _> = next.versions().clone();
            prop_assert!(Plan::new(next.revision(), next.stable(), again).is_ok());
            for (version, planned) in next.versions() {
                let before = plan.versions().get(version).and_then(|planned| planned.withdrawn_at);
                prop_assert!(planned.withdrawn_at >= before);
            }
            let back = Change::PutBack(plan.clone()).apply(&next, next.revision(), now);
            if let Ok(back) = back {
                prop_assert_eq!(back.stable(), plan.stable());
                prop_assert_eq!(back.versions().len(), plan.versions().len());
            }
            plan = next;
        }
    }
}
