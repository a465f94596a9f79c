//! How long sessions and receipts are good for.

use crate::Receipt;

/// The four intervals of a rollout, in seconds. The app and the edge must be given the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a session goes on after its last visit; 60 to 86,400, default 600.
    pub session_seconds: u64,
    /// Age from which a receipt makes the app write the item again; 0 (every view) to `session_seconds`, default 60.
    pub touch_interval_seconds: u64,
    /// Age up to which the edge routes by a receipt unasked; 0 (always ask) to `session_seconds`, default 60.
    pub trust_window_seconds: u64,
    /// How far two machines' clocks may be apart; 0 to 600, default 60.
    pub clock_allowance_seconds: u64,
}

/// An interval out of its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {seconds}: it takes {minimum} to {maximum} seconds")]
pub struct TimingError {
    /// The field's name, as in [`Timing`].
    pub name: &'static str,
    seconds: u64,
    minimum: u64,
    maximum: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { session_seconds: 600, touch_interval_seconds: 60, trust_window_seconds: 60, clock_allowance_seconds: 60 }
    }
}

impl Timing {
    /// Checks every interval against its range. Errors: the first [`TimingError`].
    pub fn check(&self) -> Result<(), TimingError> {
        let ranges = [
            ("session_seconds", self.session_seconds, 60, 86_400),
            ("touch_interval_seconds", self.touch_interval_seconds, 0, self.session_seconds),
            ("trust_window_seconds", self.trust_window_seconds, 0, self.session_seconds),
            ("clock_allowance_seconds", self.clock_allowance_seconds, 0, 600),
        ];
        for (name, seconds, minimum, maximum) in ranges {
            if !(minimum..=maximum).contains(&seconds) {
                return Err(TimingError { name, seconds, minimum, maximum });
            }
        }
        Ok(())
    }

    /// How long an item and a receipt are good for: `session` + `touch_interval` + `clock_allowance`.
    ///
    /// A view that finds its receipt still young writes nothing, so the session must outlive its last *write* by more
    /// than its last visit; the allowance covers clocks that disagree. Nobody gets less than `session_seconds`.
    pub fn lifetime_seconds(&self) -> u64 {
        self.session_seconds + self.touch_interval_seconds + self.clock_allowance_seconds
    }

    /// Age of a receipt in seconds, or `None` if it comes from further ahead than clocks may disagree.
    pub fn age_seconds(&self, receipt: &Receipt, now: u64) -> Option<u64> {
        let is_believable = receipt.touched <= now.saturating_add(self.clock_allowance_seconds);
        is_believable.then(|| now.saturating_sub(receipt.touched))
    }
}
