//! What the session rules promise, whatever a request claims and however its writes end.

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use stickshift_contract::{BareTokens, Claim, Kind, Placed, Placement, Route, SessionItem, Timing, Token};
use stickshift_session::{Rules, Session, Step, Stored, Visit, Written};

use crate::{NOW, code, item, receipt, token};

/// The app's version. Requests and items also name two others.
const VERSION: &str = "1";

fn any_version() -> impl Strategy<Value = String> {
    "[1-3]"
}

fn any_claim() -> impl Strategy<Value = Claim> {
    let tokens = |seeds: Vec<u64>| {
        let others = seeds.into_iter().map(|seed| Token::generate(&mut StdRng::seed_from_u64(seed)));
        BareTokens::collect(std::iter::once(token()).chain(others)).map_or(Claim::Nothing, Claim::Bare)
    };
    prop_oneof![
        Just(Claim::Nothing),
        (any_version(), 0u64..1_500).prop_map(|(version, age)| Claim::Receipt(receipt(&version, age))),
        prop::collection::vec(2u64..6, 0..4).prop_map(tokens),
    ]
}

prop_compose! {
    fn any_visit()(
        claim in any_claim(),
        kind in prop::sample::select(vec![Kind::Document, Kind::Visit, Kind::Rest]),
        route in prop::option::of(prop::sample::select(Route::EVERY.to_vec())),
        chosen in prop::option::of(prop_oneof![9 => Just(VERSION), 1 => Just("2")]),
        revision in 40u64..45,
        from in any_version(),
        is_step: bool,
    ) -> Visit {
        Visit {
            claim,
            kind,
            route,
            chosen: chosen.map(code),
            revision: route.filter(|route| route.is_placement()).map(|_| revision),
            from: route.filter(|route| *route == Route::Moved).map(|_| code(&from)),
            is_step,
        }
    }
}

fn any_item() -> impl Strategy<Value = SessionItem> {
    (any_version(), 0u64..1_500, 39u64..46, prop::bool::weighted(0.1)).prop_map(|(version, age, revision, is_free)| {
        let item = item(&version, age);
        SessionItem { revision, version: item.version.filter(|_| !is_free), ..item }
    })
}

fn any_written() -> impl Strategy<Value = Written> {
    let done = (0u64..1_500, 39u64..46).prop_map(|(age, revision)| Written::Done {
        started: NOW - age,
        placed: Placed { revision, placement: Placement::Drawn },
        last_visit: Some(NOW - age),
    });
    prop_oneof![
        done,
        any_item().prop_map(|item| Written::Refused(Stored::Item(item))),
        Just(Written::Refused(Stored::Absent)),
        Just(Written::Refused(Stored::Unreadable)),
        Just(Written::Failed),
    ]
}

fn claims(claim: Claim, token: Token) -> bool {
    match claim {
        Claim::Receipt(receipt) => receipt.token == token,
        Claim::Bare(tokens) => tokens.iter().any(|claimed| claimed == token),
        Claim::Nothing => false,
    }
}

proptest! {
    #[test]
    fn the_rules_keep_their_promises(
        visit in any_visit(), has_keys: bool, seed: u64, ends in prop::collection::vec(any_written(), 16),
        session_max_seconds in prop::option::of(600u64..3_000),
    ) {
        let timing = Timing { session_max_seconds: session_max_seconds.unwrap_or(0), ..Timing::default() };
        let rules = Rules { version: code(VERSION), timing, has_keys };
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut ends, mut writes, mut has_failed) = (ends.into_iter(), 0, false);
        let has_effect = visit.kind != Kind::Rest
            && !matches!(visit.route, Some(Route::Asset | Route::Stray))
            && visit.chosen.is_none_or(|chosen| chosen == code(VERSION));
        let mut step = rules.enter(&visit, NOW, &mut rng);
        let session = loop {
            match step {
                Step::Done(session) => break session,
                Step::Write(pending) => {
                    writes += 1;
                    prop_assert!(has_effect, "a request without an effect writes");
                    prop_assert_eq!(pending.write.claimed.receipt.version, code(VERSION));
                    prop_assert!(claims(visit.claim, pending.write.claimed.receipt.token), "a foreign token");
                    let end = ends.next().expect("16 writes are enough, also for four bare tokens");
                    has_failed |= end == Written::Failed;
                    step = rules.resume(*pending, end, &mut rng);
                }
            }
        };
        match session {
            Session::Here { receipt, is_new } => {
                prop_assert_eq!(receipt.version, code(VERSION));
                prop_assert!(claims(visit.claim, receipt.token), "a session that nobody claims");
                prop_assert_eq!(is_new, writes > 0);
                prop_assert!(is_new || visit.claim == Claim::Receipt(receipt));
            }
            Session::New(receipt) => {
                prop_assert!(has_effect && visit.kind == Kind::Document);
                let begins = matches!(visit.route, None | Some(Route::Roll | Route::Pass | Route::Fallback));
                prop_assert!(begins || !has_keys, "a session begins on {:?}", visit.route);
                prop_assert_eq!((receipt.started, receipt.touched), (NOW, NOW));
                prop_assert!(!claims(visit.claim, receipt.token), "a new session has an old token");
            }
            Session::Elsewhere { token, version } => {
                prop_assert!(claims(visit.claim, token));
                prop_assert_ne!(version, code(VERSION));
            }
            Session::Misdirected => prop_assert!(visit.chosen.is_some_and(|chosen| chosen != code(VERSION))),
            Session::Unwritten => prop_assert!(has_failed && !has_keys),
            Session::Unknown | Session::Absent => {}
        }
    }

    /// With keys, a receipt within its lifetime is a session at its version, whatever the table does.
    #[test]
    fn a_receipt_keeps_its_session_while_writes_fail(
        visit in any_visit(), age in 0u64..720,
        route in prop::option::of(prop::sample::select(vec![Route::Receipt, Route::Record, Route::Hint])),
    ) {
        let receipt = receipt(VERSION, age);
        let visit = Visit { claim: Claim::Receipt(receipt), route, chosen: None, revision: None, from: None, ..visit };
        let session = play_without_a_table(&visit, true);
        let is_of_session = matches!(session, Session::Here { receipt: here, .. } if here.token == receipt.token);
        prop_assert!(is_of_session, "{session:?}");
    }

    /// A document without a cookie begins a session where the design says.
    #[test]
    fn a_document_without_a_session_begins_one(
        has_keys: bool, revision in 40u64..45,
        route in prop::option::of(prop::sample::select(vec![Route::Roll, Route::Fallback, Route::Pass])),
    ) {
        let visit = Visit {
            claim: Claim::Nothing,
            kind: Kind::Document,
            route,
            chosen: None,
            revision: Some(revision),
            from: None,
            is_step: false,
        };
        let session = play_without_a_table(&visit, has_keys);
        prop_assert!(matches!(session, Session::New(_)), "{session:?}");
    }
}

/// The session of a visit whose writes all fail.
fn play_without_a_table(visit: &Visit, has_keys: bool) -> Session {
    let rules = Rules { version: code(VERSION), timing: Timing::default(), has_keys };
    let mut rng = StdRng::seed_from_u64(1);
    let mut step = rules.enter(visit, NOW, &mut rng);
    loop {
        match step {
            Step::Done(session) => return session,
            Step::Write(pending) => step = rules.resume(*pending, Written::Failed, &mut rng),
        }
    }
}
