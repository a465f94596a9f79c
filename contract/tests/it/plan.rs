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
    read(&json!({ "format": 1, "revision": 1, "stable": stable, "versions": versions }))
}

fn read(plan: &Value) -> Result<Plan, String> {
    serde_json::from_str(&plan.to_string()).map_err(|cause| {
        let cause = cause.to_string();
        cause.split(" at line").next().expect("a message").to_owned()
    })
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
        "stable is version 2, which is not live: the stable version must be live"
    );
    let mut until = live();
    until["until"] = json!(1);
    assert_eq!(
        refused("1", json!({ "1": until })),
        "version 1 has `until` but is not draining: only a draining version has `until`"
    );
    for domain in [
        "",
        "203.0.113.7",
        "2130706433",
        "0x7f000001",
        "0X7F000001",
        "example.0x1",
        "v1.example.org:80",
        "a b",
        "-a.example.org",
        "[::1]",
        &"a".repeat(64),
    ] {
        let mut bad = live();
        bad["origin"]["domain"] = json!(domain);
        assert!(refused("1", json!({ "1": bad })).contains("is not a DNS name"), "{domain}");
    }
    for port in [0, 22, 1023] {
        let mut bad = live();
        bad["origin"]["port"] = json!(port);
        assert!(refused("1", json!({ "1": bad })).contains("80, 443 or 1024 to 65535"), "{port}");
    }
    assert!(refused("1", json!({ "1": version(10_001, "live") })).contains("out of range"));
    assert!(refused("1", json!({ "one version": live() })).contains("is not a version code"));
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
    let stays = |version: &str, now| plan.keeps_sessions_of(code(version), Some(now));
    assert!(stays("live", 0) && stays("staged", 0) && stays("drained", u64::MAX));
    assert!(stays("draining", 999) && !stays("draining", 1000));
    assert!(!stays("withdrawn", 0) && !stays("removed", 0));
    assert!(plan.keeps_sessions_of(code("draining"), None), "a plan that is not fresh ends no drain");
    assert!(plan.is_open(code("draining")) && !plan.is_open(code("withdrawn")));
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

/// Samples of every plan that a release wrote. Lines may be added and never changed.
const SAMPLES: [&str; 2] = [
    // Before plans had a format.
    r#"{"revision":7,"stable":"1","versions":{"1":{"origin":{"domain":"v1.example.org","port":8080,"protocol":"http"},"weight_basis_points":10000,"state":"live"}}}"#,
    // Format 1.
    r#"{"format":1,"revision":7,"stable":"1","versions":{"1":{"origin":{"domain":"v1.example.org","port":8080,"protocol":"http"},"weight_basis_points":10000,"state":"live"},"2":{"origin":{"domain":"v2.example.org","port":443,"protocol":"https"},"weight_basis_points":0,"state":"draining","until":1710000600,"withdrawn_at":1710000000}}}"#,
];

#[test]
fn plans_of_every_format_are_read_and_written_in_the_newest_one() {
    for sample in SAMPLES {
        let plan: Plan = serde_json::from_str(sample).expect("a plan");
        assert_eq!(plan.revision(), 7);
        assert!(serde_json::to_string(&plan).expect("JSON").starts_with(r#"{"format":1,"revision":7,"#));
    }
    let newest: Plan = serde_json::from_str(SAMPLES[1]).expect("a plan");
    assert_eq!(serde_json::to_string(&newest).expect("JSON"), SAMPLES[1]);
}

#[test]
fn a_receipt_from_before_a_withdrawal_is_known() {
    let plan: Plan = serde_json::from_str(SAMPLES[1]).expect("a plan");
    let is_before = |version: &str, touched| plan.may_be_from_before_withdrawal(code(version), touched, 60);
    assert!(is_before("2", 1_709_999_999) && is_before("2", 1_710_000_059));
    assert!(!is_before("2", 1_710_000_060) && !is_before("1", 0) && !is_before("9", 0));
}

#[test]
fn a_plan_of_an_unknown_format_or_with_an_impossible_revision_is_refused() {
    let change = |name: &str, value: Value| {
        let mut plan: Value = serde_json::from_str(SAMPLES[1]).expect("JSON");
        plan[name] = value;
        read(&plan).expect_err("must be refused")
    };
    assert_eq!(change("format", json!(2)), "the plan has format 2: this release reads format 1");
    assert_eq!(change("format", json!(0)), "the plan has format 0: this release reads format 1");
    assert_eq!(
        change("revision", json!(u64::MAX)),
        "revision 18446744073709551615 is out of range: a plan's revision is at most 9999999999"
    );
    let twice = SAMPLES[1].replace(r#""2":{"#, r#""1":{"#);
    let refusal = serde_json::from_str::<Plan>(&twice).expect_err("twice").to_string();
    assert!(refusal.starts_with("version 1 is in the plan twice"), "{refusal}");
}

/// A plan as JSON in which one part is replaced by another value. `path` leads to the part.
fn damaged(path: &[usize], replacement: &Value) -> Value {
    fn replace(part: &mut Value, path: &[usize], replacement: &Value) {
        match (path, part) {
            ([step, rest @ ..], Value::Object(fields)) => {
                let count = fields.len();
                replace(fields.values_mut().nth(step % count).expect("a field"), rest, replacement);
            }
            (_, part) => *part = replacement.clone(),
        }
    }
    let mut plan = serde_json::from_str(SAMPLES[1]).expect("JSON");
    replace(&mut plan, path, replacement);
    plan
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        Just(json!({})),
        Just(json!([])),
        Just(json!({ "1": {} })),
    ]
}

proptest! {
    /// Whatever stands in the table, a plan that was read can serve a request.
    #[test]
    fn a_damaged_plan_is_refused_or_keeps_the_rules(
        path in prop::collection::vec(0usize..8, 0..5), replacement in any_value(), now: u64, seed: u64,
    ) {
        if let Ok(plan) = read(&damaged(&path, &replacement)) {
            let picked = plan.pick(&mut StdRng::seed_from_u64(seed));
            prop_assert!(plan.keeps_sessions_of(picked, Some(now)) && plan.origin(picked).is_some());
            prop_assert_eq!(read(&serde_json::to_value(&plan).expect("JSON")), Ok(plan));
        }
    }
}
