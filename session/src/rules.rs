//! The rules: how a request's claim becomes its session, and which writes that needs.

use rand::CryptoRng;
use stickshift_contract::{BareTokens, Claim, Kind, Placed, Placement, Receipt, Route, Timing, Token, VersionCode};

use crate::guard::Guard;
use crate::write::{Change, Claimed, Stored, Written};

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
pub struct Visit {
    /// What the cookies claim.
    pub claim: Claim,
    /// What the request may do to a session.
    pub kind: Kind,
    /// The edge's reason; `None` if the request did not come through the edge.
    pub route: Option<Route>,
    /// The version that the edge chose.
    pub chosen: Option<VersionCode>,
    /// The revision of the plan that placed the session: the edge sends it on `roll` and `moved`.
    pub revision: Option<u64>,
    /// The version that a moved session left: the edge sends it on `moved`.
    pub from: Option<VersionCode>,
    /// Whether the app has a step of its activity to write. Then a session on this version is written even if its
    /// receipt is young.
    pub is_step: bool,
}

/// The next thing to do for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing is left to do before the app answers: this is the session.
    Done(Session),
    /// Do the write of [`Pending::write`], then call [`Rules::resume`]. Boxed, because most requests need no
    /// write.
    Write(Box<Pending>),
}

/// A write to one session's item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// The session, and what claims it.
    pub claimed: Claimed,
    /// The item's new `expiration`, in Unix seconds.
    pub expiration: u64,
    /// When the write may happen.
    pub guard: Guard,
    /// What it changes.
    pub change: Change,
}

impl Write {
    /// If this write, which ended so, was the session's first one after the second of its begin: how the session came
    /// to its version.
    pub fn first_renewal(&self, written: &Written) -> Option<Placed> {
        let Written::Done { started, placed, last_visit } = written else { return None };
        // The write of the begin may have failed: then only the receipt knows of it.
        let last_visit = last_visit.unwrap_or(self.claimed.order.1);
        let is_later = self.claimed.receipt.touched > *started;
        (self.change == Change::Renew && last_visit == *started && is_later).then_some(*placed)
    }
}

/// The session of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// The session is on this version.
    Here {
        /// The session's receipt.
        receipt: Receipt,
        /// Whether the receipt was issued for this request, so that a cookie must go out.
        is_new: bool,
    },
    /// The session begins with this request. It is written when the status of the answer is known, and not
    /// if that is a 5xx: then the viewer's next try is drawn again.
    New(Receipt),
    /// The session is on another version. This request leaves it there.
    Elsewhere {
        /// The session.
        token: Token,
        /// The version that it is on.
        version: VersionCode,
    },
    /// The table did not answer, so it is unknown whether there is a session.
    Unknown,
    /// The request has no session and begins none.
    Absent,
    /// The edge sent the request to another version than this one: an origin in the plan is wrong.
    Misdirected,
    /// The session could not be written, and without keys no receipt can stand in for it. The app must
    /// answer with an error and without a cookie.
    Unwritten,
}

/// A write to do, and what [`Rules::resume`] needs to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// The write.
    pub write: Write,
    now: u64,
    attempt: Attempt,
}

/// What a write tries, and what follows if the guard refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    /// A new session.
    Begin,
    /// A session that a receipt claims, on this version. `takeover` is tried next, if the item admits it.
    ByReceipt { takeover: Option<Guard> },
    /// A session that a bare token claims, on this version. Then `takeover` is tried, then the other
    /// tokens, with a takeover if the edge `moves` the session. `begins` is the placement of a new session,
    /// if the request may begin one.
    ByToken { takeover: Option<Guard>, moves: bool, others: Option<BareTokens>, begins: Option<Placed> },
    /// An extension of a session on another version. Its result does not matter.
    Extend { version: VersionCode },
}

impl Rules {
    /// Decides what a request does to its session, before the app answers.
    pub fn enter(&self, visit: &Visit, now: u64, rng: &mut impl CryptoRng) -> Step {
        if visit.chosen.is_some_and(|chosen| chosen != self.version) {
            return Step::Done(Session::Misdirected);
        }
        let is_roll = visit.route == Some(Route::Roll);
        match visit.claim {
            _ if visit.kind == Kind::Rest || matches!(visit.route, Some(Route::Asset | Route::Stray)) => {
                Step::Done(self.seen(visit.claim, now))
            }
            // The edge found no session, whatever the cookie says.
            _ if is_roll && self.has_keys => self.begin_or_nothing(self.begins(visit), now, rng),
            // A pass to another version than before begins another session.
            Claim::Receipt(receipt) if visit.route == Some(Route::Pass) && receipt.version != self.version => {
                self.begin_or_nothing(self.begins(visit), now, rng)
            }
            Claim::Receipt(receipt) if self.timing.is_within_lifetime(&receipt, now) => {
                self.enter_by_receipt(visit, receipt, now)
            }
            // An old receipt of another version may still belong to a session. With these reasons, no table
            // has said otherwise.
            Claim::Receipt(receipt)
                if receipt.version != self.version
                    && matches!(visit.route, Some(Route::Fallback | Route::Hint | Route::Receipt)) =>
            {
                Step::Done(Session::Elsewhere { token: receipt.token, version: receipt.version })
            }
            // A receipt past its lifetime proves no more than a bare token.
            Claim::Receipt(receipt) => {
                let from = visit.from.or((receipt.version != self.version).then_some(receipt.version));
                self.try_token(visit, receipt.token, None, from, now)
            }
            Claim::Bare(tokens) => {
                let (token, others) = tokens.split_first();
                self.try_token(visit, token, others, visit.from, now)
            }
            Claim::Nothing => self.begin_or_nothing(self.begins(visit), now, rng),
        }
    }

