//! The browser that a booking is typed in. A secret of its own shows that a form comes from our page,
//! and that whoever wants to read the booking is who typed it: a session's cookie alone shows neither.

use actix_web::HttpRequest;
use actix_web::http::header::{COOKIE, HeaderName, HeaderValue};
use ring::hmac;
use stickshift_contract::{SameSite, SessionCookie, Token, cookie_values, set_cookie};
use subtle::ConstantTimeEq as _;

use crate::serve::edge_headers::{is_https, text};

/// A browser, by its secret.
#[derive(Debug, Clone, Copy)]
pub(super) struct Browser {
    secret: Token,
    /// Whether the browser has not got its secret yet.
    pub(super) is_new: bool,
    is_https: bool,
}

/// No other domain can plant a cookie with the prefix, so by HTTPS only the prefixed name counts.
const NAME: &str = "booking";
const PREFIXED_NAME: &str = "__Host-booking";

impl Browser {
    /// The browser of a request. One without a secret gets a new one.
    pub(super) fn of(request: &HttpRequest) -> Self {
        let is_https = is_https(request);
        let name = if is_https { PREFIXED_NAME } else { NAME };
        let headers = request.headers().get_all(COOKIE).map(HeaderValue::as_bytes);
        let secret = headers.flat_map(|header| cookie_values(header, name)).find_map(|value| Token::parse(value).ok());
        match secret {
            Some(secret) => Self { secret, is_new: false, is_https },
            None => Self { secret: Token::generate(&mut rand::rng()), is_new: true, is_https },
        }
    }

    /// The `Set-Cookie` value that gives the browser its secret.
    pub(super) fn cookie(&self, same_site: SameSite) -> String {
        let name = if self.is_https { PREFIXED_NAME } else { NAME };
        set_cookie(name, self.secret.as_str(), SessionCookie::MAX_AGE_SECONDS, same_site, self.is_https)
    }

    /// What the item has of the browser. Nobody can make the secret from it.
    pub(super) fn owner_mark(&self) -> String {
        self.mark("owner")
    }

    /// What a form of ours has of the browser and its session. A page of another site cannot know it, and a form of an
    /// earlier session does not fit.
    pub(super) fn form_mark(&self, session: Option<Token>) -> String {
        self.mark(&format!("form.{}", session.as_ref().map_or("", Token::as_str)))
    }

    /// Whether a form with that mark comes from a page that this browser got in one of these sessions.
    pub(super) fn has_got_form(&self, mark: &str, sessions: &[Token]) -> bool {
        let is_of = |session: &Token| bool::from(self.form_mark(Some(*session)).as_bytes().ct_eq(mark.as_bytes()));
        sessions.iter().any(is_of)
    }

    fn mark(&self, label: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_str().as_bytes());
        let tag = hmac::sign(&key, label.as_bytes());
        tag.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Whether the browser says that a page of another origin has sent the request
/// ([Fetch Metadata](https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header)). Origins on sibling domains count
/// as others.
pub(super) fn is_from_elsewhere(request: &HttpRequest) -> bool {
    const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    text(request.headers(), &SEC_FETCH_SITE).is_some_and(|site| !matches!(site, "same-origin" | "none"))
}
