//! The function's configuration: `config.json` in the bundle. Lambda@Edge has no environment variables.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};
use stickshift_contract::{
    CLOCK_ALLOWANCE, DEADLINE, HEDGE_DELAY, Keys, PLAN_TTL, Plan, PlannedVersion, SESSION, SESSION_MAX, SameSite,
    SessionCookie, Setting, TOUCH_INTERVAL, TRUST_WINDOW, TableNames, Timing,
};

use crate::json_error::without_value;
use crate::regions;
use crate::router::RouterConfig;

/// Everything that a function depends on. [`function_settings`] describes the fields of the file.
#[derive(Debug, Clone)]
pub struct FunctionConfig {
    /// The replicas of the tables, in the order of the file; at least one.
    pub replicas: Vec<Replica>,
    /// The names of the tables.
    pub tables: TableNames,
    /// See [`HEDGE_DELAY`].
    pub hedge_delay: Duration,
    /// See [`DEADLINE`].
    pub deadline: Duration,
    /// What the router depends on.
    pub router: RouterConfig,
}

/// A region that holds a replica of the tables.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replica {
    /// The region's name, for example `eu-west-1`.
    #[serde(deserialize_with = "known_region")]
    pub region: String,
    /// The URL of another DynamoDB than
    /// [AWS's](https://docs.aws.amazon.com/general/latest/gr/ddb.html), for example
    /// `http://127.0.0.1:8000`.
    #[serde(default, deserialize_with = "http_url")]
    pub endpoint_url: Option<String>,
}

/// What is wrong with a configuration, and where. The message never repeats a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The path of the wrong value, for example `plan.versions.2.origin.port`; `.` for the whole file.
    pub path: String,
    /// The line, counted from 1, if it is known.
    pub line: Option<usize>,
    message: String,
}

/// The format of the file. A later format gets the next number.
const FORMAT: u64 = 1;

/// Every setting of the file, for the docs.
pub fn function_settings() -> Vec<Setting> {
    vec![
        Setting::without_default(
            "format",
            "The format of this file: `1`. A later format gets the next number. A bundle refuses a format that \
             it does not know.",
        ),
        Setting::without_default(
            "replicas",
            "The regions that hold the tables, for example `{ \"region\": \"eu-west-1\" }`; at least one. The \
             function asks the two that are nearest to the region in which it runs. `endpoint_url` beside \
             `region` names another DynamoDB than AWS's.",
        ),
        Setting::sessions_table(),
        Setting::rollout_table(),
        Setting::keys(),
        Setting::accept_bare_tokens(),
        Setting::accept_unprefixed_cookie(),
        Setting::same_site(),
        Setting::interval(&SESSION),
        Setting::interval(&SESSION_MAX),
        Setting::interval(&TOUCH_INTERVAL),
        Setting::interval(&TRUST_WINDOW),
        Setting::interval(&CLOCK_ALLOWANCE),
        Setting::interval(&PLAN_TTL),
        Setting::interval(&HEDGE_DELAY),
        Setting::interval(&DEADLINE),
        Setting::optional(
            "keep_viewer_host",
            &false,
            "Whether the `Host` header keeps the viewer's value, for apps that need it. Then the origin request \
             policy must forward `Host`, and an HTTPS origin needs a certificate for that name. Otherwise \
             `Host` becomes the origin's name.",
        ),
        Setting::without_default(
            "plan",
            "The versions and their origins until the table of plans answers, in \
             [the format of plans](../contract/src/plan.rs). Its weights are not used: until then, new sessions \
             go to the stable version.",
        ),
    ]
}

impl FunctionConfig {
    /// Reads and checks a configuration. Errors: the first [`ConfigError`] found.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let Format { format } = serde_json::from_str(text).map_err(|cause| ConfigError::json(".", &cause))?;
        if format != FORMAT {
            return Err(ConfigError::new("format", &format!("this bundle reads format {FORMAT}, not {format}")));
        }
        File::parse(text)?.check()
    }

    /// The two replicas that are nearest to `region`: a look-up asks no others. Without a region, the
    /// first two of the file.
    pub fn nearest_replicas(&self, region: Option<&str>) -> Vec<Replica> {
        let mut replicas = self.replicas.clone();
        if let Some(region) = region {
            regions::nearest_first(region, &mut replicas, |replica| &replica.region);
        }
        replicas.truncate(2);
        replicas
    }
}

/// What the configuration sets, in one line.
impl fmt::Display for FunctionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let replicas: Vec<&str> = self.replicas.iter().map(|replica| replica.region.as_str()).collect();
        write!(f, "replicas in {}", replicas.join(", "))?;
        for (version, PlannedVersion { origin, state, .. }) in self.router.bundled_plan.versions() {
            write!(f, "; version {version} at {}:{}, {state}", origin.domain, origin.port)?;
        }
        match &self.router.cookie.keys {
            Some(_) => Ok(()),
            None => write!(f, "; no keys, so every request of a session is looked up"),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path != "." {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        self.line.map_or(Ok(()), |line| write!(f, " (line {line})"))
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    fn new(path: &str, message: &dyn ToString) -> Self {
        Self { path: path.to_owned(), line: None, message: message.to_string() }
    }

    fn json(path: &str, cause: &serde_json::Error) -> Self {
        let message = without_value(cause);
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        Self { path: path.to_owned(), line: Some(cause.line()), message }
    }
}

#[derive(Deserialize)]
struct Format {
    format: u64,
}

/// The file before the rules that concern more than one field are checked.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    #[serde(rename = "format")]
    _format: u64,
    replicas: Vec<Replica>,
    sessions_table: String,
    rollout_table: String,
    keys: Option<Keys>,
    accept_bare_tokens: bool,
    accept_unprefixed_cookie: bool,
    same_site: SameSite,
    session_seconds: u64,
    session_max_seconds: u64,
    touch_interval_seconds: u64,
    trust_window_seconds: u64,
    clock_allowance_seconds: u64,
    plan_ttl_seconds: u64,
    hedge_delay_milliseconds: Option<u64>,
    deadline_milliseconds: u64,
    keep_viewer_host: bool,
    plan: Option<Plan>,
}

