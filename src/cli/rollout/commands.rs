//! Commands of the operator's own that a rollout runs: one that judges, one that is told.
//!
//! Their output is not shown: it would mix with that of the rollout.

use std::process::Stdio;
use std::time::Duration;

use futures_util::FutureExt as _;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use stickshift_rollout::{Check, Run};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

/// A command that takes longer is ended.
const PATIENCE: Duration = Duration::from_secs(30);

/// The operator's own check. It runs beside the looks, which do not wait for it.
#[derive(Debug)]
pub(super) struct Checks {
    command: String,
    /// The check that runs, and the revision of the plan in force when it began.
    running: Option<(u64, JoinHandle<Result<Check, String>>)>,
    last: (u64, Result<Check, String>),
}

impl Checks {
    pub(super) fn new(command: String) -> Self {
        Self { command, running: None, last: (0, Ok(Check::Inconclusive)) }
    }

    /// What the last check said, if it began under this plan. Starts the next one, unless one runs.
    pub(super) fn look(&mut self, run: &Run) -> Check {
        if let Some((revision, running)) = self.running.take_if(|(_, running)| running.is_finished()) {
            let ended = running.now_or_never().and_then(Result::ok);
            let ended = ended.unwrap_or_else(|| Err("was ended".to_owned()));
            if let Err(problem) = ended.as_ref()
                && self.last.1.as_ref().err() != Some(problem)
            {
                log::warn!("the check {problem}, so it says nothing");
            }
            self.last = (revision, ended);
        }
        if self.running.is_none() {
            let variables = [
                ("STICKSHIFT_CANARY", run.canary().to_string()),
                ("STICKSHIFT_STABLE", run.stable.to_string()),
                ("STICKSHIFT_REVISION", run.revision.to_string()),
            ];
            self.running = Some((run.revision, tokio::spawn(check(self.command.clone(), variables))));
        }
        match self.last {
            (revision, Ok(check)) if revision == run.revision => check,
            _ => Check::Inconclusive,
        }
    }
}

/// A check must not outlive the rollout.
impl Drop for Checks {
    fn drop(&mut self) {
        if let Some((_, running)) = &self.running {
            running.abort();
        }
    }
}

/// Errors: the command did not say anything, and why.
async fn check(line: String, variables: [(&'static str, String); 3]) -> Result<Check, String> {
    let ended = run(&line, &variables, None).await?;
    match ended {
        Some(0) => Ok(Check::Pass),
        Some(1) => Ok(Check::Fail),
        Some(2) => Ok(Check::Inconclusive),
        Some(status) => Err(format!("ended with exit status {status}, which is none of 0, 1 and 2")),
        None => Err("was ended by a signal".to_owned()),
    }
}

/// Tells a command of decisions, one after the other. The rollout does not wait for it.
#[derive(Debug)]
pub(super) struct Notifier {
    sender: UnboundedSender<Value>,
    task: JoinHandle<()>,
}

impl Notifier {
    pub(super) fn new(command: String) -> Self {
        let (sender, mut told) = unbounded_channel::<Value>();
        let task = tokio::spawn(async move {
            while let Some(told) = told.recv().await {
                match run(&command, &[], Some(format!("{told}\n"))).await {
                    Ok(Some(0)) => {}
                    Ok(_) => log::warn!("the command that is told of decisions has failed"),
                    Err(problem) => log::warn!("the command that is told of decisions {problem}"),
                }
            }
        });
        Self { sender, task }
    }

    /// Tells it soon.
    pub(super) fn tell(&self, told: Value) {
        // The task ends only after the sender.
        self.sender.send(told).ok();
    }

    /// Waits until it has been told of everything.
    pub(super) async fn finish(self) {
        drop(self.sender);
        if tokio::time::timeout(2 * PATIENCE, self.task).await.is_err() {
            log::warn!("the command that is told of decisions takes too long, so it does not hear of all of them");
        }
    }
}

/// A command and whatever it started.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended.
            kill_process_group(group, Signal::KILL).ok();
        }
    }
}

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)))
    }
}

/// Runs a command line as a shell does, and returns its exit status, `None` after a signal. Errors: it could not be run,
/// or took too long; in words that follow its name.
async fn run(line: &str, variables: &[(&str, String)], stdin: Option<String>) -> Result<Option<i32>, String> {
    let mut command = Command::new("sh");
    command.args(["-c", line]).envs(variables.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let could_not_run = |cause: std::io::Error| format!("could not be run: {cause}");
    let mut child = command.spawn().map_err(could_not_run)?;
    let _group = Group::of(&child);
    let work = async {
        if let Some(mut pipe) = child.stdin.take() {
            // A command may end without having read it.
            pipe.write_all(stdin.unwrap_or_default().as_bytes()).await.ok();
        }
        child.wait().await
    };
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(ended) => Ok(ended.map_err(could_not_run)?.code()),
        Err(_) => Err(format!("took longer than {} s, so it was ended", PATIENCE.as_secs())),
    }
}
