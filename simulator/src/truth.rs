//! What must always hold, and the record that it is checked against.

use std::fmt;

use stickshift_contract::{Placed, Placement, Plan, Token, VersionCode};

use crate::timeline::Millis;

/// Something that must always hold. `docs/proof.md` says what each one covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Invariant {
    /// A token changes its version only when a plan does not let that version keep sessions.
    Sticks,
    /// Nobody gets less than ten minutes after a visit.
    TenMinutes,
    /// A session that nobody visits ends.
    Ends,
    /// After the propagation bound, a withdrawn version serves nobody.
    Withdrawn,
    /// Nothing is written for subresources and strays.
    NoWrite,
    /// No placement that was written is undone.
    Kept,
    /// A signed cookie reads back as its receipt.
    SameCookie,
    /// A stored plan reads back.
    SamePlan,
    /// A request causes few calls to the tables, and one by a young receipt none for its session.
    FewCalls,
    /// Under a pass, the viewer's own session is untouched, and a session under a pass is neither drawn nor moved.
    Apart,
}

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What does not hold.
    pub invariant: Invariant,
    /// When.
    pub at: Millis,
    /// What happened.
    pub what: String,
}

/// A session as the record has it.
#[derive(Debug, Clone)]
pub(crate) struct Truth {
    pub(crate) token: Token,
    /// The version that the session is on, by the latest placement.
    pub(crate) version: VersionCode,
    pub(crate) revision: u64,
    /// When the app last served a visit whose answer arrived.
    pub(crate) visited: Option<Millis>,
    /// When an open answer last renewed the session. The viewer has no receipt of that, so a backup undoes it.
    pub(crate) renewed_by_stream: Option<Millis>,
    /// The latest `touched`, by the clock that is furthest ahead.
    pub(crate) touched: u64,
    /// The version that the session left last.
    from: Option<VersionCode>,
    /// Whether only a receipt says that the session is on its version.
    is_unwritten: bool,
    /// Whether a receipt of an older placement was issued, because its write failed.
    has_stale: bool,
}

/// How a placement comes about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placing {
    pub(crate) token: Token,
    pub(crate) version: VersionCode,
    pub(crate) placed: Placed,
    /// Whether the write failed, so that only a receipt says it.
    pub(crate) is_unwritten: bool,
    pub(crate) touched: u64,
    /// The latest time that the edge's clock can have shown, in Unix seconds.
    pub(crate) latest: u64,
}

/// What a placement means for its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    Begun,
    Same,
    Moved,
    Stale,
    MovedTwice,
    Unbidden,
}

impl Truth {
    /// Takes a placement into the record.
    pub(crate) fn place(record: &mut Vec<Self>, placing: &Placing, plans: &[Plan]) -> Meaning {
        let Placing { token, version, placed, is_unwritten, touched, latest } = *placing;
        let Some(truth) = record.iter_mut().find(|truth| truth.token == token) else {
            let revision = placed.revision;
            record.push(Self {
                token,
                version,
                revision,
                visited: None,
                renewed_by_stream: None,
                touched,
                from: None,
                is_unwritten,
                has_stale: false,
            });
            return Meaning::Begun;
        };
        truth.touched = truth.touched.max(touched);
        if version == truth.version {
            truth.is_unwritten &= is_unwritten;
            truth.revision = truth.revision.max(placed.revision);
            return Meaning::Same;
        }
        if placed.revision < truth.revision && (is_unwritten || truth.is_unwritten) {
            truth.has_stale = true;
            return Meaning::Stale;
        }
        let plan = plans.iter().find(|plan| plan.revision() == placed.revision);
        let is_moved = placed.placement == Placement::Moved;
        let leaves = |version| {
            // A plan that lets a version keep its sessions does so up to a time, and never again.
            is_moved && !plan.is_some_and(|plan| plan.keeps_sessions_of(version, Some(latest)))
        };
        let is_bidden = leaves(truth.version);
        // Another edge had another plan. It has moved the session from the same version, or kept it there, and
        // one of the writes failed.
        let has_failed = is_unwritten || truth.is_unwritten || truth.has_stale;
        let is_second = has_failed && truth.from.is_some_and(leaves);
        let meaning = match (is_bidden, is_second) {
            (true, _) => Meaning::Moved,
            (false, true) => Meaning::MovedTwice,
            (false, false) => Meaning::Unbidden,
        };
        (truth.from, truth.is_unwritten) = (Some(truth.version), is_unwritten);
        (truth.version, truth.revision) = (version, placed.revision);
        meaning
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sticks => "sticks",
            Self::TenMinutes => "ten minutes",
            Self::Ends => "ends",
            Self::Withdrawn => "withdrawn",
            Self::NoWrite => "no write",
            Self::Kept => "kept",
            Self::SameCookie => "same cookie",
            Self::SamePlan => "same plan",
            Self::FewCalls => "few calls",
            Self::Apart => "apart",
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8}.{:03} s  violates `{}`: {}", self.at / 1_000, self.at % 1_000, self.invariant, self.what)
    }
}
