//! The right of one browser to one version, and the link that gives it.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::interval::CLOCK_ALLOWANCE;
use crate::receipt::{KeysError, is_tag, number, split_tag, tag};
use crate::version::VersionCode;

/// The right of one browser to one version, until it expires. It counts while the plan has the version and has not
/// withdrawn it.
///
/// As text, in a cookie or in [`PASS_HEADER`](crate::PASS_HEADER): `<version>.<expires>.<tag>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// The version.
    pub version: VersionCode,
    /// Unix seconds from which it is worth nothing.
    pub expires: u64,
}

/// A link that gives a browser a pass.
///
/// As text, in the query parameter [`PASS_PARAMETER`]: `<version>.<redeem_by>.<expires>.<tag>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The pass that it gives.
    pub pass: Pass,
    /// Unix seconds from which it gives none.
    pub redeem_by: u64,
}

/// The query parameter of a link. An empty one takes the browser's pass away.
pub const PASS_PARAMETER: &str = "stickshift-pass";

/// The cookie of a pass, for viewers who came by HTTP.
pub const PASS_COOKIE: &str = "stickshift-pass";

/// The cookie of a pass, for viewers who came by HTTPS; see
/// [`SessionCookie::PREFIXED_NAME`](crate::SessionCookie::PREFIXED_NAME).
pub const PREFIXED_PASS_COOKIE: &str = "__Host-stickshift-pass";

/// The keys of passes and links. They are made from the receipts' keys, and whoever has them can sign no receipt.
#[derive(Clone)]
pub struct PassKeys {
    /// The first one signs, all verify.
    keyed: Vec<Hmac<Sha256>>,
    /// The first one as text.
    signing: String,
}

impl Pass {
    /// How long a pass lasts at most, in seconds: a day.
    pub const MAX_SECONDS: u64 = 86_400;

    fn text(&self) -> String {
        format!("{}.{}", self.version, self.expires)
    }
}

impl Link {
    /// How long a link can be redeemed, in seconds: ten minutes.
    pub const REDEEM_SECONDS: u64 = 600;

    fn text(&self) -> String {
        format!("{}.{}.{}", self.pass.version, self.redeem_by, self.pass.expires)
    }
}

impl PassKeys {
    const KEY_LABEL: &str = "stickshift pass";
    const PASS_LABEL: &str = "pass.";
    const LINK_LABEL: &str = "link.";

    /// Makes them from the receipts' keys, which have absorbed themselves.
    pub(crate) fn derive(receipt_keys: &[Hmac<Sha256>]) -> Self {
        let texts: Vec<String> = receipt_keys
            .iter()
            .map(|key| {
                let mut mac = key.clone();
                mac.update(Self::KEY_LABEL.as_bytes());
                mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
            })
            .collect();
        Self::from_texts(&texts)
    }

    /// Reads the key that an operator has: 64 hex digits. Errors: [`KeysError`] if it is too short to be one.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let text = text.trim();
        if text.len() < 64 {
            return Err(KeysError::TooShort { position: 1, length: text.len() });
        }
        Ok(Self::from_texts(&[text.to_owned()]))
    }

    fn from_texts(texts: &[String]) -> Self {
        let keyed = |text: &String| Hmac::new_from_slice(text.as_bytes()).expect("HMAC takes keys of any length");
        Self { keyed: texts.iter().map(keyed).collect(), signing: texts.first().cloned().unwrap_or_default() }
    }

    /// The signing key as text, for an operator who must not have the receipts' keys.
    pub fn signing_key(&self) -> &str {
        &self.signing
    }

    /// The pass as text.
    pub fn sign(&self, pass: &Pass) -> String {
        self.signed(Self::PASS_LABEL, pass.text())
    }

    /// The link's parameter as text.
    pub fn sign_link(&self, link: &Link) -> String {
        self.signed(Self::LINK_LABEL, link.text())
    }

    fn signed(&self, label: &str, text: String) -> String {
        let tag = tag(&self.keyed[0], label, &text);
        text + "." + std::str::from_utf8(&tag).expect("hex digits are ASCII")
    }

    /// Reads a pass; `None` if it is over, or if no key of ours has signed it.
    pub fn verify(&self, text: &str, now: u64) -> Option<Pass> {
        let (signed, presented) = split_tag(text)?;
        let (version, expires) = signed.split_once('.')?;
        let pass = Pass { version: VersionCode::parse(version).ok()?, expires: number(expires)? };
        let is_signed = is_tag(&self.keyed, Self::PASS_LABEL, signed, presented);
        (is_signed && is_current(pass.expires, Pass::MAX_SECONDS, now)).then_some(pass)
    }

    /// Reads the parameter of a link; `None` if it can no longer be redeemed, if its pass is over, or if no key of ours
    /// has signed it.
    pub fn verify_link(&self, text: &str, now: u64) -> Option<Link> {
        let (signed, presented) = split_tag(text)?;
        let mut fields = signed.split('.');
        let version = VersionCode::parse(fields.next()?).ok()?;
        let (redeem_by, expires) = (number(fields.next()?)?, number(fields.next()?)?);
        let link = Link { pass: Pass { version, expires }, redeem_by };
        let is_signed = is_tag(&self.keyed, Self::LINK_LABEL, signed, presented);
        let is_current =
            is_current(redeem_by, Link::REDEEM_SECONDS, now) && is_current(expires, Pass::MAX_SECONDS, now);
        (is_signed && is_current && fields.next().is_none()).then_some(link)
    }
}

/// Whether a right is not over, and was not given for longer than it may last. Clocks differ.
fn is_current(end: u64, longest: u64, now: u64) -> bool {
    now < end && end <= now + longest + CLOCK_ALLOWANCE.default
}

impl fmt::Debug for PassKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PassKeys({} of them)", self.keyed.len())
    }
}
