//! Plays a timeline: the real rules of edge and app, with time, network and tables simulated.

mod app;
mod checks;
mod edge;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use stickshift_contract::{
    Claim, Kind, PLAN_FORMAT, PLAN_TTL, Plan, Receipt, Route, SESSION, SessionCookie, SessionItem, Timing, Token,
};
use stickshift_edge::{Decision, Incoming, LookUp, Router, RouterConfig, StoredSession};
use stickshift_session::{Pending, Rules, Session, Write, Written};

use crate::design::Design;
use crate::operator::{code, first_plan, verbs};
use crate::table::Tables;
use crate::tally::Tally;
use crate::timeline::{Change, EDGES, Event, Millis, Part, Request, Timeline, What};
use crate::truth::{Invariant, Truth, Violation};

/// The Unix time at which every timeline begins, in seconds.
const BEGIN: u64 = 1_700_000_000;
/// The SDK's time-out for a write.
const WRITE_TIMEOUT: Millis = 2_000;
/// A plan is at most twice its time to live old, in whole seconds of a clock, and its read takes a moment.
const PROPAGATION_BOUND: Millis = 2 * PLAN_TTL.default * 1_000 + 2_000;
/// A router that could not read the plan does not try again in the next second.
const PAUSE_AFTER_FAILURE: Millis = 3_000;
/// How often an instance looks which open answers need a renewal, and which must end.
const STREAM_ROUND: Millis = 10_000;
/// Nobody gets less than this after a visit.
pub(crate) const SESSION_LASTS: Millis = SESSION.default * 1_000;
/// One timeline of so many has its cookies signed for real.
const SIGNED_ONE_IN: u64 = 100;
/// In the timelines with signed cookies, the key is rotated less than so many seconds after the begin.
const ROTATED_BEFORE: u64 = 3_000;
/// No request asks replicas more often: for the plan or the session, and for what that answer makes necessary.
const MOST_LOOK_UPS: u32 = 2;
/// No request writes more often: a renewal and a takeover are refused, the renewal is tried again, then an extension.
const MOST_WRITES: u32 = 4;
/// How long the old key still verifies after the last receipt by it, in seconds; docs/architecture.md tells operators.
const OLD_KEY_STAYS: u64 = 12 * 60;
/// The keys of signed cookies, the new one first.
const KEYS: &str = "0123456789abcdef0123456789abcdef,fedcba9876543210fedcba9876543210";

/// Which cookies viewers have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookies {
    /// Receipts: keys are configured.
    Receipts,
    /// Bare tokens: no keys are configured. The invariants do not hold then: what is lost is counted.
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
    Renewal(usize),
}

/// An instance of the edge function.
struct Edge {
    router: Router,
    /// The latest revision that it has read; that of the bundle's plan if it has read none.
    revision: u64,
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
    /// What the cookie of the session claims that the request is of.
    claim: Claim,
    /// The viewer's cookies when it was sent: its own session's, and that of the session under a pass.
    jars: [Option<Receipt>; 2],
    /// Whether the session under a pass was in progress when the viewer sent the request.
    is_in_progress_under_pass: bool,
    /// Whether the edge followed a pass.
    is_under_pass: bool,
    incoming: Incoming,
    edge_now: u64,
    /// The latest revision that the edge had read when the request came.
    edge_revision: u64,
    look_up: Option<LookUp>,
    /// How often it has asked a replica.
    look_ups: u32,
    /// Whether one of these asked for a session.
    has_asked_for_session: bool,
    /// Whether a replica said what it has for the session.
    has_answer: bool,
    decision: Option<Decision>,
    revision: Option<u64>,
    /// The version and the instance that serves it.
    app: (usize, usize),
    pending: Option<Pending>,
    written: Written,
    writes: u32,
    /// Whether the last write failed.
    is_unwritten: bool,
    session: Session,
}

