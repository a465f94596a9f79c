//! The function's configuration: `config.json` in the bundle, for Lambda@Edge has no environment variables of one's own.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use stickshift_contract::{
    Keys, Plan, PlanError, PlannedVersion, ROLLOUT_TABLE, SESSIONS_TABLE, SessionCookie, Timing, VersionCode,
};

use crate::{Replicas, RouterConfig, Tables, regions};

/// All that a function goes by. Every field of the file is described in `docs/lambda-at-edge.md`.
#[derive(Debug, Clone)]
pub struct FunctionConfig {
    /// The tables' replicas, in the order of the file; at least one.
    pub replicas: Vec<Replica>,
    /// What the tables are called.
    pub tables: Tables,
    /// See [`Replicas::hedge_delay`].
    pub hedge_delay: Duration,
    /// See [`Replicas::deadline`].
    pub deadline: Duration,
    /// What the router goes by.
    pub router: RouterConfig,
}

/// A region that the tables are in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replica {
    /// Its name, such as `eu-west-1`.
    pub region: String,
    /// Where its DynamoDB is instead of
    /// [AWS's endpoint](https://docs.aws.amazon.com/general/latest/gr/ddb.html), such as `http://127.0.0.1:8000`.
    #[serde(default)]
    pub endpoint_url: Option<String>,
}

/// What is wrong with a configuration, and in which line. Never repeats a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ConfigError {
    /// Counted from 1.
    pub line: usize,
    message: String,
}

/// The one format there is; a later one gets the next number.
const FORMAT: u64 = 1;

impl FunctionConfig {
    /// Reads and checks a configuration. Errors: the first [`ConfigError`] found.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let Format { format } = read(text)?;
        if format != FORMAT {
            return Err(fault("format", format!("`format` is {format}: this bundle reads {FORMAT}")).in_file(text));
        }
        read::<Raw>(text)?.check().map_err(|fault| fault.in_file(text))
    }

    /// The two replicas nearest to `region`, which is all that a look-up asks. Without one, the first two of the file.
    pub fn nearest_replicas(&self, region: Option<&str>) -> Vec<Replica> {
        let mut replicas = self.replicas.clone();
        if let Some(region) = region {
            regions::nearest_first(region, &mut replicas, |replica| &replica.region);
        }
        replicas.truncate(2);
        replicas
    }
}

/// What it sets, in a line.
impl fmt::Display for FunctionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let replicas: Vec<&str> = self.replicas.iter().map(|replica| replica.region.as_str()).collect();
        write!(f, "replicas in {}", replicas.join(", "))?;
        for (version, PlannedVersion { origin, state, .. }) in self.router.bundled_plan.versions() {
            write!(f, "; version {version} at {}:{}, {state}", origin.domain, origin.port)?;
        }
        match &self.router.cookie.keys {
            Some(_) => Ok(()),
            None => write!(f, "; no keys, so every request of a session looks it up"),
        }
    }
}

/// The file, before its rules are checked.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Raw {
    #[serde(rename = "format")]
    _format: u64,
    replicas: Vec<Replica>,
    sessions_table: String,
    rollout_table: String,
    keys: Option<String>,
    accept_bare_tokens: bool,
    session_seconds: u64,
    touch_interval_seconds: u64,
    trust_window_seconds: u64,
    clock_allowance_seconds: u64,
    plan_ttl_seconds: u64,
    hedge_delay_milliseconds: u64,
    deadline_milliseconds: u64,
    keep_viewer_host: bool,
    plan: RawPlan,
}

/// As in the rollout table, but for the revision, which an old bundle's plan need not have.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawPlan {
    #[serde(default)]
    revision: u64,
    stable: Option<VersionCode>,
    versions: BTreeMap<VersionCode, PlannedVersion>,
}

#[derive(Deserialize)]
struct Format {
    format: u64,
}

/// A rule that is broken.
struct Fault {
    /// What the line holds that is wrong.
    place: Vec<String>,
    message: String,
}

impl Default for Raw {
    fn default() -> Self {
        let Timing { session_seconds, touch_interval_seconds, trust_window_seconds, clock_allowance_seconds } =
            Timing::default();
        let milliseconds = |duration: Duration| duration.as_millis().try_into().expect("a fraction of a second");
        Self {
            _format: FORMAT,
            replicas: Vec::new(),
            sessions_table: SESSIONS_TABLE.to_owned(),
            rollout_table: ROLLOUT_TABLE.to_owned(),
            keys: None,
            accept_bare_tokens: false,
            session_seconds,
            touch_interval_seconds,
            trust_window_seconds,
            clock_allowance_seconds,
            plan_ttl_seconds: RouterConfig::PLAN_TTL_SECONDS,
            hedge_delay_milliseconds: milliseconds(Replicas::HEDGE_DELAY),
            deadline_milliseconds: milliseconds(Replicas::DEADLINE),
            keep_viewer_host: false,
            plan: RawPlan::default(),
        }
    }
}

