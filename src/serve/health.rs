//! What monitors ask.

use actix_web::guard::{GuardContext, fn_guard};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use log::warn;
use stickshift_contract::ROUTE_HEADER;

use super::answers::plain;
use super::metrics::Metrics;
use crate::store::sessions::SessionStore;

/// `/healthz`, `/readyz` and `/metrics`.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/healthz", web::get().to(alive))
        .service(web::resource("/readyz").guard(fn_guard(bypassed_the_edge)).get(ready))
        .service(web::resource("/metrics").guard(fn_guard(bypassed_the_edge)).get(metrics));
}

/// Whether a request did not come through the edge: viewers of the site must not see the operator's pages.
fn bypassed_the_edge(context: &GuardContext<'_>) -> bool {
    !context.head().headers().contains_key(ROUTE_HEADER)
}

/// `/healthz`: the process is alive.
async fn alive() -> HttpResponse {
    plain(StatusCode::OK).body("alive\n")
}

/// `/readyz`: the table of sessions answers.
async fn ready(sessions: web::Data<SessionStore>) -> HttpResponse {
    match sessions.check().await {
        Ok(()) => plain(StatusCode::OK).body("ready\n"),
        Err(cause) => {
            warn!("not ready, the sessions table cannot be reached: {cause}");
            plain(StatusCode::SERVICE_UNAVAILABLE).body("the sessions table cannot be reached\n")
        }
    }
}

/// `/metrics`, for Prometheus.
async fn metrics(metrics: web::Data<Metrics>) -> HttpResponse {
    plain(StatusCode::OK)
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(metrics.encode())
}
