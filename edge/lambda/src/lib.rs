//! The router as a native addon for Node. `index.mjs` hands every event to it. All logic is in `edge`.

#[cfg(feature = "broken-rng")]
mod broken_rng;
mod clients;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use log::{LevelFilter, info};
use napi::bindgen_prelude::{Either, Error, PromiseRaw, Result, create_custom_tokio_runtime};
use napi::{Env, Status};
use napi_derive::{module_init, napi};
use stickshift_edge::replicas::{PlanTurn, Replicas, warm};
use stickshift_edge::{Considered, FunctionConfig, Incoming, Request};

#[cfg(feature = "broken-rng")]
use broken_rng::rng;
#[cfg(not(feature = "broken-rng"))]
use rand::rng;

/// Sets up logger, panic hook and runtime when Node loads the addon.
#[module_init]
fn init() {
    // Lambda@Edge has no variable that could set the level. CloudWatch adds the time.
    let logger = env_logger::Builder::new().filter_level(LevelFilter::Info).format_timestamp(None).try_init();
    // This fails if the process has a logger already. Its lines are as good.
    logger.ok();
    // CloudWatch turns every line into an event, so a message must be one line.
    std::panic::set_hook(Box::new(|panic| log::error!("{}", panic.to_string().replace('\n', " "))));
    // One thread is enough: a function has a fraction of a core, and Node's thread waits for the answer.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    match runtime {
        Ok(runtime) => create_custom_tokio_runtime(runtime),
        Err(cause) => log::error!("could not make a runtime with one thread, so the default one is used: {cause}"),
    }
}

/// The router. A function instance has one for its whole life.
#[napi]
pub struct Router {
    parts: Arc<(stickshift_edge::Router, Replicas)>,
}

#[napi]
impl Router {
    /// Makes a router from a configuration, the text of `config.json`, for a function that runs in `region`.
    ///
    /// Errors: the configuration is wrong. The message names the wrong value.
    #[napi(constructor, catch_unwind)]
    pub fn new(config: String, region: Option<String>) -> Result<Self> {
        let config = parse(&config)?;
        let nearest = config.nearest_replicas(region.as_deref());
        let replicas = Replicas {
            clients: clients::for_replicas(&nearest),
            tables: config.tables,
            hedge_delay: config.hedge_delay,
            deadline: config.deadline,
            plan_turn: PlanTurn::default(),
        };
        Ok(Self { parts: Arc::new((stickshift_edge::Router::new(config.router), replicas)) })
    }

    /// Reads the plan and opens the connection, before the first event.
    #[napi(catch_unwind)]
    pub fn warm<'env>(&self, env: &'env Env) -> Result<PromiseRaw<'env, ()>> {
        let parts = Arc::clone(&self.parts);
        env.spawn_future(async move {
            let (router, replicas) = &*parts;
            match warm(router, replicas, unix_now()).await {
                Some(revision) => info!("ready with plan revision {revision}"),
                None => info!("ready with the bundle's plan, because no other plan could be read"),
            }
            Ok(())
        })
    }

    /// The names of the headers that the router reads.
    #[napi(getter, catch_unwind)]
    pub fn headers(&self) -> Vec<&'static str> {
        Incoming::HEADERS.to_vec()
    }

    /// Routes the request of an event and returns what is to be changed in it, both as JSON. For a link to a version it
    /// returns the whole answer to the viewer, as `response`. The result is a
    /// promise only if a look-up is needed. JSON takes most of a call's time, so of the headers only those
    /// in [`Router::headers`] are needed, and only what changes goes back.
    #[napi(catch_unwind)]
    pub fn route<'env>(&self, env: &'env Env, request: String) -> Result<Either<String, PromiseRaw<'env, String>>> {
        let mut request = Request::parse(&request).map_err(error)?;
        let now = unix_now();
        let (router, _) = &*self.parts;
        if let Some(response) = router.redeem(&request, now) {
            return Ok(Either::A(serde_json::json!({ "response": response }).to_string()));
        }
        match router.consider(router.read(&request, now), now) {
            Considered::Ready(knowledge) => {
                router.forward(&mut request, &knowledge, now, &mut rng());
                changes(&request).map(Either::A)
            }
            considered @ Considered::Needs(_) => {
                let parts = Arc::clone(&self.parts);
                let answer = env.spawn_future(async move {
                    let (router, replicas) = &*parts;
                    let knowledge = replicas.complete(router, considered, now).await;
                    router.forward(&mut request, &knowledge, now, &mut rng());
                    changes(&request)
                });
                answer.map(Either::B)
            }
        }
    }
}

/// Checks a configuration, the text of `config.json`, and says in one line what it sets.
///
/// Errors: the configuration is wrong. The message names the wrong value.
#[napi(catch_unwind)]
pub fn check(config: String) -> Result<String> {
    parse(&config).map(|config| config.to_string())
}

fn parse(config: &str) -> Result<FunctionConfig> {
    FunctionConfig::parse(config).map_err(error)
}

fn changes(request: &Request) -> Result<String> {
    serde_json::to_string(&request.changes()).map_err(error)
}

fn error(cause: impl std::error::Error) -> Error {
    Error::new(Status::GenericFailure, cause.to_string())
}

/// The time in Unix seconds. A time before 1970 counts as 1970.
fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
