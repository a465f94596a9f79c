use rand::SeedableRng as _;
use rand::rngs::StdRng;
use stickshift_contract::{BareTokens, Claim, Kind, Placed, Placement, Receipt, Route, SessionItem, Timing, Token};
use stickshift_session::{Change, Claimed, Guard, Pending, Rules, Session, Step, Stored, Visit, Write, Written};

use crate::{NOW, code, drawn, item, receipt, token};

fn rng() -> StdRng {
    StdRng::seed_from_u64(2)
}

fn rules() -> Rules {
    Rules { version: code("1"), timing: Timing::default(), has_keys: true }
}

fn document(claim: Claim, route: Option<Route>) -> Visit {
    let from = (route == Some(Route::Moved)).then(|| code("2"));
    Visit {
        claim,
        kind: Kind::Document,
        route,
        chosen: route.map(|_| code("1")),
        revision: Some(42),
        from,
        is_step: false,
    }
}

fn by_receipt(version: &str, age: u64) -> Claim {
    Claim::Receipt(receipt(version, age))
}

fn bare() -> Claim {
    Claim::Bare(BareTokens::collect([token()]).expect("a token"))
}

/// A step in a few words, for the tables.
fn words(step: &Step) -> String {
    match step {
        Step::Done(Session::Here { is_new: false, .. }) => "here".to_owned(),
        Step::Done(Session::Here { is_new: true, receipt }) => {
            assert_eq!((receipt.version, receipt.touched), (code("1"), NOW));
            format!("here, new receipt {}", receipt.placed)
        }
        Step::Done(Session::New(receipt)) => {
            assert_eq!((receipt.version, receipt.started, receipt.touched), (code("1"), NOW, NOW));
            assert_ne!(receipt.token, token(), "a new session gets a new token");
            format!("new {}", receipt.placed)
        }
        Step::Done(Session::Elsewhere { version, .. }) => format!("elsewhere, on {version}"),
        Step::Done(session) => format!("{session:?}").to_lowercase(),
        Step::Write(pending) => {
            let Write { claimed, expiration, guard, .. } = &pending.write;
            let receipt = claimed.receipt;
            assert_eq!((receipt.version, receipt.touched, *expiration), (code("1"), NOW, NOW + 720));
            format!("{guard:?} {}", receipt.placed)
        }
    }
}

fn enter(visit: &Visit) -> Step {
    rules().enter(visit, NOW, &mut rng())
}

#[test]
fn a_document_does_this_to_its_session_on_version_1() {
    let none = Claim::Nothing;
    for (claim, route, step) in [
        // No session: it begins on `roll` and `fallback` and without an edge, and nowhere else.
        (none, Some(Route::Roll), "new 42d"),
        (none, Some(Route::Fallback), "new 0o"),
        (none, None, "new 0o"),
        (none, Some(Route::Moved), "absent"),
        (none, Some(Route::Record), "absent"),
        (none, Some(Route::Hint), "absent"),
        (none, Some(Route::Bot), "absent"),
        (none, Some(Route::Stray), "absent"),
        // A receipt of this version.
        (by_receipt("1", 0), Some(Route::Receipt), "here"),
        (by_receipt("1", 59), None, "here"),
        (by_receipt("1", 59), Some(Route::Record), "here"),
        (by_receipt("1", 60), Some(Route::Record), "Renew 41d"),
        (by_receipt("1", 719), Some(Route::Hint), "Renew 41d"),
        (by_receipt("1", 60), Some(Route::Fallback), "Renew 41d"),
        (by_receipt("1", 5), Some(Route::Moved), "Renew 42m"),
        (by_receipt("1", 5), Some(Route::Roll), "new 42d"),
        // A receipt of this version, past its lifetime.
        (by_receipt("1", 720), Some(Route::Roll), "new 42d"),
        (by_receipt("1", 720), None, "RenewByToken 0o"),
        (by_receipt("1", 720), Some(Route::Fallback), "RenewByToken 0o"),
        (by_receipt("1", 720), Some(Route::Hint), "RenewByToken 0o"),
        (by_receipt("1", 720), Some(Route::Record), "RenewByToken 0o"),
        (by_receipt("1", 720), Some(Route::Moved), "RenewByToken 42m"),
        // A receipt of another version.
        (by_receipt("2", 5), Some(Route::Receipt), "elsewhere, on 2"),
        (by_receipt("2", 5), None, "elsewhere, on 2"),
        (by_receipt("2", 100), Some(Route::Hint), "elsewhere, on 2"),
        (by_receipt("2", 100), Some(Route::Fallback), "elsewhere, on 2"),
        (by_receipt("2", 800), Some(Route::Fallback), "elsewhere, on 2"),
        (by_receipt("2", 100), Some(Route::Roll), "new 42d"),
        (by_receipt("2", 5), Some(Route::Record), "Renew 41d"),
        (by_receipt("2", 5), Some(Route::Moved), "Renew 42m"),
        (by_receipt("2", 800), Some(Route::Moved), "RenewByToken 42m"),
        // A bare token.
        (bare(), Some(Route::Record), "RenewByToken 0o"),
        (bare(), Some(Route::Roll), "new 42d"),
        (bare(), None, "RenewByToken 0o"),
        (bare(), Some(Route::Moved), "RenewByToken 42m"),
    ] {
        assert_eq!(words(&enter(&document(claim, route))), step, "{claim:?}, {route:?}");
    }
}

