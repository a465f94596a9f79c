//! The session layer: it gives every request its session.
//!
//! It reads what the request claims, does the writes that the session rules ask for, and lets the app answer. When the
//! status of the answer is known, it writes a new session and sets the cookie.

use std::time::{Duration, Instant};

use actix_web::http::header::{
    ACCEPT, CACHE_CONTROL, COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, USER_AGENT,
};
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError, web};
use log::Level;
use stickshift_contract::{
    BareTokens, Claim, Kind, KindInputs, Receipt, Route, SameSite, SessionCookie, Timing, Token, VersionCode, is_bot,
};
use stickshift_session::{Change, Pending, Rules, Session, Step, Visit, Written};

use super::answers::error_page;
use super::edge_headers::{EdgeHeaders, is_https, route, text};
use super::metrics::Metrics;
use super::tally::FirstRequest;
use crate::clock::unix_now;
use crate::minute_log::MinuteLog;
use crate::store::activity::{Activity, ActivityStep};
use crate::store::sessions::{SessionStore, SessionStoreError, SessionWritten};

/// What the requests of one thread share.
#[derive(Debug)]
pub(super) struct SessionLayer {
    rules: Rules,
    cookie: SessionCookie,
    /// The same for sessions under a pass.
    cookie_under_pass: SessionCookie,
    store: SessionStore,
    metrics: web::Data<Metrics>,
    logs: web::Data<SessionLogs>,
}

/// What is logged once a minute.
#[derive(Debug)]
pub(super) struct SessionLogs {
    outage: MinuteLog,
    misdirected: MinuteLog,
    activity: MinuteLog,
    failures: MinuteLog,
}

/// The session could not be written, and without keys no receipt can stand in for it. The viewer gets the
/// error page, the log gets the cause.
#[derive(Debug, thiserror::Error)]
#[error("could not write the session: {0}")]
pub(super) struct Unwritten(SessionStoreError);

/// What the session layer has found out about a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entered {
    /// Its session.
    pub(super) session: Session,
    /// What it may do to the session.
    pub(super) kind: Kind,
    /// The edge's reason; `None` if it did not come through the edge.
    pub(super) route: Option<Route>,
    /// When the request came. `None` if its session is certainly not new: reading the clock takes time.
    begin: Option<Instant>,
}

/// What became of a step of the app's activity.
pub(super) enum Taken {
    /// It is in the session's item.
    Written,
    /// The activity is no longer as the form has shown it. This is what the item holds.
    Overtaken(Activity),
    /// The table did not answer. The step may be in the item all the same.
    Unwritten,
    /// The request has no session on this version that it could be written to.
    NoSession,
}

impl Default for SessionLogs {
    fn default() -> Self {
        Self {
            activity: MinuteLog::new(Level::Warn, "the activities of sessions could not be used", None),
            failures: MinuteLog::new(Level::Warn, "the first failures of sessions could not be recorded", None),
            outage: MinuteLog::new(Level::Warn, "sessions could not be written", Some("sessions can be written again")),
            misdirected: MinuteLog::new(
                Level::Error,
                "requests were meant for another version, so an origin in the plan is wrong",
                Some("requests come to the right version again"),
            ),
        }
    }
}

impl SessionLayer {
    pub(super) fn new(
        version: VersionCode,
        cookie: &SessionCookie,
        store: SessionStore,
        metrics: web::Data<Metrics>,
        logs: web::Data<SessionLogs>,
    ) -> Self {
        let rules = Rules { version, timing: cookie.timing, has_keys: cookie.keys.is_some() };
        Self { rules, cookie: cookie.clone(), cookie_under_pass: cookie.under_pass(), store, metrics, logs }
    }

