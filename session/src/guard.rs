//! When a write to a session's item may happen: no write may steal a session from another version.

use stickshift_contract::{Receipt, SessionItem};

/// The condition of a write, in two notations that mean the same: an expression for DynamoDB and a
/// function for the simulator. A test compares them against the embedded DynamoDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// A session begins. Its token was made for this write, so there is nothing to protect.
    Begin,
    /// A receipt vouches for the session: the item must not be live on another version.
    Renew,
    /// Only a bare token claims the session: the item must be live on this version.
    RenewByToken,
    /// The edge moved the session here, and a receipt vouches for it.
    Move,
    /// The edge moved the session here, and only a bare token claims it: the item must be live.
    MoveByToken,
}

impl Guard {
    /// The [condition expression](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html),
    /// with the names and values of [`Write`](crate::Write); `None` for a write without a condition.
    pub fn expression(self) -> Option<&'static str> {
        match self {
            Self::Begin | Self::Move => None,
            // An item without a version binds the session to no version. An absent item has none either.
            Self::Renew => Some("attribute_not_exists(#version) OR #expiration <= :touched OR #version = :version"),
            Self::RenewByToken => Some("#expiration > :touched AND #version = :version"),
            Self::MoveByToken => Some("#expiration > :touched"),
        }
    }

    /// Whether the table accepts the write of `receipt` when it holds `stored` for the token.
    pub fn admits(self, stored: Option<&SessionItem>, receipt: &Receipt) -> bool {
        let is_live = stored.is_some_and(|item| item.is_live(receipt.touched));
        let version = stored.and_then(|item| item.version);
        match self {
            Self::Begin | Self::Move => true,
            Self::Renew => !is_live || version.is_none_or(|version| version == receipt.version),
            Self::RenewByToken => is_live && version == Some(receipt.version),
            Self::MoveByToken => is_live,
        }
    }
}
