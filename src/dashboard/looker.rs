//! Reads the tables again and again, for all pages together, and makes the frames that they show.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use stickshift_contract::{PlanRecord, VersionCode};
use stickshift_rollout::{Series, begin_of, first_minute};
use tokio::sync::{Notify, watch};

use super::charts::Source;
use super::frame::Frame;
use super::parts;
use super::range::Range;
use crate::clock::unix_now;
use crate::operator::Site;
use crate::operator::status::{COUNTED_ITEMS, Live, Status};
use crate::store::live::{LiveSample, read_live, write_live};
use crate::store::plans::history;

/// How often the tables are read while a page is open.
pub const PACE: Duration = Duration::from_secs(2);

/// The same while none is: only for the live sessions, which nobody else keeps.
pub const IDLE_PACE: Duration = Duration::from_secs(60);

/// How long a page waits for the tables before it shows what is known.
const PATIENCE: Duration = Duration::from_secs(5);

/// Counting sessions takes at most so many read units a second on average: a large table is counted less often.
pub const COUNT_UNITS_A_SECOND: f64 = 50.0;

/// So many plans are shown.
const PLANS: u16 = 50;

/// After a longer pause, the pulses of the minutes in between are read.
const LONGEST_GAP_SECONDS: u64 = 90;

/// What all pages show, and how they ask for it.
#[derive(Debug, Default)]
pub(super) struct Board {
    shown: watch::Sender<Shown>,
    /// Somebody waits for the next look.
    wake: Notify,
    /// A page was opened.
    opened: Notify,
}

/// The newest frames, by the place of their range in [`Range::EVERY`].
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    pub(super) frames: [Arc<Frame>; Range::EVERY.len()],
    looked_at: Option<Instant>,
}

/// What was read.
pub(super) struct Looker {
    site: Arc<Site>,
    board: Arc<Board>,
    may_change: bool,
    status: Option<Status>,
    /// Unix seconds of the last look that succeeded.
    read_at: u64,
    /// What keeps the tables from being read.
    trouble: Option<String>,
    series: Series,
    history: Vec<PlanRecord>,
    live: BTreeMap<u64, BTreeMap<VersionCode, u64>>,
    counted: Option<(Live, Instant)>,
    may_not_write: bool,
    /// Every version that has a color: one that leaves the plan keeps it.
    versions: Vec<VersionCode>,
}

impl Board {
    /// What a page that is open sees from now on. As long as somebody has it, the tables are read at [`PACE`].
    pub(super) fn open(&self) -> watch::Receiver<Shown> {
        let shown = self.shown.subscribe();
        self.opened.notify_one();
        shown
    }

    /// What a page begins with: it is as new as the tables are, unless they do not answer.
    pub(super) async fn fresh(&self) -> Shown {
        let mut shown = self.shown.subscribe();
        let is_fresh = |shown: &Shown| shown.looked_at.is_some_and(|looked_at| looked_at.elapsed() < PACE);
        if !is_fresh(&shown.borrow()) {
            self.wake.notify_one();
            tokio::time::timeout(PATIENCE, shown.wait_for(is_fresh)).await.ok();
        }
        let fresh = shown.borrow().clone();
        fresh
    }

    /// Somebody has changed the plan, and wants to see it.
    pub(super) fn look_now(&self) {
        self.wake.notify_one();
    }
}

