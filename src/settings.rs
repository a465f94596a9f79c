//! What can be set, where from, and what is refused.
//!
//! Defaults, then the theme file, then the environment: `SESSION_SECONDS = 600` in the file is
//! `STICKSHIFT_SESSION_SECONDS=600` in the environment, which wins. [`SETTINGS`] is the one list of them: what is
//! taken, the defaults and `docs/settings.md` all come from it.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use config::{Config, ConfigError, Environment, File, FileFormat, Map, Source, Value};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use stickshift_contract::{Keys, ROLLOUT_TABLE, SESSIONS_TABLE, SessionCookie, Timing};
use stickshift_edge::{RouterConfig, Tables};

use crate::theme::Theme;

/// Everything that a version of the app goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the version looks like and is called.
    pub theme: Theme,
    /// What it must hold in common with the other versions and the edge.
    pub shared: SharedSettings,
}

/// What every version of the app and the edge in front of them go by alike.
#[derive(Debug, Clone)]
pub struct SharedSettings {
    /// How session cookies are written and read.
    pub cookie: SessionCookie,
    /// What the `x-origin-verify` header must hold, if anything.
    pub origin_secret: Option<SecretString>,
    /// Seconds after which the edge reads the plan again.
    pub plan_ttl_seconds: u64,
    /// Where sessions and the plan are kept.
    pub tables: Tables,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Name in a theme file; with `STICKSHIFT_` before it, the environment variable.
    pub name: &'static str,
    /// What holds if it is not set; `None` if it must be, or may be left out.
    pub default: Option<&'static str>,
    /// Whether it may come from the environment only: theme files are built into images.
    pub is_secret: bool,
    /// What it does, with unit and range.
    pub about: &'static str,
}

/// Prefix of the environment variables.
const PREFIX: &str = "STICKSHIFT";

/// Every setting there is.
pub const SETTINGS: [Setting; 15] = [
    required(
        "VERSION_CODE",
        "The version's name in cookies, tables and metrics: 1 to 16 characters of A-Z, a-z, 0-9, _ and -.",
    ),
    required("VERSION_NAME", "The version's name on its pages: 1 to 64 characters."),
    required("BACKGROUND_COLOR", "A CSS color."),
    required("COLOR", "A CSS color, for text."),
    required("FONT_FAMILY", "Font names divided by commas: letters, digits, spaces, _ and -."),
    optional("SESSION_SECONDS", "600", "How long a session goes on after its last visit: 60 to 86400."),
    optional(
        "TOUCH_INTERVAL_SECONDS",
        "60",
        "Age from which a receipt makes the app write the session again: 0 (every view) to SESSION_SECONDS.",
    ),
    optional(
        "TRUST_WINDOW_SECONDS",
        "60",
        "Age up to which the edge routes by a receipt without asking DynamoDB: 0 (always ask) to SESSION_SECONDS.",
    ),
    optional("CLOCK_ALLOWANCE_SECONDS", "60", "How far two machines' clocks may be apart: 0 to 600."),
    optional(
        "PLAN_TTL_SECONDS",
        "5",
        "Age from which the edge reads the plan again: 0 (for every new session) to 3600.",
    ),
    secret(
        "KEYS",
        "Keys of the receipts, divided by commas: the first signs, all verify. Each at least 32 characters, such as `openssl rand -hex 32` prints. Without it the cookie is a bare token.",
    ),
    optional(
        "ACCEPT_BARE_TOKENS",
        "false",
        "Whether bare tokens count although KEYS is set, for migrating: true or false.",
    ),
    secret("ORIGIN_SECRET", "What the x-origin-verify header must hold; without it every request is served."),
    optional(
        "SESSIONS_TABLE",
        SESSIONS_TABLE,
        "Name of the sessions' table: 3 to 255 of A-Z, a-z, 0-9, _, - and dots.",
    ),
    optional("ROLLOUT_TABLE", ROLLOUT_TABLE, "Name of the plan's table, likewise."),
];

