//! The bundle as Lambda runs it: built, unzipped, in AWS's runtime interface client, against an embedded DynamoDB.
//!
//! It takes the bundle, Node and the client, so these tests are left to `edge/lambda/test`.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use futures_util::future::join_all;
use serde_json::{Value, json};
use stickshift::clock::unix_now;
use stickshift_contract::{Link, Pass, Receipt, SessionItem};

use crate::faulty::{hanging, refusing, throttling, unprocessing};
use crate::golden::{Golden, event};
use crate::lambda::{Function, NODES, made, unzip};
use crate::support::{as_cookie, code, dynamodb, keys, put_as_plan, put_session, receipt, session_item, token};
use crate::wire::{Wire, tls};

/// A configuration with replicas at these endpoints, nearest first; the plan is read again for every new session.
///
/// Where somebody answers, the machine may be too busy with other tests for the 250 ms that are usual.
fn config(endpoints: &[&str]) -> Value {
    let regions = ["eu-central-1", "eu-west-1"];
    let replicas = regions.iter().zip(endpoints);
    json!({
        "format": 1,
        "replicas": replicas.map(|(region, url)| json!({ "region": region, "endpoint_url": url })).collect::<Vec<_>>(),
        "keys": "0123456789abcdef0123456789abcdef",
        "plan_ttl_seconds": 0,
        "deadline_milliseconds": 3000,
        "plan": Golden::load().old_plan(),
    })
}

/// The same with the usual deadline.
fn hurried(mut config: Value) -> Value {
    config["deadline_milliseconds"] = json!(250);
    config
}

fn with_cookie(cookie: &str) -> Value {
    let mut event = event();
    event["Records"][0]["cf"]["request"]["headers"]["cookie"] = json!([{ "key": "Cookie", "value": cookie }]);
    event
}

fn request(event: &Value) -> &Value {
    &event["Records"][0]["cf"]["request"]
}

