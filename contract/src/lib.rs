//! What the app, the edge and the operator agree on: versions, tokens, receipts, session items and plans.
//!
//! Pure: no AWS SDK, no async runtime, no clock. `now` and the random generator are arguments.

mod bot;
mod cookie;
mod plan;
mod receipt;
mod route;
mod session;
mod timing;
mod token;
mod version;
mod weight;

pub use bot::is_bot;
pub use cookie::{Claim, SessionCookie, session_cookie_values};
pub use plan::{Origin, Plan, PlanError, PlannedVersion, Protocol, State};
pub use receipt::{Keys, KeysError, Receipt};
pub use route::{ORIGIN_VERIFY_HEADER, ROUTE_HEADER, Route, VERSION_HEADER};
pub use session::SessionItem;
pub use timing::{Timing, TimingError};
pub use token::{Token, TokenError};
pub use version::{VersionCode, VersionCodeError};
pub use weight::{Weight, WeightError};

/// Hash-keyed table of the sessions; see [`SessionItem`].
pub const SESSIONS_TABLE: &str = "SessionsTable";

/// Table of the plan in force and of the earlier ones; hash key `pk`, range key `sk`.
pub const ROLLOUT_TABLE: &str = "RolloutTable";

/// `pk` of every plan in [`ROLLOUT_TABLE`].
pub const PLAN_PARTITION: &str = "rollout";

/// `sk` of the plan in force in [`ROLLOUT_TABLE`].
pub const PLAN_IN_FORCE: &str = "current";