const fn required(name: &'static str, about: &'static str) -> Setting {
    Setting { name, default: None, is_secret: false, about }
}

const fn optional(name: &'static str, default: &'static str, about: &'static str) -> Setting {
    Setting { name, default: Some(default), is_secret: false, about }
}

const fn secret(name: &'static str, about: &'static str) -> Setting {
    Setting { name, default: None, is_secret: true, about }
}

impl Settings {
    /// Loads the settings of the version that a theme file names.
    ///
    /// Errors say which setting, from which file or variable, and what it takes.
    pub fn load(theme_file: &Path) -> Result<Self> {
        let values = Values::read(Some(theme_file))?;
        let raw = values.parse()?;
        Ok(Self { theme: raw.theme(&values)?, shared: raw.shared(&values)? })
    }
}

impl SharedSettings {
    /// Loads them from the environment, for an edge by itself. A theme's own settings are passed over there.
    ///
    /// Errors say which variable, and what it takes.
    pub fn from_environment() -> Result<Self> {
        let values = Values::read(None)?;
        values.parse()?.shared(&values)
    }
}

/// The values as they came, by their names in lower case, for telling where one is from.
struct Values<'a> {
    theme_file: Option<&'a Path>,
    file: Collected,
    environment: Collected,
}

impl<'a> Values<'a> {
    fn read(theme_file: Option<&'a Path>) -> Result<Self> {
        let file = match theme_file {
            Some(path) if !path.is_file() => {
                bail!("there is no theme file {}: name one, such as themes/version1.toml", path.display());
            }
            Some(path) => File::from(path)
                .format(FileFormat::Toml)
                .collect()
                .with_context(|| format!("could not read the theme file {}", path.display()))?,
            None => Map::new(),
        };
        let mut variables = Map::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            let value = value.to_str().with_context(|| format!("{name} in the environment: its value is not UTF-8"))?;
            variables.insert(name.to_owned(), value.to_owned());
        }
        let environment = Environment::with_prefix(PREFIX).prefix_separator("_").source(Some(variables)).collect()?;
        // Theme files name their settings in upper case, like variables; the environment's arrive in lower case.
        let file = file.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
        let values = Self { theme_file, file: Collected(file), environment: Collected(environment) };
        values.check_names()?;
        Ok(values)
    }

    fn parse(&self) -> Result<Raw> {
        let mut config = Config::builder();
        for setting in SETTINGS {
            config = config.set_default(setting.name.to_lowercase(), setting.default)?;
        }
        let config = config.add_source(self.file.clone()).add_source(self.environment.clone()).build()?;
        config.try_deserialize().map_err(|cause| {
            let name = SETTINGS
                .iter()
                .find(|setting| cause.to_string().contains(&format!("`{}`", setting.name.to_lowercase())));
            match name {
                Some(setting) => anyhow!("{}: {cause}", self.place(setting.name)),
                None => anyhow!(cause).context(match self.theme_file {
                    Some(path) => format!("could not read the settings of {}", path.display()),
                    None => "could not read the settings in the environment".to_owned(),
                }),
            }
        })
    }

    /// Refuses what no setting is called, lest a slip pass for a setting.
    fn check_names(&self) -> Result<()> {
        for name in self.file.0.keys().chain(self.environment.0.keys()) {
            let setting = SETTINGS.iter().find(|setting| setting.name.eq_ignore_ascii_case(name));
            let Some(setting) = setting else {
                let known = SETTINGS.map(|setting| setting.name).join(", ");
                bail!("{}: there is no such setting; there are {known}", self.place(name));
            };
            if let Some(path) = self.theme_file.filter(|_| setting.is_secret && self.file.0.contains_key(name)) {
                bail!(
                    "{} in {}: a secret does not belong in a file that is built into an image; set {PREFIX}_{} instead",
                    setting.name,
                    path.display(),
                    setting.name
                );
            }
        }
        Ok(())
    }

    /// The variable or the file that a setting comes from.
    fn place(&self, name: &str) -> String {
        match self.theme_file {
            Some(path) if !self.environment.0.contains_key(&name.to_lowercase()) => {
                format!("{} in {}", name.to_uppercase(), path.display())
            }
            _ => format!("{PREFIX}_{} in the environment", name.to_uppercase()),
        }
    }
}

