use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Map, json};
use stickshift_contract::{Claim, Placed, Placement, Plan, Receipt, Route, SessionItem, Timing, Token, VersionCode};
use stickshift_edge::{Decision, Incoming, PlanSource, StoredSession, decide};

const NOW: u64 = 1_710_000_000;

fn code(text: &str) -> VersionCode {
    VersionCode::parse(text).expect("a version code")
}

fn token() -> Token {
    Token::parse("472ed977dc2fd2700dbb03a58634f789fd58d911").expect("a token")
}

/// A plan of versions, each with its state and its weight in basis points. The first one is stable.
fn plan(versions: &[(&str, &str, u16)]) -> Plan {
    let planned = |&(code, state, weight): &(&str, &str, u16)| {
        let origin = json!({ "domain": "v.example.org", "port": 80, "protocol": "http" });
        (code.to_owned(), json!({ "origin": origin, "weight_basis_points": weight, "state": state }))
    };
    let versions: Map<_, _> = versions.iter().map(planned).collect();
    let stable = versions.keys().next().expect("a version").clone();
    serde_json::from_value(json!({ "revision": 1, "stable": stable, "versions": versions })).expect("a plan")
}

/// In this plan new sessions go to version 2. So a request that goes to version 1 has another reason.
fn two() -> Plan {
    plan(&[("1", "live", 0), ("2", "live", 10_000)])
}

fn drawn() -> Placed {
    Placed { revision: 1, placement: Placement::Drawn }
}

fn receipt(version: &str, age: u64) -> Claim {
    let touched = NOW - age;
    Claim::Receipt(Receipt { token: token(), version: code(version), placed: drawn(), started: touched, touched }, age)
}

fn item(version: &str, age: u64) -> StoredSession {
    let touched = NOW - age;
    StoredSession::Found(SessionItem {
        token: token(),
        version: Some(code(version)),
        expiration: touched + 720,
        started: touched,
        touched,
        revision: drawn().revision,
        placement: drawn().placement,
    })
}

fn incoming(claim: Claim) -> Incoming<'static> {
    Incoming { asset: None, claim, user_agent: "Mozilla/5.0" }
}

fn decision(incoming: Incoming<'_>, stored: &StoredSession, plan: &Plan) -> (String, Route) {
    let mut rng = StdRng::seed_from_u64(1);
    let Decision { version, route } =
        decide(&incoming, stored, PlanSource::Table(plan), &Timing::default(), NOW, &mut rng);
    (version.to_string(), route)
}

fn went(version: &str, route: Route) -> (String, Route) {
    (version.to_owned(), route)
}

#[test]
fn a_young_receipt_decides_unasked() {
    let young = incoming(receipt("1", 59));
    assert_eq!(young.token_to_look_up(&Timing::default()), None);
    assert_eq!(decision(young, &StoredSession::Unanswered, &two()), went("1", Route::Receipt));
    let older = incoming(receipt("1", 60));
    assert_eq!(older.token_to_look_up(&Timing::default()), Some(token()));
    let always_asking = Timing { trust_window_seconds: 0, ..Timing::default() };
    assert_eq!(incoming(receipt("1", 0)).token_to_look_up(&always_asking), Some(token()));
}

#[test]
fn an_item_as_new_as_the_receipt_wins_over_it() {
    assert_eq!(decision(incoming(receipt("1", 100)), &item("2", 100), &two()), went("2", Route::Record));
    assert_eq!(decision(incoming(receipt("1", 100)), &item("2", 10), &two()), went("2", Route::Record));
}

#[test]
fn an_item_older_than_the_receipt_is_a_replica_that_lags() {
    assert_eq!(decision(incoming(receipt("1", 100)), &item("2", 101), &two()), went("1", Route::Hint));
}

#[test]
fn a_receipt_decides_up_to_its_lifetime_where_no_item_does() {
    for stored in [StoredSession::Absent, StoredSession::Unanswered] {
        assert_eq!(decision(incoming(receipt("1", 719)), &stored, &two()), went("1", Route::Hint));
        assert_eq!(decision(incoming(receipt("1", 720)), &stored, &two()), went("2", Route::Roll));
    }
}

#[test]
fn an_expired_item_that_ttl_has_not_deleted_is_no_session() {
    assert_eq!(decision(incoming(Claim::Bare(token())), &item("1", 720), &two()), went("2", Route::Roll));
    assert_eq!(decision(incoming(receipt("1", 800)), &item("1", 800), &two()), went("2", Route::Roll));
}

