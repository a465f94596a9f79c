//! Where the parts of a site on AWS are: what operators' tools find by the site's name.

use serde::{Deserialize, Deserializer, Serialize};

use crate::format;

/// The format of a site's record that this release reads.
pub const SITE_FORMAT: u64 = 1;

/// A site's record, as JSON in [Parameter Store](https://docs.aws.amazon.com/systems-manager/latest/userguide/systems-manager-parameter-store.html)
/// under [`site_parameter`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteRecord {
    /// See [`SITE_FORMAT`].
    #[serde(deserialize_with = "known_format")]
    pub format: u64,
    /// The region in which everything is written, for example `us-east-1`.
    pub home_region: String,
    /// The table of sessions.
    pub sessions_table: String,
    /// The table of plans and pulses.
    pub rollout_table: String,
    /// The regions of the other replicas.
    #[serde(default)]
    pub replicas: Vec<String>,
    /// The address that viewers open, for example `https://www.example.com`.
    pub url: String,
    /// The name of the parameter that holds the key of passes; see [`PassKeys::parse`](crate::PassKeys::parse).
    #[serde(default)]
    pub pass_key: Option<String>,
}

/// The name of the parameter that holds the record of a site.
pub fn site_parameter(site: &str) -> String {
    format!("/stickshift/{site}/site")
}

fn known_format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    format::known(deserializer, "site", SITE_FORMAT)
}
