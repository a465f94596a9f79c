//! The settings of the app: where they come from, and which are refused.
//!
//! Each source overrides the one before: the defaults, the theme file, the environment.
//! `SESSION_SECONDS = 600` in a theme file is `STICKSHIFT_SESSION_SECONDS=600` in the environment.
//! [`app_settings`] lists all settings; the docs are made from it.

mod upstream;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use config::{Config, ConfigError, Environment, File, FileFormat, Map, Source, Value};
use secrecy::SecretString;
use serde::Deserialize;
use stickshift_contract::{
    CLOCK_ALLOWANCE, Interval, Keys, PLAN_TTL, PULSE, SESSION, SESSION_MAX, SameSite, SessionCookie, Setting,
    TOUCH_INTERVAL, TRUST_WINDOW, TableNames, Timing, VersionCode,
};

use crate::booking::Flow;
use crate::forward::Target;
use crate::theme::Theme;
pub use upstream::{AssetPaths, Upstream, UpstreamHost, upstream_settings};

/// Everything that one version depends on.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The version's name in cookies, tables and metrics.
    pub version: VersionCode,
    /// What answers, behind the session layer.
    pub app: App,
    /// What the version has in common with the other versions and the edge.
    pub shared: SharedSettings,
    /// What the version's origin shows to CloudFront by HTTPS; `None` for plain HTTP.
    pub tls: Option<TlsFiles>,
}

/// A certificate and its key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate of the origin's name, and after it those that lead to the root.
    pub certificate: PathBuf,
    /// The key of the certificate.
    pub key: PathBuf,
}

/// The app of a version.
#[derive(Debug, Clone)]
pub enum App {
    /// Our own pages.
    Themed {
        /// How they look.
        theme: Theme,
        /// In which steps they ask for a booking.
        flow: Flow,
    },
    /// Somebody else's app, for which this process is a sidecar.
    Upstream(Upstream),
}

/// What every version and the edge must have in common.
#[derive(Debug, Clone)]
pub struct SharedSettings {
    /// How session cookies are written and read.
    pub cookie: SessionCookie,
    /// The required value of the `x-origin-verify` header, if there is one.
    pub origin_secret: Option<SecretString>,
    /// See [`PLAN_TTL`].
    pub plan_ttl_seconds: u64,
    /// See [`PULSE`].
    pub pulse_seconds: u64,
    /// The names of the tables.
    pub tables: TableNames,
}

/// The prefix of the environment variables.
const PREFIX: &str = "STICKSHIFT";

/// Every setting of the themed app. A sidecar has those from `session_seconds` on, and [`upstream_settings`].
pub fn app_settings() -> Vec<Setting> {
    vec![
        Setting::without_default(
            "version_code",
            "The version's name in cookies, tables and metrics: 1 to 16 characters of A-Z, a-z, 0-9, `_` and `-`. \
             Required.",
        ),
        Setting::without_default("version_name", "The version's name on its pages: 1 to 64 characters. Required."),
        Setting::without_default("background_color", "The background: a CSS color. Required."),
        Setting::without_default("color", "The text: a CSS color. Required."),
        Setting::without_default(
            "font_family",
            "Font names separated by commas: letters, digits, spaces, `_` and `-`. Required.",
        ),
        Setting::optional(
            "flow",
            &Flow::ThreeSteps.as_str(),
            "In which steps the pages ask for a booking: `three-steps`, or `two-steps`, which ask for wishes as well.",
        ),
        Setting::interval(&SESSION),
        Setting::interval(&SESSION_MAX),
        Setting::interval(&TOUCH_INTERVAL),
        Setting::interval(&TRUST_WINDOW),
        Setting::interval(&CLOCK_ALLOWANCE),
        Setting::interval(&PLAN_TTL),
        Setting::interval(&PULSE),
        Setting::keys(),
        Setting::accept_bare_tokens(),
        Setting::accept_unprefixed_cookie(),
        Setting::same_site(),
        Setting::secret(
            "origin_secret",
            "The value that the `x-origin-verify` header must have. Without this setting, every request is served.",
        ),
        Setting::without_default(
            "tls_certificate",
            "A PEM file with the certificate for the name of the origin, followed by the certificates that lead to the \
             root. With it, viewers' requests are accepted by HTTPS only. It is read again every 5 s.",
        ),
        Setting::without_default("tls_key", "A PEM file with the key of `TLS_CERTIFICATE`."),
        Setting::sessions_table(),
        Setting::rollout_table(),
    ]
}

fn all_settings() -> impl Iterator<Item = Setting> {
    app_settings().into_iter().chain(upstream_settings())
}

