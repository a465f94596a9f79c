//! The rules: from what a request claims, over the writes that it needs, to its session.

use rand::CryptoRng;
use stickshift_contract::{Claim, Placed, Placement, Receipt, Route, SessionItem, Timing, Token, VersionCode, is_bot};

use crate::guard::Guard;
use crate::write::{Write, Written};

/// What the rules depend on, the same for every request to one version.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The version that this app serves.
    pub version: VersionCode,
    /// The intervals that ages are judged by.
    pub timing: Timing,
    /// Whether there are keys. With keys a receipt stands in for an item that could not be written.
    pub has_keys: bool,
}

/// What a request says that matters for its session.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a> {
    /// What the cookies claim.
    pub claim: Claim,
    /// The edge's reason; `None` if the request did not come through the edge.
    pub route: Option<Route>,
    /// The revision of the plan that placed the session: the edge sends it on `roll` and `moved`.
    pub revision: Option<u64>,
    /// Whether the request is a GET for a document. Only such a request begins or renews a session.
    pub is_document: bool,
    /// The `User-Agent` header, empty if the request has none.
    pub user_agent: &'a str,
}

/// The next thing to do for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing is left to do: this is the session.
    Done(Session),
    /// Do this write, then call [`Rules::resume`].
    Write(Write, Pending),
}

/// The session of a request, after all writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// The session is on this version.
    Here {
        /// The session's receipt.
        receipt: Receipt,
        /// Whether the receipt was issued for this request, so that a cookie must go out.
        is_new: bool,
    },
    /// The session is on another version. This request leaves it alone.
    Elsewhere {
        /// The session.
        token: Token,
        /// The version that it is on.
        version: VersionCode,
    },
    /// The table did not answer, and without its answer nobody can tell.
    Unknown,
    /// The request has no session and begins none.
    Absent,
    /// The session could not be written, and without keys no receipt can stand in for it. The app must
    /// answer with an error and without a cookie.
    Unwritten,
}

/// What [`Rules::resume`] needs to know of the write in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    receipt: Receipt,
    claimed_by: ClaimedBy,
    placed: Placed,
    may_begin: bool,
}

/// What claims the session that a write is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClaimedBy {
    /// A new session: the write claims it.
    Itself,
    /// A valid receipt.
    Receipt,
    /// A token that nothing vouches for.
    Token,
}

impl Rules {
    /// Decides what a request does to its session.
    pub fn enter(&self, visit: &Visit<'_>, now: u64, rng: &mut impl CryptoRng) -> Step {
        match visit.claim {
            Claim::Receipt(receipt, age) if age < self.timing.lifetime_seconds() => {
                self.enter_by_receipt(visit, receipt, age, now)
            }
            _ if !visit.is_document => Step::Done(Session::Absent),
            Claim::Bare(token) => self.write_by_token(visit, token, now),
            // A receipt past its lifetime proves no more than a bare token. It is worth a write only if
            // the edge found the session alive.
            Claim::Receipt(receipt, _) if matches!(visit.route, Some(Route::Moved | Route::Record)) => {
                self.write_by_token(visit, receipt.token, now)
            }
            _ if is_bot(visit.user_agent) => Step::Done(Session::Absent),
            _ => self.begin(placed(visit), now, rng),
        }
    }

    /// Decides for a receipt that is within its lifetime.
    fn enter_by_receipt(&self, visit: &Visit<'_>, receipt: Receipt, age: u64, now: u64) -> Step {
        let is_ours = receipt.version == self.version;
        let guard = match visit.route {
            _ if !visit.is_document => None,
            Some(Route::Moved) => Some(Guard::Move),
            // The edge has seen a newer item than the receipt, and the item names this version.
            Some(Route::Record) if !is_ours => Some(Guard::Renew),
            _ if is_ours && age >= self.timing.touch_interval_seconds => Some(Guard::Renew),
            _ => None,
        };
        match guard {
            Some(guard) => self.write(visit, guard, receipt, now),
            None if is_ours => Step::Done(Session::Here { receipt, is_new: false }),
            None => Step::Done(Session::Elsewhere { token: receipt.token, version: receipt.version }),
        }
    }