#[test]
fn an_item_outlives_a_receipt_whose_renewal_was_lost_on_the_way() {
    assert_eq!(decision(incoming(receipt("1", 800)), &item("1", 10), &two()), went("1", Route::Record));
}

#[test]
fn an_item_without_a_version_is_no_session() {
    let StoredSession::Found(item) = item("1", 0) else { panic!("an item") };
    let versionless = StoredSession::Found(SessionItem { version: None, ..item });
    assert_eq!(decision(incoming(Claim::Bare(token())), &versionless, &two()), went("2", Route::Roll));
    assert_eq!(decision(incoming(receipt("1", 100)), &versionless, &two()), went("1", Route::Hint));
}

#[test]
fn a_bare_token_needs_its_item() {
    let bare = incoming(Claim::Bare(token()));
    assert_eq!(bare.token_to_look_up(&Timing::default()), Some(token()));
    assert_eq!(decision(bare, &item("1", 599), &two()), went("1", Route::Record));
    assert_eq!(decision(bare, &StoredSession::Absent, &two()), went("2", Route::Roll));
    assert_eq!(decision(bare, &StoredSession::Unanswered, &two()), went("2", Route::Roll));
}

#[test]
fn sessions_of_versions_that_may_not_serve_are_moved() {
    let plan = plan(&[("1", "live", 10_000), ("2", "withdrawn", 0), ("3", "draining", 0), ("4", "staged", 0)]);
    assert_eq!(decision(incoming(receipt("2", 10)), &StoredSession::Unanswered, &plan), went("1", Route::Moved));
    assert_eq!(
        decision(incoming(receipt("9", 10)), &StoredSession::Unanswered, &plan),
        went("1", Route::Moved),
        "a removed version"
    );
    assert_eq!(decision(incoming(receipt("1", 99)), &item("2", 9), &plan), went("1", Route::Moved));
    assert_eq!(decision(incoming(receipt("3", 10)), &StoredSession::Unanswered, &plan), went("3", Route::Receipt));
    assert_eq!(decision(incoming(receipt("4", 10)), &StoredSession::Unanswered, &plan), went("4", Route::Receipt));
}

#[test]
fn every_request_of_a_session_moves_to_the_same_version() {
    let plan = plan(&[("1", "live", 5000), ("2", "withdrawn", 0), ("3", "live", 5000)]);
    let mut moved = std::collections::BTreeMap::new();
    for seed in 0..1000 {
        let receipt = Receipt {
            token: Token::generate(&mut StdRng::seed_from_u64(seed)),
            version: code("2"),
            placed: drawn(),
            started: NOW,
            touched: NOW,
        };
        let decide = |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            let incoming = incoming(Claim::Receipt(receipt, 0));
            decide(&incoming, &StoredSession::Unanswered, PlanSource::Table(&plan), &Timing::default(), NOW, &mut rng)
        };
        assert_eq!(decide(1), decide(2));
        assert_eq!(decide(1).route, Route::Moved);
        *moved.entry(decide(1).version.to_string()).or_insert(0) += 1;
    }
    assert!((450..=550).contains(&moved["1"]), "by weight: {moved:?}");
}

#[test]
fn a_drain_ends() {
    let origin = json!({ "domain": "v.example.org", "port": 80, "protocol": "http" });
    let draining = |until: u64| -> Plan {
        serde_json::from_value(json!({ "revision": 1, "stable": "1", "versions": {
            "1": { "origin": origin, "weight_basis_points": 10_000, "state": "live" },
            "2": { "origin": origin, "weight_basis_points": 0, "state": "draining", "until": until },
        }}))
        .expect("a plan")
    };
    assert_eq!(
        decision(incoming(receipt("2", 10)), &StoredSession::Unanswered, &draining(NOW + 1)),
        went("2", Route::Receipt)
    );
    assert_eq!(
        decision(incoming(receipt("2", 10)), &StoredSession::Unanswered, &draining(NOW)),
        went("1", Route::Moved)
    );
}

