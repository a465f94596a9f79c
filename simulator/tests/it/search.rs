//! The invariants hold; without a safeguard they do not, or viewers see pages of another version more often.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use stickshift_session::Guard;
use stickshift_simulator::{
    AsDesigned, Cookies, Design, Invariant, Tally, Timeline, Violation, on_every_core, run, shrink,
};

use crate::safeguards::{
    Facts, WithBeginsEverywhere, WithGuard, WithLowerRevisions, WithPassesToWithdrawn, WithoutExpiry, WithoutFreshness,
    WithoutHint, WithoutLaterPlans, WithoutLookUpBeforeMove, WithoutPlacementOrder, WithoutStray, WithoutTouchInterval,
    WithoutTrust, WithoutVersionHeader, WithoutVersionUnderPass, WithoutWithdrawnAt,
};

/// How the loss of a safeguard shows.
#[derive(Debug, Clone, Copy)]
enum Shows {
    /// The timeline of this seed violates this invariant.
    Violation(u64, Invariant),
    /// In the timeline of this seed, the viewer gets more answers of another version, or loses more sessions,
    /// than by the design.
    Harm(u64),
}

use Invariant::{Ends, FewCalls, Kept, NoWrite, Sticks, TenMinutes, Withdrawn};
use Shows::{Harm, Violation as Violates};

