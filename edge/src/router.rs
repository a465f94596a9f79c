//! From a request to its origin: reads, looks up, decides and writes the answer into the request.

use std::sync::Arc;

use rand::Rng;
use stickshift_contract::{Claim, Plan, ROUTE_HEADER, SessionCookie, VERSION_HEADER};

use crate::plan_cache::PlanCache;
use crate::replicas::Answer;
use crate::{Ask, Decision, LookUp, Replicas, Request, Rollout, decide};

/// What a router goes by.
#[derive(Debug, Clone)]
pub struct RouterConfig {
    /// How the session cookie is read. The app's must be the same.
    pub cookie: SessionCookie,
    /// Seconds after which the plan is read again; 0 reads it for every new session. Default 5.
    pub plan_ttl_seconds: u64,
    /// The origins to use until the plan was read once; see [`Rollout::Bundled`].
    pub bundled_plan: Plan,
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
    /// be read now is read later.
    pub async fn warm(&self, now: u64) {
        self.look_up(&Ask { asset: None, claim: Claim::Nothing, user_agent: "" }, now).await;
    }

    /// Sends a request to its origin: sets the origin, the `Host` header and the two headers that tell the app which
    /// version was chosen and why. Everything else stays as it is. Does no I/O where a young receipt decides.
    pub async fn route(&self, request: &mut Request, now: u64, rng: &mut impl Rng) -> Decision {
        let ask = Ask::read(request, &self.config.cookie, now);
        let (look_up, plan) = self.look_up(&ask, now).await;
        let rollout = match &plan {
            Some(plan) => Rollout::Known(plan),
            None => Rollout::Bundled(&self.config.bundled_plan),
        };
        let decision = decide(&ask, &look_up, rollout, &self.config.cookie.timing, now, rng);
        let (Rollout::Known(plan) | Rollout::Bundled(plan)) = rollout;
        if let Some(origin) = plan.origin(decision.version) {
            request.set_origin(origin);
        }
        // `set` also takes out what a viewer sent under these names.
        request.headers.set(VERSION_HEADER, decision.version.to_string());
        request.headers.set(ROUTE_HEADER, decision.route.to_string());
        decision
    }

    /// The session and the plan to decide by. Asks DynamoDB only if it must, and then once for both.
    async fn look_up(&self, ask: &Ask<'_>, now: u64) -> (LookUp, Option<Arc<Plan>>) {
        let timing = &self.config.cookie.timing;
        let token = ask.token_to_look_up(timing);
        // Who is new, or looked up anyway, gets a fresh plan. Whom a receipt or a path speaks for would be asked for it
        // alone: they make do with one as old as the receipts that are believed unasked.
        let max_age_seconds = if token.is_some() || ask.is_new() {
            self.config.plan_ttl_seconds
        } else {
            self.config.plan_ttl_seconds.max(timing.trust_window_seconds)
        };
        let (known, is_plan_wanted) = self.plan.get(max_age_seconds, now);
        if token.is_none() && !is_plan_wanted {
            return (LookUp::NoAnswer, known);
        }
        let Answer { session, plan } = self.replicas.ask(token, is_plan_wanted).await;
        (session, plan.map(|plan| self.plan.put(plan, now)).or(known))
    }
}
