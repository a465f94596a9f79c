//! What the instances of a version report, put together.

use std::collections::BTreeSet;

use serde::Serialize;
use stickshift_contract::{Histogram, PULSE_SILENCE_SECONDS, Pulse};

use crate::activity::Activity;

/// How far a report looks back, in seconds.
pub const WINDOW_SECONDS: u64 = 300;

/// The report of one version: what its instances counted in the last [`WINDOW_SECONDS`], and what they are now.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct VersionReport {
    /// Instances that are alive.
    pub instances: u64,
    /// Instances that stopped in the window without saying so.
    pub crashed: u64,
    /// Answers that are being sent by living instances, WebSockets among them.
    pub open_connections: u64,
    /// Draws under the plan in force that arrived.
    pub drawn: u64,
    /// Draws under any plan whose first answer was a 5xx.
    pub first_failed: u64,
    /// Drawn sessions that were renewed for the first time.
    pub renewed: u64,
    /// Drawn sessions that saw their first 5xx.
    pub failed: u64,
    /// Drawn sessions that finished their activity.
    pub finished: u64,
    /// Requests.
    pub requests: u64,
    /// Requests a second, at living instances.
    pub requests_per_second: f64,
    /// Requests that were answered with a 5xx.
    pub server_errors: u64,
    /// How long the answers took.
    #[serde(skip)]
    pub latencies: Histogram,
    /// Half of the answers took at most so many milliseconds.
    pub p50_milliseconds: Option<f64>,
    /// All but one in a hundred took at most so many milliseconds.
    pub p99_milliseconds: Option<f64>,
    /// Requests that the edge meant for another version.
    pub misdirected: u64,
    /// Writes of sessions that failed.
    pub failed_writes: u64,
    /// What living instances say they read.
    pub formats: BTreeSet<String>,
    /// What the edges of living instances said they read.
    pub edges: BTreeSet<String>,
}

/// Whether an instance lives: it has not said that it stopped, and its last pulse is young. Its clock and that of the
/// reader may differ.
pub fn is_alive(pulse: &Pulse, now: u64) -> bool {
    let silence = PULSE_SILENCE_SECONDS.saturating_add(pulse.clock_allowance_seconds);
    !pulse.ended && pulse.written_at.saturating_add(silence) >= now
}

impl VersionReport {
    /// Puts the last pulse of every instance together. `minutes`: earlier pulses of these instances, from which the
    /// window begins. `revision`: the plan in force.
    pub fn new(last: &[Pulse], minutes: &[Pulse], revision: u64, now: u64) -> Self {
        let mut report = Self::default();
        for pulse in last {
            report.add(pulse, minutes, revision, now);
        }
        let milliseconds = |percent| report.latencies.percentile(percent).map(|edge| edge.as_secs_f64() * 1000.0);
        (report.p50_milliseconds, report.p99_milliseconds) = (milliseconds(50), milliseconds(99));
        report
    }

    fn add(&mut self, pulse: &Pulse, minutes: &[Pulse], revision: u64, now: u64) {
        let is_alive = is_alive(pulse, now);
        if is_alive {
            self.instances += 1;
            add(&mut self.open_connections, pulse.open_connections);
            self.formats.insert(pulse.formats.clone());
            self.edges.extend(edges_in_use(pulse).map(str::to_owned));
        }
        if pulse.written_at.saturating_add(WINDOW_SECONDS) < now {
            return;
        }
        self.crashed += u64::from(!is_alive && !pulse.ended);
        // The window ends with the instance's last pulse and is measured by its own clock.
        let window_begin = pulse.written_at.saturating_sub(WINDOW_SECONDS);
        let start = Pulse { written_at: pulse.started_at, ..Pulse::default() };
        let before = minutes
            .iter()
            .filter(|earlier| earlier.instance == pulse.instance && earlier.written_at >= window_begin)
            .min_by_key(|earlier| earlier.written_at);
        // An instance that started within the window has counted since its start.
        let before = if pulse.started_at >= window_begin { &start } else { before.unwrap_or(pulse) };
        let activity = Activity::between(before, pulse);
        add(&mut self.requests, activity.requests);
        add(&mut self.server_errors, activity.server_errors);
        add(&mut self.misdirected, activity.misdirected);
        add(&mut self.failed_writes, activity.failed_writes);
        self.latencies.add_all(&activity.latencies);
        add(&mut self.first_failed, activity.sum_of(|draws| draws.first_failed));
        add(&mut self.renewed, activity.sum_of(|draws| draws.renewed));
        add(&mut self.failed, activity.sum_of(|draws| draws.failed));
        add(&mut self.finished, activity.sum_of(|draws| draws.finished));
        add(&mut self.drawn, activity.draws.get(&revision).map_or(0, |draws| draws.drawn));
        if is_alive {
            self.requests_per_second +=
                per_second(activity.requests, pulse.written_at.saturating_sub(before.written_at));
        }
    }
}

/// The formats of the edges that an instance has seen lately. One that it has not seen for long may be gone.
pub(crate) fn edges_in_use(pulse: &Pulse) -> impl Iterator<Item = &str> {
    let is_in_use = |seen: u64| seen.saturating_add(WINDOW_SECONDS) >= pulse.written_at;
    pulse.edges.iter().filter(move |(_, seen)| is_in_use(**seen)).map(|(formats, _)| formats.as_str())
}

/// Numbers from a table may be anything.
fn add(sum: &mut u64, number: u64) {
    *sum = sum.saturating_add(number);
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn per_second(count: u64, seconds: u64) -> f64 {
    if seconds == 0 { 0.0 } else { count as f64 / seconds as f64 }
}

/// How sure an [`interval`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confidence {
    /// The true share is in it with a probability of 95 %.
    Percent95,
    /// The same with 99.9 %, for warnings that are looked at again and again.
    Percent999,
}

/// Where the true share is, if `part` of `whole` were seen: the interval of
/// [Wilson](https://doi.org/10.1080/01621459.1927.10502953), from 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn interval(part: u64, whole: u64, confidence: Confidence) -> (f64, f64) {
    if whole == 0 {
        return (0.0, 1.0);
    }
    let z: f64 = match confidence {
        Confidence::Percent95 => 1.96,
        Confidence::Percent999 => 3.29,
    };
    let (n, p) = (whole as f64, part as f64 / whole as f64);
    let middle = p + z * z / (2.0 * n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    (((middle - half) / scale).max(0.0), ((middle + half) / scale).min(1.0))
}
