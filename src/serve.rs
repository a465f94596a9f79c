//! An origin: one version of the app over HTTP.
//!
//! A request passes `entrance` and then `session_layer`, which gives it its session, and reaches
//! `themed_app`. `health` answers monitors on a listener of its own.

mod answers;
mod edge_headers;
mod entrance;
mod health;
mod metrics;
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
use session_layer::{SessionLayer, SessionLogs, give_session};
use themed_app::ThemedApp;

/// What an origin listens on.
#[derive(Debug)]
pub struct OriginListeners {
    /// For viewers, through CloudFront.
    pub public: TcpListener,
    /// For monitors.
    pub admin: TcpListener,
}

/// A running origin.
#[derive(Debug)]
pub struct RunningOrigin {
    public: ServerHandle,
    admin: ServerHandle,
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
        self.public.stop(true).await;
        self.admin.stop(true).await;
    }
}

/// Serves a version, on threads of its own, until it is stopped. Errors: a listener cannot be used.
pub fn start(listeners: OriginListeners, settings: Settings, dynamodb: DynamoDb) -> std::io::Result<RunningOrigin> {
    let Settings { version, theme, shared } = settings;
    let metrics = web::Data::new(Metrics::new(version));
    let logs = web::Data::new(SessionLogs::default());
    let entrance = web::Data::new(Entrance::new(metrics.clone(), shared.origin_secret));
    let app = ThemedApp::new(version, theme, shared.cookie.timing.session_seconds);
    let table = shared.tables.sessions;
    let admin = health::start(listeners.admin, metrics.clone(), dynamodb.clone(), table.clone())?;
    let entrance_of_thread = entrance.clone();
    let server = HttpServer::new(move || {
        let store = SessionStore::new(dynamodb.client(), table.clone());
        let sessions = SessionLayer::new(version, &shared.cookie, store, metrics.clone(), logs.clone());
        App::new()
            .app_data(entrance_of_thread.clone())
            .app_data(web::Data::new(sessions))
            .wrap(middleware::from_fn(entrance::enter))
            .service(health::alive_resource())
            .service(web::scope("").wrap(middleware::from_fn(give_session)).configure(|config| app.routes(config)))
    });
    let server = server
        // CloudFront keeps its connections for 5 s, 60 s at most. The origin must keep them longer, or
        // CloudFront would now and then send a request on a connection that is being closed.
        .keep_alive(Duration::from_secs(75))
        .shutdown_timeout(10)
        .disable_signals()
        .listen(listeners.public)?
        .run();
    let public = server.handle();
    actix_web::rt::spawn(server);
    Ok(RunningOrigin { public, admin, entrance })
}
