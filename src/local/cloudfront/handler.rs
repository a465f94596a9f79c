//! What the local CloudFront does with one request.

use std::future::pending;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, VIA};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use log::Level;
use secrecy::{ExposeSecret as _, SecretString};
use stickshift_contract::{self as contract, ORIGIN_VERIFY_HEADER, TableNames};
use stickshift_edge::replicas::{Replicas, route};
use stickshift_edge::{CustomOrigin, Headers, Origin, Router, RouterConfig};
use uuid::Uuid;

use super::shared_rng::SharedRng;
use super::translate;
use crate::clock::unix_now;
use crate::forward::{ForwardError, Forwarder, Limits};
use crate::listener::worker_threads;
use crate::minute_log::MinuteLog;
use crate::store::DynamoDb;

/// Requests that an origin did not answer.
static FAILURES: MinuteLog =
    MinuteLog::new(Level::Warn, "requests got no answer from an origin", Some("origins answer again"));

/// The most connections to one origin.
const CONNECTIONS: usize = 1024;

/// What all requests share.
#[derive(Debug)]
pub(super) struct Distribution {
    /// The configuration of the routers. Each thread has a router of its own, as each instance of the
    /// function has.
    pub(super) router: RouterConfig,
    /// How long a look-up may take.
    pub(super) deadline: Duration,
    /// The DynamoDB in which the routers look sessions up.
    pub(super) dynamodb: DynamoDb,
    /// The names of its tables.
    pub(super) tables: TableNames,
    /// The origin of the distribution itself: the stable version's.
    pub(super) default_origin: contract::Origin,
    /// Seconds to wait for an origin's answer, and between two parts of it.
    pub(super) read_timeout_seconds: u64,
    /// The secret that tells an origin that a request came through CloudFront, if there is one.
    pub(super) origin_secret: Option<SecretString>,
    pub(super) rng: SharedRng,
}

/// Starts it on `listener`. Errors: the listener cannot be used.
pub(super) fn start(listener: TcpListener, distribution: Distribution) -> std::io::Result<ServerHandle> {
    let limits = Limits {
        connections: CONNECTIONS.div_ceil(worker_threads()),
        connect: Duration::from_secs(10),
        head: Duration::from_secs(distribution.read_timeout_seconds),
        pause: Duration::from_secs(distribution.read_timeout_seconds),
        silence: Duration::from_secs(600),
        body_bytes: 20 * 1024 * 1024 * 1024,
    };
    let distribution = web::Data::new(distribution);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(distribution.clone())
            .app_data(web::Data::new(distribution.router()))
            .app_data(web::Data::new(distribution.replicas()))
            .app_data(web::Data::new(Forwarder::new(limits)))
            .default_service(web::to(handle))
    });
    let server = server.shutdown_timeout(10).disable_signals().listen(listener)?.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(handle)
}

impl Distribution {
    /// A router that knows the plan at the start, which was read a moment ago.
    fn router(&self) -> Router {
        let router = Router::new(self.router.clone());
        router.adopt(self.router.bundled_plan.clone(), unix_now());
        router
    }

    fn replicas(&self) -> Replicas {
        let replicas = Replicas::new(vec![self.dynamodb.look_up_client()]);
        Replicas { tables: self.tables.clone(), deadline: self.deadline, ..replicas }
    }
}

async fn handle(
    viewer_request: HttpRequest,
    body: web::Payload,
    distribution: web::Data<Distribution>,
    router: web::Data<Router>,
    replicas: web::Data<Replicas>,
    forwarder: web::Data<Forwarder>,
) -> HttpResponse {
    let request_id = Uuid::new_v4().simple().to_string();
    let mut request = translate::request(&viewer_request, &request_id);
    request.headers.set("Host", distribution.default_origin.domain.to_string());
    let mut custom_headers = Headers::default();
    if let Some(secret) = &distribution.origin_secret {
        custom_headers.set(ORIGIN_VERIFY_HEADER, secret.expose_secret().to_owned());
    }
    let custom = CustomOrigin {
        read_timeout: Some(distribution.read_timeout_seconds),
        custom_headers: Some(custom_headers),
        ..CustomOrigin::new(&distribution.default_origin)
    };
    request.origin = Some(Origin { custom: Some(custom), ..Origin::default() });

    if let Some(redirect) = router.redeem(&request, unix_now()) {
        return finished(translate::redirect(&redirect), &request_id);
    }
    let decision = route(&router, &replicas, &mut request, unix_now(), &mut distribution.rng.clone()).await;

    let answer = match translate::target(&request).map_err(ForwardError::Unsendable) {
        Ok(target) => {
            let outgoing = || translate::outgoing(&request);
            forwarder.forward(&target, outgoing, &viewer_request, body, pending()).await
        }
        Err(cause) => Err(cause),
    };
    let response = match answer {
        Ok(response) => {
            FAILURES.note_success();
            response
        }
        Err(cause) => {
            FAILURES.note(&format_args!("version {}: {cause}", decision.version));
            refusal(&cause)
        }
    };
    finished(response, &request_id)
}

/// The response with what CloudFront adds to every one.
fn finished(mut response: HttpResponse, request_id: &str) -> HttpResponse {
    let outcome = if response.status().as_u16() < 400 { "Miss from cloudfront" } else { "Error from cloudfront" };
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("x-cache"), HeaderValue::from_static(outcome));
    headers.append(VIA, HeaderValue::from_static(translate::VIA));
    let request_id = HeaderValue::from_str(request_id).expect("hex digits make a header value");
    headers.insert(HeaderName::from_static("x-amz-cf-id"), request_id);
    response
}

/// 504 for an origin that is too slow, and 502 for one that does not answer, as
/// [CloudFront does](https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/troubleshooting-response-errors.html).
fn refusal(cause: &ForwardError) -> HttpResponse {
    let (status, text) = match cause {
        ForwardError::TooSlow(_) => (StatusCode::GATEWAY_TIMEOUT, "504: the origin took too long to answer\n"),
        ForwardError::Unreachable(_) => (StatusCode::BAD_GATEWAY, "502: the origin does not answer\n"),
        ForwardError::Unsendable(_) => (StatusCode::BAD_GATEWAY, "502: the function's answer cannot be used\n"),
        ForwardError::ViewerTooSlow => (StatusCode::REQUEST_TIMEOUT, "408: the rest of the request did not come\n"),
        ForwardError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "413: the request is too large\n"),
        ForwardError::BadRequest(_) => (StatusCode::BAD_REQUEST, "400: the request contradicts itself\n"),
    };
    HttpResponse::build(status)
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type("text/plain; charset=utf-8")
        .body(text)
}
