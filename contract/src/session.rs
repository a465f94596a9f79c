//! A session as the table holds it.

use serde::{Deserialize, Serialize};

use crate::{Token, VersionCode};

/// One item of [`SESSIONS_TABLE`](crate::SESSIONS_TABLE). Attributes it does not name are the app's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionItem {
    /// Hash key.
    pub token: Token,
    /// The version that the session is on. An item without one binds nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionCode>,
    /// Unix seconds past which the session is over, whether or not
    /// [TTL](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html) has deleted the item yet.
    pub expiration: u64,
    /// First visit, in Unix seconds; 0 in items written before the attribute was.
    #[serde(default)]
    pub started: u64,
    /// This write, in Unix seconds, the same number as in the receipt; 0 in items written before the attribute was.
    #[serde(default)]
    pub touched: u64,
}

impl SessionItem {
    /// Whether the session goes on: `expiration` lies ahead. The item's mere presence says nothing.
    pub fn is_live(&self, now: u64) -> bool {
        self.expiration > now
    }
}
