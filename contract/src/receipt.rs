//! The signed proof of when a session was last written, and by which version.

use std::fmt::{self, Write as _};

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::pass::PassKeys;
use crate::placement::Placed;
use crate::token::{Token, write_hex};
use crate::version::VersionCode;

/// What a receipt says.
///
/// As text: `<token>.<version>.<placed>.<started>.<touched>.<tag>`; see [`Keys::sign`]. This is format 1
/// of the receipt; `docs/formats.md` tells how to change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The session.
    pub token: Token,
    /// The version that wrote the session last.
    pub version: VersionCode,
    /// How the session came to this version, and by which plan.
    pub placed: Placed,
    /// Unix seconds of the first visit.
    pub started: u64,
    /// Unix seconds of the visit that issued the receipt. The item has the same number, unless its write
    /// failed.
    pub touched: u64,
}

/// The keys of the receipts. The first key signs and all keys verify, so that an operator can rotate a
/// key and nobody loses a session.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Keys {
    /// Each has absorbed its key already, which saves half of the hashing per receipt.
    keyed: Vec<Hmac<Sha256>>,
    passes: PassKeys,
}

/// Why a list of keys is refused. The message never repeats a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The list has no key.
    #[error("the list of keys is empty")]
    Empty,
    /// A key is so short that somebody could guess it.
    #[error("key {position} has {length} characters: a key needs at least {minimum}, for example from `openssl rand -hex 32`", minimum = Keys::MIN_LENGTH)]
    TooShort {
        /// Place in the list, from 1.
        position: usize,
        /// Its length in bytes.
        length: usize,
    },
}

/// Bytes of the tag: the first half of HMAC-SHA-256
/// ([RFC 2104, section 5](https://www.rfc-editor.org/rfc/rfc2104#section-5) allows it).
const TAG_BYTES: usize = 16;

/// A tag in hex.
pub(crate) type Tag = [u8; 2 * TAG_BYTES];

impl Receipt {
    /// What receipts and items are ordered by. A placement under a later plan is newer, whatever the clocks
    /// say.
    pub fn order(&self) -> (u64, u64) {
        (self.placed.revision, self.touched)
    }

    /// Reads a receipt without its tag. It proves nothing: anybody can write one. `None` if it has another shape. The
    /// tag may be anything.
    pub fn read_unverified(text: &str) -> Option<Self> {
        let (signed, _) = text.rsplit_once('.')?;
        Self::read_signed(signed)
    }

    /// Reads what is before the dot of the tag.
    fn read_signed(signed: &str) -> Option<Self> {
        let (token, rest) = signed.split_at_checked(Token::LENGTH)?;
        let mut rest = Some(rest.strip_prefix('.')?);
        let mut field = || {
            let text = rest?;
            // The fields are so short that `split`, which compares many bytes at once, takes longer.
            let end = text.bytes().position(|byte| byte == b'.');
            rest = end.map(|end| &text[end + 1..]);
            Some(&text[..end.unwrap_or(text.len())])
        };
        let receipt = Self {
            token: Token::parse(token).ok()?,
            version: VersionCode::parse(field()?).ok()?,
            placed: Placed::parse(field()?)?,
            started: number(field()?)?,
            touched: number(field()?)?,
        };
        rest.is_none().then_some(receipt)
    }
}

impl Keys {
    /// No receipt begins like this, so no text has a tag of both kinds.
    const UNDER_PASS_LABEL: &str = "session under a pass.";

    /// Shortest key in bytes: the output length of SHA-256
    /// ([RFC 2104, section 3](https://www.rfc-editor.org/rfc/rfc2104#section-3)).
    pub const MIN_LENGTH: usize = 32;

    /// Reads a list of keys, separated by commas or line ends, the signing key first. White space around
    /// a key is ignored. The characters themselves are the key: hex digits are not decoded.
    ///
    /// Errors: [`KeysError`].
    pub fn parse(list: &str) -> Result<Self, KeysError> {
        let texts = list.split([',', '\n']).map(str::trim).filter(|text| !text.is_empty());
        let mut keyed = Vec::new();
        for (index, text) in texts.enumerate() {
            if text.len() < Self::MIN_LENGTH {
                return Err(KeysError::TooShort { position: index + 1, length: text.len() });
            }
            keyed.push(Hmac::new_from_slice(text.as_bytes()).expect("HMAC takes keys of any length"));
        }
        if keyed.is_empty() {
            return Err(KeysError::Empty);
        }
        let passes = PassKeys::derive(&keyed);
        Ok(Self { keyed, passes })
    }

