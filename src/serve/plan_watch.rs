//! Reads the plan every ten seconds, so that an instance knows what has become of its own version.

use std::time::{Duration, Instant};

use actix_web::rt::{self, task::JoinHandle};
use aws_sdk_dynamodb::Client;
use log::Level;
use stickshift_contract::{State, VersionCode};
use tokio::sync::watch;

use crate::clock::unix_now;
use crate::minute_log::MinuteLog;
use crate::store::plans::read_plan;

/// How often the plan is read.
const INTERVAL: Duration = Duration::from_secs(10);

/// How old a plan may be so that the end of a drain in it counts.
const FRESH: Duration = Duration::from_secs(30);

static FAILURES: MinuteLog =
    MinuteLog::new(Level::Warn, "the plan could not be read", Some("the plan can be read again"));

/// What an instance knows of itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    /// The revision of the plan that was read.
    revision: u64,
    /// The state of this version, and the end of its drain. Without a plan, or if the plan does not have the
    /// version, `None`.
    state: Option<(State, Option<u64>)>,
    /// When it was read.
    read_at: Option<Instant>,
    /// Whether the server is about to stop.
    pub(super) is_stopping: bool,
}

/// The task that reads.
#[derive(Debug)]
pub(super) struct PlanWatch {
    standing: watch::Sender<Standing>,
    task: JoinHandle<()>,
}

impl Standing {
    /// Whether sessions of the version must move, so that nothing may stay open for them. A version that the
    /// plan does not have is served to whoever comes without an edge.
    pub(super) fn is_out(&self) -> bool {
        let is_fresh = self.read_at.is_some_and(|read_at| read_at.elapsed() < FRESH);
        self.state.is_some_and(|(state, until)| !state.keeps_sessions(until, is_fresh.then(unix_now)))
    }
}

impl PlanWatch {
    pub(super) fn start(version: VersionCode, client: Client, table: String) -> Self {
        let (standing, _) = watch::channel(Standing::default());
        let sender = standing.clone();
        let task = rt::spawn(async move {
            let mut interval = tokio::time::interval(INTERVAL);
            loop {
                interval.tick().await;
                match read_plan(&client, &table).await {
                    Ok(Some(plan)) => {
                        FAILURES.note_success();
                        let state = plan.versions().get(&version).map(|planned| (planned.state, planned.until));
                        sender.send_modify(|standing| {
                            // A lower revision never counts.
                            if plan.revision() >= standing.revision {
                                (standing.revision, standing.state) = (plan.revision(), state);
                                standing.read_at = Some(Instant::now());
                            }
                        });
                    }
                    Ok(None) => FAILURES.note_success(),
                    Err(cause) => FAILURES.note(&cause),
                }
            }
        });
        Self { standing, task }
    }

    /// What the instance knows, now and later.
    pub(super) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Says that the server is about to stop.
    pub(super) fn stop(&self) {
        self.standing.send_modify(|standing| standing.is_stopping = true);
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_out_when_its_sessions_must_move() {
        let now = unix_now();
        for (state, is_out) in [
            (None, false),
            (Some((State::Staged, None)), false),
            (Some((State::Live, None)), false),
            (Some((State::Draining, None)), false),
            (Some((State::Draining, Some(now + 60))), false),
            (Some((State::Draining, Some(now - 1))), true),
            (Some((State::Withdrawn, None)), true),
        ] {
            let standing = Standing { state, read_at: Some(Instant::now()), ..Standing::default() };
            assert_eq!(standing.is_out(), is_out, "{state:?}");
        }
        let old = Standing { state: Some((State::Draining, Some(now - 1))), ..Standing::default() };
        assert!(!old.is_out(), "a plan that nobody has read for long");
    }
}
