//! Reads the tables again and again, for all pages together, and makes the frames that they show.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::rt;
use anyhow::{Context as _, Result};
use stickshift_contract::{PlanRecord, VersionCode};
use stickshift_rollout::{Series, begin_of, first_minute};

use super::AbortOnDrop;
use super::board::{Board, IDLE_PACE, PACE};
use super::charts::charts;
use super::columns::Source;
use super::frame::Frame;
use super::parts::Known;
use super::range::Range;
use crate::clock::unix_now;
use crate::operator::Site;
use crate::operator::status::{COUNTED_ITEMS, Live, Status};
use crate::store::live::{LiveSample, read_live, write_live};
use crate::store::plans::history;

/// Counting sessions takes at most so many read units a second on average: a large table is counted less often.
const COUNT_UNITS_A_SECOND: f64 = 50.0;

/// When sessions could not be counted, the next attempt is not made before this.
const PAUSE_AFTER_A_FAILURE: Duration = Duration::from_secs(10);

/// So many plans are read. All of them but the last are shown, because each is compared with the one before.
const PLANS: u16 = 51;

/// When the last pulses of a version were not read for longer, those of the minutes in between are read: otherwise what
/// instances counted meanwhile would all be in one minute.
const LONGEST_GAP_SECONDS: u64 = 15;

/// The same for a version that is not in the plan any more. Only its minutes are read.
const GAP_WITHOUT_PLAN_SECONDS: u64 = 60;

/// The clocks of instances may differ so far from this one. To read a pulse twice changes nothing.
const CLOCKS_DIFFER_SECONDS: u64 = 120;

/// How long the first page waits for the first count.
const COUNT_PATIENCE: Duration = Duration::from_secs(2);

/// Minutes are read in stretches of two hours. One that fails is read again, and not the whole day.
const MINUTES_AT_ONCE_SECONDS: u64 = 7_200;

/// What was read.
pub(super) struct Looker {
    site: Arc<Site>,
    board: Arc<Board>,
    may_change: bool,
    status: Option<Status>,
    /// Unix seconds of the last look that succeeded; 0 before.
    read_at: u64,
    /// What keeps the tables from being read.
    trouble: Option<String>,
    series: Series,
    /// Up to when the pulses of each version are in `series`, in Unix seconds.
    noted_until: BTreeMap<VersionCode, u64>,
    history: Vec<PlanRecord>,
    /// Live sessions by the time at which they were counted; `None` before those of earlier dashboards were read.
    live: Option<BTreeMap<u64, BTreeMap<VersionCode, u64>>>,
    counted: Live,
    /// When they were counted, in Unix seconds; 0 for never.
    counted_at: u64,
    /// A large table takes a while, and nothing waits for it.
    counting: Option<AbortOnDrop<Result<(u64, Live)>>>,
    count_at: Instant,
    /// What keeps the sessions from being counted.
    count_trouble: Option<String>,
    /// What keeps the minutes from being read.
    chart_trouble: Option<String>,
    may_not_write: bool,
    /// Every version that has a color, in the order in which they came.
    versions: Vec<VersionCode>,
}

impl Looker {
    pub(super) fn new(site: Arc<Site>, board: Arc<Board>, may_change: bool) -> Self {
        Self {
            site,
            board,
            may_change,
            status: None,
            read_at: 0,
            trouble: None,
            series: Series::default(),
            noted_until: BTreeMap::new(),
            history: Vec::new(),
            live: None,
            counted: Live::unknown(),
            counted_at: 0,
            counting: None,
            count_at: Instant::now(),
            count_trouble: None,
            chart_trouble: None,
            may_not_write: false,
            versions: Vec::new(),
        }
    }

    /// Looks for ever.
    pub(super) async fn run(mut self) {
        // A page that is opened before the first look has everything that the look will fill.
        self.show(None);
        loop {
            let began_at = Instant::now();
            let looked = self.look().await;
            self.note(looked);
            self.show(Some(began_at));
            self.pause().await;
        }
    }

    /// Waits for the next look: longer while no page is open.
    async fn pause(&self) {
        let begin = tokio::time::Instant::now();
        loop {
            let pace = if self.board.is_open() { PACE } else { IDLE_PACE };
            tokio::select! {
                () = tokio::time::sleep_until(begin + pace) => return,
                () = self.board.somebody_waits() => return,
                () = self.board.page_opened() => {}
            }
        }
    }

    /// Reads everything once. Errors: the table of plans cannot be used, or there is no plan.
    async fn look(&mut self) -> Result<()> {
        let record = self.site.plan_in_force().await?;
        let now = unix_now();
        if self.live.is_none() {
            let samples = read_live(&self.site.client, &self.site.rollout_table, first_minute(now)).await;
            let samples = samples.context("could not read the live sessions of before")?;
            self.live = Some(samples.into_iter().map(|sample| (sample.at, sample.sessions)).collect());
        }
        self.count().await;
        let revision = record.plan.revision();
        if self.history.first().is_none_or(|newest| newest.plan.revision() != revision) {
            let plans = history(&self.site.client, &self.site.rollout_table, PLANS).await;
            self.history = plans.context("could not read the history")?;
        }
        let status = Status::read(&self.site, record, self.counted.clone()).await?;
        let noted = self.note_pulses(&status, now).await;
        self.chart_trouble = noted.err().map(|cause| format!("{cause:#}"));
        self.status = Some(status);
        self.read_at = now;
        Ok(())
    }