type Admits = fn(&Facts) -> bool;
type Removal = (&'static str, Box<dyn Design>, Cookies, Shows);

/// Every safeguard, taken out.
fn removals() -> Vec<Removal> {
    let mut removals: Vec<Removal> = vec![
        ("receipt hint", Box::new(WithoutHint), Cookies::Receipts, Violates(4, TenMinutes)),
        ("expiry check", Box::new(WithoutExpiry), Cookies::Receipts, Violates(3, Ends)),
        ("order by placement", Box::new(WithoutPlacementOrder), Cookies::Receipts, Harm(3776)),
        ("look-up before a move", Box::new(WithoutLookUpBeforeMove), Cookies::Receipts, Harm(2380)),
        ("no move by an older plan", Box::new(WithoutLaterPlans), Cookies::Receipts, Violates(77_107, Kept)),
        ("`withdrawn_at`", Box::new(WithoutWithdrawnAt), Cookies::Receipts, Harm(2251)),
        ("version header", Box::new(WithoutVersionHeader), Cookies::Receipts, Violates(2697, Sticks)),
        ("lower revisions ignored", Box::new(WithLowerRevisions), Cookies::Receipts, Harm(1929)),
        ("freshness", Box::new(WithoutFreshness), Cookies::Receipts, Violates(76, Withdrawn)),
        ("`stray`", Box::new(WithoutStray), Cookies::Receipts, Violates(21, NoWrite)),
        (
            "begin only where the design says",
            Box::new(WithBeginsEverywhere),
            Cookies::Receipts,
            Violates(1539, TenMinutes),
        ),
    ];
    removals.push((
        "passes end with a withdrawal",
        Box::new(WithPassesToWithdrawn),
        Cookies::Receipts,
        Violates(76, Withdrawn),
    ));
    removals.push((
        "a pass to another version begins another session",
        Box::new(WithoutVersionUnderPass),
        Cookies::Receipts,
        Violates(103, Sticks),
    ));
    removals.push(("trust window", Box::new(WithoutTrust), Cookies::Receipts, Violates(0, FewCalls)));
    removals.push(("touch interval", Box::new(WithoutTouchInterval), Cookies::Receipts, Violates(0, FewCalls)));
    let guards: [(&str, Guard, Admits, Shows); 14] = [
        ("begin: absent", Guard::Begin, |_| true, Violates(18, Kept)),
        ("renew: here", Guard::Renew, |f| !f.is_absent, Violates(6, Sticks)),
        ("renew by token: here", Guard::RenewByToken, |f| f.is_live, Violates(1, Sticks)),
        ("renew by token: live", Guard::RenewByToken, |f| f.is_here, Violates(3, Ends)),
        ("reclaim: absent", Guard::Reclaim, |f| f.is_before, Violates(4, TenMinutes)),
        ("reclaim: ordered before", Guard::Reclaim, |f| f.is_absent, Violates(1375, TenMinutes)),
        ("move: absent", Guard::Move, |f| f.is_before || is_left(f), Violates(294, TenMinutes)),
        ("move: ordered before", Guard::Move, |f| f.is_absent || is_left(f), Violates(270_582, TenMinutes)),
        ("move: from", Guard::Move, |f| f.is_absent || f.is_before || f.is_not_later, Violates(69_349, Sticks)),
        ("move: later plan", Guard::Move, |f| f.is_absent || f.is_before || f.is_from, Violates(31_675, Kept)),
        ("move by token: live", Guard::MoveByToken, is_left, Violates(1272, Ends)),
        ("move by token: from", Guard::MoveByToken, |f| f.is_live && f.is_not_later, Violates(23_199, Sticks)),
        ("move by token: later plan", Guard::MoveByToken, |f| f.is_live && f.is_from, Violates(7497, Kept)),
        ("extend", Guard::Extend, |_| false, Harm(561)),
    ];
    for (name, guard, admits, shows) in guards {
        // Where a receipt stands in for an item, these guards matter less.
        let is_for_tokens = matches!(guard, Guard::RenewByToken | Guard::MoveByToken | Guard::Extend);
        let cookies = if is_for_tokens { Cookies::Tokens } else { Cookies::Receipts };
        removals.push((name, Box::new(WithGuard { guard, admits }), cookies, shows));
    }
    removals
}

fn is_left(facts: &Facts) -> bool {
    facts.is_from && facts.is_not_later
}

/// What a viewer sees of it: answers of another version, and lost sessions.
fn harm(tally: &Tally) -> u64 {
    tally.foreign + tally.lost
}

fn play(seed: u64, design: &dyn Design, cookies: Cookies) -> (Option<Violation>, Tally) {
    let mut tally = Tally::default();
    (run(&Timeline::draw(seed), design, cookies, &mut tally, None), tally)
}

#[test]
fn the_invariants_hold() {
    let mut total = Tally::default();
    for seed in 0..3_000 {
        let (violation, tally) = play(seed, &AsDesigned, Cookies::Receipts);
        assert_eq!(violation, None, "seed {seed}");
        total += tally;
    }
    let Tally { changes, refused_changes, .. } = total;
    assert!(changes > 2 * refused_changes, "{refused_changes} changes were refused, and {changes} were not");
}

#[test]
fn a_timeline_is_the_same_each_time() {
    for seed in 0..200 {
        assert_eq!(Timeline::draw(seed), Timeline::draw(seed));
        assert_eq!(play(seed, &AsDesigned, Cookies::Receipts), play(seed, &AsDesigned, Cookies::Receipts));
    }
}

#[test]
fn the_loss_of_a_safeguard_shows() {
    for (name, design, cookies, shows) in removals() {
        match shows {
            Violates(seed, invariant) => {
                let (violation, _) = play(seed, &*design, cookies);
                assert_eq!(violation.map(|violation| violation.invariant), Some(invariant), "{name}");
                assert_eq!(play(seed, &AsDesigned, cookies).0, None, "{name}");
            }
            Harm(seed) => {
                let harm_of = |design| harm(&play(seed, design, cookies).1);
                assert!(harm_of(&*design) > harm_of(&AsDesigned), "{name}");
            }
        }
    }
}

#[test]
fn a_shrunken_timeline_violates_the_same_invariant_with_less() {
    let timeline = Timeline::draw(3);
    let violation = run(&timeline, &WithoutExpiry, Cookies::Receipts, &mut Tally::default(), None);
    let violation = violation.expect("seed 3 finds it");
    let (shrunken, found) = shrink(&timeline, &WithoutExpiry, Cookies::Receipts, violation.clone());
    assert_eq!(found.invariant, violation.invariant);
    // A visit begins the session, and a later one finds it going on.
    assert_eq!(shrunken.events.len(), 2, "{:#?}", shrunken.events);
}

/// What a search finds.
#[derive(Default)]
struct Found {
    violations: BTreeMap<Invariant, (u64, u64)>,
    /// Timelines with more harm than by the design, and with less.
    more: u64,
    fewer: u64,
    first_more: Option<u64>,
    harm: u64,
    in_session: u64,
}

/// Prints how the loss of each safeguard shows in a million timelines. `docs/proof.md` has the result.
#[test]
#[ignore = "takes half an hour: cargo test --release -p stickshift-simulator -- --ignored --nocapture"]
fn search_for_every_safeguard() {
    let timelines: u64 = std::env::var("TIMELINES").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    let only = std::env::var("SAFEGUARD").unwrap_or_default();
    for (name, design, cookies, _) in removals().into_iter().filter(|(name, ..)| name.contains(&only)) {
        let found = on_every_core(0, timelines, |seed, found: &mut Found| search(&*design, cookies, seed, found));
        let rate = 1_000.0 * found.harm as f64 / found.in_session as f64;
        println!(
            "{name:<34} harm {rate:.3} per 1,000; more in {:>6}, fewer in {:>6}, first {:?}; violations {:?}",
            found.more, found.fewer, found.first_more, found.violations
        );
    }
}

/// Plays a timeline without a safeguard, and compares it with the design.
fn search(design: &dyn Design, cookies: Cookies, seed: u64, found: &mut Found) {
    let (violation, tally) = play(seed, design, cookies);
    found.harm += harm(&tally);
    found.in_session += tally.in_session;
    if let Some(violation) = violation {
        found.violations.entry(violation.invariant).or_insert((seed, 0)).1 += 1;
        return;
    }
    let designed = harm(&play(seed, &AsDesigned, cookies).1);
    found.more += u64::from(harm(&tally) > designed);
    found.fewer += u64::from(harm(&tally) < designed);
    if harm(&tally) > designed && found.first_more.is_none() {
        found.first_more = Some(seed);
    }
}

impl AddAssign for Found {
    fn add_assign(&mut self, other: Self) {
        for (invariant, (seed, count)) in other.violations {
            let entry = self.violations.entry(invariant).or_insert((seed, 0));
            *entry = (entry.0.min(seed), entry.1 + count);
        }
        self.more += other.more;
        self.fewer += other.fewer;
        self.first_more = [self.first_more, other.first_more].into_iter().flatten().min();
        self.harm += other.harm;
        self.in_session += other.in_session;
    }
}
