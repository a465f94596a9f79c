//! A plan as the table stores it: with when, who and why.

use serde::{Deserialize, Serialize};

use super::Plan;

/// A plan in the table, in force or in the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRecord {
    /// The plan.
    #[serde(flatten)]
    pub plan: Plan,
    /// Unix seconds at which it came into force.
    pub changed_at: u64,
    /// Who put it in force.
    pub changed_by: String,
    /// Why.
    pub why: String,
}
