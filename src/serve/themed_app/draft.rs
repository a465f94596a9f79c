//! A form that could not be taken. The browser is sent back to the form, so that a reload sends nothing
//! again, and because a post cannot begin a session where the last one has ended. In the meantime the
//! browser keeps what was typed, in a cookie that only we can read, and only together with its secret.

use actix_web::HttpRequest;
use actix_web::http::header::{COOKIE, HeaderValue};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rand::RngExt as _;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use stickshift_contract::{Keys, SameSite, cookie_values, set_cookie};

use super::browser::Browser;
use crate::booking::{Field, Step};
use crate::serve::edge_headers::is_https;

/// A form that could not be taken. It has no `Debug`, because it is personal data.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) step: Step,
    pub(super) typed: Vec<(Field, String)>,
    pub(super) reason: Reason,
    /// The counter of the activity as the form was rendered with it.
    pub(super) counter: u64,
    /// Whether the form began a booking when it was rendered.
    pub(super) replaces: bool,
    /// The form's mark of its browser and its session.
    pub(super) mark: String,
}

/// Why a form could not be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// An answer is missing or not valid.
    Problems,
    /// The session had ended.
    Ended,
    /// The booking had changed since the form was rendered.
    Overtaken,
    /// The table did not answer.
    Unwritten,
    /// The form was not rendered for this browser and this session.
    Unchecked,
}

/// Seals drafts and opens them.
#[derive(Debug)]
pub(super) struct DraftSeal {
    /// The first one seals, all open.
    keys: Vec<LessSafeKey>,
    same_site: SameSite,
}

const NAME: &str = "booking-draft";
const PREFIXED_NAME: &str = "__Host-booking-draft";
/// Long enough to finish the step. In seconds.
const MAX_AGE: u64 = 600;
/// How many bytes of an answer are kept. An answer that is cut here is still too long to be valid. All of them together
/// fit into the 4,096 bytes that browsers keep of a cookie
/// ([RFC 6265, section 6.1](https://www.rfc-editor.org/rfc/rfc6265#section-6.1)).
const fn kept_bytes(field: Field) -> usize {
    match field {
        Field::Date | Field::Seats => 40,
        Field::Name | Field::Email => 600,
        Field::Wishes => 1200,
    }
}

impl DraftSeal {
    /// Without keys for receipts, the key is made up, and only this process opens its drafts.
    pub(super) fn new(keys: Option<&Keys>, same_site: SameSite) -> Self {
        let derived: Vec<[u8; 32]> = match keys {
            Some(keys) => keys.derive("stickshift draft").collect(),
            None => vec![rand::rng().random()],
        };
        let key = |key: &[u8; 32]| LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).expect("it has 32 bytes"));
        Self { keys: derived.iter().map(key).collect(), same_site }
    }

    /// The `Set-Cookie` value with a draft, and the draft's id, for the address of its page. `now`: Unix seconds.
    pub(super) fn cookie(&self, request: &HttpRequest, browser: &Browser, draft: &Draft, now: u64) -> (String, String) {
        let nonce: [u8; NONCE_LEN] = rand::rng().random();
        let id = format!("{:08x}", rand::rng().random::<u32>());
        let mut text = draft.write(&id, now + MAX_AGE).into_bytes();
        self.keys[0]
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad(browser), &mut text)
            .expect("a draft is short");
        let value = BASE64_URL_SAFE_NO_PAD.encode([&nonce[..], &text].concat());
        (id, set_cookie(name(request), &value, MAX_AGE, self.same_site, is_https(request)))
    }

    /// The `Set-Cookie` value that deletes the draft, if the browser has one.
    pub(super) fn cookie_to_delete(&self, request: &HttpRequest) -> Option<String> {
        let is_there = values(request).next().is_some();
        is_there.then(|| set_cookie(name(request), "", 0, self.same_site, is_https(request)))
    }

    /// The draft with that id, if this browser got it from us in the last ten minutes.
    pub(super) fn read(&self, request: &HttpRequest, browser: &Browser, id: &str, now: u64) -> Option<Draft> {
        values(request).find_map(|value| Draft::read(&self.open(value, browser)?, id, now))
    }

    fn open(&self, value: &str, browser: &Browser) -> Option<String> {
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(value).ok()?;
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        self.keys.iter().find_map(|key| {
            let mut text = text.to_vec();
            let text = key.open_in_place(Nonce::assume_unique_for_key(*nonce), aad(browser), &mut text).ok()?;
            String::from_utf8(text.to_vec()).ok()
        })
    }
}

/// A draft is for one browser: a copy of the cookie alone shows nothing.
fn aad(browser: &Browser) -> Aad<String> {
    Aad::from(browser.owner_mark())
}

impl Reason {
    const EVERY: [Self; 5] = [Self::Problems, Self::Ended, Self::Overtaken, Self::Unwritten, Self::Unchecked];

    fn as_str(self) -> &'static str {
        match self {
            Self::Problems => "problems",
            Self::Ended => "ended",
            Self::Overtaken => "overtaken",
            Self::Unwritten => "unwritten",
            Self::Unchecked => "unchecked",
        }
    }
}

impl Draft {
    /// One value a line. `until`: Unix seconds.
    fn write(&self, id: &str, until: u64) -> String {
        let Self { step, typed, reason, counter, replaces, mark } = self;
        let (step, reason) = (step.as_str(), reason.as_str());
        let mut text = format!("{id}\n{until}\n{step}\n{reason}\n{counter}\n{replaces}\n{mark}");
        for (field, value) in typed {
            // No value has a line end.
            let kept = &value[..value.floor_char_boundary(kept_bytes(*field))];
            text += &format!("\n{}={kept}", field.as_str());
        }
        text
    }

