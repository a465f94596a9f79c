//! The last plan that was read, and when to read it again.

use std::sync::{Arc, Mutex, PoisonError};

use stickshift_contract::Plan;

/// The last plan known. Never emptied: where the table does not answer, the last one known goes on.
#[derive(Debug, Default)]
pub(crate) struct PlanCache {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    plan: Option<Arc<Plan>>,
    /// When `plan` was read, in Unix seconds.
    read_at: u64,
    /// When somebody last set out to read it.
    tried_at: u64,
}

impl PlanCache {
    /// The last plan known, and whether the caller is to read it anew since it is `max_age_seconds` old or older.
    ///
    /// While a plan is known, at most one caller a second is sent, so that neither a burst of viewers nor a table that
    /// does not answer makes everybody wait. With a `max_age_seconds` of 0 everybody is.
    pub(crate) fn get(&self, max_age_seconds: u64, now: u64) -> (Option<Arc<Plan>>, bool) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = inner.plan.is_none() || now.abs_diff(inner.read_at) >= max_age_seconds;
        let is_turn = max_age_seconds == 0 || inner.plan.is_none() || inner.tried_at != now;
        if is_old && is_turn {
            inner.tried_at = now;
        }
        (inner.plan.clone(), is_old && is_turn)
    }

    /// Keeps a plan that was read at `now`; an answer that was overtaken by a newer plan is dropped.
    pub(crate) fn put(&self, plan: Plan, now: u64) -> Arc<Plan> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = match inner.plan.take() {
            Some(known) if known.revision() > plan.revision() => known,
            _ => Arc::new(plan),
        };
        inner.read_at = now;
        inner.plan = Some(Arc::clone(&newest));
        newest
    }
}
