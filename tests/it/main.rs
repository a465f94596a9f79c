//! Stickshift from outside: real HTTP, AWS's SDK, an embedded DynamoDB. Everything binds port 0, so all tests run at once.

mod bundle;
mod cli;
mod docs;
mod edge;
mod edge_faults;
mod faulty;
mod golden;
mod lambda;
mod proxy;
mod road;
mod serve_faults;
mod serve_pages;
mod serve_sessions;
mod settings;
mod support;
mod wire;
