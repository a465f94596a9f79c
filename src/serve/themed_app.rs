//! The themed app: the page of one version, and the assets of that page.

mod assets;
mod page;

use actix_web::web;
use stickshift_contract::VersionCode;

use super::answers::{method_not_allowed, not_found};
use crate::theme::Theme;
use assets::Assets;
use page::Pages;

/// The themed app of one version.
#[derive(Debug, Clone)]
pub(super) struct ThemedApp {
    pages: web::Data<Pages>,
    assets: web::Data<Assets>,
}

impl ThemedApp {
    /// `session_seconds`: how long a session goes on after its last visit.
    pub(super) fn new(version: VersionCode, theme: Theme, session_seconds: u64) -> Self {
        let assets = web::Data::new(Assets::new(version, &theme));
        Self { pages: web::Data::new(Pages { version, theme, session_seconds }), assets }
    }

    /// The page, its assets, and the answer for every other path.
    pub(super) fn routes(&self, config: &mut web::ServiceConfig) {
        config
            .app_data(self.pages.clone())
            .app_data(self.assets.clone())
            .service(
                web::resource("/")
                    .route(web::get().to(page::page))
                    .route(web::head().to(page::page))
                    .default_service(web::to(method_not_allowed)),
            )
            .service(
                web::resource("/_v/{version}/{file}")
                    .route(web::get().to(assets::asset))
                    .route(web::head().to(assets::asset))
                    .default_service(web::to(method_not_allowed)),
            )
            .default_service(web::to(not_found));
    }
}
