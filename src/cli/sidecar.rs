//! `stickshift sidecar`: one version, which is somebody else's app.

use anyhow::Result;
use clap::Args;
use stickshift::forward::Target;
use stickshift::settings::Settings;
use stickshift_contract::VersionCode;

use super::serve::{Place, serve_at};

#[derive(Debug, Args)]
#[command(after_help = "The app needs no change. All settings come from the environment, for example \
                  STICKSHIFT_KEYS; docs/settings.md lists them.")]
pub(super) struct Sidecar {
    /// The version that the app is: its name in cookies, tables and metrics
    #[arg(long, value_name = "CODE", value_parser = VersionCode::parse)]
    version_code: VersionCode,
    /// Where the app is: http://HOST:PORT or unix:PATH
    #[arg(long, value_name = "URL")]
    upstream: Target,
    #[command(flatten)]
    place: Place,
}

/// Serves it until a signal to stop. Errors are for people and say what to do.
pub(super) async fn sidecar(arguments: Sidecar) -> Result<()> {
    serve_at(arguments.place, Settings::of_sidecar(arguments.version_code, arguments.upstream)?).await
}
