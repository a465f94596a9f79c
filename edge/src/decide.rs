//! The decision core: from what a request says and what the table knows to a version and a reason.
//!
//! Pure: it reads no clock, no socket, no environment.

use rand::Rng;
use stickshift_contract::{Claim, Plan, Route, SessionCookie, SessionItem, Timing, Token, VersionCode, is_bot};

use crate::Request;

/// What a request says that matters for its route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask<'a> {
    /// The version whose assets the path names (`/_v/<version>/…`).
    pub asset: Option<VersionCode>,
    /// What the cookies claim.
    pub claim: Claim,
    /// What the client calls itself: crawlers and monitors are told by it, where that matters.
    pub user_agent: &'a str,
}

/// What the table says of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookUp {
    /// Its item.
    Found(SessionItem),
    /// There is no item, or none that can be read.
    Absent,
    /// Nobody was asked, or nobody answered in time.
    NoAnswer,
}

/// The plan to decide by.
#[derive(Debug, Clone, Copy)]
pub enum Rollout<'a> {
    /// Read from the table.
    Known(&'a Plan),
    /// The one in the bundle, since no other was ever read. It may be old: its weights are not used, lest a version
    /// that was withdrawn since get new sessions.
    Bundled(&'a Plan),
}

/// Where a request goes, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The version; always one that the plan has.
    pub version: VersionCode,
    /// The reason.
    pub route: Route,
}

impl<'a> Ask<'a> {
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

    /// The session to look up before deciding, if any: one that no young receipt vouches for.
    pub fn token_to_look_up(&self, timing: &Timing) -> Option<Token> {
        match self.claim {
            _ if self.asset.is_some() => None,
            Claim::Receipt(_, age) if age < timing.trust_window_seconds => None,
            Claim::Receipt(receipt, _) => Some(receipt.token),
            Claim::Bare(token) => Some(token),
            Claim::Nothing => None,
        }
    }

    /// Whether the answer depends on the weights: a new session, as far as the request alone can tell.
    pub fn is_new(&self) -> bool {
        self.asset.is_none() && self.claim == Claim::Nothing
    }
}

/// Decides where a request goes. Draws one number from `rng` if a new session is rolled, none otherwise.
pub fn decide(
    ask: &Ask<'_>,
    look_up: &LookUp,
    rollout: Rollout<'_>,
    timing: &Timing,
    now: u64,
    rng: &mut impl Rng,
) -> Decision {
    let (Rollout::Known(plan) | Rollout::Bundled(plan)) = rollout;
    if let Some(version) = ask.asset.filter(|&version| plan.serves_assets_of(version)) {
        return Decision { version, route: Route::Asset };
    }
    let session = session(&ask.claim, look_up, timing, now);
    match (session, rollout) {
        (Some((_, decision)), _) if plan.keeps_sessions_of(decision.version, now) => decision,
        (None, _) if is_bot(ask.user_agent) => Decision { version: plan.stable(), route: Route::Bot },
        // All requests of a session move to the same version, in whichever order they come.
        (Some((token, _)), Rollout::Known(plan)) => Decision { version: plan.pick_again(&token), route: Route::Moved },
        (None, Rollout::Known(plan)) => Decision { version: plan.pick(rng), route: Route::Roll },
        // Not `moved` either: on that word the app takes the session over, and an old bundle must not cause that.
        (_, Rollout::Bundled(plan)) => Decision { version: plan.stable(), route: Route::Fallback },
    }
}

/// A session in progress, the version that it is on, and how that is known.
fn session(claim: &Claim, look_up: &LookUp, timing: &Timing, now: u64) -> Option<(Token, Decision)> {
    let (token, receipt, age) = match claim {
        Claim::Receipt(receipt, age) => (receipt.token, Some(receipt), *age),
        Claim::Bare(token) => (*token, None, 0),
        Claim::Nothing => return None,
    };
    if let Some(receipt) = receipt.filter(|_| age < timing.trust_window_seconds) {
        return Some((token, Decision { version: receipt.version, route: Route::Receipt }));
    }
    // An item older than the receipt is a replica that lags behind: the viewer holds the proof of a later write.
    if let LookUp::Found(item) = look_up
        && item.is_live(now)
        && receipt.is_none_or(|receipt| item.touched >= receipt.touched)
        && let Some(version) = item.version
    {
        return Some((token, Decision { version, route: Route::Record }));
    }
    let receipt = receipt.filter(|_| age < timing.lifetime_seconds())?;
    Some((token, Decision { version: receipt.version, route: Route::Hint }))
}
