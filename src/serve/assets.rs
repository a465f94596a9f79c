//! What pages load: under `/_v/<version>/`, where it may be cached for ever, since a new version has another path.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::Version;
use super::page::{self, PageError};
use crate::theme::Theme;

/// The assets of one version, made at the start.
#[derive(Debug)]
pub(super) struct Assets {
    style: Bytes,
    icon: Bytes,
}

const COUNTDOWN: &[u8] = include_bytes!("../../assets/countdown.js");

// No escaping: `Theme` holds nothing that could break out.
#[derive(Template)]
#[template(path = "theme.css", escape = "none")]
struct Style<'a> {
    theme: &'a Theme,
}

#[derive(Template)]
#[template(path = "icon.svg")]
struct Icon<'a> {
    theme: &'a Theme,
}

impl Assets {
    pub(super) fn new(theme: &Theme) -> Self {
        let style = Style { theme }.render().expect("writing to a String cannot fail");
        let icon = Icon { theme }.render().expect("writing to a String cannot fail");
        Self { style: style.into(), icon: icon.into() }
    }
}

/// `/_v/<version>/<file>`
pub(super) async fn asset(request: HttpRequest, version: web::Data<Version>) -> Result<HttpResponse, PageError> {
    let path = request.match_info();
    let (content_type, body) = match (path.query("version"), path.query("file")) {
        (code, _) if code != version.settings.theme.code.as_str() => return page::not_found(version).await,
        (_, "theme.css") => ("text/css; charset=utf-8", version.assets.style.clone()),
        (_, "icon.svg") => ("image/svg+xml", version.assets.icon.clone()),
        (_, "countdown.js") => ("text/javascript; charset=utf-8", Bytes::from_static(COUNTDOWN)),
        _ => return page::not_found(version).await,
    };
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .content_type(content_type)
        .body(body))
}
