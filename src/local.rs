//! What stands in for AWS on one machine: an edge with a CloudFront, an embedded DynamoDB, and the road of all parts.

mod cloudfront;
#[cfg(feature = "local")]
mod data_dir;
mod edge;
#[cfg(feature = "local")]
mod embedded;
mod plan;
#[cfg(feature = "local")]
mod road;
mod tables;

pub use cloudfront::SharedRng;
#[cfg(feature = "local")]
pub use data_dir::DataDir;
pub use edge::{EdgeConfig, LocalEdge};
#[cfg(feature = "local")]
pub use embedded::EmbeddedDynamoDb;
#[cfg(feature = "local")]
pub use road::{Road, RoadConfig, RunningVersion};
pub use tables::create_tables;
