//! `stickshift rollout`: the operator's commands.

mod change;
mod commands;
mod explain;
mod history;
mod preview;
mod progress;
mod run;
mod screen;
mod site;
mod status;
mod steer;
mod wait;
mod words;

use anyhow::Result;
use clap::{Args, Subcommand};

use change::{Add, Drain, SetWeight};
use explain::Explain;
use history::History;
use preview::Preview;
use run::RunArguments;
pub(crate) use run::TakenBack;
use site::Site;
use status::StatusArguments;
use steer::Pause;
use stickshift::operator::{self, SiteArguments};
pub(crate) use wait::TimedOut;

#[derive(Debug, Args)]
#[command(
    after_help = "Without a flag or a variable for AWS, it talks to the `stickshift up` that runs in this folder. \
                  It always says which it talks to."
)]
pub(super) struct Rollout {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    site: SiteArguments,
    /// Print JSON: one object a line
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the plan in force and how many sessions are on each version
    Status(StatusArguments),
    /// Show the last plans: when, who and why
    History(History),
    /// Say what the edge would decide now for a viewer's cookie, step by step
    Explain(Explain),
    /// Make a link that shows a version to one browser, whatever its weight
    Preview(Preview),
    /// Add a version to the plan; it is staged and gets no new sessions yet
    Add(Add),
    /// Give versions a share of new sessions; the stable version gets the rest
    SetWeight(SetWeight),
    /// Send all new sessions to a version, and make it stable
    Promote(change::Version),
    /// Send no new sessions to a version; its sessions finish where they are
    Drain(Drain),
    /// Take a version back: no new sessions, and its sessions finish there or move at once
    Abort(change::Abort),
    /// Take a version out of the plan; refused while sessions are on it
    Remove(change::Remove),
    /// Put an earlier plan in force again
    Undo(change::Undo),
    /// Take a version from its first share of new sessions to all of them, step by step, and back if it is worse
    Run(RunArguments),
    /// Let the rollout that runs take no step; a version that fails is still taken back
    Pause(Pause),
    /// Let the rollout that runs go on after a pause
    Resume,
    /// Let the rollout begin again whose version has failed
    Retry,
    /// Make every edge use the plan again after the tables came back from a backup
    Restore(change::Restore),
}

/// Runs a verb. Errors are for people and say what to do.
pub(super) async fn rollout(arguments: Rollout) -> Result<()> {
    let site = Site { site: operator::Site::find(arguments.site).await?, is_json: arguments.json };
    match arguments.verb {
        Verb::Status(status) => status.run(&site).await,
        Verb::History(history) => history.run(&site).await,
        Verb::Explain(explain) => explain.run(&site).await,
        Verb::Preview(preview) => preview.run(&site).await,
        Verb::Add(add) => add.run(&site).await,
        Verb::SetWeight(set_weight) => set_weight.run(&site).await,
        Verb::Promote(version) => version.promote(&site).await,
        Verb::Drain(drain) => drain.run(&site).await,
        Verb::Abort(abort) => abort.run(&site).await,
        Verb::Remove(remove) => remove.run(&site).await,
        Verb::Undo(undo) => undo.run(&site).await,
        Verb::Run(run) => run.run(&site).await,
        Verb::Pause(pause) => pause.run(&site).await,
        Verb::Resume => steer::resume(&site).await,
        Verb::Retry => steer::retry(&site).await,
        Verb::Restore(restore) => restore.run(&site).await,
    }
}
