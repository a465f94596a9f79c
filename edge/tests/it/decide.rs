use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Map, json};
use stickshift_contract::{
    BareTokens, Claim, Kind, Placed, Placement, Plan, Receipt, Route, SessionItem, Timing, Token, VersionCode,
};
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
    plan_with(versions, |_| ())
}

fn plan_with(versions: &[(&str, &str, u16)], change: impl FnOnce(&mut serde_json::Value)) -> Plan {
    let planned = |&(code, state, weight): &(&str, &str, u16)| {
        let origin = json!({ "domain": "v.example.org", "port": 80, "protocol": "http" });
        (code.to_owned(), json!({ "origin": origin, "weight_basis_points": weight, "state": state }))
    };
    let versions: Map<_, _> = versions.iter().map(planned).collect();
    let stable = versions.keys().next().expect("a version").clone();
    let mut plan = json!({ "revision": 1, "stable": stable, "versions": versions });
    change(&mut plan);
    serde_json::from_value(plan).expect("a plan")
}

/// In this plan new sessions go to version 2. So a request that goes to version 1 has another reason.
fn two() -> Plan {
    plan(&[("1", "live", 0), ("2", "live", 10_000)])
}

fn drawn(revision: u64) -> Placed {
    Placed { revision, placement: Placement::Drawn }
}

fn receipt_of(version: &str, age: u64) -> Receipt {
    let touched = NOW - age;
    Receipt { token: token(), version: code(version), placed: drawn(1), started: touched, touched }
}

fn receipt(version: &str, age: u64) -> Claim {
    Claim::Receipt(receipt_of(version, age))
}

fn bare() -> Claim {
    Claim::Bare(BareTokens::collect([token()]).expect("a token"))
}

fn item_of(version: &str, age: u64) -> SessionItem {
    let touched = NOW - age;
    SessionItem {
        token: token(),
        version: Some(code(version)),
        expiration: touched + 720,
        started: touched,
        touched,
        revision: 1,
        placement: Placement::Drawn,
        failed: None,
    }
}

fn item(version: &str, age: u64) -> StoredSession {
    StoredSession::Found(item_of(version, age))
}

fn incoming(claim: Claim) -> Incoming {
    Incoming { asset: None, pass: None, claim, kind: Kind::Document, is_bot: false }
}

fn table(plan: &Plan) -> PlanSource<'_> {
    PlanSource::Table { plan, is_fresh: true }
}

/// Where a request goes. Like the router, it has asked for the session only if that is needed.
fn decision(incoming: Incoming, stored: &StoredSession, plan: &Plan) -> (String, Route) {
    by(incoming, stored, table(plan))
}

fn by(incoming: Incoming, stored: &StoredSession, source: PlanSource<'_>) -> (String, Route) {
    let mut rng = StdRng::seed_from_u64(1);
    let timing = Timing::default();
    let unasked = StoredSession::Unasked;
    let stored = if incoming.needs_session(source, &timing, NOW) { stored } else { &unasked };
    let Decision { version, route, .. } = decide(&incoming, stored, source, &timing, NOW, &mut rng);
    (version.to_string(), route)
}

fn went(version: &str, route: Route) -> (String, Route) {
    (version.to_owned(), route)
}

fn looks_up(incoming: Incoming, plan: &Plan) -> bool {
    incoming.needs_session(table(plan), &Timing::default(), NOW)
}

#[test]
fn a_young_receipt_decides_without_a_look_up() {
    let young = incoming(receipt("1", 59));
    assert!(!looks_up(young, &two()));
    assert_eq!(decision(young, &StoredSession::Unanswered, &two()), went("1", Route::Receipt));
    assert!(looks_up(incoming(receipt("1", 60)), &two()));
    let always_asking = Timing { trust_window_seconds: 0, ..Timing::default() };
    assert!(incoming(receipt("1", 0)).needs_session(table(&two()), &always_asking, NOW));
    let ahead = |seconds| Claim::Receipt(Receipt { touched: NOW + seconds, ..receipt_of("1", 0) });
    assert!(!looks_up(incoming(ahead(60)), &two()));
    assert!(looks_up(incoming(ahead(61)), &two()), "no clocks differ that much");
    assert_eq!(decision(incoming(ahead(61)), &StoredSession::Absent, &two()), went("1", Route::Hint));
}

