//! What an operator sees of a rollout: the plan in force, the live sessions, and what the instances report.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use stickshift_contract::{LEASE_SILENCE_SECONDS, PlanRecord, Pulse, State, VersionCode};
use stickshift_rollout::{
    Confidence, Count, Departing, Gone, Obstacle, Run, VersionReport, WINDOW_SECONDS, interval, is_alive,
};

use super::Site;
use crate::clock::unix_now;
use crate::store::plans::read_plan_in_force;
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
    /// The last rollout that ran by itself.
    pub run: Option<Run>,
    unreadable_run: Option<String>,
    /// The last pulse of every instance of each version in the plan.
    pub last: BTreeMap<VersionCode, Vec<Pulse>>,
    /// For how many seconds nobody has looked at it, as the instances have seen it.
    pub lease_age_seconds: Option<u64>,
    /// Pulses of each version that this release cannot read.
    unreadable: BTreeMap<VersionCode, u64>,
}

/// The live sessions of each version.
#[derive(Debug, Clone)]
pub struct Live {
    counts: BTreeMap<Option<VersionCode>, Count>,
    last_ends: Counts,
    /// Whether every session was counted.
    pub is_exact: bool,
    /// Items read, live or not.
    pub items_read: u64,
    /// Read units of DynamoDB.
    pub read_units: f64,
    /// What the count is based on, and what it cost, in words.
    pub about: String,
}

/// Waits with an operator until a version may be switched off.
#[derive(Debug)]
pub struct DrainWatch {
    version: VersionCode,
    gone: Gone,
    /// The plan that all looks since then have seen.
    revision: u64,
    /// When the last session ends or ended, of all that were seen. TTL may delete it as soon as it is over.
    last_end: u64,
    /// See [`Departing::quiet_since`].
    quiet_since: Option<BTreeMap<String, u64>>,
}

impl Status {
    /// Reads what belongs to a plan and to the sessions that were counted. Errors: a table cannot be used.
    pub async fn read(site: &Site, record: PlanRecord, live: Live) -> Result<Self> {
        let (mut reports, mut unreadable, mut pulses) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut lease_age_seconds = None;
        let (run, unreadable_run) = match site.runs.read().await {
            Ok(run) => (run, None),
            Err(cause) => (None, Some(format!("the rollout that runs cannot be read: {cause}"))),
        };
        for &version in record.plan.versions().keys() {
            let (last, now) = (site.pulses.last(version).await.context(PULSES)?, unix_now());
            // Clocks differ, and the report measures by the clocks of the instances.
            let (from, to) = (now.saturating_sub(2 * WINDOW_SECONDS), now + WINDOW_SECONDS);
            let minutes = site.pulses.minutes(version, from, to).await.context(PULSES)?;
            let alive = last.pulses.iter().filter(|pulse| is_alive(pulse, now));
            // Whoever saw the last beat is right.
            lease_age_seconds = alive.filter_map(|pulse| pulse.lease_age_seconds).chain(lease_age_seconds).min();
            let report = VersionReport::new(&last.pulses, &minutes.pulses, record.plan.revision(), now);
            reports.insert(version, report);
            unreadable.insert(version, last.unreadable);
            pulses.insert(version, last.pulses);
        }
        Ok(Self { record, live, reports, run, unreadable_run, last: pulses, lease_age_seconds, unreadable })
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
        (part, self.reports.values().fold(0, |sum, report| sum.saturating_add(report.drawn)))
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
                     their next request, or end if they are under a pass"
                )),
                _ => {}
            }
            if let Some(count) = self.unreadable.get(&version).filter(|count| **count > 0) {
                warnings.push(format!("{count} pulses of version {version} cannot be read: update this program"));
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
        warnings.extend(self.unreadable_run.clone());
        warnings.extend(self.nobody_looks());
        for (version, count) in self.live.by_version().filter(|(version, _)| !plan.versions().contains_key(version)) {
            warnings.push(format!("{} sessions are on version {version}, which is not in the plan", count.sessions));
        }
        warnings
    }

    /// What to say if a rollout should run and nobody looks at it.
    fn nobody_looks(&self) -> Option<String> {
        let run = self.run.as_ref().filter(|run| run.outcome().is_none())?;
        let holder = &run.lease.holder;
        // Without an instance that has seen it, its own clock must do.
        let by_clock = || run.report.as_ref().map(|report| unix_now().saturating_sub(report.at));
        let age = self.lease_age_seconds.or_else(by_clock);
        let silence = age.filter(|age| *age >= LEASE_SILENCE_SECONDS);
        let who = match (holder.as_str(), silence) {
            ("", _) => String::new(),
            (_, None) => return None,
            (holder, Some(seconds)) => format!(", and {holder} has not for {seconds} s"),
        };
        let canary = run.canary();
        Some(format!("NOBODY LOOKS at the rollout to version {canary}{who}: start `rollout run --to {canary}` again"))
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
    /// None were counted yet.
    pub fn unknown() -> Self {
        Self {
            counts: BTreeMap::new(),
            last_ends: Counts::new(),
            is_exact: false,
            items_read: 0,
            read_units: 0.0,
            about: "live sessions were not counted yet".to_owned(),
        }
    }

    /// Counts those that end after `now` by a scan of the table of sessions, at most `bound` items exactly. Errors: the
    /// table cannot be used.
    pub async fn count(sessions: &SessionStore, now: u64, bound: u64) -> Result<Self> {
        let live = sessions.count_live(now, bound).await.context("could not count the live sessions")?;
        let versions: BTreeSet<_> = live.counts.iter().flat_map(Counts::keys).copied().collect();
        let count = |version| {
            let counts: Vec<u64> =
                live.counts.iter().map(|counts| counts.get(&version).copied().unwrap_or(0)).collect();
            (version, Count::estimated(&counts, live.parts))
        };
        let parts_read = live.counts.len() as u64;
        let is_exact = parts_read >= live.parts;
        let how = if is_exact {
            "counted".to_owned()
        } else {
            format!("estimated from {parts_read} of {} parts of the table", live.parts)
        };
        let (items_read, read_units) = (live.items_read, live.read_units);
        let about = format!("live sessions are {how}: {items_read} items read, {read_units} read units");
        let counts = versions.into_iter().map(count).collect();
        Ok(Self { counts, last_ends: live.last_ends, is_exact, items_read, read_units, about })
    }

    /// The live sessions of a version.
    pub fn on(&self, version: VersionCode) -> Count {
        self.counts.get(&Some(version)).copied().unwrap_or_default()
    }

    /// The same for every version that has some.
    pub fn by_version(&self) -> impl Iterator<Item = (VersionCode, Count)> {
        self.counts.iter().filter_map(|(version, count)| Some(((*version)?, *count)))
    }
}

