//! `stickshift up`: everything on this machine.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use log::info;
use stickshift::dashboard::{Dashboard, DashboardConfig};
use stickshift::forward::Target;
use stickshift::listener::bind;
use stickshift::local::machine::{DataDir, Machine, MachineConfig, RunningVersion};
use stickshift::local::{RunningUp, SharedRng};
use stickshift::operator::Site;
use stickshift::settings::{App, Settings};
use stickshift_contract::{DEADLINE, VersionCode, Weight};
use stickshift_edge::CustomOrigin;

use super::arguments::{ADMIN_LISTEN, DASHBOARD_LISTEN, in_words, parse_app, parse_weight};
use super::stop::StopSignal;

#[derive(Debug, Args)]
pub(super) struct Up {
    /// Where CloudFront listens; the versions take the ports after it, on 127.0.0.1
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// A version's share of new sessions, in percent; once for each version [default: 10 for each but the first, or
    /// as before]
    #[arg(long = "weight", value_name = "VERSION=PERCENT", value_parser = parse_weight)]
    weights: Vec<(VersionCode, Weight)>,
    /// A version that is an app of your own, and where that is: http://HOST:PORT or unix:PATH; once for each. It takes
    /// the place of a theme with the same VERSION_CODE
    #[arg(long = "app", value_name = "VERSION=URL", value_parser = parse_app)]
    apps: Vec<(VersionCode, Target)>,
    /// Folder of theme files; every *.toml in it is a version, the first by name is stable [default: themes, or with
    /// --app none]
    #[arg(long, value_name = "FOLDER")]
    themes: Option<PathBuf>,
    /// Where sessions and keys are kept
    #[arg(long, value_name = "FOLDER", default_value = ".stickshift")]
    data_dir: PathBuf,
    /// Where the first version answers monitors; the other versions take the ports after it
    #[arg(long, value_name = "ADDRESS", default_value = ADMIN_LISTEN)]
    admin_listen: SocketAddr,
    /// Where the embedded DynamoDB listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    dynamodb: SocketAddr,
    /// Where the dashboard listens, on this machine
    #[arg(long, value_name = "ADDRESS", default_value = DASHBOARD_LISTEN)]
    dashboard: SocketAddr,
    /// Let the dashboard change the plan and steer the rollout
    #[arg(long)]
    allow_changes: bool,
}

/// Runs until a signal to stop. Errors are for people and say what to do.
pub(super) async fn up(arguments: Up) -> Result<()> {
    let stop = StopSignal::install()?;
    let mut versions = versions(arguments.themes.as_deref(), &arguments.apps)?;
    let dashboard = listener_of_dashboard(arguments.dashboard)?;
    let data_dir = DataDir::open(&arguments.data_dir)?;
    let keys = data_dir.keys()?;
    for settings in &mut versions {
        settings.shared.cookie.keys.get_or_insert_with(|| keys.clone());
        // On one machine, people may open the origins directly.
        settings.shared.origin_secret = None;
    }
    let machine = Machine::start(MachineConfig {
        listen: arguments.listen,
        dynamodb: arguments.dynamodb,
        admin_listen: arguments.admin_listen,
        versions,
        weights: arguments.weights,
        data_dir: Some(data_dir),
        rng: SharedRng::from_system(),
        read_timeout_seconds: CustomOrigin::READ_TIMEOUT_SECONDS,
        edge_deadline: Duration::from_millis(DEADLINE.default),
    })
    .await?;
    let running = running(&machine);
    let _note = running.note(&arguments.data_dir)?;
    let dashboard = Dashboard::start(DashboardConfig {
        listener: dashboard,
        site: Site::of_up(running, arguments.data_dir.clone()),
        may_change: arguments.allow_changes,
        people: Vec::new(),
        url: None,
    })?;
    let mut overview = overview(&machine, &arguments.data_dir);
    overview.row(
        "Dashboard",
        &format!("http://{}", dashboard.address),
        if arguments.allow_changes { "what the rollout does, and changes to it" } else { "what the rollout does" },
    );
    print!("{}", overview.text());
    stop.wait().await;
    info!("stopping: finishing requests in progress");
    dashboard.stop().await;
    machine.stop().await
}

/// What `stickshift rollout` needs to know.
fn running(machine: &Machine) -> RunningUp {
    let tables = machine.versions.first().map(|version| version.settings.shared.tables.clone()).unwrap_or_default();
    RunningUp {
        dynamodb: machine.dynamodb.endpoint().to_owned(),
        cloudfront: format!("http://{}", machine.cloudfront.address),
        sessions_table: tables.sessions,
        rollout_table: tables.rollout,
    }
}

/// The versions: those of the theme files, and the apps. The first one is stable.
fn versions(themes: Option<&Path>, apps: &[(VersionCode, Target)]) -> Result<Vec<Settings>> {
    let files = match themes {
        Some(folder) => theme_files(folder)?,
        None if apps.is_empty() => theme_files(Path::new("themes"))?,
        None => Vec::new(),
    };
    let mut versions = files.iter().map(|file| Settings::load(file)).collect::<Result<Vec<_>>>()?;
    for (index, (version, target)) in apps.iter().enumerate() {
        if apps[..index].iter().any(|(earlier, _)| earlier == version) {
            bail!("--app names version {version} twice: each version is one app");
        }
        let app = Settings::of_sidecar(*version, target.clone())?;
        match versions.iter_mut().find(|themed| themed.version == *version) {
            Some(themed) => *themed = app,
            None => versions.push(app),
        }
    }
    Ok(versions)
}

/// Every theme file in a folder, sorted by name.
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

/// Whoever can reach the dashboard of an `up` may use it.
fn listener_of_dashboard(address: SocketAddr) -> Result<TcpListener> {
    if !address.ip().is_loopback() {
        bail!(
            "the dashboard of `up` is for this machine only: choose an address on loopback with --dashboard, or start \
             another one for others with `stickshift dashboard --listen {address} --user NAME --url URL`"
        );
    }
    bind(address, "--dashboard", "the dashboard")
}

/// What runs where, row by row.
struct Overview(Vec<String>);

impl Overview {
    fn row(&mut self, what: &str, url: &str, about: &str) {
        self.0.push(format!("  {what:<16} {url:<24} {about}"));
    }

    fn text(&self) -> String {
        format!("{}\n\nCtrl-C stops all of it.\n", self.0.join("\n"))
    }
}

fn overview(machine: &Machine, data_dir: &Path) -> Overview {
    let mut overview = Overview(vec![format!("Stickshift {}, all on this machine\n", env!("CARGO_PKG_VERSION"))]);
    overview.row("CloudFront", &format!("http://{}", machine.cloudfront.address), "open this one");
    for RunningVersion { settings, address, .. } in &machine.versions {
        let version = settings.version;
        let Some(planned) = machine.cloudfront.plan.versions().get(&version) else { continue };
        let about = format!("version {version}, {}", in_words(&machine.cloudfront.plan, version, planned));
        let (name, about) = match &settings.app {
            App::Themed { theme, .. } => (theme.name.as_str(), about),
            App::Upstream(upstream) => ("Sidecar", format!("{about}; the app is at {}", upstream.target)),
        };
        overview.row(name, &format!("http://{address}"), &about);
    }
    for RunningVersion { settings, admin_address, .. } in &machine.versions {
        let about = format!("of version {}: /healthz, /readyz, /metrics", settings.version);
        overview.row("Monitors", &format!("http://{admin_address}"), &about);
    }
    overview.row("DynamoDB", machine.dynamodb.endpoint(), &format!("kept in {}", data_dir.display()));
    overview
}