impl Settings {
    /// Loads the settings of the version that a theme file describes.
    ///
    /// Errors name the setting, its file or variable, and what the setting takes.
    pub fn load(theme_file: &Path) -> Result<Self> {
        let values = Values::read(Some(theme_file))?;
        let version =
            VersionCode::parse(&values.text("version_code")?).map_err(|cause| values.refuse("version_code", cause))?;
        let theme = Theme::new(
            &values.text("version_name")?,
            &values.text("background_color")?,
            &values.text("color")?,
            &values.text("font_family")?,
        );
        let theme = theme.map_err(|cause| values.refuse(cause.setting, &cause))?;
        let flow = values.one_of("flow", Flow::EVERY.map(|flow| (flow.as_str(), flow)))?;
        Ok(Self { version, app: App::Themed { theme, flow }, shared: values.shared()?, tls: values.tls()? })
    }

    /// Loads the settings of a sidecar from the environment.
    ///
    /// Errors name the variable and what it takes.
    pub fn of_sidecar(version: VersionCode, target: Target) -> Result<Self> {
        let values = Values::read(None)?;
        let app = App::Upstream(values.upstream(target)?);
        Ok(Self { version, app, shared: values.shared()?, tls: values.tls()? })
    }
}

impl SharedSettings {
    /// Loads the shared settings from the environment, for an edge without an app.
    ///
    /// Errors name the variable and what it takes.
    pub fn from_environment() -> Result<Self> {
        Values::read(None)?.shared()
    }
}

/// The values from all sources, by their names in lower case.
struct Values<'a> {
    theme_file: Option<&'a Path>,
    environment: Map<String, Value>,
    merged: Config,
}

