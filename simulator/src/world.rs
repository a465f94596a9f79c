//! Plays a timeline: the real rules of edge and app, with time, network and tables simulated.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

use rand::rngs::{SmallRng, StdRng};
use rand::{RngExt as _, SeedableRng as _};
use stickshift_contract::{
    BareTokens, Claim as CookieClaim, Keys, Kind, Plan, Receipt, Route, SessionCookie, Timing, Token, VersionCode,
};
use stickshift_edge::{
    Answer, Considered, Decision, Incoming, Knowledge, LookUp, Request as EdgeRequest, Router, RouterConfig,
    StoredSession,
};
use stickshift_session::{Change as WriteChange, Pending, Rules, Session, Step, Visit, Write, Written};

use crate::design::Design;
use crate::operator::{changed, code, first_plan, index};
use crate::table::{Effect, Tables};
use crate::tally::Tally;
use crate::timeline::{EDGES, Event, LookUpFate, Millis, Part, Request, Timeline, VERSIONS, What, WriteFate};
use crate::truth::{Claim, Meaning, Placing, Truth, Violation};

/// The Unix time at which every timeline begins, in seconds.
const BEGIN: u64 = 1_700_000_000;
/// The SDK's time-out for a write.
const WRITE_TIMEOUT: Millis = 2_000;
/// The router's deadline for a look-up.
const LOOK_UP_DEADLINE: Millis = 250;
/// A plan is at most twice its time to live old, in whole seconds of a clock, and its read takes a moment.
const PROPAGATION_BOUND: Millis = 12_000;
/// A router that could not read the plan does not try again in the next second.
const PAUSE_AFTER_FAILURE: Millis = 3_000;
/// Nobody gets less than this after a visit.
const SESSION: Millis = 600_000;
/// One timeline of so many has its cookies signed for real.
const SIGNED_ONE_IN: u64 = 100;
/// The keys of those cookies.
const KEYS: &str = "0123456789abcdef0123456789abcdef,fedcba9876543210fedcba9876543210";

/// Which cookies viewers have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookies {
    /// Receipts: keys are configured.
    Receipts,
    /// Bare tokens: no keys are configured. The claims do not hold then; they are counted.
    Tokens,
}

/// A line of a timeline that is played for a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    at: Millis,
    text: String,
}

/// Something that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    Event(usize),
    LookedUp(usize),
    AtApp(usize),
    AtTable(usize),
    Answered(usize),
    AtViewer(usize),
    Arrived(usize),
}

/// An instance of the edge function.
struct Edge {
    router: Router,
    /// When it last read the plan.
    read_at: Option<Millis>,
    /// From when on it is counted as reading the plan in time.
    well_since: Millis,
}

/// A request on its way.
struct Flight {
    request: Request,
    began: Millis,
    /// Whether the viewer's session was in progress when the viewer sent the request.
    is_in_progress: bool,
    rng: SmallRng,
    /// What the cookie claims.
    claim: CookieClaim,
    incoming: Incoming,
    edge_now: u64,
    look_up: Option<LookUp>,
    /// Whether a replica said what it has for the session.
    has_answer: bool,
    decision: Option<Decision>,
    revision: Option<u64>,
    /// The version and the instance that serves it.
    app: (usize, usize),
    app_now: u64,
    pending: Option<Pending>,
    written: Written,
    writes: u32,
    /// Whether the last write failed.
    is_unwritten: bool,
    session: Session,
}

struct World<'a, D: ?Sized> {
    timeline: &'a Timeline,
    design: &'a D,
    cookies: Cookies,
    tally: &'a mut Tally,
    lines: Option<&'a mut Vec<Line>>,
    now: Millis,
    jobs: BinaryHeap<Reverse<(Millis, u32, Job)>>,
    count: u32,
    edges: [Edge; EDGES],
    tables: Tables,
    /// Every plan that was ever in force, restored tables included.
    plans: Vec<Plan>,
    /// Whether a backup was restored, and the plan not changed since.
    is_restored: bool,
    wrong_origins: Vec<(usize, Millis, Millis)>,
    jar: Option<Receipt>,
    record: Vec<Truth>,
    flights: Vec<Flight>,
    late: Vec<Write>,
    rng: SmallRng,
    violation: Option<Violation>,
}

