//! The router behind CloudFront's origin-request trigger.
//!
//! A request passes [`Router::route`]: [`Ask`] reads what it says of its viewer, [`Replicas`] look the session up where
//! that is needed, [`decide()`] chooses, and the request goes out to the chosen origin with the reason on it.

mod config;
mod decide;
mod event;
mod json_error;
mod plan_cache;
mod regions;
mod replicas;
mod router;
mod tables;

pub use config::{ConfigError, FunctionConfig, Replica};
pub use decide::{Ask, Decision, LookUp, Rollout, decide};
pub use event::{CustomOrigin, Event, EventError, Header, Headers, Origin, Request};
pub use regions::nearest_first;
pub use replicas::Replicas;
pub use router::{Knowledge, Known, Question, Router, RouterConfig};
pub use tables::{TableNameError, Tables};
