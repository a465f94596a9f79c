//! The edge on this machine: a plan in force, and a CloudFront that goes by it.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use anyhow::{Context as _, Result};
use stickshift_contract::{Origin, Plan, VersionCode, Weight};
use stickshift_edge::RouterConfig;

use super::cloudfront::{self, CloudFront, SharedRng};
use super::plan;
use crate::dynamodb::DynamoDb;
use crate::rollout::{PlanRecord, read_plan, write_plan};
use crate::settings::SharedSettings;
use crate::unix_now;

/// What the edge goes by.
#[derive(Debug)]
pub struct EdgeConfig {
    /// Where each version is served, the stable one first.
    pub origins: Vec<(VersionCode, Origin)>,
    /// Weights that were asked for.
    pub weights: Vec<(VersionCode, Weight)>,
    /// What it holds in common with the versions.
    pub shared: SharedSettings,
    /// Where the tables are, which must exist.
    pub dynamodb: DynamoDb,
    /// What new sessions are drawn with.
    pub rng: SharedRng,
    /// Seconds to wait for an origin, and between two parts of its answer; [`stickshift_edge::CustomOrigin::READ_TIMEOUT_SECONDS`]
    /// as in CloudFront.
    pub read_timeout_seconds: u64,
    /// How long a look-up may take; [`stickshift_edge::Replicas::DEADLINE`] as in Lambda@Edge.
    pub deadline: Duration,
    /// The command that puts the plan in force, for its history.
    pub changed_by: &'static str,
}

/// The edge, running.
#[derive(Debug)]
pub struct LocalEdge {
    /// Where CloudFront listens.
    pub address: SocketAddr,
    /// The plan at the start.
    pub plan: Plan,
    handle: ServerHandle,
}

impl LocalEdge {
    /// Puts the plan in force and starts CloudFront on `listener`. Errors: the weights make no plan, the tables cannot
    /// be used, or the listener.
    pub async fn start(listener: TcpListener, config: EdgeConfig) -> Result<Self> {
        let address = listener.local_addr()?;
        let plan = put_plan_in_force(&config).await?;
        let EdgeConfig { shared, dynamodb, rng, read_timeout_seconds, deadline, .. } = config;
        let origin = plan.origin(plan.stable()).context("the stable version has no origin")?;
        let cloudfront = CloudFront {
            router: RouterConfig {
                cookie: shared.cookie,
                keep_viewer_host: false,
                plan_ttl_seconds: shared.plan_ttl_seconds,
                bundled_plan: plan.clone(),
            },
            tables: shared.tables,
            deadline,
            dynamodb,
            default_origin: origin.clone(),
            origin_secret: shared.origin_secret,
            read_timeout_seconds,
            rng,
        };
        let handle = cloudfront::start(listener, cloudfront)?;
        Ok(Self { address, plan, handle })
    }

    /// Stops it once it has finished what is in flight.
    pub async fn stop(self) {
        self.handle.stop(true).await;
    }
}

async fn put_plan_in_force(config: &EdgeConfig) -> Result<Plan> {
    let client = config.dynamodb.client();
    let table = &config.shared.tables.rollout;
    let in_force = read_plan(&client, table).await?;
    let plan = plan::plan(&config.origins, &config.weights, in_force.as_ref())?;
    if in_force.as_ref() != Some(&plan) {
        let record = PlanRecord {
            plan: plan.clone(),
            changed_at: unix_now(),
            changed_by: config.changed_by.to_owned(),
            why: "started on one machine".to_owned(),
        };
        write_plan(&client, table, &record).await?;
    }
    Ok(plan)
}
