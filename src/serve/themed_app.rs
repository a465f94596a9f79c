//! The themed app: the pages of one version, and the assets of those pages.

mod assets;
mod booking;
mod browser;
mod draft;
mod home;
mod language;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use actix_web::{
    FromRequest, Handler, HttpResponse, HttpResponseBuilder, Resource, Responder, ResponseError, guard, web,
};
use stickshift_contract::{SessionCookie, VersionCode};

use super::answers::{answer, error_page, method_not_allowed, not_found};
use crate::booking::Flow;
use crate::theme::Theme;
use assets::Assets;
use booking::Pages;
use draft::DraftSeal;
use home::Home;

/// The themed app of one version.
#[derive(Debug, Clone)]
pub(super) struct ThemedApp {
    home: web::Data<Home>,
    booking: web::Data<Pages>,
    drafts: web::Data<DraftSeal>,
    assets: web::Data<Assets>,
}

/// A page could not be rendered. The viewer gets the error page, the log gets the cause.
#[derive(Debug, thiserror::Error)]
#[error("could not render the page: {0}")]
struct RenderError(#[from] askama::Error);

impl ThemedApp {
    pub(super) fn new(version: VersionCode, theme: Theme, flow: Flow, cookie: &SessionCookie) -> Self {
        let SessionCookie { same_site, timing, ref keys, .. } = *cookie;
        let assets = web::Data::new(Assets::new(version, &theme));
        let booking = web::Data::new(Pages { version, theme: theme.clone(), flow, same_site });
        let drafts = web::Data::new(DraftSeal::new(keys.as_ref(), same_site));
        Self {
            home: web::Data::new(Home { version, theme, session_seconds: timing.session_seconds }),
            booking,
            drafts,
            assets,
        }
    }

    /// The posted forms. Each one gives its request a session itself, together with what it writes.
    pub(super) fn forms(&self, config: &mut web::ServiceConfig) {
        config
            .app_data(self.booking.clone())
            .app_data(self.drafts.clone())
            .service(web::resource("/booking/forget").guard(guard::Post()).to(booking::forget))
            .service(web::resource("/booking/{step}").guard(guard::Post()).to(booking::take_step));
    }

    /// The pages, their assets, and the answer for every other path.
    pub(super) fn routes(&self, config: &mut web::ServiceConfig) {
        config
            .app_data(self.home.clone())
            .app_data(self.assets.clone())
            .service(page("/", home::home, "GET, HEAD"))
            .service(page("/booking", booking::show, "GET, HEAD"))
            .service(page("/booking/{step}", booking::show, "GET, HEAD, POST"))
            .service(page("/_v/{version}/{file}", assets::asset, "GET, HEAD"))
            .default_service(web::to(not_found));
    }
}

/// What a path shows. `allowed`: every method that the path takes.
fn page<F, Args>(path: &str, handler: F, allowed: &'static str) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(path)
        .route(web::get().to(handler.clone()))
        .route(web::head().to(handler))
        .default_service(web::to(move || method_not_allowed(allowed)))
}

/// CloudFront must neither cache a page nor answer two waiting viewers with one response.
fn html(status: StatusCode) -> HttpResponseBuilder {
    let mut response = answer(status);
    response
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("private, no-store")))
        .insert_header((CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")));
    response
}

impl ResponseError for RenderError {
    fn error_response(&self) -> HttpResponse {
        error_page()
    }
}
