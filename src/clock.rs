//! The clock. Only I/O code reads it; pure code gets `now` as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time in Unix seconds.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