impl Shown {
    pub(super) fn frame(&self, range: Range) -> &Arc<Frame> {
        let place = Range::EVERY.iter().position(|other| *other == range).unwrap_or(0);
        &self.frames[place]
    }
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
            history: Vec::new(),
            live: BTreeMap::new(),
            counted: None,
            may_not_write: false,
            versions: Vec::new(),
        }
    }

    /// Looks for ever.
    pub(super) async fn run(mut self) {
        loop {
            let looked = self.look().await;
            self.note(looked);
            let frames = self.frames();
            self.board.shown.send_replace(Shown { frames, looked_at: Some(Instant::now()) });
            self.pause().await;
        }
    }

    /// Waits for the next look: longer while no page is open.
    async fn pause(&self) {
        let begin = tokio::time::Instant::now();
        loop {
            let is_open = self.board.shown.receiver_count() > 0;
            tokio::select! {
                () = tokio::time::sleep_until(begin + if is_open { PACE } else { IDLE_PACE }) => return,
                () = self.board.wake.notified() => return,
                () = self.board.opened.notified() => {}
            }
        }
    }

    /// Reads everything once. Errors: a table cannot be used, or there is no plan.
    async fn look(&mut self) -> Result<()> {
        let record = self.site.plan_in_force().await?;
        let live = self.count().await?;
        let now = unix_now();
        let revision = record.plan.revision();
        let status = Status::read(&self.site, record, live).await?;
        let first = first_minute(now);
        if self.read_at == 0 {
            let samples = read_live(&self.site.client, &self.site.rollout_table, first).await;
            let samples = samples.context("could not read the live sessions of before")?;
            self.live.extend(samples.into_iter().map(|sample| (sample.at, sample.sessions)));
        }
        if self.read_at + LONGEST_GAP_SECONDS < now {
            for &version in status.last.keys() {
                let minutes =
                    self.site.pulses.minutes(version, self.read_at.max(first), now + LONGEST_GAP_SECONDS).await;
                let minutes = minutes.context("could not read the pulses of the last minutes")?;
                minutes.pulses.iter().for_each(|pulse| self.series.note(version, pulse));
            }
        }
        for (version, pulses) in &status.last {
            pulses.iter().for_each(|pulse| self.series.note(*version, pulse));
        }
        self.series.forget_before(first);
        self.live.retain(|at, _| *at >= first);
        if self.history.first().is_none_or(|newest| newest.plan.revision() != revision) {
            let plans = history(&self.site.client, &self.site.rollout_table, PLANS).await;
            self.history = plans.context("could not read the history")?;
        }
        self.status = Some(status);
        self.read_at = now;
        Ok(())
    }

    /// The live sessions, counted now or not long ago.
    async fn count(&mut self) -> Result<Live> {
        if let Some((live, next)) = &self.counted
            && Instant::now() < *next
        {
            return Ok(live.clone());
        }
        let now = unix_now();
        let live = Live::count(&self.site.sessions, now, COUNTED_ITEMS).await?;
        let pause = Duration::from_secs_f64((live.read_units / COUNT_UNITS_A_SECOND).clamp(0.0, 3_600.0));
        self.counted = Some((live.clone(), Instant::now() + pause));
        let sessions = live.by_version().map(|(version, count)| (version, count.sessions)).collect();
        let sample = LiveSample { at: now, sessions };
        let is_in_new_minute = self.live.keys().next_back().is_none_or(|at| begin_of(*at, 60) < begin_of(now, 60));
        if is_in_new_minute
            && let Err(cause) = write_live(&self.site.client, &self.site.rollout_table, &sample).await
            && !std::mem::replace(&mut self.may_not_write, true)
        {
            log::warn!("the live sessions of each minute could not be kept, so a restart forgets them: {cause}");
        }
        // One in a minute is enough.
        if !is_in_new_minute {
            self.live.pop_last();
        }
        self.live.insert(now, sample.sessions);
        Ok(live)
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

    fn frames(&mut self) -> [Arc<Frame>; Range::EVERY.len()] {
        let planned = self.status.iter().flat_map(|status| status.record.plan.versions().keys().copied());
        let known: BTreeSet<VersionCode> = self.versions.iter().copied().collect();
        let joined: Vec<_> = planned.chain(self.series.versions()).filter(|version| !known.contains(version)).collect();
        for version in joined {
            if !self.versions.contains(&version) {
                self.versions.push(version);
            }
        }
        let trouble = self.trouble.as_ref().map(|cause| (self.read_at, cause.as_str()));
        let parts =
            parts::parts(self.status.as_ref(), &self.history, &self.versions, trouble, self.read_at, self.may_change);
        let source = Source {
            series: &self.series,
            history: &self.history,
            live: &self.live,
            run: self.status.as_ref().and_then(|status| status.run.as_ref()),
            versions: &self.versions,
            now: self.read_at,
        };
        let before = self.board.shown.borrow().clone();
        let frame = |range: Range| {
            let earlier = before.looked_at.map(|_| before.frame(range).as_ref());
            Arc::new(Frame::after(earlier, parts.clone(), source.charts(range)))
        };
        Range::EVERY.map(frame)
    }
}
