//! The headers with which the edge and CloudFront tell an origin about a request.

/// Every header of ours starts with this. The edge removes what a viewer sends under such a name.
pub const HEADER_PREFIX: &str = "x-stickshift-";

/// Request header: the version that the edge chose.
pub const VERSION_HEADER: &str = "x-stickshift-version";

/// Request header: the edge's reason, a [`Route`](crate::Route).
pub const ROUTE_HEADER: &str = "x-stickshift-route";

/// Request header on `roll` and `moved`: the revision of the plan that placed the session, a number.
pub const REVISION_HEADER: &str = "x-stickshift-revision";

/// Request header on `moved`: the version that the session left.
pub const FROM_HEADER: &str = "x-stickshift-from";

/// Request header from the sidecar to its upstream: the first digits of the session's token, see
/// [`Token::short`](crate::Token::short). They name a session in logs and give nobody access to it.
pub const SESSION_HEADER: &str = "x-stickshift-session";

/// Request header: the formats that the edge can read, see [`FORMATS`].
pub const EDGE_HEADER: &str = "x-stickshift-edge";

/// The newest format of each kind that this release reads, edge and app alike, as a dictionary of
/// [RFC 9651, section 3.2](https://www.rfc-editor.org/rfc/rfc9651#section-3.2).
///
/// A reader also knows the format before the newest one; `docs/formats.md` tells how to change a format.
pub const FORMATS: &str = "receipt=1, plan=1";

/// The newest format of a `kind` that somebody reads whose formats are `formats`; `None` if it does not say.
pub fn format_read(formats: &str, kind: &str) -> Option<u64> {
    let mut entries = formats.split(',').filter_map(|entry| entry.trim().split_once('='));
    entries.find(|(name, _)| *name == kind)?.1.parse().ok()
}

/// Request header of a viewer: a [`Pass`](crate::Pass), for programs that keep no cookies. It reaches no origin.
pub const PASS_HEADER: &str = "x-stickshift-pass";

/// Request header in which CloudFront proves to an origin that a request came through CloudFront: it
/// holds a secret that only the two know.
pub const ORIGIN_VERIFY_HEADER: &str = "x-origin-verify";
