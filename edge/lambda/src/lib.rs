//! The router as a native addon for Node. `index.mjs` hands every event to it. All logic is in `edge`.

#[cfg(feature = "broken-rng")]
mod broken_rng;
mod clients;

use std::time::{SystemTime, UNIX_EPOCH};

use log::{LevelFilter, info};
use napi::Status;
use napi::bindgen_prelude::{Error, Result};
use napi_derive::{module_init, napi};
use stickshift_edge::replicas::{PlanTurn, Replicas, warm};
use stickshift_edge::{Considered, FunctionConfig, Incoming, Request};
use tokio::runtime::Runtime;
use tokio::task::yield_now;

#[cfg(feature = "broken-rng")]
use broken_rng::rng;
#[cfg(not(feature = "broken-rng"))]
use rand::rng;

/// Sets up logger and panic hook when Node loads the addon.
#[module_init]
fn init() {
    // Lambda@Edge has no variable that could set the level. CloudWatch adds the time.
    let logger = env_logger::Builder::new().filter_level(LevelFilter::Info).format_timestamp(None).try_init();
    // This fails if the process has a logger already. Its lines are as good.
    logger.ok();
    // CloudWatch turns every line into an event, so a message must be one line.
    std::panic::set_hook(Box::new(|panic| log::error!("{}", panic.to_string().replace('\n', " "))));
}

/// The router. A function instance has one for its whole life.
#[napi]
pub struct Router {
    router: stickshift_edge::Router,
    replicas: Replicas,
    /// It runs on Node's thread, during look-ups only.
    runtime: Runtime,
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
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(error)?;
        Ok(Self { router: stickshift_edge::Router::new(config.router), replicas, runtime })
    }

    /// Reads the plan and opens the connection, before the first event. Node waits.
    #[napi(catch_unwind)]
    pub fn warm(&self) {
        match self.runtime.block_on(warm(&self.router, &self.replicas, unix_now())) {
            Some(revision) => info!("ready with plan revision {revision}"),
            None => info!("ready with the bundle's plan, because no other plan could be read"),
        }
    }

    /// The names of the headers that the router reads.
    #[napi(getter, catch_unwind)]
    pub fn headers(&self) -> Vec<&'static str> {
        Incoming::HEADERS.to_vec()
    }

    /// Routes the request of an event and returns what is to be changed in it, both as JSON. For a link to a version it
    /// returns the whole answer to the viewer, as `response`. Node waits for a look-up: it has one event at a
    /// time. JSON takes most of a call's time, so of the headers only those in [`Router::headers`] are needed, and
    /// only what changes goes back.
    #[napi(catch_unwind)]
    pub fn route(&self, request: String) -> Result<String> {
        let mut request = Request::parse(&request).map_err(error)?;
        let now = unix_now();
        let Self { router, replicas, runtime } = self;
        if let Some(response) = router.redeem(&request, now) {
            return Ok(serde_json::json!({ "response": response }).to_string());
        }
        let knowledge = match router.consider(router.read(&request, now), now) {
            Considered::Ready(knowledge) => knowledge,
            considered @ Considered::Needs(_) => runtime.block_on(async {
                // An attempt on a connection that was closed meanwhile would fail. After this, the tasks of the
                // connections are awake, and they run before the attempts, which are spawned later.
                yield_now().await;
                replicas.complete(router, considered, now).await
            }),
        };
        router.forward(&mut request, &knowledge, now, &mut rng());
        serde_json::to_string(&request.changes()).map_err(error)
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

fn error(cause: impl std::error::Error) -> Error {
    Error::new(Status::GenericFailure, cause.to_string())
}

/// The time in Unix seconds. A time before 1970 counts as 1970.
fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
