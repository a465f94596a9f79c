//! What happens to every request: the check of the origin secret, the counters, and one log line for a
//! failure.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderValue;
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::{Error, web};
use log::error;
use secrecy::{ExposeSecret as _, SecretString};
use stickshift_contract::ORIGIN_VERIFY_HEADER;
use subtle::ConstantTimeEq as _;

use super::answers::plain;
use super::edge_headers::{request_id, route};
use super::metrics::Metrics;

/// What all requests to one origin share. Each thread has its own copy, because threads contend for the reference count
/// of a shared `Arc`.
#[derive(Debug, Clone)]
pub(super) struct Entrance {
    metrics: web::Data<Metrics>,
    origin_secret: Option<SecretString>,
    /// A path that needs no secret.
    open_path: Option<&'static str>,
    is_closing: Arc<AtomicBool>,
}

/// The middleware, for `wrap_fn`: it boxes no future.
pub(super) fn enter<S>(
    entrance: Rc<Entrance>,
    request: ServiceRequest,
    next: &S,
) -> impl Future<Output = Result<ServiceResponse, Error>> + use<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse, Error = Error>,
{
    let begin = Instant::now();
    let route = route(request.request());
    let answer = if entrance.admits(&request) {
        Ok(next.call(request))
    } else {
        let refusal = plain(StatusCode::FORBIDDEN).body("403: this origin answers its CDN only\n");
        Err(request.into_response(refusal))
    };
    async move {
        let mut response = match answer {
            Ok(answer) => answer.await?,
            Err(refusal) => refusal,
        };
        if entrance.is_closing.load(Ordering::Relaxed) {
            response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        }
        if let Some(cause) = response.response().error().filter(|_| response.status().is_server_error()) {
            error!("request {} failed: {cause}", request_id(response.request()));
        }
        entrance.metrics.answered.note(route, response.status().as_u16(), begin.elapsed());
        Ok(response)
    }
}

impl Entrance {
    pub(super) fn new(
        metrics: web::Data<Metrics>,
        origin_secret: Option<SecretString>,
        open_path: Option<&'static str>,
    ) -> Self {
        Self { metrics, origin_secret, open_path, is_closing: Arc::default() }
    }

    /// From now on, every response asks its client to close the connection.
    pub(super) fn close_connections(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }

    /// Whether the request knows the origin secret, or does not need it.
    fn admits(&self, request: &ServiceRequest) -> bool {
        let Some(secret) = &self.origin_secret else { return true };
        if self.open_path == Some(request.path()) {
            return true;
        }
        let presented = request.headers().get(ORIGIN_VERIFY_HEADER).map_or(&b""[..], HeaderValue::as_bytes);
        bool::from(presented.ct_eq(secret.expose_secret().as_bytes()))
    }
}
