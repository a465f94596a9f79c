//! What an instance reports, and what operators see of it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use actix_web::rt::time::sleep;
use aws_sdk_dynamodb::types::AttributeValue;
use stickshift::clock::unix_now;
use stickshift::serve::{self, OriginListeners};
use stickshift::store::DynamoDb;
use stickshift::store::pulses::PulseStore;
use stickshift_contract::{Draws, FORMATS, Histogram, Pulse, ROLLOUT_TABLE};

use crate::cli::{Up, run};
use crate::faulty::hanging;
use crate::rollout::{rollout, status};
use crate::support::{App, Viewer, any_port, as_cookie, code, dynamodb, receipt, send, token};
use crate::upstream::{sidecar, spawn_app};

/// Reads the last pulse of the only instance of version 2, once `is_there` holds.
async fn pulse_when(store: &PulseStore, is_there: impl Fn(&Pulse) -> bool) -> Pulse {
    let begin = Instant::now();
    loop {
        let last = store.last(code("2")).await.expect("pulses").pulses;
        if let [pulse] = last.as_slice()
            && is_there(pulse)
        {
            return pulse.clone();
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "{last:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

fn item_size(item: &HashMap<String, AttributeValue>) -> usize {
    // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    fn size(value: &AttributeValue) -> usize {
        match value {
            AttributeValue::S(text) => text.len(),
            AttributeValue::N(number) => number.len().div_ceil(2) + 1,
            AttributeValue::L(list) => 3 + list.iter().map(|value| size(value) + 1).sum::<usize>(),
            AttributeValue::M(map) => 3 + map.iter().map(|(name, value)| name.len() + size(value) + 1).sum::<usize>(),
            _ => 1,
        }
    }
    item.iter().map(|(name, value)| name.len() + size(value)).sum()
}

#[actix_web::test]
async fn an_instance_reports_what_it_has_counted() {
    let (dynamodb, client) = dynamodb().await;
    let mut settings = sidecar("2", &spawn_app());
    settings.shared.pulse_seconds = 1;
    settings.shared.cookie.timing.touch_interval_seconds = 0;
    let (public, admin) = (any_port(), any_port());
    let url = format!("http://{}", public.local_addr().expect("an address"));
    let origin = serve::start(OriginListeners { public, admin }, settings, dynamodb.dynamodb()).expect("a server");
    let store = PulseStore::new(client.clone(), ROLLOUT_TABLE.to_owned());
    let begin = unix_now();

    let edge = |route: &'static str, revision: &'static str| {
        [
            ("x-stickshift-version", "2"),
            ("x-stickshift-edge", "receipt=1, plan=9"),
            ("x-stickshift-route", route),
            ("x-stickshift-revision", revision),
        ]
    };
    let viewer = Viewer::new(&url);
    // A draw that begins a session; two tabs renew it; it fails twice.
    assert!(viewer.get_with("/dawdle/1", &edge("roll", "41")).await.set_cookie().is_some());
    let cookie = viewer.get_with("/dawdle/1", &edge("receipt", "")).await.receipt().expect("a receipt");
    sleep(Duration::from_millis(1_100)).await;
    let old_tab = as_cookie(&stickshift_contract::Receipt { touched: cookie.started, ..cookie });
    for path in ["/dawdle/1", "/fail/500", "/fail/502"] {
        let other_tab = Viewer::new(&url);
        let headers = [("cookie", old_tab.as_str()), ("x-stickshift-route", "receipt"), ("x-stickshift-version", "2")];
        other_tab.get_with(path, &headers).await;
    }
    // A draw whose first answer fails, and one that its viewer gives up.
    let failed = Viewer::new(&url).get_with("/fail/503", &edge("roll", "41")).await;
    assert_eq!((failed.status, failed.set_cookie()), (503, None));
    let impatient = edge("roll", "42").iter().fold(
        Viewer::new(&url).request("GET", "/dawdle/1000").timeout(Duration::from_millis(400)),
        |request, (name, value)| request.header(*name, *value),
    );
    assert!(impatient.send().await.is_err(), "it gave up");
    // None of these was drawn for this version: moved here, meant for another one, without an edge.
    let moved = as_cookie(&stickshift_contract::Receipt { token: token(2), ..receipt("1", 5) });
    let headers = [&edge("moved", "42")[..], &[("cookie", &moved), ("x-stickshift-from", "1")]].concat();
    assert!(Viewer::new(&url).get_with("/dawdle/1", &headers).await.set_cookie().is_some());
    let headers = [("x-stickshift-version", "1"), ("x-stickshift-route", "roll"), ("x-stickshift-revision", "41")];
    Viewer::new(&url).get_with("/dawdle/1", &headers).await;
    Viewer::new(&url).get("/dawdle/1").await;

    let is_there = |pulse: &Pulse| {
        let draws = |revision| pulse.revisions.get(&revision).cloned().unwrap_or_default();
        draws(41).failed > 0 && !draws(42).first_answers.is_empty()
    };
    let pulse = pulse_when(&store, is_there).await;
    let of_41 = pulse.revisions[&41].clone();
    assert_eq!(
        Draws { first_answers: Histogram::default(), ..of_41.clone() },
        Draws { drawn: 2, first_failed: 1, renewed: 1, failed: 1, finished: 0, first_answers: Histogram::default() }
    );
    assert_eq!(of_41.first_answers.count(), 2);
    let of_42 = pulse.revisions[&42].clone();
    assert_eq!((of_42.drawn, of_42.first_failed, of_42.renewed, of_42.failed), (1, 0, 0, 0));
    let waited = of_42.first_answers.percentile(100).expect("it waited");
    assert!(waited >= Duration::from_millis(1_000), "{waited:?}");
    assert_eq!(pulse.revisions.len(), 2);
    assert_eq!(pulse.requests["roll"], [0, 3, 0, 0, 1]);
    assert_eq!(pulse.requests["receipt"], [0, 2, 0, 0, 2]);
    assert_eq!((pulse.requests["moved"], pulse.requests["direct"]), ([0, 1, 0, 0, 0], [0, 1, 0, 0, 0]));
    assert_eq!((pulse.requests(), pulse.latencies.count(), pulse.server_errors()), (10, 10, 3));
    assert_eq!((pulse.misdirected, pulse.failed_writes, pulse.last_failed_write), (1, 0, None));
    assert_eq!((pulse.formats.as_str(), pulse.lifetime_seconds, pulse.interval_seconds), (FORMATS, 660, 1));
    assert!((begin..=unix_now()).contains(&pulse.edges["receipt=1, plan=9"]));
    assert!(pulse.started_at >= begin - 1 && pulse.written_at >= pulse.started_at);

    let key = |name: &str| AttributeValue::S(name.to_owned());
    let item = client.get_item().table_name(ROLLOUT_TABLE).key("pk", key("pulse#2")).key("sk", key(&pulse.instance));
    let item = item.send().await.expect("an answer").item.expect("an item");
    assert!(item_size(&item) < 1024, "{} bytes", item_size(&item));
    let expiration: u64 = item["expiration"].as_n().expect("a number").parse().expect("a number");
    assert!((pulse.written_at + 7 * 86_400..).contains(&expiration));
    let minutes = store.minutes(code("2"), begin - 60, begin + 60).await.expect("pulses").pulses;
    assert!(minutes.iter().all(|minute| minute.instance == pulse.instance), "{minutes:?}");
    assert!((1..=2).contains(&minutes.len()), "one a minute: {minutes:?}");

    // One that comes late changes nothing.
    let late = Pulse { sequence: 1, misdirected: 99, ..pulse.clone() };
    store.write(code("2"), &late).await.expect("no failure");
    assert_ne!(pulse_when(&store, |_| true).await.misdirected, 99);

    origin.stop().await;
    let ended = pulse_when(&store, |pulse| pulse.ended).await;
    assert!(ended.sequence > pulse.sequence);
    sleep(Duration::from_millis(1_500)).await;
    assert_eq!(pulse_when(&store, |_| true).await, ended, "it writes nothing any more");
}

#[actix_web::test]
async fn a_table_that_never_answers_costs_no_request_anything() {
    let (endpoint, _listener) = hanging();
    let mut settings = sidecar("2", &spawn_app());
    settings.shared.pulse_seconds = 1;
    let app = App::spawn_with(settings, &endpoint);
    let viewer = Viewer::new(&app.url);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(4) {
        let request = viewer.request("GET", "/").header("cookie", as_cookie(&receipt("2", 5)));
        // A pulse that held a request up would do so for 1.5 s.
        let page = send(request.timeout(Duration::from_secs(1))).await;
        assert_eq!(page.status, 200);
        sleep(Duration::from_millis(20)).await;
    }
}

#[actix_web::test]
async fn an_operator_sees_what_instances_report() {
    let up = Up::start(&["--weight", "2=50"], &[("STICKSHIFT_PULSE_SECONDS", "1")]);
    for _ in 0..20 {
        let viewer = Viewer::new(&up.cloudfront);
        viewer.get("/").await;
        viewer.get("/nowhere").await;
    }
    let begin = Instant::now();
    let seen = loop {
        let seen = status(&up);
        let reports = &seen["last_five_minutes"];
        let of_both = |name: &str| ["1", "2"].map(|version| reports[version][name].as_u64().unwrap_or(0));
        if of_both("requests").iter().sum::<u64>() == 40 {
            assert_eq!(of_both("instances"), [1, 1]);
            assert_eq!(of_both("drawn").iter().sum::<u64>(), 20);
            assert_eq!(of_both("server_errors"), [0, 0]);
            break seen;
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "{seen}");
        sleep(Duration::from_millis(200)).await;
    };
    let shares = ["1", "2"].map(|version| seen["new_sessions"][version]["share"].as_f64().expect("a share"));
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
    assert_eq!(seen["warnings"], serde_json::json!([]));
    let (_, text, _) = rollout(&up, &["status"]);
    for row in ["new sessions", "requests", "p50, p99", "instances        1, 0 connections", FORMATS] {
        assert!(text.contains(row), "{row} in {text}");
    }
    up.stop();
}

#[actix_web::test]
async fn new_sessions_go_nowhere_where_nobody_lives_unless_forced() {
    let up = Up::start(&["--weight", "2=10"], &[]);
    assert_eq!(rollout(&up, &["add", "3", "--origin", "http://localhost:8083"]).0, 0);
    for arguments in [&["set-weight", "3=5"][..], &["promote", "3"], &["set-weight", "3=5", "--dry-run"]] {
        let (code, output, error) = rollout(&up, arguments);
        assert_eq!((code, output.as_str()), (1, ""), "{arguments:?}");
        assert_eq!(
            error,
            "error: version 3 would get new sessions, and no instance of it is alive; nothing was changed, and \
             --force changes it all the same\n"
        );
    }
    assert_eq!(rollout(&up, &["set-weight", "3=5", "--force"]).0, 0);
    assert_eq!(status(&up)["warnings"], serde_json::json!(["version 3 has no living instance"]));
    // Less for a dead version needs no force.
    assert_eq!(rollout(&up, &["abort", "3"]).0, 0);
    up.stop();
}

#[actix_web::test]
async fn waiting_ends_with_the_event_or_the_time() {
    let up = Up::start(&["--weight", "2=10"], &[]);
    let (code, output, error) = rollout(&up, &["status", "--until", "changed", "--timeout", "1s"]);
    assert_eq!((code, output.as_str()), (4, ""));
    assert_eq!(error, "error: gave up waiting: the plan is still revision 1\n");
    let (code, _, error) = rollout(&up, &["status", "--until", "drained"]);
    assert_eq!((code, error.as_str()), (1, "error: no version is draining or withdrawn: drain one first\n"));
    assert_eq!(rollout(&up, &["status", "--timeout", "1s"]).0, 2);
    assert_eq!(rollout(&up, &["drain", "2", "--wait", "--dry-run"]).0, 2);

    let data_dir = up.data_dir().to_str().expect("text").to_owned();
    let waiting = std::thread::spawn(move || {
        run(&["rollout", "--data-dir", &data_dir, "status", "--until", "changed", "--timeout", "1m"])
    });
    sleep(Duration::from_millis(1_500)).await;
    assert_eq!(rollout(&up, &["set-weight", "2=20"]).0, 0);
    let (code, output, _) = waiting.join().expect("it ends");
    assert_eq!(code, 0);
    assert!(output.contains("revision 2 since"), "{output}");
    up.stop();
}

#[actix_web::test]
async fn a_drain_ends_when_nobody_is_left_and_everything_is_known() {
    let settings = [
        ("STICKSHIFT_PULSE_SECONDS", "1"),
        ("STICKSHIFT_SESSION_SECONDS", "60"),
        ("STICKSHIFT_TOUCH_INTERVAL_SECONDS", "0"),
        ("STICKSHIFT_CLOCK_ALLOWANCE_SECONDS", "0"),
        ("STICKSHIFT_TRUST_WINDOW_SECONDS", "60"),
    ];
    let up = Up::start(&["--weight", "2=100"], &settings);
    let viewer = Viewer::new(&up.cloudfront);
    assert_eq!(viewer.get("/").await.version(), "2");
    let data_dir = up.data_dir().to_str().expect("text").to_owned();
    let begin = Instant::now();
    let draining = std::thread::spawn(move || run(&["rollout", "--data-dir", &data_dir, "drain", "2", "--wait"]));
    // The viewer stays for a while, and finishes on version 2.
    while begin.elapsed() < Duration::from_secs(15) {
        sleep(Duration::from_secs(1)).await;
        assert_eq!(viewer.get("/").await.version(), "2");
    }
    let last_visit = begin.elapsed();
    let (code, output, error) = draining.join().expect("it ends");
    assert_eq!((code, error.as_str()), (0, ""), "{output}");
    // A session lives for a minute here, and a plan counts as in force everywhere after two.
    assert!(last_visit < Duration::from_secs(30) && begin.elapsed() > Duration::from_secs(118), "{output}");
    assert!(output.contains("version 2 is not drained: the plan is in force everywhere at "), "{output}");
    assert!(output.contains("; live sessions: 1, the last one until "), "{output}");
    assert!(output.contains("is about to report that it is quiet"), "{output}");
    assert!(output.ends_with("switch it off, unless it is the distribution's default origin.\n"), "{output}");
    assert_eq!(rollout(&up, &["remove", "2"]).0, 0);
    up.stop();
}

#[actix_web::test]
async fn what_strangers_say_stops_neither_pulses_nor_operators() {
    let up = Up::start(&["--weight", "2=10"], &[("STICKSHIFT_PULSE_SECONDS", "1")]);
    let client = DynamoDb::at(&up.dynamodb).client();
    let store = PulseStore::new(client.clone(), ROLLOUT_TABLE.to_owned());
    let origin = up.overview.lines().find(|line| line.contains("version 2, ")).expect("a row");
    let origin = origin.split_whitespace().find(|word| word.starts_with("http://")).expect("an address");
    let long = "plan=1, ".repeat(20);
    for formats in ["", "nonsense", "plan=x", &long] {
        let headers = [("x-stickshift-edge", formats), ("x-stickshift-route", "roll"), ("x-stickshift-revision", "1")];
        Viewer::new(origin).get_with("/", &headers).await;
    }
    let outside = [("x-stickshift-edge", "plan=0")];
    Viewer::new(origin).get_with("/", &outside).await;
    let far = [("x-stickshift-route", "roll"), ("x-stickshift-revision", "18446744073709551615")];
    Viewer::new(origin).get_with("/", &far).await;
    let before = pulse_when(&store, |_| true).await.sequence;
    let pulse = pulse_when(&store, |pulse| pulse.sequence > before + 1).await;
    assert!(pulse.edges.is_empty() && pulse.revisions.keys().eq([&1]), "{pulse:?}");

    // Items that nobody of ours has written.
    let item = |instance: &str, format: &str, written: AttributeValue| {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let number = |text: &str| AttributeValue::N(text.to_owned());
        [
            ("pk", text("pulse#2")),
            ("sk", text(instance)),
            ("format", number(format)),
            ("instance", text(instance)),
            ("sequence", number("1")),
            ("started_at", number("1")),
            ("written_at", written),
            ("interval_seconds", number("1")),
            ("lifetime_seconds", number("1")),
            ("clock_allowance_seconds", number("1")),
            ("formats", text("plan=1\u{1b}[2J")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
    };
    let most = AttributeValue::N(u64::MAX.to_string());
    for item in [
        item("later", "2", AttributeValue::N("1".to_owned())),
        item("false", "1", AttributeValue::S("now".to_owned())),
        item("far", "1", most),
    ] {
        client.put_item().table_name(ROLLOUT_TABLE).set_item(Some(item.into())).send().await.expect("put");
    }
    let seen = status(&up);
    assert_eq!(seen["warnings"], serde_json::json!(["2 pulses of version 2 cannot be read: update this program"]));
    let (code, text, _) = rollout(&up, &["status"]);
    assert!(code == 0 && !text.contains('\u{1b}'), "{text}");
    let (code, output, error) = rollout(&up, &["abort", "2", "--evict", "--reason", "one\ntwo"]);
    assert_eq!((code, output.as_str()), (2, ""));
    assert!(error.contains("a reason is one line of text"), "{error}");
    assert_eq!(rollout(&up, &["abort", "2", "--evict"]).0, 0);
    let (code, output, _) = rollout(&up, &["status", "--until", "drained", "--timeout", "1s"]);
    assert_eq!(code, 4);
    assert!(output.contains("2 pulses of its instances cannot be read"), "{output}");
    up.stop();
}

#[actix_web::test]
async fn a_restored_plan_goes_on_above_what_instances_remember() {
    let up = Up::start(&["--weight", "2=10"], &[("STICKSHIFT_PULSE_SECONDS", "1")]);
    let client = DynamoDb::at(&up.dynamodb).client();
    let store = PulseStore::new(client.clone(), ROLLOUT_TABLE.to_owned());
    let key = |sort_key: &str| {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        HashMap::from([("pk".to_owned(), text("rollout")), ("sk".to_owned(), text(sort_key))])
    };
    let get = client.get_item().table_name(ROLLOUT_TABLE).set_key(Some(key("current"))).send().await;
    let backup = get.expect("an answer").item.expect("a plan");
    for weight in ["2=20", "2=30"] {
        assert_eq!(rollout(&up, &["set-weight", weight]).0, 0);
    }
    pulse_when(&store, |pulse| pulse.plan_revision == 3).await;
    // The table comes back as it was, without the later plans.
    client.put_item().table_name(ROLLOUT_TABLE).set_item(Some(backup)).send().await.expect("put");
    for sort_key in ["0000000002", "0000000003"] {
        let delete = client.delete_item().table_name(ROLLOUT_TABLE).set_key(Some(key(sort_key)));
        delete.send().await.expect("deleted");
    }
    assert_eq!(rollout(&up, &["restore"]).0, 0);
    let plan = &status(&up)["plan"];
    assert_eq!((&plan["revision"], &plan["versions"]["2"]["weight_basis_points"]), (&4.into(), &1000.into()));
    up.stop();
}

#[actix_web::test]
async fn somebody_who_waits_learns_it_when_nobody_reads() {
    let up = Up::start(&["--weight", "2=10"], &[]);
    assert_eq!(rollout(&up, &["drain", "2"]).0, 0);
    let data_dir = up.data_dir().to_str().expect("text");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stickshift"));
    command.args(["rollout", "--data-dir", data_dir, "drain", "2", "--wait"]).stdout(std::process::Stdio::piped());
    let mut waiting = command.spawn().expect("it starts");
    drop(waiting.stdout.take());
    assert_eq!(waiting.wait().expect("it ends").code(), Some(1), "it is not drained");
    up.stop();
}

#[actix_web::test]
async fn a_table_that_is_away_ends_no_waiting_and_a_throttled_one_says_so() {
    let up = Up::start(&["--weight", "2=10"], &[]);
    assert_eq!(rollout(&up, &["drain", "2"]).0, 0);
    let data_dir = up.data_dir().to_str().expect("text").to_owned();
    let waiting = std::thread::spawn(move || {
        run(&["rollout", "--data-dir", &data_dir, "status", "--until", "drained", "--timeout", "70s"])
    });
    sleep(Duration::from_secs(2)).await;
    up.freeze(true);
    sleep(Duration::from_secs(60)).await;
    up.freeze(false);
    let (code, output, error) = waiting.join().expect("it ends");
    assert_eq!(code, 4, "{error}");
    assert!(error.contains("trying again every 5 s"), "{error}");
    assert!(output.contains("version 2 is not drained"), "{output}");
    up.stop();

    let throttled = crate::faulty::throttling();
    for verb in [&["status"][..], &["set-weight", "2=5"], &["abort"]] {
        let endpoint = throttled.clone();
        let told = actix_web::web::block(move || {
            let variables = [("AWS_ENDPOINT_URL_DYNAMODB", endpoint.as_str())];
            let access = [("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x")];
            let arguments = [&["rollout", "--region", "us-east-1"], verb].concat();
            crate::cli::run_with(&arguments, &[&variables[..], &access].concat())
        });
        let (code, output, error) = told.await.expect("it runs");
        assert_eq!((code, output.as_str()), (1, ""), "{verb:?}");
        assert!(error.contains("could not read the plan") && error.contains("TOO FAST"), "{error}");
    }
}
