//! The clock. Only I/O code reads it; pure code gets `now` as an argument.

/// The time in Unix seconds.
pub fn unix_now() -> u64 {
    u64::try_from(chrono::Utc::now().timestamp()).unwrap_or(0)
}
