//! How a session came to its version, and under which plan.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::receipt::number;

/// How a session came to its version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// The edge drew the version by weight for a new session.
    Drawn,
    /// The session had to leave its version, and the edge moved it to this one.
    Moved,
    /// Neither: the edge had no plan, or the request did not come through the edge.
    #[default]
    Other,
}

/// A session's placement: how it came to its version, and by which plan.
///
/// As text in a receipt: the revision and the placement's first letter, for example `41d`, `42m` or `0o`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Placed {
    /// Revision of the plan by which the session came to its version; 0 without a plan.
    pub revision: u64,
    /// How it came there.
    pub placement: Placement,
}

impl Placement {
    const EVERY: [Self; 3] = [Self::Drawn, Self::Moved, Self::Other];

    fn letter(self) -> char {
        match self {
            Self::Drawn => 'd',
            Self::Moved => 'm',
            Self::Other => 'o',
        }
    }

    /// The word that an item stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drawn => "drawn",
            Self::Moved => "moved",
            Self::Other => "other",
        }
    }

    /// The placement that a stored word means, if it means one.
    pub fn parse(word: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|placement| placement.as_str() == word)
    }
}

impl Placed {
    /// Reads the text form; `None` if it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let letter = text.chars().next_back()?;
        let placement = Placement::EVERY.into_iter().find(|placement| placement.letter() == letter)?;
        let revision = number(&text[..text.len() - letter.len_utf8()])?;
        Some(Self { revision, placement })
    }
}

impl fmt::Display for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.revision, self.placement.letter())
    }
}