impl DrainWatch {
    /// `gone`: instances that the operator knows to be switched off.
    pub fn new(version: VersionCode, gone: Gone) -> Self {
        Self { version, gone, revision: 0, last_end: 0, quiet_since: None }
    }

    /// Everything that keeps the version from being switched off now, and how many items were read to know it.
    ///
    /// Errors: a table cannot be used, or there is no plan.
    pub async fn look(&mut self, site: &Site) -> Result<(Vec<Obstacle>, u64)> {
        // Nothing less than every item says that there is no session.
        let live = Live::count(&site.sessions, unix_now(), u64::MAX).await?;
        self.last_end = live.last_ends.get(&Some(self.version)).copied().unwrap_or(0).max(self.last_end);
        let last = site.pulses.last(self.version).await.context(PULSES)?;
        // Read last: a plan that gave the version sessions meanwhile is seen.
        let record =
            read_plan_in_force(&site.client, &site.rollout_table).await?.context("there is no plan any more")?;
        if record.plan.revision() != self.revision {
            (self.revision, self.quiet_since) = (record.plan.revision(), None);
        }
        let departing = Departing {
            version: self.version,
            sessions: live.on(self.version).sessions,
            last_end: self.last_end,
            last: &last.pulses,
            unreadable: last.unreadable,
            quiet_since: self.quiet_since.as_ref(),
            gone: &self.gone,
        };
        let now = unix_now();
        let obstacles = departing.obstacles(&record, now);
        if departing.is_quiet(now) {
            let sequences = self.quiet_since.get_or_insert_default();
            for pulse in &last.pulses {
                sequences.entry(pulse.instance.clone()).or_insert(pulse.sequence);
            }
        } else {
            self.quiet_since = None;
        }
        Ok((obstacles, live.items_read))
    }
}

const PULSES: &str = "could not read what the instances report";
