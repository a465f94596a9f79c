//! A CloudFront for one machine: makes of every request the one that an origin-request event holds, hands it to the edge
//! and sends it on as the edge says. Bodies stream both ways; nothing is cached.

mod forward;
mod translate;

use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, VIA};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use log::warn;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _, TryRng};
use secrecy::{ExposeSecret as _, SecretString};
use stickshift_contract::{self as contract, ORIGIN_VERIFY_HEADER};
use stickshift_edge::{CustomOrigin, Headers, Origin, Replicas, Router, RouterConfig, Tables};
use uuid::Uuid;

use crate::dynamodb::DynamoDb;
use crate::unix_now;
use forward::ForwardError;

/// What every request shares.
#[derive(Debug)]
pub(super) struct CloudFront {
    /// What the routers go by. Each thread has one of its own, as each instance of the function has.
    pub(super) router: RouterConfig,
    /// How long a router may take over a look-up.
    pub(super) deadline: Duration,
    /// Where the routers look sessions up.
    pub(super) dynamodb: DynamoDb,
    /// In which tables.
    pub(super) tables: Tables,
    /// The distribution's own origin: the stable version.
    pub(super) default_origin: contract::Origin,
    /// Seconds to wait for an origin's answer, and between two parts of it.
    pub(super) read_timeout_seconds: u64,
    /// What tells an origin that a request came this way, if anything.
    pub(super) origin_secret: Option<SecretString>,
    pub(super) rng: SharedRng,
}

/// A random generator that all of a server's threads draw from, so that one seed decides all draws.
#[derive(Debug, Clone)]
pub struct SharedRng(Arc<Mutex<StdRng>>);

impl SharedRng {
    /// Seeded by the system.
    pub fn from_system() -> Self {
        Self(Arc::new(Mutex::new(rand::make_rng())))
    }

    /// The same draws for the same seed: for tests.
    pub fn from_seed(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    fn with<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl TryRng for SharedRng {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(self.with(rand::Rng::next_u32))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(self.with(rand::Rng::next_u64))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.with(|rng| rng.fill_bytes(bytes));
        Ok(())
    }
}

/// Starts it on `listener`. Errors: the listener cannot be used.
pub(super) fn start(listener: TcpListener, cloudfront: CloudFront) -> std::io::Result<ServerHandle> {
    let cloudfront = web::Data::new(cloudfront);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(cloudfront.clone())
            .app_data(web::Data::new(cloudfront.instance()))
            .app_data(web::Data::new(forward::client()))
            .default_service(web::to(handle))
    });
    let server = server.shutdown_timeout(10).disable_signals().listen(listener)?.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(handle)
}

impl CloudFront {
    /// One instance of the function. The bundle's plan is the table's here: it was read there a moment ago.
    fn instance(&self) -> Router {
        let replicas = Replicas {
            tables: self.tables.clone(),
            deadline: self.deadline,
            ..Replicas::new(vec![self.dynamodb.edge_client()])
        };
        let router = Router::new(self.router.clone(), replicas);
        router.learn(self.router.bundled_plan.clone(), unix_now());
        router
    }
}

async fn handle(
    viewer_request: HttpRequest,
    body: web::Payload,
    cloudfront: web::Data<CloudFront>,
    router: web::Data<Router>,
    client: web::Data<awc::Client>,
) -> HttpResponse {
    let request_id = Uuid::new_v4().simple().to_string();
    let mut request = translate::request(&viewer_request, &request_id);
    request.headers.set("Host", cloudfront.default_origin.domain.clone());
    let mut custom_headers = Headers::default();
    if let Some(secret) = &cloudfront.origin_secret {
        custom_headers.set(ORIGIN_VERIFY_HEADER, secret.expose_secret().to_owned());
    }
    let custom = CustomOrigin {
        read_timeout: Some(cloudfront.read_timeout_seconds),
        custom_headers: Some(custom_headers),
        ..CustomOrigin::new(&cloudfront.default_origin)
    };
    request.origin = Some(Origin { custom: Some(custom), ..Origin::default() });

    let decision = router.route(&mut request, unix_now(), &mut cloudfront.rng.clone()).await;

    let mut response = match forward::forward(&client, request, &viewer_request, body).await {
        Ok(response) => response,
        Err(cause) => {
            warn!("version {} did not answer {}: {cause}", decision.version, viewer_request.uri().path());
            refusal(&cause)
        }
    };
    let outcome = if response.status().as_u16() < 400 { "Miss from cloudfront" } else { "Error from cloudfront" };
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("x-cache"), HeaderValue::from_static(outcome));
    headers.append(VIA, HeaderValue::from_static(translate::VIA));
    let request_id = HeaderValue::from_str(&request_id).expect("hex digits make a header value");
    headers.insert(HeaderName::from_static("x-amz-cf-id"), request_id);
    response
}

/// 504 for an origin that is too slow, 502 for one that does not answer, as
/// [CloudFront does](https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/troubleshooting-response-errors.html).
fn refusal(cause: &ForwardError) -> HttpResponse {
    let (status, text) = match cause {
        ForwardError::TooSlow => (StatusCode::GATEWAY_TIMEOUT, "504: the origin took too long to answer\n"),
        ForwardError::Unreachable(_) => (StatusCode::BAD_GATEWAY, "502: the origin does not answer\n"),
        ForwardError::BadAnswer(_) => (StatusCode::BAD_GATEWAY, "502: the function's answer cannot be used\n"),
    };
    HttpResponse::build(status)
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type("text/plain; charset=utf-8")
        .body(text)
}
