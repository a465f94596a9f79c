//! `stickshift health`: whether a version on this machine is healthy, for Docker's `HEALTHCHECK`.

use std::time::Duration;

use actix_web::web::Bytes;
use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use http_body_util::Empty;
use hyper::Request;
use hyper::http::header::USER_AGENT;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::arguments::ADMIN_LISTEN;

#[derive(Debug, Args)]
pub(super) struct Health {
    /// The URL to ask; /readyz also asks whether DynamoDB answers
    #[arg(long, value_name = "URL", default_value_t = format!("http://{ADMIN_LISTEN}/healthz"))]
    url: String,
}

/// Asks once, for 2 s at most. Errors: there is no answer, or one with another status than 200.
pub(super) async fn health(Health { url }: Health) -> Result<()> {
    // An edge recognises a monitor by this name and sends it to the stable version.
    let request = Request::get(&url).header(USER_AGENT, "stickshift health-check").body(Empty::<Bytes>::new())?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = tokio::time::timeout(Duration::from_secs(2), client.request(request));
    let answer = answer.await.map_err(|_| anyhow!("{url} does not answer within 2 s"))?;
    let answer = answer.with_context(|| format!("{url} does not answer"))?;
    if answer.status() != 200 {
        bail!("{url} answers {}", answer.status());
    }
    Ok(())
}
