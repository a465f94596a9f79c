//! What happens in a timeline: viewer, operator and faults, each with all its random choices.

use std::fmt;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use stickshift_contract::Kind;

/// Milliseconds of virtual time since the timeline's begin.
pub type Millis = u64;

/// How many versions there are. Version 1 is stable at the begin.
pub(crate) const VERSIONS: usize = 3;
/// How many instances of the app serve a version.
pub(crate) const INSTANCES: usize = 2;
/// How many instances of the edge function there are. Each has a nearest replica of its own.
pub(crate) const EDGES: usize = 3;
/// No clock differs from the true time by more. So two clocks differ by at most 30 s.
const CLOCK_ERROR: i64 = 15_000;

/// One viewer with all tabs, from the first visit on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    /// The seed that it was drawn from.
    pub seed: u64,
    /// By how much each edge's clock is ahead of the true time, in milliseconds.
    pub edge_clocks: [i64; EDGES],
    /// By how much each app instance's clock is ahead of the true time, in milliseconds.
    pub app_clocks: [[i64; INSTANCES]; VERSIONS],
    /// The weights of versions 2 and 3 at the begin, in basis points. Version 1 has the rest. Version 3 is
    /// staged if it has none.
    pub weights: [u16; 2],
    /// How long a session may go on in all, in seconds; 0 for no end.
    pub session_max_seconds: u64,
    /// Whether the viewer's browser takes no cookies.
    pub ignores_cookies: bool,
    /// What happens, in the order of time.
    pub events: Vec<Event>,
}

/// Something that happens at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Millis,
    /// What.
    pub what: What,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The viewer sends a request.
    Request(Request),
    /// The viewer deletes all cookies.
    ClearCookies,
    /// The viewer redeems a link to a version.
    Pass {
        /// Index of the version.
        version: usize,
        /// How long the pass lasts, in milliseconds. With 0 the viewer gives the pass back.
        lasts: Millis,
    },
    /// The operator changes the plan.
    Change(Change),
    /// A part does not answer for a time.
    Outage {
        /// The part.
        part: Part,
        /// How long, in milliseconds.
        lasts: Millis,
    },
    /// An instance of the function ends, and a new one takes its place. Until it has read a plan, it has
    /// only that of the begin, from its bundle.
    ColdStart {
        /// Index of the instance.
        edge: usize,
    },
    /// For a time, the requests for a version arrive at another version.
    WrongOrigin {
        /// Index of the version.
        version: usize,
        /// How long, in milliseconds.
        lasts: Millis,
    },
    /// From now on, plans are written in a format that one edge reads and the others do not.
    NewFormat {
        /// Index of the edge.
        reader: usize,
    },
    /// From now on, plans are written in the format that every edge reads.
    OldFormat,
    /// The tables are replaced by a backup.
    Restore {
        /// How old the backup is, in milliseconds.
        age: Millis,
    },
}

/// A part that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The tables in the home region: nothing can be written.
    Home,
    /// A replica of the tables: it does not answer, and what is written meanwhile arrives when it is back.
    Replica(usize),
}

/// A request of the viewer, and what happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// What it may do to a session.
    pub kind: Kind,
    /// Whether it is for an asset of the page that the viewer has open.
    pub is_asset: bool,
    /// Whether it is a crawler's, who has no cookie.
    pub is_crawler: bool,
    /// How long its answer stays open, in milliseconds, as an event stream does. 0 for any other answer.
    pub stays_open: Millis,
    /// Index of the edge instance that it comes to.
    pub edge: usize,
    /// Index of the app instance that it comes to.
    pub instance: usize,
    /// Where all smaller choices come from: delays, draws, tokens.
    pub dice: u64,
    /// Another viewer's request made this edge read the plan so many milliseconds before.
    pub plan_age: Option<Millis>,
    /// What becomes of its look-ups.
    pub look_up: LookUpFate,
    /// What becomes of its first write.
    pub write: WriteFate,
    /// Whether the app answers with a 5xx.
    pub fails: bool,
    /// Whether the answer gets lost on its way to the viewer, for example when the app restarts.
    pub is_lost: bool,
}

