//! What an instance counts for its pulses, beyond the metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use actix_web::web::Data;
use stickshift_contract::{Draws, Histogram, Placed, Placement, Pulse, format_read};

use super::metrics::Metrics;

/// The counters. A request with a young receipt touches none of them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Unix seconds; 0 for none.
    last_failed_write: AtomicU64,
    draws: Mutex<BTreeMap<u64, Draws>>,
    edges: Mutex<BTreeMap<String, u64>>,
}

/// A drawn session's first request on its way. Dropped, it counts the time that it took, answered or not.
#[derive(Debug)]
pub(super) struct FirstRequest {
    metrics: Data<Metrics>,
    revision: u64,
    begin: Instant,
    has_failed: bool,
}

impl Tally {
    pub(super) fn note_failed_write(&self, now: u64) {
        self.last_failed_write.fetch_max(now, Ordering::Relaxed);
    }

    /// A session was renewed for the first time.
    pub(super) fn note_first_renewal(&self, placed: Placed) {
        self.of_drawn(placed, |draws| draws.renewed += 1);
    }

    /// A session saw its first failure.
    pub(super) fn note_failed_session(&self, placed: Placed) {
        self.of_drawn(placed, |draws| draws.failed += 1);
    }

    /// A session finished its activity.
    pub(super) fn note_finished_session(&self, placed: Placed) {
        self.of_drawn(placed, |draws| draws.finished += 1);
    }

    fn of_drawn(&self, placed: Placed, count: impl FnOnce(&mut Draws)) {
        if let Some(revision) = drawn_under(placed) {
            self.of_revision(revision, count);
        }
    }

    fn of_revision(&self, revision: u64, count: impl FnOnce(&mut Draws)) {
        let mut draws = locked(&self.draws);
        count(draws.entry(revision).or_default());
        while draws.len() > Pulse::REVISIONS {
            draws.pop_first();
        }
    }

    /// An edge said which formats it reads.
    pub(super) fn note_edge(&self, formats: &str, now: u64) {
        /// Nobody but an edge should say this, and nobody may fill the memory by it.
        const LONGEST: usize = 64;
        const MOST: usize = 4;
        let is_plain = formats.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if formats.len() > LONGEST || !is_plain || format_read(formats, "plan").is_none() {
            return;
        }
        let mut edges = locked(&self.edges);
        edges.insert(formats.to_owned(), now);
        if edges.len() > MOST {
            let oldest = edges.iter().min_by_key(|(_, seen)| **seen).map(|(formats, _)| formats.clone());
            edges.remove(&oldest.unwrap_or_default());
        }
    }

    /// Writes what was counted into a pulse.
    pub(super) fn put_into(&self, pulse: &mut Pulse) {
        pulse.last_failed_write = Some(self.last_failed_write.load(Ordering::Relaxed)).filter(|seconds| *seconds > 0);
        pulse.revisions = locked(&self.draws).clone();
        pulse.edges = locked(&self.edges).clone();
    }
}

impl FirstRequest {
    /// A draw arrived. `begin`: when. `None` for a session that was not drawn.
    pub(super) fn arrived(metrics: &Data<Metrics>, placed: Placed, begin: Instant) -> Option<Self> {
        let revision = drawn_under(placed)?;
        metrics.tally.of_revision(revision, |draws| draws.drawn += 1);
        Some(Self { metrics: metrics.clone(), revision, begin, has_failed: false })
    }

    /// It is answered, perhaps with a 5xx.
    pub(super) fn answered(mut self, has_failed: bool) {
        self.has_failed = has_failed;
    }
}

impl Drop for FirstRequest {
    fn drop(&mut self) {
        let waited = Histogram::bucket(self.begin.elapsed());
        self.metrics.tally.of_revision(self.revision, |draws| {
            draws.first_answers.add(waited, 1);
            draws.first_failed += u64::from(self.has_failed);
        });
    }
}

/// The revision of the plan by which a session was drawn; `None` for one that was not.
fn drawn_under(placed: Placed) -> Option<u64> {
    (placed.placement == Placement::Drawn && placed.revision > 0).then_some(placed.revision)
}

/// A panic elsewhere must not end the counting.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
