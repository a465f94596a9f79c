//! The operator's commands, against a running `up`.

use std::time::{Duration, Instant};

use serde_json::Value;
use stickshift::store::DynamoDb;
use stickshift::store::plans::read_plan;
use stickshift_contract::ROLLOUT_TABLE;

use crate::cli::{Up, run};
use crate::support::{Viewer, as_cookie, receipt, token};

const KEYS: (&str, &str) = ("STICKSHIFT_KEYS", "0123456789abcdef0123456789abcdef");

/// Runs a verb against an `up`: the exit code, and what was printed.
pub(crate) fn rollout(up: &Up, arguments: &[&str]) -> (i32, String, String) {
    let data_dir = up.data_dir().to_str().expect("text");
    run(&[&["rollout", "--data-dir", data_dir], arguments].concat())
}

/// The same, where it must succeed.
fn done(up: &Up, arguments: &[&str]) -> String {
    let (code, output, error) = rollout(up, arguments);
    assert_eq!((code, error.as_str()), (0, ""), "{arguments:?}");
    output
}

/// What `status --json` prints.
pub(crate) fn status(up: &Up) -> Value {
    serde_json::from_str(&done(up, &["status", "--json"])).expect("one line of JSON")
}

fn versions_of_new_viewers(up: &Up, count: usize) -> impl Future<Output = Vec<String>> {
    let url = up.cloudfront.clone();
    async move {
        let mut versions = Vec::new();
        for _ in 0..count {
            versions.push(Viewer::new(&url).get("/").await.version().to_owned());
        }
        versions
    }
}

#[actix_web::test]
async fn a_version_goes_from_nothing_to_everything_and_back_by_hand() {
    // A plan is read for every new session.
    let up = Up::start(&["--weight", "2=0"], &[KEYS, ("STICKSHIFT_PLAN_TTL_SECONDS", "0")]);
    let first = Viewer::new(&up.cloudfront);
    let first_token = first.get("/").await.receipt().expect("a receipt").token;
    assert!(versions_of_new_viewers(&up, 10).await.iter().all(|version| version == "1"));

    done(&up, &["set-weight", "2=50", "--reason", "half"]);
    let versions = versions_of_new_viewers(&up, 40).await;
    let on_two = versions.iter().filter(|version| *version == "2").count();
    assert!((5..=35).contains(&on_two), "{on_two} of 40");
    assert_eq!(first.get("/").await.version(), "1", "a session in progress stays");

    done(&up, &["promote", "2"]);
    assert!(versions_of_new_viewers(&up, 10).await.iter().all(|version| version == "2"));
    assert_eq!(first.get("/").await.version(), "1");
    let counts = status(&up);
    let live = |version: &str| counts["live_sessions"][version]["sessions"].as_u64().expect("a count");
    assert_eq!((live("1"), live("2")), (51 - on_two as u64, 10 + on_two as u64));

    done(&up, &["drain", "1", "--until", "30m"]);
    assert_eq!(first.get("/").await.version(), "1");
    let (code, _, error) = rollout(&up, &["remove", "1"]);
    assert_eq!(code, 1);
    assert!(error.contains("sessions are on version 1: drain it first"), "{error}");

    // Back: everything to version 1, and the sessions of version 2 move at once.
    done(&up, &["promote", "1"]);
    let moved = Viewer::new(&up.cloudfront);
    let old = stickshift_contract::Receipt { token: token(2), ..receipt("2", 5) };
    done(&up, &["abort", "2", "--evict", "--reason", "it fails"]);
    // A request that may use an older plan uses one of the same second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let page = moved.get_with("/", &[("cookie", &as_cookie(&old))]).await;
    let new = page.receipt().expect("a receipt");
    assert_eq!((page.version(), page.way()), ("1", "moved"));
    assert_eq!((new.token, new.started), (old.token, old.started), "it keeps its token and its first visit");
    let again = first.get("/").await;
    assert_eq!((again.version(), first_token), ("1", first_token));

    let history = done(&up, &["history", "--json"]);
    let reasons: Vec<Value> = history.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(reasons.len(), 6);
    assert_eq!((&reasons[0]["why"], &reasons[0]["revision"]), (&Value::from("it fails"), &Value::from(6)));
    up.stop();
}

