//! The session layer: a middleware that gives every request its session.
//!
//! It reads what the request claims, does the writes that the session rules ask for, puts the
//! [`Session`] into the request's extensions, and sets the cookie on the response.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, COOKIE, HeaderName, HeaderValue, SET_COOKIE, USER_AGENT};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse, ResponseError, web};
use stickshift_contract::{SessionCookie, VersionCode};
use stickshift_session::{Guard, Pending, Rules, Session, Step, Visit, Write, Written};

use super::answers::error_page;
use super::edge_headers::{is_https, revision, route, text};
use super::metrics::Metrics;
use super::outage::Outage;
use crate::clock::unix_now;
use crate::store::sessions::{SessionStore, SessionStoreError};

/// What the requests of one thread share.
#[derive(Debug)]
pub(super) struct SessionLayer {
    rules: Rules,
    cookie: SessionCookie,
    store: SessionStore,
    metrics: web::Data<Metrics>,
    outage: web::Data<Outage>,
}

/// The session could not be written, and without keys no receipt can stand in for it. The viewer gets the
/// error page, the log gets the cause.
#[derive(Debug, thiserror::Error)]
#[error("could not write the session: {0}")]
struct Unwritten(#[source] SessionStoreError);

/// The middleware.
pub(super) async fn give_session(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let layer = request.app_data::<web::Data<SessionLayer>>().expect("`start` sets it").clone();
    let session = match layer.session(request.request()).await {
        Ok(session) => session,
        Err(cause) => {
            let (request, _) = request.into_parts();
            return Ok(ServiceResponse::from_err(cause, request).map_into_right_body());
        }
    };
    request.extensions_mut().insert(session);
    let mut response = next.call(request).await?;
    if let Session::Here { receipt, is_new: true } = &session {
        let cookie = layer.cookie.write(receipt, is_https(response.request()));
        let cookie = HeaderValue::from_str(&cookie).expect("a session cookie is ASCII");
        let headers = response.headers_mut();
        headers.append(SET_COOKIE, cookie);
        // CloudFront must neither cache the cookie nor answer two waiting viewers with one response.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }
    Ok(response.map_into_left_body())
}

impl SessionLayer {
    pub(super) fn new(
        version: VersionCode,
        cookie: &SessionCookie,
        store: SessionStore,
        metrics: web::Data<Metrics>,
        outage: web::Data<Outage>,
    ) -> Self {
        let rules = Rules { version, timing: cookie.timing, has_keys: cookie.keys.is_some() };
        Self { rules, cookie: cookie.clone(), store, metrics, outage }
    }

    /// The session of a request, after all writes.
    async fn session(&self, request: &HttpRequest) -> Result<Session, Unwritten> {
        let now = unix_now();
        let cookies = request.headers().get_all(COOKIE).map(HeaderValue::as_bytes);
        let visit = Visit {
            claim: self.cookie.read(cookies, now),
            route: route(request),
            revision: revision(request),
            is_document: is_document(request),
            user_agent: text(request, &USER_AGENT).unwrap_or_default(),
        };
        let session = match self.rules.enter(&visit, now, &mut rand::rng()) {
            Step::Done(session) => {
                if visit.is_document && matches!(session, Session::Here { .. }) {
                    self.metrics.writes_saved.inc();
                }
                session
            }
            // Boxed, because a call to DynamoDB is a future of many kilobytes. A request without a write
            // need not move it about.
            Step::Write(write, pending) => Box::pin(self.write(write, pending, now)).await?,
        };
        if matches!(session, Session::Elsewhere { .. }) {
            self.metrics.foreign_views.inc();
        }
        Ok(session)
    }

    /// Does a write and whatever follows from it.
    async fn write(&self, write: Write, pending: Pending, now: u64) -> Result<Session, Unwritten> {
        let mut next = (write, pending);
        loop {
            let (write, pending) = next;
            if write.guard == Guard::Begin {
                self.metrics.sessions_begun.inc();
            }
            let (written, failure) = match self.store.write(&write).await {
                Ok(written) => (written, None),
                Err(cause) => (Written::Failed, Some(cause)),
            };
            if matches!(written, Written::Done { .. }) {
                self.outage.note_success(now);
                self.metrics.writes_made.inc();
            }
            let step = self.rules.resume(pending, written, now, &mut rand::rng());
            if let Some(cause) = failure {
                self.metrics.writes_failed.inc();
                if step == Step::Done(Session::Unwritten) {
                    return Err(Unwritten(cause));
                }
                self.outage.note_failure(&cause, now);
            }
            match step {
                Step::Done(session) => return Ok(session),
                Step::Write(write, pending) => next = (write, pending),
            }
        }
    }
}

/// Whether the request is a GET for a document. `Sec-Fetch-Dest` says what the browser wants the answer
/// for ([Fetch Metadata](https://www.w3.org/TR/fetch-metadata/#sec-fetch-dest-header)).
fn is_document(request: &HttpRequest) -> bool {
    const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
    request.method() == Method::GET
        && text(request, &SEC_FETCH_DEST).is_none_or(|destination| destination == "document")
}

impl ResponseError for Unwritten {
    fn error_response(&self) -> HttpResponse {
        error_page()
    }
}