/// What becomes of a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookUpFate {
    /// The nearest replica answers.
    Answered,
    /// The second nearest replica answers.
    Hedged,
    /// No replica answers by the deadline.
    Unanswered,
    /// The answer comes, but the function instance is frozen for so many milliseconds before it goes on.
    Frozen(Millis),
}

/// What becomes of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteFate {
    /// It arrives, and so does its answer.
    Answered,
    /// It is throttled: it has no effect.
    Throttled,
    /// It arrives, and its answer gets lost.
    AnswerLost,
    /// The app gives up, and the write arrives so many milliseconds later.
    Late(Millis),
    /// It is answered, and an earlier attempt of it arrives so many milliseconds later.
    Repeated(Millis),
}

/// What the operator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Gives version 2, or version 1 if 2 is stable, a share of new sessions, in basis points. A share takes a version
    /// back into service. The others get what is left at most.
    Ramp(u16),
    /// Sends all new sessions to a version, which becomes stable. The others get none, and their sessions
    /// stay.
    Promote(usize),
    /// A version gets no new sessions. Its sessions stay, or move after so many seconds.
    Drain(usize, Option<u64>),
    /// The sessions of a version move at once.
    Withdraw(usize),
    /// Puts the plan of the revision before in force again.
    Undo,
    /// The same plan gets another revision.
    Reissue,
    /// A version leaves the plan.
    Remove(usize),
}

impl Timeline {
    /// Draws a timeline.
    pub fn draw(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut clock = || rng.random_range(-CLOCK_ERROR..=CLOCK_ERROR);
        let edge_clocks = std::array::from_fn(|_| clock());
        let app_clocks = std::array::from_fn(|_| std::array::from_fn(|_| clock()));
        let weights = [[0, 0], [1_000, 0], [5_000, 0], [10_000, 0], [3_300, 3_300]][rng.random_range(0..5)];
        let events = Vec::with_capacity(48);
        let mut timeline =
            Self { seed, edge_clocks, app_clocks, weights, session_max_seconds: 0, ignores_cookies: false, events };
        let ends = timeline.draw_viewer(&mut rng);
        timeline.draw_operator(&mut rng, ends);
        if rng.random_bool(0.5) {
            timeline.draw_crowded_minute(&mut rng, ends);
        }
        timeline.draw_faults(&mut rng, ends);
        timeline.draw_rest(&mut SmallRng::seed_from_u64(!seed), ends);
        timeline.events.sort_by_key(|event| event.at);
        timeline
    }

    /// Draws what the viewer does. Returns when that ends.
    fn draw_viewer(&mut self, rng: &mut SmallRng) -> Millis {
        let is_rough = rng.random_bool(0.5);
        let usual_edge = rng.random_range(0..EDGES);
        let mut at = 5_000;
        let events = &mut self.events;
        let mut send = |rng: &mut SmallRng, at, kind, is_asset| {
            let what = What::Request(Request::draw(rng, kind, is_asset, usual_edge, is_rough));
            events.push(Event { at, what });
        };
        for index in 0..rng.random_range(5..=18) {
            match rng.random_range(0..100) {
                0..50 => send(rng, at, Kind::Document, false),
                // Several tabs, or the requests of a page that has just opened.
                50..68 => {
                    for _ in 0..rng.random_range(2..=3) {
                        let kind = if rng.random_bool(0.7) { Kind::Document } else { Kind::Visit };
                        let at = at + rng.random_range(0..400);
                        send(rng, at, kind, false);
                    }
                }
                68..88 => send(rng, at, if index == 0 { Kind::Document } else { Kind::Visit }, false),
                88..94 => send(rng, at, Kind::Rest, false),
                _ => send(rng, at, Kind::Rest, true),
            }
            at += 1_000
                * match rng.random_range(0..100) {
                    0..50 => rng.random_range(1..50),
                    50..75 => rng.random_range(50..100),
                    75..89 => rng.random_range(100..500),
                    89..95 => rng.random_range(560..640),
                    _ => rng.random_range(640..1_000),
                }
                + rng.random_range(0..1_000);
        }
        at
    }

