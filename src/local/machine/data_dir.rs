//! The folder that holds the embedded DynamoDB and the keys.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rand::Rng as _;
use secrecy::{ExposeSecret as _, SecretString};
use stickshift_contract::Keys;

/// A data directory. While this value lives, no other process can use the directory.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Locked. The system releases the lock when the process ends, in whichever way.
    _lock: File,
}

impl DataDir {
    /// Opens a data directory, and makes it if it does not exist. Errors: it cannot be made, or another
    /// process uses it.
    pub fn open(path: &Path) -> Result<Self> {
        let display = path.display();
        // Tokens and keys are in it, so nobody else may look into it.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("could not make the data directory {display}"))?;
        let mode = fs::metadata(path)?.permissions().mode();
        if mode & 0o077 != 0 {
            // An older release left its directory open. A directory with other files in it is not ours.
            let is_ours = path.join("lock").exists() || fs::read_dir(path)?.next().is_none();
            if !is_ours {
                bail!(
                    "other users can look into {display}: close it with chmod 700, or choose another with --data-dir"
                );
            }
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))
                .with_context(|| format!("could not close the data directory {display} to other users"))?;
        }
        let lock_path = path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .with_context(|| format!("could not open {}", lock_path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                lock.read_to_string(&mut holder).ok();
                bail!(
                    "the data directory {display} is in use by process {}: stop that process, or choose another directory with --data-dir",
                    holder.trim()
                );
            }
            Err(TryLockError::Error(cause)) => {
                return Err(cause).with_context(|| format!("could not lock {}", lock_path.display()));
            }
        }
        lock.set_len(0)?;
        writeln!(lock, "{}", std::process::id())?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The file of the embedded DynamoDB. It exists from now on, and only its owner may read it: SQLite
    /// gives its further files the same permissions.
    ///
    /// Errors: the file cannot be made.
    pub fn database(&self) -> Result<PathBuf> {
        let path = self.path.join("dynamodb.sqlite");
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        opened
            .and_then(|file| file.set_permissions(fs::Permissions::from_mode(0o600)))
            .with_context(|| format!("could not make {}", path.display()))?;
        Ok(path)
    }

    /// The keys in a data directory that another process may have open; `None` without any.
    pub fn keys_in(path: &Path) -> Option<Keys> {
        let list = SecretString::from(fs::read_to_string(path.join("keys")).ok()?);
        Keys::parse(list.expose_secret()).ok()
    }

    /// The keys of the receipts. They are made once and kept in a file that only its owner may read.
    ///
    /// Errors: the file cannot be read or written, or holds no keys.
    pub fn keys(&self) -> Result<Keys> {
        let path = self.path.join("keys");
        let list = match fs::read_to_string(&path) {
            Ok(list) => SecretString::from(list),
            Err(cause) if cause.kind() == ErrorKind::NotFound => {
                let mut key = [0; 32];
                rand::rng().fill_bytes(&mut key);
                let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
                let key = SecretString::from(key);
                // Renamed when it is whole: a stop in between must not leave an empty file.
                let unfinished = path.with_extension("new");
                OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(&unfinished)
                    .and_then(|mut file| writeln!(file, "{}", key.expose_secret()))
                    .and_then(|()| fs::rename(&unfinished, &path))
                    .with_context(|| format!("could not write {}", path.display()))?;
                key
            }
            Err(cause) => return Err(cause).with_context(|| format!("could not read {}", path.display())),
        };
        Keys::parse(list.expose_secret()).with_context(|| format!("could not use the keys in {}", path.display()))
    }
}
