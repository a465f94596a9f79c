//! The last plan that was read, and when to read it again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
    /// When somebody last came back with nothing, at the latest.
    failed_at: Option<u64>,
}

impl PlanCache {
    /// The last plan known, and whether the caller is to read it anew since it is `max_age_seconds` old or older.
    ///
    /// While a plan is known, at most one caller a second is sent, so that neither a burst of viewers nor a table that
    /// does not answer makes everybody wait; before that everybody is, but for a second after it failed. With a
    /// `max_age_seconds` of 0 everybody always is.
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

    /// Notes that whoever set out at `now` came back with nothing, after less than `limit`.
    pub(crate) fn fail(&self, now: u64, limit: Duration) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // Who sets out late in a second comes back in a later one.
        inner.failed_at = inner.failed_at.max(Some(now + 1 + limit.as_secs()));
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
    fn without_a_plan_everybody_asks_but_for_a_second_after_it_failed() {
        let cache = PlanCache::default();
        assert!(cache.get(5, 100).1 && cache.get(5, 100).1);
        cache.fail(100, Duration::from_millis(250));
        cache.fail(99, Duration::from_millis(250));
        assert!(!cache.get(5, 100).1 && !cache.get(5, 101).1);
        assert!(cache.get(5, 102).1);
        cache.fail(102, Duration::from_secs(3));
        assert!(!cache.get(5, 105).1 && !cache.get(5, 106).1);
        assert!(cache.get(5, 107).1);
    }
}
