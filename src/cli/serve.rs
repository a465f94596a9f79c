//! `stickshift serve`: one version of the app.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use log::info;
use stickshift::listener::bind;
#[cfg(feature = "embedded-dynamodb")]
use stickshift::local::machine::{DataDir, EmbeddedDynamoDb};
use stickshift::serve;
use stickshift::settings::Settings;
use stickshift::store::DynamoDb;

use super::stop::until_signal;

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The version's theme file, for example themes/version1.toml
    #[arg(long, value_name = "FILE")]
    theme: PathBuf,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8000")]
    listen: SocketAddr,
    #[cfg(feature = "embedded-dynamodb")]
    /// Use an embedded DynamoDB instead of AWS's
    #[arg(long)]
    embedded: bool,
    #[cfg(feature = "embedded-dynamodb")]
    /// Where the embedded DynamoDB keeps sessions, and the keys unless STICKSHIFT_KEYS is set
    #[arg(long, value_name = "FOLDER", default_value = ".stickshift", requires = "embedded")]
    data_dir: PathBuf,
}

/// Serves it until a signal to stop. Errors are for people and say what to do.
pub(super) async fn serve(arguments: Serve) -> Result<()> {
    let settings = Settings::load(&arguments.theme)?;
    let listener = bind(arguments.listen, "--listen", &format!("version {}", settings.version))?;
    #[cfg(feature = "embedded-dynamodb")]
    if arguments.embedded {
        let mut settings = settings;
        let data_dir = DataDir::open(&arguments.data_dir)?;
        // The directory may hold sessions of `up`, which signs with these keys.
        let keys = data_dir.keys()?;
        settings.shared.cookie.keys.get_or_insert(keys);
        let dynamodb_listener = TcpListener::bind("127.0.0.1:0")?;
        let embedded =
            EmbeddedDynamoDb::start(dynamodb_listener, Some(&data_dir.database()), &settings.shared.tables).await?;
        serve_with(listener, settings, embedded.dynamodb()).await?;
        return embedded.stop().await;
    }
    serve_with(listener, settings, DynamoDb::from_environment().await).await
}

async fn serve_with(listener: TcpListener, settings: Settings, dynamodb: DynamoDb) -> Result<()> {
    let version = settings.version;
    let address = listener.local_addr()?;
    let origin = serve::start(listener, settings, dynamodb)?;
    info!("version {version} is served on http://{address}");
    until_signal().await?;
    info!("stopping: finishing requests in progress");
    origin.drain().await;
    origin.stop().await;
    Ok(())
}