/// Values that have been read.
#[derive(Debug, Clone)]
struct Collected(Map<String, Value>);

impl Source for Collected {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// The settings before their ranges are checked.
#[derive(Deserialize)]
struct Raw {
    version_code: Option<String>,
    version_name: Option<String>,
    background_color: Option<String>,
    color: Option<String>,
    font_family: Option<String>,
    session_seconds: u64,
    touch_interval_seconds: u64,
    trust_window_seconds: u64,
    clock_allowance_seconds: u64,
    plan_ttl_seconds: u64,
    keys: Option<SecretString>,
    accept_bare_tokens: bool,
    origin_secret: Option<SecretString>,
    sessions_table: String,
    rollout_table: String,
}

impl Raw {
    fn theme(&self, values: &Values<'_>) -> Result<Theme> {
        let given = |value: &Option<String>, name: &str| {
            value.clone().ok_or_else(|| anyhow!("{} is missing: every theme names it", values.place(name)))
        };
        Theme::new(
            &given(&self.version_code, "version_code")?,
            &given(&self.version_name, "version_name")?,
            &given(&self.background_color, "background_color")?,
            &given(&self.color, "color")?,
            &given(&self.font_family, "font_family")?,
        )
        .map_err(|cause| anyhow!("{}: {cause}", values.place(cause.setting)))
    }

    fn shared(self, values: &Values<'_>) -> Result<SharedSettings> {
        let timing = Timing {
            session_seconds: self.session_seconds,
            touch_interval_seconds: self.touch_interval_seconds,
            trust_window_seconds: self.trust_window_seconds,
            clock_allowance_seconds: self.clock_allowance_seconds,
        };
        timing.check().map_err(|cause| anyhow!("{}: {cause}", values.place(cause.name)))?;
        if self.plan_ttl_seconds > RouterConfig::PLAN_TTL_SECONDS_MAX {
            let maximum = RouterConfig::PLAN_TTL_SECONDS_MAX;
            bail!("{}: it takes 0 to {maximum} seconds", values.place("plan_ttl_seconds"));
        }
        let keys = self.keys.map(|list| Keys::parse(list.expose_secret())).transpose();
        let keys = keys.map_err(|cause| anyhow!("{}: {cause}", values.place("keys")))?;
        if self.origin_secret.as_ref().is_some_and(|secret| secret.expose_secret().is_empty()) {
            bail!("{} is empty: give it a value or leave it out", values.place("origin_secret"));
        }
        let tables = Tables { sessions: self.sessions_table, rollout: self.rollout_table };
        tables.check().map_err(|cause| anyhow!("{}: {cause}", values.place(cause.name)))?;
        Ok(SharedSettings {
            cookie: SessionCookie { keys, accept_bare_tokens: self.accept_bare_tokens, timing },
            origin_secret: self.origin_secret,
            plan_ttl_seconds: self.plan_ttl_seconds,
            tables,
        })
    }
}

/// The table of all settings, as in `docs/settings.md`.
pub fn settings_table() -> String {
    let mut table = "| setting | default | what it does |\n| --- | --- | --- |\n".to_owned();
    for Setting { name, default, is_secret, about } in SETTINGS {
        let default = default.map_or_else(String::new, |default| format!("`{default}`"));
        let only = if is_secret { " Environment only." } else { "" };
        writeln!(table, "| `{name}` | {default} | {about}{only} |").expect("a String takes any text");
    }
    table
}