    /// Decides what follows from a write.
    pub fn resume(&self, pending: Pending, written: Written, rng: &mut impl CryptoRng) -> Step {
        let Pending { write: Write { claimed, guard, .. }, now, attempt } = pending;
        let Claimed { receipt, .. } = claimed;
        match (written, attempt) {
            (_, Attempt::Extend { version }) => Step::Done(Session::Elsewhere { token: receipt.token, version }),
            (Written::Done { started, placed, .. }, attempt) => {
                if self.timing.is_past_end(started, now) {
                    return self.over(claimed, attempt, now, rng);
                }
                Step::Done(Session::Here { receipt: Receipt { started, placed, ..receipt }, is_new: true })
            }
            (Written::Failed, _) if !self.has_keys => Step::Done(Session::Unwritten),
            (Written::Failed, Attempt::ByToken { .. }) => Step::Done(Session::Unknown),
            (Written::Failed, Attempt::Begin | Attempt::ByReceipt { .. }) => {
                Step::Done(Session::Here { receipt, is_new: true })
            }
            (Written::Refused(Stored::Unreadable), _) => Step::Done(Session::Unknown),
            (Written::Refused(stored), attempt) => self.refused(claimed, guard, attempt, &stored, now, rng),
        }
    }

    /// The write of a new session, for when the status of the answer is known.
    pub fn begin(&self, receipt: Receipt) -> Pending {
        let claimed = Claimed { receipt, order: (0, 0), from: None };
        self.pending(claimed, Guard::Begin, Change::Put, Attempt::Begin, receipt.touched)
    }

    /// What a request without any effect sees of its session.
    fn seen(&self, claim: Claim, now: u64) -> Session {
        match claim {
            Claim::Receipt(receipt) if !self.timing.is_within_lifetime(&receipt, now) => Session::Absent,
            Claim::Receipt(receipt) if receipt.version == self.version => Session::Here { receipt, is_new: false },
            Claim::Receipt(Receipt { token, version, .. }) => Session::Elsewhere { token, version },
            Claim::Bare(_) | Claim::Nothing => Session::Absent,
        }
    }

    /// Decides for a receipt that is within its lifetime.
    fn enter_by_receipt(&self, visit: &Visit, receipt: Receipt, now: u64) -> Step {
        let is_ours = receipt.version == self.version;
        let takeover = match visit.route {
            Some(Route::Moved) => Some(Guard::Move),
            // The edge has seen an item that is newer than the receipt and names this version.
            Some(Route::Record) if !is_ours => None,
            _ if is_ours && (visit.is_step || self.timing.is_due(&receipt, now)) => Some(Guard::Reclaim),
            _ if is_ours => return Step::Done(Session::Here { receipt, is_new: false }),
            _ => return Step::Done(Session::Elsewhere { token: receipt.token, version: receipt.version }),
        };
        let placed = if visit.route == Some(Route::Moved) { placed_by_edge(visit) } else { receipt.placed };
        let claimed = Claimed {
            receipt: Receipt { version: self.version, touched: now, placed, ..receipt },
            order: receipt.order(),
            from: visit.from.or(Some(receipt.version)),
        };
        self.step(claimed, Guard::Renew, Change::Renew, Attempt::ByReceipt { takeover }, now)
    }

    /// Tries a token that has no valid receipt.
    fn try_token(
        &self,
        visit: &Visit,
        token: Token,
        others: Option<BareTokens>,
        from: Option<VersionCode>,
        now: u64,
    ) -> Step {
        let is_moved = visit.route == Some(Route::Moved);
        let placed = if is_moved { placed_by_edge(visit) } else { Placed::default() };
        let receipt = Receipt { token, version: self.version, placed, started: now, touched: now };
        let takeover = is_moved.then_some(Guard::MoveByToken);
        let attempt = Attempt::ByToken { takeover, moves: is_moved, others, begins: self.begins(visit) };
        let claimed = Claimed { receipt, order: (0, 0), from };
        self.step(claimed, Guard::RenewByToken, Change::Renew, attempt, now)
    }