#[test]
fn an_item_as_new_as_the_receipt_wins_over_it() {
    assert_eq!(decision(incoming(receipt("1", 100)), &item("2", 100), &two()), went("2", Route::Record));
    assert_eq!(decision(incoming(receipt("1", 100)), &item("2", 10), &two()), went("2", Route::Record));
    let later_plan = StoredSession::Found(SessionItem { revision: 2, ..item_of("2", 300) });
    assert_eq!(decision(incoming(receipt("1", 100)), &later_plan, &two()), went("2", Route::Record));
}

#[test]
fn an_item_ordered_before_the_receipt_comes_from_a_replica_that_lags() {
    assert_eq!(decision(incoming(receipt("1", 100)), &item("2", 101), &two()), went("1", Route::Hint));
    let moved = Claim::Receipt(Receipt { placed: drawn(2), ..receipt_of("1", 100) });
    let plan = plan_with(&[("1", "live", 0), ("2", "live", 10_000)], |plan| plan["revision"] = json!(2));
    assert_eq!(decision(incoming(moved), &item("2", 10), &plan), went("1", Route::Hint), "whatever the clocks say");
}

/// The simulator found it. A session moves back to a version, and that write fails. So only the receipt has the later
/// placement, and the item has the earlier one. An event stream renews the item for longer than the receipt lasts.
#[test]
fn a_receipt_past_its_lifetime_hides_no_live_item() {
    let moved = |age| incoming(Claim::Receipt(Receipt { placed: drawn(4), ..receipt_of("2", age) }));
    let plan = plan_with(&[("1", "live", 10_000), ("2", "live", 0)], |plan| plan["revision"] = json!(4));
    assert_eq!(decision(moved(719), &item("2", 10), &plan), went("2", Route::Hint));
    assert_eq!(decision(moved(719), &item("1", 10), &plan), went("2", Route::Hint), "a replica that lags");
    assert_eq!(decision(moved(720), &item("2", 10), &plan), went("2", Route::Record));
    assert_eq!(decision(moved(720), &item("1", 10), &plan), went("1", Route::Record));
    assert_eq!(decision(moved(720), &item("2", 720), &plan), went("1", Route::Roll), "both are over");
}

#[test]
fn only_an_answer_ends_a_session() {
    let old = |age| incoming(receipt("1", age));
    assert_eq!(decision(old(719), &StoredSession::Absent, &two()), went("1", Route::Hint));
    assert_eq!(decision(old(720), &StoredSession::Absent, &two()), went("2", Route::Roll));
    assert_eq!(decision(old(720), &item("1", 720), &two()), went("2", Route::Roll), "TTL has not deleted it");
    for age in [719, 720, 80_000] {
        assert_eq!(decision(old(age), &StoredSession::Unanswered, &two()), went("1", Route::Hint), "{age}");
    }
}

#[test]
fn an_item_outlives_a_receipt_whose_renewal_was_lost_on_the_way() {
    assert_eq!(decision(incoming(receipt("1", 800)), &item("1", 10), &two()), went("1", Route::Record));
}

#[test]
fn an_item_past_the_absolute_end_is_not_a_session() {
    let timing = Timing { session_max_seconds: 3600, ..Timing::default() };
    let decide = |started| {
        let stored = StoredSession::Found(SessionItem { started, ..item_of("1", 10) });
        decide(&incoming(bare()), &stored, table(&two()), &timing, NOW, &mut StdRng::seed_from_u64(1)).route
    };
    assert_eq!([NOW - 3599, NOW - 3600, 0].map(decide), [Route::Record, Route::Roll, Route::Record]);
}