/// An answer that stays open. Its instance renews the session.
struct Stream {
    receipt: Receipt,
    app: (usize, usize),
    until: Millis,
    /// When a renewal was last tried.
    tried_at: Millis,
    /// Whether a renewal has failed.
    has_failed: bool,
    dice: u64,
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
    /// Whether a backup was ever restored.
    was_restored: bool,
    wrong_origins: Vec<(usize, Millis, Millis)>,
    /// The only edge that reads the format in which plans are written now; `None` if every edge reads it.
    format_reader: Option<usize>,
    /// The revisions that only one edge reads, and that edge.
    unreadable: Vec<(u64, usize)>,
    jar: Option<Receipt>,
    /// The cookie of the session under a pass.
    jar_under_pass: Option<Receipt>,
    /// The viewer's pass: the version, and when it is over.
    pass: Option<(usize, Millis)>,
    record: Vec<Truth>,
    flights: Vec<Flight>,
    streams: Vec<Stream>,
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
    let timing = timing(timeline);
    let edge = || Edge { router: router(design, timing, &first_plan), revision: 1, read_at: None, well_since: 0 };
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
        was_restored: false,
        wrong_origins: Vec::new(),
        format_reader: None,
        unreadable: Vec::new(),
        jar: None,
        jar_under_pass: None,
        pass: None,
        record: Vec::new(),
        flights: Vec::with_capacity(32),
        streams: Vec::new(),
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

fn timing(timeline: &Timeline) -> Timing {
    Timing { session_max_seconds: timeline.session_max_seconds, ..Timing::default() }
}

fn router(design: &(impl Design + ?Sized), timing: Timing, bundled: &Plan) -> Router {
    let config = RouterConfig::new(SessionCookie { timing, ..SessionCookie::new(None) }, bundled.clone());
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

    fn violate(&mut self, invariant: Invariant, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { invariant, at: self.now, what: what() });
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
            Job::Renewal(stream) => self.renew_stream(stream),
        }
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        self.say(|| event.what.to_string());
        match event.what {
            What::Request(request) => self.send(request),
            What::ClearCookies => (self.jar, self.jar_under_pass, self.pass) = (None, None, None),
            // Without keys there are no passes.
            What::Pass { version, lasts } if self.cookies == Cookies::Receipts => {
                self.pass = Some((version, now + lasts));
            }
            What::Pass { .. } => {}
            What::Outage { part, lasts } => self.tables.fail(part, now, now + lasts),
            What::WrongOrigin { version, lasts } => self.wrong_origins.push((version, now, now + lasts)),
            What::ColdStart { edge } => {
                let router = router(self.design, timing(self.timeline), &self.plans[0]);
                self.edges[edge] = Edge { router, revision: 1, read_at: None, well_since: now };
            }
            What::Restore { age } => {
                (self.is_restored, self.was_restored) = (true, true);
                self.tables.restore(now.saturating_sub(age), now);
                self.record.iter_mut().for_each(|truth| truth.renewed_by_stream = None);
                // Requests on their way may find the session in the backup only.
                for number in 0..self.flights.len() {
                    let Flight { claim, began, is_in_progress, .. } = self.flights[number];
                    if let (Claim::Receipt(receipt), true) = (claim, is_in_progress) {
                        self.flights[number].is_in_progress = self.is_in_progress(&receipt, began);
                    }
                }
            }
            What::NewFormat { reader } => self.format_reader = Some(reader),
            What::OldFormat => self.format_reader = None,
            What::Change(change) => self.change_plan(change),
        }
    }

    /// The operator changes the plan, unless the rules refuse that.
    fn change_plan(&mut self, change: Change) {
        let now = clock(self.now, 0);
        let Some(plan) = self.tables.plan().filter(|_| !self.tables.is_away(Part::Home, self.now)).cloned() else {
            return;
        };
        let before = self.plans.iter().rev().find(|before| before.revision() < plan.revision());
        for verb in verbs(change, &plan, before, now) {
            let Some(plan) = self.tables.plan() else { return };
            let last_revision = self.plans.iter().map(Plan::revision).max().unwrap_or(0);
            let next = match verb.apply(plan, last_revision, now) {
                Ok(next) => self.design.plan(next),
                Err(refusal) => {
                    self.tally.refused_changes += 1;
                    self.say(|| format!("  refused: {refusal}"));
                    return;
                }
            };
            self.tally.changes += 1;
            self.say(|| format!("  plan {} is in force: {}", next.revision(), in_words(&next)));
            if self.timeline.seed.is_multiple_of(SIGNED_ONE_IN) {
                self.compare_with_stored(&next);
            }
            self.unreadable.extend(self.format_reader.map(|reader| (next.revision(), reader)));
            self.is_restored = false;
            self.plans.push(next.clone());
            self.tables.put_plan(next, self.now, &mut self.rng);
        }
    }

    /// A plan that was stored must read back. In a format that this release does not know it is no plan.
    fn compare_with_stored(&mut self, plan: &Plan) {
        let mut stored = serde_json::to_value(plan).expect("a plan is a value");
        let read = |stored: &serde_json::Value| serde_json::from_value::<Plan>(stored.clone()).ok();
        let same = read(&stored);
        stored["format"] = (PLAN_FORMAT + 1).into();
        let unknown = read(&stored);
        if same.as_ref() != Some(plan) || unknown.is_some() {
            self.violate(Invariant::SamePlan, || format!("{plan:?} is read as {same:?} and {unknown:?}"));
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
            && let Some(truth) = self.truth_mut(token)
        {
            truth.visited = truth.visited.max(Some(began));
        }
        if let (Session::Here { receipt, .. }, 1.., true) = (session, request.stays_open, is_visit) {
            let (app, until) = (self.flights[number].app, self.now + request.stays_open);
            self.streams.push(Stream {
                receipt,
                app,
                until,
                tried_at: self.now,
                has_failed: false,
                dice: request.dice,
            });
            self.schedule(self.now + STREAM_ROUND, Job::Renewal(self.streams.len() - 1));
        }
        let Session::Here { receipt, is_new: true } = session else { return };
        if self.timeline.ignores_cookies {
            self.tally.begun += u64::from(receipt.started == receipt.touched);
            return;
        }
        let is_under_pass = self.flights[number].is_under_pass;
        let jar = if is_under_pass { self.jar_under_pass } else { self.jar };
        if let Some(jar) =
            jar.filter(|jar| !is_under_pass || jar.version == receipt.version).filter(|jar| jar.token != receipt.token)
            && self.is_in_progress(&jar, began)
        {
            let claimed = claimed_token(&claim);
            if claimed == Some(jar.token) && is_in_progress {
                self.tally.lost += 1;
                if self.cookies == Cookies::Receipts {
                    self.violate(Invariant::TenMinutes, || {
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
        let is_first = jar.is_none_or(|jar| jar.token != receipt.token);
        let is_begun = u64::from(is_first && receipt.started == receipt.touched);
        if is_under_pass {
            self.tally.begun_under_pass += is_begun;
            self.jar_under_pass = Some(receipt);
        } else {
            self.tally.begun += is_begun;
            self.jar = Some(receipt);
        }
    }
}

fn rules(version: usize, timing: Timing, cookies: Cookies) -> Rules {
    Rules { version: code(version), timing, has_keys: cookies == Cookies::Receipts }
}

/// What a cookie claims at a time: a receipt past its session's absolute end claims nothing.
fn claim_at(claim: Claim, timing: Timing, now: u64) -> Claim {
    match claim {
        Claim::Receipt(receipt) if timing.is_past_end(receipt.started, now) => Claim::Nothing,
        claim => claim,
    }
}

/// Whether the edge has found a session.
fn is_of_session(route: Route) -> bool {
    matches!(route, Route::Receipt | Route::Record | Route::Hint | Route::Moved)
}

fn claimed_token(claim: &Claim) -> Option<Token> {
    match claim {
        Claim::Receipt(receipt) => Some(receipt.token),
        Claim::Bare(tokens) => tokens.iter().next(),
        Claim::Nothing => None,
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
        StoredSession::Found(item) => words.push(item_in_words(item)),
        other => words.push(format!("{other:?}").to_lowercase()),
    }
    if look_up.is_plan_wanted {
        words.push(plan.map_or_else(|| "no plan".to_owned(), |plan| format!("plan {}", plan.revision())));
    }
    words.join("; ")
}

fn item_in_words(item: &SessionItem) -> String {
    let SessionItem { version, touched, expiration, .. } = item;
    let version = version.map_or_else(|| "no version".to_owned(), |version| format!("version {version}"));
    let since_begin = |time: &u64| time.saturating_sub(BEGIN);
    let (touched, ends) = (since_begin(touched), since_begin(expiration));
    format!("{version}, {}, touched at {touched} s, over at {ends} s", item.placed())
}

fn session_in_words(session: &Session) -> String {
    match session {
        Session::Here { receipt, is_new } => {
            let Receipt { token, version, placed, touched, .. } = receipt;
            let cookie = if *is_new { "a new receipt" } else { "no new receipt" };
            let touched = touched.saturating_sub(BEGIN);
            format!("session {} is on version {version}, {placed}, touched at {touched} s; {cookie}", token.short())
        }
        Session::Elsewhere { token, version } => {
            format!("session {} is elsewhere, on version {version}", token.short())
        }
        other => format!("{other:?}").to_lowercase(),
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8}.{:03} s  {}", self.at / 1_000, self.at % 1_000, self.text)
    }
}