    /// Answers a request in its session. `answer` is the app.
    pub(super) async fn in_session<R: Responder>(
        &self,
        request: &HttpRequest,
        answer: impl AsyncFnOnce(Entered) -> R,
    ) -> HttpResponse {
        let entered = match self.enter(request, None).await {
            (Ok(entered), _) => entered,
            (Err(cause), _) => return HttpResponse::from_error(cause),
        };
        let Entered { session, kind, begin, .. } = entered;
        let first_request = match session {
            Session::New(receipt) => {
                FirstRequest::arrived(&self.metrics, receipt.placed, begin.unwrap_or_else(Instant::now))
            }
            _ => None,
        };
        let mut response = answer(entered).await.respond_to(request).map_into_boxed_body();
        let has_failed = response.status().is_server_error();
        let session = match session {
            // After a failure, the viewer's next try is drawn again.
            Session::New(receipt) if !has_failed => match Box::pin(self.begin(receipt)).await {
                Ok(session) => session,
                Err(cause) => {
                    if let Some(first_request) = first_request {
                        first_request.answered(true);
                    }
                    return HttpResponse::from_error(cause);
                }
            },
            session => session,
        };
        if let Some(first_request) = first_request {
            first_request.answered(has_failed);
        }
        // Only what may renew a session can fail it.
        if kind != Kind::Rest {
            self.end(request, session, &mut response);
        }
        response
    }

    /// The cookie that a request's session is in. The edge alone says whether there is a pass.
    fn cookie_for(&self, route: Option<Route>) -> &SessionCookie {
        if route == Some(Route::Pass) { &self.cookie_under_pass } else { &self.cookie }
    }