#[test]
fn a_visit_renews_and_begins_nothing() {
    for (claim, route, step) in [
        (Claim::Nothing, Some(Route::Roll), "absent"),
        (Claim::Nothing, None, "absent"),
        (bare(), Some(Route::Record), "RenewByToken 0o"),
        (by_receipt("1", 10), Some(Route::Receipt), "here"),
        (by_receipt("1", 100), Some(Route::Record), "Renew 41d"),
        (by_receipt("2", 100), Some(Route::Moved), "Renew 42m"),
    ] {
        let visit = Visit { kind: Kind::Visit, ..document(claim, route) };
        assert_eq!(words(&enter(&visit)), step, "{claim:?}, {route:?}");
    }
}

#[test]
fn a_step_of_the_activity_is_written_although_the_receipt_is_young() {
    let step = |claim, route| Visit { kind: Kind::Visit, is_step: true, ..document(claim, route) };
    for (claim, route, words_of_step) in [
        (by_receipt("1", 0), Some(Route::Receipt), "Renew 41d"),
        (by_receipt("1", 60), Some(Route::Record), "Renew 41d"),
        (by_receipt("1", 5), Some(Route::Moved), "Renew 42m"),
        // It changes nothing else.
        (by_receipt("2", 5), Some(Route::Receipt), "elsewhere, on 2"),
        (by_receipt("1", 5), Some(Route::Stray), "here"),
        (by_receipt("1", 720), Some(Route::Hint), "RenewByToken 0o"),
        (Claim::Nothing, Some(Route::Hint), "absent"),
        (Claim::Nothing, None, "absent"),
    ] {
        assert_eq!(words(&enter(&step(claim, route))), words_of_step, "{claim:?}, {route:?}");
    }
}

#[test]
fn the_rest_writes_nothing() {
    for (claim, route, step) in [
        (Claim::Nothing, Some(Route::Roll), "absent"),
        (Claim::Nothing, None, "absent"),
        (bare(), Some(Route::Record), "absent"),
        (by_receipt("1", 100), Some(Route::Record), "here"),
        (by_receipt("1", 720), Some(Route::Record), "absent"),
        (by_receipt("2", 100), Some(Route::Moved), "elsewhere, on 2"),
    ] {
        let visit = Visit { kind: Kind::Rest, ..document(claim, route) };
        assert_eq!(words(&enter(&visit)), step, "{claim:?}, {route:?}");
    }
    let asset = document(by_receipt("1", 100), Some(Route::Asset));
    assert_eq!(words(&enter(&asset)), "here", "whatever its headers say");
}

#[test]
fn a_request_for_another_version_is_misdirected() {
    for claim in [Claim::Nothing, by_receipt("1", 100), by_receipt("2", 100), bare()] {
        let visit = Visit { chosen: Some(code("2")), ..document(claim, Some(Route::Roll)) };
        assert_eq!(words(&enter(&visit)), "misdirected", "{claim:?}");
    }
}