#[test]
fn an_item_without_a_version_is_not_a_session() {
    let versionless = StoredSession::Found(SessionItem { version: None, ..item_of("1", 0) });
    assert_eq!(decision(incoming(bare()), &versionless, &two()), went("2", Route::Roll));
    assert_eq!(decision(incoming(receipt("1", 100)), &versionless, &two()), went("1", Route::Hint));
}

#[test]
fn a_bare_token_needs_its_item() {
    assert!(looks_up(incoming(bare()), &two()));
    assert_eq!(decision(incoming(bare()), &item("1", 599), &two()), went("1", Route::Record));
    assert_eq!(decision(incoming(bare()), &StoredSession::Absent, &two()), went("2", Route::Roll));
    assert_eq!(decision(incoming(bare()), &StoredSession::Unanswered, &two()), went("1", Route::Fallback));
}

#[test]
fn sessions_of_versions_that_may_not_serve_are_moved() {
    let plan = plan(&[("1", "live", 10_000), ("2", "withdrawn", 0), ("3", "draining", 0), ("4", "staged", 0)]);
    let none = StoredSession::Unanswered;
    assert_eq!(decision(incoming(receipt("2", 10)), &none, &plan), went("1", Route::Moved));
    assert_eq!(decision(incoming(receipt("9", 10)), &none, &plan), went("1", Route::Moved), "a removed version");
    assert_eq!(decision(incoming(receipt("1", 99)), &item("2", 9), &plan), went("1", Route::Moved));
    assert_eq!(decision(incoming(receipt("3", 10)), &none, &plan), went("3", Route::Receipt));
    assert_eq!(decision(incoming(receipt("4", 10)), &none, &plan), went("4", Route::Receipt));
    let moved = decide(
        &incoming(receipt("2", 10)),
        &item("2", 10),
        table(&plan),
        &Timing::default(),
        NOW,
        &mut StdRng::seed_from_u64(1),
    );
    assert_eq!(moved.from, Some(code("2")));
}

#[test]
fn a_session_is_looked_up_before_it_is_moved() {
    let plan = plan(&[("1", "live", 5000), ("2", "withdrawn", 0), ("3", "live", 5000)]);
    // Another tab was moved to version 3 a moment ago. This one still has its receipt of version 2.
    let young = incoming(receipt("2", 10));
    assert!(looks_up(young, &plan));
    let moved = StoredSession::Found(SessionItem { revision: 2, placement: Placement::Moved, ..item_of("3", 1) });
    assert_eq!(decision(young, &moved, &plan), went("3", Route::Record));
}

#[test]
fn a_plan_older_than_the_receipt_moves_nobody() {
    let later = |version: &str| Claim::Receipt(Receipt { placed: drawn(2), ..receipt_of(version, 10) });
    // Version 2 has become live under revision 2. This edge still has it staged, or does not know it.
    let staged = plan(&[("1", "live", 10_000), ("2", "staged", 0), ("3", "withdrawn", 0)]);
    assert_eq!(decision(incoming(later("2")), &StoredSession::Unanswered, &staged), went("2", Route::Receipt));
    assert_eq!(decision(incoming(later("3")), &StoredSession::Unanswered, &staged), went("3", Route::Hint));
    assert!(!looks_up(incoming(later("3")), &staged));
    assert_eq!(decision(incoming(later("9")), &StoredSession::Unanswered, &staged), went("1", Route::Fallback));
    // The item was placed by the later plan.
    let item = |version: &str| StoredSession::Found(SessionItem { revision: 2, ..item_of(version, 10) });
    assert_eq!(decision(incoming(bare()), &item("3"), &staged), went("3", Route::Hint));
    assert_eq!(decision(incoming(bare()), &item("9"), &staged), went("1", Route::Fallback));
    assert_eq!(decision(incoming(receipt("1", 100)), &item("3"), &staged), went("3", Route::Hint));
}

