use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use stickshift_contract::Plan;

use crate::code;

fn version(weight: u16, state: &str) -> Value {
    json!({
        "origin": { "domain": "v.example.org", "port": 8080, "protocol": "http" },
        "weight_basis_points": weight,
        "state": state,
    })
}

#[expect(clippy::needless_pass_by_value, reason = "`json!` makes values")]
fn plan(stable: &str, versions: Value) -> Result<Plan, String> {
    let plan = json!({ "revision": 1, "stable": stable, "versions": versions });
    serde_json::from_value(plan).map_err(|cause| cause.to_string())
}

fn two(weight: u16) -> Plan {
    plan("1", json!({ "1": version(10_000 - weight, "live"), "2": version(weight, "live") })).expect("a plan")
}

#[test]
fn a_plan_that_breaks_a_rule_is_refused_with_the_rule() {
    let refused = |stable: &str, versions: Value| plan(stable, versions).expect_err("must be refused");
    let live = || version(10_000, "live");
    assert_eq!(refused("1", json!({ "1": version(10_000, "staged") })), "no version is live: at least one must be");
    assert_eq!(
        refused("1", json!({ "1": version(9000, "live"), "2": version(999, "live") })),
        "the weights of the live versions add up to 99.99 percent: they must add up to 100.00"
    );
    assert_eq!(refused("3", json!({ "1": live() })), "stable is version 3, which is not in the plan");
    assert_eq!(
        refused("2", json!({ "1": live(), "2": version(0, "draining") })),
        "stable is version 2, which is not live: stable must be"
    );
    let mut until = live();
    until["until"] = json!(1);
    assert_eq!(refused("1", json!({ "1": until })), "version 1 has `until` but is not draining: only a drain ends");
    for domain in ["", "203.0.113.7", "v1.example.org:80", "a b", "-a.example.org", "[::1]", &"a".repeat(64)] {
        let mut bad = live();
        bad["origin"]["domain"] = json!(domain);
        assert!(refused("1", json!({ "1": bad })).contains("it takes a DNS name"), "{domain}");
    }
    for port in [0, 22, 1023] {
        let mut bad = live();
        bad["origin"]["port"] = json!(port);
        assert!(refused("1", json!({ "1": bad })).contains("80, 443 or 1024 to 65535"), "{port}");
    }
    assert!(refused("1", json!({ "1": version(10_001, "live") })).contains("out of range"));
    assert!(refused("1", json!({ "one version": live() })).contains("is no version code"));
    assert!(refused("1", json!({ "1": version(10_000, "paused") })).contains("unknown variant `paused`"));
}

#[test]
fn weights_of_versions_that_are_not_live_do_not_count() {
    let versions = json!({ "1": version(10_000, "live"), "2": version(5000, "draining"), "3": version(1, "staged") });
    let plan = plan("1", versions).expect("a plan");
    let mut rng = StdRng::seed_from_u64(1);
    assert!((0..1000).all(|_| plan.pick(&mut rng) == code("1")));
}

#[test]
fn states_say_whose_sessions_stay() {
    let mut draining = version(0, "draining");
    draining["until"] = json!(1000);
    let versions = json!({
        "live": version(10_000, "live"), "staged": version(0, "staged"), "drained": version(0, "draining"),
        "draining": draining, "withdrawn": version(0, "withdrawn"),
    });
    let plan = plan("live", versions).expect("a plan");
    let stays = |version: &str, now| plan.keeps_sessions_of(code(version), now);
    assert!(stays("live", 0) && stays("staged", 0) && stays("drained", u64::MAX));
    assert!(stays("draining", 999) && !stays("draining", 1000));
    assert!(!stays("withdrawn", 0) && !stays("removed", 0));
    assert!(plan.serves_assets_of(code("draining")) && !plan.serves_assets_of(code("withdrawn")));
}

#[test]
fn plans_round_trip() {
    let plan = two(1000);
    let text = serde_json::to_string(&plan).expect("a plan is JSON");
    assert_eq!(serde_json::from_str::<Plan>(&text).expect("and back"), plan);
}

#[test]
fn none_and_all_are_exact() {
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..100_000 {
        assert_eq!(two(0).pick(&mut rng), code("1"));
        assert_eq!(two(10_000).pick(&mut rng), code("2"));
    }
}

#[test]
fn shares_are_those_of_the_weights() {
    let plan = plan("a", json!({ "a": version(9989, "live"), "b": version(1, "live"), "c": version(10, "live") }));
    let plan = plan.expect("a plan");
    let mut rng = StdRng::seed_from_u64(1);
    let mut shares = std::collections::BTreeMap::new();
    for _ in 0..1_000_000 {
        *shares.entry(plan.pick(&mut rng).to_string()).or_insert(0) += 1;
    }
    assert!((50..=150).contains(&shares["b"]), "0.01 percent: {shares:?}");
    assert!((900..=1100).contains(&shares["c"]), "0.10 percent: {shares:?}");
}

proptest! {
    #[test]
    fn no_text_makes_a_panic(text in "\\PC{0,200}") {
        let _ = serde_json::from_str::<Plan>(&text);
    }
}
