//! Stickshift in virtual time: the real rules of edge, app and plan, with time, network and table simulated.
//!
//! A [`Timeline`] is one viewer with all tabs: what the viewer and the operator do, and what goes wrong on
//! the way. It is drawn from a seed and holds every random choice. [`run`] plays it and finds the first
//! [`Violation`] of what must always hold. [`shrink()`] takes everything out of a timeline that its violation
//! does not need. `docs/proof.md` has the invariants and the figures.

mod article;
mod cores;
mod design;
mod operator;
mod shrink;
mod table;
mod tally;
mod timeline;
mod truth;
mod world;

pub use article::{ArticleTally, run_article};
pub use cores::on_every_core;
pub use design::{AsDesigned, Design, WithoutLookUps};
pub use shrink::shrink;
pub use tally::Tally;
pub use timeline::{Change, Event, LookUpFate, Millis, Part, Request, Timeline, What, WriteFate};
pub use truth::{Invariant, Violation};
pub use world::{Cookies, Line, run};