#[actix_web::test]
async fn an_abort_is_in_force_within_ten_seconds_for_receipts_of_any_age() {
    let up = Up::start(&["--weight", "2=50"], &[KEYS]);
    let viewers: Vec<_> = [1, 30, 59, 61, 300, 700]
        .into_iter()
        .enumerate()
        .map(|(index, age)| {
            (age, stickshift_contract::Receipt { token: token(index as u64 + 10), ..receipt("2", age) })
        })
        .collect();
    let viewer = Viewer::new(&up.cloudfront);
    for (age, receipt) in &viewers {
        let page = viewer.get_with("/", &[("cookie", &as_cookie(receipt))]).await;
        assert_eq!(page.version(), "2", "{age} s old, before the abort");
    }
    done(&up, &["abort", "--evict"]);
    let begin = Instant::now();
    tokio::time::sleep(Duration::from_secs(10)).await;
    for (age, receipt) in &viewers {
        let page = Viewer::new(&up.cloudfront).get_with("/", &[("cookie", &as_cookie(receipt))]).await;
        assert_eq!(page.version(), "1", "{age} s old, {:?} after the abort", begin.elapsed());
    }
    up.stop();
}

#[actix_web::test]
async fn of_two_operators_at_once_one_wins_and_the_other_is_told() {
    let up = Up::start(&["--weight", "2=10"], &[]);
    let mut outcomes = Vec::new();
    // They rarely meet, so they try several times.
    for round in 0..10 {
        let runs: Vec<_> = (0..4)
            .map(|operator| {
                let data_dir = up.data_dir().to_str().expect("text").to_owned();
                std::thread::spawn(move || {
                    let weight = format!("2={}", 20 + round * 4 + operator);
                    run(&["rollout", "--data-dir", &data_dir, "set-weight", &weight, "--reason", "mine"])
                })
            })
            .collect();
        outcomes.extend(runs.into_iter().map(|run| run.join().expect("it runs")));
    }
    let (won, told): (Vec<_>, Vec<_>) = outcomes.iter().partition(|(code, ..)| *code == 0);
    assert!(!told.is_empty(), "nobody met");
    for (code, output, error) in told {
        assert_eq!((*code, output.as_str()), (1, ""));
        assert!(error.contains("somebody else was faster, so nothing was changed: revision"), "{error}");
        assert!(error.contains(": mine\n"), "{error}");
    }
    let plan = read_plan(&DynamoDb::at(&up.dynamodb).client(), ROLLOUT_TABLE).await.expect("read").expect("a plan");
    assert_eq!(plan.revision(), 1 + won.len() as u64, "each winner made one revision");
    up.stop();
}

#[actix_web::test]
async fn a_dry_run_changes_nothing_and_undo_goes_back() {
    let up = Up::start(&["--weight", "2=10"], &[]);
    let output = done(&up, &["set-weight", "2=25", "--dry-run"]);
    assert!(output.ends_with("Nothing was changed: this was a dry run.\n"), "{output}");
    assert_eq!(status(&up)["plan"]["revision"], 1);
    let output = done(&up, &["set-weight", "2=25", "--json"]);
    let change: Value = serde_json::from_str(&output).expect("one line of JSON");
    assert_eq!(change["before"]["versions"]["2"]["weight_basis_points"], 1000);
    assert_eq!(change["after"]["versions"]["2"]["weight_basis_points"], 2500);
    assert_eq!(change["is_dry_run"], false);
    done(&up, &["add", "3", "--origin", "http://localhost:8083"]);
    assert_eq!(status(&up)["plan"]["versions"]["3"]["state"], "staged");
    done(&up, &["undo", "--to", "1"]);
    let back = status(&up);
    assert_eq!(
        (&back["plan"]["revision"], &back["plan"]["why"]),
        (&Value::from(4), &Value::from("back to revision 1"))
    );
    assert_eq!(back["plan"]["versions"]["2"]["weight_basis_points"], 1000);
    assert!(back["plan"]["versions"].get("3").is_none());
    done(&up, &["restore", "--above", "41", "--reason", "a backup"]);
    let restored = status(&up);
    assert_eq!(restored["plan"]["revision"], 42);
    assert_eq!(restored["plan"]["versions"], back["plan"]["versions"]);
    for (arguments, says) in [
        (&["undo", "--to", "99"][..], "the history has no revision 99: see `history`"),
        (&["set-weight", "9=1"], "version 9 is not in the plan, which has versions 1, 2"),
        (&["drain", "1"], "version 1 is stable"),
        (&["undo", "--to", "1"], "the plan is like that already"),
    ] {
        let (code, output, error) = rollout(&up, arguments);
        assert_eq!((code, output.as_str()), (1, ""), "{arguments:?}");
        assert!(error.contains(says), "{error}");
    }
    up.stop();
}

