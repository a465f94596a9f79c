//! The page, and what a view of it does to the viewer's session.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue, SET_COOKIE, USER_AGENT,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError, web};
use askama::Template;
use chrono::{DateTime, SecondsFormat};
use stickshift_contract::{Receipt, Route, Token, VersionCode, is_bot};

use super::Version;
use super::guard::{route, text_header};
use super::sessions::{Sessions, StoreError, Written};
use super::visit::{Proof, Standing, Visit};
use crate::theme::Theme;
use crate::unix_now;

/// What the browser wants the answer for ([Fetch Metadata](https://www.w3.org/TR/fetch-metadata/#sec-fetch-dest-header)).
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Why a page could not be served. Viewers get the plain 500 page, the log gets the cause.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    #[error("could not write the session: {0}")]
    Store(#[from] StoreError),
    #[error("could not render the page: {0}")]
    Render(#[from] askama::Error),
}

/// How a view ends for the session.
enum Outcome {
    /// On this version; with a receipt that was issued now, or without.
    Ours(Receipt, IsNew),
    /// On another version, and left alone.
    Foreign(Token, VersionCode),
    /// Nobody knows just now.
    Unknown,
    /// No session.
    Nobody,
}

enum IsNew {
    Yes,
    No,
}

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    theme: &'a Theme,
    outcome: &'a Outcome,
    /// What a session has left from this view on: all of it.
    remaining_seconds: u64,
    way: &'static str,
}

#[derive(Template)]
#[template(path = "not_found.html")]
struct NotFound<'a> {
    theme: &'a Theme,
}

/// `/`
pub(super) async fn page(
    request: HttpRequest,
    version: web::Data<Version>,
    sessions: web::Data<Sessions>,
) -> Result<HttpResponse, PageError> {
    let now = unix_now();
    let route = route(&request);
    let cookie = &version.settings.shared.cookie;
    let is_document = request.method() == actix_web::http::Method::GET
        && text_header(&request, &SEC_FETCH_DEST).is_none_or(|destination| destination == "document");
    let visit = Visit {
        claim: cookie.read(request.headers().get_all(COOKIE).map(HeaderValue::as_bytes), now),
        route,
        is_document,
        user_agent: text_header(&request, &USER_AGENT).unwrap_or_default(),
    };
    let outcome = match visit.standing(version.settings.theme.code, &cookie.timing) {
        Standing::Kept(receipt) => {
            if is_document {
                version.metrics.writes_saved.inc();
            }
            Outcome::Ours(receipt, IsNew::No)
        }
        // Boxed, since a call to DynamoDB is a future of many kilobytes, which a view without one need not move about.
        standing => {
            let view = View { version: &version, sessions: &sessions, user_agent: visit.user_agent, now };
            Box::pin(view.settle(standing)).await?
        }
    };
    let page = Page {
        theme: &version.settings.theme,
        outcome: &outcome,
        remaining_seconds: cookie.timing.session_seconds,
        way: way(route),
    };
    let page = page.render()?;
    let mut response = html(StatusCode::OK);
    if let Outcome::Ours(receipt, IsNew::Yes) = &outcome {
        response.insert_header((SET_COOKIE, cookie.write(receipt, is_https(&request))));
    }
    Ok(response.body(page))
}

/// Every address that leads nowhere.
pub(super) async fn not_found(version: web::Data<Version>) -> Result<HttpResponse, PageError> {
    let page = NotFound { theme: &version.settings.theme }.render()?;
    Ok(html(StatusCode::NOT_FOUND).body(page))
}

/// Methods that a page does not take.
pub(super) async fn method_not_allowed() -> HttpResponse {
    plain(StatusCode::METHOD_NOT_ALLOWED)
        .insert_header((ALLOW, "GET, HEAD"))
        .body("405: this page takes GET and HEAD\n")
}

/// A view that has to ask or tell DynamoDB something.
struct View<'a> {
    version: &'a Version,
    sessions: &'a Sessions,
    user_agent: &'a str,
    now: u64,
}

