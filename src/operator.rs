//! What an operator sees and does, by command or on the dashboard.
//!
//! - `site` is what they talk to: AWS, or the `up` on this machine.
//! - `status` is what they see.
//! - `change` changes the plan, `steer` the rollout that runs, `preview` makes links.
//! - `words` and `table` say it in words.

pub mod change;
pub mod preview;
pub mod site;
pub mod status;
pub mod steer;
pub mod table;
pub mod words;

pub use site::{Site, SiteArguments};
