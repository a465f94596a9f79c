//! `stickshift completions`.

use std::io::{Write as _, stdout};

use anyhow::Result;
use clap::{Args, Command};
use clap_complete::{Shell, generate};

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// Prints them. Source them, or put them where the shell looks for completions.
    pub(super) fn print(self, mut command: Command) -> Result<()> {
        let name = command.get_name().to_owned();
        let mut script = Vec::new();
        generate(self.shell, &mut command, name, &mut script);
        stdout().write_all(&script)?;
        Ok(())
    }
}
