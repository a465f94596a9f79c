//! Passes: one browser sees one version, whatever the weights say.

use std::time::Duration;

use actix_web::rt::time::sleep;
use serde_json::{Value, json};
use stickshift::clock::unix_now;
use stickshift_contract::{Keys, Link, Pass, Receipt};

use crate::cli::Up;
use crate::support::{
    Page, Viewer, as_cookie, change_plan, code, count_sessions, keys, receipt, spawn_machine, stored_session, token,
};

fn pass(version: &str, seconds: u64) -> Pass {
    Pass { version: code(version), expires: unix_now() + seconds }
}

/// The path of a link to a version.
fn link(version: &str) -> String {
    let link = Link { pass: pass(version, 3_600), redeem_by: unix_now() + 600 };
    format!("/?stickshift-pass={}", keys().passes().sign_link(&link))
}

/// The receipt of the session under a pass.
fn receipt_under_pass(page: &Page) -> Option<Receipt> {
    let value = page.set_cookie()?.strip_prefix("sessiontoken-pass=")?.split(';').next()?;
    Some(keys().verify_under_pass(value).expect("a receipt that verifies"))
}

#[actix_web::test]
async fn a_browser_with_a_pass_sees_the_version_and_then_its_own_session_again() {
    let machine = spawn_machine("0").await;
    let client = machine.dynamodb.dynamodb().client();
    change_plan(&client, |plan| plan["versions"]["2"]["state"] = json!("staged")).await;
    let viewer = Viewer::at(&machine);
    let own = viewer.get("/").await.receipt().expect("a receipt");
    assert_eq!(own.version, code("1"));

    let redirect = viewer.get(&link("2")).await;
    assert_eq!((redirect.status, redirect.header("location")), (302, "/"));
    assert_eq!(redirect.header("cache-control"), "private, no-store");
    let first = viewer.get("/").await;
    assert_eq!((first.version(), first.way()), ("2", "pass"));
    let begun = receipt_under_pass(&first).expect("a session of its own");
    assert_eq!(begun.placed.to_string(), "0o", "nobody drew it");
    let second = viewer.get("/").await;
    assert_eq!((second.version(), second.set_cookie()), ("2", None), "it goes on");
    assert_eq!(viewer.get("/_v/1/theme.css").await.status, 200, "a tab that was open before keeps its assets");
    assert_eq!(count_sessions(&client).await, 2);

    let left = viewer.get("/?stickshift-pass=").await;
    assert_eq!((left.status, left.header("location")), (302, "/"));
    let back = viewer.get("/").await;
    assert_eq!((back.version(), back.way(), back.set_cookie()), ("1", "receipt", None));
    assert!(back.body.contains(&own.token.as_str()[..8]), "the session that it had");
    let item = stored_session(&client, own.token).await.expect("an item");
    assert_eq!((item.touched, item.version), (own.touched, Some(code("1"))), "nothing has touched it");
    machine.stop().await.expect("stopped");
}

#[actix_web::test]
async fn a_pass_counts_by_the_state_of_its_version() {
    let machine = spawn_machine("0").await;
    let client = machine.dynamodb.dynamodb().client();
    let viewer = Viewer::at(&machine);
    assert_eq!(viewer.get(&link("2")).await.status, 302);
    for (state, version, way) in [
        ("staged", "2", "pass"),
        ("live", "2", "pass"),
        ("draining", "2", "pass"),
        ("withdrawn", "1", "roll"),
        ("staged", "2", "pass"),
    ] {
        change_plan(&client, |plan| plan["versions"]["2"]["state"] = json!(state)).await;
        let page = viewer.get("/").await;
        assert_eq!((page.version(), page.way()), (version, way), "{state}");
    }
    // A pass to a version that has just joined the plan.
    assert_eq!(viewer.get(&link("3")).await.status, 302);
    assert_eq!(viewer.get("/").await.version(), "1");
    change_plan(&client, |plan| plan["versions"]["3"] = plan["versions"]["2"].clone()).await;
    let page = viewer.get_with("/", &[("accept", "text/html")]).await;
    assert_eq!(page.way(), "pass");
    machine.stop().await.expect("stopped");
}