#[actix_web::test]
#[ignore = "needs the bundle: run edge/lambda/test"]
async fn a_link_is_answered_and_its_pass_leads_to_its_version() {
    let (dynamodb, client) = dynamodb().await;
    put_as_plan(&client, Golden::load().plan).await;
    let pass = Pass { version: code("2"), expires: unix_now() + 3_600 };
    let signed = keys().passes().sign_link(&Link { pass, redeem_by: unix_now() + 600 });
    for node in NODES {
        let function = Function::start(node, &config(&[dynamodb.endpoint()]));
        let mut link = event();
        link["Records"][0]["cf"]["request"]["uri"] = json!("//evil.example");
        link["Records"][0]["cf"]["request"]["querystring"] = json!(format!("a=1&stickshift-pass={signed}"));
        let answer = function.invoke(&link).await;
        assert_eq!((&answer["status"], answer.get("uri")), (&json!("302"), None), "{answer} on Node {node}");
        assert_eq!(answer["headers"]["location"], json!([{ "key": "Location", "value": "/evil.example?a=1" }]));
        let cookie = answer["headers"]["set-cookie"][0]["value"].as_str().expect("a cookie");
        assert!(cookie.contains("stickshift-pass=2.") && cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
        let cookie = cookie.split(';').next().expect("a pair");
        assert_eq!(function.reason(&with_cookie(cookie)).await, "pass");
        let mut by_header = event();
        let headers = &mut by_header["Records"][0]["cf"]["request"]["headers"];
        headers["x-stickshift-pass"] = json!([{ "key": "X-Stickshift-Pass", "value": keys().passes().sign(&pass) }]);
        let answer = function.invoke(&by_header).await;
        assert_eq!(answer["headers"]["x-stickshift-route"][0]["value"], "pass");
        assert_eq!(answer["headers"]["x-stickshift-version"][0]["value"], "2");
        assert!(answer["headers"].get("x-stickshift-pass").is_none(), "it reaches no origin");
    }
}

/// A session on version 1 by its item, on version 2 by its receipt: the answer shows which one decided.
async fn session_to_look_up(client: &Client) -> Value {
    put_as_plan(client, Golden::load().plan).await;
    put_session(client, &session_item(&receipt("1", 100))).await;
    with_cookie(&as_cookie(&receipt("2", 110)))
}

#[actix_web::test]
#[ignore = "needs the bundle: run edge/lambda/test"]
async fn golden_events_come_out_as_the_core_answers_them() {
    let (dynamodb, client) = dynamodb().await;
    for node in NODES {
        // Anew, so that young receipts are young.
        let golden = Golden::load();
        golden.store(&client).await;
        let function = Function::start(node, &config(&[dynamodb.endpoint()]));
        for vector in &golden.vectors {
            let answer = function.invoke(&vector.event).await;
            assert_eq!(answer, vector.answer, "{} {function}", vector.about);
        }
        assert!(function.log().contains("ready with plan revision 7"), "{}", function.log());
    }
}

#[actix_web::test]
#[ignore = "needs the bundle: run edge/lambda/test"]
async fn dynamodb_is_spoken_to_by_tls() {
    let (dynamodb, client) = dynamodb().await;
    let event = session_to_look_up(&client).await;
    let (url, root, _folder) = tls(dynamodb.endpoint()).await;
    for node in NODES {
        let variables = [("SSL_CERT_FILE", root.to_str().expect("a path in UTF-8"))];
        let function = Function::start_in(unzip(&config(&[&url])), node, &variables);
        assert_eq!(function.reason(&event).await, "record", "{function}");
        // A certificate that nobody vouches for is no DynamoDB.
        let suspicious = Function::start(node, &hurried(config(&[&url])));
        assert_eq!(suspicious.reason(&event).await, "hint", "{suspicious}");
        assert!(suspicious.log().contains("UnknownIssuer"), "{}", suspicious.log());
    }
}

#[actix_web::test]
#[ignore = "needs the bundle: run edge/lambda/test"]
async fn where_the_nearest_replica_fails_the_next_one_answers() {
    let (dynamodb, client) = dynamodb().await;
    let event = session_to_look_up(&client).await;
    let (hanging, _listener) = hanging();
    for node in NODES {
        for nearest in [&refusing(), &hanging, &throttling(), &unprocessing()] {
            let function = Function::start(node, &config(&[nearest, dynamodb.endpoint()]));
            let reason = function.reason(&event).await;
            assert_eq!(reason, "record", "{nearest} {function}");
        }
    }
}

#[actix_web::test]
#[ignore = "needs the bundle: run edge/lambda/test"]
async fn with_no_replica_the_answer_comes_within_the_deadline_by_receipt_or_plan() {
    let (hanging, _listener) = hanging();
    for node in NODES {
        for endpoint in [&refusing(), &hanging, &throttling(), &unprocessing()] {
            let function = Function::start(node, &hurried(config(&[endpoint, endpoint])));
            let young = with_cookie(&as_cookie(&receipt("2", 10)));
            assert_eq!(function.reason(&young).await, "receipt", "{endpoint} on Node {node}");
            for (cookie, reason) in [(as_cookie(&receipt("2", 100)).as_str(), "hint"), ("", "fallback")] {
                let begin = Instant::now();
                assert_eq!(function.reason(&with_cookie(cookie)).await, reason, "{endpoint} on Node {node}");
                // The deadline is 250 ms; a busy machine gets some grace, an attempt's 3 s do not.
                assert!(begin.elapsed() < Duration::from_secs(2), "{endpoint}: {:?}", begin.elapsed());
            }
            let line = format!("could not look up session {}", token(1).short());
            assert!(function.log().contains(&line), "{}", function.log());
        }
    }
}

#[actix_web::test]
#[ignore = "needs the bundle: run edge/lambda/test"]
async fn a_frozen_function_wakes_to_dead_connections_and_looks_up_all_the_same() {
    let (dynamodb, client) = dynamodb().await;
    let event = session_to_look_up(&client).await;
    for node in NODES {
        let (near, next) = (Wire::to(dynamodb.endpoint()).await, Wire::to(dynamodb.endpoint()).await);
        let function = Function::start(node, &config(&[&near.url, &next.url]));
        for trouble in [Wire::cut, Wire::go_dead] {
            // One that answers by the next replica, so that connections to both are open.
            near.refuse(true);
            near.cut();
            assert_eq!(function.reason(&event).await, "record", "{function}");
            near.refuse(false);
            assert_eq!(function.reason(&event).await, "record", "{function}");
            function.freeze(true);
            trouble(&near);
            trouble(&next);
            tokio::time::sleep(Duration::from_secs(1)).await;
            function.freeze(false);
            assert_eq!(function.reason(&event).await, "record", "{function}");
        }
    }
}

/// Connections make progress during look-ups only.
#[actix_web::test]
#[ignore = "needs the bundle: run edge/lambda/test"]
async fn a_replica_too_far_to_be_reached_in_time_is_reached_later() {
    let (dynamodb, client) = dynamodb().await;
    let event = session_to_look_up(&client).await;
    for node in NODES {
        let far = Wire::opening_after(dynamodb.endpoint(), Duration::from_secs(2)).await;
        let mut config = config(&[&far.url]);
        config["deadline_milliseconds"] = json!(500);
        let function = Function::start(node, &config);
        assert_eq!(function.reason(&event).await, "hint", "{function}");
        // By then the limit of 3 s is over, but the answer has arrived.
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(function.reason(&event).await, "record", "{function}");
        assert!(!function.log().contains("it took more than"), "{function}");
    }
}

/// DynamoDB closes a connection that is not used for a while.
#[actix_web::test]
#[ignore = "needs the bundle: run edge/lambda/test"]
async fn a_connection_that_was_closed_between_look_ups_fails_no_attempt() {
    let (dynamodb, client) = dynamodb().await;
    let event = session_to_look_up(&client).await;
    for node in NODES {
        let wire = Wire::to(dynamodb.endpoint()).await;
        let function = Function::start(node, &config(&[&wire.url]));
        for _ in 0..5 {
            assert_eq!(function.reason(&event).await, "record", "{function}");
            wire.cut();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(!function.log().contains("gave no answer"), "{function}");
    }
}

#[actix_web::test]
#[ignore = "needs the bundle: run edge/lambda/test"]
async fn whatever_goes_wrong_the_request_comes_back_as_it_was_with_a_line_in_the_log() {
    let (dynamodb, client) = dynamodb().await;
    put_as_plan(&client, Golden::load().plan).await;
    let good = config(&[dynamodb.endpoint()]);
    let mut event = event();
    let mut untouched = request(&event).clone();
    untouched["headers"]["x-stickshift-route"] = json!([{ "key": "x-stickshift-route", "value": "fallback" }]);
    event["Records"][0]["cf"]["request"]["headers"]["x-stickshift-route"] = json!([{ "value": "moved" }]);
    event["Records"][0]["cf"]["request"]["headers"]["x-stickshift-from"] = json!([{ "value": "2" }]);

    let no_addon = unzip(&good);
    std::fs::remove_file(no_addon.path().join("stickshift-edge.node")).expect("removed");
    let wrong_addon = unzip(&good);
    std::fs::write(wrong_addon.path().join("stickshift-edge.node"), "no addon").expect("written");
    let no_config = unzip(&good);
    std::fs::remove_file(no_config.path().join("config.json")).expect("removed");
    let bad_config = unzip(&json!({ "format": 2 }));
    let troubles = [
        (no_addon, "Cannot find module './stickshift-edge.node'"),
        (wrong_addon, "/stickshift-edge.node: file too short"),
        (no_config, "ENOENT: no such file or directory, open '"),
        (bad_config, "format: this bundle reads format 1, not 2"),
    ];
    for (folder, cause) in troubles {
        let function = Function::start_in(folder, "24", &[]);
        assert_eq!(function.invoke(&event).await, untouched, "{cause}");
        let log = function.log();
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(lines.len(), 2, "{log}");
        assert!(lines[0].contains("stickshift: could not start the router: ") && lines[0].contains(cause), "{log}");
        assert!(lines[1].contains("stickshift: could not route, so the request goes to the default origin: "), "{log}");
    }

    // With a plan TTL of 30 s there is no look-up before the panic; with 0 there is one.
    for (node, plan_ttl_seconds) in NODES.into_iter().zip([0, 30]) {
        let mut config = good.clone();
        config["plan_ttl_seconds"] = json!(plan_ttl_seconds);
        let folder = unzip(&config);
        std::fs::copy(made("broken-rng.node"), folder.path().join("stickshift-edge.node")).expect("copied");
        let function = Function::start_in(folder, node, &[]);
        for round in 1..=3 {
            assert_eq!(function.invoke(&event).await, untouched, "round {round}");
            assert_eq!(function.log().matches("could not route").count(), round, "{}", function.log());
        }
        let log = function.log();
        let panics: Vec<&str> = log.lines().filter(|line| line.contains("panicked at")).collect();
        assert_eq!(panics.len(), 3, "{log}");
        assert!(panics[0].contains("drawn from a broken generator"), "{log}");
        assert_eq!(function.reason(&with_cookie(&as_cookie(&receipt("2", 10)))).await, "receipt", "and it goes on");
    }

    let function = Function::start("24", &good);
    for no_event in [json!({}), json!(null), json!({ "Records": [] }), json!("text")] {
        assert_eq!(function.invoke(&no_event).await, Value::Null);
    }
    let mut incomplete = event.clone();
    incomplete["Records"][0]["cf"]["request"].as_object_mut().expect("an object").remove("uri");
    assert_eq!(function.invoke(&incomplete).await["headers"], untouched["headers"]);
    assert!(function.log().contains("not an event: missing field `uri`"), "{}", function.log());
    assert_eq!(function.reason(&event).await, "roll", "and it goes on");
}

#[actix_web::test]
#[ignore = "needs the bundle: run edge/lambda/test"]
async fn its_configuration_reaches_the_router() {
    let (dynamodb, client) = dynamodb().await;
    put_as_plan(&client, Golden::load().plan).await;
    put_session(&client, &session_item(&receipt("1", 100))).await;
    let bare = with_cookie(&format!("sessiontoken={}", token(1).as_str()));
    let mut config = config(&[dynamodb.endpoint()]);
    config["accept_bare_tokens"] = json!(true);
    config["keep_viewer_host"] = json!(true);
    let answer = Function::start("24", &config).invoke(&bare).await;
    assert_eq!(answer["headers"]["x-stickshift-route"][0]["value"], "record");
    assert_eq!(answer["headers"]["host"], request(&bare)["headers"]["host"]);
    assert_eq!(answer["origin"]["custom"]["domainName"], "one.example.org");
    config["sessions_table"] = json!("Elsewhere");
    let function = Function::start("24", &config);
    assert_ne!(function.reason(&bare).await, "record");
    assert!(function.log().contains("ResourceNotFoundException"), "{}", function.log());
}

#[actix_web::test]
#[ignore = "needs the bundle: run edge/lambda/test"]
async fn concurrent_events_in_several_threads_of_a_process_get_their_own_answers() {
    let (dynamodb, client) = dynamodb().await;
    for node in NODES {
        let golden = Golden::load();
        golden.store(&client).await;
        let variables = [("AWS_LAMBDA_MAX_CONCURRENCY", "16"), ("AWS_LAMBDA_NODEJS_WORKER_COUNT", "4")];
        let function = Function::start_in(unzip(&config(&[dynamodb.endpoint()])), node, &variables);
        for _ in 0..10 {
            let answers = join_all(golden.vectors.iter().map(|vector| function.invoke(&vector.event))).await;
            for (answer, vector) in answers.iter().zip(&golden.vectors) {
                assert_eq!(*answer, vector.answer, "{} on Node {node}", vector.about);
            }
        }
    }
}

#[actix_web::test]
#[ignore = "needs the bundle: run edge/lambda/test"]
async fn memory_is_flat_over_a_hundred_thousand_events() {
    let (dynamodb, client) = dynamodb().await;
    put_as_plan(&client, Golden::load().plan).await;
    let mut config = config(&[dynamodb.endpoint()]);
    config["plan_ttl_seconds"] = json!(30);
    // The test's start must be young to its end, however slow the machine is.
    config["session_seconds"] = json!(86_400);
    config["trust_window_seconds"] = json!(40_000);
    let function = Function::start("24", &config);
    let old = Receipt { token: token(2), ..receipt("1", 50_000) };
    put_session(&client, &SessionItem { expiration: unix_now() + 86_400, ..session_item(&old) }).await;
    let events = [with_cookie(&as_cookie(&receipt("1", 10))), with_cookie(""), with_cookie(&as_cookie(&old))];
    let reasons = ["receipt", "roll", "record"];
    let mut peaks = Vec::new();
    for _ in 0..10 {
        let mut peak = 0;
        for number in 0..10_000 {
            // Every fourth is looked up.
            let kind = if number % 4 == 0 { 2 } else { number % 2 };
            assert_eq!(function.reason(&events[kind]).await, reasons[kind]);
            if number % 500 == 0 {
                peak = peak.max(function.memory_kib());
            }
        }
        peaks.push(peak);
    }
    println!("peaks of each 10,000 events, in KiB: {peaks:?}");
    // Node's own heap grows by a step now and then. A leak shows in every round: 20 bytes an event are too much.
    let mut growth: Vec<i64> = peaks.windows(2).map(|pair| pair[1] as i64 - pair[0] as i64).collect();
    growth.sort_unstable();
    assert!(growth[growth.len() / 2] < 200, "{peaks:?}");
    assert!(peaks[9] < peaks[2] + 8192, "{peaks:?}");
}