    /// Notes what instances have written since the last look. Errors: it cannot be read.
    async fn note_pulses(&mut self, status: &Status, now: u64) -> Result<()> {
        let first = first_minute(now);
        self.series.forget_before(first);
        let planned = self.history.iter().flat_map(|record| record.plan.versions().keys());
        let versions: BTreeSet<VersionCode> = planned.chain(status.last.keys()).copied().collect();
        for version in versions {
            let is_planned = status.last.contains_key(&version);
            let gap = if is_planned { LONGEST_GAP_SECONDS } else { GAP_WITHOUT_PLAN_SECONDS };
            let mut from = self.noted_until.get(&version).copied().unwrap_or(0).max(first);
            while from + gap < now {
                let until = (from + MINUTES_AT_ONCE_SECONDS).min(now);
                let (earliest, latest) = (from.saturating_sub(CLOCKS_DIFFER_SECONDS), until + CLOCKS_DIFFER_SECONDS);
                let minutes = self.site.pulses.minutes(version, earliest, latest).await;
                let minutes = minutes.context("could not read the pulses of earlier minutes")?;
                minutes.pulses.iter().for_each(|pulse| self.series.note(version, pulse));
                self.noted_until.insert(version, until);
                from = until;
            }
        }
        for (&version, pulses) in &status.last {
            pulses.iter().for_each(|pulse| self.series.note(version, pulse));
            self.noted_until.insert(version, now);
        }
        Ok(())
    }

    /// Counts the live sessions in the background, unless they were counted not long ago. What cannot be counted is as
    /// before.
    async fn count(&mut self) {
        if self.counting.is_none() && Instant::now() >= self.count_at {
            let sessions = self.site.sessions.clone();
            self.counting = Some(AbortOnDrop(rt::spawn(async move {
                let now = unix_now();
                Ok((now, Live::count(&sessions, now, COUNTED_ITEMS).await?))
            })));
        }
        let patience = if self.counted_at == 0 { COUNT_PATIENCE } else { Duration::ZERO };
        let Some(counting) = &mut self.counting else { return };
        let Ok(counted) = tokio::time::timeout(patience, &mut counting.0).await else { return };
        self.counting = None;
        match counted.map_err(anyhow::Error::from).flatten() {
            Ok((at, live)) => {
                let pause = Duration::from_secs_f64((live.read_units / COUNT_UNITS_A_SECOND).clamp(0.0, 3_600.0));
                self.count_at = Instant::now() + pause;
                let sessions = live.by_version().map(|(version, count)| (version, count.sessions)).collect();
                (self.counted, self.counted_at, self.count_trouble) = (live, at, None);
                self.keep(LiveSample { at, sessions }).await;
            }
            Err(cause) => {
                self.count_at = Instant::now() + PAUSE_AFTER_A_FAILURE;
                self.count_trouble = Some(format!("{cause:#}"));
            }
        }
    }

    /// Keeps one sample of each minute, for the dashboards to come.
    async fn keep(&mut self, sample: LiveSample) {
        let live = self.live.get_or_insert_default();
        let is_first = live.keys().next_back().is_none_or(|at| begin_of(*at, 60) < begin_of(sample.at, 60));
        if !is_first {
            live.pop_last();
        }
        live.insert(sample.at, sample.sessions.clone());
        live.retain(|at, _| *at >= first_minute(sample.at));
        if !is_first {
            return;
        }
        if let Err(cause) = write_live(&self.site.client, &self.site.rollout_table, &sample).await
            && !std::mem::replace(&mut self.may_not_write, true)
        {
            log::warn!("the live sessions of each minute could not be kept, so a restart forgets them: {cause}");
        }
    }

    fn note(&mut self, looked: Result<()>) {
        match looked {
            Ok(()) => {
                if self.trouble.take().is_some() {
                    log::info!("the tables answer again");
                }
            }
            Err(cause) => {
                if self.trouble.is_none() {
                    log::warn!("{cause:#}; trying again");
                }
                self.trouble = Some(format!("{cause:#}"));
            }
        }
    }

    /// Shows what is known now.
    fn show(&mut self, began_at: Option<Instant>) {
        self.color_versions();
        let shown_plans =
            if self.history.len() == usize::from(PLANS) { self.history.len() - 1 } else { self.history.len() };
        let known = Known {
            status: self.status.as_ref(),
            history: &self.history,
            shown_plans,
            versions: &self.versions,
            trouble: self.trouble.as_deref(),
            count_trouble: self.count_trouble.as_deref(),
            chart_trouble: self.chart_trouble.as_deref(),
            counted_at: self.counted_at,
            read_at: self.read_at,
            reads: self.site.calls.reads.get(),
            may_change: self.may_change,
        };
        let parts = known.parts();
        let live = BTreeMap::new();
        let source = Source {
            series: &self.series,
            history: &self.history,
            live: self.live.as_ref().unwrap_or(&live),
            run: self.status.as_ref().and_then(|status| status.run.as_ref()),
            versions: &self.versions,
            now: if self.read_at == 0 { unix_now() } else { self.read_at },
        };
        self.board
            .show(began_at, |range: Range, before: &Frame| Frame::after(before, parts.clone(), charts(&source, range)));
    }

    /// A version keeps its color as long as the plan or a chart has it.
    fn color_versions(&mut self) {
        let planned = self.status.iter().flat_map(|status| status.record.plan.versions().keys().copied());
        let counted = self.live.iter().flat_map(|live| live.values()).flat_map(|counts| counts.keys().copied());
        let present: BTreeSet<VersionCode> = planned.chain(self.series.versions()).chain(counted).collect();
        self.versions.retain(|version| present.contains(version));
        let joined: Vec<_> = present.into_iter().filter(|version| !self.versions.contains(version)).collect();
        self.versions.extend(joined);
    }
}
