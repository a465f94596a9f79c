//! The last plan that was read, and when to read it again.

use std::sync::{Arc, Mutex, PoisonError};

use stickshift_contract::Plan;

/// The last plan that was read. It is never emptied: while the table does not answer, this plan stays in
/// force.
#[derive(Debug, Default)]
pub(crate) struct PlanCache {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    plan: Option<Arc<Plan>>,
    /// When `plan` was read, in Unix seconds.
    read_at: u64,
    /// When a caller last began to read the plan, in Unix seconds.
    tried_at: u64,
    /// Until when the last failed read may have taken, in Unix seconds.
    failed_at: Option<u64>,
}

impl PlanCache {
    /// The last plan, and whether the caller must read it again, because it is at least
    /// `max_age_seconds` old.
    ///
    /// While a plan is known, at most one caller a second must read it: neither many viewers at once nor
    /// a table that does not answer make everybody wait. Until a plan is known, every caller must read
    /// it, except during the second after a failed read. With a `max_age_seconds` of 0 every caller must
    /// always read it.
    pub(crate) fn get(&self, max_age_seconds: u64, now: u64) -> (Option<Arc<Plan>>, bool) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = inner.plan.is_none() || now.abs_diff(inner.read_at) >= max_age_seconds;
        let has_waited = match (&inner.plan, inner.failed_at) {
            (Some(_), _) => inner.tried_at != now,
            (None, Some(failed_at)) => now > failed_at,
            (None, None) => true,
        };
        let is_turn = max_age_seconds == 0 || has_waited;
        if is_old && is_turn {
            inner.tried_at = now;
        }
        (inner.plan.clone(), is_old && is_turn)
    }

    /// Notes a read that began at `now`, took at most `limit_seconds` and brought no plan.
    pub(crate) fn fail(&self, now: u64, limit_seconds: u64) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // A read that begins late in one second ends in a later one.
        inner.failed_at = inner.failed_at.max(Some(now + 1 + limit_seconds));
    }

    /// Keeps a plan that was read at `now`, unless the known one has a higher revision. Returns the plan
    /// that is known then.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan() -> Plan {
        let origin = json!({ "domain": "v.example.org", "port": 80, "protocol": "http" });
        let version = json!({ "origin": origin, "weight_basis_points": 10_000, "state": "live" });
        serde_json::from_value(json!({ "revision": 1, "stable": "1", "versions": { "1": version } })).expect("a plan")
    }

    #[test]
    fn a_plan_is_read_again_when_it_is_old_by_one_caller_a_second() {
        let cache = PlanCache::default();
        cache.put(plan(), 100);
        let is_wanted = |now| cache.get(5, now).1;
        assert_eq!([104, 105, 105, 105, 106].map(is_wanted), [false, true, false, false, true]);
        cache.put(plan(), 106);
        assert!(!is_wanted(106));
        assert!(cache.get(0, 106).1 && cache.get(0, 106).1, "0 is always");
    }

    #[test]
    fn without_a_plan_every_caller_reads_it_except_in_the_second_after_a_failure() {
        let cache = PlanCache::default();
        assert!(cache.get(5, 100).1 && cache.get(5, 100).1);
        cache.fail(100, 0);
        cache.fail(99, 0);
        assert!(!cache.get(5, 100).1 && !cache.get(5, 101).1);
        assert!(cache.get(5, 102).1);
        cache.fail(102, 3);
        assert!(!cache.get(5, 105).1 && !cache.get(5, 106).1);
        assert!(cache.get(5, 107).1);
    }
}
