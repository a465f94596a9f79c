//! An origin: one version of the app over HTTP.
//!
//! A request passes `entrance` and reaches `themed_app` or `sidecar`, which answer it in the session that
//! `session_layer` gives it. `health` answers monitors on a listener of its own. `heartbeat` reports
//! what `metrics` and `tally` have counted, and reads the plan. For a sidecar, `open_answers` looks
//! after the answers that stay open. `tls` has the certificate, if CloudFront comes by HTTPS.

mod answered;
mod answers;
mod edge_headers;
mod entrance;
mod health;
mod heartbeat;
mod metrics;
mod open_answers;
mod session_layer;
mod sidecar;
mod tally;
mod themed_app;
mod tls;

use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use anyhow::Result;

use crate::listener::worker_threads;
use crate::settings::{self, Settings, Upstream};
use crate::store::DynamoDb;
use crate::store::sessions::SessionStore;
use entrance::Entrance;
use heartbeat::{Heartbeat, HeartbeatConfig};
use metrics::Metrics;
use open_answers::OpenAnswers;
use session_layer::{SessionLayer, SessionLogs};
use sidecar::{Sidecar, SidecarLogs};
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
    entrance: Entrance,
    heartbeat: Heartbeat,
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

    /// Waits until operators can see this instance, or its table does not answer.
    pub async fn first_beat(&self) {
        self.heartbeat.first_beat().await;
    }

    /// Ends WebSockets and event streams, which never end by themselves.
    pub fn end_streams(&self) {
        self.heartbeat.announce_stop();
    }

    /// Stops: it accepts no more connections, and requests in progress have 10 s to finish.
    pub async fn stop(self) {
        self.end_streams();
        self.public.stop(true).await;
        self.heartbeat.end().await;
        self.admin.stop(true).await;
    }
}

/// Serves a version, on threads of its own, until it is stopped. Errors: a listener or the certificate cannot be used.
pub fn start(listeners: OriginListeners, settings: Settings, dynamodb: DynamoDb) -> Result<RunningOrigin> {
    let Settings { version, app, shared, tls } = settings;
    let metrics = web::Data::new(Metrics::new(version));
    let dynamodb = dynamodb.counted_by(metrics.calls.clone());
    let tls = tls.map(|files| tls::server_config(files, metrics.certificate_expires.clone())).transpose()?;
    let (session_logs, sidecar_logs) = (web::Data::<SessionLogs>::default(), web::Data::<SidecarLogs>::default());
    let table = shared.tables.sessions;
    let admin = health::start(listeners.admin, metrics.clone(), dynamodb.clone(), table.clone())?;
    let (open_path, viewer_connections) = match &app {
        settings::App::Themed { .. } => (Some(health::ALIVE_PATH), None),
        settings::App::Upstream(upstream) => (None, Some(upstream.viewer_connections)),
    };
    let heartbeat = Heartbeat::start(HeartbeatConfig {
        version,
        client: dynamodb.client(),
        table: shared.tables.rollout,
        interval: Duration::from_secs(shared.pulse_seconds),
        timing: shared.cookie.timing,
        has_receipts: shared.cookie.keys.is_some(),
        metrics: metrics.clone(),
    });
    let standing = heartbeat.standing();
    let entrance = Entrance::new(metrics.clone(), shared.origin_secret, open_path);
    let served = match app {
        settings::App::Themed { theme, flow } => Served::Themed(ThemedApp::new(version, &theme, flow, &shared.cookie)),
        settings::App::Upstream(upstream) => Served::Upstream(upstream),
    };
    let entrance_of_server = entrance.clone();
    let server = HttpServer::new(move || {
        let store = SessionStore::new(dynamodb.client(), table.clone());
        let sessions = SessionLayer::new(version, &shared.cookie, store, metrics.clone(), session_logs.clone());
        let sessions = web::Data::new(sessions);
        let entrance = Rc::new(entrance_of_server.clone());
        let server = App::new()
            .app_data(sessions.clone())
            .wrap_fn(move |request, next| entrance::enter(entrance.clone(), request, next));
        match &served {
            Served::Themed(app) => server.configure(|config| app.routes(config)),
            Served::Upstream(upstream) => {
                let open = OpenAnswers::new(metrics.open_connections.clone());
                open.look_after(sessions, standing.clone());
                let sidecar = Sidecar::new(version, upstream.clone(), open, sidecar_logs.clone());
                server.app_data(web::Data::new(sidecar)).configure(Sidecar::routes)
            }
        }
    });
    let server = match viewer_connections {
        Some(connections) => server.max_connections(connections),
        None => server,
    };
    let server = server
        .workers(worker_threads())
        // CloudFront keeps its connections for 5 s, 60 s at most. The origin must keep them longer, or
        // CloudFront would now and then send a request on a connection that is being closed.
        .keep_alive(Duration::from_secs(75))
        .shutdown_timeout(10)
        .disable_signals();
    let server = match tls {
        Some(config) => server.listen_rustls_0_23(listeners.public, config)?,
        None => server.listen(listeners.public)?,
    };
    let server = server.run();
    let public = server.handle();
    actix_web::rt::spawn(server);
    Ok(RunningOrigin { public, admin, entrance, heartbeat })
}

/// What answers. Each thread gets its own copy.
#[derive(Debug, Clone)]
enum Served {
    Themed(ThemedApp),
    Upstream(Upstream),
}
