//! The session cookie: how the app writes it, and how app and edge read it.

use serde::{Deserialize, Serialize};

use crate::pass::{PASS_COOKIE, PREFIXED_PASS_COOKIE, Pass};
use crate::receipt::{Keys, Receipt};
use crate::timing::Timing;
use crate::token::Token;

/// How session cookies are read and written.
#[derive(Debug, Clone)]
pub struct SessionCookie {
    /// The keys of the receipts. Without keys the cookie is the bare token, and every request of a
    /// session is looked up.
    pub keys: Option<Keys>,
    /// Whether a bare token counts although there are keys. For migrating to receipts.
    pub accept_bare_tokens: bool,
    /// Whether a viewer who came by HTTPS may have the cookie without the `__Host-` prefix although there
    /// are keys. For migrating to the prefix.
    pub accept_unprefixed_cookie: bool,
    /// Which requests of other sites carry the cookie.
    pub same_site: SameSite,
    /// The intervals that ages are judged by.
    pub timing: Timing,
    /// Whether it is the cookie of a session under a pass; see [`SessionCookie::under_pass`].
    pub is_under_pass: bool,
}

/// Which requests of other sites carry the cookie
/// ([RFC 6265bis, section 5.6.7](https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-5.6.7)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SameSite {
    /// Links and other navigations.
    #[default]
    Lax,
    /// All requests, for apps in frames of other sites. Browsers require HTTPS for it.
    None,
}

/// What a viewer's cookies claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// A receipt with a valid tag, of any age.
    Receipt(Receipt),
    /// Tokens without a receipt. Only the table can tell whether one of them is a session.
    Bare(BareTokens),
    /// No session cookie, or none that is valid.
    Nothing,
}

/// Every name of a cookie of ours. An app behind the sidecar neither gets nor sets one.
pub const OUR_COOKIES: [&str; 6] = [
    SessionCookie::NAME,
    SessionCookie::PREFIXED_NAME,
    SessionCookie::NAME_UNDER_PASS,
    SessionCookie::PREFIXED_NAME_UNDER_PASS,
    PASS_COOKIE,
    PREFIXED_PASS_COOKIE,
];

/// Bare tokens of one viewer, in the order of the cookies, each one once. At least one, at most
/// [`BareTokens::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BareTokens {
    first: Token,
    others: [Option<Token>; Self::MAX - 1],
}

impl SessionCookie {
    /// The cookie's name, unless it has the prefix.
    pub const NAME: &str = "sessiontoken";
    /// The cookie's name for viewers who came by HTTPS, if there are keys. A browser accepts a name with
    /// [this prefix](https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-4.1.3.2)
    /// only from the host itself, so no other domain can plant the cookie.
    pub const PREFIXED_NAME: &str = "__Host-sessiontoken";
    /// The same two names for a session under a pass.
    pub const NAME_UNDER_PASS: &str = "sessiontoken-pass";
    /// See [`SessionCookie::PREFIXED_NAME`].
    pub const PREFIXED_NAME_UNDER_PASS: &str = "__Host-sessiontoken-pass";
    /// How long a browser keeps the cookie. The age that counts is the receipt's `touched`.
    pub const MAX_AGE_SECONDS: u64 = 86_400;

    /// Cookies with these keys and the defaults of all other settings.
    pub fn new(keys: Option<Keys>) -> Self {
        Self {
            keys,
            accept_bare_tokens: false,
            accept_unprefixed_cookie: false,
            same_site: SameSite::default(),
            timing: Timing::default(),
            is_under_pass: false,
        }
    }

    /// The cookie of sessions under a pass, with the same settings. It has names and a kind of tag of its own, so the
    /// session that the browser had is there again afterwards. Bare tokens count for nothing.
    #[must_use]
    pub fn under_pass(&self) -> Self {
        Self { is_under_pass: true, accept_bare_tokens: false, ..self.clone() }
    }

    /// The cookie's name, without the prefix and with it.
    fn names(&self) -> (&'static str, &'static str) {
        if self.is_under_pass {
            (Self::NAME_UNDER_PASS, Self::PREFIXED_NAME_UNDER_PASS)
        } else {
            (Self::NAME, Self::PREFIXED_NAME)
        }
    }

