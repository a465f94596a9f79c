//! The rules without one of their safeguards.

use rand::rngs::SmallRng;
use stickshift_contract::{Claim, Kind, Plan, PlannedVersion, Receipt, Route, SessionItem, VersionCode};
use stickshift_edge::{Answer, Considered, Decision, Incoming, Router, StoredSession};
use stickshift_session::{Claimed, Guard, Visit};
use stickshift_simulator::Design;

/// An item that never expires.
fn endless(mut item: SessionItem) -> SessionItem {
    item.expiration = u64::MAX;
    item
}

/// An answer with a changed item.
fn with_item(answer: Answer, change: impl FnOnce(SessionItem) -> SessionItem) -> Answer {
    match answer.session {
        StoredSession::Found(item) => Answer { session: StoredSession::Found(change(item)), ..answer },
        _ => answer,
    }
}

fn receipt(incoming: &Incoming) -> Option<Receipt> {
    match incoming.claim {
        Claim::Receipt(receipt) => Some(receipt),
        Claim::Bare(_) | Claim::Nothing => None,
    }
}

/// With an answer of the table, a receipt names no version.
pub(crate) struct WithoutHint;

impl Design for WithoutHint {
    fn decision(&self, incoming: &Incoming, decision: Decision, plan: Option<&Plan>, rng: &mut SmallRng) -> Decision {
        match plan {
            Some(plan) if decision.route == Route::Hint && incoming.kind == Kind::Document => {
                Decision { version: plan.pick(rng), route: Route::Roll, from: None }
            }
            _ => decision,
        }
    }
}

/// Nobody looks at `expiration`: the presence of the item counts.
pub(crate) struct WithoutExpiry;

impl Design for WithoutExpiry {
    fn answer(&self, _: &Incoming, answer: Answer) -> Answer {
        with_item(answer, endless)
    }

    fn stored(&self, item: SessionItem, _: &Claimed) -> Option<SessionItem> {
        Some(endless(item))
    }

    fn admits(&self, guard: Guard, stored: Option<&SessionItem>, claimed: &Claimed) -> bool {
        guard.admits(stored.cloned().map(endless).as_ref(), claimed)
    }
}

/// Only `touched` orders receipts and items.
pub(crate) struct WithoutPlacementOrder;

impl Design for WithoutPlacementOrder {
    fn answer(&self, incoming: &Incoming, answer: Answer) -> Answer {
        let Some(receipt) = receipt(incoming) else { return answer };
        with_item(answer, |item| SessionItem { revision: receipt.placed.revision, ..item })
    }

    fn admits(&self, guard: Guard, stored: Option<&SessionItem>, claimed: &Claimed) -> bool {
        let revision = stored.map_or(0, |item| item.revision);
        guard.admits(stored, &Claimed { order: (revision, claimed.order.1), ..*claimed })
    }
}

/// A young receipt is moved without a look-up.
pub(crate) struct WithoutLookUpBeforeMove;

impl Design for WithoutLookUpBeforeMove {
    fn considered(&self, router: &Router, incoming: &Incoming, considered: Considered, now: u64) -> Considered {
        let is_young = receipt(incoming).is_some_and(|receipt| now.saturating_sub(receipt.touched) < 60);
        match considered {
            Considered::Needs(look_up) if is_young && !look_up.tokens.is_empty() && !look_up.is_plan_wanted => {
                let answer = Answer { session: StoredSession::Unanswered, plan: None };
                router.learn(look_up, answer, now, 0)
            }
            considered => considered,
        }
    }
}

/// A plan moves sessions that a later plan has placed.
pub(crate) struct WithoutLaterPlans;

impl Design for WithoutLaterPlans {
    fn incoming(&self, incoming: Incoming) -> Incoming {
        let Some(mut receipt) = receipt(&incoming) else { return incoming };
        receipt.placed.revision = 0;
        Incoming { claim: Claim::Receipt(receipt), ..incoming }
    }

    fn answer(&self, _: &Incoming, answer: Answer) -> Answer {
        with_item(answer, |item| SessionItem { revision: 0, ..item })
    }
}

/// A receipt of any age is looked up.
pub(crate) struct WithoutTrust;

impl Design for WithoutTrust {
    fn incoming(&self, incoming: Incoming) -> Incoming {
        let Some(receipt) = receipt(&incoming) else { return incoming };
        Incoming { claim: Claim::Receipt(a_minute_older(receipt)), ..incoming }
    }
}

/// Each visit is written.
pub(crate) struct WithoutTouchInterval;

impl Design for WithoutTouchInterval {
    fn visit(&self, visit: Visit) -> Visit {
        match visit.claim {
            Claim::Receipt(receipt) => Visit { claim: Claim::Receipt(a_minute_older(receipt)), ..visit },
            Claim::Bare(_) | Claim::Nothing => visit,
        }
    }
}

fn a_minute_older(receipt: Receipt) -> Receipt {
    Receipt { touched: receipt.touched - 60, ..receipt }
}

