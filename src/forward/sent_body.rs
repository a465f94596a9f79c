//! The body of a request, on its way to the server.

use std::cell::Cell;
use std::error::Error as _;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use actix_web::error::PayloadError;
use actix_web::web::{self, Bytes};
use futures_util::Stream as _;
use hyper::body::{Body, Frame, SizeHint};

use super::ForwardError;

/// The viewer's body, or none.
pub(super) struct SentBody {
    payload: Option<web::Payload>,
    /// The bytes that are still to come, if the length is known.
    rest: Option<u64>,
    /// How many more bytes are allowed, and how many were in the beginning.
    allowed: u64,
    limit: u64,
    progress: Rc<Progress>,
}

/// How far a body has come.
#[derive(Debug)]
pub(super) struct Progress {
    /// When the server accepted the last part.
    pub(super) last_sent: Cell<Instant>,
    /// Whether the next part must come from the viewer.
    pub(super) waits_for_viewer: Cell<bool>,
}

/// Why no more of a body is sent.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error("it has more than {0} bytes")]
    TooLarge(u64),
    #[error("the viewer broke off: {0}")]
    Viewer(PayloadError),
}

impl SentBody {
    pub(super) fn empty() -> Self {
        let progress = Progress { last_sent: Cell::new(Instant::now()), waits_for_viewer: Cell::new(false) };
        Self { payload: None, rest: Some(0), allowed: 0, limit: 0, progress: Rc::new(progress) }
    }

    /// A body of `length` bytes, or of unknown length. Errors: it is larger than `limit`.
    pub(super) fn new(payload: web::Payload, length: Option<u64>, limit: u64) -> Result<Self, ForwardError> {
        match length {
            Some(length) if length > limit => Err(ForwardError::TooLarge(limit)),
            rest => Ok(Self { payload: Some(payload), rest, allowed: limit, limit, ..Self::empty() }),
        }
    }

    /// How far it has come, now and later.
    pub(super) fn progress(&self) -> Rc<Progress> {
        Rc::clone(&self.progress)
    }
}

/// What the body's own error means for the viewer, if that is what failed.
pub(super) fn refusal(cause: &hyper::Error) -> Option<ForwardError> {
    match cause.source()?.downcast_ref()? {
        Stopped::TooLarge(limit) => Some(ForwardError::TooLarge(*limit)),
        Stopped::Viewer(_) => Some(ForwardError::BadRequest("the request's body ended early")),
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(payload) = &mut self.payload else { return Poll::Ready(None) };
        let polled = Pin::new(payload).poll_next(context);
        self.progress.waits_for_viewer.set(polled.is_pending());
        let part = ready!(polled);
        // The server's time begins when it has the whole request. So every part that it accepts begins the
        // time again.
        self.progress.last_sent.set(Instant::now());
        Poll::Ready(match part {
            None => None,
            Some(Err(cause)) => Some(Err(Stopped::Viewer(cause).into())),
            Some(Ok(part)) => {
                let size = part.len() as u64;
                if size > self.allowed {
                    return Poll::Ready(Some(Err(Stopped::TooLarge(self.limit).into())));
                }
                self.allowed -= size;
                self.rest = self.rest.map(|rest| rest.saturating_sub(size));
                Some(Ok(Frame::data(part)))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.payload.is_none() || self.rest == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
