//! A server's answer, on its way to the viewer.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::{ConnectionType, Method, StatusCode, Version};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, body};
use hyper::body::{Body as _, Incoming};
use hyper::http;
use tokio::time::Sleep;

use super::fields::answered_fields;
use super::pool::Lease;

/// The answer as the viewer gets it. Its body is streamed.
pub(super) fn hand_on(
    answer: http::Response<Incoming>,
    mut lease: Lease,
    viewer: &HttpRequest,
    pause: Duration,
    ends: impl Future<Output = ()> + 'static,
) -> HttpResponse {
    let (head, incoming) = answer.into_parts();
    let is_head = viewer.method() == Method::HEAD;
    if head.version != http::Version::HTTP_11 {
        // hyper would send the next request as HTTP/1.0 too, and drop a body of unknown length.
        lease.retire();
    }
    // A length beside a transfer encoding is wrong, and nobody may go by it (RFC 9112, section 6.3).
    let is_encoded = head.headers.contains_key(http::header::TRANSFER_ENCODING);
    let length = head.headers.get(http::header::CONTENT_LENGTH).filter(|_| !is_encoded);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let has_body = !incoming.is_end_stream();
    let size = match length {
        // The length of the body that a GET would get, and no body.
        Some(length) if is_head || !has_body => BodySize::Sized(length),
        None if is_head => BodySize::None,
        None if !has_body => BodySize::Sized(0),
        Some(length) => BodySize::Sized(length),
        None => BodySize::Stream,
    };
    let mut response = HttpResponse::new(status(head.status));
    if head.status == http::StatusCode::NOT_MODIFIED || head.status == http::StatusCode::NO_CONTENT {
        lease.release();
        put_fields(&mut response, &head.headers);
        return response;
    }
    let body = if has_body {
        body::BoxBody::new(AnswerBody {
            incoming,
            size,
            lease: Some(lease),
            pause,
            pausing: None,
            ends: Box::pin(ends),
        })
    } else {
        lease.release();
        body::BoxBody::new(NoBody(size))
    };
    let mut response = response.set_body(body);
    put_fields(&mut response, &head.headers);
    if let (true, BodySize::Sized(length)) = (is_head, size) {
        response.head_mut().no_chunking(true);
        response.headers_mut().insert(actix_web::http::header::CONTENT_LENGTH, length.into());
    }
    if viewer.version() == Version::HTTP_10 { close_after(response) } else { response }
}

/// The same, on the last use of the viewer's connection: the viewer may have sent more for a tunnel.
pub(super) fn close_after(mut response: HttpResponse) -> HttpResponse {
    response.head_mut().set_connection_type(ConnectionType::Close);
    if response.body().size() == BodySize::Stream {
        // The end of the connection is the end of the body.
        response.head_mut().no_chunking(true);
    }
    response
}

pub(super) fn status(status: http::StatusCode) -> StatusCode {
    StatusCode::from_u16(status.as_u16()).expect("both libraries take the same numbers")
}

pub(super) fn put_fields(response: &mut HttpResponse, fields: &http::HeaderMap) {
    for (name, value) in answered_fields(fields) {
        response.headers_mut().append(name, value);
    }
}

/// A body without a byte that says which length the answer to a GET would have.
struct NoBody(BodySize);

impl MessageBody for NoBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, io::Error>>> {
        Poll::Ready(None)
    }
}

/// The body. The first part of the answer is with the viewer already, so the only way to tell about a failure
/// is to break off.
struct AnswerBody<E> {
    incoming: Incoming,
    size: BodySize,
    /// Goes back to the pool when the body is complete.
    lease: Option<Lease>,
    pause: Duration,
    /// Runs while the server pauses.
    pausing: Option<Pin<Box<Sleep>>>,
    ends: Pin<Box<E>>,
}

impl<E: Future<Output = ()>> MessageBody for AnswerBody<E> {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        if this.ends.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::ConnectionAborted).into())));
        }
        loop {
            match Pin::new(&mut this.incoming).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    this.pausing = None;
                    // Trailers are dropped.
                    if let Ok(part) = frame.into_data() {
                        return Poll::Ready(Some(Ok(part)));
                    }
                }
                Poll::Ready(Some(Err(cause))) => return Poll::Ready(Some(Err(cause.into()))),
                Poll::Ready(None) => {
                    if let Some(lease) = this.lease.take() {
                        lease.release();
                    }
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    let pause = this.pause;
                    let pausing = this.pausing.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
                    return match pausing.as_mut().poll(context) {
                        Poll::Ready(()) => Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into()))),
                        Poll::Pending => Poll::Pending,
                    };
                }
            }
        }
    }
}
