//! Sends a request on to a server and streams the answer back. The local CloudFront sends requests to origins
//! with it, the sidecar to its upstream.
//!
//! It reuses connections, and opens no more than its limits allow. A WebSocket becomes a tunnel. What is
//! refused and what is changed on the way is listed in `docs/http.md`.

mod answer;
mod fields;
mod pool;
mod sent_body;
mod tunnel;

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::rc::Rc;
use std::str::FromStr;
use std::time::{Duration, Instant};

use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use actix_web::http::{Method, Version};
use actix_web::{HttpRequest, HttpResponse, web};
use hyper::Request;
use hyper::http;

use crate::causes::causes;
pub use fields::received_fields;
use pool::{Lease, Pool};
use sent_body::{Progress, SentBody};

/// A server that requests are sent to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// By TCP, with plain HTTP.
    Tcp {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
    },
    /// By a Unix domain socket.
    Unix(PathBuf),
}

/// A text names no server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}`: expected http://HOST:PORT or unix:PATH, for example http://127.0.0.1:3000 or unix:/run/app.sock")]
pub struct TargetError(String);

impl FromStr for Target {
    type Err = TargetError;

    /// Reads `http://HOST`, `http://HOST:PORT` or `unix:PATH`, with an absolute path.
    fn from_str(text: &str) -> Result<Self, TargetError> {
        let refused = || TargetError(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(refused()) };
        }
        let uri: http::Uri = text.parse().map_err(|_| refused())?;
        let (Some("http"), Some(authority), "/", None) = (uri.scheme_str(), uri.authority(), uri.path(), uri.query())
        else {
            return Err(refused());
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        // A port that is no number, and a user before the host.
        let is_whole = authority.as_str().len() == authority.host().len() || authority.port_u16().is_some();
        if host.is_empty() || !is_whole || authority.as_str().contains('@') {
            return Err(refused());
        }
        Ok(Self::Tcp { host: host.to_owned(), port: authority.port_u16().unwrap_or(80) })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { .. } => write!(f, "http://{}", self.authority()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Target {
    /// What it expects as `Host`.
    pub fn authority(&self) -> String {
        match self {
            Self::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

/// What a request and its answer may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most connections to one target that are open at once, on one thread. Further requests wait.
    pub connections: usize,
    /// How long a request waits for a connection, in all.
    pub connect: Duration,
    /// How long the server may take until it begins to answer. It counts from the begin of the request, the wait
    /// for a connection included, and again from each part of the body that the server accepts.
    pub head: Duration,
    /// How long the server may pause within its answer.
    pub pause: Duration,
    /// How long a tunnel may be silent.
    pub silence: Duration,
    /// The largest body of a request, in bytes.
    pub body_bytes: u64,
}

/// The first part of a request, as the server gets it. The framing of the body is added.
#[derive(Debug)]
pub struct Outgoing {
    /// The method.
    pub method: http::Method,
    /// Path and query.
    pub uri: http::Uri,
    /// All fields but those that are for one connection only.
    pub fields: http::HeaderMap,
}

/// Why the viewer cannot get the server's answer.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// A limit of time is over.
    #[error("{0}")]
    TooSlow(&'static str),
    /// The viewer does not send the rest of the request.
    #[error("the viewer does not send the rest of the request")]
    ViewerTooSlow,
    /// The server cannot be reached, or broke off.
    #[error("{}", causes(&**.0))]
    Unreachable(Box<dyn Error>),
    /// The request's body is larger than the limit.
    #[error("the request's body has more than {0} bytes")]
    TooLarge(u64),
    /// The request contradicts itself.
    #[error("{0}")]
    BadRequest(&'static str),
    /// The request for the server cannot be made.
    #[error("the request cannot be sent on: {0:#}")]
    Unsendable(anyhow::Error),
}

/// Sends requests on. Each thread has one.
#[derive(Debug)]
pub struct Forwarder {
    limits: Limits,
    pools: RefCell<HashMap<Target, Rc<Pool>>>,
}

impl Forwarder {
    /// Without any connection yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, pools: RefCell::default() }
    }

    /// Sends a request with the viewer's body to `target`. `outgoing` makes its first part, and makes it again
    /// if the connection turns out to be closed. When `ends` is ready, the answer is broken off.
    pub async fn forward(
        &self,
        target: &Target,
        outgoing: impl Fn() -> anyhow::Result<Outgoing>,
        viewer: &HttpRequest,
        payload: web::Payload,
        ends: impl Future<Output = ()> + 'static,
    ) -> Result<HttpResponse, ForwardError> {
        let asked = Asked::of(viewer)?;
        let (mut body, tunnel) = match asked {
            Asked::Nothing => (SentBody::empty(), None),
            Asked::Tunnel => (SentBody::empty(), Some(payload)),
            Asked::Body(size) => (SentBody::new(payload, size, self.limits.body_bytes)?, None),
        };
        let pool = self.pool(target);
        let progress = body.progress();
        let begin = Instant::now();
        let mut is_retry = false;
        loop {
            let mut lease = pool.lease(self.limits.connect.min(self.limits.head), is_retry).await?;
            let request = request(outgoing().map_err(ForwardError::Unsendable)?, asked, body);
            let is_repeatable = asked == Asked::Nothing && request.method().is_idempotent();
            // The time for a connection is part of the time for the answer.
            progress.last_sent.set(begin);
            match self.send(&mut lease, request, &progress).await {
                Ok(answer) => {
                    let switches = answer.status() == http::StatusCode::SWITCHING_PROTOCOLS;
                    return match tunnel {
                        Some(payload) if switches => {
                            lease.leave();
                            Ok(tunnel::open(answer, payload, self.limits.silence, ends))
                        }
                        None if switches => Err(ForwardError::Unreachable("it switched protocols unasked".into())),
                        _ => {
                            let response = answer::hand_on(answer, lease, viewer, self.limits.pause, ends);
                            Ok(if tunnel.is_some() { answer::close_after(response) } else { response })
                        }
                    };
                }
                // The server has closed a connection that was idle, at about the moment of this request. It is
                // sent once more, on a new connection.
                Err(Unsent { request: Some(request), .. }) if lease.is_reused() => body = request.into_body(),
                Err(Unsent { is_closed: true, .. }) if lease.is_reused() && is_repeatable => body = SentBody::empty(),
                Err(Unsent { cause, .. }) => return Err(cause),
            }
            is_retry = true;
        }
    }

    /// Sends a request, and waits for the first part of the answer.
    async fn send(
        &self,
        lease: &mut Lease,
        request: Request<SentBody>,
        progress: &Progress,
    ) -> Result<http::Response<hyper::body::Incoming>, Unsent> {
        let sending = lease.send(request);
        tokio::pin!(sending);
        loop {
            let deadline = progress.last_sent.get() + self.limits.head;
            match tokio::time::timeout_at(deadline.into(), &mut sending).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(mut failure)) => {
                    let request = failure.take_message();
                    let error = failure.into_error();
                    let is_closed = error.is_incomplete_message() || error.is_closed() || error.is_canceled();
                    let cause = sent_body::refusal(&error);
                    let cause = cause.unwrap_or_else(|| ForwardError::Unreachable(Box::new(error)));
                    return Err(Unsent { request, cause, is_closed });
                }
                Err(_) if progress.last_sent.get() + self.limits.head > Instant::now() => {}
                Err(_) => {
                    let cause = if progress.waits_for_viewer.get() {
                        ForwardError::ViewerTooSlow
                    } else {
                        ForwardError::TooSlow("it took too long to answer")
                    };
                    return Err(Unsent { request: None, cause, is_closed: false });
                }
            }
        }
    }

    fn pool(&self, target: &Target) -> Rc<Pool> {
        if let Some(pool) = self.pools.borrow().get(target) {
            return Rc::clone(pool);
        }
        let pool = Rc::new(Pool::new(target.clone(), self.limits.connections));
        self.pools.borrow_mut().insert(target.clone(), Rc::clone(&pool));
        pool
    }
}

/// A request that got no answer.
struct Unsent {
    /// The request itself, if no part of it was sent.
    request: Option<Request<SentBody>>,
    cause: ForwardError,
    /// Whether the connection was closed before an answer began.
    is_closed: bool,
}

/// What a request brings besides its first part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Nothing,
    /// A body of so many bytes, or of unknown length.
    Body(Option<u64>),
    /// A WebSocket ([RFC 6455, section 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)).
    Tunnel,
}

impl Asked {
    fn of(viewer: &HttpRequest) -> Result<Self, ForwardError> {
        let headers = viewer.headers();
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.trim().parse().ok());
        let has_body = length.is_some_and(|length: u64| length > 0) || headers.contains_key(TRANSFER_ENCODING);
        // actix-web looks at every such field, and takes what follows for the WebSocket's, without an end.
        let is_websocket =
            headers.get_all(UPGRADE).any(|name| name.as_bytes().trim_ascii().eq_ignore_ascii_case(b"websocket"));
        let is_upgrade =
            viewer.head().upgrade() && viewer.method() == Method::GET && viewer.version() == Version::HTTP_11;
        match () {
            () if viewer.method() == Method::CONNECT => Err(ForwardError::BadRequest("CONNECT is not served")),
            () if is_websocket && (has_body || !is_upgrade) => {
                Err(ForwardError::BadRequest("a WebSocket begins with a GET by HTTP/1.1 without a body"))
            }
            () if is_websocket => Ok(Self::Tunnel),
            () if has_body => Ok(Self::Body(length)),
            () => Ok(Self::Nothing),
        }
    }
}

/// A whole request, with the fields that frame its body.
fn request(outgoing: Outgoing, asked: Asked, body: SentBody) -> Request<SentBody> {
    use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
    use http::{HeaderValue, Method};
    let Outgoing { method, uri, fields } = outgoing;
    let mut request = Request::new(body);
    let has_usual_body = matches!(method, Method::POST | Method::PUT | Method::PATCH);
    (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri, fields);
    let fields = request.headers_mut();
    match asked {
        Asked::Nothing if has_usual_body => drop(fields.insert(CONTENT_LENGTH, 0.into())),
        Asked::Nothing => {}
        Asked::Body(Some(length)) => drop(fields.insert(CONTENT_LENGTH, length.into())),
        Asked::Body(None) => drop(fields.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
        Asked::Tunnel => {
            fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
    }
    request
}
