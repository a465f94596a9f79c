//! The code that names one release of the app.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Name of a version: 1 to 16 characters of `[A-Za-z0-9_-]`, such as `1` or `2024-03_b`.
///
/// Small and `Copy`: the edge handles several for every request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionCode {
    /// Padded with zero bytes. No code contains one, so comparing the bytes compares the codes.
    bytes: [u8; VersionCode::MAX_LENGTH],
}

/// The text is not a [`VersionCode`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version code: expected 1 to 16 characters of A-Z, a-z, 0-9, _ and -")]
pub struct VersionCodeError(String);

impl VersionCode {
    /// Longest code, in characters.
    pub const MAX_LENGTH: usize = 16;

    /// Reads a code. Errors: [`VersionCodeError`] if the text is empty, too long or has another character.
    pub fn parse(text: &str) -> Result<Self, VersionCodeError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if text.is_empty() || text.len() > Self::MAX_LENGTH || !text.bytes().all(allowed) {
            return Err(VersionCodeError(text.chars().take(40).collect()));
        }
        let mut bytes = [0; Self::MAX_LENGTH];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { bytes })
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        let length = self.bytes.iter().position(|&byte| byte == 0).unwrap_or(Self::MAX_LENGTH);
        std::str::from_utf8(&self.bytes[..length]).expect("`parse` accepts only ASCII")
    }
}

impl fmt::Display for VersionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for VersionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl std::str::FromStr for VersionCode {
    type Err = VersionCodeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for VersionCode {
    type Error = VersionCodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<VersionCode> for String {
    fn from(code: VersionCode) -> Self {
        code.as_str().to_owned()
    }
}
