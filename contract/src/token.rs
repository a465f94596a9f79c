//! The session's id.

use std::fmt;

use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

/// A session's id: 40 lower-case hex digits, the SHA-1 of 128 random bytes.
///
/// Whoever knows a token may take the session over. So `Debug` and [`Token::short`] show only the first
/// 8 digits, which are enough to follow a session through the logs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Token {
    digits: [u8; Token::LENGTH],
}

/// The text is not a [`Token`]. The error does not repeat it, because it may be somebody's token with a
/// typing error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token: expected 40 lower-case hex digits")]
pub struct TokenError;

impl Token {
    /// Number of digits.
    pub const LENGTH: usize = 40;

    /// Makes a new token.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = [0; 128];
        rng.fill_bytes(&mut seed);
        let mut digits = [0; Self::LENGTH];
        write_hex(&Sha1::digest(seed), &mut digits);
        Self { digits }
    }

    /// Reads a token. Errors: [`TokenError`] unless the text is 40 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let digits = <[u8; Self::LENGTH]>::try_from(text.as_bytes()).map_err(|_| TokenError)?;
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        // Without a way out at the first other byte, the compiler compares many bytes at once.
        let are_digits = digits.iter().fold(true, |are_digits, byte| are_digits & is_digit(byte));
        if are_digits { Ok(Self { digits }) } else { Err(TokenError) }
    }

    /// All 40 digits. They are for the table and the cookie, never for a log.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.digits).expect("tokens hold hex digits only")
    }

    /// The first 8 digits, for logs and pages.
    pub fn short(&self) -> &str {
        std::str::from_utf8(&self.digits[..8]).expect("tokens hold hex digits only")
    }
}

/// Writes `bytes` as lower-case hex digits into `digits`, which is twice as long.
pub(crate) fn write_hex(bytes: &[u8], digits: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(digits.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}…)", self.short())
    }
}

impl TryFrom<String> for Token {
    type Error = TokenError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Token> for String {
    fn from(token: Token) -> Self {
        token.as_str().to_owned()
    }
}
