//! `stickshift edge`: the edge by itself on this machine, in front of versions that run elsewhere.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use log::info;
use stickshift::dynamodb::DynamoDb;
use stickshift::listener::bind;
use stickshift::local::{EdgeConfig, LocalEdge, SharedRng, create_tables};
use stickshift::settings::SharedSettings;
use stickshift_contract::{Origin, Plan, PlannedVersion, Protocol, VersionCode, Weight};
use stickshift_edge::{CustomOrigin, Replicas};

use super::until_told_to_stop;

#[derive(Debug, Args)]
#[command(
    after_help = "Keys, intervals and the tables' names come from the environment, as the versions' do: STICKSHIFT_KEYS and others."
)]
pub(crate) struct Edge {
    /// Where CloudFront listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// A version and where it is served by plain HTTP; once for each version, the stable one first
    #[arg(long = "origin", value_name = "VERSION=HOST:PORT", required = true, value_parser = parse_origin)]
    origins: Vec<(VersionCode, Origin)>,
    /// Share of new sessions for a version, in percent; once for each version [default: 10 for each but the first, or
    /// as it was]
    #[arg(long = "weight", value_name = "VERSION=PERCENT", value_parser = parse_weight)]
    weights: Vec<(VersionCode, Weight)>,
    /// A DynamoDB for development, such as http://127.0.0.1:8000; the tables are made there unless there are any
    #[arg(long, value_name = "URL", value_parser = parse_endpoint)]
    dynamodb: String,
}

/// Runs it until it is told to stop. Errors: for people, with what to do about them.
pub(crate) async fn edge(arguments: Edge) -> Result<()> {
    let Edge { listen, origins, weights, dynamodb: endpoint } = arguments;
    let shared = SharedSettings::from_environment()?;
    for (index, (code, _)) in origins.iter().enumerate() {
        if origins[..index].iter().any(|(earlier, _)| earlier == code) {
            bail!("--origin names version {code} twice: each version has one origin");
        }
    }
    let listener = bind(listen, "--listen", "CloudFront")?;
    let dynamodb = DynamoDb::at(&endpoint);
    create_tables(&dynamodb.client(), &shared.tables)
        .await
        .with_context(|| format!("could not make the tables in the DynamoDB at {endpoint}, see --dynamodb"))?;
    let config = EdgeConfig {
        origins,
        weights,
        shared,
        dynamodb,
        rng: SharedRng::from_system(),
        read_timeout_seconds: CustomOrigin::READ_TIMEOUT_SECONDS,
        deadline: Replicas::DEADLINE,
        changed_by: "stickshift edge",
    };
    let edge = LocalEdge::start(listener, config).await?;
    info!("CloudFront is served on http://{}", edge.address);
    for (code, planned) in edge.plan.versions() {
        let Origin { domain, port, .. } = &planned.origin;
        info!("version {code} at {domain}:{port}: {}", standing(&edge.plan, *code, planned));
    }
    until_told_to_stop().await?;
    info!("stopping: finishing what is in flight");
    edge.stop().await;
    Ok(())
}

/// How a version stands in a plan, such as `live, stable, 90.00 % of new sessions`.
pub(super) fn standing(plan: &Plan, code: VersionCode, planned: &PlannedVersion) -> String {
    let stable = if plan.stable() == code { ", stable" } else { "" };
    format!("{}{stable}, {} % of new sessions", planned.state, planned.weight)
}

fn parse_origin(text: &str) -> Result<(VersionCode, Origin), String> {
    let parts = text.split_once('=').and_then(|(version, place)| Some((version, place.rsplit_once(':')?)));
    let (version, (domain, port)) = parts.ok_or("it takes a version, a host and a port, such as 1=localhost:8081")?;
    let version = VersionCode::parse(version).map_err(|cause| cause.to_string())?;
    let port = port.parse().map_err(|_| format!("`{port}` is no port"))?;
    Ok((version, Origin { domain: domain.to_owned(), port, protocol: Protocol::Http }))
}

pub(super) fn parse_weight(text: &str) -> Result<(VersionCode, Weight), String> {
    let (version, weight) = text.split_once('=').ok_or("it takes a version and a percentage, such as 2=10")?;
    let version = VersionCode::parse(version).map_err(|cause| cause.to_string())?;
    let weight = Weight::parse_percent(weight).map_err(|cause| cause.to_string())?;
    Ok((version, weight))
}

/// Plain HTTP only, as a DynamoDB for development speaks it. AWS's own would refuse the credentials of [`DynamoDb::at`],
/// so that no plan in force there is changed by this.
fn parse_endpoint(text: &str) -> Result<String, String> {
    let is_http = text.strip_prefix("http://").is_some_and(|place| !place.is_empty());
    if is_http {
        Ok(text.to_owned())
    } else {
        Err("it takes a URL of plain HTTP, such as http://127.0.0.1:8000".to_owned())
    }
}
