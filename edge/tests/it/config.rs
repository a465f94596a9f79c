use std::time::Duration;

use serde_json::{Value, json};
use stickshift_edge::{FunctionConfig, Replica};

const LEAST: &str = r#"{
  "format": 1,
  "replicas": [{ "region": "us-east-1" }, { "region": "eu-west-1" }, { "region": "ap-southeast-1" }],
  "plan": {
    "stable": "1",
    "versions": {
      "1": {
        "origin": { "domain": "v1.example.org", "port": 8080, "protocol": "http" },
        "weight_basis_points": 10000,
        "state": "live"
      }
    }
  }
}
"#;

/// What a configuration with one text in place of another is refused with.
fn refusal(text: &str, replacement: &str) -> String {
    assert!(LEAST.contains(text), "{text}");
    FunctionConfig::parse(&LEAST.replacen(text, replacement, 1)).expect_err(replacement).to_string()
}

#[test]
fn what_is_left_out_is_as_the_design_says() {
    let config = FunctionConfig::parse(LEAST).expect("a configuration");
    assert_eq!((config.hedge_delay, config.deadline), (Duration::from_millis(60), Duration::from_millis(250)));
    assert_eq!((config.tables.sessions.as_str(), config.tables.rollout.as_str()), ("SessionsTable", "RolloutTable"));
    let router = config.router;
    assert_eq!((router.plan_ttl_seconds, router.keep_viewer_host, router.cookie.accept_bare_tokens), (5, false, false));
    assert_eq!(router.cookie.timing.lifetime_seconds(), 720);
    assert!(router.cookie.keys.is_none());
    assert_eq!(router.bundled_plan.stable().as_str(), "1");
}

#[test]
fn the_example_in_the_repository_sets_every_field_but_secrets_and_is_good() {
    let text = include_str!("../../lambda/config.json");
    FunctionConfig::parse(text).expect("the example");
    let example: Value = serde_json::from_str(text).expect("JSON");
    let names: Vec<&str> = example.as_object().expect("an object").keys().map(String::as_str).collect();
    let docs = include_str!("../../../docs/lambda-at-edge.md");
    for name in &names {
        assert!(docs.contains(&format!("| `{name}` |")), "docs/lambda-at-edge.md says nothing of {name}");
    }
    // Any other name is refused, with all that there are.
    let refused = refusal("\"format\": 1", "\"format\": 1, \"retries\": 3");
    for name in names.iter().copied().chain(["keys"]) {
        assert!(refused.contains(&format!("`{name}`")), "{name} in {refused}");
    }
    assert_eq!(refused.matches('`').count(), 2 * (names.len() + 2), "{refused}");
}

#[test]
fn the_two_nearest_replicas_are_asked() {
    let config = FunctionConfig::parse(LEAST).expect("a configuration");
    let nearest = |region| -> Vec<String> {
        config.nearest_replicas(region).into_iter().map(|Replica { region, .. }| region).collect()
    };
    assert_eq!(nearest(Some("eu-central-1")), ["eu-west-1", "us-east-1"]);
    assert_eq!(nearest(Some("ap-northeast-1")), ["ap-southeast-1", "eu-west-1"]);
    assert_eq!(nearest(None), ["us-east-1", "eu-west-1"]);
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (text, replacement, message) in [
        ("\"format\": 1,", "", "line 14: missing field `format`"),
        ("\"format\": 1", "\"format\": 2", "line 2: `format` is 2: this bundle reads 1"),
        ("\"format\": 1", "\"format\": 1,,", "line 2: key must be a string"),
        ("us-east-1", "us-esat-1", "line 3: `us-esat-1` is no AWS region that this release knows"),
        (
            "\"eu-west-1\"",
            "\"eu-west-1\", \"endpoint\": \"x\"",
            "line 3: unknown field `endpoint`, expected `region` or `endpoint_url`",
        ),
        (
            "\"eu-west-1\"",
            "\"eu-west-1\", \"endpoint_url\": \"x\"",
            "line 3: `x` is no URL: it takes https://… or http://…",
        ),
        (
            "\"format\": 1",
            "\"format\": 1,\n\"keys\": \"short\"",
            "line 3: key 1 has 5 characters: it takes at least 32, e.g. from `openssl rand -hex 32`",
        ),
        ("\"format\": 1", "\"format\": 1,\n\"keys\": \"\"", "line 3: the list of keys is empty"),
        (
            "\"format\": 1",
            "\"format\": 1,\n\"trust_window_seconds\": 601",
            "line 3: trust_window_seconds is 601: it takes 0 to 600 seconds",
        ),
        (
            "\"format\": 1",
            "\"format\": 1,\n\"plan_ttl_seconds\": 4000",
            "line 3: `plan_ttl_seconds` is 4000: it takes 0 to 3600",
        ),
        ("\"format\": 1", "\"format\": 1,\n\"plan_ttl_seconds\": -1", "line 3: invalid value, expected u64"),
        (
            "\"format\": 1",
            "\"format\": 1,\n\"hedge_delay_milliseconds\": 251",
            "line 3: `hedge_delay_milliseconds` is 251: it takes 0 to 250",
        ),
        (
            "\"format\": 1",
            "\"format\": 1,\n\"sessions_table\": \"my table\"",
            "line 3: `my table` is no table's name: it takes 3 to 255 of A-Z a-z 0-9 _ - .",
        ),
        (
            "v1.example.org",
            "10.0.0.1",
            "line 8: version 1's origin has the domain `10.0.0.1`: it takes a DNS name, no IP address, no port",
        ),
        ("8080", "81", "line 8: version 1's origin has the port 81: it takes 80, 443 or 1024 to 65535"),
        (
            "10000",
            "9000",
            "line 6: the weights of the live versions add up to 90.00 percent: they must add up to 100.00",
        ),
        (
            "10000",
            "10001",
            "line 9: a weight of 10001 basis points is out of range: it takes 0 to 10000 (100.00 percent)",
        ),
        (
            "\"live\"",
            "\"alive\"",
            "line 10: unknown variant, expected one of `staged`, `live`, `draining`, `withdrawn`",
        ),
        ("\"live\"", "\"draining\"", "line 6: no version is live: at least one must be"),
        ("\"stable\": \"1\"", "\"stable\": \"2\"", "line 5: stable is version 2, which is not in the plan"),
    ] {
        assert_eq!(refusal(text, replacement), message);
    }
    assert_eq!(
        FunctionConfig::parse("{ \"format\": 1 }").expect_err("no replicas").to_string(),
        "line 1: `replicas` names no region: the tables are in at least one"
    );
    assert_eq!(FunctionConfig::parse("").expect_err("empty").to_string(), "line 1: EOF while parsing a value");
}

