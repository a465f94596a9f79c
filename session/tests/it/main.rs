//! The session rules as tables: what a request claims, what follows from it.

mod guard;
mod properties;
mod rules;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use stickshift_contract::{Placed, Placement, Receipt, SessionItem, Token, VersionCode};

const NOW: u64 = 1_710_000_000;

fn code(text: &str) -> VersionCode {
    VersionCode::parse(text).expect("a version code")
}

fn token() -> Token {
    Token::generate(&mut StdRng::seed_from_u64(1))
}

fn drawn(revision: u64) -> Placed {
    Placed { revision, placement: Placement::Drawn }
}

/// A receipt that `version` issued `age` seconds ago, for a session drawn under revision 41.
fn receipt(version: &str, age: u64) -> Receipt {
    let touched = NOW - age;
    Receipt { token: token(), version: code(version), placed: drawn(41), started: touched - 7, touched }
}

/// The item that was written together with a receipt.
fn item(version: &str, age: u64) -> SessionItem {
    item_of(&receipt(version, age))
}

fn item_of(receipt: &Receipt) -> SessionItem {
    let Receipt { token, version, placed, started, touched } = *receipt;
    SessionItem {
        token,
        version: Some(version),
        expiration: touched + 720,
        started,
        touched,
        revision: placed.revision,
        placement: placed.placement,
        failed: None,
    }
}
