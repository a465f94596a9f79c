//! What pages load. A browser may keep the assets for ever, because a new version has other paths:
//! `/_v/<version>/…`.

use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use stickshift_contract::VersionCode;

use crate::serve::answers::{answer, not_found};
use crate::serve::session_layer::SessionLayer;
use crate::theme::Theme;

/// The assets of one version, rendered at the start.
#[derive(Debug)]
pub(super) struct Assets {
    version: VersionCode,
    style: Bytes,
    icon: Bytes,
}

const COUNTDOWN: &[u8] = include_bytes!("../../../assets/countdown.js");

// Nothing is escaped: a `Theme` holds no value that could break out.
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
    pub(super) fn new(version: VersionCode, theme: &Theme) -> Self {
        let style = Style { theme }.render().expect("writing to a String cannot fail");
        let icon = Icon { theme }.render().expect("writing to a String cannot fail");
        Self { version, style: style.into(), icon: icon.into() }
    }
}

/// `/_v/<version>/<file>`
pub(super) async fn asset(
    request: HttpRequest,
    layer: web::Data<SessionLayer>,
    assets: web::Data<Assets>,
) -> HttpResponse {
    layer.in_session(&request, async |_| file(&request, &assets).await).await
}

async fn file(request: &HttpRequest, assets: &Assets) -> HttpResponse {
    let path = request.match_info();
    let (content_type, body) = match (path.query("version"), path.query("file")) {
        (version, _) if version != assets.version.as_str() => return not_found().await,
        (_, "theme.css") => ("text/css; charset=utf-8", assets.style.clone()),
        (_, "icon.svg") => ("image/svg+xml", assets.icon.clone()),
        (_, "countdown.js") => ("text/javascript; charset=utf-8", Bytes::from_static(COUNTDOWN)),
        _ => return not_found().await,
    };
    answer(StatusCode::OK)
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .content_type(content_type)
        .body(body)
}
