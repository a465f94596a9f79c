//! What monitors ask. The answers have a listener of their own, which viewers cannot reach.

use std::net::TcpListener;

use actix_web::body::MessageBody;
use actix_web::dev::{ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::{App, Error, HttpResponse, HttpServer, middleware, web};
use log::Level;

use super::answers::{method_not_allowed, plain};
use super::metrics::Metrics;
use crate::loopback;
use crate::minute_log::MinuteLog;
use crate::store::DynamoDb;
use crate::store::sessions::SessionStore;

/// Failed checks of the table of sessions.
static NOT_READY: MinuteLog = MinuteLog::new(Level::Warn, "the table of sessions could not be reached", None);

/// Serves `/healthz`, `/readyz` and `/metrics` on `listener`. Errors: the listener cannot be used.
pub(super) fn start(
    listener: TcpListener,
    metrics: web::Data<Metrics>,
    dynamodb: DynamoDb,
    table: String,
) -> std::io::Result<ServerHandle> {
    let is_loopback_only = listener.local_addr()?.ip().is_loopback();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(metrics.clone())
            .app_data(web::Data::new(SessionStore::new(dynamodb.client(), table.clone())))
            .wrap(middleware::from_fn(move |request, next| refuse_web_pages(request, next, is_loopback_only)))
            .service(alive_resource())
            .service(read_only("/readyz").route(web::get().to(ready)).route(web::head().to(ready)))
            .service(read_only("/metrics").route(web::get().to(encoded)).route(web::head().to(encoded)))
            .default_service(web::to(|| async { plain(StatusCode::NOT_FOUND).body("404: not found\n") }))
    });
    let server = server.workers(1).disable_signals().shutdown_timeout(1).listen(listener)?.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(handle)
}

/// Whether the process is alive. The themed app answers this to viewers, too.
pub(super) const ALIVE_PATH: &str = "/healthz";

/// [`ALIVE_PATH`].
pub(super) fn alive_resource() -> actix_web::Resource {
    read_only(ALIVE_PATH).route(web::get().to(alive)).route(web::head().to(alive))
}

/// A resource without any other method than GET and HEAD.
fn read_only(path: &str) -> actix_web::Resource {
    web::resource(path).default_service(web::to(|| method_not_allowed("GET, HEAD")))
}

async fn refuse_web_pages(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    is_loopback_only: bool,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    match loopback::refusal(request.headers(), is_loopback_only) {
        Some(cause) => {
            let answer = plain(StatusCode::FORBIDDEN).body(format!("403: {cause}\n"));
            Ok(request.into_response(answer).map_into_right_body())
        }
        None => Ok(next.call(request).await?.map_into_left_body()),
    }
}

async fn alive() -> HttpResponse {
    plain(StatusCode::OK).body("alive\n")
}

/// `/readyz`: the table of sessions answers.
async fn ready(sessions: web::Data<SessionStore>) -> HttpResponse {
    match sessions.check().await {
        Ok(()) => plain(StatusCode::OK).body("ready\n"),
        Err(cause) => {
            NOT_READY.note(&cause);
            plain(StatusCode::SERVICE_UNAVAILABLE).body("the table of sessions cannot be reached\n")
        }
    }
}

/// `/metrics`, for Prometheus.
async fn encoded(metrics: web::Data<Metrics>) -> HttpResponse {
    plain(StatusCode::OK)
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(metrics.encode())
}