/// Plays a timeline and returns the first violation. `lines`: where to write what happens, for a reader.
pub fn run(
    timeline: &Timeline,
    design: &(impl Design + ?Sized),
    cookies: Cookies,
    tally: &mut Tally,
    lines: Option<&mut Vec<Line>>,
) -> Option<Violation> {
    let first_plan = design.plan(first_plan(timeline.weights));
    let edge = || Edge { router: router(design, &first_plan), read_at: None, well_since: 0 };
    let mut world = World {
        timeline,
        design,
        cookies,
        tally,
        lines,
        now: 0,
        jobs: BinaryHeap::with_capacity(64),
        count: 0,
        edges: std::array::from_fn(|_| edge()),
        tables: Tables::default(),
        plans: vec![first_plan.clone()],
        is_restored: false,
        wrong_origins: Vec::new(),
        jar: None,
        record: Vec::new(),
        flights: Vec::with_capacity(32),
        late: Vec::new(),
        rng: SmallRng::seed_from_u64(timeline.seed ^ 0x5eed),
        violation: None,
    };
    world.tables.put_first_plan(first_plan);
    for (index, event) in timeline.events.iter().enumerate() {
        world.schedule(event.at, Job::Event(index));
    }
    while let Some(Reverse((at, _, job))) = world.jobs.pop() {
        world.now = at;
        world.do_job(job);
        if world.violation.is_some() && cookies == Cookies::Receipts {
            break;
        }
    }
    world.tally.timelines += 1;
    world.tally.violations += u64::from(world.violation.is_some());
    world.violation
}

fn router(design: &(impl Design + ?Sized), bundled: &Plan) -> Router {
    let config = RouterConfig::new(SessionCookie::new(None), bundled.clone());
    let plan_ttl_seconds = design.plan_ttl_seconds().unwrap_or(config.plan_ttl_seconds);
    Router::new(RouterConfig { plan_ttl_seconds, ..config })
}

/// A time by a clock that is `ahead` milliseconds ahead, in Unix seconds.
fn clock(at: Millis, ahead: i64) -> u64 {
    (BEGIN * 1_000 + at).saturating_add_signed(ahead) / 1_000
}

