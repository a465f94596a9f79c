//! A link becomes a pass: the answer that the edge itself gives.

use serde::Serialize;
use stickshift_contract::{ASSET_PREFIX, PASS_PARAMETER, SessionCookie};

use crate::event::{Headers, Request};

/// An answer that sends the browser to the same page without the link's parameter, and gives it a pass or takes its
/// pass away. As JSON, it is what
/// [Lambda@Edge takes for an answer](https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/lambda-generating-http-responses-in-requests.html).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Redirect {
    /// Always `302`.
    pub status: &'static str,
    status_description: &'static str,
    /// `Location`, `Cache-Control` and `Set-Cookie`.
    pub headers: Headers,
}

impl Redirect {
    /// The answer to a request that is a link; `None` for every other request, and without keys.
    ///
    /// An asset is never a link: CloudFront caches it, and would give the pass to everybody.
    pub(crate) fn for_link(request: &Request, cookie: &SessionCookie, now: u64, is_https: bool) -> Option<Self> {
        let keys = cookie.keys.as_ref()?.passes();
        let query = request.querystring.as_deref()?;
        // Most queries end here.
        if !query.contains(PASS_PARAMETER) || request.method != "GET" || request.uri.starts_with(ASSET_PREFIX) {
            return None;
        }
        let is_link = |part: &&str| part.split('=').next() == Some(PASS_PARAMETER);
        let mut links = query.split('&').filter(is_link);
        let parameter = links.next()?;
        let value = parameter.split_once('=').map_or("", |(_, value)| value);
        // Of several links, nobody knows which one is meant.
        let pass = if links.next().is_none() { keys.verify_link(value, now).map(|link| link.pass) } else { None };
        let rest: Vec<&str> = query.split('&').filter(|part| !is_link(part)).collect();
        let mut headers = Headers::default();
        headers.append("Location", location(&request.uri, &rest.join("&")));
        headers.append("Cache-Control", "private, no-store".to_owned());
        for cookie in cookie.write_pass(pass, now, is_https) {
            headers.append("Set-Cookie", cookie);
        }
        Some(Self { status: "302", status_description: "Found", headers })
    }
}

/// The same page. It starts with exactly one `/`, because browsers take `//` and `/\` for the begin of a host.
fn location(path: &str, query: &str) -> String {
    let path = path.trim_start_matches(['/', '\\']);
    // Browsers skip some characters, and a line end would begin another header.
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    match (is_plain(path), is_plain(query)) {
        (true, true) if query.is_empty() => format!("/{path}"),
        (true, true) => format!("/{path}?{query}"),
        _ => "/".to_owned(),
    }
}
