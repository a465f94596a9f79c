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
    /// The parts of the page that are the same for every viewer.
    top: String,
    bottom: String,
    /// How long a session goes on after its last visit.
    session_seconds: u64,
}

#[derive(Template)]
#[template(path = "home.html", block = "top")]
struct Top<'a> {
    version: VersionCode,
    theme: &'a Theme,
}

/// The viewer's part of the page.
#[derive(Template)]
#[template(path = "home.html", block = "main")]
struct Main {
    session: Session,
    /// How long the session goes on if the viewer does not come back. Every view begins it anew.
    remaining_seconds: u64,
    reason: &'static str,
}

#[derive(Template)]
#[template(path = "home.html", block = "bottom")]
struct Bottom;

/// `/`
pub(super) async fn home(request: HttpRequest, layer: web::Data<SessionLayer>, home: web::Data<Home>) -> HttpResponse {
    layer.in_session(&request, async |entered| home.page(entered)).await
}

impl Home {
    pub(super) fn new(version: VersionCode, theme: &Theme, session_seconds: u64) -> Self {
        let top = Top { version, theme }.render().expect("a String takes any text");
        let bottom = Bottom.render().expect("a String takes any text");
        Self { top, bottom, session_seconds }
    }

    fn page(&self, Entered { session, route, .. }: Entered) -> Result<HttpResponse, RenderError> {
        let session = match session {
            Session::New(receipt) => Session::Here { receipt, is_new: true },
            session => session,
        };
        let main = Main { session, remaining_seconds: self.session_seconds, reason: in_words(route) };
        // A page has about 900 bytes.
        let mut text = String::with_capacity(1024);
        text.push_str(&self.top);
        main.render_into(&mut text)?;
        text.push_str(&self.bottom);
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