impl<D: Design + ?Sized> World<'_, D> {
    fn schedule(&mut self, at: Millis, job: Job) {
        self.count += 1;
        self.jobs.push(Reverse((at, self.count, job)));
    }

    fn say(&mut self, text: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(Line { at: self.now, text: text() });
        }
    }

    fn violate(&mut self, claim: Claim, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { claim, at: self.now, what: what() });
        }
    }

    fn do_job(&mut self, job: Job) {
        match job {
            Job::Event(index) => self.happen(self.timeline.events[index]),
            Job::LookedUp(flight) => self.looked_up(flight),
            Job::AtApp(flight) => self.at_app(flight),
            Job::AtTable(flight) => self.at_table(flight),
            Job::Answered(flight) => self.answered(flight),
            Job::AtViewer(flight) => self.at_viewer(flight),
            Job::Arrived(late) => {
                let write = self.late[late];
                self.write(&write);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        self.say(|| event.what.to_string());
        match event.what {
            What::Request(request) => self.send(request),
            What::ClearCookies => self.jar = None,
            What::Outage { part, lasts } => self.tables.fail(part, now, now + lasts),
            What::WrongOrigin { version, lasts } => self.wrong_origins.push((version, now, now + lasts)),
            What::ColdStart { edge } => {
                let router = router(self.design, &self.plans[0]);
                self.edges[edge] = Edge { router, read_at: None, well_since: now };
            }
            What::Restore { age } => {
                self.is_restored = true;
                self.tables.restore(now.saturating_sub(age), now);
            }
            What::Change(change) => {
                let Some(plan) = self.tables.plan() else { return };
                let revision = self.plans.iter().map(Plan::revision).max().unwrap_or(0) + 1;
                let before = self.plans.iter().rev().find(|before| before.revision() < plan.revision());
                let Some(next) = changed(plan, before, change, revision, clock(now, 0)) else { return };
                if self.tables.is_away(Part::Home, now) {
                    return;
                }
                let next = self.design.plan(next);
                self.say(|| format!("  plan {revision} is in force: {}", in_words(&next)));
                self.is_restored = false;
                self.plans.push(next.clone());
                self.tables.put_plan(next, now, &mut self.rng);
            }
        }
    }

    /// The viewer sends a request, and the edge looks at it.
    fn send(&mut self, request: Request) {
        let edge = request.edge;
        let claim = match (self.jar, self.cookies) {
            (Some(receipt), Cookies::Receipts) => CookieClaim::Receipt(receipt),
            (Some(receipt), Cookies::Tokens) => {
                BareTokens::collect([receipt.token]).map_or(CookieClaim::Nothing, CookieClaim::Bare)
            }
            (None, _) => CookieClaim::Nothing,
        };
        let page = self.jar.map_or(code(0), |receipt| receipt.version);
        let asset = request.is_asset.then_some(page);
        let incoming = Incoming { asset, claim, kind: request.kind, is_bot: false };
        let edge_now = clock(self.now, self.timeline.edge_clocks[edge]);
        if self.timeline.seed.is_multiple_of(SIGNED_ONE_IN) && self.cookies == Cookies::Receipts {
            self.compare_with_signed(claim, edge_now, request.dice);
        }
        self.tally.requests += 1;
        if let Some(age) = request.plan_age {
            self.read_in_background(edge, self.now.saturating_sub(age));
        }
        let flight = Flight {
            request,
            began: self.now,
            is_in_progress: self.jar.is_some_and(|receipt| self.is_in_progress(receipt.token, self.now)),
            rng: SmallRng::seed_from_u64(request.dice),
            claim,
            incoming: self.design.incoming(incoming),
            edge_now,
            look_up: None,
            has_answer: false,
            decision: None,
            revision: None,
            app: (0, 0),
            app_now: 0,
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
    fn read_in_background(&mut self, edge: usize, at: Millis) {
        let Edge { router, read_at, .. } = &mut self.edges[edge];
        if read_at.is_some_and(|read_at| at <= read_at) || self.tables.is_away(Part::Replica(edge), at) {
            return;
        }
        if let Some(plan) = self.tables.plan_at(edge, at) {
            router.adopt(plan.clone(), clock(at, self.timeline.edge_clocks[edge]));
            *read_at = Some(at);
        }
    }

    fn considered(&mut self, number: usize, considered: Considered) {
        match considered {
            Considered::Ready(knowledge) => self.decide(number, &knowledge),
            Considered::Needs(look_up) => {
                self.tally.session_look_ups += u64::from(!look_up.tokens.is_empty());
                self.tally.plan_reads += u64::from(look_up.is_plan_wanted);
                let flight = &mut self.flights[number];
                flight.look_up = Some(look_up);
                let takes = match flight.request.look_up {
                    LookUpFate::Answered => flight.rng.random_range(3..60),
                    LookUpFate::Hedged => flight.rng.random_range(60..LOOK_UP_DEADLINE),
                    LookUpFate::Unanswered => LOOK_UP_DEADLINE,
                    LookUpFate::Frozen(lasts) => lasts,
                };
                self.schedule(self.now + takes, Job::LookedUp(number));
            }
        }
    }

    /// The answer of a look-up is there, or the deadline has passed.
    fn looked_up(&mut self, number: usize) {
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
                plan: look_up.is_plan_wanted.then(|| self.tables.plan_at(replica, asked).cloned()).flatten(),
            },
            None => Answer { session: StoredSession::Unanswered, plan: None },
        };
        let answer = self.design.answer(&flight.incoming, answer);
        let (edge_now, incoming) = (flight.edge_now, flight.incoming);
        if !look_up.tokens.is_empty() && answer.session != StoredSession::Unanswered {
            flight.has_answer = true;
        }
        let Edge { router, read_at, well_since } = &mut self.edges[edge];
        if look_up.is_plan_wanted {
            match &answer.plan {
                Some(plan) if !self.design.ignores_lower_revisions() => {
                    let plan = plan.clone();
                    *router = self::router(self.design, &self.plans[0]);
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

    fn decide(&mut self, number: usize, knowledge: &Knowledge) {
        let flight = &mut self.flights[number];
        let edge = &self.edges[flight.request.edge];
        let revision = knowledge.plan_revision();
        let plan = revision.and_then(|revision| self.plans.iter().find(|plan| plan.revision() == revision));
        let decision = edge.router.decide(knowledge, flight.edge_now, &mut flight.rng);
        let decision = self.design.decision(&flight.incoming, decision, plan, &mut flight.rng);
        flight.decision = Some(decision);
        flight.revision = revision.filter(|_| decision.route.is_placement());
        if let (Route::Roll, Some(plan)) = (decision.route, plan) {
            self.tally.drawn.note(plan, code(1), decision.version);
        }
        let (began, request, has_answer) = (flight.began, flight.request, flight.has_answer);
        let well_since = edge.well_since;
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
        self.check_decision(number, began, well_since, has_answer, decision);
    }

    fn check_decision(
        &mut self,
        number: usize,
        began: Millis,
        well_since: Millis,
        has_answer: bool,
        decision: Decision,
    ) {
        let flight = &self.flights[number];
        let Decision { version, route, .. } = decision;
        let is_in_progress = flight.is_in_progress;
        let is_frozen = matches!(flight.request.look_up, LookUpFate::Frozen(_));
        if !self.is_restored && !is_frozen {
            // The first plan of those that withdraw the version without a break up to now.
            let withdraws = |plan: &&Plan| {
                plan.versions()
                    .get(&version)
                    .is_none_or(|planned| planned.state == stickshift_contract::State::Withdrawn)
            };
            let since = self.plans.iter().rev().take_while(withdraws).last().map(Plan::revision);
            if let Some(revision) = since {
                let known = self.tables.is_known_everywhere_since(revision);
                if began >= known.max(well_since).saturating_add(PROPAGATION_BOUND) {
                    self.violate(Claim::Withdrawn, || {
                        format!(
                            "version {version} serves ({route}), {} s after it was withdrawn everywhere",
                            (began - known) / 1_000
                        )
                    });
                }
            }
        }
        let Some(truth) = self.claimed(number) else { return };
        let (token, touched) = (truth.token, truth.touched);
        self.tally.in_session += u64::from(is_in_progress);
        let is_dropped = match self.flights[number].request.kind {
            Kind::Document => route == Route::Roll,
            Kind::Visit => route == Route::Stray,
            Kind::Rest => false,
        };
        if is_in_progress && is_dropped && self.cookies == Cookies::Receipts {
            self.violate(Claim::TenMinutes, || {
                format!("the edge finds no session: {route}, with token {}", token.short())
            });
        }
        // The lifetime, by the clocks that differ most.
        let timing = Timing::default();
        let most = timing.lifetime_seconds() + 2 * timing.clock_allowance_seconds;
        if has_answer && is_of_session(route) && clock(began, 0) > touched + most {
            self.violate(Claim::Ends, || {
                format!(
                    "token {} goes on ({route}), {} s after its last visit",
                    token.short(),
                    clock(began, 0) - touched
                )
            });
        }
    }

    /// Whether a session was in progress at a time: the viewer has visited it in the ten minutes before.
    fn is_in_progress(&self, token: Token, at: Millis) -> bool {
        let truth = self.record.iter().find(|truth| truth.token == token);
        truth.and_then(|truth| truth.visited).is_some_and(|visited| at < visited + SESSION)
    }

    /// The record of the session that a request claims.
    fn claimed(&self, number: usize) -> Option<&Truth> {
        let token = claimed_token(&self.flights[number].claim)?;
        self.record.iter().find(|truth| truth.token == token)
    }

    /// A request arrives at the app.
    fn at_app(&mut self, number: usize) {
        let flight = &mut self.flights[number];
        let Some(decision) = flight.decision else { return };
        let (version, instance) = flight.app;
        flight.app_now = clock(self.now, self.timeline.app_clocks[version][instance]);
        let kind = flight.request.kind;
        let visit = Visit {
            claim: flight.claim,
            kind,
            route: Some(decision.route),
            chosen: Some(decision.version),
            revision: flight.revision,
            from: decision.from,
        };
        let visit = self.design.visit(visit);
        let mut rng = StdRng::seed_from_u64(flight.request.dice);
        let step = rules(version, self.cookies).enter(&visit, flight.app_now, &mut rng);
        if matches!(step, Step::Write(_))
            && (kind == Kind::Rest || decision.route == Route::Stray)
            && visit.route == Some(decision.route)
        {
            self.violate(Claim::NoWrite, || format!("version {} writes on {}", version + 1, decision.route));
        }
        self.step(number, step);
    }

    /// Goes on after the session rules have answered.
    fn step(&mut self, number: usize, step: Step) {
        let flight = &mut self.flights[number];
        match step {
            Step::Write(pending) => {
                flight.pending = Some(*pending);
                let takes = flight.rng.random_range(2..120);
                self.schedule(self.now + takes, Job::AtTable(number));
            }
            Step::Done(Session::New(receipt)) if !flight.request.fails => {
                // It is written when the status of the answer is known.
                flight.pending = Some(rules(flight.app.0, self.cookies).begin(receipt));
                let takes = flight.rng.random_range(5..300);
                self.schedule(self.now + takes, Job::AtTable(number));
            }
            Step::Done(session) => {
                flight.session = if matches!(session, Session::New(_)) { Session::Absent } else { session };
                let takes = flight.rng.random_range(5..300);
                self.issue(number);
                self.schedule(self.now + takes, Job::AtViewer(number));
            }
        }
    }

    /// A write arrives at the table.
    fn at_table(&mut self, number: usize) {
        let flight = &mut self.flights[number];
        let Some(pending) = flight.pending else { return };
        // Only the first write of a request has a fate of its own.
        let fate = if flight.writes == 0 { flight.request.write } else { WriteFate::Answered };
        flight.writes += 1;
        self.tally.writes += 1;
        let is_away = self.tables.is_away(Part::Home, self.now);
        let (written, takes) = match fate {
            _ if is_away => (Written::Failed, WRITE_TIMEOUT),
            WriteFate::Throttled => (Written::Failed, 100),
            WriteFate::Answered => (self.write(&pending.write), 20),
            WriteFate::AnswerLost => {
                self.write(&pending.write);
                (Written::Failed, WRITE_TIMEOUT)
            }
            WriteFate::Late(by) => {
                self.late.push(pending.write);
                self.schedule(self.now + WRITE_TIMEOUT + by, Job::Arrived(self.late.len() - 1));
                (Written::Failed, WRITE_TIMEOUT)
            }
            WriteFate::Repeated(by) => {
                self.late.push(pending.write);
                self.schedule(self.now + by, Job::Arrived(self.late.len() - 1));
                (self.write(&pending.write), 20)
            }
        };
        if written == Written::Failed {
            self.say(|| "  a write fails".to_owned());
        }
        self.flights[number].written = written;
        self.schedule(self.now + takes, Job::Answered(number));
    }

    /// The table takes a write.
    fn write(&mut self, write: &Write) -> Written {
        let Effect { written, accepted } = self.tables.write(self.design, write, self.now, &mut self.rng);
        let Write { claimed, guard, change, .. } = write;
        let receipt = claimed.receipt;
        self.say(|| {
            let token = receipt.token.short();
            match &written {
                Written::Done { placed, .. } => {
                    format!("  the table takes {guard:?} of {token} by version {}: {placed}", receipt.version)
                }
                Written::Refused(stored) => format!(
                    "  the table refuses {guard:?} of {token} by version {}: it has {stored:?}",
                    receipt.version
                ),
                Written::Failed => String::new(),
            }
        });
        let Some((before, after)) = accepted else { return written };
        if let Some(before) = before {
            let now = clock(self.now, 0);
            let is_undone =
                *change == WriteChange::Put || (before.is_live(now + 60) && after.revision < before.revision);
            if is_undone {
                self.violate(Claim::Kept, || format!("{guard:?} by version {} replaces {before:?}", receipt.version));
            }
        }
        if let (Some(version), true) = (after.version, *change != WriteChange::Extend) {
            self.place(receipt.token, version, after.placed(), false, after.touched);
        } else if let Some(truth) = self.record.iter_mut().find(|truth| truth.token == receipt.token) {
            truth.touched = truth.touched.max(after.touched);
        }
        written
    }

    /// Takes a placement into the record.
    fn place(
        &mut self,
        token: Token,
        version: VersionCode,
        placed: stickshift_contract::Placed,
        is_unwritten: bool,
        touched: u64,
    ) {
        // The edge decided up to a minute ago, by a clock of its own.
        let between = (clock(self.now, 0).saturating_sub(90), clock(self.now, 0) + 30);
        let placing = Placing { token, version, placed, is_unwritten, touched, between };
        match Truth::place(&mut self.record, &placing, &self.plans) {
            Meaning::Begun | Meaning::Same => {}
            Meaning::Moved => self.tally.moved += 1,
            Meaning::Stale => self.tally.stale += 1,
            Meaning::MovedTwice => self.tally.moved_twice += 1,
            // The backup does not have the plan that moved the session.
            Meaning::Unbidden if self.is_restored => self.tally.moved_by_backup += 1,
            Meaning::Unbidden => self.violate(Claim::Sticks, || {
                format!("token {} is on version {version} now ({placed}), and no plan moved it there", token.short())
            }),
        }
    }

    /// The app has the answer to a write.
    fn answered(&mut self, number: usize) {
        let flight = &mut self.flights[number];
        let Some(pending) = flight.pending.take() else { return };
        let written = std::mem::replace(&mut flight.written, Written::Failed);
        flight.is_unwritten = written == Written::Failed;
        let mut rng = StdRng::seed_from_u64(flight.request.dice ^ 1);
        let step = rules(flight.app.0, self.cookies).resume(pending, written, &mut rng);
        self.step(number, step);
    }

    /// The app has decided what the session is, and issues a receipt if there is a new one.
    fn issue(&mut self, number: usize) {
        let flight = &self.flights[number];
        let (session, is_unwritten, is_lost) = (flight.session, flight.is_unwritten, flight.request.is_lost);
        let is_dropped = flight.is_in_progress
            && flight.request.kind != Kind::Rest
            && session == Session::Absent
            && !flight.request.fails
            && flight.decision.is_some_and(|decision| is_of_session(decision.route));
        self.say(|| format!("  the app's answer: {session:?}"));
        if is_dropped && self.cookies == Cookies::Receipts {
            self.violate(Claim::TenMinutes, || "the app finds no session".to_owned());
        }
        // The table has every other placement already.
        if let (Session::Here { receipt, is_new: true }, true, false) = (session, is_unwritten, is_lost) {
            self.place(receipt.token, receipt.version, receipt.placed, is_unwritten, receipt.touched);
        }
    }

    /// The answer arrives at the viewer.
    fn at_viewer(&mut self, number: usize) {
        let flight = &self.flights[number];
        let (session, began, request, claim) = (flight.session, flight.began, flight.request, flight.claim);
        let (served, is_in_progress) = (code(flight.app.0), flight.is_in_progress);
        let route = flight.decision.map(|decision| decision.route);
        if let Some(truth) = self.claimed(number)
            && flight.is_in_progress
            && request.kind != Kind::Rest
            && truth.version != served
            && session != Session::Misdirected
        {
            self.tally.foreign += 1;
        }
        if request.is_lost {
            return;
        }
        // Whatever the app answered, the viewer has been there.
        let seen = match session {
            Session::Here { receipt, .. } => Some(receipt.token),
            // On `fallback` the app leaves another version's session alone: the visit does not renew it.
            Session::Elsewhere { token, .. } if is_in_progress && route != Some(Route::Fallback) => Some(token),
            _ => None,
        };
        let is_visit = request.kind != Kind::Rest && route != Some(Route::Stray);
        if let (Some(token), true) = (seen, is_visit)
            && let Some(truth) = self.record.iter_mut().find(|truth| truth.token == token)
        {
            truth.visited = truth.visited.max(Some(began));
        }
        let Session::Here { receipt, is_new: true } = session else { return };
        if let Some(jar) = self.jar.filter(|jar| jar.token != receipt.token)
            && self.is_in_progress(jar.token, began)
        {
            let claimed = claimed_token(&claim);
            if claimed == Some(jar.token) && is_in_progress {
                self.tally.lost += 1;
                if self.cookies == Cookies::Receipts {
                    self.violate(Claim::TenMinutes, || {
                        format!("session {} takes the place of {}", receipt.token.short(), jar.token.short())
                    });
                }
            } else if claimed.is_some_and(|claimed| [jar.token, receipt.token].contains(&claimed)) {
                // The cookie has changed while the request was on its way, so the last one wins.
                self.tally.renewed_against_roll += 1;
            } else {
                self.tally.begun_twice_at_once += 1;
            }
        }
        let is_first = self.jar.is_none_or(|jar| jar.token != receipt.token);
        self.tally.begun += u64::from(is_first && receipt.started == receipt.touched);
        self.jar = Some(receipt);
    }

    /// Edge and app must read the same in the signed cookie as in the claim that the simulator passes.
    fn compare_with_signed(&mut self, claim: CookieClaim, edge_now: u64, dice: u64) {
        let keys = Keys::parse(KEYS).expect("two keys");
        let old = Keys::parse(KEYS.rsplit(',').next().unwrap_or_default()).expect("a key");
        let mut request = EdgeRequest { method: "GET".to_owned(), uri: "/".to_owned(), ..EdgeRequest::default() };
        if let CookieClaim::Receipt(receipt) = claim {
            let signs = if dice.is_multiple_of(2) { &keys } else { &old };
            request.headers.set("Cookie", format!("a=b; sessiontoken={}", signs.sign(&receipt)));
        }
        let cookie = SessionCookie::new(Some(keys));
        let read = Incoming::read(&request, &cookie, edge_now).claim;
        let by_app = cookie.read(request.headers.values("cookie").map(str::as_bytes), edge_now, false);
        if read != claim || by_app != claim {
            self.violate(Claim::SameCookie, || format!("{claim:?} is read as {read:?} and {by_app:?}"));
        }
    }
}

fn rules(version: usize, cookies: Cookies) -> Rules {
    Rules { version: code(version), timing: Timing::default(), has_keys: cookies == Cookies::Receipts }
}

/// Whether the edge has found a session.
fn is_of_session(route: Route) -> bool {
    matches!(route, Route::Receipt | Route::Record | Route::Hint | Route::Moved)
}

fn claimed_token(claim: &CookieClaim) -> Option<Token> {
    match claim {
        CookieClaim::Receipt(receipt) => Some(receipt.token),
        CookieClaim::Bare(tokens) => tokens.iter().next(),
        CookieClaim::Nothing => None,
    }
}

fn in_words(plan: &Plan) -> String {
    let words = plan.versions().iter().map(|(version, planned)| {
        let until = planned.until.map_or_else(String::new, |until| format!(" until {} s", until - BEGIN));
        format!("{version} {}{until} {} %", planned.state, planned.weight)
    });
    words.collect::<Vec<_>>().join(", ")
}

fn read_in_words(look_up: &LookUp, session: &StoredSession, plan: Option<&Plan>) -> String {
    let mut words = Vec::new();
    match session {
        _ if look_up.tokens.is_empty() => {}
        StoredSession::Found(item) => {
            let version = item.version.map_or_else(|| "no version".to_owned(), |version| format!("version {version}"));
            words.push(format!("{version}, {}, touched at {} s", item.placed(), item.touched.saturating_sub(BEGIN)));
        }
        other => words.push(format!("{other:?}").to_lowercase()),
    }
    if look_up.is_plan_wanted {
        words.push(plan.map_or_else(|| "no plan".to_owned(), |plan| format!("plan {}", plan.revision())));
    }
    words.join("; ")
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8}.{:03} s  {}", self.at / 1_000, self.at % 1_000, self.text)
    }
}