#[actix_web::test]
async fn a_pass_that_is_over_or_false_counts_for_nothing() {
    let machine = spawn_machine("0").await;
    let passes = keys();
    let passes = passes.passes();
    let foreign = Keys::parse(&"f".repeat(32)).expect("a key");
    let viewer = Viewer::at(&machine);
    let way = async |cookie: String, header: String| {
        let page = viewer.get_with("/", &[("cookie", &cookie), ("x-stickshift-pass", &header)]).await;
        (page.version().to_owned(), page.way().to_owned())
    };
    let good = passes.sign(&pass("2", 3_600));
    let went = |version: &str, way: &str| (version.to_owned(), way.to_owned());
    assert_eq!(way(format!("stickshift-pass={good}"), String::new()).await, went("2", "pass"));
    assert_eq!(way("a=1".to_owned(), good.clone()).await, went("2", "pass"), "a program, by the header");
    let link = passes.sign_link(&Link { pass: pass("2", 3_600), redeem_by: unix_now() + 600 });
    for bad in [
        good.replacen('2', "1", 1),
        good.to_uppercase().replacen('2', "3", 1),
        foreign.passes().sign(&pass("2", 3_600)),
        passes.sign(&pass("2", 90_000)),
        link,
        String::new(),
    ] {
        assert_eq!(way(format!("stickshift-pass={bad}"), bad.clone()).await, went("1", "roll"), "{bad}");
    }
    let short = passes.sign(&pass("2", 2));
    assert_eq!(way(format!("stickshift-pass={short}"), String::new()).await.1, "pass");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(way(format!("stickshift-pass={short}"), String::new()).await, went("1", "roll"), "it is over");
    machine.stop().await.expect("stopped");
}

#[actix_web::test]
async fn a_receipt_of_one_kind_is_worth_nothing_as_the_other() {
    let machine = spawn_machine("0").await;
    let client = machine.dynamodb.dynamodb().client();
    let stolen = receipt("2", 5);
    let under_pass = keys().sign_under_pass(&stolen);
    // The receipt of a session under a pass, without the pass: no way to a version that nobody sees.
    for cookie in [format!("sessiontoken={under_pass}"), format!("sessiontoken-pass={under_pass}")] {
        let page = Viewer::at(&machine).get_with("/", &[("cookie", &cookie)]).await;
        assert_eq!((page.version(), page.way()), ("1", "roll"), "{cookie}");
        assert_ne!(page.receipt().expect("a new session").token, stolen.token);
    }
    // Another viewer's own receipt under a pass of mine.
    let pass = keys().passes().sign(&pass("2", 3_600));
    let theirs = keys().sign(&Receipt { token: token(2), ..receipt("2", 100) });
    let cookie = format!("stickshift-pass={pass}; sessiontoken-pass={theirs}");
    let page = Viewer::at(&machine).get_with("/", &[("cookie", &cookie)]).await;
    assert_ne!(receipt_under_pass(&page).expect("a new session").token, token(2));
    assert_eq!(stored_session(&client, token(2)).await, None);
    // A pass of version 1's, and the session of version 2's before.
    let pass = keys().passes().sign(&Pass { version: code("1"), ..self::pass("1", 3_600) });
    let cookie = format!("stickshift-pass={pass}; sessiontoken-pass={under_pass}");
    let page = Viewer::at(&machine).get_with("/", &[("cookie", &cookie)]).await;
    assert_eq!(page.version(), "1");
    assert_ne!(receipt_under_pass(&page).expect("a new session").token, stolen.token);
    machine.stop().await.expect("stopped");
}