#[test]
fn without_keys_a_token_is_tried_before_a_session_begins() {
    let rules = Rules { has_keys: false, ..rules() };
    let step = rules.enter(&document(bare(), Some(Route::Roll)), NOW, &mut rng());
    assert_eq!(words(&step), "RenewByToken 0o", "the edge's replica may lag");
    let (_, pending) = write(&step);
    assert_eq!(words(&rules.resume(pending, Written::Refused(Stored::Absent), &mut rng())), "new 42d");
}

#[test]
fn an_interval_of_zero_writes_on_every_view() {
    let timing = Timing { touch_interval_seconds: 0, ..Timing::default() };
    let step = Rules { timing, ..rules() }.enter(&document(by_receipt("1", 0), None), NOW, &mut rng());
    let (renewal, _) = write(&step);
    assert_eq!((renewal.guard, renewal.expiration), (Guard::Renew, NOW + 660));
}

fn write(step: &Step) -> (Write, Pending) {
    let Step::Write(pending) = step else { panic!("expected a write, not {step:?}") };
    (pending.write, **pending)
}

fn begin() -> Step {
    let Step::Done(Session::New(receipt)) = enter(&document(Claim::Nothing, Some(Route::Roll))) else {
        panic!("expected a new session")
    };
    let pending = rules().begin(receipt);
    assert_eq!((pending.write.guard, pending.write.change), (Guard::Begin, Change::Put));
    Step::Write(Box::new(pending))
}

#[test]
fn a_write_ends_like_this() {
    let done = || Written::Done { started: 5, placed: drawn(40), last_visit: Some(5) };
    let holds = |item: SessionItem| Written::Refused(Stored::Item(item));
    let absent = || Written::Refused(Stored::Absent);
    let later = |item: SessionItem| SessionItem { revision: 43, ..item };
    let renew = enter(&document(by_receipt("1", 100), Some(Route::Record)));
    let moved = enter(&document(by_receipt("2", 5), Some(Route::Moved)));
    let by_record = enter(&document(by_receipt("2", 5), Some(Route::Record)));
    let old = enter(&document(by_receipt("1", 720), Some(Route::Record)));
    let token = enter(&document(bare(), None));
    let moved_token = enter(&document(bare(), Some(Route::Moved)));
    for (step, written, next) in [
        (begin(), done(), "here, new receipt 40d"),
        (begin(), holds(item("1", 10)), "absent"),
        (begin(), holds(SessionItem { started: NOW, ..item("1", 10) }), "here, new receipt 42d"),
        (begin(), Written::Failed, "here, new receipt 42d"),
        // Renewed by a receipt of this version.
        (renew.clone(), done(), "here, new receipt 40d"),
        (renew.clone(), absent(), "Reclaim 41d"),
        (renew.clone(), holds(item("2", 110)), "Reclaim 41d"),
        (renew.clone(), holds(item("2", 50)), "Extend 41d"),
        (renew.clone(), holds(item("2", 720)), "Reclaim 41d"),
        (renew.clone(), holds(later(item("2", 720))), "elsewhere, on 2"),
        (renew.clone(), Written::Refused(Stored::Unreadable), "unknown"),
        (renew, Written::Failed, "here, new receipt 41d"),
        // The edge has seen a newer item that names this version.
        (by_record.clone(), done(), "here, new receipt 40d"),
        (by_record, holds(item("2", 1)), "Extend 41d"),
        // Moved here, by a receipt.
        (moved.clone(), done(), "here, new receipt 40d"),
        (moved.clone(), absent(), "Move 42m"),
        (moved.clone(), holds(item("2", 5)), "Move 42m"),
        (moved.clone(), holds(later(item("2", 5))), "Extend 42m"),
        (moved.clone(), holds(item("3", 1)), "Extend 42m"),
        (moved, Written::Failed, "here, new receipt 42m"),
        // By a bare token, or by a receipt past its lifetime.
        (token.clone(), done(), "here, new receipt 40d"),
        (token.clone(), holds(item("2", 10)), "Extend 0o"),
        (token.clone(), holds(item("2", 720)), "new 0o"),
        (token.clone(), holds(item("1", 720)), "new 0o"),
        (token.clone(), holds(SessionItem { version: None, ..item("1", 10) }), "new 0o"),
        (token.clone(), absent(), "new 0o"),
        (token, Written::Failed, "unknown"),
        (old.clone(), absent(), "absent"),
        (old, holds(item("1", 800)), "absent"),
        // Moved here, by a bare token.
        (moved_token.clone(), holds(item("2", 5)), "MoveByToken 42m"),
        (moved_token.clone(), holds(item("3", 5)), "Extend 42m"),
        (moved_token, holds(item("2", 720)), "absent"),
    ] {
        let (first, pending) = write(&step);
        assert_eq!(
            words(&rules().resume(pending, written.clone(), &mut rng())),
            next,
            "{:?}, {written:?}",
            first.guard
        );
        if written == Written::Failed {
            let without_keys = Rules { has_keys: false, ..rules() };
            assert_eq!(words(&without_keys.resume(pending, Written::Failed, &mut rng())), "unwritten");
        }
    }
}

