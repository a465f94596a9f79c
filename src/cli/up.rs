//! `stickshift up`: all of it on this machine.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use log::info;
use stickshift::local::{DataDir, Road, RoadConfig, RunningVersion, SharedRng};
use stickshift::settings::Settings;
use stickshift_contract::{VersionCode, Weight};
use stickshift_edge::{CustomOrigin, Replicas};

use super::edge::{parse_weight, standing};
use super::until_told_to_stop;

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Where CloudFront listens; the versions take the ports after it, on 127.0.0.1
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Share of new sessions for a version, in percent; once for each version [default: 10 for each but the first, or
    /// as it was]
    #[arg(long = "weight", value_name = "VERSION=PERCENT", value_parser = parse_weight)]
    weights: Vec<(VersionCode, Weight)>,
    /// Folder of theme files; every *.toml in it is a version, the first by name is stable
    #[arg(long, value_name = "FOLDER", default_value = "themes")]
    themes: PathBuf,
    /// Where sessions and keys are kept
    #[arg(long, value_name = "FOLDER", default_value = ".stickshift")]
    data_dir: PathBuf,
    /// Where the embedded DynamoDB listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    dynamodb: SocketAddr,
}

/// Runs it until it is told to stop. Errors: for people, with what to do about them.
pub(crate) async fn up(arguments: Up) -> Result<()> {
    let mut versions =
        theme_files(&arguments.themes)?.iter().map(|file| Settings::load(file)).collect::<Result<Vec<_>>>()?;
    let data_dir = DataDir::open(&arguments.data_dir)?;
    let keys = data_dir.keys()?;
    for settings in &mut versions {
        settings.shared.cookie.keys.get_or_insert_with(|| keys.clone());
        // The origins are to be tried directly, too.
        settings.shared.origin_secret = None;
    }
    let road = Road::start(RoadConfig {
        listen: arguments.listen,
        dynamodb: arguments.dynamodb,
        versions,
        weights: arguments.weights,
        data_dir: Some(data_dir),
        rng: SharedRng::from_system(),
        read_timeout_seconds: CustomOrigin::READ_TIMEOUT_SECONDS,
        edge_deadline: Replicas::DEADLINE,
    })
    .await?;
    print!("{}", overview(&road, &arguments.data_dir));
    until_told_to_stop().await?;
    info!("stopping: finishing what is in flight");
    road.stop().await
}

/// Every theme file in a folder, by name.
fn theme_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("could not read the theme folder {}: name one with --themes", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    if files.is_empty() {
        bail!("there is no theme file (*.toml) in {}: name another folder with --themes", folder.display());
    }
    files.sort();
    Ok(files)
}

/// What runs where.
fn overview(road: &Road, data_dir: &Path) -> String {
    let mut lines = vec![format!("Stickshift {}, all on this machine\n", env!("CARGO_PKG_VERSION"))];
    let mut row = |what: &str, url: String, about: String| lines.push(format!("  {what:<16} {url:<24} {about}"));
    row("CloudFront", format!("http://{}", road.edge.address), "open this one".to_owned());
    for RunningVersion { settings, address, .. } in &road.versions {
        let code = settings.theme.code;
        let Some(planned) = road.edge.plan.versions().get(&code) else { continue };
        let about = format!("version {code}, {}", standing(&road.edge.plan, code, planned));
        row(&settings.theme.name, format!("http://{address}"), about);
    }
    row("DynamoDB", road.dynamodb.endpoint().to_owned(), format!("kept in {}", data_dir.display()));
    lines.push("\nCtrl-C stops all of it.\n".to_owned());
    lines.join("\n")
}
