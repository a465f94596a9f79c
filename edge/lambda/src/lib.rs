//! The router as a Node native addon: `index.mjs` hands every event to it. The boundary and nothing else.

#[cfg(feature = "broken-rng")]
mod broken_rng;
mod clients;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use log::{LevelFilter, info};
use napi::bindgen_prelude::{Either, Error, PromiseRaw, Result, create_custom_tokio_runtime};
use napi::{Env, Status};
use napi_derive::{module_init, napi};
use stickshift_edge::{Event, FunctionConfig, Known, Replicas, Request};

#[cfg(feature = "broken-rng")]
use broken_rng::rng;
#[cfg(not(feature = "broken-rng"))]
use rand::rng;

/// Sets up what all of the addon shares, when Node loads it.
#[module_init]
fn init() {
    // Lambda@Edge has no variable to set the level by. CloudWatch adds the time.
    let logger = env_logger::Builder::new().filter_level(LevelFilter::Info).format_timestamp(None).try_init();
    // Somebody else logs already: then their lines are as good.
    logger.ok();
    // CloudWatch makes an event of every line.
    std::panic::set_hook(Box::new(|panic| log::error!("{}", panic.to_string().replace('\n', " "))));
    // One thread of its own: a function has a fraction of a core, and Node's thread waits for the answer.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    match runtime {
        Ok(runtime) => create_custom_tokio_runtime(runtime),
        Err(cause) => log::error!("no runtime with one thread, so one with the default number: {cause}"),
    }
}

/// The router: one for the life of a function instance.
#[napi]
pub struct Router {
    router: Arc<stickshift_edge::Router>,
}

#[napi]
impl Router {
    /// A router by a configuration, the text of `config.json`, for a function that runs in `region`.
    ///
    /// Errors: the configuration is bad, with the line.
    #[napi(constructor, catch_unwind)]
    pub fn new(config: String, region: Option<String>) -> Result<Self> {
        let config = parse(&config)?;
        let nearest = config.nearest_replicas(region.as_deref());
        let replicas = Replicas {
            clients: clients::for_replicas(&nearest),
            tables: config.tables,
            hedge_delay: config.hedge_delay,
            deadline: config.deadline,
        };
        Ok(Self { router: Arc::new(stickshift_edge::Router::new(config.router, replicas)) })
    }

    /// Reads the plan and opens the connection, ahead of the first event.
    #[napi(catch_unwind)]
    pub fn warm<'env>(&self, env: &'env Env) -> Result<PromiseRaw<'env, ()>> {
        let router = Arc::clone(&self.router);
        env.spawn_future(async move {
            match router.warm(unix_now()).await {
                Some(plan) => info!("ready with plan revision {}", plan.revision()),
                None => info!("ready with the bundle's plan, for no other could be read"),
            }
            Ok(())
        })
    }

    /// Routes an event, as JSON, and returns the request to answer it with, as JSON: at once where nobody must be
    /// asked, else as a promise.
    #[napi(catch_unwind)]
    pub fn route<'env>(&self, env: &'env Env, event: String) -> Result<Either<String, PromiseRaw<'env, String>>> {
        let event = Event::parse(&event).map_err(error)?;
        let mut request = event.into_request();
        let now = unix_now();
        match self.router.known(&request, now) {
            Known::Enough(knowledge) => {
                self.router.settle(&mut request, &knowledge, now, &mut rng());
                text(&request).map(Either::A)
            }
            Known::Lacking(question) => {
                let router = Arc::clone(&self.router);
                let answer = env.spawn_future(async move {
                    let knowledge = router.ask(question, now).await;
                    router.settle(&mut request, &knowledge, now, &mut rng());
                    text(&request)
                });
                answer.map(Either::B)
            }
        }
    }
}

/// Checks a configuration, the text of `config.json`, and says in a line what it sets.
///
/// Errors: it is bad, with the line.
#[napi(catch_unwind)]
pub fn check(config: String) -> Result<String> {
    parse(&config).map(|config| config.to_string())
}

fn parse(config: &str) -> Result<FunctionConfig> {
    FunctionConfig::parse(config).map_err(error)
}

fn text(request: &Request) -> Result<String> {
    serde_json::to_string(request).map_err(error)
}

fn error(cause: impl std::error::Error) -> Error {
    Error::new(Status::GenericFailure, cause.to_string())
}

/// The clock, in Unix seconds; one before 1970 counts as 1970.
fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
