//! From a request to its origin: reads the request, decides, and writes the decision into the request.

use rand::Rng;
use stickshift_contract::{
    Claim, EDGE_HEADER, FORMATS, FROM_HEADER, HEADER_PREFIX, Kind, PLAN_TTL, Plan, REVISION_HEADER, ROUTE_HEADER,
    SessionCookie, Token, VERSION_HEADER,
};

use crate::decide::{Decision, Incoming, PlanSource, decide, is_https};
use crate::event::Request;
use crate::look_up::{Answer, Known, LookUp, StoredSession};
use crate::plan_cache::{CachedPlan, PlanCache};
use crate::redeem::Redirect;

/// What a router depends on.
#[derive(Debug, Clone)]
pub struct RouterConfig {
    /// How the session cookie is read. The app must read it in the same way.
    pub cookie: SessionCookie,
    /// Whether the `Host` header keeps its value when the origin changes. Default: no. Some apps need the
    /// viewer's host; the origin request policy must forward it then.
    pub keep_viewer_host: bool,
    /// See [`PLAN_TTL`].
    pub plan_ttl_seconds: u64,
    /// The plan to use until one was read from the table; see [`PlanSource::Bundle`].
    pub bundled_plan: Plan,
}

/// The router. A function instance has one for its whole life.
#[derive(Debug)]
pub struct Router {
    config: RouterConfig,
    plan: PlanCache,
}

/// The result of [`Router::consider`] and [`Router::learn`].
#[derive(Debug)]
pub enum Considered {
    /// The request can be decided at once.
    Ready(Knowledge),
    /// The request needs this look-up first.
    Needs(LookUp),
}

/// Everything that the decision of one request depends on.
#[derive(Debug)]
pub struct Knowledge(Known);

impl Knowledge {
    /// The revision of the plan that is known, if one is.
    pub fn plan_revision(&self) -> Option<u64> {
        self.0.plan.as_ref().map(|plan| plan.revision())
    }
}

impl RouterConfig {
    /// A configuration with the default intervals.
    pub fn new(cookie: SessionCookie, bundled_plan: Plan) -> Self {
        Self { cookie, keep_viewer_host: false, plan_ttl_seconds: PLAN_TTL.default, bundled_plan }
    }
}

impl Router {
    /// A router that has not read a plan yet.
    pub fn new(config: RouterConfig) -> Self {
        Self { config, plan: PlanCache::default() }
    }

    /// Takes over a plan that the caller has just read from the table.
    pub fn adopt(&self, plan: Plan, now: u64) {
        self.plan.put(plan, now);
    }

    /// The look-up that reads the plan, for the time before the first request. [`Router::learn`] takes its
    /// answer.
    pub fn first_look_up(&self) -> LookUp {
        let incoming = Incoming { asset: None, pass: None, claim: Claim::Nothing, kind: Kind::Rest, is_bot: false };
        let session = StoredSession::Unasked;
        let known = Known { incoming, session, plan: None, plan_read_at: 0, has_read_plan: true };
        LookUp { tokens: Vec::new(), is_plan_wanted: true, known }
    }

    /// Reads a request.
    pub fn read(&self, request: &Request, now: u64) -> Incoming {
        Incoming::read(request, &self.config.cookie, now)
    }

    /// The answer that the edge itself gives, if the request is a link to a version; then nothing else is to be done
    /// with it.
    pub fn redeem(&self, request: &Request, now: u64) -> Option<Redirect> {
        Redirect::for_link(request, &self.config.cookie, now, is_https(request))
    }

    /// Says whether a request needs a look-up.
    pub fn consider(&self, incoming: Incoming, now: u64) -> Considered {
        let CachedPlan { plan, read_at, is_read_due } =
            self.plan.get(self.config.plan_ttl_seconds, incoming.wants_young_plan(), now);
        let session = StoredSession::Unasked;
        let known = Known { incoming, session, plan, plan_read_at: read_at, has_read_plan: false };
        if !is_read_due {
            return self.next_look_up(known, now);
        }
        // The plan must be read. A session that the old plan would look up is read in the same call.
        let tokens = if incoming.needs_session(self.source(&known, now), &self.config.cookie.timing, now) {
            tokens(&incoming.claim)
        } else {
            Vec::new()
        };
        Considered::Needs(LookUp { tokens, is_plan_wanted: true, known })
    }

    /// Whether the cached plan is younger than its TTL. A caller that has waited for another caller's read
    /// need not read it again then.
    pub fn has_fresh_plan(&self, now: u64) -> bool {
        self.plan.younger_than(self.config.plan_ttl_seconds, now).is_some()
    }

    /// Whether callers share a read of the plan: with a TTL of 0 each one wants its own.
    pub fn shares_plan_reads(&self) -> bool {
        self.config.plan_ttl_seconds > 0
    }