    /// Draws what the operator does.
    fn draw_operator(&mut self, rng: &mut SmallRng, ends: Millis) {
        for _ in 0..rng.random_range(0..=3) {
            let at = rng.random_range(0..ends);
            self.events.push(Event { at, what: What::Change(Change::draw(rng)) });
            if rng.random_bool(0.3) {
                let at = at + rng.random_range(1_000..120_000);
                self.events.push(Event { at, what: What::Change(Change::Undo) });
            }
        }
    }

    /// Draws a minute in which much happens at once: the operator changes the plan more than once, and the
    /// viewer has several tabs, whose requests come to edges with different plans.
    fn draw_crowded_minute(&mut self, rng: &mut SmallRng, ends: Millis) {
        let begin = rng.random_range(0..ends);
        let is_rough = rng.random_bool(0.7);
        for _ in 0..rng.random_range(1..=3) {
            let at = begin + rng.random_range(0..60_000);
            let change = if rng.random_bool(0.3) { Change::Undo } else { Change::draw(rng) };
            self.events.push(Event { at, what: What::Change(change) });
        }
        for _ in 0..rng.random_range(3..=10) {
            let at = begin + rng.random_range(0..70_000);
            let kind = if rng.random_bool(0.7) { Kind::Document } else { Kind::Visit };
            for delay in [0, rng.random_range(0..2_000)].into_iter().take(rng.random_range(1..=2)) {
                let edge = rng.random_range(0..EDGES);
                let request = Request::draw(rng, kind, false, edge, is_rough);
                self.events.push(Event { at: at + delay, what: What::Request(request) });
            }
        }
    }

    /// Draws what few timelines have: streams, crawlers, an absolute end of sessions, passes, a browser without
    /// cookies, swings, a new format of plans.
    fn draw_rest(&mut self, rng: &mut SmallRng, ends: Millis) {
        if rng.random_bool(0.05) {
            self.session_max_seconds = rng.random_range(600..3_000);
        }
        if rng.random_bool(0.2) {
            for _ in 0..rng.random_range(1..=3) {
                let (at, edge) = (rng.random_range(0..ends), rng.random_range(0..EDGES));
                let request = Request::draw(rng, Kind::Visit, false, edge, false);
                let stays_open = 1_000 * rng.random_range(5..1_500);
                self.events.push(Event { at, what: What::Request(Request { stays_open, ..request }) });
            }
        }
        if rng.random_bool(0.1) {
            for _ in 0..rng.random_range(1..=3) {
                let (at, edge) = (rng.random_range(0..ends), rng.random_range(0..EDGES));
                let request = Request::draw(rng, Kind::Rest, false, edge, true);
                self.events.push(Event { at, what: What::Request(Request { is_crawler: true, ..request }) });
            }
        }
        if rng.random_bool(0.15) {
            for _ in 0..rng.random_range(1..=3) {
                let (at, version) = (rng.random_range(0..ends), rng.random_range(0..VERSIONS));
                let lasts = if rng.random_bool(0.2) { 0 } else { 1_000 * rng.random_range(5..3_000) };
                self.events.push(Event { at, what: What::Pass { version, lasts } });
            }
        }
        self.ignores_cookies = rng.random_bool(0.01);
        if rng.random_bool(0.05) {
            self.draw_swing(rng, ends);
        }
        if rng.random_bool(0.01) {
            self.draw_new_format(rng, ends);
        }
    }

    /// Draws a time in which only one edge reads the plans that are written.
    fn draw_new_format(&mut self, rng: &mut SmallRng, ends: Millis) {
        let begins = rng.random_range(0..ends);
        let over = begins + rng.random_range(5_000..900_000);
        let reader = rng.random_range(0..EDGES);
        let change = if rng.random_bool(0.5) { Change::Withdraw(1) } else { Change::draw(rng) };
        let events = [
            (begins, What::NewFormat { reader }),
            (begins + 1_000, What::Change(change)),
            (over, What::OldFormat),
            (over + 1, What::Change(Change::Reissue)),
            // The home region may have been away.
            (over + 60_000, What::Change(Change::Reissue)),
        ];
        self.events.extend(events.map(|(at, what)| Event { at, what }));
    }

