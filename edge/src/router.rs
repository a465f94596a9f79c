//! From a request to its origin: reads the request, decides, and writes the decision into the request.

use std::sync::Arc;

use rand::Rng;
use stickshift_contract::{
    Claim, EDGE_FORMATS, EDGE_HEADER, HEADER_PREFIX, PLAN_TTL, Plan, REVISION_HEADER, ROUTE_HEADER, SessionCookie,
    VERSION_HEADER,
};

use crate::decide::{Decision, Incoming, PlanSource, decide};
use crate::event::Request;
use crate::look_up::{Answer, LookUp, StoredSession};
use crate::plan_cache::PlanCache;

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

/// The result of [`Router::consider`].
#[derive(Debug)]
pub enum Considered {
    /// The request can be decided at once.
    Ready(Knowledge),
    /// The request needs this look-up first.
    Needs(LookUp),
}

/// Everything that the decision of one request depends on.
#[derive(Debug)]
pub struct Knowledge {
    claim: Claim,
    session: StoredSession,
    plan: Option<Arc<Plan>>,
}

impl Knowledge {
    /// The revision of the plan that is known, if one is.
    pub fn plan_revision(&self) -> Option<u64> {
        self.plan.as_ref().map(|plan| plan.revision())
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
    pub fn first_look_up(&self, now: u64) -> LookUp {
        let (known_plan, _) = self.plan.get(self.config.plan_ttl_seconds, now);
        LookUp { token: None, is_plan_wanted: true, claim: Claim::Nothing, known_plan }
    }

    /// Reads a request and says whether it needs a look-up.
    pub fn consider(&self, request: &Request, now: u64) -> Considered {
        let timing = &self.config.cookie.timing;
        let incoming = Incoming::read(request, &self.config.cookie, now);
        let token = incoming.token_to_look_up(timing);
        // A request that needs a look-up anyway, or that begins a session, gets a fresh plan. Any other
        // request would read only the plan, so it accepts a plan as old as the receipts that decide
        // without a look-up.
        let max_age_seconds = if token.is_some() || incoming.is_new() {
            self.config.plan_ttl_seconds
        } else {
            self.config.plan_ttl_seconds.max(timing.trust_window_seconds)
        };
        let (plan, is_plan_wanted) = self.plan.get(max_age_seconds, now);
        if token.is_none() && !is_plan_wanted {
            return Considered::Ready(Knowledge { claim: incoming.claim, session: StoredSession::Unanswered, plan });
        }
        Considered::Needs(LookUp { token, is_plan_wanted, claim: incoming.claim, known_plan: plan })
    }

    /// Takes the answer to a look-up that began at `now` and took at most `limit_seconds`.
    pub fn learn(&self, look_up: LookUp, answer: Answer, now: u64, limit_seconds: u64) -> Knowledge {
        let LookUp { is_plan_wanted, claim, known_plan, .. } = look_up;
        let plan = match answer.plan {
            Some(plan) => Some(self.plan.put(plan, now)),
            None => {
                if is_plan_wanted {
                    self.plan.fail(now, limit_seconds);
                }
                known_plan
            }
        };
        Knowledge { claim, session: answer.session, plan }
    }

    /// Decides, and writes the decision into the request: the origin, the `Host` header, and the headers
    /// that tell the app which version was chosen and why. Everything else keeps its value.
    pub fn forward(&self, request: &mut Request, knowledge: &Knowledge, now: u64, rng: &mut impl Rng) -> Decision {
        let RouterConfig { cookie, bundled_plan, keep_viewer_host, .. } = &self.config;
        let source = match &knowledge.plan {
            Some(plan) => PlanSource::Table(plan),
            None => PlanSource::Bundle(bundled_plan),
        };
        let incoming = Incoming::with_claim(request, knowledge.claim);
        let decision = decide(&incoming, &knowledge.session, source, &cookie.timing, now, rng);
        if let Some(origin) = source.plan().origin(decision.version) {
            request.set_origin(origin);
            if !keep_viewer_host {
                request.headers.set("Host", origin.domain.to_string());
            }
        }
        // A viewer must not speak in the edge's name.
        request.headers.remove_prefix(HEADER_PREFIX);
        request.headers.set(VERSION_HEADER, decision.version.to_string());
        request.headers.set(ROUTE_HEADER, decision.route.to_string());
        request.headers.set(EDGE_HEADER, EDGE_FORMATS.to_owned());
        if decision.route.is_placement() {
            request.headers.set(REVISION_HEADER, source.plan().revision().to_string());
        }
        decision
    }
}
