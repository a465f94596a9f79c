//! Telling of an outage once a minute instead of once a view.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use log::{info, warn};

use super::sessions::StoreError;

/// Counts the writes that an outage cost, between two warnings.
#[derive(Debug, Default)]
pub(super) struct Outage {
    is_on: AtomicBool,
    lost: AtomicU64,
    /// When the last line was logged, in Unix seconds.
    told_at: AtomicU64,
}

/// Seconds between two lines.
const PAUSE_SECONDS: u64 = 60;

impl Outage {
    /// A write failed. Warns with the whole cause, unless a line was logged within the last minute.
    pub(super) fn note_failure(&self, cause: &StoreError, now: u64) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.is_on.store(true, Ordering::Relaxed);
        if self.is_turn(now) {
            let lost = self.lost.swap(0, Ordering::Relaxed);
            warn!("could not write {lost} sessions; pages are served by receipt: {cause}");
        }
    }

    /// A write succeeded. Says so if it ends an outage, once the minute is over: where every other write fails, nothing
    /// has ended.
    pub(super) fn note_success(&self, now: u64) {
        if self.is_on.load(Ordering::Relaxed) && self.is_turn(now) {
            self.is_on.store(false, Ordering::Relaxed);
            let lost = self.lost.swap(0, Ordering::Relaxed);
            info!("sessions can be written again; {lost} more were not");
        }
    }

    /// Whether a line may be logged now. Of several requests at once, the one that wins the exchange logs.
    fn is_turn(&self, now: u64) -> bool {
        let told_at = self.told_at.load(Ordering::Relaxed);
        now.saturating_sub(told_at) >= PAUSE_SECONDS
            && self.told_at.compare_exchange(told_at, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
