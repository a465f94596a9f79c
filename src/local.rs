//! Everything on one machine: an embedded DynamoDB, every version, and a CloudFront in front of them.

mod cloudfront;
mod data_dir;
mod embedded;
mod plan;
mod road;

pub use cloudfront::SharedRng;
pub use data_dir::DataDir;
pub use embedded::EmbeddedDynamoDb;
pub use road::{Road, RoadConfig, RunningVersion};
