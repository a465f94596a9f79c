//! Every ten seconds: reads the plan, so that an instance knows what has become of its own version, and writes the
//! instance's pulse.
//!
//! No request waits for any of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_web::rt::{self, task::JoinHandle};
use actix_web::web::Data;
use aws_sdk_dynamodb::Client;
use log::Level;
use stickshift_contract::{FORMATS, Lease, PULSE_FORMAT, Pulse, State, Timing, VersionCode};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::metrics::Metrics;
use crate::clock::unix_now;
use crate::minute_log::MinuteLog;
use crate::store::lease::read_lease;
use crate::store::plans::read_plan;
use crate::store::pulses::{PulseStore, PulseStoreError};

/// How old a plan may be so that the end of a drain in it counts.
const FRESH: Duration = Duration::from_secs(30);

static PLAN_FAILURES: MinuteLog =
    MinuteLog::new(Level::Warn, "the plan could not be read", Some("the plan can be read again"));

static LEASE_FAILURES: MinuteLog = MinuteLog::new(Level::Warn, "the rollout that runs could not be read", None);

static PULSE_FAILURES: MinuteLog =
    MinuteLog::new(Level::Warn, "the pulse could not be written", Some("the pulse can be written again"));

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
    /// Whether the first pulse was written, or could not be.
    has_beaten: bool,
}

/// The lease of the rollout that runs by itself, as an instance has seen it.
#[derive(Debug, Default)]
struct LeaseWatch(Option<(Lease, Instant)>);

/// The task that reads and writes.
#[derive(Debug)]
pub(super) struct Heartbeat {
    standing: watch::Sender<Standing>,
    pulses: Arc<Pulses>,
    task: JoinHandle<()>,
}

/// What a heartbeat depends on.
#[derive(Debug)]
pub(super) struct HeartbeatConfig {
    pub(super) version: VersionCode,
    pub(super) client: Client,
    /// The table of plans and pulses.
    pub(super) table: String,
    pub(super) interval: Duration,
    /// How long sessions live, and how far clocks may differ.
    pub(super) timing: Timing,
    /// Whether sessions have receipts.
    pub(super) has_receipts: bool,
    pub(super) metrics: Data<Metrics>,
}

/// The pulses of this instance.
#[derive(Debug)]
struct Pulses {
    store: PulseStore,
    version: VersionCode,
    instance: String,
    started_at: u64,
    interval: Duration,
    timing: Timing,
    has_receipts: bool,
    metrics: Data<Metrics>,
    sequence: AtomicU64,
}

impl Standing {
    /// Whether sessions of the version must move, so that nothing may stay open for them. A version that the
    /// plan does not have is served to whoever comes without an edge.
    pub(super) fn is_out(&self) -> bool {
        let is_fresh = self.read_at.is_some_and(|read_at| read_at.elapsed() < FRESH);
        self.state.is_some_and(|(state, until)| !state.keeps_sessions(until, is_fresh.then(unix_now)))
    }
}

impl Heartbeat {
    pub(super) fn start(config: HeartbeatConfig) -> Self {
        let HeartbeatConfig { version, client, table, interval, timing, has_receipts, metrics } = config;
        let pulses = Arc::new(Pulses {
            store: PulseStore::new(client.clone(), table.clone()),
            version,
            instance: format!("{:016x}", rand::random::<u64>()),
            started_at: unix_now(),
            interval,
            timing,
            has_receipts,
            metrics,
            sequence: AtomicU64::new(0),
        });
        let (standing, _) = watch::channel(Standing::default());
        let (sender, beats) = (standing.clone(), Arc::clone(&pulses));
        let task = rt::spawn(async move {
            let mut interval = tokio::time::interval(interval);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let (mut minute, mut lease) = (0, LeaseWatch::default());
            loop {
                interval.tick().await;
                read_standing(&client, &table, version, &sender).await;
                lease.look(&client, &table).await;
                let pulse = beats.next(sender.borrow().revision, lease.age_seconds(), false);
                if let Err(cause) = beats.write(&pulse, &mut minute).await {
                    PULSE_FAILURES.note(&cause);
                } else {
                    PULSE_FAILURES.note_success();
                }
                sender.send_if_modified(|standing| !std::mem::replace(&mut standing.has_beaten, true));
            }
        });
        Self { standing, pulses, task }
    }