    fn set_cookie(&self, request: &HttpRequest, headers: &mut HeaderMap, receipt: &Receipt) {
        let cookie = self.cookie_for(route(request)).write(receipt, is_https(request));
        let cookie = HeaderValue::from_str(&cookie).expect("a session cookie is ASCII");
        headers.append(SET_COOKIE, cookie);
        // CloudFront must neither cache the cookie nor answer two waiting viewers with one response.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }

    /// The tokens that the viewer's cookies claim for this request, of whichever age.
    pub(super) fn claimed_tokens(&self, request: &HttpRequest) -> Vec<Token> {
        claimed_tokens(self.cookie_for(route(request)), request)
    }

    /// The tokens that the viewer's cookies claim with a pass and without, of whichever age.
    pub(super) fn every_claimed_token(&self, request: &HttpRequest) -> Vec<Token> {
        [&self.cookie, &self.cookie_under_pass].iter().flat_map(|cookie| claimed_tokens(cookie, request)).collect()
    }

    /// The activity could not be read or deleted.
    pub(super) fn note_activity_failure(&self, cause: &SessionStoreError) {
        self.logs.activity.note(cause);
    }

    /// Where the app's activity is read.
    pub(super) fn store(&self) -> &SessionStore {
        &self.store
    }

    /// Gives a posted step of the activity its session, in the place of [`Self::in_session`], and writes the step
    /// together with the renewal of that session. `None`: what was posted is no step, so the session is only renewed
    /// if it is time.
    pub(super) async fn take_step(
        &self,
        request: &HttpRequest,
        step: Option<&ActivityStep>,
    ) -> (Result<Session, Unwritten>, Taken) {
        let (entered, taken) = self.enter(request, step).await;
        if let Err(Unwritten(cause)) = &entered {
            // No error page tells of it.
            self.logs.outage.note(cause);
        }
        (entered.map(|entered| entered.session), taken)
    }

    /// Ends a request that has got its session: a new receipt goes out, and a 5xx is recorded.
    pub(super) fn end(&self, request: &HttpRequest, session: Session, response: &mut HttpResponse) {
        if let Some(receipt) = issued_receipt(session) {
            self.set_cookie(request, response.headers_mut(), &receipt);
        }
        if response.status().is_server_error() {
            self.note_failure(session);
        }
    }

    /// Finds the session, and renews or moves it if that is due, before the app answers.
    async fn enter(
        &self,
        request: &HttpRequest,
        activity_step: Option<&ActivityStep>,
    ) -> (Result<Entered, Unwritten>, Taken) {
        let (step, kind, route) = self.decide(request, activity_step.is_some());
        let begin = matches!(step, Step::Done(Session::New(_)) | Step::Write(_)).then(Instant::now);
        let (session, taken) = match step {
            Step::Done(session) => {
                if kind != Kind::Rest && matches!(session, Session::Here { .. }) {
                    self.metrics.writes_saved.inc();
                }
                (session, Taken::NoSession)
            }
            // Boxed, because a call to DynamoDB is a future of many kilobytes. A request without a write
            // need not move it about.
            Step::Write(pending) => match Box::pin(self.write_with(*pending, activity_step)).await {
                (Ok(session), taken) => (session, taken),
                (Err(cause), taken) => return (Err(cause), taken),
            },
        };
        match session {
            Session::Elsewhere { .. } => {
                self.metrics.foreign_views.inc();
            }
            Session::Misdirected => {
                self.metrics.misdirected.inc();
                let chosen = EdgeHeaders::read(request).version.map_or_else(String::new, |version| version.to_string());
                self.logs.misdirected.note(&format_args!("the edge chose version {chosen}"));
            }
            _ => self.logs.misdirected.note_success(),
        }
        (Ok(Entered { session, kind, route, begin }), taken)
    }

    /// Decides what a request does to its session before the app answers. `is_step`: whether it posts a step of the
    /// activity. It is not `async`: its variables would make the caller's future larger, and futures are copied.
    fn decide(&self, request: &HttpRequest, is_step: bool) -> (Step, Kind, Option<Route>) {
        let now = unix_now();
        let EdgeHeaders { route, version: chosen, revision, from, formats } = EdgeHeaders::read(request);
        let kind = match route {
            Some(Route::Asset | Route::Stray) => Kind::Rest,
            // A form of ours was filled in by somebody, whatever the browser calls itself.
            _ if is_step => Kind::Visit,
            _ => kind(request, self.cookie.same_site),
        };
        let cookies = request.headers().get_all(COOKIE).map(HeaderValue::as_bytes);
        let claim = self.cookie_for(route).read(cookies, now, is_https(request));
        let visit = Visit { claim, kind, route, chosen, revision, from, is_step };
        let step = self.rules.enter(&visit, now, &mut rand::rng());
        // An edge in use is seen here at least once in each touch interval of a session.
        if let (Some(formats), Some(_), Step::Write(_) | Step::Done(Session::New(_))) = (formats, route, &step) {
            self.metrics.tally.note_edge(formats, now);
        }
        (step, kind, route)
    }

    /// Writes a new session.
    async fn begin(&self, receipt: Receipt) -> Result<Session, Unwritten> {
        let session = self.write(self.rules.begin(receipt)).await?;
        if issued_receipt(session).is_some() {
            self.metrics.sessions_begun.inc();
        }
        Ok(session)
    }

    /// Renews a session for an answer that is still open, if it is time. Returns its new receipt, or `None` if
    /// the session is over, elsewhere or unknown.
    pub(super) async fn keep(&self, receipt: Receipt) -> Option<Receipt> {
        let claim = match BareTokens::collect([receipt.token]) {
            Some(token) if !self.rules.has_keys => Claim::Bare(token),
            _ => Claim::Receipt(receipt),
        };
        let visit =
            Visit { claim, kind: Kind::Visit, route: None, chosen: None, revision: None, from: None, is_step: false };
        let session = match self.rules.enter(&visit, unix_now(), &mut rand::rng()) {
            Step::Done(session) => session,
            Step::Write(pending) => self.write(*pending).await.ok()?,
        };
        match session {
            Session::Here { receipt, .. } => Some(receipt),
            _ => None,
        }
    }

    /// How often a session is renewed.
    pub(super) fn touch_interval(&self) -> Duration {
        Duration::from_secs(self.rules.timing.touch_interval_seconds)
    }

    /// Does a write and whatever follows from it.
    async fn write(&self, pending: Pending) -> Result<Session, Unwritten> {
        self.write_with(pending, None).await.0
    }

    /// The same with a step of the activity. It goes with the first write that leaves its session on this version.
    async fn write_with(
        &self,
        mut pending: Pending,
        activity_step: Option<&ActivityStep>,
    ) -> (Result<Session, Unwritten>, Taken) {
        let mut taken = Taken::NoSession;
        loop {
            let token = pending.write.claimed.receipt.token;
            let step = activity_step.filter(|step| matches!(taken, Taken::NoSession) && step.session == token);
            let carries_step = step.is_some() && matches!(pending.write.change, Change::Renew | Change::Place);
            let (written, failure) = match self.store.write(&pending.write, step).await {
                Ok(SessionWritten::Session(written)) => (written, None),
                Ok(SessionWritten::FirstFinish(written)) => {
                    self.metrics.sessions_finished.inc();
                    if let Written::Done { placed, .. } = written {
                        self.metrics.tally.note_finished_session(placed);
                    }
                    (written, None)
                }
                Ok(SessionWritten::Overtaken(activity)) => {
                    // The session's own write is still to be done.
                    taken = Taken::Overtaken(activity);
                    continue;
                }
                Err(cause) => (Written::Failed, Some(cause)),
            };
            match written {
                Written::Done { .. } if carries_step => taken = Taken::Written,
                Written::Failed if carries_step => taken = Taken::Unwritten,
                _ => {}
            }
            if matches!(written, Written::Done { .. }) {
                self.logs.outage.note_success();
                self.metrics.writes_made.inc();
            }
            if let Some(placed) = pending.write.first_renewal(&written) {
                self.metrics.tally.note_first_renewal(placed);
            }
            let step = self.rules.resume(pending, written, &mut rand::rng());
            if let Some(cause) = failure {
                self.metrics.note_failed_write();
                if step == Step::Done(Session::Unwritten) {
                    return (Err(Unwritten(cause)), taken);
                }
                self.logs.outage.note(&cause);
            }
            match step {
                Step::Done(session) => return (Ok(session), taken),
                Step::Write(next) => {
                    if matches!(taken, Taken::Written) {
                        // The session has turned out to be over.
                        taken = Taken::NoSession;
                    }
                    pending = *next;
                }
            }
        }
    }

    /// Records that a session has seen a 5xx, in the background: no viewer waits for it.
    fn note_failure(&self, session: Session) {
        let Session::Here { receipt: Receipt { token, placed, .. }, .. } = session else { return };
        let (store, metrics, logs) = (self.store.clone(), self.metrics.clone(), self.logs.clone());
        actix_web::rt::spawn(async move {
            match store.note_failure(token, unix_now()).await {
                Ok(true) => {
                    metrics.sessions_failed.inc();
                    metrics.tally.note_failed_session(placed);
                }
                Ok(false) => {}
                Err(cause) => logs.failures.note(&cause),
            }
        });
    }
}

/// The receipt that must go out as a cookie.
fn issued_receipt(session: Session) -> Option<Receipt> {
    match session {
        Session::Here { receipt, is_new: true } => Some(receipt),
        _ => None,
    }
}

/// The tokens that a cookie claims, also those of sessions that are past their absolute end.
fn claimed_tokens(cookie: &SessionCookie, request: &HttpRequest) -> Vec<Token> {
    let timing = Timing { session_max_seconds: 0, ..cookie.timing };
    let cookie = SessionCookie { timing, ..cookie.clone() };
    let headers = request.headers().get_all(COOKIE).map(HeaderValue::as_bytes);
    match cookie.read(headers, unix_now(), is_https(request)) {
        Claim::Receipt(receipt) => vec![receipt.token],
        Claim::Bare(tokens) => tokens.iter().collect(),
        Claim::Nothing => Vec::new(),
    }
}

/// What a request may do to a session.
fn kind(request: &HttpRequest, same_site: SameSite) -> Kind {
    const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
    const SEC_WEBSOCKET_KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
    let headers = request.headers();
    let inputs = KindInputs {
        method: request.method().as_str(),
        path: request.path(),
        fetch_destination: text(headers, &SEC_FETCH_DEST),
        accept: text(headers, &ACCEPT),
        is_websocket: headers.contains_key(SEC_WEBSOCKET_KEY),
        is_bot: headers.get(USER_AGENT).is_some_and(|name| is_bot(name.as_bytes())),
    };
    Kind::of(&inputs, same_site == SameSite::None)
}

impl ResponseError for Unwritten {
    fn error_response(&self) -> HttpResponse {
        error_page()
    }
}

#[cfg(all(test, feature = "embedded-dynamodb"))]
mod tests {
    use std::net::TcpListener;

