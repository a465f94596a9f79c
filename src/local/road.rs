//! Starting and stopping all of it, in the right order.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use stickshift_contract::{Origin, Protocol, VersionCode, Weight};

use super::{DataDir, EdgeConfig, EmbeddedDynamoDb, LocalEdge, SharedRng};
use crate::listener::bind;
use crate::serve::{self, Served};
use crate::settings::{Settings, SharedSettings};

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
    /// What viewers meet.
    pub edge: LocalEdge,
    /// Every version, in the order of the theme files.
    pub versions: Vec<RunningVersion>,
    /// The embedded DynamoDB.
    pub dynamodb: EmbeddedDynamoDb,
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
        let Some(shared) = versions.first().map(|settings| settings.shared.clone()) else {
            bail!("there is no version to serve")
        };
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
        let dynamodb = EmbeddedDynamoDb::start(dynamodb_listener, file.as_deref(), &shared.tables).await?;
        let addresses: Vec<_> = origins
            .iter()
            .map(|(settings, address, _)| {
                let origin = Origin { domain: "localhost".to_owned(), port: address.port(), protocol: Protocol::Http };
                (settings.theme.code, origin)
            })
            .collect();
        let edge = EdgeConfig {
            origins: addresses,
            weights,
            shared,
            dynamodb: dynamodb.dynamodb(),
            rng,
            read_timeout_seconds,
            deadline: edge_deadline,
            changed_by: "stickshift up",
        };
        let edge = LocalEdge::start(listener, edge).await?;
        let mut versions = Vec::new();
        for (settings, address, listener) in origins {
            let served = serve::start(listener, settings.clone(), dynamodb.dynamodb())?;
            versions.push(RunningVersion { settings, address, served });
        }
        Ok(Self { edge, versions, dynamodb, _data_dir: data_dir })
    }

    /// Stops it all from the viewer's end: what is in flight is finished before what it needs goes away.
    pub async fn stop(self) -> Result<()> {
        self.edge.stop().await;
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
            let SharedSettings { cookie, plan_ttl_seconds, tables, .. } = &settings.shared;
            (cookie.timing, cookie.accept_bare_tokens, *plan_ttl_seconds, tables.clone())
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