    /// Draws up to 100 s in which the operator withdraws a version, takes it back, and withdraws the other one, while
    /// the viewer is there and writes come late.
    fn draw_swing(&mut self, rng: &mut SmallRng, ends: Millis) {
        let mut at = rng.random_range(0..ends);
        let (version, other) = if rng.random_bool(0.5) { (0, 1) } else { (1, 0) };
        let visit = |rng: &mut SmallRng, at| {
            let edge = rng.random_range(0..EDGES);
            Event { at, what: What::Request(Request::draw(rng, Kind::Document, false, edge, true)) }
        };
        let changes =
            [Change::Ramp(5_000), Change::Withdraw(version), Change::Promote(version), Change::Withdraw(other)];
        for change in changes {
            at += rng.random_range(500..25_000);
            self.events.push(Event { at, what: What::Change(change) });
            for _ in 0..rng.random_range(1..=4) {
                let delay = rng.random_range(0..15_000);
                self.events.push(visit(rng, at + delay));
            }
        }
    }

    /// Draws what goes wrong apart from single requests.
    fn draw_faults(&mut self, rng: &mut SmallRng, ends: Millis) {
        let mut happen = |rng: &mut SmallRng, probability, what: &dyn Fn(&mut SmallRng) -> What| {
            if rng.random_bool(probability) {
                let (at, what) = (rng.random_range(0..ends), what(rng));
                self.events.push(Event { at, what });
            }
        };
        happen(rng, 0.15, &|rng| What::Outage { part: Part::Home, lasts: rng.random_range(5_000..900_000) });
        for replica in 0..EDGES {
            let part = Part::Replica(replica);
            happen(rng, 0.08, &|rng| What::Outage { part, lasts: rng.random_range(1_000..600_000) });
        }
        happen(rng, 0.1, &|_| What::ClearCookies);
        happen(rng, 0.1, &|rng| What::ColdStart { edge: rng.random_range(0..EDGES) });
        happen(rng, 0.02, &|rng| What::WrongOrigin {
            version: rng.random_range(0..VERSIONS),
            lasts: rng.random_range(10_000..300_000),
        });
        happen(rng, 0.02, &|rng| What::Restore { age: rng.random_range(1_000..600_000) });
    }
}

impl Change {
    fn draw(rng: &mut SmallRng) -> Self {
        let version = rng.random_range(0..VERSIONS);
        match rng.random_range(0..100) {
            0..25 => Self::Ramp([0, 100, 1_000, 5_000, 10_000][rng.random_range(0..5)]),
            25..40 => Self::Promote(version),
            40..55 => Self::Drain(version, rng.random_bool(0.6).then(|| rng.random_range(0..600))),
            55..90 => Self::Withdraw(version),
            90..95 => Self::Remove(version),
            _ => Self::Undo,
        }
    }
}

impl Request {
    fn draw(rng: &mut SmallRng, kind: Kind, is_asset: bool, usual_edge: usize, is_rough: bool) -> Self {
        let edge = if rng.random_bool(0.7) { usual_edge } else { rng.random_range(0..EDGES) };
        let calm = Self {
            kind,
            is_asset,
            is_crawler: false,
            stays_open: 0,
            edge,
            instance: rng.random_range(0..INSTANCES),
            dice: rng.random(),
            plan_age: rng.random_bool(0.5).then(|| rng.random_range(0..10_000)),
            look_up: LookUpFate::Answered,
            write: WriteFate::Answered,
            fails: false,
            is_lost: false,
        };
        if !is_rough {
            return calm;
        }
        let look_up = match rng.random_range(0..100) {
            0..84 => LookUpFate::Answered,
            84..93 => LookUpFate::Hedged,
            93..98 => LookUpFate::Unanswered,
            _ => LookUpFate::Frozen(rng.random_range(1_000..15_000)),
        };
        let write = match rng.random_range(0..100) {
            0..85 => WriteFate::Answered,
            85..89 => WriteFate::Throttled,
            89..93 => WriteFate::AnswerLost,
            93..97 => WriteFate::Late(rng.random_range(100..120_000)),
            _ => WriteFate::Repeated(rng.random_range(100..120_000)),
        };
        Self { look_up, write, fails: rng.random_bool(0.03), is_lost: rng.random_bool(0.03), ..calm }
    }

