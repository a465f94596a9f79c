//! The signed proof of when a session was last written, and by which version.

use std::fmt::{self, Write as _};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::token::write_hex;
use crate::{Token, VersionCode};

/// What a receipt says. As text: `<token>.<version>.<started>.<touched>.<tag>`; see [`Keys::sign`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The session.
    pub token: Token,
    /// The version that wrote the session last.
    pub version: VersionCode,
    /// First visit, in Unix seconds.
    pub started: u64,
    /// Last write to the sessions table, in Unix seconds.
    pub touched: u64,
}

/// Keys for receipts: the first signs, all verify, so a new key can be put in front and nobody is logged out.
#[derive(Clone)]
pub struct Keys {
    /// Each with its key already absorbed, which saves half of the hashing.
    keyed: Vec<Hmac<Sha256>>,
}

/// Why a list of keys is refused. Never repeats a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// Not one key in the list.
    #[error("the list of keys is empty")]
    Empty,
    /// A key that could be guessed.
    #[error("key {position} has {length} characters: it takes at least {minimum}, e.g. from `openssl rand -hex 32`", minimum = Keys::MIN_LENGTH)]
    TooShort {
        /// Place in the list, from 1.
        position: usize,
        /// Its length in bytes.
        length: usize,
    },
}

/// Bytes of the tag: the first half of HMAC-SHA-256, as [RFC 2104, section 5](https://www.rfc-editor.org/rfc/rfc2104#section-5) allows.
const TAG_BYTES: usize = 16;

impl Keys {
    /// Shortest key taken, in bytes: as many as SHA-256 has ([RFC 2104, section 3](https://www.rfc-editor.org/rfc/rfc2104#section-3)).
    pub const MIN_LENGTH: usize = 32;

    /// Keys from a list separated by commas or line ends, the signing key first; white space around a key is dropped.
    ///
    /// A key's characters are the key, so hex digits are not decoded. Errors: [`KeysError`].
    pub fn parse(list: &str) -> Result<Self, KeysError> {
        let texts = list.split([',', '\n']).map(str::trim).filter(|text| !text.is_empty());
        let mut keyed = Vec::new();
        for (index, text) in texts.enumerate() {
            if text.len() < Self::MIN_LENGTH {
                return Err(KeysError::TooShort { position: index + 1, length: text.len() });
            }
            keyed.push(Hmac::new_from_slice(text.as_bytes()).expect("HMAC takes keys of any length"));
        }
        if keyed.is_empty() { Err(KeysError::Empty) } else { Ok(Self { keyed }) }
    }

    /// The receipt as text, signed with the first key.
    pub fn sign(&self, receipt: &Receipt) -> String {
        let Receipt { token, version, started, touched } = receipt;
        let mut text = String::with_capacity(128);
        write!(text, "{}.{version}.{started}.{touched}", token.as_str()).expect("a String takes any text");
        let tag = tag(&self.keyed[0], &text);
        text.push('.');
        text.push_str(std::str::from_utf8(&tag).expect("hex digits are ASCII"));
        text
    }

    /// Reads a receipt that one of the keys signed; `None` if any character is not as it was signed.
    pub fn verify(&self, text: &str) -> Option<Receipt> {
        // Reading comes first: it is cheaper than hashing, and most of what is no receipt ends here.
        let (signed, presented) = text.rsplit_once('.')?;
        let mut fields = signed.split('.');
        let receipt = Receipt {
            token: Token::parse(fields.next()?).ok()?,
            version: VersionCode::parse(fields.next()?).ok()?,
            started: fields.next()?.parse().ok()?,
            touched: fields.next()?.parse().ok()?,
        };
        if fields.next().is_some() {
            return None;
        }
        // Every key is tried, so that the time taken does not tell which one signed.
        let matches = self.keyed.iter().fold(subtle::Choice::from(0), |matches, key| {
            matches | tag(key, signed).as_slice().ct_eq(presented.as_bytes())
        });
        bool::from(matches).then_some(receipt)
    }
}

fn tag(key: &Hmac<Sha256>, signed: &str) -> [u8; 2 * TAG_BYTES] {
    let mut mac = key.clone();
    mac.update(signed.as_bytes());
    let mut digits = [0; 2 * TAG_BYTES];
    write_hex(&mac.finalize().into_bytes()[..TAG_BYTES], &mut digits);
    digits
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} of them)", self.keyed.len())
    }
}
