//! What the tables are called.

use stickshift_contract::{ROLLOUT_TABLE, SESSIONS_TABLE};

/// The names of the tables, the same in every region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// The sessions; default [`SESSIONS_TABLE`].
    pub sessions: String,
    /// The plan in force and the earlier ones; default [`ROLLOUT_TABLE`].
    pub rollout: String,
}

/// A name that DynamoDB does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{table}` is no table's name: it takes 3 to 255 of A-Z a-z 0-9 _ - .")]
pub struct TableNameError {
    /// The setting, such as `sessions_table`.
    pub name: &'static str,
    /// The name it has.
    pub table: String,
}

impl Default for Tables {
    fn default() -> Self {
        Self { sessions: SESSIONS_TABLE.to_owned(), rollout: ROLLOUT_TABLE.to_owned() }
    }
}

impl Tables {
    /// Checks both against
    /// [DynamoDB's rules](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html).
    /// Errors: the first [`TableNameError`].
    pub fn check(&self) -> Result<(), TableNameError> {
        let is_taken = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        for (name, table) in [("sessions_table", &self.sessions), ("rollout_table", &self.rollout)] {
            if !(3..=255).contains(&table.len()) || !table.bytes().all(is_taken) {
                return Err(TableNameError { name, table: table.clone() });
            }
        }
        Ok(())
    }
}
