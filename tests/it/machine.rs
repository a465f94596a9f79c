//! Everything on one machine: viewers at CloudFront, two versions behind it.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _};
use serde_json::json;
use stickshift::local::machine::{DataDir, Machine, MachineConfig};

use crate::support::{
    BUSY, Viewer, change_plan, count_sessions, machine_config, put_as_plan, send, spawn_machine, stored_session,
};

#[actix_web::test]
async fn ten_percent_of_ten_thousand_new_viewers_land_on_version_2() {
    let _busy = BUSY.lock().await;
    let machine = spawn_machine("10").await;
    let viewer = Viewer::at(&machine);
    let mut landed = BTreeMap::new();
    let mut pages = stream::iter(0..10_000)
        .map(|_| {
            // A client without its cookies: somebody new each time, over connections that are kept.
            let request = viewer.request("GET", "/").header("cookie", "theme=dark");
            async { request.send().await.expect("a response").text().await.expect("a page") }
        })
        .buffer_unordered(64);
    while let Some(page) = pages.next().await {
        assert!(page.contains("<dt>Way here</dt><dd>roll"));
        *landed.entry(page.contains("<h1>This is application Version 2.0</h1>")).or_insert(0) += 1;
    }
    assert!((900..=1100).contains(&landed[&true]), "{landed:?}");
    assert_eq!(landed[&true] + landed[&false], 10_000);
}

/// Views of 1,000 sessions; between them `between` is called with the number of the view.
async fn a_thousand_sessions_of_twenty_views(machine: &Machine, between: impl AsyncFn(usize)) {
    let viewer = &Viewer::at(machine);
    // Each session's cookie and version, as its viewer knows them.
    let mut sessions: Vec<(String, String)> = vec![Default::default(); 1000];
    for view in 1..=20 {
        let views = stream::iter(sessions).map(|(cookie, version)| async move {
            let page = viewer.get_with("/", &[("cookie", &cookie)]).await;
            let seen = page.version().to_owned();
            if view > 1 {
                assert_eq!(seen, version, "a session changed its version on view {view}: {}", page.body);
            }
            let renewed = page.set_cookie().and_then(|cookie| cookie.split(';').next()).map(str::to_owned);
            (renewed.unwrap_or(cookie), seen)
        });
        sessions = views.buffer_unordered(64).collect().await;
        between(view).await;
    }
    let on_two = sessions.iter().filter(|(_, version)| version == "2").count();
    assert!((350..=650).contains(&on_two), "half of them began on each: {on_two}");
    let client = machine.dynamodb.dynamodb().client();
    assert_eq!(count_sessions(&client).await, 1000, "no session was begun anew");
}

#[actix_web::test]
async fn no_session_changes_its_version() {
    let _busy = BUSY.lock().await;
    let machine = spawn_machine("50").await;
    a_thousand_sessions_of_twenty_views(&machine, async |_| ()).await;
}

#[actix_web::test]
async fn no_session_changes_its_version_while_the_weight_does() {
    let _busy = BUSY.lock().await;
    let mut config = machine_config();
    for settings in &mut config.versions {
        // Every view asks DynamoDB at the edge and writes at the app.
        settings.shared.cookie.timing.trust_window_seconds = 0;
        settings.shared.cookie.timing.touch_interval_seconds = 0;
    }
    config.weights =
        vec![(crate::support::code("2"), stickshift_contract::Weight::parse_percent("50").expect("a weight"))];
    let machine = Machine::start(config).await.expect("a machine");
    let client = machine.dynamodb.dynamodb().client();
    let change_weight = async |view: usize| {
        let weight = [0, 10_000, 1000, 5000, 9999][view % 5];
        let plan = change_plan(&client, |plan| {
            plan["versions"]["1"]["weight_basis_points"] = json!(10_000 - weight);
            plan["versions"]["2"]["weight_basis_points"] = json!(weight);
        });
        assert_eq!(plan.await.revision(), view as u64 + 1);
    };
    a_thousand_sessions_of_twenty_views(&machine, change_weight).await;
}

#[actix_web::test]
async fn a_changed_weight_holds_for_new_sessions() {
    let machine = spawn_machine("0").await;
    let client = machine.dynamodb.dynamodb().client();
    for _ in 0..20 {
        assert_eq!(Viewer::at(&machine).get("/").await.version(), "1");
    }
    change_plan(&client, |plan| {
        plan["versions"]["1"]["weight_basis_points"] = json!(0);
        plan["versions"]["2"]["weight_basis_points"] = json!(10_000);
    })
    .await;
    for _ in 0..20 {
        assert_eq!(Viewer::at(&machine).get("/").await.version(), "2");
    }
    put_as_plan(&client, json!({ "revision": 99, "stable": "1", "versions": {} })).await;
    assert_eq!(Viewer::at(&machine).get("/").await.version(), "2", "a plan that breaks a rule changes nothing");
}

