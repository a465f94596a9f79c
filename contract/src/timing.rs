//! How long sessions and receipts are valid.

use crate::interval::{CLOCK_ALLOWANCE, OutOfRange, SESSION, SESSION_MAX, TOUCH_INTERVAL, TRUST_WINDOW};
use crate::receipt::Receipt;

/// The intervals that the app and the edge judge ages by. Both must have the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// See [`SESSION`].
    pub session_seconds: u64,
    /// See [`SESSION_MAX`]; 0 for no end.
    pub session_max_seconds: u64,
    /// See [`TOUCH_INTERVAL`].
    pub touch_interval_seconds: u64,
    /// See [`TRUST_WINDOW`].
    pub trust_window_seconds: u64,
    /// See [`CLOCK_ALLOWANCE`].
    pub clock_allowance_seconds: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            session_seconds: SESSION.default,
            session_max_seconds: SESSION_MAX.default,
            touch_interval_seconds: TOUCH_INTERVAL.default,
            trust_window_seconds: TRUST_WINDOW.default,
            clock_allowance_seconds: CLOCK_ALLOWANCE.default,
        }
    }
}

impl Timing {
    /// Checks every interval against its range. Errors: the first one [`OutOfRange`].
    pub fn check(&self) -> Result<(), OutOfRange> {
        SESSION.check(self.session_seconds, u64::MAX)?;
        SESSION_MAX.check(self.session_max_seconds, u64::MAX)?;
        TOUCH_INTERVAL.check(self.touch_interval_seconds, self.session_seconds)?;
        TRUST_WINDOW.check(self.trust_window_seconds, self.session_seconds)?;
        CLOCK_ALLOWANCE.check(self.clock_allowance_seconds, u64::MAX)
    }

    /// How long an item and a receipt are valid: `session` + `touch_interval` + `clock_allowance`.
    ///
    /// A view with a young receipt writes nothing. So the last write may be older than the last visit
    /// by up to `touch_interval`, and the item must live that much longer. The allowance covers clocks
    /// that differ. Nobody gets less than `session_seconds` after their last visit.
    pub fn lifetime_seconds(&self) -> u64 {
        self.session_seconds + self.touch_interval_seconds + self.clock_allowance_seconds
    }

    /// Whether the edge routes by a receipt without a look-up: it is young. A receipt from the future
    /// counts as new, up to the difference that clocks may have.
    pub fn is_trusted(&self, receipt: &Receipt, now: u64) -> bool {
        self.age_seconds(receipt, now).is_some_and(|age| age < self.trust_window_seconds)
    }

    /// Whether the app must write the session's item again.
    pub fn is_due(&self, receipt: &Receipt, now: u64) -> bool {
        self.age_seconds(receipt, now).is_none_or(|age| age >= self.touch_interval_seconds)
    }

    /// Whether a receipt proves a session on its own.
    pub fn is_within_lifetime(&self, receipt: &Receipt, now: u64) -> bool {
        now.saturating_sub(receipt.touched) < self.lifetime_seconds()
    }

    /// Whether a session that began at `started` has reached its absolute end. An unknown begin (0) has no
    /// end.
    pub fn is_past_end(&self, started: u64, now: u64) -> bool {
        self.session_max_seconds != 0 && started != 0 && now >= started.saturating_add(self.session_max_seconds)
    }

    /// Age of a receipt in seconds, or `None` if it is further in the future than clocks may differ.
    fn age_seconds(&self, receipt: &Receipt, now: u64) -> Option<u64> {
        let is_believable = receipt.touched <= now.saturating_add(self.clock_allowance_seconds);
        is_believable.then(|| now.saturating_sub(receipt.touched))
    }
}