#[test]
fn a_takeover_that_is_refused_leaves_the_session_where_it_is() {
    let (_, pending) = write(&enter(&document(by_receipt("2", 5), Some(Route::Moved))));
    let next = rules().resume(pending, Written::Refused(Stored::Item(item("2", 5))), &mut rng());
    let (takeover, pending) = write(&next);
    assert_eq!((takeover.guard, takeover.change), (Guard::Move, Change::Place));
    // Another tab was faster, and moved the session to version 3.
    let next = rules().resume(pending, Written::Refused(Stored::Item(item("3", 0))), &mut rng());
    let (extension, pending) = write(&next);
    assert_eq!((extension.guard, extension.change), (Guard::Extend, Change::Extend));
    for written in [Written::Failed, Written::Refused(Stored::Absent)] {
        assert_eq!(words(&rules().resume(pending, written, &mut rng())), "elsewhere, on 3");
    }
}

#[test]
fn the_slower_one_of_two_takeovers_finds_the_session_here() {
    for (claim, route, takeover, renewal) in [
        (by_receipt("2", 5), Some(Route::Moved), Guard::Move, Guard::Renew),
        (by_receipt("1", 100), Some(Route::Hint), Guard::Reclaim, Guard::Renew),
        (bare(), Some(Route::Moved), Guard::MoveByToken, Guard::RenewByToken),
    ] {
        let (_, pending) = write(&enter(&document(claim, route)));
        let left = Stored::Item(item("2", 110));
        let (second, pending) = write(&rules().resume(pending, Written::Refused(left), &mut rng()));
        assert_eq!(second.guard, takeover);
        // Another request of the same page has taken the session over a moment ago.
        let taken = Stored::Item(SessionItem { revision: 42, ..item("1", 0) });
        let (third, pending) = write(&rules().resume(pending, Written::Refused(taken.clone()), &mut rng()));
        assert_eq!((third.guard, third.change), (renewal, Change::Renew));
        let done =
            rules().resume(pending, Written::Done { started: 5, placed: drawn(42), last_visit: Some(5) }, &mut rng());
        assert_eq!(words(&done), "here, new receipt 42d");
        // It ends, whatever the table says.
        let end = rules().resume(pending, Written::Refused(taken), &mut rng());
        assert!(matches!(end, Step::Done(Session::Absent)), "{end:?}");
    }
}

#[test]
fn every_bare_token_is_tried() {
    let [junk, ours] = [7, 8].map(|seed| Token::generate(&mut StdRng::seed_from_u64(seed)));
    let tokens = BareTokens::collect([junk, ours]).expect("two tokens");
    let (first, pending) = write(&enter(&document(Claim::Bare(tokens), None)));
    assert_eq!(first.claimed.receipt.token, junk);
    let next = rules().resume(pending, Written::Refused(Stored::Absent), &mut rng());
    let (second, pending) = write(&next);
    assert_eq!((second.claimed.receipt.token, second.guard), (ours, Guard::RenewByToken));
    let done =
        rules().resume(pending, Written::Done { started: 5, placed: drawn(40), last_visit: Some(5) }, &mut rng());
    let Step::Done(Session::Here { receipt, .. }) = done else { panic!("{done:?}") };
    assert_eq!(receipt.token, ours);

    // Also if the edge has moved the session.
    let (_, pending) = write(&enter(&document(Claim::Bare(tokens), Some(Route::Moved))));
    let (second, pending) = write(&rules().resume(pending, Written::Refused(Stored::Absent), &mut rng()));
    assert_eq!(second.claimed.receipt.token, ours);
    let left = Stored::Item(SessionItem { token: ours, ..item("2", 5) });
    let (third, _) = write(&rules().resume(pending, Written::Refused(left), &mut rng()));
    assert_eq!((third.guard, third.claimed.receipt.placed.to_string()), (Guard::MoveByToken, "42m".to_owned()));
}

