//! An origin: one version of the app over HTTP.
//!
//! A request passes `entrance`. A request for the page then passes `session_layer`, which gives it its
//! session, and reaches `themed_app`. `health` answers monitors.

mod answers;
mod edge_headers;
mod entrance;
mod health;
mod metrics;
mod outage;
mod session_layer;
mod themed_app;

use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, middleware, web};

use crate::settings::Settings;
use crate::store::DynamoDb;
use crate::store::sessions::SessionStore;
use entrance::Entrance;
use metrics::Metrics;
use outage::Outage;
use session_layer::SessionLayer;
use themed_app::ThemedApp;

/// A running origin.
#[derive(Debug)]
pub struct RunningOrigin {
    handle: ServerHandle,
    entrance: web::Data<Entrance>,
}

impl RunningOrigin {
    /// For a second, asks every client to close its connection after the next response. CloudFront keeps
    /// connections to an origin open. If the origin closed one just as a request arrives on it, that
    /// request would be lost.
    pub async fn drain(&self) {
        /// Long enough that a connection in use carries one more request.
        const DRAIN: Duration = Duration::from_secs(1);
        self.entrance.close_connections();
        tokio::time::sleep(DRAIN).await;
    }

    /// Stops: it accepts no more connections, and requests in progress have 10 s to finish.
    pub async fn stop(self) {
        self.handle.stop(true).await;
    }
}

/// Serves a version on `listener`, on threads of its own, until it is stopped. Errors: the listener cannot
/// be used.
pub fn start(listener: TcpListener, settings: Settings, dynamodb: DynamoDb) -> std::io::Result<RunningOrigin> {
    let Settings { version, theme, shared } = settings;
    let metrics = web::Data::new(Metrics::new(version));
    let outage = web::Data::new(Outage::default());
    let entrance = web::Data::new(Entrance::new(metrics.clone(), shared.origin_secret));
    let app = ThemedApp::new(version, theme, shared.cookie.timing.session_seconds);
    let entrance_of_thread = entrance.clone();
    let server = HttpServer::new(move || {
        let store = SessionStore::new(dynamodb.client(), shared.tables.sessions.clone());
        let sessions = SessionLayer::new(version, &shared.cookie, store.clone(), metrics.clone(), outage.clone());
        App::new()
            .app_data(entrance_of_thread.clone())
            .app_data(metrics.clone())
            .app_data(web::Data::new(store))
            .app_data(web::Data::new(sessions))
            .wrap(middleware::from_fn(entrance::enter))
            .configure(health::routes)
            .configure(|config| app.routes(config))
    });
    let server = server
        // CloudFront keeps its connections for 5 s, 60 s at most. The origin must keep them longer, or
        // CloudFront would now and then send a request on a connection that is being closed.
        .keep_alive(Duration::from_secs(75))
        .shutdown_timeout(10)
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(RunningOrigin { handle, entrance })
}