    use actix_web::App;
    use actix_web::http::StatusCode;
    use actix_web::test::{TestRequest, call_service, init_service};
    use stickshift_contract::{Keys, Placed, SessionItem, TableNames};

    use super::*;
    use crate::local::machine::EmbeddedDynamoDb;

    fn keys() -> Keys {
        Keys::parse("0123456789abcdef0123456789abcdef").expect("a key")
    }

    /// A receipt that was issued 100 s ago: it is due.
    fn old_receipt() -> Receipt {
        let touched = unix_now() - 100;
        let version = VersionCode::parse("1").expect("a code");
        let token = Token::parse("472ed977dc2fd2700dbb03a58634f789fd58d911").expect("a token");
        Receipt { token, version, placed: Placed::default(), started: touched, touched }
    }

    #[actix_web::test]
    async fn the_status_of_the_answer_decides_what_is_written() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let dynamodb = EmbeddedDynamoDb::start(listener, None, &TableNames::default()).await.expect("a DynamoDB");
        let client = dynamodb.dynamodb().client();
        let store = SessionStore::new(client.clone(), TableNames::default().sessions);
        let version = VersionCode::parse("1").expect("a code");
        let metrics = web::Data::new(Metrics::new(version));
        let cookie = SessionCookie::new(Some(keys()));
        let layer = SessionLayer::new(version, &cookie, store, metrics.clone(), web::Data::default());
        let answer = |request: HttpRequest, layer: web::Data<SessionLayer>| async move {
            let status: u16 = request.match_info().query("status").parse().expect("a status");
            let status = StatusCode::from_u16(status).expect("a status");
            layer.in_session(&request, async |_| HttpResponse::build(status).finish()).await
        };
        let app = App::new().app_data(web::Data::new(layer)).route("/{status}", web::get().to(answer));
        let app = init_service(app).await;
        let count = async || client.scan().table_name("SessionsTable").send().await.expect("an answer").count;

