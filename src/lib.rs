//! Stickshift: sticky canary releases behind Amazon CloudFront.
//!
//! `serve` is the app, `local` is everything on one machine, `rollout` is the plan in its table.

pub mod dynamodb;
pub mod listener;
#[cfg(feature = "edge")]
pub mod local;
pub mod rollout;
pub mod serve;
pub mod settings;
pub mod theme;

/// The clock, in Unix seconds: read at the rim and handed inwards.
pub fn unix_now() -> u64 {
    u64::try_from(chrono::Utc::now().timestamp()).unwrap_or(0)
}
