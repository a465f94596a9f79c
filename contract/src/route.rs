//! The edge's reasons for its routing decisions.

use std::fmt;

/// The reason of a routing decision. It travels to the app in
/// [`ROUTE_HEADER`](crate::ROUTE_HEADER) and labels the app's metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Route {
    /// The path names a version's assets.
    Asset,
    /// A pass names the version.
    Pass,
    /// A receipt that is young enough to decide without a look-up.
    Receipt,
    /// The session's item in a replica.
    Record,
    /// A receipt that no item confirms, because the replica lags or did not answer.
    Hint,
    /// A crawler or monitor without a session.
    Bot,
    /// A request without a session that cannot begin one.
    Stray,
    /// A new session; its version was drawn by weight.
    Roll,
    /// A session whose version may no longer serve it; its new version was chosen by weight.
    Moved,
    /// The router itself failed, or has never read a plan.
    Fallback,
}

impl Route {
    /// Every reason.
    pub const EVERY: [Self; 10] = [
        Self::Asset,
        Self::Pass,
        Self::Receipt,
        Self::Record,
        Self::Hint,
        Self::Bot,
        Self::Stray,
        Self::Roll,
        Self::Moved,
        Self::Fallback,
    ];

    /// The reason's word in headers, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asset => "asset",
            Self::Pass => "pass",
            Self::Receipt => "receipt",
            Self::Record => "record",
            Self::Hint => "hint",
            Self::Bot => "bot",
            Self::Stray => "stray",
            Self::Roll => "roll",
            Self::Moved => "moved",
            Self::Fallback => "fallback",
        }
    }

    /// The reason that a word means, if it means one.
    pub fn parse(word: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|route| route.as_str() == word)
    }

    /// Whether the plan chose the version for this request: the request then carries the plan's
    /// revision in [`REVISION_HEADER`](crate::REVISION_HEADER).
    pub fn is_placement(self) -> bool {
        matches!(self, Self::Roll | Self::Moved)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
