//! `stickshift health`: whether a version on this machine is healthy, for Docker's `HEALTHCHECK`.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use awc::Client;
use awc::http::header::USER_AGENT;
use clap::Args;

use super::arguments::ADMIN_LISTEN;

#[derive(Debug, Args)]
pub(super) struct Health {
    /// The URL to ask; /readyz also asks whether DynamoDB answers
    #[arg(long, value_name = "URL", default_value_t = format!("http://{ADMIN_LISTEN}/healthz"))]
    url: String,
}

/// Asks once, for 2 s at most. Errors: there is no answer, or one with another status than 200.
pub(super) async fn health(Health { url }: Health) -> Result<()> {
    let client = Client::builder()
        .timeout(Duration::from_secs(2))
        .disable_redirects()
        // An edge recognises a monitor by this name and sends it to the stable version.
        .add_default_header((USER_AGENT, "stickshift health-check"))
        .finish();
    let response = client.get(&url).send().await.map_err(|cause| anyhow!("{url} does not answer: {cause}"))?;
    if response.status() != 200 {
        bail!("{url} answers {}", response.status());
    }
    Ok(())
}
