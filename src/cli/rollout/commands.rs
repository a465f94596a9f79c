//! Commands of the operator's own that a rollout runs: one that judges, one that is told.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use stickshift_rollout::{Check, Run};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::task::JoinHandle;

/// A command that takes longer is ended.
const PATIENCE: Duration = Duration::from_secs(30);

/// The operator's own check. It runs beside the looks, which do not wait for it.
#[derive(Debug)]
pub(super) struct Checks {
    command: String,
    running: Option<JoinHandle<Check>>,
    last: Check,
}

impl Checks {
    pub(super) fn new(command: String) -> Self {
        Self { command, running: None, last: Check::Inconclusive }
    }

    /// What the last check said. Starts the next one, unless one runs.
    pub(super) fn look(&mut self, run: &Run) -> Check {
        if let Some(running) = self.running.take_if(|running| running.is_finished()) {
            use futures_util::FutureExt as _;
            self.last = running.now_or_never().and_then(Result::ok).unwrap_or(Check::Inconclusive);
        }
        if self.running.is_none() {
            let mut command = shell(&self.command);
            command
                .env("STICKSHIFT_CANARY", run.canary().to_string())
                .env("STICKSHIFT_STABLE", run.stable.to_string())
                .env("STICKSHIFT_REVISION", run.revision.to_string())
                .stdin(Stdio::null());
            self.running = Some(tokio::spawn(check(command)));
        }
        self.last
    }
}

async fn check(mut command: Command) -> Check {
    let problem = match tokio::time::timeout(PATIENCE, command.status()).await {
        Ok(Ok(status)) => match status.code() {
            Some(0) => return Check::Pass,
            Some(1) => return Check::Fail,
            Some(2) => return Check::Inconclusive,
            _ => format!("ended with {status}, which is none of 0, 1 and 2"),
        },
        Ok(Err(cause)) => format!("could not be run: {cause}"),
        Err(_) => format!("took longer than {} s", PATIENCE.as_secs()),
    };
    log::warn!("the check {problem}, so it says nothing");
    Check::Inconclusive
}

/// Tells a command of a decision, as JSON on its stdin. Nothing that it does touches the rollout.
pub(super) async fn notify(command: &str, told: &Value) {
    let tell = async {
        let mut child = shell(command).stdin(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command may end without having read it.
            stdin.write_all(format!("{told}\n").as_bytes()).await.ok();
        }
        child.wait().await
    };
    match tokio::time::timeout(PATIENCE, tell).await {
        Ok(Ok(status)) if status.success() => {}
        Ok(Ok(status)) => log::warn!("the command that is told of decisions ended with {status}"),
        Ok(Err(cause)) => log::warn!("the command that is told of decisions could not be run: {cause}"),
        Err(_) => log::warn!("the command that is told of decisions took longer than {} s", PATIENCE.as_secs()),
    }
}

/// A command line as a shell runs it. Its output must not mix with that of the rollout.
fn shell(line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]).stdout(Stdio::null()).kill_on_drop(true);
    command
}
