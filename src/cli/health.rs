//! `stickshift health`: whether a version that is served here is well, for Docker's `HEALTHCHECK`.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use awc::Client;
use awc::http::header::USER_AGENT;
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Health {
    /// What to ask; /readyz asks whether DynamoDB can be reached as well
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000/healthz")]
    url: String,
}

/// Asks once, for 2 s at most. Errors: it does not answer, or not with 200.
pub(crate) async fn health(Health { url }: Health) -> Result<()> {
    let client = Client::builder()
        .timeout(Duration::from_secs(2))
        .disable_redirects()
        // Through an edge, it is sent to stable as a monitor.
        .add_default_header((USER_AGENT, "stickshift health-check"))
        .finish();
    let response = client.get(&url).send().await.map_err(|cause| anyhow!("{url} does not answer: {cause}"))?;
    if response.status() != 200 {
        bail!("{url} answers {}", response.status());
    }
    Ok(())
}
