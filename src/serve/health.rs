//! What monitors ask.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use log::warn;

use super::Version;
use super::page::plain;
use super::sessions::Sessions;

/// `/healthz`: the process is alive.
pub(super) async fn alive() -> HttpResponse {
    plain(StatusCode::OK).body("alive\n")
}

/// `/readyz`: the sessions table can be reached.
pub(super) async fn ready(sessions: web::Data<Sessions>) -> HttpResponse {
    match sessions.check().await {
        Ok(()) => plain(StatusCode::OK).body("ready\n"),
        Err(cause) => {
            warn!("not ready, the sessions table cannot be reached: {cause}");
            plain(StatusCode::SERVICE_UNAVAILABLE).body("the sessions table cannot be reached\n")
        }
    }
}

/// `/metrics`, for Prometheus.
pub(super) async fn metrics(version: web::Data<Version>) -> HttpResponse {
    plain(StatusCode::OK)
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(version.metrics.encode())
}
