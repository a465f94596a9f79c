//! The browser that a booking is typed in. It has a secret of its own. The secret shows that a form comes
//! from our page, and that the booking is read by the browser that typed it. A session's cookie alone
//! shows neither.

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

    /// The mark of this browser that items store. Nobody can make the secret from it.
    pub(super) fn owner_mark(&self) -> String {
        self.mark("owner")
    }

    /// The mark of this browser and its session that our forms contain. A page of another site cannot know it, and a
    /// form of an earlier session has another one.
    pub(super) fn form_mark(&self, session: Option<Token>) -> String {
        self.mark(&format!("form.{}", session.as_ref().map_or("", Token::as_str)))
    }

    /// In which of these sessions this browser got a form with that mark.
    pub(super) fn session_of_form(&self, mark: &str, sessions: &[Token]) -> Option<Token> {
        let is_of = |session: &Token| bool::from(self.form_mark(Some(*session)).as_bytes().ct_eq(mark.as_bytes()));
        sessions.iter().copied().find(is_of)
    }

    fn mark(&self, label: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_str().as_bytes());
        let tag = hmac::sign(&key, label.as_bytes());
        tag.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Where the browser says that a request comes from
/// ([Fetch Metadata](https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// A page of this origin, or the viewer by hand.
    Ours,
    /// A page of another origin. A sibling domain is another origin.
    Other,
    /// A browser from before 2023 does not say.
    Unknown,
}

impl Sender {
    pub(super) fn of(request: &HttpRequest) -> Self {
        const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
        match text(request.headers(), &SEC_FETCH_SITE) {
            Some("same-origin" | "none") => Self::Ours,
            Some(_) => Self::Other,
            None => Self::Unknown,
        }
    }
}