#[test]
fn a_receipt_from_before_a_withdrawal_does_not_decide_alone() {
    // Version 2 was withdrawn for a moment and is back: the session may have moved in between.
    let plan = |ago: u64| {
        plan_with(&[("1", "live", 5000), ("2", "live", 5000)], |plan| {
            plan["versions"]["2"]["withdrawn_at"] = json!(NOW - ago);
        })
    };
    assert!(looks_up(incoming(receipt("2", 30)), &plan(20)));
    assert!(looks_up(incoming(receipt("2", 10)), &plan(20)), "clocks may differ");
    assert!(!looks_up(incoming(receipt("2", 10)), &plan(70)));
    let moved = StoredSession::Found(SessionItem { revision: 2, placement: Placement::Moved, ..item_of("1", 15) });
    assert_eq!(decision(incoming(receipt("2", 30)), &moved, &plan(20)), went("1", Route::Record));
    assert_eq!(decision(incoming(receipt("2", 30)), &StoredSession::Unanswered, &plan(20)), went("2", Route::Hint));
}

#[test]
fn every_request_of_a_session_moves_to_the_same_version() {
    let plan = plan(&[("1", "live", 5000), ("2", "withdrawn", 0), ("3", "live", 5000)]);
    let mut moved = std::collections::BTreeMap::new();
    for seed in 0..1000 {
        let token = Token::generate(&mut StdRng::seed_from_u64(seed));
        let receipt = Receipt { token, ..receipt_of("2", 0) };
        let decide = |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            let incoming = incoming(Claim::Receipt(receipt));
            decide(&incoming, &StoredSession::Unanswered, table(&plan), &Timing::default(), NOW, &mut rng)
        };
        assert_eq!(decide(1), decide(2));
        assert_eq!(decide(1).route, Route::Moved);
        *moved.entry(decide(1).version.to_string()).or_insert(0) += 1;
    }
    assert!((450..=550).contains(&moved["1"]), "by weight: {moved:?}");
}

#[test]
fn a_drain_ends_while_the_plan_is_fresh() {
    let draining = |until: u64| {
        plan_with(&[("1", "live", 10_000), ("2", "draining", 0)], |plan| plan["versions"]["2"]["until"] = json!(until))
    };
    let (before, after) = (draining(NOW + 1), draining(NOW));
    let none = StoredSession::Unanswered;
    assert_eq!(decision(incoming(receipt("2", 10)), &none, &before), went("2", Route::Receipt));
    assert_eq!(decision(incoming(receipt("2", 10)), &none, &after), went("1", Route::Moved));
    let cut_off = PlanSource::Table { plan: &after, is_fresh: false };
    assert_eq!(by(incoming(receipt("2", 10)), &none, cut_off), went("2", Route::Receipt), "an edge that is cut off");
}

#[test]
fn assets_follow_the_page_that_asked_for_them() {
    let asset = |version: &str| Incoming { asset: Some(code(version)), kind: Kind::Rest, ..incoming(receipt("1", 10)) };
    assert_eq!(decision(asset("2"), &StoredSession::Unanswered, &two()), went("2", Route::Asset));
    assert!(!looks_up(asset("2"), &two()));
    let plan = plan(&[("1", "live", 10_000), ("2", "withdrawn", 0)]);
    assert_eq!(decision(asset("2"), &StoredSession::Unanswered, &plan), went("1", Route::Receipt));
    assert_eq!(decision(asset("9"), &StoredSession::Unanswered, &plan), went("1", Route::Receipt));
}

