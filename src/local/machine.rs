//! Everything on one machine: starts and stops all parts, in the right order.

mod data_dir;
mod embedded_dynamodb;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use stickshift_contract::{Domain, Origin, Port, Protocol, VersionCode, Weight};

pub use data_dir::DataDir;
pub use embedded_dynamodb::EmbeddedDynamoDb;

use super::cloudfront::{CloudFront, CloudFrontConfig, SharedRng};
use crate::listener::bind;
use crate::serve::{self, OriginListeners, RunningOrigin};
use crate::settings::{Settings, SharedSettings};

/// What to run.
#[derive(Debug)]
pub struct MachineConfig {
    /// Where CloudFront listens. The versions take the ports after it. Port 0 means any free ports.
    pub listen: SocketAddr,
    /// Where the embedded DynamoDB listens.
    pub dynamodb: SocketAddr,
    /// Where the first version listens for monitors. The other versions take the ports after it. Port 0
    /// means any free ports.
    pub admin_listen: SocketAddr,
    /// The versions, the stable one first, with the keys that they share.
    pub versions: Vec<Settings>,
    /// The weights that the command line asks for.
    pub weights: Vec<(VersionCode, Weight)>,
    /// Where sessions are kept; `None` keeps them in memory.
    pub data_dir: Option<DataDir>,
    /// The random generator that draws versions for new sessions.
    pub rng: SharedRng,
    /// See [`CloudFrontConfig::read_timeout_seconds`].
    pub read_timeout_seconds: u64,
    /// See [`stickshift_contract::DEADLINE`].
    pub edge_deadline: Duration,
}

/// All running parts.
#[derive(Debug)]
pub struct Machine {
    /// What viewers connect to.
    pub cloudfront: CloudFront,
    /// Every version, in the order of the theme files.
    pub versions: Vec<RunningVersion>,
    /// The embedded DynamoDB.
    pub dynamodb: EmbeddedDynamoDb,
    _data_dir: Option<DataDir>,
}

/// A version that runs on this machine.
#[derive(Debug)]
pub struct RunningVersion {
    /// The version's settings.
    pub settings: Settings,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it listens for monitors.
    pub admin_address: SocketAddr,
    origin: RunningOrigin,
}

impl Machine {
    /// Starts all parts. Errors: a port is taken, the data cannot be used, or the weights make no plan.
    pub async fn start(config: MachineConfig) -> Result<Self> {
        let MachineConfig {
            listen,
            dynamodb,
            admin_listen,
            versions,
            weights,
            data_dir,
            rng,
            read_timeout_seconds,
            edge_deadline,
        } = config;
        let Some(shared) = versions.first().map(|settings| settings.shared.clone()) else {
            bail!("there is no version to serve")
        };
        check_agreement(&versions)?;
        if versions.iter().any(|settings| settings.tls.is_some()) {
            bail!(
                "STICKSHIFT_TLS_CERTIFICATE: on one machine, versions are reached by plain HTTP; leave the certificate out"
            );
        }
        if !dynamodb.ip().is_loopback() {
            bail!("the embedded DynamoDB is for this machine only: choose an address on loopback with --dynamodb");
        }

        // Bind every port before anything starts: a port that is taken must not leave half of it running.
        let listener = bind(listen, "--listen", "CloudFront")?;
        let dynamodb_listener = bind(dynamodb, "--dynamodb", "the embedded DynamoDB")?;
        let mut bound = Vec::new();
        for (settings, place) in versions.into_iter().zip(1u16..) {
            let listeners = bind_version(settings.version, listen.port(), admin_listen, place)?;
            bound.push((settings, listeners.public.local_addr()?, listeners));
        }

        let file = data_dir.as_ref().map(DataDir::database).transpose()?;
        let dynamodb = EmbeddedDynamoDb::start(dynamodb_listener, file.as_deref(), &shared.tables).await?;
        let origins: Result<_> =
            bound.iter().map(|(settings, address, _)| Ok((settings.version, local_origin(*address)?))).collect();
        let cloudfront = CloudFrontConfig {
            origins: origins?,
            weights,
            shared,
            dynamodb: dynamodb.dynamodb(),
            rng,
            read_timeout_seconds,
            deadline: edge_deadline,
            changed_by: "stickshift up",
        };
        let cloudfront = CloudFront::start(listener, cloudfront).await?;
        let mut versions = Vec::new();
        for (settings, address, listeners) in bound {
            let admin_address = listeners.admin.local_addr()?;
            let origin = serve::start(listeners, settings.clone(), dynamodb.dynamodb())?;
            origin.first_beat().await;
            versions.push(RunningVersion { settings, address, admin_address, origin });
        }
        Ok(Self { cloudfront, versions, dynamodb, _data_dir: data_dir })
    }

    /// Stops all parts, beginning at the viewers' end: a part stops only when nothing needs it any more.
    pub async fn stop(self) -> Result<()> {
        for version in &self.versions {
            version.origin.end_streams();
        }
        self.cloudfront.stop().await;
        for version in self.versions {
            version.origin.stop().await;
        }
        self.dynamodb.stop().await
    }
}

/// Binds the ports of the version at `place`, counted from 1.
fn bind_version(
    version: VersionCode,
    cloudfront_port: u16,
    admin_listen: SocketAddr,
    place: u16,
) -> Result<OriginListeners> {
    let after = |port: u16, places: u16, flag: &str| {
        let port = if port == 0 { Some(0) } else { port.checked_add(places) };
        port.with_context(|| format!("there are not enough ports after the port of {flag}"))
    };
    let port = after(cloudfront_port, place, "--listen")?;
    let what = format!("version {version} (versions take the ports after CloudFront's)");
    let public = bind((Ipv4Addr::LOCALHOST, port).into(), "--listen", &what)?;
    let admin_port = after(admin_listen.port(), place - 1, "--admin-listen")?;
    let what = format!("monitors of version {version} (each version takes the next port)");
    let admin = bind((admin_listen.ip(), admin_port).into(), "--admin-listen", &what)?;
    Ok(OriginListeners { public, admin })
}

fn local_origin(address: SocketAddr) -> Result<Origin> {
    let port = Port::new(address.port()).with_context(|| format!("an origin cannot be at {address}"))?;
    Ok(Origin { domain: Domain::parse("localhost")?, port, protocol: Protocol::Http })
}

/// The app and the edge must read the same cookie in the same way. Errors: two versions differ.
fn check_agreement(versions: &[Settings]) -> Result<()> {
    for pair in versions.windows(2) {
        let (one, other) = (&pair[0], &pair[1]);
        if one.version == other.version {
            bail!("two theme files have the VERSION_CODE {}: every version needs its own", one.version);
        }
        let shared = |settings: &Settings| {
            let SharedSettings { cookie, plan_ttl_seconds, tables, .. } = &settings.shared;
            let switches = (cookie.accept_bare_tokens, cookie.accept_unprefixed_cookie, cookie.same_site);
            (cookie.timing, switches, *plan_ttl_seconds, tables.clone())
        };
        if shared(one) != shared(other) {
            bail!(
                "versions {} and {} differ in more than their theme: they share sessions and the edge, so they must agree",
                one.version,
                other.version
            );
        }
    }
    Ok(())
}
