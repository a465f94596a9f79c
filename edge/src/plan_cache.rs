//! The last plan that was read, and when to read it again.

use std::ops::RangeInclusive;
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
    /// The seconds from the begin of the last failed read to the latest one in which it can have ended.
    failed: Option<RangeInclusive<u64>>,
}

/// What a caller gets from the cache.
#[derive(Debug)]
pub(crate) struct CachedPlan {
    /// The last plan, if one was ever read.
    pub(crate) plan: Option<Arc<Plan>>,
    /// When that plan was read, in Unix seconds.
    pub(crate) read_at: u64,
    /// Whether the caller must read the plan again.
    pub(crate) is_read_due: bool,
}

impl PlanCache {
    /// The last plan, and whether the caller must read it again.
    ///
    /// A caller that needs a fresh plan (`needs_fresh`) accepts one younger than `ttl`; any other caller
    /// accepts one up to twice as old. Between `ttl` and twice `ttl`, one caller a second reads the plan and
    /// the others use the old one. Past that, every caller must read it, except in the second after a failed
    /// read. With a `ttl` of 0 every caller that needs a fresh plan must read it, and any other caller accepts
    /// one of this second.
    pub(crate) fn get(&self, ttl: u64, needs_fresh: bool, now: u64) -> CachedPlan {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.abs_diff(inner.read_at);
        let max_age = if needs_fresh { ttl } else { (2 * ttl).max(1) };
        let is_old = inner.plan.is_none() || age >= max_age;
        let is_turn = inner.plan.is_none() || age >= 2 * ttl || inner.tried_at != now;
        let is_turn = is_turn && !inner.has_just_failed(now);
        let is_read_due = is_old && is_turn;
        if is_read_due {
            inner.tried_at = now;
        }
        CachedPlan { plan: inner.plan.clone(), read_at: inner.read_at, is_read_due }
    }

    /// The last plan, if it was read less than `max_age` seconds ago.
    pub(crate) fn younger_than(&self, max_age: u64, now: u64) -> Option<Arc<Plan>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.plan.clone().filter(|_| now.abs_diff(inner.read_at) < max_age)
    }

    /// Whether a read that is not due may be made: no read succeeded in this second, and none has just
    /// failed.
    pub(crate) fn may_read(&self, now: u64) -> bool {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.read_at != now && !inner.has_just_failed(now)
    }

    /// Notes a read that began at `now`, took at most `limit_seconds` and brought no plan.
    pub(crate) fn fail(&self, now: u64, limit_seconds: u64) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // A read that begins late in one second ends in a later one.
        let (mut start, mut end) = (now, now + 1 + limit_seconds);
        // Of two reads at about the same time, the later end counts.
        if let Some(failed) = inner.failed.as_ref().filter(|failed| start <= *failed.end() && *failed.start() <= end) {
            (start, end) = (start.min(*failed.start()), end.max(*failed.end()));
        }
        inner.failed = Some(start..=end);
    }

    /// Keeps a plan that was read at `now`, and returns whether it counts. A plan with a lower revision than
    /// the known one is no answer: it comes from a replica that lags.
    pub(crate) fn put(&self, plan: Plan, now: u64) -> bool {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.plan.as_ref().is_some_and(|known| known.revision() > plan.revision()) {
            return false;
        }
        inner.plan = Some(Arc::new(plan));
        inner.read_at = now;
        inner.failed = None;
        true
    }
}

impl Inner {
    /// A clock that was set back makes no failure last longer.
    fn has_just_failed(&self, now: u64) -> bool {
        self.failed.as_ref().is_some_and(|failed| failed.contains(&now))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(revision: u64) -> Plan {
        let origin = json!({ "domain": "v.example.org", "port": 80, "protocol": "http" });
        let version = json!({ "origin": origin, "weight_basis_points": 10_000, "state": "live" });
        let plan = json!({ "revision": revision, "stable": "1", "versions": { "1": version } });
        serde_json::from_value(plan).expect("a plan")
    }

    #[test]
    fn a_fresh_plan_is_read_again_after_its_ttl_by_one_caller_a_second() {
        let cache = PlanCache::default();
        assert!(cache.put(plan(1), 100));
        let is_due = |now| cache.get(5, true, now).is_read_due;
        assert_eq!([104, 105, 105, 105, 106].map(is_due), [false, true, false, false, true]);
        assert_eq!([110, 110, 110].map(is_due), [true, true, true], "past twice the TTL every caller reads");
        assert!(cache.put(plan(1), 110));
        assert!(!is_due(110));
        assert!(cache.get(0, true, 110).is_read_due && cache.get(0, true, 110).is_read_due, "0 is always");
        assert!(!cache.get(0, false, 110).is_read_due && cache.get(0, false, 111).is_read_due);
    }

    #[test]
    fn other_callers_accept_a_plan_twice_as_old() {
        let cache = PlanCache::default();
        cache.put(plan(1), 100);
        let is_due = |now| cache.get(5, false, now).is_read_due;
        assert_eq!([105, 109, 110, 110].map(is_due), [false, false, true, true]);
        assert!(cache.younger_than(10, 109).is_some() && cache.younger_than(10, 110).is_none());
    }

    #[test]
    fn nobody_reads_in_the_second_after_a_failure() {
        let cache = PlanCache::default();
        let is_due = |now| cache.get(5, true, now).is_read_due;
        assert!(is_due(100) && is_due(100));
        cache.fail(100, 0);
        cache.fail(99, 0);
        assert_eq!([100, 101, 102].map(is_due), [false, false, true]);
        cache.fail(102, 3);
        assert_eq!([105, 106, 107].map(is_due), [false, false, true]);
        assert!(is_due(50), "a clock that was set back does not stop the reads");
        cache.put(plan(1), 107);
        cache.fail(120, 0);
        assert_eq!([121, 122].map(is_due), [false, true], "also with a plan");
    }

    #[test]
    fn a_lower_revision_is_no_answer() {
        let cache = PlanCache::default();
        assert!(cache.put(plan(7), 100));
        assert!(!cache.put(plan(6), 105));
        let cached = cache.get(5, true, 105);
        assert_eq!((cached.plan.expect("a plan").revision(), cached.is_read_due), (7, true));
    }
}
