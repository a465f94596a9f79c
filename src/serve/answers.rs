//! The plain answers of an origin, and the headers that every answer of ours has.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpResponse, HttpResponseBuilder};

/// Pages and assets come from this origin only. Nothing is inline, and no other site may frame a page.
const CONTENT_SECURITY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                                base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// An answer with the security headers.
pub(super) fn answer(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY)))
        .insert_header((X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .insert_header((REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin")));
    response
}

/// A short answer in plain text, for monitors and for requests that the app does not serve.
pub(super) fn plain(status: StatusCode) -> HttpResponseBuilder {
    let mut response = answer(status);
    response.insert_header((CACHE_CONTROL, "no-store")).content_type("text/plain; charset=utf-8");
    response
}

/// The answer for a path that the app does not have. It does not tell which version answers, because a
/// version that is only staged must not show itself.
pub(super) async fn not_found() -> HttpResponse {
    answer(StatusCode::NOT_FOUND)
        .insert_header((CACHE_CONTROL, "private, no-store"))
        .content_type("text/html; charset=utf-8")
        .body(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Page not found</title></head>\
             <body><h1>Page not found</h1><p>There is nothing at this address. \
             <a href=\"/\">Back to the start</a></p></body></html>\n",
        )
}

/// The answer for a method that a path does not take.
pub(super) async fn method_not_allowed(allowed: &'static str) -> HttpResponse {
    plain(StatusCode::METHOD_NOT_ALLOWED)
        .insert_header((ALLOW, allowed))
        .body(format!("405: this page takes {allowed}\n"))
}

/// The error page, as in the article. It tells the viewer nothing about the cause.
pub(super) fn error_page() -> HttpResponse {
    answer(StatusCode::INTERNAL_SERVER_ERROR)
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type("text/html; charset=utf-8")
        .body(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Error 500</title></head>\
             <body><h1>ERROR 500</h1><p>We expected unexpected!</p></body></html>\n",
        )
}
