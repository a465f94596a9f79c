//! When the router asks for what, without a DynamoDB.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;
use stickshift_contract::{
    Keys, Placed, Placement, Plan, Receipt, Route, SessionCookie, SessionItem, Token, VersionCode,
};
use stickshift_edge::{Answer, Considered, LookUp, Request, Router, RouterConfig, StoredSession};

const NOW: u64 = 1_710_000_000;

fn code(text: &str) -> VersionCode {
    VersionCode::parse(text).expect("a version code")
}

fn keys() -> Keys {
    Keys::parse("0123456789abcdef0123456789abcdef").expect("a key")
}

/// Version 2 is in a state; version 1 has all the weight.
fn plan(revision: u64, state_of_2: &str) -> Plan {
    let version = |weight: u16, state: &str| {
        let origin = json!({ "domain": "v.example.org", "port": 80, "protocol": "http" });
        json!({ "origin": origin, "weight_basis_points": weight, "state": state })
    };
    let versions = json!({ "1": version(10_000, "live"), "2": version(0, state_of_2) });
    serde_json::from_value(json!({ "revision": revision, "stable": "1", "versions": versions })).expect("a plan")
}

fn router() -> Router {
    Router::new(RouterConfig::new(SessionCookie::new(Some(keys())), plan(0, "live")))
}

fn receipt(revision: u64, touched: u64) -> Receipt {
    let token = Token::parse("472ed977dc2fd2700dbb03a58634f789fd58d911").expect("a token");
    let placed = Placed { revision, placement: Placement::Drawn };
    Receipt { token, version: code("2"), placed, started: NOW, touched }
}

fn item(receipt: &Receipt, version: &str) -> StoredSession {
    StoredSession::Found(SessionItem {
        token: receipt.token,
        version: Some(code(version)),
        expiration: receipt.touched + 720,
        started: receipt.started,
        touched: receipt.touched,
        revision: receipt.placed.revision,
        placement: receipt.placed.placement,
        failed: None,
    })
}

fn request(receipt: Option<&Receipt>) -> Request {
    let mut request = crate::event::request();
    request.headers.remove("cookie");
    if let Some(receipt) = receipt {
        request.headers.set("Cookie", format!("sessiontoken={}", keys().sign(receipt)));
    }
    request
}

/// Routes a request, answering each look-up by `answer`. Returns the decision and what was asked: `s` for the
/// session, `p` for the plan.
fn route(
    router: &Router,
    receipt: Option<&Receipt>,
    now: u64,
    answer: impl Fn(&LookUp) -> Answer,
) -> (String, Route, String) {
    let mut request = request(receipt);
    let mut asked = Vec::new();
    let mut considered = router.consider(router.read(&request, now), now);
    let knowledge = loop {
        match considered {
            Considered::Ready(knowledge) => break knowledge,
            Considered::Needs(look_up) => {
                let session = if look_up.tokens.is_empty() { "" } else { "s" };
                asked.push(format!("{session}{}", if look_up.is_plan_wanted { "p" } else { "" }));
                let answer = answer(&look_up);
                considered = router.learn(look_up, answer, now, 0);
            }
        }
    };
    let decision = router.forward(&mut request, &knowledge, now, &mut StdRng::seed_from_u64(1));
    (decision.version.to_string(), decision.route, asked.join(" "))
}

fn went(version: &str, route: Route, asked: &str) -> (String, Route, String) {
    (version.to_owned(), route, asked.to_owned())
}

#[test]
fn an_instance_reads_the_plan_at_most_once_in_five_seconds() {
    let router = router();
    let mut reads = 0;
    let mut session = receipt(7, NOW);
    // New viewers and a session, every second for an hour.
    for now in NOW..NOW + 3600 {
        for receipt in [None, Some(session)] {
            let answer = |_: &LookUp| Answer { session: item(&session, "2"), plan: Some(plan(7, "live")) };
            let (_, _, asked) = route(&router, receipt.as_ref(), now, answer);
            reads += asked.matches('p').count();
        }
        if now - session.touched >= 60 {
            session.touched = now;
        }
    }
    assert!(reads <= 3600 / 5, "{reads} reads");
}

#[test]
fn an_abort_is_in_force_within_twice_the_ttl_though_every_receipt_is_young() {
    let router = router();
    router.adopt(plan(7, "live"), NOW);
    // Version 2 is withdrawn in the same second. The session comes back every second with a young receipt.
    let mut first_moved = None;
    for now in NOW..NOW + 30 {
        let session = receipt(7, now.saturating_sub(5));
        let answer = |_: &LookUp| Answer { session: item(&session, "2"), plan: Some(plan(8, "withdrawn")) };
        let (version, route, asked) = route(&router, Some(&session), now, answer);
        if route == Route::Moved {
            assert_eq!((version.as_str(), asked.as_str()), ("1", "p s"), "the plan, then the session before its move");
            first_moved = Some(now - NOW);
            break;
        }
    }
    assert_eq!(first_moved, Some(10));
}

#[test]
fn a_plan_older_than_the_receipt_is_read_again_and_moves_nobody_until_then() {
    let router = router();
    router.adopt(plan(7, "withdrawn"), NOW);
    let session = receipt(8, NOW);
    let lagging = |_: &LookUp| Answer { session: StoredSession::Absent, plan: Some(plan(7, "withdrawn")) };
    assert_eq!(route(&router, Some(&session), NOW + 1, lagging), went("2", Route::Hint, "p"));
    let caught_up = |_: &LookUp| Answer { session: StoredSession::Absent, plan: Some(plan(8, "live")) };
    assert_eq!(route(&router, Some(&session), NOW + 2, caught_up), went("2", Route::Receipt, "p"));
    assert_eq!(route(&router, Some(&session), NOW + 3, caught_up), went("2", Route::Receipt, ""));
}

#[test]
fn a_lower_revision_never_counts() {
    let router = router();
    router.adopt(plan(8, "withdrawn"), NOW);
    let session = receipt(7, NOW + 20);
    let lagging = |_: &LookUp| Answer { session: item(&session, "2"), plan: Some(plan(7, "live")) };
    assert_eq!(route(&router, Some(&session), NOW + 20, lagging), went("1", Route::Moved, "sp"));
}

#[test]
fn a_table_that_does_not_answer_is_asked_once_a_second_and_ends_no_drain() {
    let router = router();
    let mut draining = serde_json::to_value(plan(7, "draining")).expect("JSON");
    draining["versions"]["2"]["until"] = json!(NOW + 15);
    router.adopt(serde_json::from_value(draining).expect("a plan"), NOW);
    let session = receipt(7, NOW + 14);
    let nothing = |_: &LookUp| Answer { session: StoredSession::Unanswered, plan: None };
    assert_eq!(route(&router, Some(&session), NOW + 14, nothing), went("2", Route::Receipt, "p"));
    assert_eq!(route(&router, Some(&session), NOW + 15, nothing), went("2", Route::Receipt, ""));
    assert_eq!(route(&router, Some(&session), NOW + 16, nothing), went("2", Route::Receipt, "p"));
    let fresh = |_: &LookUp| {
        let mut plan = serde_json::to_value(plan(8, "draining")).expect("JSON");
        plan["versions"]["2"]["until"] = json!(NOW + 15);
        Answer { session: StoredSession::Unanswered, plan: serde_json::from_value(plan).ok() }
    };
    assert_eq!(route(&router, Some(&session), NOW + 18, fresh), went("1", Route::Moved, "p s"));
}
