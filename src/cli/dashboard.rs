//! `stickshift dashboard`: the operator's page.

use std::net::SocketAddr;

use anyhow::{Result, bail};
use clap::Args;
use stickshift::dashboard::{Dashboard, DashboardConfig, origin_of};
use stickshift::listener::bind;
use stickshift::operator::{Site, SiteArguments};

use super::arguments::DASHBOARD_LISTEN;
use super::stop::StopSignal;

#[derive(Debug, Args)]
#[command(after_help = "Without a flag or a variable for AWS, it shows the `stickshift up` that runs in this folder.")]
pub(super) struct DashboardArguments {
    /// Where it listens; other addresses than those of this machine need --user and --url
    #[arg(long, value_name = "ADDRESS", default_value = DASHBOARD_LISTEN)]
    listen: SocketAddr,
    /// Let its pages change the plan and steer the rollout
    #[arg(long)]
    allow_changes: bool,
    /// A person who may use it, whose name then stands in the history; once for each. Each gets a link that works once
    #[arg(long = "user", value_name = "NAME", value_parser = parse_name)]
    users: Vec<String>,
    /// The address that people open, for example https://rollouts.example.com, if it is not one of this machine
    #[arg(long, value_name = "URL", value_parser = origin_of, requires = "users")]
    url: Option<String>,
    #[command(flatten)]
    site: SiteArguments,
}

/// Runs until a signal to stop. Errors are for people and say what to do.
pub(super) async fn dashboard(arguments: DashboardArguments) -> Result<()> {
    let DashboardArguments { listen, allow_changes, users, url, site } = arguments;
    let stop = StopSignal::install()?;
    if !listen.ip().is_loopback() && (users.is_empty() || url.is_none()) {
        bail!(
            "others can reach {listen}: name everybody who may use the dashboard with --user, and the address that \
             they open with --url"
        );
    }
    for (index, user) in users.iter().enumerate() {
        if users[..index].contains(user) {
            bail!("--user names {user} twice: each person has one link");
        }
    }
    let site = Site::find(site).await?;
    // A table that cannot be read is told now, and not on the page only.
    site.plan_in_force().await?;
    let listener = bind(listen, "--listen", "the dashboard")?;
    let overview = format!("Stickshift {}, the dashboard of {}\n", env!("CARGO_PKG_VERSION"), site.name);
    let config = DashboardConfig { listener, site, may_change: allow_changes, people: users, url: url.clone() };
    let dashboard = Dashboard::start(config)?;
    println!("{overview}\n  {}", url.clone().unwrap_or_else(|| format!("http://{}", dashboard.address)));
    for (name, link) in &dashboard.links {
        println!("\n  for {name}, once: {link}");
    }
    if url.is_some_and(|url| url.starts_with("http://")) {
        log::warn!("people come by plain HTTP, so whoever is in between can read their cookies: use HTTPS");
    }
    println!("\nCtrl-C stops it.");
    stop.wait().await;
    dashboard.stop().await;
    Ok(())
}

fn parse_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
        return Err("expected a name of 1 to 64 characters, for example anna".to_owned());
    }
    Ok(name.to_owned())
}