impl Default for File {
    fn default() -> Self {
        let timing = Timing::default();
        let tables = TableNames::default();
        Self {
            _format: FORMAT,
            replicas: Vec::new(),
            sessions_table: tables.sessions,
            rollout_table: tables.rollout,
            keys: None,
            accept_bare_tokens: false,
            accept_unprefixed_cookie: false,
            same_site: SameSite::default(),
            session_seconds: timing.session_seconds,
            session_max_seconds: timing.session_max_seconds,
            touch_interval_seconds: timing.touch_interval_seconds,
            trust_window_seconds: timing.trust_window_seconds,
            clock_allowance_seconds: timing.clock_allowance_seconds,
            plan_ttl_seconds: PLAN_TTL.default,
            hedge_delay_milliseconds: None,
            deadline_milliseconds: DEADLINE.default,
            keep_viewer_host: false,
            plan: None,
        }
    }
}

impl File {
    fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut json = serde_json::Deserializer::from_str(text);
        let mut track = serde_path_to_error::Track::new();
        let mut unknown = None;
        let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
        // The plan's own types accept unknown fields, so that a later release can add some.
        let file = serde_ignored::deserialize(tracked, |path| {
            unknown.get_or_insert(path.to_string());
        });
        let file = file.map_err(|cause| ConfigError::json(&track.path().to_string(), &cause))?;
        json.end().map_err(|cause| ConfigError::json(".", &cause))?;
        match unknown {
            // An optional value has a `?` in its path.
            Some(path) => Err(ConfigError::new(&path.replace("?.", ""), &"there is no such field")),
            None => Ok(file),
        }
    }

    fn check(self) -> Result<FunctionConfig, ConfigError> {
        if self.replicas.is_empty() {
            return Err(ConfigError::new("replicas", &"expected at least one region that holds the tables"));
        }
        for (index, Replica { region, .. }) in self.replicas.iter().enumerate() {
            if self.replicas[..index].iter().any(|earlier| earlier.region == *region) {
                return Err(ConfigError::new(
                    &format!("replicas[{index}].region"),
                    &format!("`{region}` is there twice"),
                ));
            }
        }
        let tables = TableNames { sessions: self.sessions_table, rollout: self.rollout_table };
        tables.check().map_err(|cause| ConfigError::new(cause.name, &cause))?;
        let timing = Timing {
            session_seconds: self.session_seconds,
            session_max_seconds: self.session_max_seconds,
            touch_interval_seconds: self.touch_interval_seconds,
            trust_window_seconds: self.trust_window_seconds,
            clock_allowance_seconds: self.clock_allowance_seconds,
        };
        // The default gives way to a short deadline.
        let hedge_delay = self.hedge_delay_milliseconds.unwrap_or(HEDGE_DELAY.default.min(self.deadline_milliseconds));
        timing
            .check()
            .and_then(|()| PLAN_TTL.check(self.plan_ttl_seconds, u64::MAX))
            .and_then(|()| DEADLINE.check(self.deadline_milliseconds, u64::MAX))
            .and_then(|()| HEDGE_DELAY.check(hedge_delay, self.deadline_milliseconds))
            .map_err(|cause| ConfigError::new(cause.name, &cause))?;
        let plan = self.plan.ok_or_else(|| ConfigError::new("plan", &"the plan is missing"))?;
        let cookie = SessionCookie {
            accept_bare_tokens: self.accept_bare_tokens,
            accept_unprefixed_cookie: self.accept_unprefixed_cookie,
            same_site: self.same_site,
            timing,
            ..SessionCookie::new(self.keys)
        };
        Ok(FunctionConfig {
            replicas: self.replicas,
            tables,
            hedge_delay: Duration::from_millis(hedge_delay),
            deadline: Duration::from_millis(self.deadline_milliseconds),
            router: RouterConfig {
                cookie,
                keep_viewer_host: self.keep_viewer_host,
                plan_ttl_seconds: self.plan_ttl_seconds,
                bundled_plan: plan,
            },
        })
    }
}

fn known_region<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let region = String::deserialize(deserializer)?;
    if regions::is_known_region(&region) {
        Ok(region)
    } else {
        Err(D::Error::custom(format!("this release knows no AWS region `{region}`")))
    }
}

fn http_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let url = Option::<String>::deserialize(deserializer)?;
    let is_http =
        |url: &String| ["https://", "http://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
    match url {
        Some(url) if !is_http(&url) => {
            Err(D::Error::custom(format!("`{url}` is not a URL: expected https://… or http://…")))
        }
        url => Ok(url),
    }
}
