//! A log line at most once a minute, with a count, for what may happen on every request.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use log::{Level, info, log};

use crate::clock::unix_now;

/// Counts events of one kind, and logs them at most once a minute.
#[derive(Debug)]
pub struct MinuteLog {
    level: Level,
    /// What happened, for example `sessions could not be written`.
    what: &'static str,
    /// What to log when it no longer happens, if anything.
    recovery: Option<&'static str>,
    is_on: AtomicBool,
    count: AtomicU64,
    /// Unix seconds of the last log line.
    logged_at: AtomicU64,
}

/// Seconds between two log lines.
const PAUSE_SECONDS: u64 = 60;

impl MinuteLog {
    /// A log without events.
    pub const fn new(level: Level, what: &'static str, recovery: Option<&'static str>) -> Self {
        let (count, logged_at) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { level, what, recovery, is_on: AtomicBool::new(false), count, logged_at }
    }

    /// Notes an event. Logs a line with the count and the cause of this one, unless the last minute has a
    /// line.
    pub fn note(&self, cause: &impl Display) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.is_on.store(true, Ordering::Relaxed);
        if self.may_log(unix_now()) {
            let count = self.count.swap(0, Ordering::Relaxed);
            log!(self.level, "{}: {count} since the last such line; the last cause: {cause}", self.what);
        }
    }

    /// Notes that all is well. Logs the recovery once the minute after the last line is over: while every
    /// other attempt fails, nothing has recovered.
    pub fn note_success(&self) {
        if !self.is_on.load(Ordering::Relaxed) {
            return;
        }
        let is_over = unix_now().abs_diff(self.logged_at.load(Ordering::Relaxed)) >= PAUSE_SECONDS;
        if is_over && self.is_on.swap(false, Ordering::Relaxed) {
            let count = self.count.swap(0, Ordering::Relaxed);
            if let Some(recovery) = self.recovery {
                info!("{recovery}; {}: {count} more before that", self.what);
            }
        }
    }

    /// Whether a line may be logged now. Of several requests at once, only the one that wins the exchange
    /// logs it.
    fn may_log(&self, now: u64) -> bool {
        let logged_at = self.logged_at.load(Ordering::Relaxed);
        now.abs_diff(logged_at) >= PAUSE_SECONDS
            && self.logged_at.compare_exchange(logged_at, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
