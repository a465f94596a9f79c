//! A request at the app: the session rules, their writes, the receipt.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use stickshift_contract::{BareTokens, Claim, Kind, Placed, Placement, Plan, Route, Token, VersionCode};
use stickshift_session::{Change as WriteChange, Guard, Session, Step, Stored, Visit, Write, Written};

use super::{
    Cookies, Job, STREAM_ROUND, Stream, WRITE_TIMEOUT, World, claim_at, clock, is_of_session, item_in_words, rules,
    session_in_words, timing,
};
use crate::design::Design;
use crate::operator::code;
use crate::table::Effect;
use crate::timeline::{Part, WriteFate};
use crate::truth::{Invariant, Meaning, Placing, Truth};

impl<D: Design + ?Sized> World<'_, D> {
    /// A request arrives at the app.
    pub(super) fn at_app(&mut self, number: usize) {
        let flight = &mut self.flights[number];
        let Some(decision) = flight.decision else { return };
        let (version, instance) = flight.app;
        let now = clock(self.now, self.timeline.app_clocks[version][instance]);
        let kind = flight.request.kind;
        let visit = Visit {
            claim: claim_at(flight.claim, timing(self.timeline), now),
            kind,
            route: Some(decision.route),
            chosen: Some(decision.version),
            revision: flight.revision,
            from: decision.from,
            is_step: false,
        };
        let visit = self.design.visit(visit);
        let mut rng = StdRng::seed_from_u64(flight.request.dice);
        let step = rules(version, timing(self.timeline), self.cookies).enter(&visit, now, &mut rng);
        let is_written = matches!(step, Step::Write(_) | Step::Done(Session::New(_)));
        if is_written && (kind == Kind::Rest || decision.route == Route::Stray) {
            self.violate(Invariant::NoWrite, || format!("version {} writes on {}", version + 1, decision.route));
        }
        self.step(number, step);
    }

    /// Goes on after the session rules have answered.
    pub(super) fn step(&mut self, number: usize, step: Step) {
        let flight = &mut self.flights[number];
        match step {
            Step::Write(pending) => {
                flight.pending = Some(*pending);
                let takes = flight.rng.random_range(2..120);
                self.schedule(self.now + takes, Job::AtTable(number));
            }
            Step::Done(Session::New(receipt)) if !flight.request.fails => {
                // It is written when the status of the answer is known.
                flight.pending = Some(rules(flight.app.0, timing(self.timeline), self.cookies).begin(receipt));
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
    pub(super) fn at_table(&mut self, number: usize) {
        let flight = &mut self.flights[number];
        let Some(pending) = flight.pending else { return };
        // Only the first write of a request has a fate of its own.
        let fate = if flight.writes == 0 { flight.request.write } else { WriteFate::Answered };
        flight.writes += 1;
        self.tally.writes += 1;
        let written_token = pending.write.claimed.receipt.token;
        let (is_under_pass, [own, under_pass]) = (flight.is_under_pass, flight.jars);
        let other = if is_under_pass { own } else { under_pass };
        let is_placed = pending.write.claimed.receipt.placed.placement != Placement::Other;
        if other.is_some_and(|jar| jar.token == written_token) || (is_under_pass && is_placed) {
            self.violate(Invariant::Apart, || format!("{:?} of {}", pending.write.guard, written_token.short()));
        }
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
    pub(super) fn write(&mut self, write: &Write) -> Written {
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
                    "  the table refuses {guard:?} of {token} by version {}: it has {}",
                    receipt.version,
                    match stored {
                        Stored::Item(item) => item_in_words(item),
                        Stored::Absent => "no item".to_owned(),
                        Stored::Unreadable => "an item that cannot be read".to_owned(),
                    }
                ),
                Written::Failed => String::new(),
            }
        });
        let Some((before, after)) = accepted else { return written };
        if let Some(before) = before {
            let now = clock(self.now, 0);
            let is_undone =
                *change == WriteChange::Put || (before.is_live(now + 60) && after.revision < before.revision);
            let is_over = !before.is_live(receipt.touched);
            if is_undone {
                self.violate(Invariant::Kept, || {
                    format!("{guard:?} by version {} replaces {before:?}", receipt.version)
                });
            } else if is_over && matches!(guard, Guard::RenewByToken | Guard::MoveByToken | Guard::Extend) {
                self.violate(Invariant::Ends, || {
                    format!("{guard:?} by version {} revives {before:?}", receipt.version)
                });
            }
        }
        if let (Some(version), true) = (after.version, *change != WriteChange::Extend) {
            self.place(receipt.token, version, after.placed(), false, after.touched);
        } else if let Some(truth) = self.truth_mut(receipt.token) {
            truth.touched = truth.touched.max(after.touched);
        }
        written
    }

    /// Takes a placement into the record.
    pub(super) fn place(
        &mut self,
        token: Token,
        version: VersionCode,
        placed: Placed,
        is_unwritten: bool,
        touched: u64,
    ) {
        let latest = clock(self.now, 0) + 30;
        let placing = Placing { token, version, placed, is_unwritten, touched, latest };
        match Truth::place(&mut self.record, &placing, &self.plans) {
            Meaning::Begun | Meaning::Same => {}
            Meaning::Moved => self.tally.moved += 1,
            Meaning::Stale => self.tally.stale += 1,
            Meaning::MovedTwice => self.tally.moved_twice += 1,
            // The backup does not have the placement that the session had.
            Meaning::Unbidden if self.was_restored => self.tally.moved_by_backup += 1,
            Meaning::Unbidden => self.violate(Invariant::Sticks, || {
                format!("token {} is on version {version} now ({placed}), and no plan moved it there", token.short())
            }),
        }
    }

    /// The app has the answer to a write.
    pub(super) fn answered(&mut self, number: usize) {
        let flight = &mut self.flights[number];
        let Some(pending) = flight.pending.take() else { return };
        let written = std::mem::replace(&mut flight.written, Written::Failed);
        flight.is_unwritten = written == Written::Failed;
        let mut rng = StdRng::seed_from_u64(flight.request.dice ^ 1);
        let step = rules(flight.app.0, timing(self.timeline), self.cookies).resume(pending, written, &mut rng);
        self.step(number, step);
    }

    /// An instance looks after an answer that stays open: it ends it, or renews its session.
    pub(super) fn renew_stream(&mut self, number: usize) {
        let Stream { receipt, app: (version, instance), until, tried_at, dice, .. } = self.streams[number];
        let now = clock(self.now, self.timeline.app_clocks[version][instance]);
        let is_home_away = self.tables.is_away(Part::Home, self.now);
        let keeps = |plan: &Plan| plan.keeps_sessions_of(code(version), Some(now));
        let is_out = !is_home_away && self.tables.plan().is_some_and(|plan| !keeps(plan));
        if self.now >= until || is_out {
            self.say(|| format!("a stream of {} at version {} ends", receipt.token.short(), version + 1));
            return;
        }
        self.schedule(self.now + STREAM_ROUND, Job::Renewal(number));
        let timing = timing(self.timeline);
        if self.now - tried_at < timing.touch_interval_seconds * 1_000 {
            return;
        }
        self.streams[number].tried_at = self.now;
        let claim = match self.cookies {
            Cookies::Receipts => Claim::Receipt(receipt),
            Cookies::Tokens => BareTokens::collect([receipt.token]).map_or(Claim::Nothing, Claim::Bare),
        };
        let visit =
            Visit { claim, kind: Kind::Visit, route: None, chosen: None, revision: None, from: None, is_step: false };
        let rules = rules(version, timing, self.cookies);
        let mut rng = StdRng::seed_from_u64(dice);
        let mut step = rules.enter(&visit, now, &mut rng);
        let mut is_written = false;
        let session = loop {
            match step {
                Step::Done(session) => break session,
                Step::Write(pending) => {
                    self.tally.writes += 1;
                    let written = if is_home_away { Written::Failed } else { self.write(&pending.write) };
                    is_written = matches!(written, Written::Done { .. });
                    self.streams[number].has_failed |= written == Written::Failed;
                    step = rules.resume(*pending, written, &mut rng);
                }
            }
        };
        self.tally.stream_renewals += u64::from(is_written);
        if let Session::Here { receipt, .. } = session {
            self.streams[number].receipt = receipt;
        }
        // The viewer's cookie is as old as before. So the viewer is there only as far as every replica knows.
        let (now, counts) = (self.now, is_written && !self.streams[number].has_failed);
        let truth = self.truth_mut(receipt.token);
        if let (true, Some(truth)) = (counts, truth) {
            truth.renewed_by_stream = Some(now);
        }
    }

    /// The app has decided what the session is, and issues a receipt if there is a new one.
    pub(super) fn issue(&mut self, number: usize) {
        let flight = &self.flights[number];
        let (session, is_unwritten, is_lost) = (flight.session, flight.is_unwritten, flight.request.is_lost);
        let is_dropped = flight.is_in_progress
            && flight.request.kind != Kind::Rest
            && session == Session::Absent
            && !flight.request.fails
            && flight.decision.is_some_and(|decision| is_of_session(decision.route) || decision.route == Route::Pass);
        self.say(|| format!("  the app's answer: {}", session_in_words(&session)));
        self.check_writes(number);
        if is_dropped && self.cookies == Cookies::Receipts {
            self.violate(Invariant::TenMinutes, || "the app finds no session".to_owned());
        }
        // The table has every other placement already.
        if let (Session::Here { receipt, is_new: true }, true, false) = (session, is_unwritten, is_lost) {
            self.place(receipt.token, receipt.version, receipt.placed, is_unwritten, receipt.touched);
        }
    }
}
