use std::time::Duration;

use serde_json::{Value, json};
use stickshift_contract::SameSite;
use stickshift_edge::{FunctionConfig, Replica, function_settings};

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

/// The error of a configuration in which one text is replaced by another.
fn refusal(text: &str, replacement: &str) -> String {
    assert!(LEAST.contains(text), "{text}");
    FunctionConfig::parse(&LEAST.replacen(text, replacement, 1)).expect_err(replacement).to_string()
}

#[test]
fn fields_that_are_left_out_have_their_defaults() {
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
fn the_example_sets_every_field_but_secrets_to_its_default() {
    let text = include_str!("../../lambda/config.json");
    FunctionConfig::parse(text).expect("the example");
    let example: Value = serde_json::from_str(text).expect("JSON");
    let example = example.as_object().expect("an object");
    let settings = function_settings();
    let mut names: Vec<&str> =
        settings.iter().filter(|setting| !setting.is_secret).map(|setting| setting.name).collect();
    names.sort_unstable();
    assert_eq!(example.keys().map(String::as_str).collect::<Vec<_>>(), names);
    for setting in settings.iter().filter(|setting| !setting.default.is_empty()) {
        let value = &example[setting.name];
        assert_eq!(value.as_str().map_or_else(|| value.to_string(), str::to_owned), setting.default);
    }
    // The parser knows exactly these fields.
    let refused = refusal("\"format\": 1", "\"format\": 1, \"retries\": 3");
    for setting in &settings {
        assert!(refused.contains(&format!("`{}`", setting.name)), "{} in {refused}", setting.name);
    }
    assert_eq!(refused.matches('`').count(), 2 * (settings.len() + 1), "{refused}");
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
fn a_wrong_value_is_named_with_its_path() {
    for (text, replacement, message) in [
        ("\"format\": 1,", "", "missing field `format` (line 14)"),
        ("\"format\": 1", "\"format\": 2", "format: this bundle reads format 1, not 2"),
        ("\"format\": 1", "\"format\": 1,,", "key must be a string (line 2)"),
        ("us-east-1", "us-esat-1", "replicas[0].region: this release knows no AWS region `us-esat-1` (line 3)"),
        ("eu-west-1", "us-east-1", "replicas[1].region: `us-east-1` is there twice"),
        (
            "\"eu-west-1\"",
            "\"eu-west-1\", \"endpoint\": \"x\"",
            "replicas[1].endpoint: unknown field `endpoint`, expected `region` or `endpoint_url` (line 3)",
        ),
        (
            "\"eu-west-1\"",
            "\"eu-west-1\", \"endpoint_url\": \"x\"",
            "replicas[1].endpoint_url: `x` is not a URL: expected https://… or http://… (line 3)",
        ),
        (
            "\"format\": 1",
            "\"format\": 1,\n\"keys\": \"short\"",
            "keys: key 1 has 5 characters: a key needs at least 32, for example from `openssl rand -hex 32` (line 3)",
        ),
        ("\"format\": 1", "\"format\": 1,\n\"keys\": \"\"", "keys: the list of keys is empty (line 3)"),
        (
            "\"format\": 1",
            "\"format\": 1, \"trust_window_seconds\": 601",
            "trust_window_seconds: 601 is out of range: trust_window_seconds takes 0 to 600, the value of session_seconds",
        ),
        (
            "\"format\": 1",
            "\"format\": 1, \"plan_ttl_seconds\": 4000",
            "plan_ttl_seconds: 4000 is out of range: plan_ttl_seconds takes 0 to 30",
        ),
        (
            "\"format\": 1",
            "\"format\": 1, \"plan_ttl_seconds\": -1",
            "plan_ttl_seconds: invalid value, expected u64 (line 2)",
        ),
        (
            "\"format\": 1",
            "\"format\": 1, \"hedge_delay_milliseconds\": 251",
            "hedge_delay_milliseconds: 251 is out of range: hedge_delay_milliseconds takes 0 to 250, \
             the value of deadline_milliseconds",
        ),
        (
            "\"format\": 1",
            "\"format\": 1, \"sessions_table\": \"my table\"",
            "sessions_table: `my table` is not a table name: expected 3 to 255 characters of A-Z a-z 0-9 _ - .",
        ),
        (
            "v1.example.org",
            "10.0.0.1",
            "plan.versions.1.origin.domain: `10.0.0.1` is not a DNS name: expected a name such as v1.example.org, \
             without a port, not an IP address (line 8)",
        ),
        (
            "8080",
            "81",
            "plan.versions.1.origin.port: CloudFront does not connect to port 81: expected 80, 443 or 1024 to 65535 \
             (line 8)",
        ),
        ("8080", "8080, \"path\": \"/\"", "plan.versions.1.origin.path: there is no such field"),
        (
            "10000",
            "9000",
            "plan: the weights of the live versions add up to 90.00 percent: they must add up to 100.00 (line 14)",
        ),
        (
            "10000",
            "10001",
            "plan.versions.1.weight_basis_points: a weight of 10001 basis points is out of range: \
             expected 0 to 10000 (100.00 percent) (line 9)",
        ),
        (
            "\"live\"",
            "\"alive\"",
            "plan.versions.1.state: unknown variant, expected one of `staged`, `live`, `draining`, `withdrawn` (line 10)",
        ),
        ("\"live\"", "\"draining\"", "plan: no version is live: at least one must be (line 14)"),
        ("\"stable\": \"1\"", "\"stable\": \"2\"", "plan: stable is version 2, which is not in the plan (line 14)"),
    ] {
        assert_eq!(refusal(text, replacement), message);
    }
    let refused = |text: &str| FunctionConfig::parse(text).expect_err(text).to_string();
    assert_eq!(refused("{ \"format\": 1 }"), "replicas: expected at least one region that holds the tables");
    assert_eq!(refused(""), "EOF while parsing a value (line 1)");
    assert_eq!(refused(&format!("{LEAST}}}")), "trailing characters (line 15)");
}

#[test]
fn a_version_that_is_there_twice_is_refused() {
    let twice = LEAST.replacen(
        "\"versions\": {",
        "\"versions\": { \"1\": {
        \"origin\": { \"domain\": \"v2.example.org\", \"port\": 80, \"protocol\": \"http\" },
        \"weight_basis_points\": 0, \"state\": \"draining\" },",
        1,
    );
    let refused = FunctionConfig::parse(&twice).expect_err("twice").to_string();
    assert!(refused.starts_with("plan.versions: version 1 is in the plan twice"), "{refused}");
}

#[test]
fn every_field_reaches_the_router() {
    let set = r#""format": 1, "accept_bare_tokens": true, "keep_viewer_host": true, "plan_ttl_seconds": 7,
        "sessions_table": "S.1", "rollout_table": "R-2", "hedge_delay_milliseconds": 1, "deadline_milliseconds": 2,
        "accept_unprefixed_cookie": true, "same_site": "none", "session_max_seconds": 7200,
        "session_seconds": 60, "touch_interval_seconds": 5, "trust_window_seconds": 6, "clock_allowance_seconds": 8"#;
    let config = FunctionConfig::parse(&LEAST.replacen("\"format\": 1", set, 1)).expect("a configuration");
    assert_eq!((config.hedge_delay, config.deadline), (Duration::from_millis(1), Duration::from_millis(2)));
    assert_eq!((config.tables.sessions.as_str(), config.tables.rollout.as_str()), ("S.1", "R-2"));
    let router = config.router;
    assert_eq!((router.plan_ttl_seconds, router.keep_viewer_host, router.cookie.accept_bare_tokens), (7, true, true));
    assert_eq!((router.cookie.accept_unprefixed_cookie, router.cookie.same_site), (true, SameSite::None));
    let timing = router.cookie.timing;
    assert_eq!(timing.session_max_seconds, 7200);
    assert_eq!((timing.session_seconds, timing.touch_interval_seconds), (60, 5));
    assert_eq!((timing.trust_window_seconds, timing.clock_allowance_seconds), (6, 8));
}

#[test]
fn the_default_hedge_delay_gives_way_to_a_short_deadline() {
    let short = LEAST.replacen("\"format\": 1", "\"format\": 1, \"deadline_milliseconds\": 50", 1);
    assert_eq!(FunctionConfig::parse(&short).expect("a configuration").hedge_delay, Duration::from_millis(50));
}

#[test]
fn keys_are_read_and_never_repeated() {
    let key = "0123456789abcdef0123456789abcdef";
    let mut config: Value = serde_json::from_str(LEAST).expect("JSON");
    config["keys"] = json!(format!("{key},fedcba9876543210fedcba9876543210"));
    let parsed = FunctionConfig::parse(&config.to_string()).expect("two keys");
    assert!(format!("{parsed:?}").contains("Keys(2 of them)"));
    assert!(!format!("{parsed:?}").contains(key));
    for no_text in [json!([key]), json!(1_234_567_890)] {
        config["keys"] = no_text;
        let refused = FunctionConfig::parse(&config.to_string()).expect_err("no text").to_string();
        assert_eq!(refused, "keys: invalid type, expected a string (line 1)");
    }
}
