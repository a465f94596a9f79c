//! The logic of the article that Stickshift grew from, in the same timelines.
//!
//! The cookie is a token. The edge looks it up in the nearest replica: an item names the version, and without
//! one the version is drawn, 50 to 50. The app writes the item on every hit, whatever it held. Nobody looks at
//! the expiry. No step has error handling.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

use derive_more::AddAssign;
use rand::rngs::{SmallRng, StdRng};
use rand::{RngExt as _, SeedableRng as _};
use stickshift_contract::{Kind, Placement, SessionItem, Token, VersionCode};

use crate::operator::code;
use crate::table::Tables;
use crate::tally::write_rows;
use crate::timeline::{LookUpFate, Millis, Part, Request, Timeline, What, WriteFate};
use crate::world::SESSION_LASTS;

/// What becomes of sessions under the article's logic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, AddAssign)]
pub struct ArticleTally {
    /// Timelines.
    pub timelines: u64,
    /// Requests of a session in progress.
    pub in_session: u64,
    /// Those of them that another version answered than the one before.
    pub changed: u64,
    /// Changes because the replica had no item, so that the version was drawn again.
    pub drawn_again: u64,
    /// Changes because the item named another version: one of two requests at once had overwritten it.
    pub overwritten: u64,
    /// Requests that got an error, because no replica or the table did not answer.
    pub errors: u64,
    /// Requests more than ten minutes after the last visit that an item in the table still bound.
    pub outlived: u64,
}

/// A request on its way.
struct Flight {
    request: Request,
    token: Option<Token>,
    version: VersionCode,
    was_found: bool,
}

/// The session that the viewer has.
struct Seen {
    token: Token,
    version: VersionCode,
    at: Millis,
}

/// Plays a timeline by the article's logic. The operator's changes have no effect: there is no plan.
pub fn run_article(timeline: &Timeline, tally: &mut ArticleTally) {
    let mut tables = Tables::default();
    let mut rng = SmallRng::seed_from_u64(timeline.seed ^ 0x5eed);
    let mut jobs = BinaryHeap::new();
    for (index, event) in timeline.events.iter().enumerate() {
        jobs.push(Reverse((event.at, 0, index)));
    }
    let mut flights: Vec<Flight> = Vec::new();
    let (mut jar, mut seen) = (None::<Token>, None::<Seen>);
    tally.timelines += 1;
    while let Some(Reverse((now, stage, index))) = jobs.pop() {
        match (stage, timeline.events.get(index).map(|event| event.what)) {
            (0, Some(What::Request(request))) if request.kind != Kind::Rest => {
                let is_away = tables.is_away(Part::Replica(request.edge), now);
                if is_away || request.look_up == LookUpFate::Unanswered {
                    tally.errors += 1;
                    continue;
                }
                let found = jar.and_then(|token| tables.item_at(request.edge, token, now));
                let drawn = code(usize::from(SmallRng::seed_from_u64(request.dice).random_bool(0.5)));
                let version = found.and_then(|item| item.version).unwrap_or(drawn);
                if let Some(seen) = seen.as_ref().filter(|seen| Some(seen.token) == jar) {
                    let is_in_session = now < seen.at + SESSION_LASTS;
                    tally.in_session += u64::from(is_in_session);
                    tally.outlived += u64::from(!is_in_session && found.is_some());
                }
                flights.push(Flight { request, token: jar, version, was_found: found.is_some() });
                jobs.push(Reverse((now + rng.random_range(10..150), 1, flights.len() - 1)));
            }
            (0, Some(What::ClearCookies)) => jar = None,
            (0, Some(What::Outage { part, lasts })) => tables.fail(part, now, now + lasts),
            (0, _) => {}
            (1, _) => {
                let Flight { request, token, version, .. } = &mut flights[index];
                if tables.is_away(Part::Home, now) || request.write == WriteFate::Throttled {
                    tally.errors += 1;
                    continue;
                }
                let token = *token.get_or_insert_with(|| Token::generate(&mut StdRng::seed_from_u64(request.dice)));
                let item = SessionItem {
                    token,
                    version: Some(*version),
                    expiration: 0,
                    started: 0,
                    touched: 0,
                    revision: 0,
                    placement: Placement::Other,
                    failed: None,
                };
                tables.overwrite(item, now, &mut rng);
                jobs.push(Reverse((now + rng.random_range(10..400), 2, index)));
            }
            _ => {
                let Flight { request, token: Some(token), version, was_found } = flights[index] else { continue };
                if request.is_lost {
                    continue;
                }
                if let Some(seen) = seen.as_ref().filter(|seen| seen.token == token && now < seen.at + SESSION_LASTS)
                    && seen.version != version
                {
                    tally.changed += 1;
                    *(if was_found { &mut tally.overwritten } else { &mut tally.drawn_again }) += 1;
                }
                jar = Some(token);
                seen = Some(Seen { token, version, at: now });
            }
        }
    }
}

impl fmt::Display for ArticleTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_rows(
            f,
            &[
                ("timelines", self.timelines),
                ("requests of a session in progress", self.in_session),
                ("changes of the version", self.changed),
                ("  the version was drawn again", self.drawn_again),
                ("  the item was overwritten", self.overwritten),
                ("requests of sessions over ten minutes", self.outlived),
                ("requests that got an error", self.errors),
            ],
        )
    }
}
