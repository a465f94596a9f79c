//! A CloudFront for one machine. It turns every request into an origin-request event, hands the event to
//! the edge, and sends the request on to the origin that the edge chose. Bodies stream both ways. Nothing
//! is cached.

mod handler;
mod shared_rng;
mod translate;

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use anyhow::{Context as _, Result};
use stickshift_contract::{Origin, Plan, VersionCode, Weight};
use stickshift_edge::RouterConfig;

pub use shared_rng::SharedRng;

use super::start_plan::{StartPlan, put_in_force};
use crate::settings::SharedSettings;
use crate::store::DynamoDb;
use handler::Distribution;

/// What the local CloudFront and its edge depend on.
#[derive(Debug)]
pub struct CloudFrontConfig {
    /// Where each version is served, the stable version first.
    pub origins: Vec<(VersionCode, Origin)>,
    /// The weights that the command line asks for.
    pub weights: Vec<(VersionCode, Weight)>,
    /// What the edge has in common with the versions.
    pub shared: SharedSettings,
    /// The DynamoDB that holds the tables. They must exist.
    pub dynamodb: DynamoDb,
    /// The random generator that draws versions for new sessions.
    pub rng: SharedRng,
    /// Seconds to wait for an origin's answer, and between two parts of it. CloudFront's own value is
    /// [`stickshift_edge::CustomOrigin::READ_TIMEOUT_SECONDS`].
    pub read_timeout_seconds: u64,
    /// See [`stickshift_contract::DEADLINE`].
    pub deadline: Duration,
    /// The command that puts the plan in force, for the history.
    pub changed_by: &'static str,
}

/// A running CloudFront.
#[derive(Debug)]
pub struct CloudFront {
    /// Where it listens.
    pub address: SocketAddr,
    /// The plan at the start.
    pub plan: Plan,
    handle: ServerHandle,
}

impl CloudFront {
    /// Puts the plan in force and starts on `listener`. Errors: the weights make no plan, or the tables or
    /// the listener cannot be used.
    pub async fn start(listener: TcpListener, config: CloudFrontConfig) -> Result<Self> {
        let address = listener.local_addr()?;
        let CloudFrontConfig { origins, weights, shared, dynamodb, rng, read_timeout_seconds, deadline, changed_by } =
            config;
        let wanted = StartPlan { origins: &origins, weights: &weights, changed_by };
        let plan = put_in_force(&dynamodb.client(), &shared.tables.rollout, &wanted).await?;
        let origin = plan.origin(plan.stable()).context("the stable version has no origin")?;
        let distribution = Distribution {
            router: RouterConfig {
                plan_ttl_seconds: shared.plan_ttl_seconds,
                ..RouterConfig::new(shared.cookie, plan.clone())
            },
            tables: shared.tables,
            deadline,
            dynamodb,
            default_origin: origin.clone(),
            origin_secret: shared.origin_secret,
            read_timeout_seconds,
            rng,
        };
        let handle = handler::start(listener, distribution)?;
        Ok(Self { address, plan, handle })
    }

    /// Stops, after requests in progress have finished.
    pub async fn stop(self) {
        self.handle.stop(true).await;
    }
}
