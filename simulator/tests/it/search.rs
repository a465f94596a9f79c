//! Searches.

use std::collections::BTreeMap;

use stickshift_session::Guard;
use stickshift_simulator::{AsDesigned, Claim, Cookies, Design, Tally, Timeline, run};

use crate::safeguards::*;

fn search(design: &impl Design, cookies: Cookies, seeds: std::ops::Range<u64>) -> (Tally, BTreeMap<Claim, (u64, u64)>) {
    let (mut tally, mut found) = (Tally::default(), BTreeMap::new());
    for seed in seeds {
        if let Some(violation) = run(&Timeline::draw(seed), design, cookies, &mut tally, None) {
            let entry = found.entry(violation.claim).or_insert((seed, 0));
            entry.1 += 1;
        }
    }
    (tally, found)
}

#[test]
#[ignore = "experiment"]
fn explore() {
    let n: u64 = std::env::var("N").map_or(100_000, |n| n.parse().unwrap());
    let show = |name: &str, (tally, found): (Tally, BTreeMap<Claim, (u64, u64)>)| {
        let t = &tally;
        println!(
            "{name:<28} foreign {:>7.3}/1000 stale {} moved {} twice {} lost {} rolls {} begun2 {} {:?}",
            t.foreign as f64 * 1000.0 / t.in_session as f64,
            t.stale,
            t.moved,
            t.moved_twice_at_once,
            t.renewed_against_roll,
            t.begun_twice_at_once,
            found
        );
    };
    for cookies in if std::env::var_os("TOKENS").is_some() { vec![Cookies::Tokens] } else { vec![Cookies::Receipts] } {
        println!("{cookies:?}");
        show("as designed", search(&AsDesigned, cookies, 1..n));
        show("hint", search(&WithoutHint, cookies, 1..n));
        show("expiry", search(&WithoutExpiry, cookies, 1..n));
        show("order", search(&WithoutPlacementOrder, cookies, 1..n));
        show("look-up before move", search(&WithoutLookUpBeforeMove, cookies, 1..n));
        show("later plans", search(&WithoutLaterPlans, cookies, 1..n));
        show("withdrawn_at", search(&WithoutWithdrawnAt, cookies, 1..n));
        show("version header", search(&WithoutVersionHeader, cookies, 1..n));
        show("lower revisions", search(&WithLowerRevisions, cookies, 1..n));
        show("freshness", search(&WithoutFreshness, cookies, 1..n));
        show("stray", search(&WithoutStray, cookies, 1..n));
        show("begins", search(&WithBeginsEverywhere, cookies, 1..n));
        show("no look-ups", search(&WithoutLookUps, cookies, 1..n));
        for (name, guard, admits) in guards() {
            show(name, search(&WithGuard { guard, admits }, cookies, 1..n));
        }
    }
}

fn guards() -> Vec<(&'static str, Guard, fn(&Facts) -> bool)> {
    vec![
        ("begin: absent", Guard::Begin, |_| true),
        ("renew: here", Guard::Renew, |facts| !facts.is_absent),
        ("reclaim: no guard", Guard::Reclaim, |_| true),
        ("reclaim: absent", Guard::Reclaim, |f| {
            !f.is_absent && (f.is_before || (!f.is_live && f.is_not_later_than_receipt))
        }),
        ("reclaim: before", Guard::Reclaim, |f| f.is_absent || (!f.is_live && f.is_not_later_than_receipt)),
        ("reclaim: over", Guard::Reclaim, |f| f.is_absent || f.is_before),
        ("reclaim: over, not later", Guard::Reclaim, |f| f.is_absent || f.is_before || !f.is_live),
        ("move: no guard", Guard::Move, |_| true),
        ("move: absent", Guard::Move, |f| {
            !f.is_absent && (f.is_before || !f.is_live || (f.is_from && f.is_not_later_than_move))
        }),
        ("move: before", Guard::Move, |f| f.is_absent || !f.is_live || (f.is_from && f.is_not_later_than_move)),
        ("move: over", Guard::Move, |f| f.is_absent || f.is_before || (f.is_from && f.is_not_later_than_move)),
        ("move: from", Guard::Move, |f| f.is_absent || f.is_before || !f.is_live || f.is_not_later_than_move),
        ("move: from, not later", Guard::Move, |f| f.is_absent || f.is_before || !f.is_live || f.is_from),
        ("move: no from", Guard::Move, |f| f.is_absent || f.is_before || !f.is_live),
        ("extend: live", Guard::Extend, |f| !f.is_absent && f.is_newer),
        ("extend: newer", Guard::Extend, |f| f.is_live),
        ("extend: never", Guard::Extend, |_| false),
        ("renew by token: here", Guard::RenewByToken, |f| f.is_live),
        ("renew by token: live", Guard::RenewByToken, |f| f.is_here),
        ("move by token: live", Guard::MoveByToken, |f| f.is_from && f.is_not_later_than_move),
        ("move by token: from", Guard::MoveByToken, |f| f.is_live && f.is_not_later_than_move),
        ("move by token: not later", Guard::MoveByToken, |f| f.is_live && f.is_from),
    ]
}
