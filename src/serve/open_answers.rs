//! The answers that a sidecar is still sending: event streams, WebSockets, long downloads.
//!
//! While an answer is open, its session is renewed. When the version is withdrawn or its drain is over, an answer
//! that never ends by itself is broken off, so that the viewer comes back and is moved.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::rt;
use actix_web::web::Data;
use futures_util::{StreamExt as _, stream};
use prometheus_client::metrics::gauge::Gauge;
use stickshift_contract::Receipt;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::heartbeat::Standing;
use super::session_layer::SessionLayer;

/// How often sessions are renewed that are due.
const ROUND: Duration = Duration::from_secs(10);

/// How many sessions are renewed at once.
const AT_ONCE: usize = 16;

/// All open answers of one thread.
#[derive(Debug, Clone)]
pub(super) struct OpenAnswers(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    answers: RefCell<HashMap<Id, Open>>,
    next_id: Cell<Id>,
    is_renewing: Cell<bool>,
    /// Counts the open answers of all threads.
    count: Gauge,
}

type Id = u64;

#[derive(Debug)]
struct Open {
    /// The session that it belongs to, and when that was last renewed.
    session: Option<(Receipt, Instant)>,
    /// Whether it never ends by itself.
    is_endless: bool,
    /// Dropped, it ends the answer.
    _end: oneshot::Sender<()>,
}

/// Ready when the answer is to be broken off. It lives as long as the answer.
#[derive(Debug)]
pub(super) struct Ended {
    id: Id,
    end: oneshot::Receiver<()>,
    open: Rc<Shared>,
}

impl OpenAnswers {
    pub(super) fn new(count: Gauge) -> Self {
        let (answers, next_id, is_renewing) = (RefCell::default(), Cell::new(0), Cell::new(false));
        Self(Rc::new(Shared { answers, next_id, is_renewing, count }))
    }

    /// An answer begins. `session`: the one that it keeps alive.
    pub(super) fn begin(&self, session: Option<Receipt>) -> (Id, Ended) {
        let id = self.0.next_id.get();
        self.0.next_id.set(id + 1);
        let (sender, end) = oneshot::channel();
        let session = session.map(|receipt| (receipt, Instant::now()));
        self.0.answers.borrow_mut().insert(id, Open { session, is_endless: false, _end: sender });
        self.0.count.inc();
        (id, Ended { id, end, open: Rc::clone(&self.0) })
    }

    /// The answer never ends by itself, so it is ended when the server stops or the version's sessions must move.
    pub(super) fn mark_endless(&self, id: Id) {
        if let Some(open) = self.0.answers.borrow_mut().get_mut(&id) {
            open.is_endless = true;
        }
    }

    /// Renews sessions and ends answers, as long as the thread lives.
    pub(super) fn look_after(&self, sessions: Data<SessionLayer>, mut standing: watch::Receiver<Standing>) {
        let open = self.clone();
        rt::spawn(async move {
            let mut round = tokio::time::interval(ROUND);
            loop {
                tokio::select! {
                    // In a task of its own: a slow table must not keep answers from being ended.
                    _ = round.tick() => if !open.0.is_renewing.replace(true) {
                        let (open, sessions) = (open.clone(), sessions.clone());
                        rt::spawn(async move {
                            open.renew(&sessions).await;
                            open.0.is_renewing.set(false);
                        });
                    },
                    changed = standing.changed() => {
                        if changed.is_err() {
                            return;
                        }
                    }
                }
                let standing = *standing.borrow_and_update();
                // Any other answer ends by itself.
                open.end(|open| open.is_endless && (standing.is_stopping || standing.is_out()));
            }
        });
    }

    /// Ends every answer that is `over`.
    fn end(&self, over: impl Fn(&Open) -> bool) {
        self.0.answers.borrow_mut().retain(|_, open| !over(open));
    }

    async fn renew(&self, sessions: &SessionLayer) {
        let touch_interval = sessions.touch_interval();
        let due: Vec<(Id, Receipt)> = self
            .0
            .answers
            .borrow_mut()
            .iter_mut()
            .filter_map(|(id, open)| {
                let (receipt, renewed_at) = open.session.as_mut()?;
                if renewed_at.elapsed() < touch_interval {
                    return None;
                }
                *renewed_at = Instant::now();
                Some((*id, *receipt))
            })
            .collect();
        let renewals = stream::iter(due).for_each_concurrent(AT_ONCE, async |(id, receipt)| {
            let Some(renewed) = sessions.keep(receipt).await else { return };
            if let Some(Open { session: Some((receipt, _)), .. }) = self.0.answers.borrow_mut().get_mut(&id) {
                *receipt = renewed;
            }
        });
        renewals.await;
    }
}

impl Future for Ended {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.end).poll(context).map(|_| ())
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.open.answers.borrow_mut().remove(&self.id);
        self.open.count.dec();
    }
}
