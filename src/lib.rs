//! Stickshift: sticky canary releases behind Amazon CloudFront.
//!
//! - [`booking`] is the activity of the themed app.
//! - [`serve`] is an origin: it serves one version of the app.
//! - `dashboard` is the operator's page.
//! - [`forward`] sends a request on to another server.
//! - [`local`] is everything that stands in for AWS on one machine.
//! - [`store`] is DynamoDB: sessions, plans and pulses in their tables.
//! - `operator` is what an operator sees and does, by command or on the dashboard.

pub mod booking;
mod causes;
pub mod clock;
#[cfg(feature = "operator")]
pub mod dashboard;
pub mod forward;
pub mod listener;
pub mod local;
pub mod loopback;
pub mod minute_log;
#[cfg(feature = "operator")]
pub mod operator;
pub mod serve;
pub mod settings;
pub mod store;
pub mod theme;
