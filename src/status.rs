//! What an operator sees of a rollout: the plan in force, the live sessions, and what the instances report.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use stickshift_contract::{PlanRecord, Pulse, State, VersionCode};
use stickshift_rollout::{
    Confidence, Count, LiveOnVersion, Obstacle, VersionReport, WINDOW_SECONDS, interval, obstacles,
};

use crate::clock::unix_now;
use crate::store::pulses::PulseStore;
use crate::store::sessions::{Counts, SessionStore};

/// A table with more items is not read whole, unless somebody asks for it.
pub const COUNTED_ITEMS: u64 = 100_000;

/// So many draws under a plan must have arrived before their shares are compared with the weights.
const ENOUGH_DRAWS: u64 = 100;

/// What an operator sees.
#[derive(Debug)]
pub struct Status {
    /// The plan in force.
    pub record: PlanRecord,
    /// The live sessions.
    pub live: Live,
    /// What the instances of each version in the plan report together.
    pub reports: BTreeMap<VersionCode, VersionReport>,
}

/// The live sessions of each version.
#[derive(Debug)]
pub struct Live {
    counts: BTreeMap<Option<VersionCode>, Count>,
    last_ends: Counts,
    /// Items read, live or not.
    pub items_read: u64,
    /// What the count is based on, and what it cost.
    pub about: String,
}

impl Status {
    /// Reads it. A table of sessions with more than `bound` items is estimated. Errors: a table cannot be used.
    pub async fn read(record: PlanRecord, sessions: &SessionStore, pulses: &PulseStore, bound: u64) -> Result<Self> {
        let live = Live::count(sessions, bound).await?;
        let mut reports = BTreeMap::new();
        for &version in record.plan.versions().keys() {
            let (last, now) = (last_pulses(pulses, version).await?, unix_now());
            // Clocks differ, and the report measures by the clocks of the instances.
            let (from, to) = (now.saturating_sub(2 * WINDOW_SECONDS), now + WINDOW_SECONDS);
            let minutes = pulses.minutes(version, from, to).await.context(PULSES)?;
            reports.insert(version, VersionReport::new(&last, &minutes, record.plan.revision(), now));
        }
        Ok(Self { record, live, reports })
    }

    /// The share of new sessions that arrived at a version under the plan in force, from 0 to 1, and where the true
    /// share is with a probability of 95 %. `None` before the first one arrived anywhere.
    pub fn share_of_new(&self, version: VersionCode) -> Option<(f64, (f64, f64))> {
        let (part, whole) = self.draws(version);
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        (whole > 0).then(|| (part as f64 / whole as f64, interval(part, whole, Confidence::Percent95)))
    }

    /// Draws that arrived at a version, and at all.
    fn draws(&self, version: VersionCode) -> (u64, u64) {
        let part = self.reports.get(&version).map_or(0, |report| report.drawn);
        (part, self.reports.values().map(|report| report.drawn).sum())
    }

    /// What an operator should know.
    pub fn warnings(&self) -> Vec<String> {
        let plan = &self.record.plan;
        let mut warnings = Vec::new();
        for (&version, planned) in plan.versions() {
            let count = self.live.on(version).sessions;
            match planned.state {
                State::Draining if planned.until.is_none() && count > 0 => warnings.push(format!(
                    "version {version} drains without an end: a session that stays active can hold it for ever"
                )),
                State::Withdrawn if count > 0 => warnings.push(format!(
                    "version {version} is withdrawn, and {count} sessions have not come back since: they move with \
                     their next request"
                )),
                _ => {}
            }
            let Some(report) = self.reports.get(&version) else { continue };
            if report.instances == 0 && (count > 0 || planned.state == State::Live) {
                warnings.push(format!("version {version} has no living instance"));
            }
            if report.crashed > 0 {
                warnings.push(format!("{} instances of version {version} stopped without saying so", report.crashed));
            }
            if report.misdirected > 0 {
                warnings.push(format!(
                    "version {version} got {} requests for another version: an origin in the plan is wrong",
                    report.misdirected
                ));
            }
            if report.failed_writes > 0 {
                warnings.push(format!("version {version} could not write sessions {} times", report.failed_writes));
            }
            warnings.extend(self.wrong_share(version));
        }
        for (version, count) in self.live.on_others(plan) {
            warnings.push(format!("{count} sessions are on version {version}, which is not in the plan"));
        }
        warnings
    }