    /// The same request with nothing that goes wrong.
    pub(crate) fn calm(self) -> Self {
        let (look_up, write) = (LookUpFate::Answered, WriteFate::Answered);
        Self { look_up, write, plan_age: None, fails: false, is_lost: false, ..self }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(request) => write!(f, "{request}"),
            Self::ClearCookies => f.write_str("the viewer deletes all cookies"),
            Self::Pass { lasts: 0, .. } => f.write_str("the viewer gives the pass back"),
            Self::Pass { version, lasts } => {
                write!(f, "the viewer has a pass to version {} for {} s", version + 1, lasts / 1_000)
            }
            Self::Change(change) => write!(f, "the operator: {change}"),
            Self::Outage { part: Part::Home, lasts } => write!(f, "the home region is away for {} s", lasts / 1_000),
            Self::Outage { part: Part::Replica(index), lasts } => {
                write!(f, "replica {index} is away for {} s", lasts / 1_000)
            }
            Self::ColdStart { edge } => write!(f, "edge {edge} starts anew, with the bundle's plan"),
            Self::WrongOrigin { version, lasts } => {
                write!(f, "the origin of version {} is wrong for {} s", version + 1, lasts / 1_000)
            }
            Self::NewFormat { reader } => write!(f, "plans come in a format that only edge {reader} reads"),
            Self::OldFormat => f.write_str("plans come in the format that every edge reads"),
            Self::Restore { age } => write!(f, "the tables are restored from a backup, {} s old", age / 1_000),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Rest if self.is_asset => "asset",
            Kind::Visit if self.stays_open > 0 => "stream",
            Kind::Document => "document",
            Kind::Visit => "visit",
            Kind::Rest => "subresource",
        };
        let who = if self.is_crawler { "a crawler" } else { "the viewer" };
        write!(f, "{who} requests a {kind} at edge {}", self.edge)?;
        if self.stays_open > 0 {
            write!(f, ", which stays open for {} s", self.stays_open / 1_000)?;
        }
        if let Some(age) = self.plan_age {
            write!(f, ", which read the plan {age} ms ago")?;
        }
        match self.look_up {
            LookUpFate::Answered => {}
            LookUpFate::Hedged => f.write_str("; the second replica answers")?,
            LookUpFate::Unanswered => f.write_str("; no replica answers")?,
            LookUpFate::Frozen(lasts) => write!(f, "; the edge freezes for {} s", lasts / 1_000)?,
        }
        match self.write {
            WriteFate::Answered => {}
            WriteFate::Throttled => f.write_str("; a write is throttled")?,
            WriteFate::AnswerLost => f.write_str("; the answer to a write gets lost")?,
            WriteFate::Late(by) => write!(f, "; a write arrives {by} ms late")?,
            WriteFate::Repeated(by) => write!(f, "; a write arrives again {by} ms later")?,
        }
        if self.fails {
            f.write_str("; the app answers with a 5xx")?;
        }
        if self.is_lost {
            f.write_str("; the answer gets lost")?;
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ramp(weight) => write!(f, "the canary gets {}.{:02} %", weight / 100, weight % 100),
            Self::Promote(version) => write!(f, "all new sessions go to version {}", version + 1),
            Self::Drain(version, None) => write!(f, "version {} drains", version + 1),
            Self::Drain(version, Some(seconds)) => write!(f, "version {} drains for {seconds} s", version + 1),
            Self::Withdraw(version) => write!(f, "version {} is withdrawn", version + 1),
            Self::Undo => f.write_str("back to the revision before"),
            Self::Reissue => f.write_str("the same plan again"),
            Self::Remove(version) => write!(f, "version {} leaves the plan", version + 1),
        }
    }
}