    /// A key for another purpose from each of the keys, the signing key's first. `label` names the purpose.
    pub fn derive(&self, label: &str) -> impl Iterator<Item = [u8; 32]> {
        self.keyed.iter().map(move |key| key.clone().chain_update(label).finalize().into_bytes().into())
    }

    /// The keys of passes.
    pub fn passes(&self) -> &PassKeys {
        &self.passes
    }

    /// The receipt as text, signed with the first key.
    pub fn sign(&self, receipt: &Receipt) -> String {
        self.sign_with("", receipt)
    }

    /// The receipt of a session under a pass. It is worth nothing as the receipt of another session.
    pub fn sign_under_pass(&self, receipt: &Receipt) -> String {
        self.sign_with(Self::UNDER_PASS_LABEL, receipt)
    }

    fn sign_with(&self, label: &str, receipt: &Receipt) -> String {
        let Receipt { token, version, placed, started, touched } = receipt;
        let mut text = String::with_capacity(144);
        write!(text, "{}.{version}.{placed}.{started}.{touched}", token.as_str()).expect("a String takes any text");
        let tag = tag(&self.keyed[0], label, &text);
        text.push('.');
        text.push_str(std::str::from_utf8(&tag).expect("hex digits are ASCII"));
        text
    }

    /// Reads a receipt that one of the keys signed; `None` if any character has changed since.
    pub fn verify(&self, text: &str) -> Option<Receipt> {
        self.verify_with("", text)
    }

    /// The same for the receipt of a session under a pass.
    pub fn verify_under_pass(&self, text: &str) -> Option<Receipt> {
        self.verify_with(Self::UNDER_PASS_LABEL, text)
    }

    fn verify_with(&self, label: &str, text: &str) -> Option<Receipt> {
        let (signed, presented) = split_tag(text)?;
        // Parsing comes first, because it is cheaper than hashing and rejects most other texts.
        let receipt = Receipt::read_signed(signed)?;
        is_tag(&self.keyed, label, signed, presented).then_some(receipt)
    }
}

/// A number in the only notation that is signed: decimal digits without a sign or a leading zero.
pub(crate) fn number(text: &str) -> Option<u64> {
    let digits = text.as_bytes();
    if digits.is_empty() || (digits[0] == b'0' && digits.len() > 1) {
        return None;
    }
    digits.iter().try_fold(0, |number: u64, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

/// What was signed, and its tag.
pub(crate) fn split_tag(text: &str) -> Option<(&str, &Tag)> {
    let tag = text.as_bytes().last_chunk()?;
    let signed = text.get(..text.len() - tag.len())?;
    Some((signed.strip_suffix('.')?, tag))
}

/// Whether one of the keys made this tag. Every key is tried, so that the time does not reveal which one signed.
pub(crate) fn is_tag(keys: &[Hmac<Sha256>], label: &str, signed: &str, presented: &Tag) -> bool {
    const { assert!(2 * TAG_BYTES == 32) };
    // Two numbers are compared faster than 32 bytes.
    let numbers = |tag: &Tag| {
        let (halves, _) = tag.as_chunks();
        [u128::from_ne_bytes(halves[0]), u128::from_ne_bytes(halves[1])]
    };
    let presented = numbers(presented);
    let matches = keys
        .iter()
        .fold(subtle::Choice::from(0), |matches, key| matches | numbers(&tag(key, label, signed)).ct_eq(&presented));
    matches.into()
}

/// The tag of a text, in hex. `label` keeps the tags of different kinds of text apart.
pub(crate) fn tag(key: &Hmac<Sha256>, label: &str, signed: &str) -> Tag {
    let mut mac = key.clone();
    mac.update(label.as_bytes());
    mac.update(signed.as_bytes());
    let mut digits = [0; 2 * TAG_BYTES];
    write_hex(&mac.finalize().into_bytes()[..TAG_BYTES], &mut digits);
    digits
}

impl TryFrom<String> for Keys {
    type Error = KeysError;

    fn try_from(list: String) -> Result<Self, Self::Error> {
        Self::parse(&list)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} of them)", self.keyed.len())
    }
}
