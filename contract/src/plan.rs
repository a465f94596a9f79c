//! The rollout plan and its rules.

use std::collections::BTreeMap;

use rand::{Rng, RngExt as _};
use serde::{Deserialize, Serialize};

use crate::{Token, VersionCode, Weight};

/// A plan that keeps every rule: which versions there are, where they live, what share of new sessions each gets.
///
/// The only ways to one are [`Plan::new`] and deserializing, and both check. As JSON, and likewise in the table:
///
/// ```
/// # let text = r#"
/// {
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedPlan")]
pub struct Plan {
    revision: u64,
    stable: VersionCode,
    versions: BTreeMap<VersionCode, PlannedVersion>,
}

/// A version's part of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedVersion {
    /// The host that serves it.
    pub origin: Origin,
    /// Its share of new sessions; counts while the version is live.
    #[serde(rename = "weight_basis_points")]
    pub weight: Weight,
    /// What it may serve.
    pub state: State,
    /// End of a drain in Unix seconds; past it no session stays. Only while draining.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// Where a version is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// A DNS name: CloudFront takes no IP address
    /// ([event structure](https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/lambda-event-structure.html)).
    pub domain: String,
    /// 80, 443 or 1024 to 65535: the ports that CloudFront connects to.
    pub port: u16,
    /// How CloudFront speaks to it.
    pub protocol: Protocol,
}

/// Protocol between the edge and an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Plain HTTP.
    Http,
    /// HTTPS.
    Https,
}

/// What a version may serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Deployed, shown to testers only: no new sessions by weight.
    Staged,
    /// Gets new sessions by its weight.
    Live,
    /// No new sessions; those in progress stay, until `until` if set.
    Draining,
    /// Nobody: sessions in progress move to a live version at once.
    Withdrawn,
}

/// The rule that a plan breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Nothing could take a new session.
    #[error("no version is live: at least one must be")]
    NoneLive,
    /// Shares that are not a whole.
    #[error("the weights of the live versions add up to {}.{:02} percent: they must add up to 100.00", .0 / 100, .0 % 100)]
    WeightSum(u32),
    /// Stable is not in the plan.
    #[error("stable is version {0}, which is not in the plan")]
    StableUnknown(VersionCode),
    /// Stable could not serve everyone.
    #[error("stable is version {0}, which is not live: stable must be")]
    StableNotLive(VersionCode),
    /// An end of a drain where nothing drains.
    #[error("version {0} has `until` but is not draining: only a drain ends")]
    UntilWithoutDrain(VersionCode),
    /// A host name that CloudFront would refuse.
    #[error("version {version}'s origin has the domain `{domain}`: it takes a DNS name, no IP address, no port")]
    Domain {
        /// Whose origin.
        version: VersionCode,
        /// What was given.
        domain: String,
    },
    /// A port that CloudFront would refuse.
    #[error("version {version}'s origin has the port {port}: it takes 80, 443 or 1024 to 65535")]
    Port {
        /// Whose origin.
        version: VersionCode,
        /// What was given.
        port: u16,
    },
}

impl Plan {
    /// A plan, if it keeps the rules. Errors: the first [`PlanError`] found.
    pub fn new(
        revision: u64,
        stable: VersionCode,
        versions: BTreeMap<VersionCode, PlannedVersion>,
    ) -> Result<Self, PlanError> {
        for (&version, planned) in &versions {
            let Origin { domain, port, .. } = &planned.origin;
            if !is_dns_name(domain) {
                return Err(PlanError::Domain { version, domain: domain.clone() });
            }
            if !matches!(port, 80 | 443 | 1024..) {
                return Err(PlanError::Port { version, port: *port });
            }
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

    /// Counts the plans: each change makes one more.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The version a request goes to when nothing better is known.
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

    /// Whether a session in progress on `version` may go on there.
    pub fn keeps_sessions_of(&self, version: VersionCode, now: u64) -> bool {
        self.versions.get(&version).is_some_and(|planned| match planned.state {
            State::Staged | State::Live => true,
            State::Draining => planned.until.is_none_or(|until| now < until),
            State::Withdrawn => false,
        })
    }

    /// Whether assets of `version` are still served: pages that asked for them may be open, so even past a drain's end.
    pub fn serves_assets_of(&self, version: VersionCode) -> bool {
        self.versions.get(&version).is_some_and(|planned| planned.state != State::Withdrawn)
    }

    /// A version for a new session, by weight. Draws one number.
    pub fn pick(&self, rng: &mut impl Rng) -> VersionCode {
        self.holder_of(rng.random_range(0..Weight::ALL.basis_points()))
    }

    /// A version for a session that has to move, by weight, and the same one for every request of the session: its
    /// token is as random as any draw.
    pub fn pick_again(&self, token: &Token) -> VersionCode {
        let digits = u64::from_str_radix(&token.as_str()[..16], 16).expect("tokens hold hex digits only");
        let ticket = digits % u64::from(Weight::ALL.basis_points());
        self.holder_of(u16::try_from(ticket).expect("less than 10,000"))
    }

    /// The live version whose share a ticket of `0..10_000` falls into.
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

/// Letters, digits, hyphens and dots ([RFC 1123, section 2.1](https://www.rfc-editor.org/rfc/rfc1123#section-2.1)); the
/// last label is not all digits, which tells a name from an IPv4 address.
fn is_dns_name(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = domain.rsplit('.').next().unwrap_or_default();
    domain.len() <= 253 && domain.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// A plan as it is stored, before its rules are checked.
#[derive(Deserialize)]
struct UncheckedPlan {
    revision: u64,
    stable: VersionCode,
    versions: BTreeMap<VersionCode, PlannedVersion>,
}

impl TryFrom<UncheckedPlan> for Plan {
    type Error = PlanError;

    fn try_from(plan: UncheckedPlan) -> Result<Self, Self::Error> {
        Self::new(plan.revision, plan.stable, plan.versions)
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Staged => "staged",
            Self::Live => "live",
            Self::Draining => "draining",
            Self::Withdrawn => "withdrawn",
        })
    }
}
