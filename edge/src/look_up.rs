//! What the router asks DynamoDB, and what DynamoDB answers.

use std::sync::Arc;

use stickshift_contract::{Plan, SessionItem, Token};

use crate::decide::Incoming;

/// What must be looked up before a request can be decided: sessions, the plan or both.
#[derive(Debug, Clone)]
pub struct LookUp {
    /// The sessions to look up. More than one only if the viewer has several bare tokens.
    pub tokens: Vec<Token>,
    /// Whether the plan must be read.
    pub is_plan_wanted: bool,
    /// What is known of the request so far.
    pub(crate) known: Known,
}

/// What is known of one request.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) incoming: Incoming,
    pub(crate) session: StoredSession,
    pub(crate) plan: Option<Arc<Plan>>,
    /// When that plan was read, in Unix seconds.
    pub(crate) plan_read_at: u64,
    /// Whether this request has already tried to read the plan.
    pub(crate) has_read_plan: bool,
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
    /// The router has not asked.
    Unasked,
    /// The session's item. Of several bare tokens, the first one with a live item.
    Found(SessionItem),
    /// The table has no item, or none that can be read.
    Absent,
    /// No replica answered in time.
    Unanswered,
}