#[test]
fn bots_and_strays_without_a_session_see_stable() {
    let bot = |claim| Incoming { is_bot: true, kind: Kind::Rest, ..incoming(claim) };
    assert_eq!(decision(bot(Claim::Nothing), &StoredSession::Unanswered, &two()), went("1", Route::Bot));
    assert_eq!(decision(bot(receipt("2", 10)), &StoredSession::Unanswered, &two()), went("2", Route::Receipt));
    for kind in [Kind::Visit, Kind::Rest] {
        let stray = |claim| Incoming { kind, ..incoming(claim) };
        assert_eq!(decision(stray(Claim::Nothing), &StoredSession::Unanswered, &two()), went("1", Route::Stray));
        assert_eq!(decision(stray(receipt("2", 800)), &StoredSession::Absent, &two()), went("1", Route::Stray));
        assert_eq!(decision(stray(receipt("2", 10)), &StoredSession::Unanswered, &two()), went("2", Route::Receipt));
    }
}

#[test]
fn an_old_bundle_keeps_sessions_and_gives_nobody_new_a_weight() {
    let two = two();
    let by_bundle = |incoming: Incoming, stored: &StoredSession| by(incoming, stored, PlanSource::Bundle(&two));
    let none = StoredSession::Unanswered;
    assert_eq!(by_bundle(incoming(Claim::Nothing), &none), went("1", Route::Fallback));
    assert_eq!(by_bundle(incoming(receipt("2", 10)), &none), went("2", Route::Receipt));
    assert_eq!(by_bundle(incoming(receipt("2", 100)), &none), went("2", Route::Hint));
    // A version newer than the bundle: its session must not be taken over because of the bundle.
    assert_eq!(by_bundle(incoming(receipt("3", 10)), &none), went("1", Route::Fallback));
}

#[test]
fn ten_percent_are_ten_percent() {
    let plan = plan(&[("1", "live", 9000), ("2", "live", 1000)]);
    let mut rng = StdRng::seed_from_u64(20_240_311);
    let mut roll =
        || decide(&incoming(Claim::Nothing), &StoredSession::Unasked, table(&plan), &Timing::default(), NOW, &mut rng);
    let on_two = (0..10_000).filter(|_| roll().version == code("2")).count();
    assert!((900..=1100).contains(&on_two), "{on_two} of 10,000");
}

