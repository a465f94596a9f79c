//! `stickshift serve`: one version of the app.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use log::{info, warn};
use stickshift::listener::bind;
#[cfg(feature = "embedded-dynamodb")]
use stickshift::local::machine::{DataDir, EmbeddedDynamoDb};
use stickshift::serve::{self, OriginListeners};
use stickshift::settings::Settings;
use stickshift::store::DynamoDb;

use super::arguments::ADMIN_LISTEN;
use super::stop::StopSignal;

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The version's theme file, for example themes/version1.toml
    #[arg(long, value_name = "FILE")]
    theme: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// Where an origin listens, and where it keeps its sessions.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8000")]
    listen: SocketAddr,
    /// Where to answer monitors: /healthz, /readyz and /metrics
    #[arg(long, value_name = "ADDRESS", default_value = ADMIN_LISTEN)]
    admin_listen: SocketAddr,
    #[cfg(feature = "embedded-dynamodb")]
    /// Use an embedded DynamoDB instead of AWS's
    #[arg(long)]
    embedded: bool,
    #[cfg(feature = "embedded-dynamodb")]
    /// Where the embedded DynamoDB keeps sessions, and the keys unless STICKSHIFT_KEYS is set
    #[arg(long, value_name = "FOLDER", default_value = ".stickshift", requires = "embedded")]
    data_dir: PathBuf,
}

/// Serves the themed app until a signal to stop. Errors are for people and say what to do.
pub(super) async fn serve(arguments: Serve) -> Result<()> {
    serve_at(arguments.place, Settings::load(&arguments.theme)?).await
}

/// Serves a version until a signal to stop. Errors are for people and say what to do.
pub(super) async fn serve_at(place: Place, settings: Settings) -> Result<()> {
    let public = bind(place.listen, "--listen", &format!("version {}", settings.version))?;
    let admin = bind(place.admin_listen, "--admin-listen", "monitors")?;
    let listeners = OriginListeners { public, admin };
    #[cfg(feature = "embedded-dynamodb")]
    if place.embedded {
        let mut settings = settings;
        let data_dir = DataDir::open(&place.data_dir)?;
        // The directory may hold sessions of `up`, which signs with these keys.
        let keys = data_dir.keys()?;
        settings.shared.cookie.keys.get_or_insert(keys);
        let dynamodb_listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let embedded =
            EmbeddedDynamoDb::start(dynamodb_listener, Some(&data_dir.database()?), &settings.shared.tables).await?;
        serve_with(listeners, settings, embedded.dynamodb()).await?;
        return embedded.stop().await;
    }
    serve_with(listeners, settings, DynamoDb::from_environment().await).await
}

async fn serve_with(listeners: OriginListeners, settings: Settings, dynamodb: DynamoDb) -> Result<()> {
    let stop = StopSignal::install()?;
    let version = settings.version;
    let (address, admin_address) = (listeners.public.local_addr()?, listeners.admin.local_addr()?);
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    // Behind a CDN and reachable from elsewhere.
    let is_exposed = settings.shared.origin_secret.is_some() && !address.ip().is_loopback();
    if settings.tls.is_none() && is_exposed {
        warn!(
            "requests are accepted by plain HTTP: the network between CloudFront and this origin can read cookies and \
             the origin secret; to use HTTPS, set STICKSHIFT_TLS_CERTIFICATE and STICKSHIFT_TLS_KEY"
        );
    }
    let origin = serve::start(listeners, settings, dynamodb)?;
    info!("monitors are answered on http://{admin_address}");
    info!("version {version} is served on {scheme}://{address}");
    stop.wait().await;
    info!("stopping: finishing requests in progress");
    origin.drain().await;
    origin.stop().await;
    Ok(())
}
