//! The operator's rules: every verb is a function from a plan to the next plan, or a named refusal. And what the
//! instances' pulses say together: the report of a version, and whether it may be switched off.
//!
//! This crate is pure: `now` is an argument, and nothing is read or written.

mod activity;
mod assessment;
mod change;
mod drained;
mod evidence;
mod gate;
mod guard_rail;
mod live;
mod refusal;
mod report;
mod run;
mod series;
mod watch;

pub use activity::Activity;
pub use assessment::{Check, Hold, RunReport, seconds_in_words};
pub use change::{Change, Leaving, canary};
pub use drained::{Departing, Gone, Obstacle, PROPAGATION_SECONDS};
pub use evidence::{Failures, rate};
pub use gate::{Gate, GateReport, Verdict};
pub use guard_rail::{Danger, dangers};
pub use live::Count;
pub use refusal::Refusal;
pub use report::{Confidence, VersionReport, WINDOW_SECONDS, interval, is_alive};
pub use run::{
    BASELINE_ANSWERS, Decided, Decision, Judged, Look, OnFail, Outcome, Paused, Phase, Run, RunOptions, RunRefusal,
    Seen, Turn,
};
pub use series::{Evidence, Series, Stretch, begin_of, first_minute};
pub use watch::{ByRevision, Counts, Crashed, Finished, Pair, Watch};
