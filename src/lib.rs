//! Stickshift: sticky canary releases behind Amazon CloudFront.
//!
//! - [`serve`] is an origin: it serves one version of the app.
//! - [`forward`] sends a request on to another server.
//! - [`local`] is everything that stands in for AWS on one machine.
//! - [`store`] is DynamoDB: sessions and plans in their tables.

mod causes;
pub mod clock;
pub mod forward;
pub mod listener;
pub mod local;
pub mod loopback;
pub mod minute_log;
pub mod serve;
pub mod settings;
pub mod store;
pub mod theme;
