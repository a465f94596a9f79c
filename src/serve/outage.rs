//! Reports an outage of the table once a minute instead of once per view.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use log::{info, warn};

/// Counts the writes that fail between two log lines.
#[derive(Debug, Default)]
pub(super) struct Outage {
    is_on: AtomicBool,
    lost: AtomicU64,
    /// Unix seconds of the last log line.
    reported_at: AtomicU64,
}

/// Seconds between two log lines.
const PAUSE_SECONDS: u64 = 60;

impl Outage {
    /// Notes a failed write. Logs a warning with the whole cause, unless the last minute has a log line.
    pub(super) fn note_failure(&self, cause: &impl Display, now: u64) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.is_on.store(true, Ordering::Relaxed);
        if self.may_report(now) {
            let lost = self.lost.swap(0, Ordering::Relaxed);
            warn!("could not write {lost} sessions; pages are served by receipt: {cause}");
        }
    }

    /// Notes a successful write. Logs the end of an outage, once the minute is over: while every other
    /// write fails, the outage goes on.
    pub(super) fn note_success(&self, now: u64) {
        if self.is_on.load(Ordering::Relaxed) && self.may_report(now) {
            self.is_on.store(false, Ordering::Relaxed);
            let lost = self.lost.swap(0, Ordering::Relaxed);
            info!("sessions can be written again; {lost} more were not");
        }
    }

    /// Whether a line may be logged now. Of several requests at once, only the one that wins the exchange
    /// logs it.
    fn may_report(&self, now: u64) -> bool {
        let reported_at = self.reported_at.load(Ordering::Relaxed);
        now.saturating_sub(reported_at) >= PAUSE_SECONDS
            && self.reported_at.compare_exchange(reported_at, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
