//! The session cookie: how the app writes it, and how app and edge read it.

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
    /// The intervals that ages are judged by.
    pub timing: Timing,
}

/// What a viewer's cookies claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// A receipt with a valid tag, and its age in seconds.
    Receipt(Receipt, u64),
    /// A token without a receipt. Only the table can tell whether it is a session.
    Bare(Token),
    /// No session cookie, or none that is valid.
    Nothing,
}

impl SessionCookie {
    /// The cookie's name.
    pub const NAME: &str = "sessiontoken";

    /// What the viewer claims, from the values of the Cookie headers.
    ///
    /// Of several valid receipts the newest one counts: an old cookie from another path or domain must
    /// not hide the one that the app renews. A cookie that is not valid is ignored.
    pub fn read<'a>(&self, cookie_headers: impl IntoIterator<Item = &'a [u8]>, now: u64) -> Claim {
        let mut claim = Claim::Nothing;
        for value in cookie_headers.into_iter().flat_map(session_cookie_values) {
            if let Some(receipt) = self.keys.as_ref().and_then(|keys| keys.verify(value)) {
                let is_newer = !matches!(claim, Claim::Receipt(best, _) if best.touched >= receipt.touched);
                if let Some(age) = self.timing.age_seconds(&receipt, now).filter(|_| is_newer) {
                    claim = Claim::Receipt(receipt, age);
                }
            } else if claim == Claim::Nothing
                && (self.keys.is_none() || self.accept_bare_tokens)
                && let Ok(token) = Token::parse(value)
            {
                claim = Claim::Bare(token);
            }
        }
        claim
    }

    /// The `Set-Cookie` value for a session ([RFC 6265, section 4.1](https://www.rfc-editor.org/rfc/rfc6265#section-4.1)).
    ///
    /// `is_https`: whether the viewer came by HTTPS. Then the cookie is `Secure`.
    pub fn write(&self, receipt: &Receipt, is_https: bool) -> String {
        let value = match &self.keys {
            Some(keys) => keys.sign(receipt),
            None => receipt.token.as_str().to_owned(),
        };
        let secure = if is_https { "; Secure" } else { "" };
        let lifetime = self.timing.lifetime_seconds();
        format!("{}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={lifetime}{secure}", Self::NAME)
    }
}

/// Every value of a session cookie in one Cookie header, in order, without surrounding quotes.
///
/// Reads what browsers send ([RFC 6265, section 5.4](https://www.rfc-editor.org/rfc/rfc6265#section-5.4)):
/// pairs separated by `;`, the name up to the first `=`. Takes bytes, because other cookies in the
/// header may not be UTF-8.
pub fn session_cookie_values(header: &[u8]) -> impl Iterator<Item = &str> {
    header.split(|&byte| byte == b';').filter_map(|pair| {
        let value = pair.trim_ascii_start().strip_prefix(SessionCookie::NAME.as_bytes())?.trim_ascii_start();
        let value = std::str::from_utf8(value.strip_prefix(b"=")?.trim_ascii()).ok()?;
        Some(value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value))
    })
}