#[actix_web::test]
async fn only_a_get_of_a_page_redeems() {
    let machine = spawn_machine("0").await;
    let viewer = Viewer::at(&machine);
    let link = link("2");
    let post = crate::support::send(viewer.request("POST", &link)).await;
    assert_eq!((post.status, post.set_cookie()), (405, None));
    let asset = viewer.get(&link.replace("/?", "/_v/1/theme.css?")).await;
    assert_eq!((asset.status, asset.set_cookie()), (200, None), "CloudFront would cache the pass");
    let evil = viewer.get(&link.replace("/?", "//evil.example/?")).await;
    assert_eq!((evil.status, evil.header("location")), (302, "/evil.example/"));
    let twice = viewer.get(&format!("{link}&stickshift-pass=x&a=1")).await;
    assert_eq!((twice.status, twice.header("location")), (302, "/?a=1"));
    assert!(twice.set_cookie().expect("a cookie").contains("Max-Age=0"));
    assert_eq!(viewer.get("/").await.version(), "1");
    machine.stop().await.expect("stopped");
}

#[actix_web::test]
async fn an_operator_makes_a_link_that_works() {
    let up = Up::start(&["--weight", "2=0"], &[]);
    let rollout = |arguments: &[&str]| crate::rollout::rollout(&up, arguments);
    let (exit, output, error) = rollout(&["preview", "2", "--for", "30m", "--path", "/?a=1", "--json"]);
    assert_eq!((exit, error.as_str()), (0, ""));
    let made: Value = serde_json::from_str(&output).expect("one line of JSON");
    let text = |name: &str| made[name].as_str().expect("text").to_owned();
    let path = |link: String| link.strip_prefix(&up.cloudfront).expect("the site's address").to_owned();
    let viewer = Viewer::new(&up.cloudfront);
    let redirect = viewer.get(&path(text("link"))).await;
    assert_eq!((redirect.status, redirect.header("location")), (302, "/?a=1"));
    assert_eq!(viewer.get("/").await.version(), "2");
    let expires = made["expires"].as_u64().expect("seconds");
    assert!((unix_now() + 1_790..=unix_now() + 1_800).contains(&expires), "{expires}");
    let header = text("header");
    let (name, value) = header.split_once(": ").expect("a header");
    assert_eq!(Viewer::new(&up.cloudfront).get_with("/", &[(name, value)]).await.version(), "2");
    assert_eq!(viewer.get(&path(text("leave"))).await.status, 302);
    assert_eq!(viewer.get("/").await.version(), "1");

    let (_, output, _) = rollout(&["preview", "2"]);
    assert!(output.contains("  http://127.0.0.1:") && output.contains("/?stickshift-pass=2."), "{output}");
    let (exit, output, _) = rollout(&["preview", "--leave"]);
    assert_eq!(exit, 0);
    assert!(output.ends_with("/?stickshift-pass=\n"), "{output}");
    let cookie = as_cookie(&receipt("1", 5)) + &format!("; stickshift-pass={value}");
    let (_, output, _) = rollout(&["explain", &cookie]);
    assert!(output.contains("pass      a valid pass to version 2") && output.contains("decision  pass: version 2"));
    for (arguments, exit, says) in [
        (&["preview", "9"][..], 1, "version 9 is not in the plan"),
        (&["preview"], 2, "required"),
        (&["preview", "2", "--leave"], 2, "cannot be used with"),
        (&["preview", "2", "--for", "25h"], 2, "a preview lasts at most a day"),
        (&["preview", "2", "--path", "//evil.example"], 2, "expected the path of a page"),
    ] {
        let (code, output, error) = rollout(arguments);
        assert_eq!((code, output.as_str()), (exit, ""), "{arguments:?}");
        assert!(error.contains(says), "{error}");
    }
    assert_eq!(rollout(&["add", "3", "--origin", "http://localhost:8083"]).0, 0);
    assert_eq!(rollout(&["abort", "3", "--evict"]).0, 0);
    let (code, _, error) = rollout(&["preview", "3"]);
    assert_eq!((code, error.as_str()), (1, "error: version 3 is withdrawn, so it is shown to nobody\n"));
    up.stop();
}
