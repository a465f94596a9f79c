//! The operator's rules: every verb is a function from a plan to the next plan, or a named refusal. And what the
//! instances' pulses say together: the report of a version, and whether it may be switched off.
//!
//! This crate is pure: `now` is an argument, and nothing is read or written.

mod change;
mod drained;
mod evidence;
mod guard_rail;
mod live;
mod refusal;
mod report;

pub use change::{Change, Leaving};
pub use drained::{Departing, Gone, Obstacle, PROPAGATION_SECONDS};
pub use evidence::{Failures, rate};
pub use guard_rail::{Danger, dangers};
pub use live::Count;
pub use refusal::Refusal;
pub use report::{Confidence, VersionReport, WINDOW_SECONDS, interval, is_alive};
