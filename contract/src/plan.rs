//! The rollout plan and its rules.

mod origin;
mod record;
mod stored;

use std::collections::BTreeMap;
use std::fmt;

use rand::{Rng, RngExt as _};
use serde::{Deserialize, Serialize};

pub use origin::{Domain, DomainError, Origin, Port, PortError, Protocol};
pub use record::PlanRecord;
pub use stored::PLAN_FORMAT;

use crate::token::Token;
use crate::version::VersionCode;
use crate::weight::Weight;

/// Which versions exist, where each is served, and what share of new sessions each gets.
///
/// A `Plan` keeps every rule: [`Plan::new`] and deserializing are the only ways to make one, and both
/// check. This is the shape in JSON. The table stores the same attributes.
///
/// ```
/// # let text = r#"
/// {
///   "format": 1,
///   "revision": 7,
///   "stable": "1",
///   "versions": {
///     "1": {
///       "origin": { "domain": "v1.example.org", "port": 8080, "protocol": "http" },
///       "weight_basis_points": 9000,
///       "state": "live"
///     },
///     "2": {
///       "origin": { "domain": "v2.example.org", "port": 8080, "protocol": "http" },
///       "weight_basis_points": 1000,
///       "state": "live"
///     }
///   }
/// }
/// # "#;
/// # let plan: stickshift_contract::Plan = serde_json::from_str(text).unwrap();
/// # assert_eq!(plan.revision(), 7);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    revision: u64,
    stable: VersionCode,
    versions: BTreeMap<VersionCode, PlannedVersion>,
}

/// What a plan says about one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedVersion {
    /// Where the version is served.
    pub origin: Origin,
    /// The version's share of new sessions. It counts while the version is live.
    #[serde(rename = "weight_basis_points")]
    pub weight: Weight,
    /// Which requests the version may serve.
    pub state: State,
    /// End of a drain in Unix seconds. From then on no session stays. Only a draining version has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Unix seconds at which the version was last withdrawn. It keeps this when it comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<u64>,
}

/// Which requests a version may serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is deployed, and only testers see it: it gets no new sessions by weight.
    Staged,
    /// It gets new sessions by its weight.
    Live,
    /// It gets no new sessions. Sessions in progress stay, until `until` if that is set.
    Draining,
    /// It serves nobody. Sessions in progress move to a live version at once.
    Withdrawn,
}

impl State {
    /// Whether a session in progress may go on at a version in this state. `until`: the end of its drain. `now`
    /// is `None` if the plan is not fresh: then the end of a drain does not count.
    pub fn keeps_sessions(self, until: Option<u64>, now: Option<u64>) -> bool {
        match self {
            Self::Staged | Self::Live => true,
            Self::Draining => until.zip(now).is_none_or(|(until, now)| now < until),
            Self::Withdrawn => false,
        }
    }
}

/// The rule that a plan breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The revision is so high that no other could follow, or that the history could not be sorted.
    #[error("revision {0} is out of range: a plan's revision is at most {max}", max = Plan::MAX_REVISION)]
    Revision(u64),
    /// No version could take a new session.
    #[error("no version is live: at least one must be")]
    NoneLive,
    /// The shares do not make a whole.
    #[error("the weights of the live versions add up to {}.{:02} percent: they must add up to 100.00", .0 / 100, .0 % 100)]
    WeightSum(u32),
    /// The stable version is not in the plan.
    #[error("stable is version {0}, which is not in the plan")]
    StableUnknown(VersionCode),
    /// The stable version could not serve everybody.
    #[error("stable is version {0}, which is not live: the stable version must be live")]
    StableNotLive(VersionCode),
    /// A version that does not drain has an end of the drain.
    #[error("version {0} has `until` but is not draining: only a draining version has `until`")]
    UntilWithoutDrain(VersionCode),
}

impl Plan {
    /// The highest revision: the history's keys have ten digits.
    pub const MAX_REVISION: u64 = 9_999_999_999;
    /// The attributes of an item in the table that make the plan.
    pub const ATTRIBUTES: [&str; 4] = ["format", "revision", "stable", "versions"];

