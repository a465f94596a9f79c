//! Kinds of request: what a request may do to a session.

/// What a request may do to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A page that a person opens. It begins and renews sessions.
    Document,
    /// Any other action of a person: a post, a fetch, a frame, a WebSocket. It renews a session.
    Visit,
    /// Everything else: subresources, HEAD, OPTIONS, crawlers and monitors. It does nothing to a session,
    /// and no cookie is set.
    Rest,
}

/// What the kind of a request depends on.
#[derive(Debug, Clone, Copy)]
pub struct KindInputs<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The path, without the query string.
    pub path: &'a str,
    /// The `Sec-Fetch-Dest` header: what the browser wants the answer for
    /// ([Fetch Metadata](https://www.w3.org/TR/fetch-metadata/#sec-fetch-dest-header)).
    pub fetch_destination: Option<&'a str>,
    /// The `Accept` header.
    pub accept: Option<&'a str>,
    /// Whether the request opens a WebSocket: it has the header `Sec-WebSocket-Key`.
    pub is_websocket: bool,
    /// Whether a crawler or a monitor sent it; see [`is_bot`](crate::is_bot).
    pub is_bot: bool,
}

/// Paths of assets begin with this; see [`Kind::of`].
pub const ASSET_PREFIX: &str = "/_v/";

impl Kind {
    /// The kind of a request. `are_frames_documents`: whether the session cookie also goes to frames of
    /// other sites (`same_site = none`); then a frame can be the app's only document.
    pub fn of(request: &KindInputs<'_>, are_frames_documents: bool) -> Self {
        let is_get = request.method == "GET";
        let is_asset = is_get && request.path.starts_with(ASSET_PREFIX);
        if matches!(request.method, "HEAD" | "OPTIONS") || is_asset || request.is_bot {
            return Self::Rest;
        }
        if !is_get || request.is_websocket {
            return Self::Visit;
        }
        match request.fetch_destination {
            Some("document") => Self::Document,
            Some("frame" | "iframe") if are_frames_documents => Self::Document,
            // `empty` is a fetch or a beacon.
            Some("" | "empty" | "websocket" | "frame" | "iframe" | "embed" | "object" | "fencedframe") => Self::Visit,
            Some(_) => Self::Rest,
            None if accepts_html(request.accept) => Self::Document,
            None => Self::Visit,
        }
    }
}

fn accepts_html(accept: Option<&str>) -> bool {
    accept.is_none_or(|accept| {
        let mut types = accept.split(',').map(|part| part.split(';').next().unwrap_or_default().trim());
        types.any(|media_type| {
            media_type.eq_ignore_ascii_case("text/html") || media_type == "*/*" || media_type == "text/*"
        })
    })
}
