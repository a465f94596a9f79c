//! Keeps web pages away from what listens on loopback for this machine only.
//!
//! A page in somebody's browser can send requests to loopback. A browser says so in the `Origin` header, or
//! for simple requests such as images in
//! [`Sec-Fetch-Site`](https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header). With [DNS rebinding](https://owasp.org/www-community/attacks/DNS_Rebinding) it does neither, but
//! then the `Host` header names the page's domain.

use std::net::IpAddr;

use actix_web::http::Uri;
use actix_web::http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};

/// Why a request must not be answered; `None` if it may. `is_loopback_only`: whether the server listens on
/// loopback. On other addresses any `Host` is right.
pub fn refusal(headers: &HeaderMap, is_loopback_only: bool) -> Option<&'static str> {
    let is_from_other_site = |site: &HeaderValue| site == "cross-site" || site == "same-site";
    if headers.contains_key(ORIGIN) || headers.get("sec-fetch-site").is_some_and(is_from_other_site) {
        return Some("web pages must not use this server: the request has an Origin or Sec-Fetch-Site header");
    }
    if is_loopback_only && !headers.get(HOST).is_some_and(is_loopback_host) {
        return Some("this server is for this machine only: the Host header must name it, for example localhost");
    }
    None
}

/// Whether a `Host` header names this machine.
pub(crate) fn is_loopback_host(value: &HeaderValue) -> bool {
    let Some(authority) = value.to_str().ok().and_then(|host| host.parse::<Uri>().ok()) else { return false };
    authority.host().is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(headers: &[(&'static str, &'static str)], is_loopback_only: bool) -> bool {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().expect("a header name"), HeaderValue::from_static(value)));
        refusal(&headers.collect(), is_loopback_only).is_some()
    }

    #[test]
    fn only_hosts_of_this_machine_and_no_web_page_are_answered() {
        for host in ["localhost:8000", "LOCALHOST", "127.0.0.1:8000", "127.1.2.3", "[::1]:8000"] {
            assert!(!is_refused(&[("host", host)], true), "{host}");
        }
        for host in ["evil.example:8000", "localhost.evil.example", "10.0.0.1", "127.0.0.1.evil.example", "", "a b"] {
            assert!(is_refused(&[("host", host)], true), "{host}");
            assert!(!is_refused(&[("host", host)], false), "{host}");
        }
        assert!(is_refused(&[], true));
        assert!(is_refused(&[("host", "localhost"), ("origin", "http://localhost")], true));
        assert!(is_refused(&[("host", "localhost"), ("origin", "null")], false));
        assert!(is_refused(&[("host", "localhost"), ("sec-fetch-site", "cross-site")], true), "an image");
        assert!(!is_refused(&[("host", "localhost"), ("sec-fetch-site", "none")], true), "typed by a person");
    }
}
