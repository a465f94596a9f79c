//! What a link or a form asks for.

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize;
use stickshift_contract::{VersionCode, Weight};
use stickshift_rollout::{Change, Leaving};

use crate::clock::unix_now;
use crate::operator::preview::{DEFAULT_TIME, Preview, parse_pass_time};
use crate::operator::{Site, change, steer, words};

/// What an operator can do here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::dashboard) enum Verb {
    Weight,
    Promote,
    Drain,
    Abort,
    Undo,
    Pause,
    Resume,
    Preview,
}

/// What a link or a form says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::dashboard) struct Asked {
    version: Option<String>,
    percent: Option<String>,
    /// How long a drain lasts.
    until: Option<String>,
    /// Its end, in Unix seconds, as the page showed it.
    ends: Option<String>,
    leaving: Option<String>,
    /// The revision to go back to.
    to: Option<String>,
    /// How long a preview lasts.
    time: Option<String>,
    /// The revision that the page showed as the one in force.
    pub(super) seen: Option<String>,
    /// The begin of the rollout that the page showed, and why it was paused.
    run: Option<String>,
    paused: Option<String>,
    /// The dangers that the page showed.
    pub(super) dangers: Option<String>,
    pub(super) csrf: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) force: Option<String>,
}

/// What the operator chooses besides the version.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    /// What was chosen; before, what the form begins with.
    pub(super) value: String,
    pub(super) is_chosen: bool,
    /// Values and what they are called; none for a free text.
    pub(super) choices: Vec<(&'static str, &'static str)>,
}

impl Verb {
    /// The verb of an address.
    pub(super) fn parse(verb: &str) -> Option<Self> {
        Self::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(verb)).ok()
    }

    pub(super) fn button(self) -> &'static str {
        match self {
            Self::Weight => "Set the weight",
            Self::Promote => "Promote",
            Self::Drain => "Drain",
            Self::Abort => "Abort",
            Self::Undo => "Undo",
            Self::Pause => "Pause",
            Self::Resume => "Resume",
            Self::Preview => "Make a link",
        }
    }

    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Weight => "The version gets this share of new sessions, and the stable version gets the rest.",
            Self::Promote => "All new sessions go to the version, and it becomes stable. Sessions in progress stay.",
            Self::Drain => "The version gets no new sessions. Its sessions finish where they are, or move at the end.",
            Self::Abort => "The version is taken back: it gets no new sessions, and a rollout to it ends.",
            Self::Undo => "An earlier plan is put in force again, as the next revision.",
            Self::Pause => "The rollout takes no step. If the version fails, it is taken back all the same.",
            Self::Resume => "The rollout goes on.",
            Self::Preview => "A link shows the version to one browser. Whoever has the link can use it.",
        }
    }

    pub(super) fn takes_version(self) -> bool {
        !matches!(self, Self::Undo | Self::Pause | Self::Resume)
    }
}

impl Field {
    /// The label without what helps to fill the field in.
    pub(super) fn short_label(&self) -> &str {
        self.label.split([',', ';']).next().unwrap_or(self.label)
    }

    pub(super) fn in_words(&self) -> &str {
        let choice = self.choices.iter().find(|(value, _)| *value == self.value).map(|(_, text)| *text);
        choice.unwrap_or(if self.value.is_empty() { "no end" } else { &self.value })
    }
}

impl Asked {
    /// Without what only the operator may say.
    pub(super) fn without_answers(self) -> Self {
        Self { reason: None, force: None, ends: None, ..self }
    }

    /// Errors: it is none.
    pub(super) fn version(&self) -> Result<VersionCode> {
        VersionCode::parse(self.version.as_deref().context("which version?")?).map_err(Into::into)
    }

    pub(super) fn to(&self) -> Result<u64> {
        let to = self.to.as_deref().context("which revision?")?;
        to.parse().map_err(|_| anyhow!("`{to}` is no revision"))
    }

    pub(super) fn field(&self, verb: Verb) -> Option<Field> {
        let (name, label, value, usual, choices) = match verb {
            Verb::Weight => {
                ("percent", "Share of new sessions, in percent, for example 2.5", &self.percent, "", Vec::new())
            }
            Verb::Drain => (
                "until",
                "How long its sessions may stay, for example 30m; empty: as long as somebody is active",
                &self.until,
                "",
                Vec::new(),
            ),
            Verb::Abort => (
                "leaving",
                "What becomes of its sessions",
                &self.leaving,
                "drain",
                vec![("drain", "They finish where they are"), ("evict", "They move with their next request")],
            ),
            Verb::Preview => (
                "time",
                "How long the browser sees the version, for example 2h; at most a day",
                &self.time,
                DEFAULT_TIME,
                Vec::new(),
            ),
            Verb::Promote | Verb::Undo | Verb::Pause | Verb::Resume => return None,
        };
        let (value, is_chosen) = (value.clone().unwrap_or_else(|| usual.to_owned()), value.is_some());
        Some(Field { name, label, value, is_chosen, choices })
    }

    /// What the plan is asked to become, and the reason for the history. `None` if it stays as it is.
    ///
    /// Errors: it cannot be asked for.
    pub(super) async fn change(&self, verb: Verb, site: &Site, reason: &str) -> Result<Option<(Change, String)>> {
        let change = match verb {
            Verb::Weight => {
                let percent = self.percent.as_deref().context("which share of new sessions?")?;
                let percent = percent.trim().trim_end_matches([' ', '%']);
                Change::SetWeights(vec![(self.version()?, Weight::parse_percent(percent)?)])
            }
            Verb::Promote => Change::Promote(self.version()?),
            Verb::Drain => Change::Drain { version: self.version()?, until: self.end_of_drain()? },
            Verb::Abort => Change::Abort { version: self.version()?, leaving: self.leaving()? },
            Verb::Undo => return Ok(Some(change::undo(site, Some(self.to()?), reason).await?)),
            Verb::Pause | Verb::Resume | Verb::Preview => return Ok(None),
        };
        Ok(Some((change, reason.to_owned())))
    }

    /// The end of a drain, in Unix seconds: the one that the page showed, or so long from now.
    fn end_of_drain(&self) -> Result<Option<u64>> {
        if let Some(ends) = &self.ends {
            return ends.parse().map(Some).map_err(|_| anyhow!("`{ends}` is no time"));
        }
        let until = self.until.as_deref().map(str::trim).filter(|until| !until.is_empty());
        let seconds = until.map(words::parse_time).transpose().map_err(|problem| anyhow!(problem))?;
        Ok(seconds.map(|seconds| unix_now() + seconds))
    }

    /// A link for one browser. Errors: the plan does not show the version, or no link can be made.
    pub(super) async fn preview(&self, site: &Site) -> Result<Preview> {
        let seconds = parse_pass_time(self.time.as_deref().unwrap_or(DEFAULT_TIME));
        let seconds = seconds.map_err(|problem| anyhow!(problem))?;
        Preview::new(site, self.version()?, seconds, None, "/").await
    }

    /// The rollout that the page showed. Errors: the form does not say it.
    pub(super) fn run(&self) -> Result<steer::Seen> {
        let started_at = self.run.as_deref().and_then(|run| run.parse().ok());
        let started_at = started_at.context("the form does not say which rollout it was made for")?;
        Ok(steer::Seen { started_at, paused: self.paused.clone() })
    }

    fn leaving(&self) -> Result<Leaving> {
        match self.leaving.as_deref() {
            None | Some("drain") => Ok(Leaving::Drain),
            Some("evict") => Ok(Leaving::Evict),
            Some(other) => bail!("`{other}`: expected drain or evict"),
        }
    }
}
