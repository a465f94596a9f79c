//! The decision core: from what a request says and what the table knows to a version and a reason.
//!
//! It is pure: it reads no clock, no socket and no environment.

use rand::Rng;
use stickshift_contract::{
    ASSET_PREFIX, Claim, Kind, KindInputs, PASS_HEADER, Plan, Receipt, Route, SameSite, SessionCookie, Timing, Token,
    VersionCode, is_bot,
};

use crate::event::Request;
use crate::look_up::StoredSession;

/// What a request says that matters for its route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incoming {
    /// The version whose assets the path names (`/_v/<version>/…`).
    pub asset: Option<VersionCode>,
    /// The version that a valid pass names.
    pub pass: Option<VersionCode>,
    /// What the cookies claim.
    pub claim: Claim,
    /// What the request may do to a session.
    pub kind: Kind,
    /// Whether a crawler or a monitor sent it.
    pub is_bot: bool,
}

/// The plan to decide by, and where it comes from.
#[derive(Debug, Clone, Copy)]
pub enum PlanSource<'a> {
    /// The plan was read from the table.
    Table {
        /// The plan.
        plan: &'a Plan,
        /// Whether it was read a short time ago. Otherwise the edge may be cut off, and the end of a drain
        /// does not count.
        is_fresh: bool,
    },
    /// The plan of the bundle, because none was ever read from the table. It may be old, so its weights
    /// are not used: a version that was withdrawn since must not get new sessions.
    Bundle(&'a Plan),
}

/// Where a request goes, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The version. The plan has it.
    pub version: VersionCode,
    /// The reason.
    pub route: Route,
    /// The version that the session left, on `moved`.
    pub from: Option<VersionCode>,
}

/// A session in progress.
struct InProgress {
    token: Token,
    version: VersionCode,
    route: Route,
}

impl Incoming {
    /// The headers that [`Incoming::read`] reads, in lower case. The function need not hand over others.
    pub const HEADERS: [&str; 7] = [
        "cloudfront-forwarded-proto",
        "cookie",
        "sec-fetch-dest",
        "accept",
        "sec-websocket-key",
        "user-agent",
        PASS_HEADER,
    ];

    /// Reads a request.
    pub fn read(request: &Request, cookie: &SessionCookie, now: u64) -> Self {
        let [_, cookies, fetch_destination, accept, websocket_key, user_agent, pass] = Self::HEADERS;
        let header = |name| request.headers.values(name).next();
        let is_https = is_https(request);
        let cookies = request.headers.values(cookies).map(str::as_bytes);
        let claim = cookie.read(cookies.clone(), now, is_https);
        let by_header = header(pass).and_then(|pass| cookie.keys.as_ref()?.passes().verify(pass, now));
        let pass = by_header.or_else(|| cookie.read_pass(cookies, now, is_https)).map(|pass| pass.version);
        let is_bot = header(user_agent).is_some_and(|name| is_bot(name.as_bytes()));
        let inputs = KindInputs {
            method: &request.method,
            path: &request.uri,
            fetch_destination: header(fetch_destination),
            accept: header(accept),
            is_websocket: header(websocket_key).is_some(),
            is_bot,
        };
        let kind = Kind::of(&inputs, cookie.same_site == SameSite::None);
        let is_read = matches!(request.method.as_str(), "GET" | "HEAD");
        let asset = request.uri.strip_prefix(ASSET_PREFIX).filter(|_| is_read).and_then(|rest| rest.split_once('/'));
        let asset = asset.and_then(|(version, _)| VersionCode::parse(version).ok());
        Self { asset, pass, claim, kind, is_bot }
    }

    /// Whether the decision depends on a session's item that the router has not asked for yet.
    pub fn needs_session(&self, source: PlanSource<'_>, timing: &Timing, now: u64) -> bool {
        let plan = source.plan();
        let has_asset = self.asset.is_some_and(|version| plan.is_open(version));
        if has_asset || self.pass.is_some_and(|version| plan.is_open(version)) {
            return false;
        }
        match &self.claim {
            Claim::Receipt(receipt) => {
                // Before the edge moves a session, it looks the session up: another tab may have moved it.
                let is_move = !source.keeps(receipt.version, now) && !source.is_older_than(receipt.placed.revision);
                !is_trusted(receipt, plan, timing, now) || is_move
            }
            Claim::Bare(_) => true,
            Claim::Nothing => false,
        }
    }

    /// The revision of the plan under which the session was placed last, by its receipt or its live item.
    pub(crate) fn placed_under(&self, stored: &StoredSession, now: u64) -> u64 {
        let by_receipt = match &self.claim {
            Claim::Receipt(receipt) => receipt.placed.revision,
            Claim::Bare(_) | Claim::Nothing => 0,
        };
        match stored {
            StoredSession::Found(item) if item.is_live(now) => by_receipt.max(item.revision),
            _ => by_receipt,
        }
    }

    /// Whether the decision wants a plan that is younger than its TTL. A new session depends on the weights, and a
    /// version that somebody has a pass to may be new in the plan.
    pub fn wants_young_plan(&self) -> bool {
        let is_new = self.claim == Claim::Nothing && self.kind == Kind::Document;
        self.asset.is_none() && (is_new || self.pass.is_some())
    }
}

