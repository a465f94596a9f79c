//! One version of the app over HTTP.
//!
//! A request passes `guard`, then one of `page`, `assets` and `health`. What a page view does to its session is
//! decided in `visit` and written by `sessions`.

mod assets;
mod guard;
mod health;
mod metrics;
mod outage;
mod page;
mod sessions;
mod visit;

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::guard::fn_guard;
use actix_web::{App, HttpServer, middleware, web};

use crate::dynamodb::DynamoDb;
use crate::settings::Settings;
use assets::Assets;
use metrics::Metrics;
use outage::Outage;
use sessions::Sessions;

/// What every request to one version shares; beside it, each thread has its own [`Sessions`].
#[derive(Debug)]
struct Version {
    settings: Settings,
    assets: Assets,
    metrics: Metrics,
    outage: Outage,
    is_draining: AtomicBool,
}

/// A version that is being served.
#[derive(Debug)]
pub struct Served {
    handle: ServerHandle,
    version: web::Data<Version>,
}

impl Served {
    /// Tells every client, with the next response, not to come again on its connection. CloudFront keeps connections to
    /// an origin: one that was closed just as a request came down it would lose that request.
    pub async fn drain(&self) {
        /// Long enough for a connection in use to carry one more request.
        const DRAIN: Duration = Duration::from_secs(1);
        self.version.is_draining.store(true, Ordering::Relaxed);
        tokio::time::sleep(DRAIN).await;
    }

    /// Stops: nothing new is accepted, and what is in flight has 10 s to finish.
    pub async fn stop(self) {
        self.handle.stop(true).await;
    }
}

/// Serves a version on `listener`, on threads of its own, until it is stopped. Errors: the listener cannot be used.
pub fn start(listener: TcpListener, settings: Settings, dynamodb: DynamoDb) -> std::io::Result<Served> {
    let version = web::Data::new(Version {
        assets: Assets::new(&settings.theme),
        metrics: Metrics::new(settings.theme.code),
        outage: Outage::default(),
        is_draining: AtomicBool::new(false),
        settings,
    });
    let shared = version.clone();
    let table = version.settings.shared.tables.sessions.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .app_data(web::Data::new(Sessions::new(dynamodb.client(), table.clone())))
            .wrap(middleware::from_fn(guard::guard))
            .service(
                web::resource("/")
                    .route(web::get().to(page::page))
                    .route(web::head().to(page::page))
                    .default_service(web::to(page::method_not_allowed)),
            )
            .route("/healthz", web::get().to(health::alive))
            .service(web::resource("/readyz").guard(fn_guard(guard::is_past_edge)).get(health::ready))
            .service(web::resource("/metrics").guard(fn_guard(guard::is_past_edge)).get(health::metrics))
            .route("/_v/{version}/{file}", web::get().to(assets::asset))
            .default_service(web::to(page::not_found))
    });
    let server = server
        // Longer than CloudFront keeps its connections (5 s, 60 s at most), or it would now and then send a request
        // into one that is just being closed.
        .keep_alive(Duration::from_secs(75))
        .shutdown_timeout(10)
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(Served { handle, version })
}
