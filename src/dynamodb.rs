//! Ways to DynamoDB: AWS's, or the one embedded here. Nothing but the endpoint and the credentials differ.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{Credentials, Region};
use aws_sdk_dynamodb::{Client, Config};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use stickshift_edge::Replicas;

/// Region where none is set, as in the article.
pub const DEFAULT_REGION: &str = "us-east-1";

/// Where DynamoDB is and how to speak to it; makes the clients.
///
/// Each of a server's threads gets a client of its own: a connection lives on the thread that opened it, so a shared
/// one would hop between threads for every call, and break under the others when its thread stops.
#[derive(Debug, Clone)]
pub struct DynamoDb {
    config: Config,
    is_local: bool,
}

impl DynamoDb {
    /// AWS's, set up as every AWS tool is: `AWS_REGION`, `AWS_ENDPOINT_URL_DYNAMODB`, profiles and the
    /// [credential chain](https://docs.aws.amazon.com/sdk-for-rust/latest/dg/credproviders.html).
    pub async fn from_environment() -> Self {
        // Not the instance's own region: that would be asked of a metadata service, and waited for, off AWS as well.
        let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new())
            .or_else(DEFAULT_REGION);
        let tls = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let shared = aws_config::defaults(BehaviorVersion::latest()).region(region).http_client(tls).load().await;
        Self { config: with_limits(aws_sdk_dynamodb::config::Builder::from(&shared)).build(), is_local: false }
    }

    /// The one that is served at `endpoint` by plain HTTP, such as `http://127.0.0.1:8000`.
    pub fn at(endpoint: &str) -> Self {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static(DEFAULT_REGION))
            .endpoint_url(endpoint)
            // It takes any; the SDK insists on some.
            .credentials_provider(Credentials::new("embedded", "embedded", None, None, "stickshift"));
        Self { config: with_limits(config).build(), is_local: true }
    }

    /// A client for the app and the operator, with connections of its own.
    pub fn client(&self) -> Client {
        Client::from_conf(self.own_connections().build())
    }

    /// A client for the edge's look-ups, with connections of its own.
    pub fn edge_client(&self) -> Client {
        Replicas::client(self.own_connections())
    }

    fn own_connections(&self) -> aws_sdk_dynamodb::config::Builder {
        let http = Builder::new();
        self.config.to_builder().http_client(if self.is_local {
            http.build_http()
        } else {
            http.tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
        })
    }
}

/// The SDK waits for ever unless told otherwise, and a viewer waits with it. One retry, and soon: the SDK's own pause of
/// up to a second would use up the time there is.
fn with_limits(config: aws_sdk_dynamodb::config::Builder) -> aws_sdk_dynamodb::config::Builder {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(500))
        .operation_attempt_timeout(Duration::from_millis(700))
        .operation_timeout(Duration::from_millis(1500))
        .build();
    config
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(2).with_initial_backoff(Duration::from_millis(50)))
        // Items are small; the time-outs watch over stalls.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}