    /// What to say if a version gets clearly fewer new sessions than planned.
    fn wrong_share(&self, version: VersionCode) -> Option<String> {
        let (part, whole) = self.draws(version);
        let planned = self.record.plan.versions().get(&version)?;
        let weight = f64::from(planned.weight.basis_points()) / 10_000.0;
        let (_, high) = interval(part, whole, Confidence::Percent999);
        (planned.state == State::Live && whole >= ENOUGH_DRAWS && high < weight).then(|| {
            format!(
                "version {version} got {part} of {whole} new sessions, and {} % were planned: they do not arrive",
                planned.weight
            )
        })
    }
}

impl Live {
    /// Counts by a scan of the table of sessions, at most `bound` items exactly. Errors: the table cannot be used.
    pub async fn count(sessions: &SessionStore, bound: u64) -> Result<Self> {
        let live = sessions.count_live(unix_now(), bound).await.context("could not count the live sessions")?;
        let versions: BTreeSet<_> = live.counts.iter().flat_map(Counts::keys).copied().collect();
        let count = |version| {
            let counts: Vec<u64> =
                live.counts.iter().map(|counts| counts.get(&version).copied().unwrap_or(0)).collect();
            (version, Count::estimated(&counts, live.parts))
        };
        let how = match live.counts.len() as u64 {
            read if read < live.parts => format!("estimated from {read} of {} parts of the table", live.parts),
            _ => "counted".to_owned(),
        };
        let about = format!("live sessions are {how}: {} items read, {} read units", live.items_read, live.read_units);
        let counts = versions.into_iter().map(count).collect();
        Ok(Self { counts, last_ends: live.last_ends, items_read: live.items_read, about })
    }

    /// The live sessions of a version.
    pub fn on(&self, version: VersionCode) -> Count {
        self.counts.get(&Some(version)).copied().unwrap_or_default()
    }

    /// The same for every version that has some.
    pub fn by_version(&self) -> impl Iterator<Item = (VersionCode, Count)> {
        self.counts.iter().filter_map(|(version, count)| Some(((*version)?, *count)))
    }

    /// The live sessions of versions that a plan does not have.
    fn on_others(&self, plan: &stickshift_contract::Plan) -> impl Iterator<Item = (VersionCode, u64)> {
        let others = self.by_version().filter(|(version, _)| !plan.versions().contains_key(version));
        others.map(|(version, count)| (version, count.sessions))
    }
}

/// Everything that keeps a version from being drained, and how many items were read to know it.
///
/// Errors: a table cannot be used.
pub async fn what_keeps(
    record: &PlanRecord,
    version: VersionCode,
    sessions: &SessionStore,
    pulses: &PulseStore,
) -> Result<(Vec<Obstacle>, u64)> {
    // Nothing less than every item says that there is no session.
    let live = Live::count(sessions, u64::MAX).await?;
    let last_end = live.last_ends.get(&Some(version)).copied().unwrap_or(0);
    let on_version = LiveOnVersion { sessions: live.on(version).sessions, last_end };
    let last = last_pulses(pulses, version).await?;
    Ok((obstacles(record, version, on_version, &last, unix_now()), live.items_read))
}

/// The last pulse of each instance of a version. Errors: the table cannot be used.
pub async fn last_pulses(pulses: &PulseStore, version: VersionCode) -> Result<Vec<Pulse>> {
    pulses.last(version).await.context(PULSES)
}

const PULSES: &str = "could not read what the instances report";
