use rand::SeedableRng as _;
use rand::rngs::StdRng;
use stickshift_contract::{Claim, Placed, Placement, Receipt, Route, SessionItem, Timing};
use stickshift_session::{Guard, Pending, Rules, Session, Step, Visit, Write, Written};

use crate::{NOW, code, drawn, item, receipt, token};

fn rng() -> StdRng {
    StdRng::seed_from_u64(2)
}

fn rules() -> Rules {
    Rules { version: code("1"), timing: Timing::default(), has_keys: true }
}

fn document(claim: Claim, route: Option<Route>) -> Visit<'static> {
    Visit { claim, route, revision: Some(42), is_document: true, user_agent: "Mozilla/5.0" }
}

fn by_receipt(version: &str, age: u64) -> Claim {
    Claim::Receipt(receipt(version, age), age)
}

/// A step in a few words, for the tables.
fn words(step: &Step) -> String {
    match step {
        Step::Done(Session::Here { is_new: false, .. }) => "here".to_owned(),
        Step::Done(Session::Here { is_new: true, receipt }) => {
            assert_eq!((receipt.version, receipt.touched), (code("1"), NOW));
            format!("here, new receipt {}", receipt.placed)
        }
        Step::Done(Session::Elsewhere { version, .. }) => format!("elsewhere, on {version}"),
        Step::Done(Session::Unknown) => "unknown".to_owned(),
        Step::Done(Session::Absent) => "absent".to_owned(),
        Step::Done(Session::Unwritten) => "unwritten".to_owned(),
        Step::Write(Write { receipt, expiration, guard }, _) => {
            assert_eq!((receipt.version, receipt.touched, *expiration), (code("1"), NOW, NOW + 720));
            assert_eq!(receipt.token == token(), *guard != Guard::Begin, "only a new session gets a new token");
            format!("{guard:?} {}", receipt.placed)
        }
    }
}

fn enter(visit: &Visit<'_>) -> Step {
    rules().enter(visit, NOW, &mut rng())
}

#[test]
fn a_document_does_this_to_its_session_on_version_1() {
    let none = Claim::Nothing;
    let bare = Claim::Bare(token());
    for (claim, route, step) in [
        // No session.
        (none, Some(Route::Roll), "Begin 42d"),
        (none, Some(Route::Moved), "Begin 42m"),
        (none, Some(Route::Fallback), "Begin 0o"),
        (none, None, "Begin 0o"),
        // A receipt of this version.
        (by_receipt("1", 0), Some(Route::Receipt), "here"),
        (by_receipt("1", 59), None, "here"),
        (by_receipt("1", 59), Some(Route::Record), "here"),
        (by_receipt("1", 60), Some(Route::Record), "Renew 41d"),
        (by_receipt("1", 719), Some(Route::Hint), "Renew 41d"),
        (by_receipt("1", 5), Some(Route::Moved), "Move 42m"),
        // A receipt of this version, past its lifetime.
        (by_receipt("1", 720), Some(Route::Roll), "Begin 42d"),
        (by_receipt("1", 720), None, "Begin 0o"),
        (by_receipt("1", 720), Some(Route::Record), "RenewByToken 0o"),
        (by_receipt("1", 720), Some(Route::Moved), "MoveByToken 42m"),
        // A receipt of another version.
        (by_receipt("2", 5), Some(Route::Receipt), "elsewhere, on 2"),
        (by_receipt("2", 5), None, "elsewhere, on 2"),
        (by_receipt("2", 100), Some(Route::Hint), "elsewhere, on 2"),
        (by_receipt("2", 100), Some(Route::Fallback), "elsewhere, on 2"),
        (by_receipt("2", 100), Some(Route::Roll), "elsewhere, on 2"),
        (by_receipt("2", 5), Some(Route::Record), "Renew 41d"),
        (by_receipt("2", 5), Some(Route::Moved), "Move 42m"),
        (by_receipt("2", 720), Some(Route::Roll), "Begin 42d"),
        // A bare token.
        (bare, Some(Route::Record), "RenewByToken 0o"),
        (bare, Some(Route::Roll), "RenewByToken 42d"),
        (bare, None, "RenewByToken 0o"),
        (bare, Some(Route::Moved), "MoveByToken 42m"),
    ] {
        assert_eq!(words(&enter(&document(claim, route))), step, "{claim:?}, {route:?}");
    }
}

