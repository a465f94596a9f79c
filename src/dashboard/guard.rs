//! Who gets an answer: web pages of other sites do not, nor does whoever has no cookie where others can reach the
//! dashboard.
//!
//! A page of another site can send requests to a dashboard that it cannot reach itself, on loopback or behind a
//! firewall. A browser then says in `Origin` and
//! [`Sec-Fetch-Site`](https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header) where they come from. With
//! [DNS rebinding](https://owasp.org/www-community/attacks/DNS_Rebinding) it does not, but then `Host` names the page's
//! domain.

use std::net::IpAddr;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{COOKIE, HOST, HeaderMap, HeaderValue, ORIGIN};
use actix_web::http::{Method, StatusCode, Uri};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, web};
use subtle::ConstantTimeEq as _;

use super::assets::ASSETS;
use super::page::{ENTER, Message};
use super::people::{People, secret};
use crate::loopback::is_loopback_host;

/// What decides it.
#[derive(Debug)]
pub(super) struct Guard {
    /// The dashboard's address, if it has one besides those of this machine: its scheme and its authority.
    address: Option<(String, String)>,
    /// `None`: everybody on this machine.
    pub(super) people: Option<People>,
    /// What a form must repeat: no other site can read it.
    csrf: String,
}

/// Who sends a request.
#[derive(Debug, Clone)]
pub(super) struct Viewer {
    /// The name; `None` for whoever runs this program.
    pub(super) name: Option<String>,
}

impl Guard {
    /// `url`: as [`origin_of`] returns it.
    pub(super) fn new(url: Option<String>, people: Option<People>) -> Self {
        let address = url.and_then(|url| {
            let (scheme, authority) = url.split_once("://")?;
            Some((scheme.to_owned(), authority.to_owned()))
        });
        Self { address, people, csrf: secret() }
    }

    /// What forms must repeat.
    pub(super) fn csrf(&self) -> &str {
        &self.csrf
    }

    /// Whether a form repeats it.
    pub(super) fn is_own_form(&self, csrf: &str) -> bool {
        self.csrf.as_bytes().ct_eq(csrf.as_bytes()).into()
    }

    /// Why a request gets no answer, whoever sends it.
    fn refusal(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<&'static str> {
        let Some(host) = headers.get(HOST) else { return Some("the request has no Host header") };
        let named =
            self.address.as_ref().filter(|(_, authority)| host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()));
        if named.is_none() && !is_loopback_host(host) {
            return Some("the Host header must name this machine or the address that --url gives");
        }
        // A proxy on this machine would let everybody in. Most say that they are one.
        let is_of_proxy =
            |name: &str| matches!(name, "forwarded" | "via" | "x-real-ip") || name.starts_with("x-forwarded-");
        let is_forwarded = headers.keys().any(|name| is_of_proxy(name.as_str()));
        if self.people.is_none() && is_forwarded {
            return Some("the request came by a proxy: name everybody who may use the dashboard with --user");
        }
        let scheme = named.map_or("http", |(scheme, _)| scheme);
        let is_own = |origin: &HeaderValue| {
            let authority =
                origin.as_bytes().strip_prefix(scheme.as_bytes()).and_then(|rest| rest.strip_prefix(b"://"));
            authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_bytes()))
        };
        match headers.get(ORIGIN) {
            Some(origin) if !is_own(origin) => return Some("other sites must not use the dashboard: see Origin"),
            None if method != Method::GET && method != Method::HEAD => {
                return Some("a form must come from the dashboard itself: the Origin header is missing");
            }
            _ => {}
        }
        let says = |name: &str, value: &str| headers.get(name).is_some_and(|found| found == value);
        let is_from_other_site = says("sec-fetch-site", "cross-site") || says("sec-fetch-site", "same-site");
        // Somebody may follow a link to the dashboard, from a chat for example. A link must not lead to a form: the
        // other site could make a person click on the form's button by mistake.
        let is_entry = path == "/" || path == ENTER;
        let is_link = is_entry
            && method == Method::GET
            && says("sec-fetch-mode", "navigate")
            && says("sec-fetch-dest", "document");
        (is_from_other_site && !is_link).then_some("other sites must not use the dashboard: see Sec-Fetch-Site")
    }
}

