//! The themed app: the page of one version, and the assets of that page.

mod assets;
mod page;

use actix_web::{middleware, web};
use stickshift_contract::VersionCode;

use super::session_layer::give_session;
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
                    .wrap(middleware::from_fn(give_session))
                    .route(web::get().to(page::page))
                    .route(web::head().to(page::page))
                    .default_service(web::to(page::method_not_allowed)),
            )
            .route("/_v/{version}/{file}", web::get().to(assets::asset))
            .default_service(web::to(page::not_found));
    }
}