impl View<'_> {
    /// Does what a request's standing asks for: begins a session, renews it or leaves it alone.
    ///
    /// Errors: without keys, the session could not be written. With keys the receipt stands in for the item, which
    /// follows with the next write.
    async fn settle(&self, standing: Standing) -> Result<Outcome, PageError> {
        let here = self.version.settings.theme.code;
        match standing {
            Standing::Outside => Ok(Outcome::Nobody),
            Standing::Kept(receipt) => Ok(Outcome::Ours(receipt, IsNew::No)),
            Standing::Foreign(receipt) => Ok(self.leave_alone(receipt.token, receipt.version)),
            Standing::New => self.begin().await,
            Standing::Due(receipt, proof) => {
                let receipt = Receipt { version: here, touched: self.now, ..receipt };
                match self.write(&receipt, proof).await {
                    Ok(Written::Done { started }) => Ok(Outcome::Ours(Receipt { started, ..receipt }, IsNew::Yes)),
                    Ok(Written::Refused(item)) => {
                        let owner = item.and_then(|item| item.version).unwrap_or(here);
                        Ok(self.leave_alone(receipt.token, owner))
                    }
                    Err(cause) => self.survive(cause, Outcome::Ours(receipt, IsNew::Yes)),
                }
            }
            Standing::Unproven(token, proof) => {
                let receipt = self.fresh(token);
                match self.write(&receipt, proof).await {
                    Ok(Written::Done { started }) => Ok(Outcome::Ours(Receipt { started, ..receipt }, IsNew::Yes)),
                    Ok(Written::Refused(item)) => {
                        let live = item.filter(|item| item.is_live(self.now));
                        match live.and_then(|item| item.version).filter(|owner| *owner != here) {
                            Some(owner) => Ok(self.leave_alone(token, owner)),
                            // The session is over or never was: its token is not taken over.
                            None if is_bot(self.user_agent) => Ok(Outcome::Nobody),
                            None => self.begin().await,
                        }
                    }
                    Err(cause) => self.survive(cause, Outcome::Unknown),
                }
            }
        }
    }

    async fn begin(&self) -> Result<Outcome, PageError> {
        let receipt = self.fresh(Token::generate(&mut rand::rng()));
        self.version.metrics.sessions_begun.inc();
        match self.sessions.begin(&receipt, self.expiration()).await {
            Ok(()) => {
                self.note_written();
                Ok(Outcome::Ours(receipt, IsNew::Yes))
            }
            Err(cause) => self.survive(cause, Outcome::Ours(receipt, IsNew::Yes)),
        }
    }

    async fn write(&self, receipt: &Receipt, proof: Proof) -> Result<Written, StoreError> {
        let written = self.sessions.write(receipt, self.expiration(), proof).await?;
        if matches!(written, Written::Done { .. }) {
            self.note_written();
        }
        Ok(written)
    }

    fn fresh(&self, token: Token) -> Receipt {
        Receipt { token, version: self.version.settings.theme.code, started: self.now, touched: self.now }
    }

    fn expiration(&self) -> u64 {
        self.now + self.version.settings.shared.cookie.timing.lifetime_seconds()
    }

    fn note_written(&self) {
        self.version.outage.note_success(self.now);
        self.version.metrics.writes_made.inc();
    }

    /// A write failed: with keys the page is served all the same, without them it cannot be.
    fn survive(&self, cause: StoreError, outcome: Outcome) -> Result<Outcome, PageError> {
        self.version.metrics.writes_failed.inc();
        if self.version.settings.shared.cookie.keys.is_none() {
            return Err(cause.into());
        }
        self.version.outage.note_failure(&cause, self.now);
        Ok(outcome)
    }

    fn leave_alone(&self, token: Token, owner: VersionCode) -> Outcome {
        self.version.metrics.foreign_views.inc();
        Outcome::Foreign(token, owner)
    }
}

/// CloudFront must neither cache a page nor answer two waiting viewers with one response.
fn html(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("private, no-store")))
        .insert_header((CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")));
    response
}

/// An answer in a few plain words, for monitors and for whoever took a wrong turn.
pub(super) fn plain(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((CACHE_CONTROL, "no-store")).content_type("text/plain; charset=utf-8");
    response
}

/// The one of chrono's formats that is not parsed anew on every call, which showed in the profile of a page.
fn rfc_3339(unix_seconds: u64) -> String {
    let time = DateTime::from_timestamp(unix_seconds.cast_signed(), 0).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Whether the viewer came by HTTPS, as CloudFront tells it, or else a load balancer. Not both: behind CloudFront a
/// balancer tells of CloudFront's own connection.
fn is_https(request: &HttpRequest) -> bool {
    const NAMES: [HeaderName; 2] =
        [HeaderName::from_static("cloudfront-forwarded-proto"), HeaderName::from_static("x-forwarded-proto")];
    NAMES.iter().find_map(|name| text_header(request, name)) == Some("https")
}

/// The edge's reason in words for viewers.
fn way(route: Option<Route>) -> &'static str {
    match route {
        None => "straight to this origin, past the edge",
        Some(Route::Asset) => "asset: the address names this version",
        Some(Route::Receipt) => "receipt: your cookie proves a recent visit to this version",
        Some(Route::Record) => "record: the sessions table has you on this version",
        Some(Route::Hint) => "hint: your cookie names this version, and the sessions table could not tell better",
        Some(Route::Bot) => "bot: crawlers and monitors see the stable version",
        Some(Route::Roll) => "roll: you came without a session, and this version was drawn for you by weight",
        Some(Route::Moved) => "moved: the version you were on serves nobody any more",
        Some(Route::Fallback) => "fallback: the edge could not decide and chose the stable version",
    }
}

impl ResponseError for PageError {
    fn error_response(&self) -> HttpResponse {
        HttpResponse::InternalServerError()
            .insert_header((CACHE_CONTROL, "no-store"))
            .content_type("text/html; charset=utf-8")
            .body(
                "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Error 500</title></head>\
                 <body><h1>ERROR 500</h1><p>We expected unexpected!</p></body></html>\n",
            )
    }
}
