//! Clients for the tables' replicas, with the credentials that Lambda puts into the environment.

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, IdentityCache, Region};
use aws_sdk_dynamodb::{Client, Config};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use log::warn;
use stickshift_edge::{Replica, Replicas};

/// One client a replica, in their order. They share connections, and the root certificates, which take time to read.
pub(crate) fn for_replicas(replicas: &[Replica]) -> Vec<Client> {
    // One connection kept for a replica, for the one event at a time: were there a second, it would be as dead after a
    // freeze, and the router's second try at a replica would take it.
    let http = Builder::new().pool_max_idle_per_host(1).tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let credentials = credentials();
    let client = |Replica { region, endpoint_url }: &Replica| {
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.clone()))
            .credentials_provider(credentials.clone())
            // They are at hand; a cache would only look after them.
            .identity_cache(IdentityCache::no_cache())
            .http_client(http.clone());
        config.set_endpoint_url(endpoint_url.clone());
        Replicas::client(config)
    };
    replicas.iter().map(client).collect()
}

/// The role's credentials: Lambda sets
/// [these variables](https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html) once for an instance's
/// whole life, so nothing has to renew them.
fn credentials() -> Credentials {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let id = variable("AWS_ACCESS_KEY_ID");
    if id.is_empty() {
        warn!("AWS_ACCESS_KEY_ID is not set, so DynamoDB will refuse every call");
    }
    let session = Some(variable("AWS_SESSION_TOKEN")).filter(|token| !token.is_empty());
    Credentials::new(id, variable("AWS_SECRET_ACCESS_KEY"), session, None, "lambda")
}
