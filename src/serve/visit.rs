//! What a request is to its session, decided without I/O.

use stickshift_contract::{Claim, Receipt, Route, Timing, Token, VersionCode, is_bot};

/// What a request says that matters for its session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visit<'a> {
    /// What the cookies claim.
    pub claim: Claim,
    /// The edge's reason; `None` if the request came straight to the origin.
    pub route: Option<Route>,
    /// Whether a document is asked for, with GET: nothing else starts or renews a session.
    pub is_document: bool,
    /// What the client calls itself.
    pub user_agent: &'a str,
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// No session, and none is begun.
    Outside,
    /// In its session, with nothing to write.
    Kept(Receipt),
    /// In a session that another version serves: it is shown the page and left alone.
    Foreign(Receipt),
    /// In a session of this version that is to be written again.
    Due(Receipt, Proof),
    /// The table is to say whether this is a session, and of which version.
    Unproven(Token, Proof),
    /// A new session begins.
    New,
}

/// What speaks for writing a session on this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// A signed receipt: written unless a live item says that another version has the session.
    Receipt,
    /// Nothing: written only if a live item says that this version has the session.
    Item,
    /// The edge moved the session here, on the word of a receipt.
    MovedReceipt,
    /// The edge moved the session here, on the word of its item.
    MovedItem,
}

impl Visit<'_> {
    /// Where this request stands at `version`.
    pub(super) fn standing(&self, version: VersionCode, timing: &Timing) -> Standing {
        let is_moved = self.route == Some(Route::Moved);
        let receipt = match self.claim {
            Claim::Receipt(receipt, age) if age < timing.lifetime_seconds() => Some((receipt, age)),
            _ => None,
        };
        match (receipt, self.claim) {
            (Some((receipt, _)), _) if !self.is_document => {
                if receipt.version == version {
                    Standing::Kept(receipt)
                } else {
                    Standing::Foreign(receipt)
                }
            }
            _ if !self.is_document => Standing::Outside,
            (Some((receipt, _)), _) if is_moved => Standing::Due(receipt, Proof::MovedReceipt),
            (Some((receipt, age)), _) if receipt.version == version => {
                if age < timing.touch_interval_seconds {
                    Standing::Kept(receipt)
                } else {
                    Standing::Due(receipt, Proof::Receipt)
                }
            }
            // The edge has seen an item newer than the receipt, which names this version.
            (Some((receipt, _)), _) if self.route == Some(Route::Record) => Standing::Due(receipt, Proof::Receipt),
            (Some((receipt, _)), _) => Standing::Foreign(receipt),
            (None, Claim::Bare(token)) => {
                Standing::Unproven(token, if is_moved { Proof::MovedItem } else { Proof::Item })
            }
            // A receipt past its lifetime says no more than a bare token, and is asked about only if the edge found the
            // session still alive.
            (None, Claim::Receipt(receipt, _)) if is_moved => Standing::Unproven(receipt.token, Proof::MovedItem),
            (None, Claim::Receipt(receipt, _)) if self.route == Some(Route::Record) => {
                Standing::Unproven(receipt.token, Proof::Item)
            }
            (None, _) if is_bot(self.user_agent) => Standing::Outside,
            (None, _) => Standing::New,
        }
    }
}