/// A second version, after the first one's end in line 11.
const SECOND: &str = r#"      },
      "2": {
        "origin": { "domain": "v2.example.org", "port": 81, "protocol": "http" },
        "weight_basis_points": 0,
        "state": "draining", "until": 1700000000
      }
    }
"#;

#[test]
fn the_line_is_that_of_the_version_that_is_wrong() {
    let two = LEAST.replacen("8080", "8081", 1).replacen("      }\n    }\n", SECOND, 1);
    let refusal = |text: &str, replacement: &str| {
        assert!(two.contains(text), "{text}");
        let fixed = two.replacen(": 81,", ": 80,", 1).replacen(text, replacement, 1);
        FunctionConfig::parse(&fixed).expect_err(replacement).to_string()
    };
    let port = FunctionConfig::parse(&two).expect_err("81").to_string();
    assert_eq!(port, "line 13: version 2's origin has the port 81: it takes 80, 443 or 1024 to 65535");
    assert!(refusal("v2.example.org", "2001:db8::1").starts_with("line 13: version 2's origin has the domain"));
    let ended = refusal("\"state\": \"draining\"", "\"state\": \"withdrawn\"");
    assert_eq!(ended, "line 15: version 2 has `until` but is not draining: only a drain ends");
    assert_eq!(refusal("\"2\": {", "\"1\": {"), "line 12: version 1 is there twice");
}

#[test]
fn what_is_set_reaches_the_router() {
    let set = r#""format": 1, "accept_bare_tokens": true, "keep_viewer_host": true, "plan_ttl_seconds": 7,
        "sessions_table": "S.1", "rollout_table": "R-2", "hedge_delay_milliseconds": 1, "deadline_milliseconds": 2,
        "session_seconds": 60, "touch_interval_seconds": 5, "trust_window_seconds": 6, "clock_allowance_seconds": 8"#;
    let config = FunctionConfig::parse(&LEAST.replacen("\"format\": 1", set, 1)).expect("a configuration");
    assert_eq!((config.hedge_delay, config.deadline), (Duration::from_millis(1), Duration::from_millis(2)));
    assert_eq!((config.tables.sessions.as_str(), config.tables.rollout.as_str()), ("S.1", "R-2"));
    let router = config.router;
    assert_eq!((router.plan_ttl_seconds, router.keep_viewer_host, router.cookie.accept_bare_tokens), (7, true, true));
    let timing = router.cookie.timing;
    assert_eq!((timing.session_seconds, timing.touch_interval_seconds), (60, 5));
    assert_eq!((timing.trust_window_seconds, timing.clock_allowance_seconds), (6, 8));
}

#[test]
fn the_line_is_found_whatever_order_the_names_come_in() {
    let url_first = r#"{ "region": "eu-west-1" },
        { "endpoint_url": "localhost:8000",
          "region": "eu-west-2" }"#;
    let text = LEAST.replacen(r#"{ "region": "eu-west-1" }"#, url_first, 1);
    let refused = FunctionConfig::parse(&text).expect_err("no URL").to_string();
    assert_eq!(refused, "line 4: `localhost:8000` is no URL: it takes https://… or http://…");
    // A version may be called what is a value elsewhere.
    let live = LEAST.replacen("      }\n    }\n", SECOND, 1).replacen("\"2\": {", "\"live\": {", 1);
    let refused = FunctionConfig::parse(&live).expect_err("81").to_string();
    assert_eq!(refused, "line 13: version live's origin has the port 81: it takes 80, 443 or 1024 to 65535");
    // The default hedge gives way to a short deadline.
    let short = LEAST.replacen("\"format\": 1", "\"format\": 1, \"deadline_milliseconds\": 50", 1);
    assert_eq!(FunctionConfig::parse(&short).expect("a configuration").hedge_delay, Duration::from_millis(50));
}

#[test]
fn keys_are_those_of_the_app_and_are_never_repeated() {
    let key = "0123456789abcdef0123456789abcdef";
    let mut config: Value = serde_json::from_str(LEAST).expect("JSON");
    config["keys"] = json!(format!("{key},fedcba9876543210fedcba9876543210"));
    let parsed = FunctionConfig::parse(&config.to_string()).expect("two keys");
    assert!(format!("{parsed:?}").contains("Keys(2 of them)"));
    assert!(!format!("{parsed:?}").contains(key));
    for no_text in [json!([key]), json!(1_234_567_890)] {
        config["keys"] = no_text;
        let refused = FunctionConfig::parse(&config.to_string()).expect_err("no text").to_string();
        assert_eq!(refused, "line 1: `keys` is no text: it takes one text, keys separated by commas");
    }
}
