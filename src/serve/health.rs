//! What monitors ask.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, HttpResponseBuilder, web};
use log::warn;

use super::Version;
use super::sessions::Sessions;

/// `/healthz`: the process is alive.
pub(super) async fn alive() -> HttpResponse {
    uncached(HttpResponse::Ok()).body("alive\n")
}

/// `/readyz`: the sessions table can be reached.
pub(super) async fn ready(sessions: web::Data<Sessions>) -> HttpResponse {
    match sessions.check().await {
        Ok(()) => uncached(HttpResponse::Ok()).body("ready\n"),
        Err(cause) => {
            warn!("not ready, the sessions table cannot be reached: {cause}");
            uncached(HttpResponse::ServiceUnavailable()).body("the sessions table cannot be reached\n")
        }
    }
}

/// `/metrics`, for Prometheus.
pub(super) async fn metrics(version: web::Data<Version>) -> HttpResponse {
    uncached(HttpResponse::Ok())
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(version.metrics.encode())
}

fn uncached(mut response: HttpResponseBuilder) -> HttpResponseBuilder {
    response.insert_header((CACHE_CONTROL, "no-store")).content_type("text/plain; charset=utf-8");
    response
}
