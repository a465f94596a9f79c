//! The page, the way in, and short messages.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::{self, Form, Query, ReqData};
use actix_web::{HttpResponse, HttpResponseBuilder};
use askama::Template;
use serde::Deserialize;

use super::board::Board;
use super::frame::Frame;
use super::guard::{Guard, Viewer};
use super::range::{Range, RangeQuery};
use super::{Facts, RELEASE};

/// The way in for a person with a link.
pub(super) const ENTER: &str = "/enter";

/// Pages load only what this server has. The plans of a site are nobody else's business.
const CONTENT_SECURITY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                                connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "dashboard/page.html")]
struct Page<'a> {
    site: &'a str,
    range: Range,
    release: &'a str,
    frame: &'a Frame,
    person: Option<String>,
    may_change: bool,
}

/// A page that says one thing.
#[derive(Template, Default)]
#[template(path = "dashboard/message.html")]
pub(super) struct Message {
    title: String,
    lines: Vec<String>,
    /// A link to copy.
    link: Option<String>,
    /// The token that the button sends.
    token: Option<String>,
}

/// The parameter of a link.
#[derive(Deserialize)]
pub(super) struct Token {
    token: String,
}

impl Message {
    pub(super) fn new(title: &str, lines: Vec<String>) -> Self {
        Self { title: title.to_owned(), lines, ..Self::default() }
    }

    /// With a link to copy.
    pub(super) fn with_link(self, link: &str) -> Self {
        Self { link: Some(link.to_owned()), ..self }
    }

    pub(super) fn answer(&self, status: StatusCode) -> HttpResponse {
        html(status, self)
    }
}

/// An answer with the security headers.
pub(super) fn answer(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((CONTENT_SECURITY_POLICY, CONTENT_SECURITY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // No other site keeps a handle on a window with the dashboard.
        .insert_header(("cross-origin-opener-policy", "same-origin"))
        // Without a referrer, browsers would send forms with `Origin: null`.
        .insert_header((REFERRER_POLICY, "same-origin"));
    response
}

/// A page.
pub(super) fn html(status: StatusCode, template: &impl Template) -> HttpResponse {
    let text = template.render().expect("writing to a String cannot fail");
    answer(status)
        .insert_header((CACHE_CONTROL, "private, no-store"))
        .content_type("text/html; charset=utf-8")
        .body(text)
}

/// Leads a browser to a page after it has sent a form.
pub(super) fn see(path: &str) -> HttpResponseBuilder {
    let mut response = answer(StatusCode::SEE_OTHER);
    response.insert_header((LOCATION, path)).insert_header((CACHE_CONTROL, "private, no-store"));
    response
}

/// `/`
pub(super) async fn page(
    query: Query<RangeQuery>,
    board: web::Data<Arc<Board>>,
    facts: web::Data<Facts>,
    viewer: ReqData<Viewer>,
) -> HttpResponse {
    let shown = board.fresh().await;
    let page = Page {
        site: &facts.site.name,
        range: query.range,
        release: RELEASE,
        frame: shown.frame(query.range),
        person: viewer.into_inner().name,
        may_change: facts.may_change,
    };
    html(StatusCode::OK, &page)
}

/// `GET /enter`: a button. What reads links in a chat before people do must not use them up.
pub(super) async fn ask(query: Query<Token>, guard: web::Data<Guard>) -> HttpResponse {
    let Some(name) = guard.people.as_ref().and_then(|people| people.owner_of(&query.token)) else { return used_up() };
    let lines = vec![
        "This link works once. What you change on the dashboard then has your name in the history.".to_owned(),
        "Enter it in the browser in which you want to use it.".to_owned(),
    ];
    let message = Message { token: Some(query.into_inner().token), ..Message::new(&format!("Hello, {name}"), lines) };
    message.answer(StatusCode::OK)
}

/// `POST /enter`: uses the link up.
pub(super) async fn enter(form: Form<Token>, guard: web::Data<Guard>) -> HttpResponse {
    match guard.people.as_ref().and_then(|people| people.enter(&form.token)) {
        Some(cookie) => see("/").insert_header((SET_COOKIE, cookie)).finish(),
        None => used_up(),
    }
}

fn used_up() -> HttpResponse {
    let lines = [
        "It was used already, or it is of another start of the dashboard.",
        "If you did not use it yourself, somebody else has: stop the dashboard, and start it again.",
    ];
    Message::new("This link does not work", lines.map(str::to_owned).to_vec()).answer(StatusCode::FORBIDDEN)
}

/// Every other path.
pub(super) async fn not_found() -> HttpResponse {
    Message::new("Nothing is here", Vec::new()).answer(StatusCode::NOT_FOUND)
}
