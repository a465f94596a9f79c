//! How far the charts look back.

use serde::Deserialize;

/// A range, and the length of the stretches that it is shown in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(super) enum Range {
    /// Fifteen minutes, minute by minute.
    #[default]
    #[serde(rename = "15m")]
    Minutes15,
    /// Two hours, minute by minute.
    #[serde(rename = "2h")]
    Hours2,
    /// A day, in steps of five minutes.
    #[serde(rename = "24h")]
    Hours24,
}

/// What a link names.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RangeQuery {
    pub(super) range: Range,
}

impl Range {
    pub(super) const EVERY: [Self; 3] = [Self::Minutes15, Self::Hours2, Self::Hours24];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Minutes15 => "15m",
            Self::Hours2 => "2h",
            Self::Hours24 => "24h",
        }
    }

    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::Minutes15 => "15 minutes",
            Self::Hours2 => "2 hours",
            Self::Hours24 => "24 hours",
        }
    }

    pub(super) fn seconds(self) -> u64 {
        match self {
            Self::Minutes15 => 900,
            Self::Hours2 => 7_200,
            Self::Hours24 => 86_400,
        }
    }

    pub(super) fn stretch_seconds(self) -> u64 {
        if self == Self::Hours24 { 300 } else { 60 }
    }

    /// The text that fits the stretches.
    pub(super) fn in_each(self, minute: &'static str, five_minutes: &'static str) -> &'static str {
        if self.stretch_seconds() == 60 { minute } else { five_minutes }
    }
}
