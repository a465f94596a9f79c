//! A session as the table stores it.

use serde::{Deserialize, Serialize};

use crate::placement::{Placed, Placement};
use crate::token::Token;
use crate::version::VersionCode;

/// One item of the table of sessions. Attributes that have no field here belong to the app.
///
/// Every attribute but the token and the expiration may be absent, because an earlier release wrote
/// the item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionItem {
    /// The hash key.
    pub token: Token,
    /// The version that the session is on. An item without one binds the session to no version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionCode>,
    /// Unix seconds. From then on the session is over, even if
    /// [TTL](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html) has not deleted
    /// the item yet.
    pub expiration: u64,
    /// Unix seconds of the first visit; 0 if unknown.
    #[serde(default)]
    pub started: u64,
    /// Unix seconds of the last write. The receipt has the same number. 0 if unknown.
    #[serde(default)]
    pub touched: u64,
    /// Revision of the plan under which the session came to its version; 0 without a plan.
    #[serde(default)]
    pub revision: u64,
    /// How the session came to its version.
    #[serde(default)]
    pub placement: Placement,
    /// Unix seconds of the session's first answer with a 5xx status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<u64>,
}

impl SessionItem {
    /// The attributes that the edge reads.
    pub const EDGE_ATTRIBUTES: [&str; 7] =
        ["token", "version", "expiration", "started", "touched", "revision", "placement"];

    /// Whether the session goes on: its expiration is in the future. The presence of the item alone
    /// says nothing.
    pub fn is_live(&self, now: u64) -> bool {
        self.expiration > now
    }

    /// What receipts and items are ordered by; see [`Receipt::order`](crate::Receipt::order).
    pub fn order(&self) -> (u64, u64) {
        (self.revision, self.touched)
    }

    /// How the session came to its version, and by which plan.
    pub fn placed(&self) -> Placed {
        Placed { revision: self.revision, placement: self.placement }
    }
}
