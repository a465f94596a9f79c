//! The operator's rules: every verb is a function from a plan to the next plan, or a named refusal.
//!
//! This crate is pure: `now` is an argument, and nothing is read or written.

mod change;
mod live;
mod refusal;

pub use change::{Change, Leaving};
pub use live::Count;
pub use refusal::Refusal;