    /// Decides what follows from a write.
    pub fn resume(&self, pending: Pending, written: Written, now: u64, rng: &mut impl CryptoRng) -> Step {
        let Pending { receipt, claimed_by, placed, may_begin } = pending;
        match (written, claimed_by) {
            (Written::Done { started, placed }, _) => {
                Step::Done(Session::Here { receipt: Receipt { started, placed, ..receipt }, is_new: true })
            }
            (Written::Refused(item), ClaimedBy::Receipt) => {
                let version = item.and_then(|item| item.version).unwrap_or(self.version);
                Step::Done(Session::Elsewhere { token: receipt.token, version })
            }
            (Written::Refused(item), ClaimedBy::Itself | ClaimedBy::Token) => {
                match self.version_elsewhere(item.as_ref(), now) {
                    Some(version) => Step::Done(Session::Elsewhere { token: receipt.token, version }),
                    // The session is over, or there never was one. Its token is not adopted.
                    None if may_begin => self.begin(placed, now, rng),
                    None => Step::Done(Session::Absent),
                }
            }
            (Written::Failed, _) if !self.has_keys => Step::Done(Session::Unwritten),
            (Written::Failed, ClaimedBy::Token) => Step::Done(Session::Unknown),
            (Written::Failed, ClaimedBy::Itself | ClaimedBy::Receipt) => {
                Step::Done(Session::Here { receipt, is_new: true })
            }
        }
    }

    /// Begins a session with a new token.
    fn begin(&self, placed: Placed, now: u64, rng: &mut impl CryptoRng) -> Step {
        let receipt = self.first_receipt(Token::generate(rng), placed, now);
        let pending = Pending { receipt, claimed_by: ClaimedBy::Itself, placed, may_begin: true };
        Step::Write(Write { receipt, expiration: self.expiration(now), guard: Guard::Begin }, pending)
    }

    /// Writes a session that a valid receipt claims.
    fn write(&self, visit: &Visit<'_>, guard: Guard, receipt: Receipt, now: u64) -> Step {
        let placed = if guard == Guard::Move { placed(visit) } else { receipt.placed };
        let receipt = Receipt { version: self.version, touched: now, placed, ..receipt };
        let pending = Pending { receipt, claimed_by: ClaimedBy::Receipt, placed, may_begin: false };
        Step::Write(Write { receipt, expiration: self.expiration(now), guard }, pending)
    }

    /// Writes a session that only a token claims.
    fn write_by_token(&self, visit: &Visit<'_>, token: Token, now: u64) -> Step {
        let guard = if visit.route == Some(Route::Moved) { Guard::MoveByToken } else { Guard::RenewByToken };
        let placed = placed(visit);
        let receipt = self.first_receipt(token, placed, now);
        let may_begin = !is_bot(visit.user_agent);
        let pending = Pending { receipt, claimed_by: ClaimedBy::Token, placed, may_begin };
        Step::Write(Write { receipt, expiration: self.expiration(now), guard }, pending)
    }

    fn first_receipt(&self, token: Token, placed: Placed, now: u64) -> Receipt {
        Receipt { token, version: self.version, placed, started: now, touched: now }
    }

    fn expiration(&self, now: u64) -> u64 {
        now + self.timing.lifetime_seconds()
    }

    /// The other version that a live item names.
    fn version_elsewhere(&self, item: Option<&SessionItem>, now: u64) -> Option<VersionCode> {
        let version = item.filter(|item| item.is_live(now))?.version?;
        (version != self.version).then_some(version)
    }
}

/// How the edge placed the session of a request.
fn placed(visit: &Visit<'_>) -> Placed {
    let placement = match visit.route {
        Some(Route::Roll) => Placement::Drawn,
        Some(Route::Moved) => Placement::Moved,
        _ => return Placed::default(),
    };
    Placed { revision: visit.revision.unwrap_or(0), placement }
}