    fn read(text: &str, id: &str, now: u64) -> Option<Self> {
        let mut lines = text.lines();
        let mut line = || lines.next();
        if line()? != id || line()?.parse::<u64>().ok()? <= now {
            return None;
        }
        let step = Step::parse(line()?)?;
        let reason = line()?;
        let reason = Reason::EVERY.into_iter().find(|known| known.as_str() == reason)?;
        let (counter, replaces, mark) = (line()?.parse().ok()?, line()?.parse().ok()?, line()?.to_owned());
        let typed = lines.filter_map(|line| {
            let (name, value) = line.split_once('=')?;
            Some((Field::EVERY.into_iter().find(|field| field.as_str() == name)?, value.to_owned()))
        });
        Some(Self { step, typed: typed.collect(), reason, counter, replaces, mark })
    }
}

fn name(request: &HttpRequest) -> &'static str {
    if is_https(request) { PREFIXED_NAME } else { NAME }
}

fn values(request: &HttpRequest) -> impl Iterator<Item = &str> {
    let name = name(request);
    let headers = request.headers().get_all(COOKIE).map(HeaderValue::as_bytes);
    headers.flat_map(move |header| cookie_values(header, name))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn seal(keys: &str) -> DraftSeal {
        DraftSeal::new(Some(&Keys::parse(keys).expect("keys")), SameSite::Lax)
    }

    const ONE: &str = "0123456789abcdef0123456789abcdef";
    const OTHER: &str = "fedcba9876543210fedcba9876543210";

    const NOW: u64 = 1_800_000_000;

    fn request(cookies: &str, headers: &[(&str, &str)]) -> HttpRequest {
        let request = TestRequest::get().insert_header(("cookie", cookies));
        headers.iter().fold(request, |request, header| request.insert_header(*header)).to_http_request()
    }

    fn mark() -> String {
        "0123456789abcdef0123456789abcdef".to_owned()
    }

    fn pair(cookie: &str) -> &str {
        cookie.split(';').next().expect("a pair")
    }

    #[test]
    fn a_draft_is_for_one_browser_at_one_address_for_ten_minutes() {
        let typed = vec![(Field::Name, "Ada \"=\\ Lovelace".into()), (Field::Seats, String::new())];
        let draft =
            Draft { step: Step::Contact, typed, reason: Reason::Overtaken, counter: 7, replaces: true, mark: mark() };
        let hers = "booking=472ed977dc2fd2700dbb03a58634f789fd58d911";
        let viewer = request(hers, &[]);
        let browser = Browser::of(&viewer);
        let (id, cookie) = seal(ONE).cookie(&viewer, &browser, &draft, NOW);
        assert!(cookie.starts_with("booking-draft=") && !cookie.contains("Ada"));
        let back = request(&format!("{hers}; {}", pair(&cookie)), &[]);
        let read = |seal: DraftSeal, id: &str, now| seal.read(&back, &browser, id, now);
        assert!(read(seal(ONE), &id, NOW).as_ref() == Some(&draft));
        assert!(read(seal(&format!("{OTHER},{ONE}")), &id, NOW + 599).as_ref() == Some(&draft), "a key was rotated");
        assert!(read(seal(ONE), &id, NOW + 600).is_none() && read(seal(ONE), "00000000", NOW).is_none());
        assert!(read(seal(OTHER), &id, NOW).is_none());
        assert!(read(DraftSeal::new(None, SameSite::Lax), &id, NOW).is_none());
        // Somebody has copied the draft alone.
        let copied = request(pair(&cookie), &[]);
        assert!(seal(ONE).read(&copied, &Browser::of(&copied), &id, NOW).is_none());
        for broken in ["", "AAAA", "%%%", &format!("A{}", pair(&cookie).trim_start_matches("booking-draft="))] {
            let broken = request(&format!("{hers}; booking-draft={broken}"), &[]);
            assert!(seal(ONE).read(&broken, &browser, &id, NOW).is_none());
        }
        // By HTTPS, the name that a sibling domain could plant does not count.
        let https = request(&format!("{hers}; {}", pair(&cookie)), &[("x-forwarded-proto", "https")]);
        assert!(seal(ONE).read(&https, &browser, &id, NOW).is_none());
    }

    #[test]
    fn the_longest_answers_fit_into_a_cookie() {
        let typed = Field::EVERY.map(|field| (field, "🛶".repeat(20_000)));
        let (counter, replaces) = ((1 << 53) - 1, false);
        let draft = Draft {
            step: Step::Details,
            typed: typed.to_vec(),
            reason: Reason::Unwritten,
            counter,
            replaces,
            mark: mark(),
        };
        let viewer = request("", &[("x-forwarded-proto", "https")]);
        let browser = Browser::of(&viewer);
        let (id, cookie) = seal(ONE).cookie(&viewer, &browser, &draft, NOW);
        assert!(pair(&cookie).len() <= 4096, "{}", cookie.len());
        let back = request(pair(&cookie), &[("x-forwarded-proto", "https")]);
        let read = seal(ONE).read(&back, &browser, &id, NOW).expect("a draft");
        for (field, value) in read.typed {
            let too_long = value.chars().count() > field.longest();
            assert!(too_long || field == Field::Email || field.longest() < 11, "{value} would be valid");
        }
    }
}