#[test]
fn a_receipt_takes_first_visit_and_placement_from_the_item() {
    let (write, pending) = write(&enter(&document(by_receipt("1", 100), Some(Route::Record))));
    assert_eq!(write.claimed.receipt, Receipt { touched: NOW, ..receipt("1", 100) });
    let placed = Placed { revision: 40, placement: Placement::Moved };
    let step = rules().resume(pending, Written::Done { started: 5, placed, last_visit: Some(5) }, &mut rng());
    let Step::Done(Session::Here { receipt, .. }) = step else { panic!("{step:?}") };
    assert_eq!((receipt.token, receipt.started, receipt.placed), (token(), 5, placed));
}

#[test]
fn a_session_past_its_absolute_end_is_over() {
    let timing = Timing { session_max_seconds: 3600, ..Timing::default() };
    let rules = Rules { timing, ..rules() };
    let (_, pending) = write(&rules.enter(&document(bare(), None), NOW, &mut rng()));
    let done = |started| Written::Done { started, placed: drawn(40), last_visit: Some(5) };
    assert_eq!(words(&rules.resume(pending, done(NOW - 3600), &mut rng())), "new 0o");
    assert_eq!(words(&rules.resume(pending, done(NOW - 3599), &mut rng())), "here, new receipt 40d");
    assert_eq!(words(&rules.resume(pending, done(0), &mut rng())), "here, new receipt 40d", "an unknown begin");
}

#[test]
fn the_first_renewal_of_a_session_is_the_one_that_finds_it_as_it_began() {
    let receipt = |touched| Receipt { touched, started: 100, ..receipt("1", 0) };
    let write = |change, claimed_touched, touched| {
        let claimed = Claimed { receipt: receipt(touched), order: (40, claimed_touched), from: None };
        Write { claimed, expiration: touched + 720, guard: Guard::Renew, change }
    };
    let done = |last_visit| Written::Done { started: 100, placed: drawn(40), last_visit };
    let first = |write: Write, written: &Written| write.first_renewal(written);
    assert_eq!(first(write(Change::Renew, 100, 160), &done(Some(100))), Some(drawn(40)));
    assert_eq!(first(write(Change::Renew, 100, 160), &done(Some(160))), None, "another tab was faster");
    assert_eq!(first(write(Change::Renew, 160, 220), &done(Some(160))), None);
    assert_eq!(first(write(Change::Renew, 100, 100), &done(Some(100))), None, "in the second of the begin");
    assert_eq!(first(write(Change::Renew, 100, 160), &done(None)), Some(drawn(40)), "the begin was never written");
    assert_eq!(first(write(Change::Renew, 160, 220), &done(None)), None);
    assert_eq!(first(write(Change::Place, 100, 160), &done(Some(100))), None, "it moved here");
    assert_eq!(first(write(Change::Renew, 100, 160), &Written::Failed), None);
}

#[test]
fn under_a_pass_a_session_begins_and_goes_on_at_the_version_of_the_pass() {
    for (claim, step) in [
        (Claim::Nothing, "new 0o"),
        (by_receipt("1", 10), "here"),
        (by_receipt("1", 100), "Renew 41d"),
        (by_receipt("1", 800), "RenewByToken 0o"),
        // The pass before was to another version.
        (by_receipt("2", 10), "new 0o"),
        (by_receipt("2", 800), "new 0o"),
    ] {
        assert_eq!(words(&enter(&document(claim, Some(Route::Pass)))), step, "{claim:?}");
        let visit = Visit { kind: Kind::Visit, ..document(claim, Some(Route::Pass)) };
        let begins_nothing = if step == "new 0o" { "absent" } else { step };
        assert_eq!(words(&enter(&visit)), begins_nothing, "{claim:?}");
    }
    let (_, pending) = write(&enter(&document(by_receipt("1", 800), Some(Route::Pass))));
    assert_eq!(words(&rules().resume(pending, Written::Refused(Stored::Absent), &mut rng())), "new 0o");
}
