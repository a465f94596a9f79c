//! The command line.

mod arguments;
#[cfg(feature = "operator")]
mod completions;
#[cfg(feature = "operator")]
mod dashboard;
mod edge;
mod health;
#[cfg(feature = "operator")]
mod man;
#[cfg(feature = "operator")]
mod rollout;
mod serve;
mod sidecar;
mod stop;
#[cfg(feature = "embedded-dynamodb")]
mod up;

use anyhow::Result;
#[cfg(feature = "operator")]
use clap::CommandFactory as _;
use clap::{Parser, Subcommand};
#[cfg(feature = "operator")]
pub(crate) use rollout::{TakenBack, TimedOut};

/// Sticky canary releases behind Amazon CloudFront.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
#[cfg_attr(
    feature = "embedded-dynamodb",
    command(after_help = "Without a command, it runs everything on this machine, as `up` does.")
)]
#[cfg_attr(not(feature = "embedded-dynamodb"), command(subcommand_required = true, arg_required_else_help = true))]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[cfg(feature = "embedded-dynamodb")]
    #[command(flatten)]
    up: up::Up,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "embedded-dynamodb")]
    /// Run everything on this machine: every version, a CloudFront in front, an embedded DynamoDB
    Up(up::Up),
    /// Run the edge alone on this machine, in front of versions that are served elsewhere
    Edge(edge::Edge),
    /// Serve one version of the app
    Serve(serve::Serve),
    /// Turn any web app into one version: stand in front of it and keep its sessions
    Sidecar(sidecar::Sidecar),
    #[cfg(feature = "operator")]
    /// Change where new sessions go, and see where sessions are
    Rollout(rollout::Rollout),
    #[cfg(feature = "operator")]
    /// Show a rollout on a page, live, and change it there
    Dashboard(dashboard::DashboardArguments),
    /// Ask a version on this machine whether it is healthy, and exit with 0 or 1
    Health(health::Health),
    #[cfg(feature = "operator")]
    /// Print completions for a shell
    Completions(completions::Completions),
    #[cfg(feature = "operator")]
    /// Write man pages, one for each command
    Man(man::Man),
}

/// Runs the command of the command line. Errors are for people and say what to do.
pub(crate) async fn run() -> Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Edge(arguments)) => edge::edge(arguments).await,
        Some(Command::Serve(arguments)) => serve::serve(arguments).await,
        Some(Command::Sidecar(arguments)) => sidecar::sidecar(arguments).await,
        #[cfg(feature = "operator")]
        Some(Command::Rollout(arguments)) => rollout::rollout(arguments).await,
        #[cfg(feature = "operator")]
        Some(Command::Dashboard(arguments)) => dashboard::dashboard(arguments).await,
        Some(Command::Health(arguments)) => health::health(arguments).await,
        #[cfg(feature = "operator")]
        Some(Command::Completions(arguments)) => arguments.print(Cli::command()),
        #[cfg(feature = "operator")]
        Some(Command::Man(arguments)) => arguments.write(Cli::command()),
        #[cfg(feature = "embedded-dynamodb")]
        Some(Command::Up(arguments)) => up::up(arguments).await,
        #[cfg(feature = "embedded-dynamodb")]
        None => up::up(cli.up).await,
        #[cfg(not(feature = "embedded-dynamodb"))]
        None => unreachable!("clap requires a command"),
    }
}
