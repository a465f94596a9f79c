//! The command line.

#[cfg(feature = "edge")]
mod edge;
mod health;
mod serve;
#[cfg(feature = "local")]
mod up;

use anyhow::Result;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// Sticky canary releases behind Amazon CloudFront.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
#[cfg_attr(feature = "local", command(after_help = "Without a command: runs all of it on this machine, as `up` does."))]
struct Cli {
    #[cfg(feature = "local")]
    #[command(subcommand)]
    command: Option<Command>,
    #[cfg(not(feature = "local"))]
    #[command(subcommand)]
    command: Command,
    #[cfg(feature = "local")]
    #[command(flatten)]
    up: up::Up,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "local")]
    /// Run all of it on this machine: every version, a CloudFront in front, an embedded DynamoDB
    Up(up::Up),
    #[cfg(feature = "edge")]
    /// Run the edge alone on this machine, in front of versions that are served elsewhere
    Edge(edge::Edge),
    /// Serve one version of the app
    Serve(serve::Serve),
    /// Ask a version that is served here whether it is well, and exit with 0 or 1
    Health(health::Health),
}

/// Runs what the command line asks for. Errors: for people, with what to do about them.
pub(crate) async fn run() -> Result<()> {
    let cli = Cli::parse();
    #[cfg(feature = "local")]
    let command = cli.command.unwrap_or(Command::Up(cli.up));
    #[cfg(not(feature = "local"))]
    let command = cli.command;
    match command {
        #[cfg(feature = "local")]
        Command::Up(arguments) => up::up(arguments).await,
        #[cfg(feature = "edge")]
        Command::Edge(arguments) => edge::edge(arguments).await,
        Command::Serve(arguments) => serve::serve(arguments).await,
        Command::Health(arguments) => health::health(arguments).await,
    }
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
