//! Stickshift from outside: real HTTP, AWS's SDK, an embedded DynamoDB. Every server binds port 0, so all
//! tests can run at once.

mod attacks;
mod booking;
mod bundle;
mod cli;
mod dashboard;
mod docs;
mod edge_command;
mod edge_faults;
mod embedded_dynamodb;
mod faulty;
mod golden;
mod lambda;
mod machine;
mod passes;
mod proxy;
mod pulses;
mod rollout;
mod run;
mod serve_faults;
mod serve_pages;
mod serve_sessions;
mod session_store;
mod settings;
mod sidecar;
mod support;
mod tls;
mod upstream;
mod wire;
