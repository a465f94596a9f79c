//! What the app, the edge and the operator agree on, tested from outside the crate.

mod bot;
mod cookie;
mod interval;
mod item;
mod kind;
mod pass;
mod plan;
mod pulse;
mod receipt;
mod tables;
mod token;
mod weight;

use stickshift_contract::{Keys, Placed, Placement, Receipt, Token, VersionCode};

/// The key of the vectors in `receipts.txt`.
const KEY: &str = "0123456789abcdef0123456789abcdef";

fn keys() -> Keys {
    Keys::parse(KEY).expect("a key of 32 characters")
}

fn code(text: &str) -> VersionCode {
    VersionCode::parse(text).expect("a version code")
}

fn receipt() -> Receipt {
    Receipt {
        token: Token::parse("472ed977dc2fd2700dbb03a58634f789fd58d911").expect("a token"),
        version: code("1"),
        placed: Placed { revision: 41, placement: Placement::Drawn },
        started: 1_710_000_000,
        touched: 1_710_000_042,
    }
}