#[test]
fn assets_follow_the_page_that_asked_for_them() {
    let asset = |version: &str| Incoming { asset: Some(code(version)), ..incoming(receipt("1", 10)) };
    assert_eq!(decision(asset("2"), &StoredSession::Unanswered, &two()), went("2", Route::Asset));
    assert_eq!(asset("2").token_to_look_up(&Timing::default()), None);
    let plan = plan(&[("1", "live", 10_000), ("2", "withdrawn", 0)]);
    assert_eq!(decision(asset("2"), &StoredSession::Unanswered, &plan), went("1", Route::Receipt));
    assert_eq!(decision(asset("9"), &StoredSession::Unanswered, &plan), went("1", Route::Receipt));
}

#[test]
fn bots_without_a_session_see_stable() {
    let bot = |claim| Incoming { user_agent: "Googlebot/2.1", ..incoming(claim) };
    assert_eq!(decision(bot(Claim::Nothing), &StoredSession::Unanswered, &two()), went("1", Route::Bot));
    assert_eq!(decision(bot(receipt("2", 10)), &StoredSession::Unanswered, &two()), went("2", Route::Receipt));
}

#[test]
fn an_old_bundle_keeps_sessions_and_gives_nobody_new_a_weight() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut by_bundle = |incoming: &Incoming<'_>, stored: &StoredSession| {
        let decision = decide(incoming, stored, PlanSource::Bundle(&two()), &Timing::default(), NOW, &mut rng);
        (decision.version.to_string(), decision.route)
    };
    assert_eq!(by_bundle(&incoming(Claim::Nothing), &StoredSession::Unanswered), went("1", Route::Fallback));
    assert_eq!(by_bundle(&incoming(receipt("2", 10)), &StoredSession::Unanswered), went("2", Route::Receipt));
    assert_eq!(by_bundle(&incoming(receipt("2", 100)), &StoredSession::Unanswered), went("2", Route::Hint));
    // A version newer than the bundle: its session must not be taken over on the bundle's word.
    assert_eq!(by_bundle(&incoming(receipt("3", 10)), &StoredSession::Unanswered), went("1", Route::Fallback));
}

#[test]
fn ten_percent_are_ten_percent() {
    let plan = plan(&[("1", "live", 9000), ("2", "live", 1000)]);
    let mut rng = StdRng::seed_from_u64(20_240_311);
    let mut roll = || {
        decide(
            &incoming(Claim::Nothing),
            &StoredSession::Unanswered,
            PlanSource::Table(&plan),
            &Timing::default(),
            NOW,
            &mut rng,
        )
    };
    let on_two = (0..10_000).filter(|_| roll().version == code("2")).count();
    assert!((900..=1100).contains(&on_two), "{on_two} of 10,000");
}

fn any_claim() -> impl Strategy<Value = Claim> {
    prop_oneof![
        Just(Claim::Nothing),
        Just(Claim::Bare(token())),
        ("[1-4]", 0u64..1000).prop_map(|(version, age)| receipt(&version, age)),
    ]
}

fn any_stored() -> impl Strategy<Value = StoredSession> {
    prop_oneof![
        Just(StoredSession::Absent),
        Just(StoredSession::Unanswered),
        ("[1-4]", 0u64..1000).prop_map(|(version, age)| item(&version, age)),
    ]
}

proptest! {
    #[test]
    fn a_weight_change_moves_no_session(
        claim in any_claim(), stored in any_stored(), before in 0u16..=10_000, after in 0u16..=10_000, seed: u64,
    ) {
        let plan = |weight| plan(&[("1", "live", 10_000 - weight), ("2", "live", weight), ("3", "draining", 0), ("4", "staged", 0)]);
        let decide = |weight, seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            decide(&incoming(claim), &stored, PlanSource::Table(&plan(weight)), &Timing::default(), NOW, &mut rng)
        };
        let (one, other) = (decide(before, seed), decide(after, !seed));
        prop_assert_eq!(one.route, other.route);
        if one.route != Route::Roll {
            prop_assert_eq!(one, other);
        }
    }

    #[test]
    fn only_versions_that_may_serve_are_chosen(claim in any_claim(), stored in any_stored(), seed: u64) {
        let plan = plan(&[("1", "live", 10_000), ("2", "withdrawn", 0), ("3", "draining", 0)]);
        let mut rng = StdRng::seed_from_u64(seed);
        let decision = decide(&incoming(claim), &stored, PlanSource::Table(&plan), &Timing::default(), NOW, &mut rng);
        prop_assert!(plan.keeps_sessions_of(decision.version, NOW));
    }
}
