//! What the app, the edge and the operator agree on.
//!
//! Versions, tokens, receipts, session items, plans, headers, tables and intervals. This crate is
//! pure: it has no AWS SDK, no async runtime and no clock. `now` and the random generator are
//! arguments.

mod bot;
mod cookie;
mod format;
mod headers;
mod histogram;
mod interval;
mod item;
mod kind;
mod lease;
mod pass;
mod placement;
mod plan;
mod pulse;
mod receipt;
mod route;
mod setting;
mod site;
mod tables;
mod timing;
mod token;
mod version;
mod weight;

pub use bot::is_bot;
pub use cookie::{BareTokens, Claim, OUR_COOKIES, SameSite, SessionCookie, cookie_values, set_cookie};
pub use format::known as known_format;
pub use headers::{
    EDGE_HEADER, FORMATS, FROM_HEADER, HEADER_PREFIX, ORIGIN_VERIFY_HEADER, PASS_HEADER, REVISION_HEADER, ROUTE_HEADER,
    SESSION_HEADER, VERSION_HEADER, format_read,
};
pub use histogram::Histogram;
pub use interval::{
    BODY_LIMIT, CLOCK_ALLOWANCE, DEADLINE, HEDGE_DELAY, Interval, OutOfRange, PLAN_TTL, PULSE, SESSION, SESSION_MAX,
    TOUCH_INTERVAL, TRUST_WINDOW, TUNNEL_SILENCE, UPSTREAM_CONNECTIONS, UPSTREAM_HEAD, UPSTREAM_PAUSE,
    VIEWER_CONNECTIONS,
};
pub use item::SessionItem;
pub use kind::{ASSET_PREFIX, Kind, KindInputs};
pub use lease::{LEASE_SILENCE_SECONDS, Lease, RUN_FORMAT};
pub use pass::{Link, PASS_COOKIE, PASS_PARAMETER, PREFIXED_PASS_COOKIE, Pass, PassKeys};
pub use placement::{Placed, Placement};
pub use plan::{
    Domain, DomainError, Origin, PLAN_FORMAT, Plan, PlanError, PlanRecord, PlannedVersion, Port, PortError, Protocol,
    State,
};
pub use pulse::{Draws, MINUTE_LIFETIME_SECONDS, PULSE_FORMAT, PULSE_LIFETIME_SECONDS, PULSE_SILENCE_SECONDS, Pulse};
pub use receipt::{Keys, KeysError, Receipt};
pub use route::Route;
pub use setting::{ROLLOUT_TABLE, SESSIONS_TABLE, Setting, settings_table};
pub use site::{SITE_FORMAT, SiteRecord, site_parameter};
pub use tables::{
    LIVE_PARTITION, PLAN_IN_FORCE, PLAN_PARTITION, ROLLOUT_SCHEMA, RUN, SESSIONS_SCHEMA, TTL_ATTRIBUTE, TableNameError,
    TableNames, TableSchema, minute_key, minute_partition, plan_history_key, pulse_partition,
};
pub use timing::Timing;
pub use token::{Token, TokenError};
pub use version::{VersionCode, VersionCodeError};
pub use weight::{Weight, WeightError};
