//! `stickshift serve`: one version of the app.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use log::info;
use stickshift::dynamodb::DynamoDb;
use stickshift::listener::bind;
#[cfg(feature = "local")]
use stickshift::local::{DataDir, EmbeddedDynamoDb};
use stickshift::serve;
use stickshift::settings::Settings;

use super::until_told_to_stop;

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The version's theme file, such as themes/version1.toml
    #[arg(long, value_name = "FILE")]
    theme: PathBuf,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8000")]
    listen: SocketAddr,
    #[cfg(feature = "local")]
    /// Use a DynamoDB embedded here instead of AWS's
    #[arg(long)]
    embedded: bool,
    #[cfg(feature = "local")]
    /// Where the embedded DynamoDB keeps sessions, and the keys unless STICKSHIFT_KEYS is set
    #[arg(long, value_name = "FOLDER", default_value = ".stickshift", requires = "embedded")]
    data_dir: PathBuf,
}

/// Serves it until it is told to stop. Errors: for people, with what to do about them.
pub(crate) async fn serve(arguments: Serve) -> Result<()> {
    let settings = Settings::load(&arguments.theme)?;
    let listener = bind(arguments.listen, "--listen", &format!("version {}", settings.theme.code))?;
    #[cfg(feature = "local")]
    if arguments.embedded {
        let mut settings = settings;
        let data_dir = DataDir::open(&arguments.data_dir)?;
        // As `up` does, whose sessions may be in there.
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
    let code = settings.theme.code;
    let address = listener.local_addr()?;
    let served = serve::start(listener, settings, dynamodb)?;
    info!("version {code} is served on http://{address}");
    until_told_to_stop().await?;
    info!("stopping: finishing what is in flight");
    served.drain().await;
    served.stop().await;
    Ok(())
}