    /// Makes a plan. Errors: the first [`PlanError`] found.
    pub fn new(
        revision: u64,
        stable: VersionCode,
        versions: BTreeMap<VersionCode, PlannedVersion>,
    ) -> Result<Self, PlanError> {
        if revision > Self::MAX_REVISION {
            return Err(PlanError::Revision(revision));
        }
        for (&version, planned) in &versions {
            if planned.until.is_some() && planned.state != State::Draining {
                return Err(PlanError::UntilWithoutDrain(version));
            }
        }
        let plan = Self { revision, stable, versions };
        if plan.live().next().is_none() {
            return Err(PlanError::NoneLive);
        }
        let sum = plan.live().map(|(_, weight)| u32::from(weight.basis_points())).sum();
        if sum != u32::from(Weight::ALL.basis_points()) {
            return Err(PlanError::WeightSum(sum));
        }
        match plan.versions.get(&stable) {
            None => Err(PlanError::StableUnknown(stable)),
            Some(planned) if planned.state != State::Live => Err(PlanError::StableNotLive(stable)),
            Some(_) => Ok(plan),
        }
    }

    /// The number of this plan. Every change makes a plan with the next number.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The version that a request goes to when nothing better is known.
    pub fn stable(&self) -> VersionCode {
        self.stable
    }

    /// Every version in the plan.
    pub fn versions(&self) -> &BTreeMap<VersionCode, PlannedVersion> {
        &self.versions
    }

    /// The origin of a version in the plan.
    pub fn origin(&self, version: VersionCode) -> Option<&Origin> {
        self.versions.get(&version).map(|planned| &planned.origin)
    }

    /// Whether a session in progress on `version` may go on there. `now` is `None` if the plan is not fresh:
    /// then the end of a drain does not count.
    pub fn keeps_sessions_of(&self, version: VersionCode, now: Option<u64>) -> bool {
        self.versions.get(&version).is_some_and(|planned| planned.state.keeps_sessions(planned.until, now))
    }

    /// Whether a receipt that `version` issued at `touched` may be from before the version was last
    /// withdrawn. Then the session may have moved since, and the receipt alone does not decide.
    pub fn may_be_from_before_withdrawal(
        &self,
        version: VersionCode,
        touched: u64,
        clock_allowance_seconds: u64,
    ) -> bool {
        let withdrawn_at = self.versions.get(&version).and_then(|planned| planned.withdrawn_at);
        withdrawn_at.is_some_and(|withdrawn_at| touched < withdrawn_at.saturating_add(clock_allowance_seconds))
    }

    /// Whether the plan has `version` and has not withdrawn it. Then its assets are served, even after the end of a
    /// drain, because pages that need them may still be open; and a pass to it counts.
    pub fn is_open(&self, version: VersionCode) -> bool {
        self.versions.get(&version).is_some_and(|planned| planned.state != State::Withdrawn)
    }

    /// Draws a version for a new session, by weight. It draws one number.
    pub fn pick(&self, rng: &mut impl Rng) -> VersionCode {
        self.holder_of(rng.random_range(0..Weight::ALL.basis_points()))
    }

    /// Chooses a version by weight for a session that has to move. The token takes the place of the
    /// random number, so that every request of the session gets the same version.
    pub fn pick_again(&self, token: &Token) -> VersionCode {
        let digits = u64::from_str_radix(&token.as_str()[..16], 16).expect("a token has hex digits only");
        let ticket = digits % u64::from(Weight::ALL.basis_points());
        self.holder_of(u16::try_from(ticket).expect("a ticket is less than 10,000"))
    }

    /// The live version whose share holds a ticket of `0..10_000`.
    fn holder_of(&self, mut ticket: u16) -> VersionCode {
        for (version, weight) in self.live() {
            match ticket.checked_sub(weight.basis_points()) {
                Some(rest) => ticket = rest,
                None => return version,
            }
        }
        self.stable
    }

    fn live(&self) -> impl Iterator<Item = (VersionCode, Weight)> {
        let is_live = |(_, planned): &(&VersionCode, &PlannedVersion)| planned.state == State::Live;
        self.versions.iter().filter(is_live).map(|(&version, planned)| (version, planned.weight))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Staged => "staged",
            Self::Live => "live",
            Self::Draining => "draining",
            Self::Withdrawn => "withdrawn",
        })
    }
}