    /// Decides after a guard refused a write.
    fn refused(
        &self,
        claimed: Claimed,
        guard: Guard,
        attempt: Attempt,
        stored: &Stored,
        now: u64,
        rng: &mut impl CryptoRng,
    ) -> Step {
        let Claimed { receipt, .. } = claimed;
        let item = match stored {
            Stored::Item(item) => Some(item),
            Stored::Absent | Stored::Unreadable => None,
        };
        if let (Attempt::Begin, Some(item)) = (attempt, item) {
            // The token was made for this session, so an earlier attempt of this very write has arrived.
            let is_ours = item.version == Some(self.version) && item.started == receipt.started;
            return Step::Done(if is_ours { Session::Here { receipt, is_new: true } } else { Session::Absent });
        }
        let (takeover, tried) = match attempt {
            Attempt::ByReceipt { takeover } => (takeover, Attempt::ByReceipt { takeover: None }),
            Attempt::ByToken { takeover, moves, others, begins } => {
                (takeover, Attempt::ByToken { takeover: None, moves, others, begins })
            }
            Attempt::Begin | Attempt::Extend { .. } => (None, attempt),
        };
        if let Some(guard) = takeover.filter(|guard| guard.admits(item, &claimed)) {
            return self.step(claimed, guard, Change::Place, tried, now);
        }
        let is_here = item.is_some_and(|item| item.version == Some(self.version));
        match guard {
            // Another request of this session was faster: the session is on this version by now.
            Guard::Reclaim | Guard::Move if is_here => {
                return self.step(claimed, Guard::Renew, Change::Renew, tried, now);
            }
            Guard::MoveByToken if is_here => {
                return self.step(claimed, Guard::RenewByToken, Change::Renew, tried, now);
            }
            _ => {}
        }
        let other = item.and_then(|item| item.version).filter(|version| *version != self.version);
        match (other, attempt) {
            // The viewer was there, so the session is extended, whichever version it is on.
            (Some(version), _) if item.is_some_and(|item| item.is_live(now)) => {
                self.step(claimed, Guard::Extend, Change::Extend, Attempt::Extend { version }, now)
            }
            (Some(version), Attempt::ByReceipt { .. }) => {
                Step::Done(Session::Elsewhere { token: receipt.token, version })
            }
            _ => self.over(claimed, attempt, now, rng),
        }
    }

    /// The claimed session is over, or there never was one. The next token is tried; the claimed one is not
    /// adopted.
    fn over(&self, claimed: Claimed, attempt: Attempt, now: u64, rng: &mut impl CryptoRng) -> Step {
        match attempt {
            Attempt::ByToken { moves, others: Some(others), begins, .. } => {
                let (token, others) = others.split_first();
                let claimed = Claimed { receipt: Receipt { token, ..claimed.receipt }, ..claimed };
                let takeover = moves.then_some(Guard::MoveByToken);
                let attempt = Attempt::ByToken { takeover, moves, others, begins };
                self.step(claimed, Guard::RenewByToken, Change::Renew, attempt, now)
            }
            Attempt::ByToken { others: None, begins, .. } => self.begin_or_nothing(begins, now, rng),
            Attempt::Begin | Attempt::ByReceipt { .. } | Attempt::Extend { .. } => Step::Done(Session::Absent),
        }
    }

    /// The placement of the session that a request may begin, if it may begin one.
    fn begins(&self, visit: &Visit) -> Option<Placed> {
        let may_begin = visit.kind == Kind::Document
            && matches!(visit.route, None | Some(Route::Roll | Route::Pass | Route::Fallback));
        may_begin.then(|| placed_by_edge(visit))
    }

    fn begin_or_nothing(&self, begins: Option<Placed>, now: u64, rng: &mut impl CryptoRng) -> Step {
        let Some(placed) = begins else { return Step::Done(Session::Absent) };
        let token = Token::generate(rng);
        Step::Done(Session::New(Receipt { token, version: self.version, placed, started: now, touched: now }))
    }

    fn step(&self, claimed: Claimed, guard: Guard, change: Change, attempt: Attempt, now: u64) -> Step {
        Step::Write(Box::new(self.pending(claimed, guard, change, attempt, now)))
    }

    fn pending(&self, claimed: Claimed, guard: Guard, change: Change, attempt: Attempt, now: u64) -> Pending {
        let expiration = now + self.timing.lifetime_seconds();
        Pending { write: Write { claimed, expiration, guard, change }, now, attempt }
    }
}

/// How the edge placed the session of a request.
fn placed_by_edge(visit: &Visit) -> Placed {
    let placement = match visit.route {
        Some(Route::Roll) => Placement::Drawn,
        Some(Route::Moved) => Placement::Moved,
        _ => return Placed::default(),
    };
    Placed { revision: visit.revision.unwrap_or(0), placement }
}