        // A first answer that fails begins no session: the next try is drawn again.
        for (path, begins) in [("/500", false), ("/503", false), ("/404", true), ("/200", true)] {
            let answer = call_service(&app, TestRequest::get().uri(path).to_request()).await;
            assert_eq!(answer.headers().contains_key(SET_COOKIE), begins, "{path}");
        }
        assert_eq!(count().await, 2);

        // In a session, a failure renews like any other answer, and is recorded once.
        let cookie = format!("sessiontoken={}", keys().sign(&old_receipt()));
        for _ in 0..2 {
            let request = TestRequest::get().uri("/502").insert_header((COOKIE, cookie.as_str())).to_request();
            let answer = call_service(&app, request).await;
            assert!(answer.headers().contains_key(SET_COOKIE));
            assert_eq!(answer.headers().get(CACHE_CONTROL).expect("a header"), "private, no-store");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let key = aws_sdk_dynamodb::types::AttributeValue::S(old_receipt().token.as_str().to_owned());
        let item = client.get_item().table_name("SessionsTable").key("token", key).send().await.expect("an answer");
        let item: SessionItem = serde_dynamo::from_item(item.item.expect("an item")).expect("a session");
        assert!(item.failed.is_some_and(|failed| failed <= unix_now()));
        assert!(metrics.encode().contains("stickshift_sessions_failed_total{version=\"1\"} 1"));
    }
}
