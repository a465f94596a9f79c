//! What the edge and CloudFront tell an origin about a request.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use stickshift_contract::{REVISION_HEADER, ROUTE_HEADER, Route};

/// The edge's reason; `None` if the request did not come through the edge.
pub(super) fn route(request: &HttpRequest) -> Option<Route> {
    const ROUTE: HeaderName = HeaderName::from_static(ROUTE_HEADER);
    Route::parse(text(request, &ROUTE)?)
}

/// The revision of the plan that placed the session.
pub(super) fn revision(request: &HttpRequest) -> Option<u64> {
    const REVISION: HeaderName = HeaderName::from_static(REVISION_HEADER);
    text(request, &REVISION)?.parse().ok()
}

/// Whether the viewer came by HTTPS. CloudFront's header counts first: behind CloudFront, the header of a
/// load balancer describes CloudFront's own connection.
pub(super) fn is_https(request: &HttpRequest) -> bool {
    const NAMES: [HeaderName; 2] =
        [HeaderName::from_static("cloudfront-forwarded-proto"), HeaderName::from_static("x-forwarded-proto")];
    NAMES.iter().find_map(|name| text(request, name)) == Some("https")
}

/// CloudFront's id of the request, which AWS's support and logs use; otherwise a new id.
pub(super) fn request_id(request: &HttpRequest) -> String {
    const CLOUDFRONT_ID: HeaderName = HeaderName::from_static("x-amz-cf-id");
    match text(request, &CLOUDFRONT_ID) {
        Some(id) => id.to_owned(),
        None => uuid::Uuid::new_v4().to_string(),
    }
}

/// A header's value, if the request has the header and its value is text.
pub(super) fn text<'a>(request: &'a HttpRequest, name: &HeaderName) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}
