//! What all pages show: one watch channel, which every page looks at. And when the tables are read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::frame::Frame;
use super::range::Range;

/// How often the tables are read while a page is open.
pub(super) const PACE: Duration = Duration::from_secs(2);

/// The same while none is: only for the live sessions, which nobody else keeps.
pub(super) const IDLE_PACE: Duration = Duration::from_secs(60);

/// How long a page waits for the tables before it shows what is known.
const PATIENCE: Duration = Duration::from_secs(5);

/// What pages show, and how they ask for more.
#[derive(Debug, Default)]
pub(super) struct Board {
    shown: watch::Sender<Shown>,
    /// When somebody changed something here.
    changed_at: watch::Sender<Option<Instant>>,
    waits: Notify,
    opened: Notify,
}

/// The newest frames, by the place of their range in [`Range::EVERY`].
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    frames: [Arc<Frame>; Range::EVERY.len()],
    /// When the look behind them began; `None` before the first one.
    began_at: Option<Instant>,
    looked_at: Option<Instant>,
    /// Whether the dashboard stops.
    pub(super) has_ended: bool,
}

impl Shown {
    pub(super) fn frame(&self, range: Range) -> &Arc<Frame> {
        let place = Range::EVERY.iter().position(|other| *other == range).unwrap_or(0);
        &self.frames[place]
    }
}

impl Board {
    /// What a page that is open sees from now on. As long as somebody has it, the tables are read at [`PACE`].
    pub(super) fn open(&self) -> watch::Receiver<Shown> {
        let shown = self.shown.subscribe();
        self.opened.notify_one();
        shown
    }

    /// What a page begins with: it is as new as the tables are, unless they do not answer in time.
    pub(super) async fn fresh(&self) -> Shown {
        let changed_at = *self.changed_at.borrow();
        let mut shown = self.shown.subscribe();
        let is_fresh = |shown: &Shown| {
            let is_young = shown.looked_at.is_some_and(|looked_at| looked_at.elapsed() < PACE);
            is_young && (changed_at.is_none() || shown.began_at > changed_at)
        };
        if !is_fresh(&shown.borrow()) {
            self.waits.notify_one();
            tokio::time::timeout(PATIENCE, shown.wait_for(is_fresh)).await.ok();
        }
        shown.borrow().clone()
    }

    /// Somebody has changed the plan here, and wants to see it.
    pub(super) fn note_change(&self) {
        self.changed_at.send_replace(Some(Instant::now()));
        self.waits.notify_one();
    }

    /// The streams of events end.
    pub(super) fn end(&self) {
        self.shown.send_modify(|shown| shown.has_ended = true);
    }

    /// Whether a page is open.
    pub(super) fn is_open(&self) -> bool {
        self.shown.receiver_count() > 0
    }

    pub(super) async fn somebody_waits(&self) {
        self.waits.notified().await;
    }

    pub(super) async fn page_opened(&self) {
        self.opened.notified().await;
    }

    /// Shows the next frame of every range. `began_at`: when the look behind it began, if there was one.
    pub(super) fn show(&self, began_at: Option<Instant>, frame: impl Fn(Range, &Frame) -> Frame) {
        let before = self.shown.borrow().clone();
        let frames = Range::EVERY.map(|range| Arc::new(frame(range, before.frame(range))));
        let looked_at = began_at.map(|_| Instant::now());
        self.shown.send_modify(|shown| {
            (shown.frames, shown.began_at, shown.looked_at) = (frames, began_at, looked_at);
        });
    }
}
