//! What a request does to its session.
//!
//! The crate is pure: it reads no clock, no socket and no table. The caller does the I/O:
//!
//! 1. [`Rules::enter`] looks at a [`Visit`] and answers with a [`Step`].
//! 2. On [`Step::Write`] the caller writes to the table and hands the result to [`Rules::resume`], which
//!    answers with the next step.
//! 3. [`Step::Done`] holds the [`Session`]. The app now answers the request.
//! 4. A new session ([`Session::New`]) is written when the status of the answer is known:
//!    [`Rules::begin`].
//!
//! [`Guard`] says when a write may happen, as an expression for DynamoDB and as a function for the
//! simulator.

mod guard;
mod rules;
mod write;

pub use guard::Guard;
pub use rules::{Pending, Rules, Session, Step, Visit, Write};
pub use write::{Change, Claimed, Stored, Written};
