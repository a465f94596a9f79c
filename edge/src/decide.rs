//! The decision core: from what a request says and what the table knows to a version and a reason.
//!
//! It is pure: it reads no clock, no socket and no environment.

use rand::Rng;
use stickshift_contract::{Claim, Plan, Route, SessionCookie, Timing, Token, VersionCode, is_bot};

use crate::event::Request;
use crate::look_up::StoredSession;

/// What a request says that matters for its route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incoming<'a> {
    /// The version whose assets the path names (`/_v/<version>/…`).
    pub asset: Option<VersionCode>,
    /// What the cookies claim.
    pub claim: Claim,
    /// The `User-Agent` header, by which crawlers and monitors are recognised.
    pub user_agent: &'a str,
}

/// The plan to decide by, and where it comes from.
#[derive(Debug, Clone, Copy)]
pub enum PlanSource<'a> {
    /// The plan was read from the table.
    Table(&'a Plan),
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
}

impl<'a> Incoming<'a> {
    /// Reads a request.
    pub fn read(request: &'a Request, cookie: &SessionCookie, now: u64) -> Self {
        Self::with_claim(request, cookie.read(request.headers.values("cookie").map(str::as_bytes), now))
    }

    /// Reads a request whose cookies have been read before.
    pub fn with_claim(request: &'a Request, claim: Claim) -> Self {
        let asset = request.uri.strip_prefix("/_v/").and_then(|rest| rest.split_once('/'));
        Self {
            asset: asset.and_then(|(version, _)| VersionCode::parse(version).ok()),
            claim,
            user_agent: request.headers.values("user-agent").next().unwrap_or_default(),
        }
    }

    /// The session to look up before the decision: the claimed one, unless a young receipt vouches for it.
    pub fn token_to_look_up(&self, timing: &Timing) -> Option<Token> {
        match self.claim {
            _ if self.asset.is_some() => None,
            Claim::Receipt(_, age) if age < timing.trust_window_seconds => None,
            Claim::Receipt(receipt, _) => Some(receipt.token),
            Claim::Bare(token) => Some(token),
            Claim::Nothing => None,
        }
    }

    /// Whether the request begins a new session, as far as the request alone can tell. Then the decision
    /// depends on the weights.
    pub fn is_new(&self) -> bool {
        self.asset.is_none() && self.claim == Claim::Nothing
    }
}

impl<'a> PlanSource<'a> {
    /// The plan.
    pub fn plan(self) -> &'a Plan {
        match self {
            Self::Table(plan) | Self::Bundle(plan) => plan,
        }
    }
}

/// Decides where a request goes. It draws one number from `rng` for a new session, and none otherwise.
pub fn decide(
    incoming: &Incoming<'_>,
    stored: &StoredSession,
    source: PlanSource<'_>,
    timing: &Timing,
    now: u64,
    rng: &mut impl Rng,
) -> Decision {
    let plan = source.plan();
    if let Some(version) = incoming.asset.filter(|&version| plan.serves_assets_of(version)) {
        return Decision { version, route: Route::Asset };
    }
    let session = session_in_progress(&incoming.claim, stored, timing, now);
    match (session, source) {
        (Some((_, decision)), _) if plan.keeps_sessions_of(decision.version, now) => decision,
        (None, _) if is_bot(incoming.user_agent) => Decision { version: plan.stable(), route: Route::Bot },
        // The token chooses, so all requests of a session move to the same version, in any order.
        (Some((token, _)), PlanSource::Table(plan)) => {
            Decision { version: plan.pick_again(&token), route: Route::Moved }
        }
        (None, PlanSource::Table(plan)) => Decision { version: plan.pick(rng), route: Route::Roll },
        // Not `moved`: on `moved` the app takes the session over, and an old bundle must not cause that.
        (_, PlanSource::Bundle(plan)) => Decision { version: plan.stable(), route: Route::Fallback },
    }
}

/// The session in progress, the version that it is on, and how the router knows.
fn session_in_progress(claim: &Claim, stored: &StoredSession, timing: &Timing, now: u64) -> Option<(Token, Decision)> {
    let (token, receipt, age) = match claim {
        Claim::Receipt(receipt, age) => (receipt.token, Some(receipt), *age),
        Claim::Bare(token) => (*token, None, 0),
        Claim::Nothing => return None,
    };
    if let Some(receipt) = receipt.filter(|_| age < timing.trust_window_seconds) {
        return Some((token, Decision { version: receipt.version, route: Route::Receipt }));
    }
    // An item that is older than the receipt comes from a replica that lags: the receipt proves a later
    // write.
    if let StoredSession::Found(item) = stored
        && item.is_live(now)
        && receipt.is_none_or(|receipt| item.touched >= receipt.touched)
        && let Some(version) = item.version
    {
        return Some((token, Decision { version, route: Route::Record }));
    }
    let receipt = receipt.filter(|_| age < timing.lifetime_seconds())?;
    Some((token, Decision { version: receipt.version, route: Route::Hint }))
}
