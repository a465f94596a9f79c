//! A write to a session's item, and how it ended.

use stickshift_contract::{Placed, Receipt, SessionItem};

use crate::guard::Guard;

/// A write to one session's item.
///
/// [`Guard::Begin`] puts a whole new item. Every other write updates the item: it keeps attributes of
/// the app's own, and keeps `started` if the item has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// The session as this write leaves it, if nothing stored has to be kept.
    pub receipt: Receipt,
    /// The item's new `expiration`, in Unix seconds.
    pub expiration: u64,
    /// When the write may happen.
    pub guard: Guard,
}

/// How a write ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// The session is on this version. These values come from the item as it is now.
    Done {
        /// Unix seconds of the first visit.
        started: u64,
        /// How the session came to this version.
        placed: Placed,
    },
    /// The guard refused the write. This is the stored item, if there is one and it can be read.
    Refused(Option<SessionItem>),
    /// The table did not answer or did not accept the write. The write may have happened all the same.
    Failed,
}

impl Write {
    /// The attributes that an update sets. An update expression calls each one `#name` and its value
    /// `:name`.
    pub const ATTRIBUTES: [&str; 6] = ["version", "expiration", "touched", "started", "revision", "placement"];

    /// The [update expression](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html).
    pub fn update_expression(&self) -> &'static str {
        if self.is_move() {
            "SET #version = :version, #expiration = :expiration, #touched = :touched, \
             #started = if_not_exists(#started, :started), #revision = :revision, #placement = :placement"
        } else {
            "SET #version = :version, #expiration = :expiration, #touched = :touched, \
             #started = if_not_exists(#started, :started), #revision = if_not_exists(#revision, :revision), \
             #placement = if_not_exists(#placement, :placement)"
        }
    }

    /// The item after this write, for the simulator: the same as [`Write::update_expression`] does in
    /// DynamoDB.
    pub fn apply(&self, stored: Option<&SessionItem>) -> SessionItem {
        let Receipt { token, version, placed, started, touched } = self.receipt;
        let kept = stored.filter(|_| self.guard != Guard::Begin);
        let placed = kept.filter(|_| !self.is_move()).map_or(placed, SessionItem::placed);
        SessionItem {
            token,
            version: Some(version),
            expiration: self.expiration,
            started: kept.map_or(started, |item| item.started),
            touched,
            revision: placed.revision,
            placement: placed.placement,
        }
    }

    /// Whether the edge moved the session here. Only then does an update change the placement.
    fn is_move(&self) -> bool {
        matches!(self.guard, Guard::Move | Guard::MoveByToken)
    }
}