#[test]
fn any_other_request_writes_nothing() {
    for (claim, route, step) in [
        (Claim::Nothing, Some(Route::Roll), "absent"),
        (Claim::Bare(token()), Some(Route::Record), "absent"),
        (by_receipt("1", 100), Some(Route::Record), "here"),
        (by_receipt("1", 720), Some(Route::Record), "absent"),
        (by_receipt("2", 100), Some(Route::Moved), "elsewhere, on 2"),
    ] {
        let visit = Visit { is_document: false, ..document(claim, route) };
        assert_eq!(words(&enter(&visit)), step, "{claim:?}, {route:?}");
    }
}

#[test]
fn bots_begin_no_session_but_keep_one() {
    let bot = |claim| Visit { user_agent: "Googlebot/2.1", ..document(claim, Some(Route::Bot)) };
    assert_eq!(words(&enter(&bot(Claim::Nothing))), "absent");
    assert_eq!(words(&enter(&bot(by_receipt("1", 60)))), "Renew 41d");
    let (_, pending) = write(&enter(&bot(Claim::Bare(token()))));
    assert_eq!(words(&rules().resume(pending, Written::Refused(None), NOW, &mut rng())), "absent");
}

#[test]
fn an_interval_of_zero_writes_on_every_view() {
    let timing = Timing { touch_interval_seconds: 0, ..Timing::default() };
    let step = Rules { timing, ..rules() }.enter(&document(by_receipt("1", 0), None), NOW, &mut rng());
    let Step::Write(Write { guard: Guard::Renew, expiration, .. }, _) = step else { panic!("{step:?}") };
    assert_eq!(expiration, NOW + 660);
}

fn write(step: &Step) -> (Write, Pending) {
    let Step::Write(write, pending) = *step else { panic!("expected a write, not {step:?}") };
    (write, pending)
}

#[test]
fn a_write_ends_like_this() {
    let done = || Written::Done { started: 5, placed: drawn(40) };
    let live_on = |version| Written::Refused(Some(item(version, 10)));
    let over_on = |version| Written::Refused(Some(item(version, 720)));
    let versionless = Written::Refused(Some(SessionItem { version: None, ..item("1", 10) }));
    let begin = document(Claim::Nothing, Some(Route::Roll));
    let renew = document(by_receipt("1", 100), Some(Route::Record));
    let moved = document(by_receipt("2", 5), Some(Route::Moved));
    let bare = document(Claim::Bare(token()), Some(Route::Record));
    for (visit, written, with_keys, without_keys) in [
        (begin, done(), "here, new receipt 40d", "here, new receipt 40d"),
        (begin, Written::Failed, "here, new receipt 42d", "unwritten"),
        (renew, done(), "here, new receipt 40d", "here, new receipt 40d"),
        (renew, live_on("2"), "elsewhere, on 2", "elsewhere, on 2"),
        (renew, Written::Failed, "here, new receipt 41d", "unwritten"),
        (moved, Written::Failed, "here, new receipt 42m", "unwritten"),
        (bare, done(), "here, new receipt 40d", "here, new receipt 40d"),
        (bare, live_on("2"), "elsewhere, on 2", "elsewhere, on 2"),
        (bare, over_on("2"), "Begin 0o", "Begin 0o"),
        (bare, over_on("1"), "Begin 0o", "Begin 0o"),
        (bare, versionless, "Begin 0o", "Begin 0o"),
        (bare, Written::Refused(None), "Begin 0o", "Begin 0o"),
        (bare, Written::Failed, "unknown", "unwritten"),
    ] {
        for (has_keys, expected) in [(true, with_keys), (false, without_keys)] {
            let rules = Rules { has_keys, ..rules() };
            let (_, pending) = write(&rules.enter(&visit, NOW, &mut rng()));
            let step = rules.resume(pending, written.clone(), NOW, &mut rng());
            assert_eq!(words(&step), expected, "{:?}, {written:?}, keys: {has_keys}", visit.claim);
        }
    }
}

#[test]
fn a_receipt_takes_first_visit_and_placement_from_the_item() {
    let (write, pending) = write(&enter(&document(by_receipt("1", 100), Some(Route::Record))));
    assert_eq!(write.receipt, Receipt { touched: NOW, ..receipt("1", 100) });
    let placed = Placed { revision: 40, placement: Placement::Moved };
    let step = rules().resume(pending, Written::Done { started: 5, placed }, NOW, &mut rng());
    let Step::Done(Session::Here { receipt, .. }) = step else { panic!("{step:?}") };
    assert_eq!((receipt.token, receipt.started, receipt.placed), (token(), 5, placed));
}
