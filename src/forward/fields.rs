//! Header fields on their way: which ones pass, and from one library's types to the other's.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http;

/// Tells which fields are for one connection only ([RFC 9110, section 7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)).
/// `connection`: the values of the `Connection` fields.
fn hop_by_hop<'a>(connection: impl Iterator<Item = &'a [u8]>) -> impl Fn(&str) -> bool {
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
    let listed: Vec<&[u8]> =
        connection.flat_map(|list| list.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii).collect();
    move |name| HOP_BY_HOP.contains(&name) || listed.iter().any(|item| item.eq_ignore_ascii_case(name.as_bytes()))
}

/// The fields of a viewer's request that pass: all but those that are for one connection, that frame the body
/// or that are meant for this server.
pub fn received_fields(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    let connection = headers.get_all(actix_web::http::header::CONNECTION).map(HeaderValue::as_bytes);
    let is_hop_by_hop = hop_by_hop(connection);
    headers.iter().filter(move |(name, _)| {
        let name = name.as_str();
        !matches!(name, "content-length" | "expect") && !is_hop_by_hop(name)
    })
}

/// The fields of a server's answer, as the viewer gets them.
pub(super) fn answered_fields(fields: &http::HeaderMap) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let connection = fields.get_all(http::header::CONNECTION).iter().map(http::HeaderValue::as_bytes);
    let is_hop_by_hop = hop_by_hop(connection);
    let passing =
        fields.iter().filter(move |(name, _)| *name != http::header::CONTENT_LENGTH && !is_hop_by_hop(name.as_str()));
    // What one library takes for a header and the other one does not is no header.
    passing.filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
    })
}
