//! The first page, which shows the viewer's session.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use chrono::{DateTime, SecondsFormat};
use stickshift_contract::{Route, VersionCode};
use stickshift_session::Session;

use super::{RenderError, html};
use crate::serve::session_layer::{Entered, SessionLayer};
use crate::theme::Theme;

/// What the page of one version depends on.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub(super) version: VersionCode,
    pub(super) theme: Theme,
    /// How long a session goes on after its last visit.
    pub(super) session_seconds: u64,
}

#[derive(Template)]
#[template(path = "home.html")]
struct Page<'a> {
    version: VersionCode,
    theme: &'a Theme,
    session: Session,
    /// How long the session goes on if the viewer does not come back. Every view begins it anew.
    remaining_seconds: u64,
    reason: &'static str,
}

/// `/`
pub(super) async fn home(request: HttpRequest, layer: web::Data<SessionLayer>, home: web::Data<Home>) -> HttpResponse {
    layer.in_session(&request, async |entered| home.page(entered)).await
}

impl Home {
    fn page(&self, Entered { session, route, .. }: Entered) -> Result<HttpResponse, RenderError> {
        let Self { version, ref theme, session_seconds } = *self;
        let session = match session {
            Session::New(receipt) => Session::Here { receipt, is_new: true },
            session => session,
        };
        let page = Page { version, theme, session, remaining_seconds: session_seconds, reason: in_words(route) };
        let mut text = String::with_capacity(1024);
        page.render_into(&mut text)?;
        Ok(html(StatusCode::OK).body(text))
    }
}

/// The only one of chrono's formats that is not parsed on every call. Parsing showed up in the page's
/// profile.
fn rfc_3339(unix_seconds: u64) -> String {
    let time = DateTime::from_timestamp(unix_seconds.cast_signed(), 0).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The edge's reason in words for viewers.
fn in_words(route: Option<Route>) -> &'static str {
    match route {
        None => "straight to this origin, past the edge",
        Some(Route::Asset) => "asset: the address names this version",
        Some(Route::Pass) => "pass: somebody gave you a pass to this version, and your own session waits",
        Some(Route::Receipt) => "receipt: your cookie proves a recent visit to this version",
        Some(Route::Record) => "record: the sessions table has you on this version",
        Some(Route::Hint) => "hint: your cookie names this version, and the sessions table could not tell better",
        Some(Route::Bot) => "bot: crawlers and monitors see the stable version",
        Some(Route::Stray) => "stray: you came without a session, and this request cannot begin one",
        Some(Route::Roll) => "roll: you came without a session, and this version was drawn for you by weight",
        Some(Route::Moved) => "moved: the version you were on serves nobody any more",
        Some(Route::Fallback) => "fallback: the edge could not decide and chose the stable version",
    }
}
