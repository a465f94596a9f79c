//! The router's pure parts: events in and out, and the decision core. Look-ups are tested in the root package, which
//! has a DynamoDB for them.

mod config;
mod decide;
mod event;
mod redeem;
mod router;
