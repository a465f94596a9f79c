//! From a request to its origin: reads, looks up, decides and writes the answer into the request.

use std::sync::Arc;

use rand::Rng;
use stickshift_contract::{Claim, Plan, ROUTE_HEADER, SessionCookie, Token, VERSION_HEADER};

use crate::plan_cache::PlanCache;
use crate::replicas::Answer;
use crate::{Ask, Decision, LookUp, Replicas, Request, Rollout, decide};

/// What a router goes by.
#[derive(Debug, Clone)]
pub struct RouterConfig {
    /// How the session cookie is read. The app's must be the same.
    pub cookie: SessionCookie,
    /// Whether the `Host` header stays as it is when the origin changes: for apps that rely on the viewer's, where the
    /// origin request policy forwards it. Default no.
    pub keep_viewer_host: bool,
    /// Seconds after which the plan is read again; 0 reads it for every new session.
    /// 0 to [`RouterConfig::PLAN_TTL_SECONDS_MAX`], default [`RouterConfig::PLAN_TTL_SECONDS`].
    pub plan_ttl_seconds: u64,
    /// The origins to use until the plan was read once; see [`Rollout::Bundled`].
    pub bundled_plan: Plan,
}

impl RouterConfig {
    /// Seconds after which the plan is read again, unless set otherwise.
    pub const PLAN_TTL_SECONDS: u64 = 5;
    /// The most that `plan_ttl_seconds` may be.
    pub const PLAN_TTL_SECONDS_MAX: u64 = 3600;
}

/// The router: one for the life of a function instance.
#[derive(Debug)]
pub struct Router {
    config: RouterConfig,
    replicas: Replicas,
    plan: PlanCache,
}

impl Router {
    /// A router that has not read the plan yet; see [`Router::warm`].
    pub fn new(config: RouterConfig, replicas: Replicas) -> Self {
        Self { config, replicas, plan: PlanCache::default() }
    }

    /// Takes over a plan that the caller has just read from the table, as if the router had.
    pub fn learn(&self, plan: Plan, now: u64) {
        self.plan.put(plan, now);
    }

    /// Reads the plan ahead of the first request, and opens the connection on the way. Never fails: a plan that cannot
    /// be read now is read later. Returns the one now known.
    pub async fn warm(&self, now: u64) -> Option<Arc<Plan>> {
        let (known, _) = self.plan.get(self.config.plan_ttl_seconds, now);
        self.ask(Question { claim: Claim::Nothing, token: None, is_plan_wanted: true, known }, now).await.plan
    }

    /// Sends a request to its origin: asks where [`Router::known`] is not enough, and [`Router::settle`] does the rest.
    pub async fn route(&self, request: &mut Request, now: u64, rng: &mut impl Rng) -> Decision {
        let knowledge = match self.known(request, now) {
            Known::Enough(knowledge) => knowledge,
            Known::Lacking(question) => self.ask(question, now).await,
        };
        self.settle(request, &knowledge, now, rng)
    }

    /// What is known of a request without asking anyone.
    pub fn known(&self, request: &Request, now: u64) -> Known {
        let timing = &self.config.cookie.timing;
        let ask = Ask::read(request, &self.config.cookie, now);
        let token = ask.token_to_look_up(timing);
        // Who is new, or looked up anyway, gets a fresh plan. Whom a receipt or a path speaks for would be asked for it
        // alone: they make do with one as old as the receipts that are believed unasked.
        let max_age_seconds = if token.is_some() || ask.is_new() {
            self.config.plan_ttl_seconds
        } else {
            self.config.plan_ttl_seconds.max(timing.trust_window_seconds)
        };
        let (plan, is_plan_wanted) = self.plan.get(max_age_seconds, now);
        if token.is_none() && !is_plan_wanted {
            return Known::Enough(Knowledge { claim: ask.claim, session: LookUp::NoAnswer, plan });
        }
        Known::Lacking(Question { claim: ask.claim, token, is_plan_wanted, known: plan })
    }

    /// Asks DynamoDB, once for the session and the plan. Always answers before the deadline.
    pub async fn ask(&self, question: Question, now: u64) -> Knowledge {
        let Question { claim, token, is_plan_wanted, known } = question;
        let Answer { session, plan } = self.replicas.ask(token, is_plan_wanted).await;
        let plan = match plan {
            Some(plan) => Some(self.plan.put(plan, now)),
            None => {
                if is_plan_wanted {
                    self.plan.fail(now, self.replicas.deadline);
                }
                known
            }
        };
        Knowledge { claim, session, plan }
    }

    /// Decides, and writes the decision into the request: the origin, the `Host` header and the two headers that tell
    /// the app which version was chosen and why. Everything else stays as it is.
    pub fn settle(&self, request: &mut Request, knowledge: &Knowledge, now: u64, rng: &mut impl Rng) -> Decision {
        let RouterConfig { cookie, bundled_plan, keep_viewer_host, .. } = &self.config;
        let rollout = match &knowledge.plan {
            Some(plan) => Rollout::Known(plan),
            None => Rollout::Bundled(bundled_plan),
        };
        let ask = Ask::with_claim(request, knowledge.claim);
        let decision = decide(&ask, &knowledge.session, rollout, &cookie.timing, now, rng);
        let (Rollout::Known(plan) | Rollout::Bundled(plan)) = rollout;
        if let Some(origin) = plan.origin(decision.version) {
            request.set_origin(origin);
            if !keep_viewer_host {
                request.headers.set("Host", origin.domain.clone());
            }
        }
        // `set` also takes out what a viewer sent under these names.
        request.headers.set(VERSION_HEADER, decision.version.to_string());
        request.headers.set(ROUTE_HEADER, decision.route.to_string());
        decision
    }
}

/// What is known of a request: enough to [`Router::settle`] it, or not before [`Router::ask`].
#[derive(Debug)]
pub enum Known {
    /// All there is to decide by.
    Enough(Knowledge),
    /// What DynamoDB must be asked first.
    Lacking(Question),
}

/// All there is to decide one request by.
#[derive(Debug)]
pub struct Knowledge {
    claim: Claim,
    session: LookUp,
    plan: Option<Arc<Plan>>,
}

/// What DynamoDB must be asked before one request can be decided.
#[derive(Debug)]
pub struct Question {
    claim: Claim,
    token: Option<Token>,
    is_plan_wanted: bool,
    known: Option<Arc<Plan>>,
}
