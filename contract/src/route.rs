//! Why the edge sent a request where it did, and how an origin knows.

use std::fmt;

/// Request header in which the edge names the version it chose.
pub const VERSION_HEADER: &str = "x-stickshift-version";

/// Request header in which the edge gives its reason, a [`Route`].
pub const ROUTE_HEADER: &str = "x-stickshift-route";

/// Request header in which CloudFront proves to an origin that a request came through it, by a secret that they share.
pub const ORIGIN_VERIFY_HEADER: &str = "x-origin-verify";

/// The reason of a routing decision; travels to the app in [`ROUTE_HEADER`] and labels its metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Route {
    /// The path names a version's assets.
    Asset,
    /// A receipt young enough to be trusted unasked.
    Receipt,
    /// The session's item in a replica.
    Record,
    /// A receipt that no item confirms: the replica lags or did not answer.
    Hint,
    /// A crawler or monitor without a session.
    Bot,
    /// A new session, by weight.
    Roll,
    /// A session taken from a version that may no longer serve it, by weight.
    Moved,
    /// The router itself failed, or has never read a plan.
    Fallback,
}

impl Route {
    /// Every reason there is.
    pub const EVERY: [Self; 8] =
        [Self::Asset, Self::Receipt, Self::Record, Self::Hint, Self::Bot, Self::Roll, Self::Moved, Self::Fallback];

    /// The word for it in headers, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asset => "asset",
            Self::Receipt => "receipt",
            Self::Record => "record",
            Self::Hint => "hint",
            Self::Bot => "bot",
            Self::Roll => "roll",
            Self::Moved => "moved",
            Self::Fallback => "fallback",
        }
    }

    /// The reason a word stands for, if it stands for one.
    pub fn parse(word: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|route| route.as_str() == word)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
