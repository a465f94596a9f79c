//! From an HTTP request to the request in an event, and from there to the request for an origin.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use anyhow::{Context as _, Result, bail};
use hyper::http::{HeaderMap, HeaderName, HeaderValue};
use stickshift_contract::Protocol;
use stickshift_edge::{CustomOrigin, Headers, Redirect, Request};

use crate::forward::{Outgoing, Target, received_fields};

/// The name of this CloudFront in `Via`.
pub(super) const VIA: &str = "1.1 stickshift.local (CloudFront)";

/// The request as CloudFront puts it into an event. Header names are in lower case, with the original name
/// beside each. Hop-by-hop headers are left out, and the viewer's address is added.
pub(super) fn request(viewer_request: &HttpRequest, request_id: &str) -> Request {
    let client_ip = viewer_request.peer_addr().map_or_else(String::new, |address| address.ip().to_string());
    let mut headers = Headers::default();
    for (name, value) in received_fields(viewer_request.headers()) {
        headers.append(&original_case(name), text(value));
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

/// A header value as text, one character per byte: an event holds text, and a cookie may hold any byte.
fn text(value: &header::HeaderValue) -> String {
    value.as_bytes().iter().map(|&byte| char::from(byte)).collect()
}

/// Where a request goes, as the function gave it back. Errors: it names no origin that can be used.
pub(super) fn target(request: &Request) -> Result<Target> {
    let origin = origin(request)?;
    let domain = origin.domain_name.as_deref().context("its origin has no domain name")?;
    let port = origin.port.context("its origin has no port")?;
    if origin.protocol == Some(Protocol::Https) {
        bail!("this CloudFront speaks plain HTTP to its origins, and {domain} needs HTTPS");
    }
    // Origins on this machine listen on 127.0.0.1. Another program may listen on [::1], which the name also
    // stands for, and must not get the viewers.
    let host = if domain == "localhost" { "127.0.0.1" } else { domain };
    Ok(Target::Tcp { host: host.to_owned(), port })
}

/// The first part of a request, as the function gave it back. Errors: it cannot be sent.
pub(super) fn outgoing(request: &Request) -> Result<Outgoing> {
    let origin = origin(request)?;
    let mut uri = format!("{}{}", origin.path.as_deref().unwrap_or_default(), request.uri);
    if let Some(query) = request.querystring.as_deref().filter(|query| !query.is_empty()) {
        uri.push('?');
        uri.push_str(query);
    }
    let custom = origin.custom_headers.as_ref().map(|headers| &headers.0);
    // The distribution's own headers replace a viewer's headers with the same names.
    let viewers = request.headers.0.iter().filter(|(name, _)| !custom.is_some_and(|custom| custom.contains_key(*name)));
    let mut fields = HeaderMap::with_capacity(request.headers.0.len());
    for (name, lines) in viewers.chain(custom.into_iter().flatten()) {
        let name = HeaderName::from_bytes(name.as_bytes()).with_context(|| format!("`{name}` is no header name"))?;
        for line in lines {
            let value = value(&line.value).with_context(|| format!("the header {name} has no valid value"))?;
            fields.append(&name, value);
        }
    }
    Ok(Outgoing { method: request.method.parse()?, uri: uri.parse()?, fields })
}

/// The answer that the function gave instead of the request.
pub(super) fn redirect(redirect: &Redirect) -> HttpResponse {
    let mut response = HttpResponse::Found();
    for (name, lines) in &redirect.headers.0 {
        for line in lines {
            response.append_header((name.as_str(), line.value.as_str()));
        }
    }
    response.finish()
}

fn origin(request: &Request) -> Result<&CustomOrigin> {
    let origin = request.origin.as_ref().and_then(|origin| origin.custom.as_ref());
    origin.context("it names no custom origin")
}

/// The header value that a text in an event stands for, or `None` if it is not a header value.
fn value(text: &str) -> Option<HeaderValue> {
    if text.is_ascii() {
        return HeaderValue::from_str(text).ok();
    }
    let bytes: Vec<u8> = text.chars().map(|character| u8::try_from(character).ok()).collect::<Option<_>>()?;
    HeaderValue::from_bytes(&bytes).ok()
}

/// The name as browsers write it over HTTP/1.1. The server has already changed it to lower case.
fn original_case(name: &header::HeaderName) -> String {
    let capitalized = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    let words = name.as_str().split('-').map(|word| if word.is_empty() { String::new() } else { capitalized(word) });
    words.collect::<Vec<_>>().join("-")
}
