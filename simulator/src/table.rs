//! The two global tables: what is written in the home region, and when each replica has it.

use rand::RngExt as _;
use rand::rngs::SmallRng;
use stickshift_contract::{Plan, SessionItem, Token};
use stickshift_session::{Write, Written};

use crate::design::Design;
use crate::timeline::{EDGES, Millis, Part};

/// It does not arrive.
const NEVER: Millis = Millis::MAX;

/// The tables in the home region and their replicas.
///
/// A replica keeps the item with the latest write that has arrived: the last writer wins, in whatever order
/// the writes arrive.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    /// Every write to an item, in the order of the home region.
    items: Vec<(SessionItem, Copies)>,
    /// Every plan that was put in force, in that order.
    plans: Vec<(Plan, Copies)>,
    /// Times in which a part does not answer.
    outages: Vec<(Part, Millis, Millis)>,
}

/// When a write happened, and when it arrives at each replica.
#[derive(Debug, Clone, Copy)]
struct Copies {
    written: Millis,
    arrives: [Millis; EDGES],
}

/// What a write did.
#[derive(Debug)]
pub(crate) struct Effect {
    /// How the table answers.
    pub(crate) written: Written,
    /// The item before, and after it if the write was accepted.
    pub(crate) accepted: Option<(Option<SessionItem>, SessionItem)>,
}

impl Tables {
    pub(crate) fn fail(&mut self, part: Part, from: Millis, until: Millis) {
        self.outages.push((part, from, until));
    }

    pub(crate) fn is_away(&self, part: Part, at: Millis) -> bool {
        self.back(part, at).is_some()
    }

    /// When a part that does not answer is back; `None` if it answers.
    fn back(&self, part: Part, at: Millis) -> Option<Millis> {
        let of_part = self.outages.iter().filter(|(out, from, until)| *out == part && (*from..*until).contains(&at));
        of_part.map(|(_, _, until)| *until).max()
    }

    /// Does a write in the home region, if its guard admits it.
    pub(crate) fn write(
        &mut self,
        design: &(impl Design + ?Sized),
        write: &Write,
        at: Millis,
        rng: &mut SmallRng,
    ) -> Effect {
        let stored = self.item(write.claimed.receipt.token);
        if !design.admits(write.guard, stored, &write.claimed) {
            let stored = stored.cloned().and_then(|item| design.stored(item, &write.claimed));
            let stored = stored.map_or(stickshift_session::Stored::Absent, stickshift_session::Stored::Item);
            return Effect { written: Written::Refused(stored), accepted: None };
        }
        let after = write.change.apply(stored, &write.claimed.receipt, write.expiration);
        let before = stored.cloned();
        let last_visit = before.as_ref().map(|item| item.touched);
        let written = Written::Done { started: after.started, placed: after.placed(), last_visit };
        let copies = self.copies(at, rng);
        self.items.push((after.clone(), copies));
        Effect { written, accepted: Some((before, after)) }
    }

    /// Writes an item, whatever was there.
    pub(crate) fn overwrite(&mut self, item: SessionItem, at: Millis, rng: &mut SmallRng) {
        let copies = self.copies(at, rng);
        self.items.push((item, copies));
    }

    /// Puts the plan of the begin in force. Every replica has it.
    pub(crate) fn put_first_plan(&mut self, plan: Plan) {
        self.plans.push((plan, Copies { written: 0, arrives: [0; EDGES] }));
    }

    /// Puts a plan in force.
    pub(crate) fn put_plan(&mut self, plan: Plan, at: Millis, rng: &mut SmallRng) {
        let copies = self.copies(at, rng);
        self.plans.push((plan, copies));
    }

    /// The item in the home region.
    fn item(&self, token: Token) -> Option<&SessionItem> {
        self.items.iter().rev().map(|(item, _)| item).find(|item| item.token == token)
    }

    /// The item in a replica.
    pub(crate) fn item_at(&self, replica: usize, token: Token, at: Millis) -> Option<&SessionItem> {
        let arrived = self.items.iter().rev().filter(|(_, copies)| copies.arrives[replica] <= at);
        arrived.map(|(item, _)| item).find(|item| item.token == token)
    }

    /// The plan in force in the home region.
    pub(crate) fn plan(&self) -> Option<&Plan> {
        self.plans.last().map(|(plan, _)| plan)
    }

    /// The plan in a replica.
    pub(crate) fn plan_at(&self, replica: usize, at: Millis) -> Option<&Plan> {
        let (plan, _) = self.plans.iter().rev().find(|(_, copies)| copies.arrives[replica] <= at)?;
        Some(plan)
    }

    /// From when on every replica has the plan with this revision or a later one.
    pub(crate) fn is_known_everywhere_since(&self, revision: u64) -> Millis {
        let later = self.plans.iter().filter(|(plan, _)| plan.revision() >= revision);
        let by_replica =
            (0..EDGES).map(|replica| later.clone().map(|(_, copies)| copies.arrives[replica]).min().unwrap_or(NEVER));
        by_replica.max().unwrap_or(NEVER)
    }

    /// Replaces everything by a backup of the time `backup`.
    pub(crate) fn restore(&mut self, backup: Millis, at: Millis) {
        let arrives = [at; EDGES];
        self.items.retain_mut(|(_, copies)| {
            copies.arrives = arrives;
            copies.written <= backup
        });
        self.plans.retain_mut(|(_, copies)| {
            copies.arrives = arrives;
            copies.written <= backup
        });
    }

    /// When a write of this time arrives at each replica: mostly in about a second, sometimes late, rarely
    /// never.
    fn copies(&self, at: Millis, rng: &mut SmallRng) -> Copies {
        let arrives = std::array::from_fn(|replica| {
            let lag = match rng.random_range(0..1_000) {
                0..900 => rng.random_range(100..1_500),
                900..990 => rng.random_range(1_500..60_000),
                990..998 => rng.random_range(60_000..900_000),
                _ => return NEVER,
            };
            self.back(Part::Replica(replica), at + lag).map_or(at + lag, |back| back + lag.min(1_000))
        });
        Copies { written: at, arrives }
    }
}
