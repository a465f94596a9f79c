//! Starting and stopping all of it, in the right order.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use anyhow::{Context as _, Result, bail};
use stickshift_contract::{Origin, Plan, Protocol, VersionCode, Weight};
use stickshift_edge::RouterConfig;

use super::cloudfront::{self, CloudFront};
use super::{DataDir, EmbeddedDynamoDb, SharedRng, plan};
use crate::listener::bind;
use crate::rollout::{PlanRecord, read_plan, write_plan};
use crate::serve::{self, Served};
use crate::settings::Settings;
use crate::unix_now;

/// What is to run.
#[derive(Debug)]
pub struct RoadConfig {
    /// Where CloudFront listens; the versions take the ports after it. Port 0 takes any free ones.
    pub listen: SocketAddr,
    /// Where the embedded DynamoDB listens.
    pub dynamodb: SocketAddr,
    /// The versions, the stable one first, with the keys they share.
    pub versions: Vec<Settings>,
    /// Weights that were asked for.
    pub weights: Vec<(VersionCode, Weight)>,
    /// Where sessions are kept; `None` keeps them in memory.
    pub data_dir: Option<DataDir>,
    /// What new sessions are drawn with.
    pub rng: SharedRng,
    /// Seconds to wait for an origin, and between two parts of its answer; [`stickshift_edge::CustomOrigin::READ_TIMEOUT_SECONDS`]
    /// as in CloudFront.
    pub read_timeout_seconds: u64,
    /// How long the edge may take over a look-up; [`stickshift_edge::Replicas::DEADLINE`] as in Lambda@Edge.
    pub edge_deadline: Duration,
}

/// All of it, running.
#[derive(Debug)]
pub struct Road {
    /// Where CloudFront listens.
    pub cloudfront: SocketAddr,
    /// Every version, in the order of the theme files.
    pub versions: Vec<RunningVersion>,
    /// The embedded DynamoDB.
    pub dynamodb: EmbeddedDynamoDb,
    /// The plan at the start.
    pub plan: Plan,
    cloudfront_handle: ServerHandle,
    _data_dir: Option<DataDir>,
}

/// A version on this machine.
#[derive(Debug)]
pub struct RunningVersion {
    /// What it goes by.
    pub settings: Settings,
    /// Where it listens.
    pub address: SocketAddr,
    served: Served,
}

impl Road {
    /// Starts it all. Errors: a port is taken, the data cannot be used, or the weights make no plan.
    pub async fn start(config: RoadConfig) -> Result<Self> {
        let RoadConfig { listen, dynamodb, versions, weights, data_dir, rng, read_timeout_seconds, edge_deadline } =
            config;
        let Some(edge_settings) = versions.first().cloned() else { bail!("there is no version to serve") };
        check_agreement(&versions)?;

        // Every port before anything else: a taken one must not leave half of it running.
        let listener = bind(listen, "--listen", "CloudFront")?;
        let dynamodb_listener = bind(dynamodb, "--dynamodb", "the embedded DynamoDB")?;
        let mut origins = Vec::new();
        for (settings, place) in versions.into_iter().zip(1u16..) {
            let port = if listen.port() == 0 { Some(0) } else { listen.port().checked_add(place) };
            let port = port.context("there are not enough ports after that of --listen")?;
            let code = settings.theme.code;
            let what = format!("version {code} (versions take the ports after CloudFront's)");
            let listener = bind((Ipv4Addr::LOCALHOST, port).into(), "--listen", &what)?;
            origins.push((settings, listener.local_addr()?, listener));
        }

        let file = data_dir.as_ref().map(DataDir::database);
        let dynamodb = EmbeddedDynamoDb::start(dynamodb_listener, file.as_deref()).await?;
        let addresses: Vec<_> = origins
            .iter()
            .map(|(settings, address, _)| {
                let origin = Origin { domain: "localhost".to_owned(), port: address.port(), protocol: Protocol::Http };
                (settings.theme.code, origin)
            })
            .collect();
        let plan = put_plan_in_force(&dynamodb.dynamodb().client(), &addresses, &weights).await?;

        let cloudfront_address = listener.local_addr()?;
        let router = RouterConfig {
            cookie: edge_settings.cookie.clone(),
            keep_viewer_host: false,
            plan_ttl_seconds: edge_settings.plan_ttl_seconds,
            bundled_plan: plan.clone(),
        };
        let cloudfront = CloudFront {
            router,
            dynamodb: dynamodb.dynamodb(),
            default_origin: plan.origin(plan.stable()).cloned().context("the stable version has no origin")?,
            read_timeout_seconds,
            edge_deadline,
            rng,
        };
        let cloudfront = cloudfront::start(listener, cloudfront)?;
        let mut versions = Vec::new();
        for (settings, address, listener) in origins {
            let served = serve::start(listener, settings.clone(), dynamodb.dynamodb())?;
            versions.push(RunningVersion { settings, address, served });
        }
        Ok(Self {
            cloudfront: cloudfront_address,
            versions,
            dynamodb,
            plan,
            cloudfront_handle: cloudfront,
            _data_dir: data_dir,
        })
    }

    /// Stops it all from the viewer's end: what is in flight is finished before what it needs goes away.
    pub async fn stop(self) -> Result<()> {
        self.cloudfront_handle.stop(true).await;
        for version in self.versions {
            version.served.stop().await;
        }
        self.dynamodb.stop().await
    }
}

/// App and edge must read the same cookie alike. Errors: two versions that do not.
fn check_agreement(versions: &[Settings]) -> Result<()> {
    for pair in versions.windows(2) {
        let (one, other) = (&pair[0], &pair[1]);
        if one.theme.code == other.theme.code {
            bail!("two theme files have the VERSION_CODE {}: every version needs its own", one.theme.code);
        }
        let shared = |settings: &Settings| {
            (settings.cookie.timing, settings.cookie.accept_bare_tokens, settings.plan_ttl_seconds)
        };
        if shared(one) != shared(other) {
            let (one, other) = (one.theme.code, other.theme.code);
            bail!(
                "versions {one} and {other} differ in more than their theme: they share sessions and the edge, so they must agree"
            );
        }
    }
    Ok(())
}

async fn put_plan_in_force(
    client: &aws_sdk_dynamodb::Client,
    origins: &[(VersionCode, Origin)],
    weights: &[(VersionCode, Weight)],
) -> Result<Plan> {
    let in_force = read_plan(client).await?;
    let plan = plan::plan(origins, weights, in_force.as_ref())?;
    if in_force.as_ref() != Some(&plan) {
        let record = PlanRecord {
            plan: plan.clone(),
            changed_at: unix_now(),
            changed_by: "stickshift up".to_owned(),
            why: "started on one machine".to_owned(),
        };
        write_plan(client, &record).await?;
    }
    Ok(plan)
}
