//! Where a running `up` is found: it leaves a note in its data directory.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// What `stickshift rollout` needs to know of a running `up`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningUp {
    /// The URL of its DynamoDB.
    pub dynamodb: String,
    /// The URL of its CloudFront.
    pub cloudfront: String,
    /// The name of the table of sessions.
    pub sessions_table: String,
    /// The name of the table of plans.
    pub rollout_table: String,
}

/// The note of a running `up`. Dropped, it is taken back.
#[derive(Debug)]
pub struct Note(PathBuf);

impl RunningUp {
    const FILE: &str = "running.json";

    /// Leaves the note. Errors: it cannot be written.
    pub fn note(&self, data_dir: &Path) -> Result<Note> {
        let path = data_dir.join(Self::FILE);
        let text = serde_json::to_string_pretty(self)?;
        // Like everything in the directory, it is for its owner only.
        let written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        written
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("could not write {}", path.display()))?;
        Ok(Note(path))
    }

    /// Reads the note; `None` without one. Errors: it cannot be read.
    pub fn find(data_dir: &Path) -> Result<Option<Self>> {
        let path = data_dir.join(Self::FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(cause).with_context(|| format!("could not read {}", path.display())),
        };
        serde_json::from_str(&text).map(Some).with_context(|| format!("could not read {}", path.display()))
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        // It lies about a server that has stopped, and the next start overwrites it.
        fs::remove_file(&self.0).ok();
    }
}
