//! Where a test can take a safeguard out.

use rand::rngs::SmallRng;
use stickshift_contract::{Plan, SessionItem};
use stickshift_edge::{Answer, Considered, Decision, Incoming, Router, StoredSession};
use stickshift_session::{Claimed, Guard, Visit};

/// The places at which the simulator calls the real rules. The default methods change nothing. A test
/// overrides one of them, so that the rules run without one of their safeguards.
pub trait Design: Sync {
    /// What the edge reads in a request.
    fn incoming(&self, incoming: Incoming) -> Incoming {
        incoming
    }

    /// What the edge is going to do about a request.
    fn considered(&self, _router: &Router, _incoming: &Incoming, considered: Considered, _now: u64) -> Considered {
        considered
    }

    /// What a replica answers.
    fn answer(&self, _incoming: &Incoming, answer: Answer) -> Answer {
        answer
    }

    /// A plan as it is put in force.
    fn plan(&self, plan: Plan) -> Plan {
        plan
    }

    /// Whether an edge keeps a plan when it reads one with a lower revision.
    fn ignores_lower_revisions(&self) -> bool {
        true
    }

    /// How long an edge uses a plan, in seconds; `None` for the default.
    fn plan_ttl_seconds(&self) -> Option<u64> {
        None
    }

    /// What the edge decides. `plan` is the one that it has read.
    fn decision(
        &self,
        _incoming: &Incoming,
        decision: Decision,
        _plan: Option<&Plan>,
        _rng: &mut SmallRng,
    ) -> Decision {
        decision
    }

    /// What the app reads in a request.
    fn visit(&self, visit: Visit) -> Visit {
        visit
    }

    /// The item as the app gets it from the table that has refused a write.
    fn stored(&self, item: SessionItem, _claimed: &Claimed) -> Option<SessionItem> {
        Some(item)
    }

    /// Whether the table accepts a write.
    fn admits(&self, guard: Guard, stored: Option<&SessionItem>, claimed: &Claimed) -> bool {
        guard.admits(stored, claimed)
    }
}

/// The rules as they are.
#[derive(Debug, Clone, Copy)]
pub struct AsDesigned;

impl Design for AsDesigned {}

/// The edge asks no table for a session: receipts and the plan decide alone.
#[derive(Debug, Clone, Copy)]
pub struct WithoutLookUps;

impl Design for WithoutLookUps {
    fn answer(&self, _: &Incoming, answer: Answer) -> Answer {
        Answer { session: StoredSession::Unanswered, ..answer }
    }
}