#[actix_web::test]
async fn sessions_of_a_withdrawn_version_move_once_and_keep_their_token() {
    let mut config = machine_config();
    for settings in &mut config.versions {
        settings.shared.cookie.timing.trust_window_seconds = 0;
    }
    config.weights = vec![(crate::support::code("2"), stickshift_contract::Weight::ALL)];
    let machine = Machine::start(config).await.expect("a machine");
    let client = machine.dynamodb.dynamodb().client();
    let viewer = Viewer::at(&machine);
    let begun = viewer.get("/").await;
    assert_eq!((begun.version(), begun.way()), ("2", "roll"));
    let begun = begun.receipt().expect("a receipt");
    change_plan(&client, |plan| {
        plan["versions"]["1"]["weight_basis_points"] = json!(10_000);
        plan["versions"]["2"]["state"] = json!("withdrawn");
    })
    .await;
    let moved = viewer.get("/").await;
    assert_eq!((moved.version(), moved.way()), ("1", "moved"));
    let moved = moved.receipt().expect("a receipt");
    assert_eq!((moved.token, moved.started), (begun.token, begun.started));
    let item = stored_session(&client, begun.token).await.expect("an item");
    assert_eq!(item.version, Some(moved.version));
    assert_eq!(viewer.get("/").await.way(), "record", "and stays");
}

#[actix_web::test]
async fn a_restart_loses_no_session() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = async || {
        let data_dir = DataDir::open(folder.path()).expect("a data directory");
        let keys = data_dir.keys().expect("keys");
        let mut config = MachineConfig { data_dir: Some(data_dir), ..machine_config() };
        for settings in &mut config.versions {
            settings.shared.cookie.keys = Some(keys.clone());
            settings.shared.cookie.timing.trust_window_seconds = 0;
        }
        Machine::start(config).await.expect("a machine")
    };
    let machine = start().await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        let page = Viewer::at(&machine).get("/").await;
        let cookie = page.headers["set-cookie"].to_str().expect("text").split(';').next().expect("a cookie").to_owned();
        sessions.push((cookie, page.version().to_owned()));
    }
    machine.stop().await.expect("a clean stop");
    let machine = start().await;
    for (cookie, version) in &sessions {
        let page = Viewer::at(&machine).get_with("/", &[("cookie", cookie)]).await;
        assert_eq!((page.version(), page.way(), page.set_cookie()), (version.as_str(), "record", None));
    }
    machine.stop().await.expect("a clean stop");
}

#[actix_web::test]
async fn a_thousand_viewers_at_once_are_all_served() {
    // Both ends of every connection are in this process.
    rlimit::increase_nofile_limit(u64::MAX).expect("the limit can be raised");
    let _busy = BUSY.lock().await;
    let machine = spawn_machine("10").await;
    let viewers = (0..1000).map(|_| async {
        let viewer = Viewer::at(&machine);
        let first = viewer.get("/").await;
        let second = viewer.get("/").await;
        assert_eq!(second.version(), first.version());
        assert!(first.receipt().is_some());
    });
    futures_util::future::join_all(viewers).await;
}

#[actix_web::test]
async fn a_page_and_its_assets_come_from_the_same_version() {
    let machine = spawn_machine("50").await;
    for _ in 0..10 {
        let viewer = Viewer::at(&machine);
        let version = viewer.get("/").await.version().to_owned();
        // The viewer may have a page of the other version open in another tab.
        for (other, background) in [("1", "#f0a5c1"), ("2", "#08122c")] {
            let style = viewer.get(&format!("/_v/{other}/theme.css")).await;
            let line = format!("--background: {background};");
            assert!(style.status == 200 && style.body.contains(&line), "a viewer of {version}: {}", style.body);
            assert_eq!(style.set_cookie(), None);
        }
    }
}

#[actix_web::test]
async fn an_origin_that_is_down_takes_nobody_else_with_it() {
    let machine = Machine::start(machine_config()).await.expect("a machine");
    let client = machine.dynamodb.dynamodb().client();
    let on_one = Viewer::at(&machine);
    assert_eq!(on_one.get("/").await.version(), "1", "by the seed");
    let dead = crate::faulty::dead_port();
    change_plan(&client, |plan| {
        plan["versions"]["1"]["weight_basis_points"] = json!(0);
        plan["versions"]["2"]["weight_basis_points"] = json!(10_000);
        plan["versions"]["2"]["origin"]["port"] = json!(dead);
    })
    .await;
    let refused = Viewer::at(&machine).get("/").await;
    assert_eq!((refused.status, refused.header("x-cache")), (502, "Error from cloudfront"));
    assert_eq!(refused.header("cache-control"), "no-store");
    assert_eq!(on_one.get("/").await.version(), "1");
    assert_eq!(send(on_one.request("HEAD", "/")).await.status, 200);
}
