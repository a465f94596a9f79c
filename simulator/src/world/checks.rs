//! What must hold when the edge has decided.

use stickshift_contract::{Claim, Kind, Plan, Receipt, Route, State, Timing, Token};
use stickshift_edge::Decision;

use super::{
    Cookies, Flight, MOST_LOOK_UPS, MOST_WRITES, PROPAGATION_BOUND, SESSION_LASTS, World, claimed_token, clock,
    is_of_session, timing,
};
use crate::design::Design;
use crate::operator::code;
use crate::timeline::{LookUpFate, Millis};
use crate::truth::{Invariant, Truth};

impl<D: Design + ?Sized> World<'_, D> {
    pub(super) fn check_decision(&mut self, number: usize, decision: Decision) {
        let Flight { request, began, is_in_progress, has_answer, claim, .. } = self.flights[number];
        let Decision { version, route, .. } = decision;
        let well_since = self.edges[request.edge].well_since;
        let is_frozen = matches!(request.look_up, LookUpFate::Frozen(_));
        if !self.is_restored && !is_frozen {
            // The first plan of those that withdraw the version without a break up to now.
            let withdraws =
                |plan: &&Plan| plan.versions().get(&version).is_none_or(|planned| planned.state == State::Withdrawn);
            let since = self.plans.iter().rev().take_while(withdraws).last().map(Plan::revision);
            if let Some(revision) = since {
                let known = self.tables.is_known_everywhere_since(revision);
                if began >= known.max(well_since).saturating_add(PROPAGATION_BOUND) {
                    self.violate(Invariant::Withdrawn, || {
                        format!(
                            "version {version} serves ({route}), {} s after it was withdrawn everywhere",
                            (began - known) / 1_000
                        )
                    });
                }
            }
        }
        if let Claim::Receipt(receipt) = claim
            && is_of_session(route)
            && timing(self.timeline).is_past_end(receipt.started, clock(began, 0) - 60)
        {
            self.violate(Invariant::Ends, || {
                format!("token {} is past its absolute end ({route})", receipt.token.short())
            });
        }
        self.check_look_ups(number);
        let Some(truth) = self.claimed(number) else { return };
        let (token, touched) = (truth.token, truth.touched);
        self.tally.in_session += u64::from(is_in_progress);
        let is_dropped = match request.kind {
            Kind::Document => route == Route::Roll,
            Kind::Visit => route == Route::Stray,
            Kind::Rest => false,
        };
        if is_in_progress && is_dropped && self.cookies == Cookies::Receipts {
            self.violate(Invariant::TenMinutes, || {
                format!("the edge finds no session: {route}, with token {}", token.short())
            });
        }
        // The lifetime, by the clocks that differ most.
        let timing = Timing::default();
        let most = timing.lifetime_seconds() + 2 * timing.clock_allowance_seconds;
        if has_answer && is_of_session(route) && clock(began, 0) > touched + most {
            self.violate(Invariant::Ends, || {
                format!(
                    "token {} goes on ({route}), {} s after its last visit",
                    token.short(),
                    clock(began, 0) - touched
                )
            });
        }
    }

    /// A request asks seldom, and one with a young receipt not for its session, unless a plan that the edge can have
    /// lets the session's version go. Edges never ask for a session under a pass.
    fn check_look_ups(&mut self, number: usize) {
        let Flight { jars: [own, _], edge_now, edge_revision, look_ups, has_asked_for_session, .. } =
            self.flights[number];
        let timing = timing(self.timeline);
        let allowance = timing.clock_allowance_seconds;
        let is_young = |receipt: &Receipt| {
            edge_now < receipt.touched + timing.trust_window_seconds && receipt.touched <= edge_now + allowance
        };
        let stays = |Receipt { version, touched, .. }| {
            let mut plans = self.plans.iter().filter(|plan| plan.revision() >= edge_revision);
            plans.all(|plan| {
                plan.keeps_sessions_of(version, Some(u64::MAX))
                    && !plan.may_be_from_before_withdrawal(version, touched, allowance)
            })
        };
        let needs_none = own.is_some_and(|receipt| is_young(&receipt) && stays(receipt));
        let is_by_receipt = self.cookies == Cookies::Receipts;
        if look_ups > MOST_LOOK_UPS || (is_by_receipt && needs_none && has_asked_for_session) {
            self.violate(Invariant::FewCalls, || format!("the edge asks {look_ups} times for {own:?}"));
        }
    }

    /// A request writes seldom, and one with a young receipt of its version not at all.
    pub(super) fn check_writes(&mut self, number: usize) {
        let Flight { claim, decision, app: (version, instance), writes, .. } = self.flights[number];
        let timing = timing(self.timeline);
        let needs_no_move = |route| !matches!(route, Route::Roll | Route::Moved);
        let stays = decision.is_some_and(|decision| needs_no_move(decision.route));
        // It is younger still when the request arrives.
        let now = clock(self.now, self.timeline.app_clocks[version][instance]);
        let needs_none = stays
            && matches!(claim, Claim::Receipt(receipt) if receipt.version == code(version)
                && !timing.is_past_end(receipt.started, now)
                && now < receipt.touched + timing.touch_interval_seconds);
        if writes > MOST_WRITES || (needs_none && writes > 0) {
            self.violate(Invariant::FewCalls, || format!("the app writes {writes} times for {claim:?}"));
        }
    }

    /// Whether a session was in progress at a time: the viewer has visited it in the ten minutes before.
    pub(super) fn is_in_progress(&self, receipt: &Receipt, at: Millis) -> bool {
        let visited = self.truth(receipt.token).and_then(|truth| truth.visited.max(truth.renewed_by_stream));
        // Near the absolute end of a session, clocks decide.
        let timing = timing(self.timeline);
        let is_near_end = timing.is_past_end(receipt.started, clock(at, 0) + timing.clock_allowance_seconds);
        visited.is_some_and(|visited| at < visited + SESSION_LASTS) && !is_near_end
    }

    /// The record of the session that a request claims.
    pub(super) fn claimed(&self, number: usize) -> Option<&Truth> {
        self.truth(claimed_token(&self.flights[number].claim)?)
    }

    fn truth(&self, token: Token) -> Option<&Truth> {
        self.record.iter().find(|truth| truth.token == token)
    }

    pub(super) fn truth_mut(&mut self, token: Token) -> Option<&mut Truth> {
        self.record.iter_mut().find(|truth| truth.token == token)
    }
}
