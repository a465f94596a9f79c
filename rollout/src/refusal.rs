//! Why a change is refused.

use stickshift_contract::{PlanError, State, VersionCode, Weight};

/// Why a plan cannot be changed as asked. The plan in force stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The plan does not have the version.
    #[error("version {version} is not in the plan, which has {}", list(.known))]
    Unknown {
        /// The version that was asked for.
        version: VersionCode,
        /// The versions of the plan.
        known: Vec<VersionCode>,
    },
    /// The plan has the version already.
    #[error("version {0} is in the plan already, {1}: give it new sessions with set-weight, or remove it first")]
    Known(VersionCode, State),
    /// The stable version cannot leave.
    #[error("version {0} is stable, and stable gets what nobody else gets: promote another version first")]
    IsStable(VersionCode),
    /// The weights leave less than nothing for the stable version.
    #[error("the other versions would get {}.{:02} percent: at most 100.00 is left for them", .0 / 100, .0 % 100)]
    TooMuch(u32),
    /// The stable version is named, and the weights do not add up.
    #[error(
        "with {stable} for version {version}, which is stable, the weights add up to \
         {}.{:02} percent: leave it out, and it gets the rest",
        .sum / 100, .sum % 100
    )]
    StableWeight {
        /// The stable version.
        version: VersionCode,
        /// The weight that was asked for.
        stable: Weight,
        /// The sum, in basis points.
        sum: u32,
    },
    /// A version is named twice.
    #[error("version {0} is named twice")]
    Twice(VersionCode),
    /// No version can be meant.
    #[error("no version but the stable one gets new sessions, so there is nothing to abort")]
    NothingToAbort,
    /// More than one version can be meant.
    #[error("{} get new sessions besides the stable version: name the one to abort", list(.0))]
    Ambiguous(Vec<VersionCode>),
    /// The end of a drain is over.
    #[error("the end of the drain is not in the future: evict the sessions with `abort --evict` instead")]
    UntilIsOver,
    /// The plan already is as asked.
    #[error("the plan is like that already")]
    NothingChanges,
    /// The plan would break a rule.
    #[error(transparent)]
    Rule(#[from] PlanError),
}

/// `versions 1, 2`.
fn list(versions: &[VersionCode]) -> String {
    let names: Vec<_> = versions.iter().map(ToString::to_string).collect();
    format!("version{} {}", if names.len() == 1 { "" } else { "s" }, names.join(", "))
}
