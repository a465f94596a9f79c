//! The operator's page: what the rollout is doing, live, and what an operator does about it.
//!
//! - `looker` reads the tables for all pages together. `parts`, `columns` and `charts` turn that into HTML, `frame` is
//!   the HTML of one moment, and `board` holds the newest one.
//! - `page` answers with the newest frame, `events` sends what changes.
//! - `guard` decides who gets an answer, `people` who they are.
//! - `change` has the forms.

mod assets;
mod board;
mod change;
mod charts;
mod columns;
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
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::rt::{self, task::JoinHandle};
use actix_web::web::{self, Data, FormConfig, QueryConfig};
use actix_web::{App, Error, HttpRequest, HttpServer, middleware};
use anyhow::Result;

use crate::operator::Site;
use board::Board;
use guard::Guard;
pub use guard::origin_of;
use looker::Looker;
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
    /// The address that people open, as [`origin_of`] returns it, if it is not one of this machine.
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
    board: Arc<Board>,
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
        let is_secure = url.as_ref().is_some_and(|url| url.starts_with("https://"));
        let people = (!people.is_empty()).then(|| People::new(people, address.port(), is_secure));
        let base = url.clone().unwrap_or_else(|| format!("http://{address}"));
        let links = people.iter().flat_map(People::links);
        let links = links.map(|(name, token)| (name, format!("{base}{}?token={token}", page::ENTER))).collect();
        let (site, board) = (Arc::new(site), Arc::new(Board::default()));
        let looker = rt::spawn(look_for_ever(Arc::clone(&site), Arc::clone(&board), may_change));
        let facts = Data::new(Facts { site, may_change });
        let board_of_pages = Arc::clone(&board);
        let (board, guard) = (Data::new(board), Data::new(Guard::new(url, people)));
        let server = HttpServer::new(move || {
            let app = App::new()
                .app_data(facts.clone())
                .app_data(board.clone())
                .app_data(guard.clone())
                .app_data(QueryConfig::default().error_handler(bad_input))
                .app_data(FormConfig::default().error_handler(bad_input))
                .wrap(middleware::from_fn(guard::admit))
                .route("/", web::get().to(page::page))
                .route("/", web::head().to(page::page))
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
        Ok(Self { address, links, server: handle, looker, board: board_of_pages })
    }

    /// Stops it.
    pub async fn stop(self) {
        self.looker.abort();
        self.board.end();
        self.server.stop(true).await;
    }
}

/// Looks on after a fault in this program, which must not leave pages that are open without news.
async fn look_for_ever(site: Arc<Site>, board: Arc<Board>, may_change: bool) {
    /// A fault may come back at once.
    const PAUSE: Duration = Duration::from_secs(5);
    loop {
        let looker = Looker::new(Arc::clone(&site), Arc::clone(&board), may_change);
        let mut looker = AbortOnDrop(rt::spawn(looker.run()));
        if let Err(cause) = (&mut looker.0).await {
            log::error!("the dashboard has a fault and begins again, please report it: {cause}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A task that ends with whoever has it.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A query or a form that nobody here has written.
fn bad_input<E: std::fmt::Display + std::fmt::Debug + 'static>(cause: E, _request: &HttpRequest) -> Error {
    let lines = vec![format!("No page of the dashboard has such an address or form: {cause}")];
    let message = Message::new("This address or form is wrong", lines);
    InternalError::from_response(cause, message.answer(StatusCode::BAD_REQUEST)).into()
}
