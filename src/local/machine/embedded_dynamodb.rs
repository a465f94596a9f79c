//! A DynamoDB inside this process. It is served on loopback, and AWS's SDK talks to it as to any other.

use std::net::TcpListener;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use dynoxide::Database;
use log::{debug, warn};
use stickshift_contract::TableNames;
use tokio::sync::oneshot;

use crate::store::DynamoDb;
use crate::store::tables::create_tables;

/// The embedded DynamoDB. [`EmbeddedDynamoDb::stop`] stops it.
#[derive(Debug)]
pub struct EmbeddedDynamoDb {
    endpoint: String,
    stop: oneshot::Sender<()>,
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
        let endpoint = format!("http://{}", listener.local_addr()?);
        listener.set_nonblocking(true)?;
        let (stop, stopped) = oneshot::channel();
        // It has a runtime of its own: its calls into SQLite block, and must not block the app.
        let thread = std::thread::Builder::new().name("dynamodb".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let stopped = async { stopped.await.unwrap_or(()) };
                let sweeping = tokio::spawn(sweep(database.clone()));
                let served = dynoxide::server::serve_with_shutdown(listener, database, stopped)
                    .await
                    .map_err(|cause| anyhow!(cause));
                sweeping.abort();
                served
            })
        })?;
        let embedded = Self { endpoint, stop, thread };
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
        let Self { stop, thread, .. } = self;
        // Nobody receives this if the thread has ended already.
        stop.send(()).ok();
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
