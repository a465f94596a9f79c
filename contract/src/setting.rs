//! The settings that the app and the function share, and how a list of settings becomes a table.

use std::fmt::Write as _;

use crate::interval::Interval;

/// One setting, as the docs describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The name in lower case. A theme file and the environment have it in upper case.
    pub name: &'static str,
    /// The value unless another one is set; empty if the setting is required or may be left out.
    pub default: String,
    /// Whether its value is a secret, which must not stand in a theme file.
    pub is_secret: bool,
    /// What it does, as sentences, with unit and range.
    pub about: String,
}

/// Name of the table of sessions.
pub const SESSIONS_TABLE: &str = "SessionsTable";

/// Name of the table of plans.
pub const ROLLOUT_TABLE: &str = "RolloutTable";

impl Setting {
    /// A setting with a default.
    pub fn optional(name: &'static str, default: &dyn ToString, about: &str) -> Self {
        Self { name, default: default.to_string(), is_secret: false, about: about.to_owned() }
    }

    /// A setting that is required, or that may be left out.
    pub fn without_default(name: &'static str, about: &str) -> Self {
        Self::optional(name, &"", about)
    }

    /// A setting whose value is a secret.
    pub fn secret(name: &'static str, about: &str) -> Self {
        Self { is_secret: true, ..Self::without_default(name, about) }
    }

    /// The setting of an interval.
    pub fn interval(interval: &Interval) -> Self {
        let about = format!("{} Range: {}.", interval.about, interval.range());
        Self::optional(interval.name, &interval.default, &about)
    }

    /// The name of the sessions' table.
    pub fn sessions_table() -> Self {
        Self::optional(
            "sessions_table",
            &SESSIONS_TABLE,
            "Name of the table of sessions, the same in every region: 3 to 255 characters of A-Z, a-z, 0-9, \
             `_`, `-` and `.`.",
        )
    }

    /// The name of the plans' table.
    pub fn rollout_table() -> Self {
        Self::optional(
            "rollout_table",
            &ROLLOUT_TABLE,
            "Name of the table of plans, the same in every region, with the same characters.",
        )
    }

    /// The list of receipt keys.
    pub fn keys() -> Self {
        Self::secret(
            "keys",
            "The keys of the receipts, separated by commas. The first key signs, all keys verify. Each key has \
             at least 32 characters; `openssl rand -hex 32` prints one. Without keys the cookie is a bare token \
             and every request of a session is looked up.",
        )
    }

    /// The switch for migrating to the prefixed cookie name.
    pub fn accept_unprefixed_cookie() -> Self {
        Self::optional(
            "accept_unprefixed_cookie",
            &false,
            "Whether the cookie counts without the prefix `__Host-` for viewers who came by HTTPS, although \
             there are keys: `true` or `false`. For migrating to the prefix. A sibling domain can plant such a \
             cookie.",
        )
    }

    /// Which requests of other sites carry the cookie.
    pub fn same_site() -> Self {
        Self::optional(
            "same_site",
            &"lax",
            "Which requests of other sites carry the cookie: `lax` for navigations, `none` for all, for apps in \
             frames of other sites. With `none`, a frame can begin a session.",
        )
    }

    /// The switch for migrating from bare tokens.
    pub fn accept_bare_tokens() -> Self {
        Self::optional(
            "accept_bare_tokens",
            &false,
            "Whether a bare token counts as a claim although there are keys: `true` or `false`. For migrating \
             to receipts. For viewers who come by HTTPS, `accept_unprefixed_cookie` must be on as well.",
        )
    }
}

/// The settings as a Markdown table. `name` writes a setting's name as the reader meets it.
pub fn settings_table(settings: &[Setting], name: impl Fn(&str) -> String) -> String {
    let mut table = "| setting | default | what it does |\n| --- | --- | --- |\n".to_owned();
    for setting in settings {
        let default = match setting.default.as_str() {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        // A description may refer to another setting, as `session_seconds`.
        let about = settings.iter().fold(setting.about.clone(), |about, other| {
            about.replace(&format!("`{}`", other.name), &format!("`{}`", name(other.name)))
        });
        writeln!(table, "| `{}` | {default} | {about} |", name(setting.name)).expect("a String takes any text");
    }
    table
}