    /// The pass that the viewer's cookies hold, if it is valid. Without keys there are no passes.
    ///
    /// As for the session cookie, the name without the prefix counts only for a viewer who came by HTTP.
    pub fn read_pass<'a>(
        &self,
        cookie_headers: impl IntoIterator<Item = &'a [u8]>,
        now: u64,
        is_https: bool,
    ) -> Option<Pass> {
        let keys = self.keys.as_ref()?.passes();
        let name = if is_https { PREFIXED_PASS_COOKIE } else { PASS_COOKIE };
        let mut values = cookie_headers.into_iter().flat_map(|header| cookie_values(header, name));
        values.find_map(|value| keys.verify(value, now))
    }

    /// The `Set-Cookie` values that give a browser a pass, or with `None` take every pass away. `is_https`: whether the
    /// viewer came by HTTPS. Without keys there are none.
    pub fn write_pass(&self, pass: Option<Pass>, now: u64, is_https: bool) -> Vec<String> {
        let Some(keys) = self.keys.as_ref().map(Keys::passes) else { return Vec::new() };
        let (value, max_age) = match pass {
            Some(pass) => (keys.sign(&pass), pass.expires.saturating_sub(now)),
            None => (String::new(), 0),
        };
        let names: &[(&str, bool)] = match (pass, is_https) {
            (Some(_), true) => &[(PREFIXED_PASS_COOKIE, true)],
            (None, true) => &[(PREFIXED_PASS_COOKIE, true), (PASS_COOKIE, false)],
            (_, false) => &[(PASS_COOKIE, false)],
        };
        let cookie = |(name, is_secure): &(&str, bool)| set_cookie(name, &value, max_age, SameSite::Lax, *is_secure);
        names.iter().map(cookie).collect()
    }

    /// What the viewer claims, from the values of the Cookie headers.
    ///
    /// A valid receipt under the prefixed name wins over all others. Of several receipts under one name the
    /// newest one counts: an old cookie from another path must not hide the one that the app renews. A
    /// cookie that is not valid is ignored. `is_https`: whether the viewer came by HTTPS.
    pub fn read<'a>(
        &self,
        cookie_headers: impl IntoIterator<Item = &'a [u8], IntoIter: Clone>,
        now: u64,
        is_https: bool,
    ) -> Claim {
        let headers = cookie_headers.into_iter();
        let (name, prefixed_name) = self.names();
        if let Some(keys) = &self.keys {
            let newest = |name| {
                let mut newest: Option<Receipt> = None;
                for value in headers.clone().flat_map(|header| cookie_values(header, name)) {
                    let receipt = if self.is_under_pass { keys.verify_under_pass(value) } else { keys.verify(value) };
                    if let Some(receipt) = receipt
                        && !self.timing.is_past_end(receipt.started, now)
                        && newest.is_none_or(|newest| newest.order() <= receipt.order())
                    {
                        newest = Some(receipt);
                    }
                }
                newest
            };
            let is_plain_read = !is_https || self.accept_unprefixed_cookie;
            let receipt = newest(prefixed_name).or_else(|| is_plain_read.then(|| newest(name)).flatten());
            if let Some(receipt) = receipt {
                return Claim::Receipt(receipt);
            }
            if !self.accept_bare_tokens || !is_plain_read {
                return Claim::Nothing;
            }
        }
        let values = headers.flat_map(|header| cookie_values(header, name));
        let tokens = values.filter_map(|value| Token::parse(value).ok());
        BareTokens::collect(tokens).map_or(Claim::Nothing, Claim::Bare)
    }

    /// The `Set-Cookie` value for a session ([RFC 6265, section 4.1](https://www.rfc-editor.org/rfc/rfc6265#section-4.1)).
    ///
    /// `is_https`: whether the viewer came by HTTPS. Then the cookie is `Secure` and, with keys, has the
    /// prefixed name.
    pub fn write(&self, receipt: &Receipt, is_https: bool) -> String {
        let (name, prefixed_name) = self.names();
        let sign = |keys: &Keys| if self.is_under_pass { keys.sign_under_pass(receipt) } else { keys.sign(receipt) };
        let (name, value) = match &self.keys {
            Some(keys) if is_https => (prefixed_name, sign(keys)),
            Some(keys) => (name, sign(keys)),
            None => (name, receipt.token.as_str().to_owned()),
        };
        set_cookie(name, &value, Self::MAX_AGE_SECONDS, self.same_site, is_https)
    }
}

/// A `Set-Cookie` value ([RFC 6265, section 4.1](https://www.rfc-editor.org/rfc/rfc6265#section-4.1)) for the whole
/// site and for no script. `max_age`: in seconds; 0 deletes the cookie. `is_secure`: whether browsers send it by HTTPS
/// only.
pub fn set_cookie(name: &str, value: &str, max_age: u64, same_site: SameSite, is_secure: bool) -> String {
    let (same_site, secure) = match (same_site, is_secure) {
        // Browsers drop a cookie that is for all sites and not secure.
        (SameSite::Lax, true) => ("Lax", "; Secure"),
        (SameSite::Lax | SameSite::None, false) => ("Lax", ""),
        (SameSite::None, true) => ("None", "; Secure"),
    };
    format!("{name}={value}; Path=/; HttpOnly; SameSite={same_site}; Max-Age={max_age}{secure}")
}

impl BareTokens {
    /// The most tokens that count. A viewer with more cookies has them from somebody else.
    pub const MAX: usize = 4;

    /// Collects the first tokens, each one once; `None` without any.
    pub fn collect(tokens: impl IntoIterator<Item = Token>) -> Option<Self> {
        let mut tokens = tokens.into_iter();
        let mut collected = Self { first: tokens.next()?, others: [None; Self::MAX - 1] };
        for token in tokens {
            if collected.iter().any(|known| known == token) {
                continue;
            }
            let Some(place) = collected.others.iter_mut().find(|place| place.is_none()) else { break };
            *place = Some(token);
        }
        Some(collected)
    }

    /// The tokens, in the order of the cookies.
    pub fn iter(&self) -> impl Iterator<Item = Token> {
        std::iter::once(self.first).chain(self.others.into_iter().flatten())
    }

    /// The first token, and the others if there are any.
    pub fn split_first(self) -> (Token, Option<Self>) {
        (self.first, Self::collect(self.others.into_iter().flatten()))
    }
}

/// Every value of the cookie `name` in one Cookie header, in order, without surrounding quotes.
///
/// Reads what browsers send ([RFC 6265, section 5.4](https://www.rfc-editor.org/rfc/rfc6265#section-5.4)):
/// pairs separated by `;`, the name up to the first `=`. Takes bytes, because other cookies in the
/// header may not be UTF-8.
pub fn cookie_values<'a>(header: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a str> {
    let mut rest = Some(header);
    let pairs = std::iter::from_fn(move || {
        let text = rest?;
        let end = memchr::memchr(b';', text);
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    });
    pairs.filter_map(move |pair| {
        let value = pair.trim_ascii_start().strip_prefix(name.as_bytes())?.trim_ascii_start();
        let value = std::str::from_utf8(value.strip_prefix(b"=")?.trim_ascii()).ok()?;
        Some(value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value))
    })
}
