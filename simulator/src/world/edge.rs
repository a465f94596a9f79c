//! A request at the edge: what it claims, the look-ups, the decision.

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use stickshift_contract::{
    BareTokens, Claim, DEADLINE, HEDGE_DELAY, Keys, Pass, Plan, Receipt, Route, SessionCookie, VersionCode,
};
use stickshift_edge::{Answer, Considered, Incoming, Knowledge, Request as EdgeRequest, StoredSession};
use stickshift_session::{Session, Written};

use super::{
    BEGIN, Cookies, Edge, Flight, Job, KEYS, Line, OLD_KEY_STAYS, PAUSE_AFTER_FAILURE, ROTATED_BEFORE, SIGNED_ONE_IN,
    World, claim_at, clock, read_in_words, router, timing,
};
use crate::design::Design;
use crate::operator::{code, index};
use crate::timeline::{EDGES, LookUpFate, Millis, Part, Request, VERSIONS};
use crate::truth::Invariant;

impl<D: Design + ?Sized> World<'_, D> {
    /// The viewer sends a request, and the edge looks at it.
    pub(super) fn send(&mut self, request: Request) {
        let edge = request.edge;
        let claim = match (self.jar.filter(|_| !request.is_crawler), self.cookies) {
            (Some(receipt), Cookies::Receipts) => Claim::Receipt(receipt),
            (Some(receipt), Cookies::Tokens) => {
                BareTokens::collect([receipt.token]).map_or(Claim::Nothing, Claim::Bare)
            }
            (None, _) => Claim::Nothing,
        };
        let page = self.jar.map_or(code(0), |receipt| receipt.version);
        let asset = request.is_asset.then_some(page);
        let edge_now = clock(self.now, self.timeline.edge_clocks[edge]);
        let at_edge = claim_at(claim, timing(self.timeline), edge_now);
        let pass =
            self.pass.filter(|&(_, over)| self.now < over && !request.is_crawler).map(|(version, _)| code(version));
        let incoming = Incoming { asset, pass, claim: at_edge, kind: request.kind, is_bot: request.is_crawler };
        if self.timeline.seed.is_multiple_of(SIGNED_ONE_IN) && self.cookies == Cookies::Receipts {
            self.compare_with_signed(claim, pass, edge_now);
        }
        self.tally.requests += 1;
        if let Some(age) = request.plan_age {
            self.read_in_background(edge, self.now.saturating_sub(age));
        }
        let flight = Flight {
            request,
            began: self.now,
            is_in_progress: !request.is_crawler
                && self.jar.is_some_and(|receipt| self.is_in_progress(&receipt, self.now)),
            rng: SmallRng::seed_from_u64(request.dice),
            claim,
            jars: [self.jar, self.jar_under_pass],
            is_in_progress_under_pass: self.jar_under_pass.is_some_and(|jar| self.is_in_progress(&jar, self.now)),
            is_under_pass: false,
            incoming: self.design.incoming(incoming),
            edge_now,
            edge_revision: self.edges[edge].revision,
            look_up: None,
            look_ups: 0,
            has_asked_for_session: false,
            has_answer: false,
            decision: None,
            revision: None,
            app: (0, 0),
            pending: None,
            written: Written::Failed,
            writes: 0,
            is_unwritten: false,
            session: Session::Absent,
        };
        let considered = self.edges[edge].router.consider(flight.incoming, edge_now);
        let considered = self.design.considered(&self.edges[edge].router, &flight.incoming, considered, edge_now);
        self.flights.push(flight);
        self.considered(self.flights.len() - 1, considered);
    }

    /// Another viewer's request makes an edge read the plan.
    pub(super) fn read_in_background(&mut self, edge: usize, at: Millis) {
        let Edge { router, revision, read_at, well_since } = &mut self.edges[edge];
        if read_at.is_some_and(|read_at| at <= read_at) || self.tables.is_away(Part::Replica(edge), at) {
            return;
        }
        let Some(plan) = self.tables.plan_at(edge, at) else { return };
        if !is_readable(&self.unreadable, plan, edge) {
            *well_since = (*well_since).max(at + PAUSE_AFTER_FAILURE);
            return;
        }
        *revision = (*revision).max(plan.revision());
        router.adopt(plan.clone(), clock(at, self.timeline.edge_clocks[edge]));
        *read_at = Some(at);
    }

    pub(super) fn considered(&mut self, number: usize, considered: Considered) {
        match considered {
            Considered::Ready(knowledge) => self.decide(number, &knowledge),
            Considered::Needs(look_up) => {
                self.tally.session_look_ups += u64::from(!look_up.tokens.is_empty());
                self.tally.plan_reads += u64::from(look_up.is_plan_wanted);
                let flight = &mut self.flights[number];
                flight.look_ups += 1;
                flight.has_asked_for_session |= !look_up.tokens.is_empty();
                flight.look_up = Some(look_up);
                let takes = match flight.request.look_up {
                    LookUpFate::Answered => flight.rng.random_range(3..60),
                    LookUpFate::Hedged => flight.rng.random_range(HEDGE_DELAY.default..DEADLINE.default),
                    LookUpFate::Unanswered => DEADLINE.default,
                    LookUpFate::Frozen(lasts) => lasts,
                };
                self.schedule(self.now + takes, Job::LookedUp(number));
            }
        }
    }

    /// The answer of a look-up is there, or the deadline has passed.
    pub(super) fn looked_up(&mut self, number: usize) {
        let flight = &mut self.flights[number];
        let Some(look_up) = flight.look_up.take() else { return };
        let edge = flight.request.edge;
        let (asked, replica) = match flight.request.look_up {
            // The answer came before the freeze.
            LookUpFate::Frozen(lasts) => (self.now - lasts, Some(edge)),
            LookUpFate::Answered => (self.now, Some(edge)),
            LookUpFate::Hedged => (self.now, Some((edge + 1) % EDGES)),
            LookUpFate::Unanswered => (self.now, None),
        };
        let replica = replica.filter(|&replica| !self.tables.is_away(Part::Replica(replica), asked));
        // Where the nearest replica is away, the second nearest one answers.
        let next = (edge + 1) % EDGES;
        let is_hedged = flight.request.look_up == LookUpFate::Answered;
        let replica =
            replica.or_else(|| (is_hedged && !self.tables.is_away(Part::Replica(next), asked)).then_some(next));
        let answer = match replica {
            Some(replica) => Answer {
                session: look_up
                    .tokens
                    .iter()
                    .find_map(|&token| self.tables.item_at(replica, token, asked))
                    .map_or(StoredSession::Absent, |item| StoredSession::Found(item.clone())),
                plan: self
                    .tables
                    .plan_at(replica, asked)
                    .filter(|plan| look_up.is_plan_wanted && is_readable(&self.unreadable, plan, edge))
                    .cloned(),
            },
            None => Answer { session: StoredSession::Unanswered, plan: None },
        };
        let answer = self.design.answer(&flight.incoming, answer);
        let (edge_now, incoming) = (flight.edge_now, flight.incoming);
        if !look_up.tokens.is_empty() && answer.session != StoredSession::Unanswered {
            flight.has_answer = true;
        }
        let Edge { router, revision, read_at, well_since } = &mut self.edges[edge];
        *revision = answer.plan.as_ref().map_or(0, Plan::revision).max(*revision);
        if look_up.is_plan_wanted {
            match &answer.plan {
                Some(plan) if !self.design.ignores_lower_revisions() => {
                    let plan = plan.clone();
                    *router = self::router(self.design, timing(self.timeline), &self.plans[0]);
                    router.adopt(plan, edge_now);
                }
                Some(_) => *read_at = (*read_at).max(Some(asked)),
                None => *well_since = self.now + PAUSE_AFTER_FAILURE,
            }
        }
        if let (Some(lines), session) = (&mut self.lines, &answer.session) {
            let text = format!("  edge {edge} reads {}", read_in_words(&look_up, session, answer.plan.as_ref()));
            lines.push(Line { at: self.now, text });
        }
        let considered = router.learn(look_up, answer, edge_now, 0);
        let considered = self.design.considered(&self.edges[edge].router, &incoming, considered, edge_now);
        self.considered(number, considered);
    }

    pub(super) fn decide(&mut self, number: usize, knowledge: &Knowledge) {
        let flight = &mut self.flights[number];
        let edge = &self.edges[flight.request.edge];
        let revision = knowledge.plan_revision();
        let plan = revision.and_then(|revision| self.plans.iter().find(|plan| plan.revision() == revision));
        let decision = edge.router.decide(knowledge, flight.edge_now, &mut flight.rng);
        let decision = self.design.decision(&flight.incoming, decision, plan, &mut flight.rng);
        flight.decision = Some(decision);
        if decision.route == Route::Pass {
            // From here on, the request is one of the session under the pass.
            let [_, jar] = flight.jars;
            flight.is_under_pass = true;
            flight.claim = jar.map_or(Claim::Nothing, Claim::Receipt);
            let is_of_pass = jar.is_some_and(|jar| jar.version == decision.version);
            flight.is_in_progress = is_of_pass && flight.is_in_progress_under_pass;
        }
        flight.revision = revision.filter(|_| decision.route.is_placement());
        if let (Route::Roll, Some(plan)) = (decision.route, plan) {
            self.tally.drawn.note(plan, code(1), decision.version);
        }
        let request = flight.request;
        // Requests for a version with a wrong origin arrive at the next one.
        let wanted = index(decision.version);
        let is_wrong =
            |&(version, from, until): &(usize, Millis, Millis)| version == wanted && (from..until).contains(&self.now);
        let version = if self.wrong_origins.iter().any(is_wrong) { (wanted + 1) % VERSIONS } else { wanted };
        flight.app = (version, request.instance);
        let takes = if flight.rng.random_bool(0.97) {
            flight.rng.random_range(3..80)
        } else {
            flight.rng.random_range(80..8_000)
        };
        self.say(|| {
            let by = revision.map_or_else(|| "its bundle".to_owned(), |revision| format!("plan {revision}"));
            format!("  edge {} decides by {by}: version {}, {}", request.edge, decision.version, decision.route)
        });
        self.schedule(self.now + takes, Job::AtApp(number));
        self.check_decision(number, decision);
    }

    /// A signed cookie must read back as the claim that the simulator passes.
    pub(super) fn compare_with_signed(&mut self, claim: Claim, pass: Option<VersionCode>, edge_now: u64) {
        let both = Keys::parse(KEYS).expect("two keys");
        let (new_key, old_key) = KEYS.split_once(',').expect("two keys");
        let [new, old] = [new_key, old_key].map(|key| Keys::parse(key).expect("a key"));
        let timing = timing(self.timeline);
        // The key is rotated once. For a minute, some receipts of a session are signed with the new key and others with
        // the old one.
        let rotated = BEGIN + self.timeline.seed / SIGNED_ONE_IN % ROTATED_BEFORE;
        let is_new = |Receipt { token, touched, .. }: &Receipt| {
            let first_digit = token.short().as_bytes()[0];
            *touched >= rotated + 60 || (*touched >= rotated && (touched + u64::from(first_digit)).is_multiple_of(2))
        };
        let now = clock(self.now, 0);
        let is_given_up = now >= rotated + 60 + OLD_KEY_STAYS;
        let keys = if is_given_up { new.clone() } else { both };
        let is_void = |receipt: &Receipt| is_given_up && !is_new(receipt);
        let claim = match claim {
            Claim::Receipt(receipt) if is_void(&receipt) => {
                // A visit within the touch interval brings no new receipt.
                let is_needed = now < receipt.touched + timing.session_seconds + timing.touch_interval_seconds;
                if is_needed {
                    self.violate(Invariant::SameCookie, || format!("{receipt:?} is void, and its session goes on"));
                }
                Claim::Nothing
            }
            claim => claim,
        };
        let mut request = EdgeRequest { method: "GET".to_owned(), uri: "/".to_owned(), ..EdgeRequest::default() };
        if let Claim::Receipt(receipt) = claim {
            let signs = if is_new(&receipt) { &new } else { &old };
            request.headers.set("Cookie", format!("a=b; sessiontoken={}", signs.sign(&receipt)));
        }
        if let Some(version) = pass {
            let signs = if edge_now < rotated { &old } else { &new };
            let pass = signs.passes().sign(&Pass { version, expires: edge_now + 60 });
            request.headers.append("Cookie", format!("stickshift-pass={pass}"));
        }
        let cookie = SessionCookie::new(Some(keys));
        let incoming = Incoming::read(&request, &cookie, edge_now);
        let read = incoming.claim;
        let by_app = cookie.read(request.headers.values("cookie").map(str::as_bytes), edge_now, false);
        if read != claim || by_app != claim || incoming.pass != pass {
            self.violate(Invariant::SameCookie, || format!("{claim:?} is read as {read:?} and {by_app:?}"));
        }
    }
}

/// Whether an edge reads the format that a plan was written in.
fn is_readable(unreadable: &[(u64, usize)], plan: &Plan, edge: usize) -> bool {
    unreadable.iter().all(|&(revision, reader)| revision != plan.revision() || reader == edge)
}
