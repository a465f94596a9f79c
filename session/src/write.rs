//! A write to a session's item, and how it ended.

use stickshift_contract::{Placed, Receipt, SessionItem, VersionCode};

/// The session that a write is for, and what claims it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed {
    /// The session as the write leaves it, if nothing stored has to be kept.
    pub receipt: Receipt,
    /// The order of the receipt that claims the session; see [`Receipt::order`]. `(0, 0)` without one.
    pub order: (u64, u64),
    /// The version that a moved session left.
    pub from: Option<VersionCode>,
}

/// What an update sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A whole new item.
    Put,
    /// This version, this visit and the end. The placement and the first visit stay as they are.
    Renew,
    /// The same, and the placement.
    Place,
    /// This visit and the end, nothing else.
    Extend,
}

/// How a write ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// The write happened. These values come from the item as it is now.
    Done {
        /// Unix seconds of the first visit.
        started: u64,
        /// How the session came to its version.
        placed: Placed,
        /// Unix seconds of the visit that the item had before; `None` if there was no item.
        last_visit: Option<u64>,
    },
    /// The guard refused the write. This is the stored item.
    Refused(Stored),
    /// The table did not answer or did not accept the write. The write may have happened all the same.
    Failed,
}

/// What the table holds where it refused a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// Nothing.
    Absent,
    /// This item.
    Item(SessionItem),
    /// An item that this release cannot read.
    Unreadable,
}

impl Change {
    /// The attributes that the change and its guard may name. An expression calls each one `#name` and its
    /// value `:name`.
    pub const ATTRIBUTES: [&str; 6] = ["version", "expiration", "touched", "started", "revision", "placement"];

    /// The [update expression](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html).
    pub fn update_expression(self) -> &'static str {
        match self {
            Self::Put | Self::Place => {
                "SET #version = :version, #expiration = :expiration, #touched = :touched, \
                 #started = if_not_exists(#started, :started), #revision = :revision, #placement = :placement"
            }
            Self::Renew => {
                "SET #version = :version, #expiration = :expiration, #touched = :touched, \
                 #started = if_not_exists(#started, :started), #revision = if_not_exists(#revision, :revision), \
                 #placement = if_not_exists(#placement, :placement)"
            }
            Self::Extend => "SET #expiration = :expiration, #touched = :touched",
        }
    }

    /// The item after the change, for the simulator: the same as [`Change::update_expression`] does in
    /// DynamoDB.
    pub fn apply(self, stored: Option<&SessionItem>, receipt: &Receipt, expiration: u64) -> SessionItem {
        let Receipt { token, version, placed, started, touched } = *receipt;
        let new = SessionItem {
            token,
            version: Some(version),
            expiration,
            started,
            touched,
            revision: placed.revision,
            placement: placed.placement,
            failed: None,
        };
        match (self, stored) {
            (Self::Put, _) | (_, None) => new,
            (Self::Place, Some(item)) => SessionItem { started: item.started, failed: item.failed, ..new },
            (Self::Renew, Some(item)) => SessionItem { version: Some(version), expiration, touched, ..item.clone() },
            (Self::Extend, Some(item)) => SessionItem { expiration, touched, ..item.clone() },
        }
    }
}
