//! The router behind CloudFront's origin-request trigger.
//!
//! [`Router::redeem`] answers a request that is a link to a version. Every other request takes three steps. The
//! router itself does no I/O:
//!
//! 1. [`Router::read`] reads the request, and [`Router::consider`] says whether a look-up in DynamoDB is
//!    needed.
//! 2. If so, the caller looks up the session and the plan, and [`Router::learn`] takes the answer.
//! 3. [`Router::forward`] decides with [`decide()`] and writes the decision into the request.
//!
//! With the cargo feature `dynamodb`, [`replicas`] does the look-up and puts the three steps together.

mod config;
mod decide;
mod event;
mod json_error;
mod look_up;
mod plan_cache;
mod redeem;
mod regions;
#[cfg(feature = "dynamodb")]
pub mod replicas;
mod router;

pub use config::{ConfigError, FunctionConfig, Replica, function_settings};
pub use decide::{Decision, Incoming, PlanSource, decide};
pub use event::{Changes, CustomOrigin, EventError, Header, Headers, Origin, Request};
pub use look_up::{Answer, LookUp, StoredSession};
pub use redeem::Redirect;
pub use regions::{is_known_region, nearest_first};
pub use router::{Considered, Knowledge, Router, RouterConfig};
