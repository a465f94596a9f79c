//! The activity of the themed app: booking a boat trip. A switch of versions half-way would break it.
//!
//! This module is pure. [`Flow`] says in which steps a version asks, [`Answers`] checks what a person
//! types, [`Booking`] is what a session's item holds of it. `serve/themed_app/booking.rs` answers the
//! requests.

mod answers;
mod flow;
mod record;

pub use answers::{Answers, Field, MOST_SEATS, Problem, dates};
pub use flow::{Flow, Step};
pub use record::Booking;

/// What one seat costs, in cents of a euro.
pub const SEAT_CENTS: u32 = 24_950;
