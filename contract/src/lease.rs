//! The lease of a rollout that runs by itself.

use serde::{Deserialize, Serialize};

/// The format of runs that this release reads and writes; `docs/formats.md` tells how to change it.
pub const RUN_FORMAT: u64 = 1;

/// A lease is taken over when its beat has not changed for so many seconds, by the clock of the taker.
pub const LEASE_SILENCE_SECONDS: u64 = 30;

/// Who looks at a run. Kept in the run's item as its attribute [`Lease::ATTRIBUTE`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who holds it; empty for nobody.
    pub holder: String,
    /// Rises with every look of the holder.
    pub beat: u64,
    /// Whether the run is over, so that nobody needs to look.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_over: bool,
}

impl Lease {
    /// The attribute of the run's item.
    pub const ATTRIBUTE: &str = "lease";
}
