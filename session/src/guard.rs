//! When a write to a session's item may happen: no write may steal a session from another version.

use stickshift_contract::SessionItem;

use crate::write::Claimed;

/// The condition of a write, in two notations that mean the same: an expression for DynamoDB and a
/// function for the simulator. A test compares them against the embedded DynamoDB.
///
/// An item without a revision was written before receipts had one, so it is ordered before every receipt.
/// An item without a version binds the session to no version. "Ordered before" compares
/// [`SessionItem::order`] with the order of the receipt that claims the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// A session begins: there is no item. A repetition that arrives late must not overwrite what was
    /// written since.
    Begin,
    /// A receipt claims the session, and the item is on this version.
    Renew,
    /// Only a bare token claims the session: the item is live and on this version.
    RenewByToken,
    /// A receipt of this version claims the session, and the item is on no version or ordered before the
    /// receipt.
    Reclaim,
    /// The edge moved the session here, and a receipt claims it: the item is on no version, ordered before
    /// the receipt, or on the version that the session left and not placed under a later plan than the
    /// move's.
    Move,
    /// The edge moved the session here, and only a bare token claims it: the item is live, on the version
    /// that the session left, and not placed under a later plan than the move's.
    MoveByToken,
    /// The session is on another version. Its item is live, and the visit extends it.
    Extend,
}

impl Guard {
    /// The [condition expression](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html),
    /// with the names and values of [`Write`](crate::Write).
    pub fn expression(self) -> &'static str {
        match self {
            Self::Begin => "attribute_not_exists(#token)",
            Self::Renew => "#version = :version",
            Self::RenewByToken => "#version = :version AND #expiration > :touched",
            Self::Reclaim => {
                "attribute_not_exists(#version) OR attribute_not_exists(#revision) \
                 OR #revision < :claimed_revision \
                 OR (#revision = :claimed_revision AND #touched < :claimed_touched)"
            }
            Self::Move => {
                "attribute_not_exists(#version) OR attribute_not_exists(#revision) \
                 OR #revision < :claimed_revision \
                 OR (#revision = :claimed_revision AND #touched < :claimed_touched) \
                 OR (#version = :from AND #revision <= :revision)"
            }
            Self::MoveByToken => {
                "#expiration > :touched AND #version = :from \
                 AND (attribute_not_exists(#revision) OR #revision <= :revision)"
            }
            Self::Extend => "#expiration > :touched AND (attribute_not_exists(#touched) OR #touched < :touched)",
        }
    }

    /// Whether the table accepts a write when it holds `stored` for the token.
    pub fn admits(self, stored: Option<&SessionItem>, write: &Claimed) -> bool {
        let Claimed { receipt, order, from } = write;
        let Some(item) = stored else { return matches!(self, Self::Begin | Self::Reclaim | Self::Move) };
        let is_live = item.is_live(receipt.touched);
        let is_here = item.version == Some(receipt.version);
        let is_left = item.version == Some(from.unwrap_or(receipt.version)) && item.revision <= receipt.placed.revision;
        match self {
            Self::Begin => false,
            Self::Renew => is_here,
            Self::RenewByToken => is_here && is_live,
            Self::Reclaim => item.version.is_none() || item.order() < *order,
            Self::Move => item.version.is_none() || item.order() < *order || is_left,
            Self::MoveByToken => is_live && is_left,
            Self::Extend => is_live && item.touched < receipt.touched,
        }
    }
}
