//! The command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};
use log::info;
use stickshift::dynamodb::DynamoDb;
use stickshift::local::{DataDir, EmbeddedDynamoDb, Road, RoadConfig, RunningVersion, SharedRng, bind};
use stickshift::serve;
use stickshift::settings::Settings;
use stickshift_contract::{VersionCode, Weight};
use stickshift_edge::{CustomOrigin, Replicas};
use tokio::signal::unix::{SignalKind, signal};

/// Sticky canary releases behind Amazon CloudFront.
///
/// Without a command: runs all of it on this machine, as `up` does.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    up: Up,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run all of it on this machine: every version, a CloudFront in front, an embedded DynamoDB
    Up(Up),
    /// Serve one version of the app
    Serve(Serve),
}

#[derive(Debug, Args)]
struct Up {
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

#[derive(Debug, Args)]
struct Serve {
    /// The version's theme file, such as themes/version1.toml
    #[arg(long, value_name = "FILE")]
    theme: PathBuf,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8000")]
    listen: SocketAddr,
    /// Use a DynamoDB embedded here instead of AWS's
    #[arg(long)]
    embedded: bool,
    /// Where the embedded DynamoDB keeps sessions, and the keys unless STICKSHIFT_KEYS is set
    #[arg(long, value_name = "FOLDER", default_value = ".stickshift", requires = "embedded")]
    data_dir: PathBuf,
}

/// Runs what the command line asks for. Errors: for people, with what to do about them.
pub(crate) async fn run() -> Result<()> {
    let cli = Cli::parse();
    match cli.command {
        None => up(cli.up).await,
        Some(Command::Up(arguments)) => up(arguments).await,
        Some(Command::Serve(arguments)) => serve(arguments).await,
    }
}

async fn up(arguments: Up) -> Result<()> {
    let mut versions =
        theme_files(&arguments.themes)?.iter().map(|file| Settings::load(file)).collect::<Result<Vec<_>>>()?;
    let data_dir = DataDir::open(&arguments.data_dir)?;
    let keys = data_dir.keys()?;
    for settings in &mut versions {
        settings.cookie.keys.get_or_insert_with(|| keys.clone());
        // The origins are to be tried directly, too.
        settings.origin_secret = None;
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

async fn serve(arguments: Serve) -> Result<()> {
    let mut settings = Settings::load(&arguments.theme)?;
    let listener = bind(arguments.listen, "--listen", &format!("version {}", settings.theme.code))?;
    let mut embedded = None;
    let dynamodb = if arguments.embedded {
        let data_dir = DataDir::open(&arguments.data_dir)?;
        // As `up` does, whose sessions may be in there.
        let keys = data_dir.keys()?;
        settings.cookie.keys.get_or_insert(keys);
        let dynamodb_listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let started = EmbeddedDynamoDb::start(dynamodb_listener, Some(&data_dir.database())).await?;
        let dynamodb = started.dynamodb();
        embedded = Some((started, data_dir));
        dynamodb
    } else {
        DynamoDb::from_environment().await
    };
    let code = settings.theme.code;
    let address = listener.local_addr()?;
    let served = serve::start(listener, settings, dynamodb)?;
    info!("version {code} is served on http://{address}");
    until_told_to_stop().await?;
    info!("stopping: finishing what is in flight");
    served.drain().await;
    served.stop().await;
    if let Some((embedded, _data_dir)) = embedded {
        embedded.stop().await?;
    }
    Ok(())
}

/// Waits for Ctrl-C or SIGTERM. A second one ends the process at once.
async fn until_told_to_stop() -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut told = async move || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    told().await;
    actix_web::rt::spawn(async move {
        told().await;
        std::process::exit(130);
    });
    Ok(())
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

fn parse_weight(text: &str) -> Result<(VersionCode, Weight), String> {
    let (version, weight) = text.split_once('=').ok_or("it takes a version and a percentage, such as 2=10")?;
    let version = VersionCode::parse(version).map_err(|cause| cause.to_string())?;
    let weight = Weight::parse_percent(weight).map_err(|cause| cause.to_string())?;
    Ok((version, weight))
}

/// What runs where.
fn overview(road: &Road, data_dir: &Path) -> String {
    let mut lines = vec![format!("Stickshift {}, all on this machine\n", env!("CARGO_PKG_VERSION"))];
    let mut row = |what: &str, url: String, about: String| lines.push(format!("  {what:<16} {url:<24} {about}"));
    row("CloudFront", format!("http://{}", road.cloudfront), "open this one".to_owned());
    for RunningVersion { settings, address, .. } in &road.versions {
        let code = settings.theme.code;
        let Some(planned) = road.plan.versions().get(&code) else { continue };
        let stable = if road.plan.stable() == code { ", stable" } else { "" };
        let about = format!("version {code}, {}{stable}, {} % of new sessions", planned.state, planned.weight);
        row(&settings.theme.name, format!("http://{address}"), about);
    }
    row("DynamoDB", road.dynamodb.endpoint().to_owned(), format!("kept in {}", data_dir.display()));
    lines.push("\nCtrl-C stops all of it.\n".to_owned());
    lines.join("\n")
}