impl<'a> Values<'a> {
    fn read(theme_file: Option<&'a Path>) -> Result<Self> {
        let file = match theme_file {
            Some(path) if !path.is_file() => {
                bail!("there is no theme file {}: name one, for example themes/version1.toml", path.display());
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
            if is_service_link(name) {
                continue;
            }
            let value = value.to_str().with_context(|| format!("{name} in the environment: its value is not UTF-8"))?;
            variables.insert(name.to_owned(), value.to_owned());
        }
        let environment = Environment::with_prefix(PREFIX).prefix_separator("_").source(Some(variables)).collect()?;
        // Theme files name their settings in upper case. The environment's names arrive in lower case.
        let file: Map<_, _> = file.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
        let mut config = Config::builder();
        for setting in all_settings().filter(|setting| !setting.default.is_empty()) {
            config = config.set_default(setting.name, setting.default)?;
        }
        let config = config.add_source(Collected(file.clone())).add_source(Collected(environment.clone()));
        let values = Self { theme_file, environment, merged: config.build()? };
        values.check_names(&file)?;
        Ok(values)
    }

    /// Rejects unknown names, so that a typo is not ignored silently. Rejects secrets in a theme file.
    fn check_names(&self, file: &Map<String, Value>) -> Result<()> {
        let settings: Vec<Setting> = all_settings().collect();
        for name in file.keys().chain(self.environment.keys()) {
            let Some(setting) = settings.iter().find(|setting| setting.name == *name) else {
                let nearest = settings
                    .iter()
                    .max_by(|a, b| strsim::jaro_winkler(a.name, name).total_cmp(&strsim::jaro_winkler(b.name, name)));
                let nearest = nearest.map_or_else(String::new, |setting| setting.name.to_uppercase());
                bail!("{}: there is no such setting; the nearest name is {nearest}", self.place(name));
            };
            if let Some(path) = self.theme_file.filter(|_| setting.is_secret && file.contains_key(name)) {
                let name = name.to_uppercase();
                bail!(
                    "{name} in {}: a secret does not belong in a file that is built into an image; set {PREFIX}_{name} instead",
                    path.display(),
                );
            }
        }
        Ok(())
    }

    /// The value of a setting, if it is set or has a default.
    fn get<'de, T: Deserialize<'de>>(&self, name: &str) -> Result<Option<T>> {
        match self.merged.get(name) {
            Ok(value) => Ok(Some(value)),
            Err(ConfigError::NotFound(_)) => Ok(None),
            Err(cause) => Err(self.refuse(name, cause)),
        }
    }

    fn required<'de, T: Deserialize<'de>>(&self, name: &str) -> Result<T> {
        self.get(name)?.ok_or_else(|| anyhow!("{} is missing: every version needs it", self.place(name)))
    }

    fn text(&self, name: &str) -> Result<String> {
        self.required(name)
    }

    fn interval(&self, interval: &Interval) -> Result<u64> {
        self.required(interval.name)
    }

    /// A setting whose value is one of some words.
    fn one_of<T: Copy>(&self, name: &str, choices: [(&str, T); 2]) -> Result<T> {
        let value = self.text(name)?;
        let chosen = choices.iter().find(|(word, _)| *word == value).map(|(_, choice)| *choice);
        let [(one, _), (other, _)] = choices;
        chosen.ok_or_else(|| self.refuse(name, format!("`{value}`: expected `{one}` or `{other}`")))
    }

    /// An interval whose range depends on no other one.
    fn checked_interval(&self, interval: &Interval) -> Result<u64> {
        let value = self.interval(interval)?;
        interval.check(value, u64::MAX).map_err(|cause| self.refuse(interval.name, cause))?;
        Ok(value)
    }

    fn shared(&self) -> Result<SharedSettings> {
        let timing = Timing {
            session_seconds: self.interval(&SESSION)?,
            session_max_seconds: self.interval(&SESSION_MAX)?,
            touch_interval_seconds: self.interval(&TOUCH_INTERVAL)?,
            trust_window_seconds: self.interval(&TRUST_WINDOW)?,
            clock_allowance_seconds: self.interval(&CLOCK_ALLOWANCE)?,
        };
        timing.check().map_err(|cause| self.refuse(cause.name, &cause))?;
        let plan_ttl_seconds = self.checked_interval(&PLAN_TTL)?;
        let pulse_seconds = self.checked_interval(&PULSE)?;
        let keys = self.get::<String>("keys")?.map(|list| Keys::parse(&list)).transpose();
        let keys = keys.map_err(|cause| self.refuse("keys", cause))?;
        let origin_secret = self.get::<String>("origin_secret")?;
        if origin_secret.as_ref().is_some_and(String::is_empty) {
            return Err(self.refuse("origin_secret", "it is empty; give it a value or leave it out"));
        }
        let tables = TableNames { sessions: self.text("sessions_table")?, rollout: self.text("rollout_table")? };
        tables.check().map_err(|cause| self.refuse(cause.name, &cause))?;
        let cookie = SessionCookie {
            accept_bare_tokens: self.required("accept_bare_tokens")?,
            accept_unprefixed_cookie: self.required("accept_unprefixed_cookie")?,
            same_site: self.one_of("same_site", [("lax", SameSite::Lax), ("none", SameSite::None)])?,
            timing,
            ..SessionCookie::new(keys)
        };
        let origin_secret = origin_secret.map(SecretString::from);
        Ok(SharedSettings { cookie, origin_secret, plan_ttl_seconds, pulse_seconds, tables })
    }

    fn tls(&self) -> Result<Option<TlsFiles>> {
        let file = |name| match self.get::<PathBuf>(name)? {
            Some(file) if file.as_os_str().is_empty() => {
                Err(self.refuse(name, "it is empty; name a file or leave it out"))
            }
            file => Ok(file),
        };
        match (file("tls_certificate")?, file("tls_key")?) {
            (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(self.refuse("tls_certificate", "it needs TLS_KEY as well")),
            (None, Some(_)) => Err(self.refuse("tls_key", "it needs TLS_CERTIFICATE as well")),
        }
    }

    fn refuse(&self, name: &str, cause: impl std::fmt::Display) -> anyhow::Error {
        anyhow!("{}: {cause}", self.place(name))
    }

    /// The variable or the file that a setting comes from.
    fn place(&self, name: &str) -> String {
        let upper_case = name.to_uppercase();
        match self.theme_file {
            Some(path) if !self.environment.contains_key(name) => format!("{upper_case} in {}", path.display()),
            _ => format!("{PREFIX}_{upper_case} in the environment"),
        }
    }
}

/// Whether Kubernetes sets a variable for a service whose name begins with `stickshift`, such as
/// `stickshift-v1` ([list of names](https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables)).
fn is_service_link(name: &str) -> bool {
    let parts: Vec<&str> = name.split('_').skip(1).collect();
    let is_number = |text: &str| text.parse::<u16>().is_ok();
    // The service's name may have several parts, and no setting ends like this.
    (0..parts.len()).any(|start| match &parts[start..] {
        ["SERVICE", "HOST"] | ["PORT"] | ["SERVICE", "PORT", ..] => true,
        ["PORT", port, "TCP" | "UDP" | "SCTP"] => is_number(port),
        ["PORT", port, "TCP" | "UDP" | "SCTP", "PROTO" | "PORT" | "ADDR"] => is_number(port),
        _ => false,
    })
}

/// Values that have been read already, as a source.
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
