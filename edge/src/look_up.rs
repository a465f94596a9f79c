//! What the router asks DynamoDB, and what DynamoDB answers.

use std::sync::Arc;

use stickshift_contract::{Claim, Plan, SessionItem, Token};

/// What must be looked up before a request can be decided: a session, the plan or both.
#[derive(Debug, Clone)]
pub struct LookUp {
    /// The session to look up, if any.
    pub token: Option<Token>,
    /// Whether the plan must be read.
    pub is_plan_wanted: bool,
    /// What the request's cookies claim.
    pub(crate) claim: Claim,
    /// The plan that was known before.
    pub(crate) known_plan: Option<Arc<Plan>>,
}

/// The answer to a [`LookUp`].
#[derive(Debug, Clone)]
pub struct Answer {
    /// The session.
    pub session: StoredSession,
    /// The plan; `None` if it was not wanted or could not be read.
    pub plan: Option<Plan>,
}

/// What the table says about a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredSession {
    /// The session's item.
    Found(SessionItem),
    /// The table has no item, or none that can be read.
    Absent,
    /// The router did not ask, or no replica answered in time.
    Unanswered,
}