/// Plans do not say when a version was withdrawn.
pub(crate) struct WithoutWithdrawnAt;

impl Design for WithoutWithdrawnAt {
    fn plan(&self, plan: Plan) -> Plan {
        let versions = plan.versions().clone().into_iter();
        let versions = versions.map(|(version, planned)| (version, PlannedVersion { withdrawn_at: None, ..planned }));
        Plan::new(plan.revision(), plan.stable(), versions.collect()).expect("the same plan keeps the rules")
    }
}

/// The app does not look at the version that the edge chose.
pub(crate) struct WithoutVersionHeader;

impl Design for WithoutVersionHeader {
    fn visit(&self, visit: Visit) -> Visit {
        Visit { chosen: None, ..visit }
    }
}

/// The last plan that was read counts, whatever its revision.
pub(crate) struct WithLowerRevisions;

impl Design for WithLowerRevisions {
    fn ignores_lower_revisions(&self) -> bool {
        false
    }
}

/// An edge uses a plan for a minute.
pub(crate) struct WithoutFreshness;

impl Design for WithoutFreshness {
    fn plan_ttl_seconds(&self) -> Option<u64> {
        Some(60)
    }
}

/// A stray renews what its cookie claims.
pub(crate) struct WithoutStray;

impl Design for WithoutStray {
    fn visit(&self, visit: Visit) -> Visit {
        let route = visit.route.map(|route| if route == Route::Stray { Route::Record } else { route });
        Visit { route, ..visit }
    }
}

/// The app begins a session wherever it finds the old one over.
pub(crate) struct WithBeginsEverywhere;

impl Design for WithBeginsEverywhere {
    fn visit(&self, visit: Visit) -> Visit {
        let is_session = matches!(visit.route, Some(Route::Record | Route::Hint));
        Visit { route: if is_session { None } else { visit.route }, ..visit }
    }
}

/// A pass opens its version in every state.
pub(crate) struct WithPassesToWithdrawn;

impl Design for WithPassesToWithdrawn {
    fn decision(&self, incoming: &Incoming, decision: Decision, plan: Option<&Plan>, _: &mut SmallRng) -> Decision {
        match (incoming.pass, plan) {
            (Some(version), Some(_)) => Decision { version, route: Route::Pass, from: None },
            _ => decision,
        }
    }
}

/// Under a pass, the app does not look at the version of the session's receipt.
pub(crate) struct WithoutVersionUnderPass;

impl Design for WithoutVersionUnderPass {
    fn visit(&self, visit: Visit) -> Visit {
        match (visit.claim, visit.route, visit.chosen) {
            (Claim::Receipt(receipt), Some(Route::Pass), Some(version)) => {
                Visit { claim: Claim::Receipt(Receipt { version, ..receipt }), ..visit }
            }
            _ => visit,
        }
    }
}

/// One guard has another condition: `admits` takes its place.
pub(crate) struct WithGuard {
    pub(crate) guard: Guard,
    pub(crate) admits: fn(&Facts) -> bool,
}

/// What the clauses of the guards are made of.
pub(crate) struct Facts {
    pub(crate) is_absent: bool,
    pub(crate) is_live: bool,
    pub(crate) is_here: bool,
    pub(crate) is_from: bool,
    /// The item is ordered before the receipt.
    pub(crate) is_before: bool,
    /// The item is not placed under a later plan than the move's.
    pub(crate) is_not_later: bool,
}

impl Design for WithGuard {
    /// The session rules ask the guard of a takeover themselves, so they get an item that it admits.
    fn stored(&self, item: SessionItem, claimed: &Claimed) -> Option<SessionItem> {
        // A move places the session under a later plan. A bare token has no order.
        let is_move = claimed.order != (0, 0) && claimed.receipt.placed.revision != claimed.order.0;
        match self.guard {
            _ if !(self.admits)(&Facts::of(Some(&item), claimed)) => Some(item),
            Guard::Reclaim if !is_move => None,
            Guard::Move if is_move => None,
            Guard::MoveByToken => Some(SessionItem { version: claimed.from, revision: 0, ..endless(item) }),
            _ => Some(item),
        }
    }

    fn admits(&self, guard: Guard, stored: Option<&SessionItem>, claimed: &Claimed) -> bool {
        if guard == self.guard { (self.admits)(&Facts::of(stored, claimed)) } else { guard.admits(stored, claimed) }
    }
}

impl Facts {
    fn of(stored: Option<&SessionItem>, claimed: &Claimed) -> Self {
        let Claimed { receipt, order, from } = *claimed;
        let is_on = |version: VersionCode| stored.is_some_and(|item| item.version == Some(version));
        Self {
            is_absent: stored.is_none(),
            is_live: stored.is_some_and(|item| item.is_live(receipt.touched)),
            is_here: is_on(receipt.version),
            is_from: is_on(from.unwrap_or(receipt.version)),
            is_before: stored.is_some_and(|item| item.order() < order),
            is_not_later: stored.is_some_and(|item| item.revision <= receipt.placed.revision),
        }
    }
}
