//! DynamoDB: AWS's or the embedded one. They differ only in endpoint and credentials.

pub mod activity;
mod calls;
pub mod lease;
#[cfg(feature = "operator")]
pub mod live;
pub mod plans;
pub mod pulses;
#[cfg(feature = "operator")]
pub mod runs;
pub mod sessions;
pub mod tables;

use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, Region};
use aws_sdk_dynamodb::{Client, Config};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use stickshift_contract::ROLLOUT_SCHEMA;
use stickshift_edge::replicas::Replicas;

pub use calls::Calls;

/// The region if none is set, as in the article.
pub const DEFAULT_REGION: &str = "us-east-1";

/// How long a connection to a service that is not DynamoDB may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where DynamoDB is and how to reach it. It makes the clients.
///
/// Each thread of a server gets a client of its own. A connection lives on the thread that opened it: a
/// shared client would hop between threads on every call, and its calls would fail when that thread stops.
#[derive(Debug, Clone)]
pub struct DynamoDb {
    config: Config,
    is_local: bool,
}

/// AWS's configuration, as every AWS tool finds it. `region` and `profile` count before the environment.
pub async fn aws_config(region: Option<String>, profile: Option<&str>) -> SdkConfig {
    // The instance's own region is not used: only a metadata service knows it, and off AWS the request to that
    // service would have to time out.
    let by_profile = ProfileFileRegionProvider::builder();
    let by_profile = profile.iter().fold(by_profile, |builder, profile| builder.profile_name(*profile)).build();
    let by_environment = match profile {
        // A profile that somebody names has a region of its own.
        Some(_) => RegionProviderChain::first_try(by_profile).or_else(EnvironmentVariableRegionProvider::new()),
        None => RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new()).or_else(by_profile),
    };
    let region =
        RegionProviderChain::first_try(region.map(Region::new)).or_else(by_environment).or_else(DEFAULT_REGION);
    let tls = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    // The SDK would wait for ever. DynamoDB's own limits are shorter.
    let timeouts = TimeoutConfig::builder().connect_timeout(PATIENCE).operation_timeout(3 * PATIENCE).build();
    let loader =
        aws_config::defaults(BehaviorVersion::latest()).region(region).http_client(tls).timeout_config(timeouts);
    profile.iter().fold(loader, |loader, profile| loader.profile_name(*profile)).load().await
}

impl DynamoDb {
    /// AWS's DynamoDB, configured as every AWS tool is: `AWS_REGION`, `AWS_ENDPOINT_URL_DYNAMODB`,
    /// profiles and the [credential chain](https://docs.aws.amazon.com/sdk-for-rust/latest/dg/credproviders.html).
    pub async fn from_environment() -> Self {
        Self::from_config(&aws_config(None, None).await)
    }

    /// AWS's DynamoDB by a configuration.
    pub fn from_config(config: &SdkConfig) -> Self {
        Self { config: with_limits(aws_sdk_dynamodb::config::Builder::from(config)).build(), is_local: false }
    }

    /// A DynamoDB for development at `endpoint`, by plain HTTP, for example `http://127.0.0.1:8000`.
    pub fn at(endpoint: &str) -> Self {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static(DEFAULT_REGION))
            .endpoint_url(endpoint)
            // It accepts any credentials, and the SDK requires some.
            .credentials_provider(Credentials::new("embedded", "embedded", None, None, "stickshift"));
        Self { config: with_limits(config).build(), is_local: true }
    }

    /// The same, and `calls` counts what its clients send.
    #[must_use]
    pub fn counted_by(self, calls: Calls) -> Self {
        Self { config: self.config.to_builder().interceptor(calls).build(), ..self }
    }

    /// A client for the app and the operator, with connections of its own.
    pub fn client(&self) -> Client {
        Client::from_conf(self.own_connections().build())
    }

    /// A client for the edge's look-ups, with connections of its own.
    pub fn look_up_client(&self) -> Client {
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

/// The range key of the table of plans.
fn range_key() -> &'static str {
    ROLLOUT_SCHEMA.range_key.expect("the table of plans has a range key")
}

/// Sets time-outs, because the SDK has none and a viewer waits for the answer. There is one retry after a
/// short pause: the SDK's own pause of up to a second would use up the time.
fn with_limits(config: aws_sdk_dynamodb::config::Builder) -> aws_sdk_dynamodb::config::Builder {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(500))
        .operation_attempt_timeout(Duration::from_millis(700))
        .operation_timeout(Duration::from_millis(1500))
        .build();
    config
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(2).with_initial_backoff(Duration::from_millis(50)))
        // Items are small. The time-outs handle a stream that stalls.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}
