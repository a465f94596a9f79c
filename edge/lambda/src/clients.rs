//! Clients for the replicas of the tables, with the credentials that Lambda puts into the environment.

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, IdentityCache, Region};
use aws_sdk_dynamodb::{Client, Config};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use log::warn;
use stickshift_edge::Replica;
use stickshift_edge::replicas::Replicas;

/// One client per replica, in the same order. They share the connections and the root certificates, which
/// take time to read.
pub(crate) fn for_replicas(replicas: &[Replica]) -> Vec<Client> {
    // One idle connection per replica is enough, because an instance has one event at a time. After a freeze
    // a second idle connection would be dead too, and the router's second attempt would use it.
    let http = Builder::new().pool_max_idle_per_host(1).tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let credentials = credentials();
    let client = |Replica { region, endpoint_url }: &Replica| {
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.clone()))
            .credentials_provider(credentials.clone())
            // The credentials are constant, so a cache would have nothing to do.
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
