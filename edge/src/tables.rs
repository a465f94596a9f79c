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

/// A name that a table cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TableNameError {
    /// The setting, such as `sessions_table`.
    pub name: &'static str,
    message: String,
}

impl Default for Tables {
    fn default() -> Self {
        Self { sessions: SESSIONS_TABLE.to_owned(), rollout: ROLLOUT_TABLE.to_owned() }
    }
}

impl Tables {
    /// Checks that they differ, and both against
    /// [DynamoDB's rules](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html).
    /// Errors: the first [`TableNameError`].
    pub fn check(&self) -> Result<(), TableNameError> {
        let is_taken = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        for (name, table) in [("sessions_table", &self.sessions), ("rollout_table", &self.rollout)] {
            if !(3..=255).contains(&table.len()) || !table.bytes().all(is_taken) {
                let message = format!("`{table}` is no table's name: it takes 3 to 255 of A-Z a-z 0-9 _ - .");
                return Err(TableNameError { name, message });
            }
        }
        if self.sessions == self.rollout {
            let message = format!("`{}` is the sessions' table: the plan takes one of its own", self.rollout);
            return Err(TableNameError { name: "rollout_table", message });
        }
        Ok(())
    }
}
