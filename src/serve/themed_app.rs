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
    FromRequest, Handler, HttpRequest, HttpResponse, HttpResponseBuilder, Resource, Responder, ResponseError, Route,
    guard, web,
};
use stickshift_contract::{SessionCookie, VersionCode};

use super::answers::{answer, error_page, method_not_allowed, not_found};
use super::health;
use super::session_layer::SessionLayer;
use crate::booking::Flow;
use crate::theme::Theme;
use assets::Assets;
use booking::Pages;
use draft::DraftSeal;
use home::Home;

/// The themed app of one version.
#[derive(Debug, Clone)]
pub(super) struct ThemedApp {
    home: Home,
    booking: web::Data<Pages>,
    drafts: web::Data<DraftSeal>,
    assets: web::Data<Assets>,
}

/// A page could not be rendered. The viewer gets the error page, the log gets the cause.
#[derive(Debug, thiserror::Error)]
#[error("could not render the page: {0}")]
struct RenderError(#[from] askama::Error);

impl ThemedApp {
    pub(super) fn new(version: VersionCode, theme: &Theme, flow: Flow, cookie: &SessionCookie) -> Self {
        let SessionCookie { same_site, timing, ref keys, .. } = *cookie;
        let assets = web::Data::new(Assets::new(version, theme));
        let booking = web::Data::new(Pages { version, theme: theme.clone(), flow, same_site });
        let drafts = web::Data::new(DraftSeal::new(keys.as_ref(), same_site));
        Self { home: Home::new(version, theme, timing.session_seconds), booking, drafts, assets }
    }

    /// The pages, the forms, the assets, and the answer for every other path.
    pub(super) fn routes(&self, config: &mut web::ServiceConfig) {
        config
            // `/` comes first, because most requests are for it. Each thread has its own copy of `Home`, because
            // threads contend for the reference count of a shared `Arc`.
            .service(page("/", home::home, "GET, HEAD").app_data(web::Data::new(self.home.clone())))
            .service(health::alive_resource())
            .app_data(self.booking.clone())
            .app_data(self.drafts.clone())
            .app_data(self.assets.clone())
            .service(web::resource("/booking/forget").guard(guard::Post()).to(booking::forget))
            .service(page("/booking", booking::show, "GET, HEAD"))
            .service(
                page("/booking/{step}", booking::show, "GET, HEAD, POST").route(web::post().to(booking::take_step)),
            )
            .service(page("/_v/{version}/{file}", assets::asset, "GET, HEAD"))
            .default_service(always(not_found));
    }
}

/// What a path shows by GET and HEAD. `allowed`: every method that the path takes.
fn page<F, Args>(path: &str, handler: F, allowed: &'static str) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(path)
        .route(web::get().to(handler.clone()))
        .route(web::head().to(handler))
        .default_service(always(move || method_not_allowed(allowed)))
}

/// The same answer to every request, in its session.
fn always<A: Future<Output = HttpResponse> + 'static>(answer: impl Fn() -> A + Clone + 'static) -> Route {
    web::to(move |request: HttpRequest, layer: web::Data<SessionLayer>| {
        let answer = answer();
        async move { layer.in_session(&request, async |_| answer.await).await }
    })
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
