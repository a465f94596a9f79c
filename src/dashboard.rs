//! The operator's page: what the rollout is doing, live, and what an operator does about it.
//!
//! - `looker` reads the tables for all pages together, `parts` and `charts` turn that into HTML, and `frame` is the HTML
//!   of one moment.
//! - `page` answers with the newest frame, `events` sends what changes.
//! - `guard` decides who gets an answer, `people` who they are.
//! - `change` has the forms.

mod assets;
mod change;
mod charts;
mod events;
mod frame;
mod guard;
mod looker;
mod page;
mod parts;
mod people;
mod range;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::rt::{self, task::JoinHandle};
use actix_web::web::{self, Data, FormConfig, QueryConfig};
use actix_web::{App, Error, HttpRequest, HttpServer, middleware};
use anyhow::Result;

use crate::operator::Site;
use guard::Guard;
use looker::{Board, Looker};
pub use looker::{COUNT_UNITS_A_SECOND, IDLE_PACE, PACE};
use page::Message;
use people::People;

/// A page of another release loads itself again.
const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// What a dashboard needs.
pub struct DashboardConfig {
    /// Where it listens.
    pub listener: TcpListener,
    /// What it shows.
    pub site: Site,
    /// Whether its pages change anything.
    pub may_change: bool,
    /// Who may use it. Without anybody, whoever can reach it: the listener must be on loopback then.
    pub people: Vec<String>,
    /// The address that people open, `https://HOST[:PORT]` or `http://HOST[:PORT]`, if it is not one of this machine.
    pub url: Option<String>,
}

/// A dashboard that runs.
pub struct Dashboard {
    /// Where it listens.
    pub address: SocketAddr,
    /// The name of each person, and the link that lets one browser in.
    pub links: Vec<(String, String)>,
    server: ServerHandle,
    looker: JoinHandle<()>,
}

/// What does not change while it runs.
struct Facts {
    site: Arc<Site>,
    may_change: bool,
}

impl Dashboard {
    /// Starts it. Errors: the listener cannot be used.
    pub fn start(config: DashboardConfig) -> Result<Self> {
        let DashboardConfig { listener, site, may_change, people, url } = config;
        let address = listener.local_addr()?;
        let url = url.map(|url| url.trim_end_matches('/').to_owned());
        let is_secure = url.as_ref().is_some_and(|url| url.starts_with("https://"));
        let authority = url.as_ref().and_then(|url| Some(url.split_once("://")?.1.to_owned()));
        let people = (!people.is_empty()).then(|| People::new(people, is_secure));
        let base = url.unwrap_or_else(|| format!("http://{address}"));
        let links = people.iter().flat_map(People::links);
        let links = links.map(|(name, token)| (name, format!("{base}{}?token={token}", page::ENTER))).collect();
        let (site, board) = (Arc::new(site), Arc::new(Board::default()));
        let looker = rt::spawn(Looker::new(Arc::clone(&site), Arc::clone(&board), may_change).run());
        let facts = Data::new(Facts { site, may_change });
        let (board, guard) = (Data::new(board), Data::new(Guard::new(authority, people)));
        let server = HttpServer::new(move || {
            let app = App::new()
                .app_data(facts.clone())
                .app_data(board.clone())
                .app_data(guard.clone())
                .app_data(QueryConfig::default().error_handler(bad_input))
                .app_data(FormConfig::default().error_handler(bad_input))
                .wrap(middleware::from_fn(guard::admit))
                .route("/", web::get().to(page::page))
                .route("/events", web::get().to(events::events))
                .route("/assets/{file}", web::get().to(assets::asset))
                .default_service(web::to(page::not_found));
            let app = if guard.people.is_some() {
                app.route(page::ENTER, web::get().to(page::ask)).route(page::ENTER, web::post().to(page::enter))
            } else {
                app
            };
            if facts.may_change {
                app.route("/changes/{verb}", web::get().to(change::ask))
                    .route("/changes/{verb}", web::post().to(change::make))
            } else {
                app
            }
        });
        let server = server.workers(1).disable_signals().shutdown_timeout(1).listen(listener)?.run();
        let handle = server.handle();
        rt::spawn(server);
        Ok(Self { address, links, server: handle, looker })
    }

    /// Stops it.
    pub async fn stop(self) {
        // Without it, the streams of events end by themselves.
        self.looker.abort();
        self.server.stop(true).await;
    }
}

/// A query or a form that nobody here has written.
fn bad_input<E: std::fmt::Display + std::fmt::Debug + 'static>(cause: E, _request: &HttpRequest) -> Error {
    let message = Message::new("This address or form is wrong", vec![cause.to_string()]);
    InternalError::from_response(cause, message.answer(StatusCode::BAD_REQUEST)).into()
}
