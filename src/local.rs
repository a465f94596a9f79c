//! What stands in for AWS on one machine: a CloudFront with the edge, and an embedded DynamoDB.

mod cloudfront;
#[cfg(feature = "embedded-dynamodb")]
pub mod machine;
mod running;
mod start_plan;

pub use cloudfront::{CloudFront, CloudFrontConfig, SharedRng};
pub use running::RunningUp;
