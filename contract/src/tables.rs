//! The two DynamoDB tables: names, keys and the attribute of the TTL.

use crate::setting::{ROLLOUT_TABLE, SESSIONS_TABLE, Setting};
use crate::version::VersionCode;

/// The keys of a table. All of them are strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableSchema {
    /// The hash key.
    pub hash_key: &'static str,
    /// The range key, if the table has one.
    pub range_key: Option<&'static str>,
}

/// The table of sessions, one [`SessionItem`](crate::SessionItem) each.
pub const SESSIONS_SCHEMA: TableSchema = TableSchema { hash_key: "token", range_key: None };

/// The table of the plan in force, of the earlier ones, and of pulses.
pub const ROLLOUT_SCHEMA: TableSchema = TableSchema { hash_key: "pk", range_key: Some("sk") };

/// The attribute of both tables that
/// [TTL](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html) looks at.
pub const TTL_ATTRIBUTE: &str = "expiration";

/// The hash key of every plan in the table of plans.
pub const PLAN_PARTITION: &str = "rollout";

/// The range key of the plan in force.
pub const PLAN_IN_FORCE: &str = "current";

/// The range key of the rollout that runs by itself.
pub const RUN: &str = "run";

/// The range key of a plan in the history, padded so that a query returns the revisions in order:
/// `0000000041`.
pub fn plan_history_key(revision: u64) -> String {
    format!("{revision:010}")
}

/// The hash key of the last pulse of each instance of a version; the range key is the instance.
pub fn pulse_partition(version: VersionCode) -> String {
    format!("pulse#{version}")
}

/// The hash key of the pulses that a version's instances write once a minute.
pub fn minute_partition(version: VersionCode) -> String {
    format!("minute#{version}")
}

/// The range key of such a pulse: the minutes since 1970, padded, then the instance. So a query returns the pulses of
/// a stretch of time and nothing else.
pub fn minute_key(unix_seconds: u64, instance: &str) -> String {
    format!("{:010}#{instance}", unix_seconds / 60)
}

/// The hash key of the live sessions that a dashboard counted, once a minute; the range key is the minute.
pub const LIVE_PARTITION: &str = "live";

/// The names of the tables, the same in every region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableNames {
    /// The table of sessions; default [`SESSIONS_TABLE`].
    pub sessions: String,
    /// The table of plans; default [`ROLLOUT_TABLE`].
    pub rollout: String,
}

/// A table cannot have this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TableNameError {
    /// The setting: `sessions_table` or `rollout_table`.
    pub name: &'static str,
    message: String,
}

impl Default for TableNames {
    fn default() -> Self {
        Self { sessions: SESSIONS_TABLE.to_owned(), rollout: ROLLOUT_TABLE.to_owned() }
    }
}

impl TableNames {
    /// Checks that the names differ, and checks both against
    /// [DynamoDB's rules](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html).
    ///
    /// Errors: the first [`TableNameError`].
    pub fn check(&self) -> Result<(), TableNameError> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let names = [(Setting::sessions_table().name, &self.sessions), (Setting::rollout_table().name, &self.rollout)];
        for (name, table) in names {
            if !(3..=255).contains(&table.len()) || !table.bytes().all(is_allowed) {
                let message =
                    format!("`{table}` is not a table name: expected 3 to 255 characters of A-Z a-z 0-9 _ - .");
                return Err(TableNameError { name, message });
            }
        }
        if self.sessions == self.rollout {
            let message = format!("`{}` is the table of sessions: the plans need a table of their own", self.rollout);
            return Err(TableNameError { name: names[1].0, message });
        }
        Ok(())
    }
}
