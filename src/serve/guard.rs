//! What holds for every request: the origin secret, the security headers, the counters and one log line for a failure.

use std::sync::atomic::Ordering;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::guard::GuardContext;
use actix_web::http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, web};
use log::error;
use secrecy::ExposeSecret as _;
use stickshift_contract::{ORIGIN_VERIFY_HEADER, ROUTE_HEADER, Route};
use subtle::ConstantTimeEq as _;

use super::Version;
use super::page::plain;

/// Every page and asset is the app's own; nothing inline, nothing from elsewhere, in nobody's frame.
const CONTENT_SECURITY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                                base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Wraps every request.
pub(super) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let begin = Instant::now();
    let version = request.app_data::<web::Data<Version>>().expect("`start` puts it there").clone();
    let route = route(request.request());
    let mut response = if comes_from_edge(&request, &version) {
        next.call(request).await?.map_into_left_body()
    } else {
        let refusal = plain(StatusCode::FORBIDDEN).body("403: this origin answers its CDN only\n");
        request.into_response(refusal).map_into_right_body()
    };
    let headers = response.headers_mut();
    // One growth for these and those that the server adds, instead of two.
    headers.reserve(8);
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin"));
    if version.is_draining.load(Ordering::Relaxed) {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    if let Some(cause) = response.response().error().filter(|_| response.status().is_server_error()) {
        error!("request {} failed: {cause}", request_id(response.request()));
    }
    version.metrics.note_request(route, response.status().as_u16(), begin.elapsed());
    Ok(response)
}

/// The edge's reason; `None` if the request came straight to the origin.
pub(super) fn route(request: &HttpRequest) -> Option<Route> {
    const ROUTE: HeaderName = HeaderName::from_static(ROUTE_HEADER);
    Route::parse(text_header(request, &ROUTE)?)
}

/// Whether a request came straight to this origin: what monitors ask is for the operator, and no page of the site.
pub(super) fn is_past_edge(context: &GuardContext<'_>) -> bool {
    !context.head().headers().contains_key(ROUTE_HEADER)
}

/// A header's value, if there is one and it is text.
pub(super) fn text_header<'a>(request: &'a HttpRequest, name: &HeaderName) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

fn comes_from_edge(request: &ServiceRequest, version: &Version) -> bool {
    let Some(secret) = &version.settings.shared.origin_secret else { return true };
    if matches!(request.path(), "/healthz" | "/readyz") {
        return true;
    }
    let presented = request.headers().get(ORIGIN_VERIFY_HEADER).map_or(&b""[..], HeaderValue::as_bytes);
    bool::from(presented.ct_eq(secret.expose_secret().as_bytes()))
}

/// CloudFront's id of the request, under which AWS's support and its logs know it; else one of our own.
fn request_id(request: &HttpRequest) -> String {
    const CLOUDFRONT_ID: HeaderName = HeaderName::from_static("x-amz-cf-id");
    match text_header(request, &CLOUDFRONT_ID) {
        Some(id) => id.to_owned(),
        None => uuid::Uuid::new_v4().to_string(),
    }
}