fn any_claim() -> impl Strategy<Value = Claim> {
    prop_oneof![
        Just(Claim::Nothing),
        Just(bare()),
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
        let others = [("3", "draining", 0), ("4", "staged", 0)];
        let plan = |weight| {
            let [three, four] = others;
            plan(&[("1", "live", 10_000 - weight), ("2", "live", weight), three, four])
        };
        let decide = |weight, seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            decide(&incoming(claim), &stored, table(&plan(weight)), &Timing::default(), NOW, &mut rng)
        };
        let (one, other) = (decide(before, seed), decide(after, !seed));
        prop_assert_eq!(one.route, other.route);
        if one.route != Route::Roll {
            prop_assert_eq!(one, other);
        }
    }

    #[test]
    fn a_decision_keeps_its_promises(
        claim in any_claim(), stored in prop_oneof![Just(StoredSession::Unasked), any_stored()],
        kind in prop::sample::select(vec![Kind::Document, Kind::Visit, Kind::Rest]),
        asset in prop::option::weighted(0.2, "[1-4]"), pass in prop::option::weighted(0.2, "[1-4]"), is_bot: bool,
        states in prop::collection::vec(prop::sample::select(vec!["staged", "live", "draining", "withdrawn"]), 3),
        source in 0..3, seed: u64,
    ) {
        let versions = [("1", "live", 10_000), ("2", states[0], 0), ("3", states[1], 0), ("4", states[2], 0)];
        let plan = plan(&versions);
        let [asset, pass] = [asset, pass].map(|version| version.as_deref().map(code));
        let incoming = Incoming { asset, pass, kind, is_bot, ..incoming(claim) };
        let source = match source {
            0 => PlanSource::Bundle(&plan),
            fresh => PlanSource::Table { plan: &plan, is_fresh: fresh == 1 },
        };
        let by_receipt = match claim {
            Claim::Receipt(receipt) => Some(receipt.version),
            Claim::Bare(_) | Claim::Nothing => None,
        };
        let by_item = match &stored {
            StoredSession::Found(item) if item.is_live(NOW) => item.version,
            _ => None,
        };
        let mut rng = StdRng::seed_from_u64(seed);
        let Decision { version, route, from } = decide(&incoming, &stored, source, &Timing::default(), NOW, &mut rng);
        prop_assert!(plan.is_open(version), "a withdrawn version serves");
        prop_assert_eq!(from.is_some(), route == Route::Moved);
        match route {
            Route::Asset => prop_assert_eq!(Some(version), asset),
            Route::Pass => prop_assert_eq!(Some(version), pass),
            Route::Receipt | Route::Hint => prop_assert_eq!(Some(version), by_receipt),
            Route::Record => prop_assert_eq!(Some(version), by_item),
            // New sessions go by weight, and version 1 has all of it.
            Route::Roll => prop_assert_eq!((version, kind), (code("1"), Kind::Document)),
            Route::Moved => {
                prop_assert_eq!(version, code("1"));
                prop_assert!(from == by_receipt || from == by_item);
                prop_assert!(from.is_some_and(|from| !plan.keeps_sessions_of(from, Some(NOW))));
            }
            Route::Bot | Route::Stray | Route::Fallback => prop_assert_eq!(version, plan.stable()),
        }
        if matches!(route, Route::Receipt | Route::Record | Route::Hint) {
            prop_assert!(plan.keeps_sessions_of(version, Some(NOW)));
            prop_assert_ne!(claim, Claim::Nothing);
        }
        // A session goes on at its version, if the plan keeps sessions there: by a receipt within its lifetime where no
        // item is, and by a live item where no receipt is.
        let goes_on = match (&claim, &stored) {
            (Claim::Receipt(receipt), stored) if !matches!(stored, StoredSession::Found(_)) => {
                by_receipt.filter(|_| Timing::default().is_within_lifetime(receipt, NOW))
            }
            (Claim::Bare(_), StoredSession::Found(_)) => by_item,
            _ => None,
        };
        if let Some(kept) = goes_on.filter(|version| plan.keeps_sessions_of(*version, Some(NOW))) {
            prop_assert!(version == kept || matches!(route, Route::Asset | Route::Pass), "it has left {:?}", kept);
        }
        let is_bundle = matches!(source, PlanSource::Bundle(_));
        prop_assert!(!is_bundle || !route.is_placement(), "an old bundle places nobody");
    }
}

#[test]
fn a_pass_leads_to_its_version_in_every_state_but_withdrawn() {
    let with_pass = |claim| Incoming { pass: Some(code("2")), ..incoming(claim) };
    for state in ["staged", "live", "draining"] {
        let plan = plan(&[("1", "live", 10_000), ("2", state, 0)]);
        for claim in [Claim::Nothing, receipt("1", 10), receipt("1", 100)] {
            assert!(!looks_up(with_pass(claim), &plan), "{state}");
            assert_eq!(
                decision(with_pass(claim), &StoredSession::Unanswered, &plan),
                went("2", Route::Pass),
                "{state}"
            );
        }
        let by_bundle = by(with_pass(Claim::Nothing), &StoredSession::Unanswered, PlanSource::Bundle(&plan));
        assert_eq!(by_bundle, went("2", Route::Pass), "{state}");
        let asset = Incoming { asset: Some(code("1")), kind: Kind::Rest, ..with_pass(Claim::Nothing) };
        assert_eq!(decision(asset, &StoredSession::Unanswered, &plan), went("1", Route::Asset), "assets come first");
    }
    for plan in [plan(&[("1", "live", 10_000), ("2", "withdrawn", 0)]), plan(&[("1", "live", 10_000)])] {
        let with = |claim| decision(with_pass(claim), &StoredSession::Absent, &plan);
        assert_eq!(with(Claim::Nothing), went("1", Route::Roll));
        assert_eq!(with(receipt("1", 10)), went("1", Route::Receipt));
    }
}