#[actix_web::test]
async fn a_watched_status_is_a_line_for_each_change_and_ends_with_its_reader() {
    use std::io::{BufRead as _, BufReader};
    let up = Up::start(&["--weight", "2=10"], &[]);
    let data_dir = up.data_dir().to_str().expect("text");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stickshift"));
    command.args(["rollout", "--data-dir", data_dir, "status", "--watch"]).stdout(std::process::Stdio::piped());
    let mut watching = command.spawn().expect("it starts");
    let mut lines = BufReader::new(watching.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let first = lines.next().expect("a line");
    assert_eq!(
        first,
        "revision 1; version 1: live, stable, 90.00 %, 0 live sessions; version 2: live, 10.00 %, 0 live sessions"
    );
    done(&up, &["set-weight", "2=20"]);
    let second = lines.next().expect("a line");
    assert!(second.starts_with("revision 2; version 1: live, stable, 80.00 %"), "{second}");
    // Nobody reads any more, so the next change ends it.
    drop(lines);
    done(&up, &["set-weight", "2=30"]);
    assert_eq!(watching.wait().expect("it ends").code(), Some(0));
    up.stop();
}

#[actix_web::test]
async fn explain_says_what_the_edge_would_decide_and_why() {
    let up = Up::start(&["--weight", "2=10"], &[KEYS]);
    let explain = |cookie: &str, keys: &[(&str, &str)]| {
        let data_dir = up.data_dir().to_str().expect("text").to_owned();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stickshift"));
        command.args(["rollout", "--data-dir", &data_dir, "explain", cookie, "--json"]).envs(keys.iter().copied());
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(cookie.len() < 10 || !text.contains(cookie), "a cookie is never printed whole");
        let told: Value = serde_json::from_str(&text).expect("JSON");
        (told["route"].as_str().expect("a reason").to_owned(), told["version"].as_str().map(str::to_owned), text)
    };
    let cookie = |version: &str, age| as_cookie(&receipt(version, age)).split_once('=').expect("a name").1.to_owned();
    let is = |route: &str, version: Option<&str>| (route.to_owned(), version.map(str::to_owned));
    let young = explain(&cookie("2", 5), &[KEYS]);
    assert_eq!((young.0, young.1), is("receipt", Some("2")));
    assert!(young.2.contains("its tag is valid"), "{}", young.2);
    let old = explain(&cookie("2", 300), &[KEYS]);
    assert_eq!((old.0, old.1), is("hint", Some("2")));
    assert!(old.2.contains("the table has no item"), "{}", old.2);
    let forged = explain(&cookie("2", 5).replace(".2.", ".1."), &[KEYS]);
    assert_eq!((forged.0, forged.1), is("roll", None));
    // The keys of the data directory are others than the test's.
    std::fs::remove_file(up.data_dir().join("keys")).ok();
    let unchecked = explain(&cookie("2", 5), &[]);
    assert_eq!((unchecked.0, unchecked.1), is("receipt", Some("2")));
    assert!(unchecked.2.contains("its tag was NOT checked"), "{}", unchecked.2);
    done(&up, &["abort", "2", "--evict"]);
    let moved = explain(&cookie("2", 5), &[KEYS]);
    assert_eq!((moved.0, moved.1), is("moved", Some("1")));
    up.stop();
}

#[actix_web::test]
async fn with_no_up_and_no_aws_it_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, output, error) = run(&["rollout", "--data-dir", folder.path().to_str().expect("text"), "status"]);
    assert_eq!((code, output.as_str()), (1, ""));
    assert!(error.contains("start one, name another with --data-dir, or name the site on AWS with --site"), "{error}");
}
