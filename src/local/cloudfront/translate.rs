//! From an HTTP request to the request in an event.

use actix_web::HttpRequest;
use actix_web::http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};
use stickshift_edge::{Headers, Request};

/// The name of this CloudFront in `Via`.
pub(super) const VIA: &str = "1.1 stickshift.local (CloudFront)";

/// The request as CloudFront puts it into an event. Header names are in lower case, with the original name
/// beside each. Hop-by-hop headers are left out, and the viewer's address is added.
pub(super) fn request(viewer_request: &HttpRequest, request_id: &str) -> Request {
    let client_ip = viewer_request.peer_addr().map_or_else(String::new, |address| address.ip().to_string());
    let mut headers = Headers::default();
    for (name, value) in viewer_request.headers() {
        if !is_hop_by_hop(name, viewer_request.headers()) && name != "expect" {
            headers.append(&original_case(name), text(value));
        }
    }
    let mut append_to_list = |name: &str, addition: &str| {
        let list: Vec<&str> = headers.values(&name.to_ascii_lowercase()).chain([addition]).collect();
        let list = list.join(", ");
        headers.set(name, list);
    };
    append_to_list("X-Forwarded-For", &client_ip);
    append_to_list("Via", VIA);
    headers.set("CloudFront-Forwarded-Proto", "http".to_owned());
    headers.set("X-Amz-Cf-Id", request_id.to_owned());
    Request {
        method: viewer_request.method().to_string(),
        uri: viewer_request.uri().path().to_owned(),
        querystring: Some(viewer_request.uri().query().unwrap_or_default().to_owned()),
        headers,
        origin: None,
    }
}

/// Whether a header is for one connection only ([RFC 9110, section 7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)).
pub(super) fn is_hop_by_hop(name: &HeaderName, headers: &HeaderMap) -> bool {
    const HOP_BY_HOP: [&str; 9] = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let is_listed = |list: &HeaderValue| {
        list.as_bytes()
            .split(|&byte| byte == b',')
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
    };
    HOP_BY_HOP.contains(&name.as_str()) || headers.get_all(CONNECTION).any(is_listed)
}

/// A header value as text, one character per byte: an event holds text, and a cookie may hold any byte.
fn text(value: &HeaderValue) -> String {
    value.as_bytes().iter().map(|&byte| char::from(byte)).collect()
}

/// The header value that a text in an event stands for, or `None` if it is not a header value.
pub(super) fn value(text: &str) -> Option<HeaderValue> {
    let bytes: Vec<u8> = text.chars().map(|character| u8::try_from(character).ok()).collect::<Option<_>>()?;
    HeaderValue::from_bytes(&bytes).ok()
}

/// The name as browsers write it over HTTP/1.1. The server has already changed it to lower case.
fn original_case(name: &HeaderName) -> String {
    let capitalized = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    let words = name.as_str().split('-').map(|word| if word.is_empty() { String::new() } else { capitalized(word) });
    words.collect::<Vec<_>>().join("-")
}