/// Lets a request through with its [`Viewer`], or refuses it.
pub(super) async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let guard = request.app_data::<web::Data<Guard>>().expect("the server has it").clone();
    let refused = |request: ServiceRequest, message: Message| {
        let answer = message.answer(StatusCode::FORBIDDEN);
        Ok(request.into_response(answer).map_into_right_body())
    };
    if let Some(cause) = guard.refusal(request.method(), request.path(), request.headers()) {
        return refused(request, Message::new("No answer for this request", vec![cause.to_owned()]));
    }
    let name = match &guard.people {
        None => None,
        Some(people) => {
            let holder = people.holder(request.headers().get_all(COOKIE).map(HeaderValue::as_bytes));
            let is_open = request.path() == ENTER || request.path().starts_with(ASSETS);
            if holder.is_none() && !is_open {
                let lines = [
                    "Open the link that whoever runs this dashboard gave you. It works once, in one browser.",
                    "Links are new after each start of the dashboard.",
                ];
                return refused(request, Message::new("Who are you?", lines.map(str::to_owned).to_vec()));
            }
            holder
        }
    };
    request.extensions_mut().insert(Viewer { name });
    Ok(next.call(request).await?.map_into_left_body())
}

/// Reads an address that people open, `https://HOST[:PORT]` or `http://HOST[:PORT]`, as browsers write it in `Origin`:
/// without a path, and without the port that the scheme has anyway. Errors: it is none.
pub fn origin_of(url: &str) -> Result<String, String> {
    let expected = || format!("`{url}`: expected an address without a path, for example https://rollouts.example.com");
    let uri: Uri = url.parse().map_err(|_| expected())?;
    let (scheme, authority) = uri.scheme_str().zip(uri.authority()).ok_or_else(expected)?;
    let usual = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return Err(expected()),
    };
    let is_bare = !url.contains('#')
        && matches!(uri.path(), "" | "/")
        && uri.query().is_none()
        && !authority.as_str().contains('@');
    if !is_bare || authority.host().is_empty() {
        return Err(expected());
    }
    let host = authority.host().to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let host = match address {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        Ok(IpAddr::V4(address)) => address.to_string(),
        // What looks like an address and is none, browsers write in another way.
        Err(_) if host.ends_with(|last: char| last.is_ascii_digit() || last == '.') => return Err(expected()),
        Err(_) => host,
    };
    let port = authority.port_u16().filter(|port| *port != usual).map_or_else(String::new, |port| format!(":{port}"));
    Ok(format!("{scheme}://{host}{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_browsers_write_it() {
        for (url, origin) in [
            ("https://rollouts.example.com", "https://rollouts.example.com"),
            ("https://rollouts.example.com/", "https://rollouts.example.com"),
            ("https://rollouts.example.com:443", "https://rollouts.example.com"),
            ("http://192.0.2.7:8090", "http://192.0.2.7:8090"),
            ("http://[2001:DB8::7]:80", "http://[2001:db8::7]"),
            ("https://Rollouts.example.com", "https://rollouts.example.com"),
        ] {
            assert_eq!(origin_of(url).as_deref(), Ok(origin));
        }
        for url in [
            "rollouts.example.com",
            "ftp://a.example",
            "https://a.example/path",
            "https://a@b.example",
            "https://a.example#b",
            "https://a.example.",
            "http://192.168.010.1",
            "http://",
            "",
        ] {
            assert!(origin_of(url).is_err(), "{url}");
        }
    }

    #[test]
    fn only_the_address_itself_and_this_machine_are_answered() {
        let guard = Guard::new(Some("https://rollouts.example.com".to_owned()), None);
        let refusal = |method: Method, headers: &[(&'static str, &'static str)]| {
            let headers = headers
                .iter()
                .map(|(name, value)| (name.parse().expect("a header name"), HeaderValue::from_static(value)));
            guard.refusal(&method, "/", &headers.collect())
        };
        for host in ["rollouts.example.com", "ROLLOUTS.example.com", "localhost:8090", "[::1]:8090"] {
            assert_eq!(refusal(Method::GET, &[("host", host)]), None, "{host}");
        }
        for host in ["rollouts.example.com.", "rollouts.example.com:8090", "a.rollouts.example.com", ""] {
            assert!(refusal(Method::GET, &[("host", host)]).is_some(), "{host}");
        }
        let post = |origin| refusal(Method::POST, &[("host", "rollouts.example.com"), ("origin", origin)]);
        assert_eq!(post("https://rollouts.example.com"), None);
        for origin in
            ["http://rollouts.example.com", "https://rollouts.example.com:8090", "https://evil.example", "null"]
        {
            assert!(post(origin).is_some(), "{origin}");
        }
    }
}
