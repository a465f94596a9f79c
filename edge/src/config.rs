//! The function's configuration: `config.json` in the bundle, for Lambda@Edge has no environment variables of one's own.

use std::collections::BTreeMap;
use std::fmt;
use std::iter::successors;
use std::time::Duration;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use stickshift_contract::{
    Keys, Origin, Plan, PlanError, PlannedVersion, Protocol, SessionCookie, State, Timing, VersionCode, Weight,
};

use crate::json_error::without_value;
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
            return Err(
                fault(&["format"], &[], format!("`format` is {format}: this bundle reads {FORMAT}")).in_file(text)
            );
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
    // Whatever it is: serde's own error would repeat what it is instead of text.
    keys: Option<Value>,
    accept_bare_tokens: bool,
    session_seconds: u64,
    touch_interval_seconds: u64,
    trust_window_seconds: u64,
    clock_allowance_seconds: u64,
    plan_ttl_seconds: u64,
    hedge_delay_milliseconds: Option<u64>,
    deadline_milliseconds: u64,
    keep_viewer_host: bool,
    plan: RawPlan,
}

/// As in the rollout table, but with nothing unknown in it, and without need of a revision.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawPlan {
    #[serde(default)]
    revision: u64,
    stable: Option<VersionCode>,
    #[serde(deserialize_with = "each_once")]
    versions: BTreeMap<VersionCode, RawVersion>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVersion {
    origin: RawOrigin,
    weight_basis_points: Weight,
    state: State,
    until: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOrigin {
    domain: String,
    port: u16,
    protocol: Protocol,
}

#[derive(Deserialize)]
struct Format {
    format: u64,
}

/// A rule that is broken.
struct Fault {
    /// The names and then the values that lead to the line that is wrong, from the outermost on.
    names: Vec<String>,
    values: Vec<String>,
    message: String,
}

impl Default for Raw {
    fn default() -> Self {
        let Timing { session_seconds, touch_interval_seconds, trust_window_seconds, clock_allowance_seconds } =
            Timing::default();
        let Tables { sessions: sessions_table, rollout: rollout_table } = Tables::default();
        Self {
            _format: FORMAT,
            replicas: Vec::new(),
            sessions_table,
            rollout_table,
            keys: None,
            accept_bare_tokens: false,
            session_seconds,
            touch_interval_seconds,
            trust_window_seconds,
            clock_allowance_seconds,
            plan_ttl_seconds: RouterConfig::PLAN_TTL_SECONDS,
            hedge_delay_milliseconds: None,
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
        let tables = Tables { sessions: self.sessions_table, rollout: self.rollout_table };
        tables.check().map_err(|cause| fault(&[cause.name], &[], cause.to_string()))?;
        let timing = Timing {
            session_seconds: self.session_seconds,
            touch_interval_seconds: self.touch_interval_seconds,
            trust_window_seconds: self.trust_window_seconds,
            clock_allowance_seconds: self.clock_allowance_seconds,
        };
        timing.check().map_err(|cause| fault(&[cause.name], &[], cause.to_string()))?;
        let keys = match &self.keys {
            None => None,
            Some(Value::String(list)) => {
                Some(Keys::parse(list).map_err(|cause| fault(&["keys"], &[], cause.to_string()))?)
            }
            Some(_) => {
                return Err(fault(&["keys"], &[], "`keys` is no text: it takes one text, keys separated by commas"));
            }
        };
        Ok(FunctionConfig {
            replicas: self.replicas,
            tables,
            hedge_delay: self.hedge_delay_milliseconds.map_or_else(
                || Replicas::HEDGE_DELAY.min(Duration::from_millis(self.deadline_milliseconds)),
                Duration::from_millis,
            ),
            deadline: Duration::from_millis(self.deadline_milliseconds),
            router: RouterConfig {
                cookie: SessionCookie { keys, accept_bare_tokens: self.accept_bare_tokens, timing },
                keep_viewer_host: self.keep_viewer_host,
                plan_ttl_seconds: self.plan_ttl_seconds,
                bundled_plan: self.plan.check()?,
            },
        })
    }

    fn check_replicas(&self) -> Result<(), Fault> {
        if self.replicas.is_empty() {
            return Err(fault(&["replicas"], &[], "`replicas` names no region: the tables are in at least one"));
        }
        for (index, Replica { region, endpoint_url }) in self.replicas.iter().enumerate() {
            if !regions::is_known(region) {
                let message = format!("`{region}` is no AWS region that this release knows");
                return Err(fault(&["replicas"], &[region], message));
            }
            if self.replicas[..index].iter().any(|earlier| earlier.region == *region) {
                return Err(fault(&["replicas"], &[region, region], format!("`{region}` is there twice")));
            }
            if let Some(url) = endpoint_url
                && !["https://", "http://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme))
            {
                let message = format!("`{url}` is no URL: it takes https://… or http://…");
                return Err(fault(&["replicas"], &[url], message));
            }
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), Fault> {
        let ranges = [
            ("plan_ttl_seconds", self.plan_ttl_seconds, 0, RouterConfig::PLAN_TTL_SECONDS_MAX),
            ("deadline_milliseconds", self.deadline_milliseconds, 1, milliseconds(Replicas::ATTEMPT_LIMIT)),
            (
                "hedge_delay_milliseconds",
                self.hedge_delay_milliseconds.unwrap_or_default(),
                0,
                self.deadline_milliseconds,
            ),
        ];
        for (name, value, minimum, maximum) in ranges {
            if !(minimum..=maximum).contains(&value) {
                return Err(fault(&[name], &[], format!("`{name}` is {value}: it takes {minimum} to {maximum}")));
            }
        }
        Ok(())
    }
}

impl RawPlan {
    fn check(self) -> Result<Plan, Fault> {
        let Some(stable) = self.stable else { return Err(fault(&["plan"], &[], "the plan names no `stable` version")) };
        let versions = self.versions.into_iter().map(|(version, raw)| (version, raw.into())).collect();
        Plan::new(self.revision, stable, versions).map_err(|cause| {
            let path = match &cause {
                PlanError::NoneLive | PlanError::WeightSum(_) => vec!["plan", "versions"],
                PlanError::StableUnknown(_) | PlanError::StableNotLive(_) => vec!["plan", "stable"],
                PlanError::UntilWithoutDrain(version) => vec!["plan", "versions", version.as_str(), "until"],
                PlanError::Domain { version, .. } => vec!["plan", "versions", version.as_str(), "domain"],
                PlanError::Port { version, .. } => vec!["plan", "versions", version.as_str(), "port"],
            };
            fault(&path, &[], cause.to_string())
        })
    }
}

impl From<RawVersion> for PlannedVersion {
    fn from(RawVersion { origin, weight_basis_points, state, until }: RawVersion) -> Self {
        let RawOrigin { domain, port, protocol } = origin;
        Self { origin: Origin { domain, port, protocol }, weight: weight_basis_points, state, until }
    }
}

/// Reads a map of versions. Error: one is there twice, of which only the last would count.
fn each_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<VersionCode, RawVersion>, D::Error> {
    struct Versions;

    impl<'de> Visitor<'de> for Versions {
        type Value = BTreeMap<VersionCode, RawVersion>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("versions by their codes")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut versions = BTreeMap::new();
            while let Some(version) = map.next_key()? {
                if versions.contains_key(&version) {
                    return Err(A::Error::custom(format!("version {version} is there twice")));
                }
                versions.insert(version, map.next_value()?);
            }
            Ok(versions)
        }
    }

    deserializer.deserialize_map(Versions)
}

fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis().try_into().expect("a few seconds")
}

fn fault(names: &[&str], values: &[&str], message: impl Into<String>) -> Fault {
    let quoted = |texts: &[&str]| texts.iter().map(|text| format!("\"{text}\"")).collect();
    Fault { names: quoted(names), values: quoted(values), message: message.into() }
}

impl Fault {
    /// Finds the line; the last one for what is missing.
    fn in_file(self, text: &str) -> ConfigError {
        let after = |begin: usize, part: &String| text[begin..].find(part).map(|at| begin + at + part.len());
        let mut end = Some(0);
        for name in &self.names {
            end = successors(end.and_then(|begin| after(begin, name)), |&begin| after(begin, name))
                .find(|&end| text[end..].trim_start().starts_with(':'));
        }
        for value in &self.values {
            end = end.and_then(|begin| after(begin, value));
        }
        let line = end.map_or_else(|| text.lines().count(), |end| text[..end].lines().count());
        ConfigError { line, message: self.message }
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, ConfigError> {
    serde_json::from_str(text).map_err(|cause| {
        let message = without_value(&cause);
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        ConfigError { line: cause.line(), message }
    })
}
