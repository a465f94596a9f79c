//! The stream of [server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html): first all of the
//! page, then what changes.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{self, Bytes, Query};
use actix_web::{Error, HttpResponse};
use futures_util::stream;
use tokio::sync::watch;

use super::RELEASE;
use super::board::{Board, Shown};
use super::page::answer;
use super::range::{Range, RangeQuery};

/// So often a page hears something, so that neither it nor a proxy takes the connection for dead.
const BEAT: Duration = Duration::from_secs(10);

/// The comment keeps the connection open. A page cannot see comments, and sees the event instead.
const BEAT_TEXT: &[u8] = b": beat\nevent: beat\ndata: 1\n\n";

/// A page that is open.
struct Page {
    range: Range,
    shown: watch::Receiver<Shown>,
    /// The number of the last frame that was sent; 0 for none.
    sent: u64,
}

/// `/events`
pub(super) async fn events(query: Query<RangeQuery>, board: web::Data<Arc<Board>>) -> HttpResponse {
    let mut shown = board.open();
    board.fresh().await;
    shown.mark_changed();
    let page = Page { range: query.range, shown, sent: 0 };
    answer(StatusCode::OK)
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store, no-transform"))
        // nginx would collect events before it sends them.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(stream::unfold(page, async |mut page| {
            let bytes = page.next().await?;
            Some((Ok::<Bytes, Error>(bytes), page))
        }))
}

impl Page {
    /// What to send next; `None` once the dashboard stops.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            match tokio::time::timeout(BEAT, self.shown.changed()).await {
                Err(_) => return Some(Bytes::from_static(BEAT_TEXT)),
                Ok(Err(_)) => return None,
                Ok(Ok(())) => {}
            }
            let shown = self.shown.borrow_and_update().clone();
            if shown.has_ended {
                return None;
            }
            let frame = shown.frame(self.range);
            if frame.number == self.sent {
                continue;
            }
            let bytes = frame.change_since(self.sent).unwrap_or_else(|| frame.snapshot(RELEASE));
            self.sent = frame.number;
            return Some(bytes);
        }
    }
}