    /// Whether the plan may be read now: the last read has not just failed.
    pub fn may_read_plan(&self, now: u64) -> bool {
        self.plan.may_read(now)
    }

    /// Takes the answer to a look-up that began at `now` and took at most `limit_seconds`. It says whether
    /// the request needs another look-up: what the plan says may make one necessary.
    pub fn learn(&self, look_up: LookUp, answer: Answer, now: u64, limit_seconds: u64) -> Considered {
        let LookUp { tokens, is_plan_wanted, mut known } = look_up;
        if is_plan_wanted {
            known.has_read_plan = true;
            if !answer.plan.is_some_and(|plan| self.plan.put(plan, now)) {
                self.plan.fail(now, limit_seconds);
            }
            self.refresh(&mut known, now);
        }
        if !tokens.is_empty() {
            known.session = answer.session;
        }
        self.next_look_up(known, now)
    }

    /// Goes on with the plan that is known now, because another caller has just tried to read it.
    pub fn use_known_plan(&self, look_up: LookUp, now: u64) -> Considered {
        let mut known = look_up.known;
        known.has_read_plan = true;
        self.refresh(&mut known, now);
        self.next_look_up(known, now)
    }

    fn refresh(&self, known: &mut Known, now: u64) {
        let CachedPlan { plan, read_at, .. } = self.plan.get(self.config.plan_ttl_seconds, false, now);
        (known.plan, known.plan_read_at) = (plan, read_at);
    }

    /// Decides where the request goes.
    pub fn decide(&self, knowledge: &Knowledge, now: u64, rng: &mut impl Rng) -> Decision {
        let Knowledge(known) = knowledge;
        decide(&known.incoming, &known.session, self.source(known, now), &self.config.cookie.timing, now, rng)
    }

    /// Decides, and writes the decision into the request: the origin, the `Host` header, and the headers
    /// that tell the app which version was chosen and why. Everything else keeps its value.
    pub fn forward(&self, request: &mut Request, knowledge: &Knowledge, now: u64, rng: &mut impl Rng) -> Decision {
        let source = self.source(&knowledge.0, now);
        let decision = self.decide(knowledge, now, rng);
        if let Some(origin) = source.plan().origin(decision.version) {
            request.set_origin(origin);
            if !self.config.keep_viewer_host {
                request.headers.set("Host", origin.domain.to_string());
            }
        }
        // A viewer must not speak in the edge's name.
        request.headers.remove_prefix(HEADER_PREFIX);
        request.headers.set(VERSION_HEADER, decision.version.to_string());
        request.headers.set(ROUTE_HEADER, decision.route.to_string());
        request.headers.set(EDGE_HEADER, FORMATS.to_owned());
        if decision.route.is_placement() {
            request.headers.set(REVISION_HEADER, source.plan().revision().to_string());
        }
        if let Some(from) = decision.from {
            request.headers.set(FROM_HEADER, from.to_string());
        }
        decision
    }

    /// The look-up that a request still needs with what is known.
    fn next_look_up(&self, known: Known, now: u64) -> Considered {
        let incoming = &known.incoming;
        let source = self.source(&known, now);
        // A plan that is older than the session's placement is read again first.
        let is_plan_wanted = incoming.asset.is_none()
            && !known.has_read_plan
            && source.is_older_than(incoming.placed_under(&known.session, now))
            && self.plan.may_read(now);
        let needs_session =
            known.session == StoredSession::Unasked && incoming.needs_session(source, &self.config.cookie.timing, now);
        if !is_plan_wanted && !needs_session {
            return Considered::Ready(Knowledge(known));
        }
        let tokens = if needs_session { tokens(&known.incoming.claim) } else { Vec::new() };
        // The plan comes along with a session when it is due.
        let is_plan_wanted = is_plan_wanted
            || (!known.has_read_plan && self.plan.get(self.config.plan_ttl_seconds, true, now).is_read_due);
        Considered::Needs(LookUp { tokens, is_plan_wanted, known })
    }

    fn source<'a>(&'a self, known: &'a Known, now: u64) -> PlanSource<'a> {
        match &known.plan {
            Some(plan) => {
                // Requests accept a plan up to twice its TTL old. A second more is for the read itself.
                let max_age = 2 * self.config.plan_ttl_seconds + 1;
                PlanSource::Table { plan, is_fresh: now.abs_diff(known.plan_read_at) < max_age }
            }
            None => PlanSource::Bundle(&self.config.bundled_plan),
        }
    }
}

/// The tokens that a claim names.
fn tokens(claim: &Claim) -> Vec<Token> {
    match claim {
        Claim::Receipt(receipt) => vec![receipt.token],
        Claim::Bare(tokens) => tokens.iter().collect(),
        Claim::Nothing => Vec::new(),
    }
}