impl Raw {
    fn check(self) -> Result<FunctionConfig, Fault> {
        self.check_replicas()?;
        self.check_numbers()?;
        let timing = Timing {
            session_seconds: self.session_seconds,
            touch_interval_seconds: self.touch_interval_seconds,
            trust_window_seconds: self.trust_window_seconds,
            clock_allowance_seconds: self.clock_allowance_seconds,
        };
        timing.check().map_err(|cause| fault(cause.name, cause.to_string()))?;
        let keys = self.keys.as_deref().map(Keys::parse).transpose();
        Ok(FunctionConfig {
            replicas: self.replicas,
            tables: Tables { sessions: self.sessions_table, rollout: self.rollout_table },
            hedge_delay: Duration::from_millis(self.hedge_delay_milliseconds),
            deadline: Duration::from_millis(self.deadline_milliseconds),
            router: RouterConfig {
                cookie: SessionCookie {
                    keys: keys.map_err(|cause| fault("keys", cause.to_string()))?,
                    accept_bare_tokens: self.accept_bare_tokens,
                    timing,
                },
                keep_viewer_host: self.keep_viewer_host,
                plan_ttl_seconds: self.plan_ttl_seconds,
                bundled_plan: self.plan.check()?,
            },
        })
    }

    fn check_replicas(&self) -> Result<(), Fault> {
        if self.replicas.is_empty() {
            return Err(fault("replicas", "`replicas` names no region: the tables are in at least one"));
        }
        for Replica { region, endpoint_url } in &self.replicas {
            if !regions::is_known(region) {
                return Err(fault(region, format!("`{region}` is no AWS region that this release knows")));
            }
            if let Some(url) = endpoint_url
                && !url.starts_with("https://")
                && !url.starts_with("http://")
            {
                return Err(fault(url, format!("`{url}` is no URL: it takes https://… or http://…")));
            }
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), Fault> {
        let ranges = [
            ("plan_ttl_seconds", self.plan_ttl_seconds, 0, RouterConfig::PLAN_TTL_SECONDS_MAX),
            ("deadline_milliseconds", self.deadline_milliseconds, 1, 10_000),
            ("hedge_delay_milliseconds", self.hedge_delay_milliseconds, 0, self.deadline_milliseconds),
        ];
        for (name, value, minimum, maximum) in ranges {
            if !(minimum..=maximum).contains(&value) {
                return Err(fault(name, format!("`{name}` is {value}: it takes {minimum} to {maximum}")));
            }
        }
        for (name, table) in [("sessions_table", &self.sessions_table), ("rollout_table", &self.rollout_table)] {
            // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
            if !(3..=255).contains(&table.len()) || !table.bytes().all(is_name) {
                return Err(fault(
                    name,
                    format!("`{table}` is no table's name: it takes 3 to 255 of A-Z a-z 0-9 _ - ."),
                ));
            }
        }
        Ok(())
    }
}

impl RawPlan {
    fn check(self) -> Result<Plan, Fault> {
        let Some(stable) = self.stable else { return Err(fault("plan", "the plan names no `stable` version")) };
        Plan::new(self.revision, stable, self.versions).map_err(|cause| {
            let place = match &cause {
                PlanError::NoneLive => "versions",
                PlanError::WeightSum(_) => "weight_basis_points",
                PlanError::StableUnknown(_) | PlanError::StableNotLive(_) => "stable",
                PlanError::UntilWithoutDrain(_) => "until",
                PlanError::Domain { domain, .. } => domain,
                PlanError::Port { port, .. } => {
                    let place = vec!["\"port\"".to_owned(), port.to_string()];
                    return Fault { place, message: cause.to_string() };
                }
            };
            fault(place, cause.to_string())
        })
    }
}

/// A fault at a name or text that stands in quotes in the file.
fn fault(quoted: &str, message: impl Into<String>) -> Fault {
    Fault { place: vec![format!("\"{quoted}\"")], message: message.into() }
}

impl Fault {
    /// Finds the line; the last one for what is missing.
    fn in_file(self, text: &str) -> ConfigError {
        let is_here = |line: &str| self.place.iter().all(|part| line.contains(part));
        let line = text.lines().position(is_here).map_or_else(|| text.lines().count(), |index| index + 1);
        ConfigError { line, message: self.message }
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, ConfigError> {
    serde_json::from_str(text).map_err(|cause| {
        let message = cause.to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        ConfigError { line: cause.line(), message }
    })
}
