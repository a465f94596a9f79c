//! `stickshift edge`: the edge alone on this machine, in front of versions that run elsewhere.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use log::info;
use stickshift::listener::bind;
use stickshift::local::{CloudFront, CloudFrontConfig, SharedRng};
use stickshift::settings::SharedSettings;
use stickshift::store::DynamoDb;
use stickshift::store::tables::create_tables;
use stickshift_contract::{DEADLINE, Origin, VersionCode, Weight};
use stickshift_edge::CustomOrigin;

use super::arguments::{in_words, parse_origin, parse_weight};
use super::stop::StopSignal;

#[derive(Debug, Args)]
#[command(
    after_help = "The keys, the intervals and the names of the tables come from the environment, as those of the versions do: STICKSHIFT_KEYS and others."
)]
pub(super) struct Edge {
    /// Where CloudFront listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// A version and where it is served by plain HTTP; once for each version, the stable one first
    #[arg(long = "origin", value_name = "VERSION=HOST:PORT", required = true, value_parser = parse_origin)]
    origins: Vec<(VersionCode, Origin)>,
    /// A version's share of new sessions, in percent; once for each version [default: 10 for each but the first, or
    /// as before]
    #[arg(long = "weight", value_name = "VERSION=PERCENT", value_parser = parse_weight)]
    weights: Vec<(VersionCode, Weight)>,
    /// A DynamoDB for development, for example http://127.0.0.1:8000; the tables are made if they do not exist
    #[arg(long, value_name = "URL", value_parser = parse_endpoint)]
    dynamodb: String,
}

/// Runs until a signal to stop. Errors are for people and say what to do.
pub(super) async fn edge(arguments: Edge) -> Result<()> {
    let Edge { listen, origins, weights, dynamodb: endpoint } = arguments;
    let stop = StopSignal::install()?;
    let shared = SharedSettings::from_environment()?;
    for (index, (version, _)) in origins.iter().enumerate() {
        if origins[..index].iter().any(|(earlier, _)| earlier == version) {
            bail!("--origin names version {version} twice: each version has one origin");
        }
    }
    let listener = bind(listen, "--listen", "CloudFront")?;
    let dynamodb = DynamoDb::at(&endpoint);
    create_tables(&dynamodb.client(), &shared.tables)
        .await
        .with_context(|| format!("could not make the tables in the DynamoDB at {endpoint}, see --dynamodb"))?;
    let config = CloudFrontConfig {
        origins,
        weights,
        shared,
        dynamodb,
        rng: SharedRng::from_system(),
        read_timeout_seconds: CustomOrigin::READ_TIMEOUT_SECONDS,
        deadline: Duration::from_millis(DEADLINE.default),
        changed_by: "stickshift edge",
    };
    let cloudfront = CloudFront::start(listener, config).await?;
    info!("CloudFront is served on http://{}", cloudfront.address);
    for (version, planned) in cloudfront.plan.versions() {
        let Origin { domain, port, .. } = &planned.origin;
        info!("version {version} at {domain}:{port}: {}", in_words(&cloudfront.plan, *version, planned));
    }
    stop.wait().await;
    info!("stopping: finishing requests in progress");
    cloudfront.stop().await;
    Ok(())
}

/// Plain HTTP only, which is what a DynamoDB for development speaks. AWS's own would refuse the credentials
/// of [`DynamoDb::at`], so this command cannot change a plan there.
fn parse_endpoint(text: &str) -> Result<String, String> {
    let is_http = text.strip_prefix("http://").is_some_and(|place| !place.is_empty());
    if is_http {
        Ok(text.to_owned())
    } else {
        Err("expected a URL of plain HTTP, for example http://127.0.0.1:8000".to_owned())
    }
}
