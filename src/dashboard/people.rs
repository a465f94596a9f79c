//! Who may see a dashboard that others can reach: each person has a link that works once, and then a cookie.

use std::sync::{Mutex, MutexGuard, PoisonError};

use stickshift_contract::cookie_values;
use subtle::ConstantTimeEq as _;

/// The people, and the values of their cookies.
#[derive(Debug)]
pub(super) struct People {
    people: Mutex<Vec<Person>>,
    /// Browsers send a cookie to every port of a host, so each dashboard has a name of its own for it.
    cookie_name: String,
    /// Whether they come by HTTPS.
    is_secure: bool,
}

#[derive(Debug)]
struct Person {
    name: String,
    /// The token in the link; `None` once it was used.
    link: Option<Secret>,
    /// The value of the cookie; `None` before.
    cookie: Option<Secret>,
}

/// 256 random bits in hex digits.
type Secret = String;

/// A browser forgets its cookie after so many seconds, thirty days. The dashboard forgets it when it stops.
const COOKIE_SECONDS: u64 = 30 * 86_400;

impl People {
    /// Everybody with a new link.
    pub(super) fn new(names: Vec<String>, port: u16, is_secure: bool) -> Self {
        let person = |name| Person { name, link: Some(secret()), cookie: None };
        let prefix = if is_secure { "__Host-" } else { "" };
        let cookie_name = format!("{prefix}stickshift-dashboard-{port}");
        Self { people: Mutex::new(names.into_iter().map(person).collect()), cookie_name, is_secure }
    }

    /// The name and the token of everybody whose link was not used.
    pub(super) fn links(&self) -> Vec<(String, String)> {
        let link = |person: &Person| Some((person.name.clone(), person.link.clone()?));
        self.locked().iter().filter_map(link).collect()
    }

    /// Whose link has this token.
    pub(super) fn owner_of(&self, token: &str) -> Option<String> {
        let people = self.locked();
        found(&people, token, |person| person.link.as_ref()).map(|place| people[place].name.clone())
    }

    /// Uses a link up, and returns the header that sets the person's cookie.
    pub(super) fn enter(&self, token: &str) -> Option<String> {
        let mut people = self.locked();
        let place = found(&people, token, |person| person.link.as_ref())?;
        let value = secret();
        people[place].link = None;
        people[place].cookie = Some(value.clone());
        let secure = if self.is_secure { "; Secure" } else { "" };
        let name = &self.cookie_name;
        // Lax: somebody may follow a link to the dashboard. What changes something is a POST.
        Some(format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={COOKIE_SECONDS}{secure}"))
    }

    /// Whose cookie a request has.
    pub(super) fn holder<'a>(&self, cookie_headers: impl Iterator<Item = &'a [u8]>) -> Option<String> {
        let people = self.locked();
        let values = cookie_headers.flat_map(|header| cookie_values(header, &self.cookie_name));
        let places = values.filter_map(|value| found(&people, value, |person| person.cookie.as_ref()));
        let place = places.into_iter().next()?;
        Some(people[place].name.clone())
    }

    /// A panic elsewhere must not lock everybody out.
    fn locked(&self) -> MutexGuard<'_, Vec<Person>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of the person with a secret. Everybody is compared, and each comparison takes the same time.
fn found(people: &[Person], secret: &str, of: impl Fn(&Person) -> Option<&Secret>) -> Option<usize> {
    let is_equal = |known: &Secret| bool::from(known.as_bytes().ct_eq(secret.as_bytes()));
    let places = people.iter().enumerate().filter(|(_, person)| of(person).is_some_and(is_equal));
    places.map(|(place, _)| place).last()
}

/// A new secret.
pub(super) fn secret() -> Secret {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
