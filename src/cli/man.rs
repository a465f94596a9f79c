//! `stickshift man`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, Command};

#[derive(Debug, Args)]
pub(super) struct Man {
    /// An existing folder for the pages, for example ~/.local/share/man/man1
    folder: PathBuf,
}

impl Man {
    /// Writes `stickshift.1`, `stickshift-up.1` and so on. Errors: the folder cannot be written.
    pub(super) fn write(self, command: Command) -> Result<()> {
        let written = clap_mangen::generate_to(command, &self.folder);
        written.with_context(|| format!("could not write man pages to {}", self.folder.display()))
    }
}
