//! What the edge and CloudFront tell an origin about a request.

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName};
use stickshift_contract::{
    EDGE_HEADER, FROM_HEADER, Plan, REVISION_HEADER, ROUTE_HEADER, Route, VERSION_HEADER, VersionCode,
};

/// What the edge says of a request. Without an edge, everything is `None`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EdgeHeaders<'a> {
    /// The edge's reason.
    pub(super) route: Option<Route>,
    /// The version that the edge chose.
    pub(super) version: Option<VersionCode>,
    /// The revision of the plan that placed the session.
    pub(super) revision: Option<u64>,
    /// The version that a moved session left.
    pub(super) from: Option<VersionCode>,
    /// The formats that the edge reads.
    pub(super) formats: Option<&'a str>,
}

const ROUTE: HeaderName = HeaderName::from_static(ROUTE_HEADER);
const VERSION: HeaderName = HeaderName::from_static(VERSION_HEADER);

/// Whether an edge has sent the request. It says its reason and the version.
fn has_edge(headers: &HeaderMap) -> bool {
    headers.contains_key(ROUTE) || headers.contains_key(VERSION)
}

impl<'a> EdgeHeaders<'a> {
    pub(super) fn read(request: &'a HttpRequest) -> Self {
        const NAMES: [HeaderName; 5] = [
            ROUTE,
            VERSION,
            HeaderName::from_static(REVISION_HEADER),
            HeaderName::from_static(FROM_HEADER),
            HeaderName::from_static(EDGE_HEADER),
        ];
        let headers = request.headers();
        if !has_edge(headers) {
            return Self::default();
        }
        let [route, version, revision, from, formats] = NAMES.each_ref().map(|name| text(headers, name));
        let code = |text: &str| VersionCode::parse(text).ok();
        Self {
            route: route.and_then(Route::parse),
            version: version.and_then(code),
            revision: revision.and_then(|text| text.parse().ok()).filter(|revision| *revision <= Plan::MAX_REVISION),
            from: from.and_then(code),
            formats,
        }
    }
}

/// The edge's reason; `None` if the request did not come through the edge.
pub(super) fn route(request: &HttpRequest) -> Option<Route> {
    Route::parse(text(request.headers(), &ROUTE)?)
}

/// Whether the viewer came by HTTPS. Behind the edge only CloudFront's header counts, as for the edge: the
/// header of a load balancer would describe CloudFront's own connection.
pub(super) fn is_https(request: &HttpRequest) -> bool {
    const CLOUDFRONT: HeaderName = HeaderName::from_static("cloudfront-forwarded-proto");
    const LOAD_BALANCER: HeaderName = HeaderName::from_static("x-forwarded-proto");
    let headers = request.headers();
    let protocol = text(headers, &CLOUDFRONT).or_else(|| text(headers, &LOAD_BALANCER).filter(|_| !has_edge(headers)));
    protocol == Some("https")
}

/// CloudFront's id of the request, which AWS's support and logs use; otherwise a new id.
pub(super) fn request_id(request: &HttpRequest) -> String {
    const CLOUDFRONT_ID: HeaderName = HeaderName::from_static("x-amz-cf-id");
    match text(request.headers(), &CLOUDFRONT_ID) {
        Some(id) => id.to_owned(),
        None => uuid::Uuid::new_v4().to_string(),
    }
}

/// A header's value, if the request has the header and its value is text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