    /// What the instance knows, now and later.
    pub(super) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Waits until the first pulse was written, or could not be.
    pub(super) async fn first_beat(&self) {
        // The sender is this heartbeat's own, so it is there.
        self.standing().wait_for(|standing| standing.has_beaten).await.ok();
    }

    /// Says that the server is about to stop.
    pub(super) fn announce_stop(&self) {
        self.standing.send_modify(|standing| standing.is_stopping = true);
    }

    /// Writes the last pulse, once nothing is served any more.
    pub(super) async fn end(self) {
        self.task.abort();
        let pulse = self.pulses.next(self.standing.borrow().revision, None, true);
        if let Err(cause) = self.pulses.store.write(self.pulses.version, &pulse).await {
            log::warn!("the last pulse could not be written, so this instance will be taken for crashed: {cause}");
        }
    }
}

/// Reads the plan.
async fn read_standing(client: &Client, table: &str, version: VersionCode, standing: &watch::Sender<Standing>) {
    match read_plan(client, table).await {
        Ok(Some(plan)) => {
            PLAN_FAILURES.note_success();
            let state = plan.versions().get(&version).map(|planned| (planned.state, planned.until));
            standing.send_modify(|standing| {
                // A lower revision never counts.
                if plan.revision() >= standing.revision {
                    (standing.revision, standing.state) = (plan.revision(), state);
                    standing.read_at = Some(Instant::now());
                }
            });
        }
        Ok(None) => PLAN_FAILURES.note_success(),
        Err(cause) => PLAN_FAILURES.note(&cause),
    }
}

impl LeaseWatch {
    /// Reads it. One that cannot be read is as old as before.
    async fn look(&mut self, client: &Client, table: &str) {
        match (read_lease(client, table).await, &self.0) {
            (Ok(Some(lease)), Some((known, _))) if lease == *known => {}
            (Ok(lease), _) => self.0 = lease.map(|lease| (lease, Instant::now())),
            (Err(cause), _) => LEASE_FAILURES.note(&format!("{cause:#}")),
        }
    }

    fn age_seconds(&self) -> Option<u64> {
        self.0.as_ref().map(|(_, since)| since.elapsed().as_secs())
    }
}

impl Pulses {
    /// The next pulse. `plan_revision`: of the last plan that was read.
    fn next(&self, plan_revision: u64, lease_age_seconds: Option<u64>, ended: bool) -> Pulse {
        let mut pulse = Pulse {
            format: PULSE_FORMAT,
            instance: self.instance.clone(),
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed) + 1,
            started_at: self.started_at,
            written_at: unix_now(),
            ended,
            interval_seconds: self.interval.as_secs(),
            lifetime_seconds: self.timing.lifetime_seconds(),
            clock_allowance_seconds: self.timing.clock_allowance_seconds,
            plan_revision,
            formats: FORMATS.to_owned(),
            has_receipts: self.has_receipts,
            lease_age_seconds,
            ..Pulse::default()
        };
        self.metrics.put_into(&mut pulse);
        self.metrics.lease_age.set(lease_age_seconds.unwrap_or(0).try_into().unwrap_or(i64::MAX));
        pulse
    }

    /// Writes a pulse, and once a minute a second time: a chart needs the earlier ones.
    async fn write(&self, pulse: &Pulse, last_minute: &mut u64) -> Result<(), PulseStoreError> {
        self.store.write(self.version, pulse).await?;
        let minute = pulse.written_at / 60;
        if minute != *last_minute {
            self.store.write_minute(self.version, pulse).await?;
            *last_minute = minute;
        }
        Ok(())
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
