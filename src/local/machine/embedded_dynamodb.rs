//! A DynamoDB inside this process. It is served on loopback, and AWS's SDK talks to it as to any other.

mod api;

use std::net::TcpListener;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::rt::System;
use actix_web::{App, HttpServer, middleware, web};
use anyhow::{Context as _, Result, anyhow};
use dynoxide::Database;
use log::{debug, warn};
use stickshift_contract::TableNames;

use crate::store::DynamoDb;
use crate::store::tables::create_tables;

/// The embedded DynamoDB. [`EmbeddedDynamoDb::stop`] stops it.
#[derive(Debug)]
pub struct EmbeddedDynamoDb {
    endpoint: String,
    handle: ServerHandle,
    thread: JoinHandle<Result<()>>,
}

impl EmbeddedDynamoDb {
    /// Serves the database in `file`, or a database in memory, on `listener`. Makes the tables in it.
    ///
    /// Errors: the file is not a database, or the tables cannot be made.
    pub async fn start(listener: TcpListener, file: Option<&Path>, tables: &TableNames) -> Result<Self> {
        let database = match file {
            Some(file) => Database::new(&file.to_string_lossy())
                .map_err(|cause| anyhow!("could not open the database {}: {cause}", file.display()))?,
            None => Database::memory().map_err(|cause| anyhow!("could not make a database in memory: {cause}"))?,
        };
        let address = listener.local_addr()?;
        let (send_handle, handle) = tokio::sync::oneshot::channel();
        // It has threads of its own: its calls into SQLite block, and must not block the app.
        let thread = std::thread::Builder::new().name("dynamodb".to_owned()).spawn(move || {
            System::new().block_on(async move {
                let swept = database.clone();
                let server = HttpServer::new(move || {
                    App::new()
                        .app_data(web::Data::new(database.clone()))
                        .app_data(web::PayloadConfig::new(api::MAX_BODY_BYTES))
                        .wrap(middleware::from_fn(api::refuse_web_pages))
                        .default_service(web::to(api::handle))
                });
                let server = server.workers(2).disable_signals().shutdown_timeout(5).listen(listener)?.run();
                // The receiver waits for it.
                send_handle.send(server.handle()).ok();
                let sweeping = actix_web::rt::spawn(sweep(swept));
                let served = server.await;
                sweeping.abort();
                Ok(served?)
            })
        })?;
        let handle = handle.await.context("the embedded DynamoDB did not start")?;
        let embedded = Self { endpoint: format!("http://{address}"), handle, thread };
        create_tables(&embedded.dynamodb().client(), tables).await.context("could not make the tables")?;
        Ok(embedded)
    }

    /// How to reach it.
    pub fn dynamodb(&self) -> DynamoDb {
        DynamoDb::at(&self.endpoint)
    }

    /// Where it is served, such as `http://127.0.0.1:8000`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Stops it. The file holds everything that was written. Errors: it had failed before.
    pub async fn stop(self) -> Result<()> {
        let Self { handle, thread, .. } = self;
        handle.stop(true).await;
        let ended = tokio::task::spawn_blocking(move || thread.join()).await?;
        ended.map_err(|_| anyhow!("the embedded DynamoDB panicked"))?
    }
}

/// Deletes expired items some time after their end, as DynamoDB does. The embedded one does not do this
/// by itself.
async fn sweep(database: Database) {
    const PAUSE: Duration = Duration::from_secs(60);
    loop {
        tokio::time::sleep(PAUSE).await;
        let database = database.clone();
        match tokio::task::spawn_blocking(move || database.sweep_ttl()).await {
            Ok(Ok(deleted)) => debug!("deleted {deleted} expired items"),
            Ok(Err(cause)) => warn!("could not delete expired items: {cause}"),
            Err(cause) => warn!("could not delete expired items: {cause}"),
        }
    }
}