/// Whether the viewer came by HTTPS, as CloudFront says.
pub(crate) fn is_https(request: &Request) -> bool {
    request.headers.values(Incoming::HEADERS[0]).next() == Some("https")
}

impl<'a> PlanSource<'a> {
    /// The plan.
    pub fn plan(self) -> &'a Plan {
        match self {
            Self::Table { plan, .. } | Self::Bundle(plan) => plan,
        }
    }

    /// Whether the plan is older than the one under which a session was placed. Then this plan must not move
    /// the session.
    pub fn is_older_than(self, revision: u64) -> bool {
        matches!(self, Self::Table { plan, .. } if plan.revision() < revision)
    }

    /// Whether a session in progress on `version` may go on there.
    fn keeps(self, version: VersionCode, now: u64) -> bool {
        let now = match self {
            Self::Table { is_fresh: true, .. } => Some(now),
            Self::Table { is_fresh: false, .. } | Self::Bundle(_) => None,
        };
        self.plan().keeps_sessions_of(version, now)
    }
}

/// Decides where a request goes. It draws one number from `rng` for a new session, and none otherwise.
pub fn decide(
    incoming: &Incoming,
    stored: &StoredSession,
    source: PlanSource<'_>,
    timing: &Timing,
    now: u64,
    rng: &mut impl Rng,
) -> Decision {
    let plan = source.plan();
    let to = |version, route| Decision { version, route, from: None };
    if let Some(version) = incoming.asset.filter(|&version| plan.is_open(version)) {
        return to(version, Route::Asset);
    }
    if let Some(version) = incoming.pass.filter(|&version| plan.is_open(version)) {
        return to(version, Route::Pass);
    }
    let Some(session) = session_in_progress(&incoming.claim, stored, plan, timing, now) else {
        // Only an answer ends a session. The app looks the token up itself.
        let is_unanswered = matches!(incoming.claim, Claim::Bare(_)) && *stored == StoredSession::Unanswered;
        return match source {
            _ if is_unanswered => to(plan.stable(), Route::Fallback),
            PlanSource::Table { plan, .. } if incoming.kind == Kind::Document => to(plan.pick(rng), Route::Roll),
            PlanSource::Bundle(plan) if incoming.kind == Kind::Document => to(plan.stable(), Route::Fallback),
            _ if incoming.is_bot => to(plan.stable(), Route::Bot),
            _ => to(plan.stable(), Route::Stray),
        };
    };
    let InProgress { token, version, route } = session;
    if source.keeps(version, now) {
        return to(version, route);
    }
    if source.is_older_than(incoming.placed_under(stored, now)) {
        // A later plan has placed the session there, so an older plan moves nobody. A version that the older
        // plan does not have cannot be reached.
        return match plan.origin(version) {
            Some(_) => to(version, Route::Hint),
            None => to(plan.stable(), Route::Fallback),
        };
    }
    match source {
        // The token chooses, so all requests of a session move to the same version, in any order.
        PlanSource::Table { plan, .. } => {
            Decision { version: plan.pick_again(&token), route: Route::Moved, from: Some(version) }
        }
        // Not `moved`: on `moved` the app takes the session over, and an old bundle must not cause that.
        PlanSource::Bundle(plan) => to(plan.stable(), Route::Fallback),
    }
}

/// The session in progress, and how the router knows.
fn session_in_progress(
    claim: &Claim,
    stored: &StoredSession,
    plan: &Plan,
    timing: &Timing,
    now: u64,
) -> Option<InProgress> {
    let receipt = match claim {
        Claim::Receipt(receipt) => Some(receipt),
        Claim::Bare(_) => None,
        Claim::Nothing => return None,
    };
    // An item that is ordered before the receipt comes from a replica that lags: the receipt proves a later write. But
    // a receipt past its lifetime proves no more than a bare token: since then, somebody has renewed the item.
    let proof = receipt.filter(|receipt| timing.is_within_lifetime(receipt, now));
    if let StoredSession::Found(item) = stored
        && item.is_live(now)
        && !timing.is_past_end(item.started, now)
        && proof.is_none_or(|receipt| item.order() >= receipt.order())
        && let Some(version) = item.version
    {
        return Some(InProgress { token: item.token, version, route: Route::Record });
    }
    let receipt = receipt?;
    let is_answered = matches!(stored, StoredSession::Found(_) | StoredSession::Absent);
    let route = if *stored == StoredSession::Unasked && is_trusted(receipt, plan, timing, now) {
        Route::Receipt
    } else if !is_answered || proof.is_some() {
        Route::Hint
    } else {
        return None;
    };
    Some(InProgress { token: receipt.token, version: receipt.version, route })
}

/// Whether a receipt decides without a look-up: it is young, and not from before its version was withdrawn.
fn is_trusted(receipt: &Receipt, plan: &Plan, timing: &Timing, now: u64) -> bool {
    timing.is_trusted(receipt, now)
        && !plan.may_be_from_before_withdrawal(receipt.version, receipt.touched, timing.clock_allowance_seconds)
}
