use proptest::prelude::*;
use stickshift_contract::{Claim, Receipt, SessionCookie, Timing, Token, session_cookie_values};

use crate::{code, keys, receipt};

const TOKEN: &str = "472ed977dc2fd2700dbb03a58634f789fd58d911";

fn with_keys() -> SessionCookie {
    SessionCookie { keys: Some(keys()), accept_bare_tokens: false, timing: Timing::default() }
}

fn without_keys() -> SessionCookie {
    SessionCookie { keys: None, ..with_keys() }
}

fn values(header: &str) -> Vec<&str> {
    session_cookie_values(header.as_bytes()).collect()
}

fn claim(cookie: &SessionCookie, headers: &[&str]) -> Claim {
    cookie.read(headers.iter().map(|header| header.as_bytes()), receipt().touched + 5)
}

#[test]
fn cookies_of_every_shape_are_read() {
    assert_eq!(values("sessiontoken=abc"), ["abc"]);
    assert_eq!(values("theme=dark; sessiontoken=abc; lang=en"), ["abc"]);
    assert_eq!(values("theme=dark;sessiontoken=abc;lang=en"), ["abc"]);
    assert_eq!(values("sessiontoken = abc ;"), ["abc"]);
    assert_eq!(values("sessiontoken=\"abc\""), ["abc"]);
    assert_eq!(values("pad=a=b==; sessiontoken=a=b; x==="), ["a=b"]);
    assert_eq!(values("sessiontoken=a; sessiontoken=b"), ["a", "b"]);
    assert_eq!(values("sessiontoken="), [""]);
    assert_eq!(values("sessiontoken=\""), ["\""]);
    for none in
        ["", ";", "=", "sessiontoken", "xsessiontoken=abc", "sessiontokens=abc", "SessionToken=abc", "a=sessiontoken=b"]
    {
        assert_eq!(values(none), [""; 0], "{none}");
    }
    let non_ascii = [b"name=caf\xc3\xa9; bad=\xff\xfe; sessiontoken=abc; sessiontoken=\xff".as_slice()];
    assert_eq!(session_cookie_values(non_ascii[0]).collect::<Vec<_>>(), ["abc"]);
    let long = format!("pad={}; sessiontoken=abc", "x".repeat(8192));
    assert_eq!(values(&long), ["abc"]);
}

#[test]
fn with_keys_only_a_receipt_counts() {
    let signed = keys().sign(&receipt());
    let header = format!("sessiontoken={signed}");
    assert_eq!(claim(&with_keys(), &["theme=dark", &header]), Claim::Receipt(receipt(), 5));
    assert_eq!(claim(&with_keys(), &[&format!("sessiontoken={TOKEN}")]), Claim::Nothing);
    assert_eq!(claim(&with_keys(), &[]), Claim::Nothing);
    let migrating = SessionCookie { accept_bare_tokens: true, ..with_keys() };
    let token = Token::parse(TOKEN).expect("a token");
    assert_eq!(claim(&migrating, &[&format!("sessiontoken={TOKEN}")]), Claim::Bare(token));
    assert_eq!(
        claim(&migrating, &[&format!("sessiontoken={TOKEN}; sessiontoken={signed}")]),
        Claim::Receipt(receipt(), 5)
    );
    assert_eq!(
        claim(&migrating, &[&format!("sessiontoken={signed}; sessiontoken={TOKEN}")]),
        Claim::Receipt(receipt(), 5)
    );
}

#[test]
fn without_keys_only_a_bare_token_counts() {
    let token = Token::parse(TOKEN).expect("a token");
    assert_eq!(claim(&without_keys(), &[&format!("sessiontoken={TOKEN}")]), Claim::Bare(token));
    assert_eq!(claim(&without_keys(), &[&format!("sessiontoken={}", keys().sign(&receipt()))]), Claim::Nothing);
}

#[test]
fn the_newest_of_several_receipts_counts_and_forged_ones_do_not_hide_it() {
    let old = Receipt { touched: receipt().touched - 100, version: code("2"), ..receipt() };
    let from_the_future = Receipt { touched: receipt().touched + 1000, version: code("3"), ..receipt() };
    let [old, new, future] =
        [old, receipt(), from_the_future].map(|receipt| format!("sessiontoken={}", keys().sign(&receipt)));
    for headers in [[&old, &new, &future], [&future, &new, &old], [&new, &future, &old]] {
        let headers = headers.map(String::as_str);
        assert_eq!(claim(&with_keys(), &headers), Claim::Receipt(receipt(), 5));
        assert_eq!(
            claim(&with_keys(), &[&format!("sessiontoken=x; {}", headers.join("; "))]),
            Claim::Receipt(receipt(), 5)
        );
    }
}

#[test]
fn the_cookie_is_written_with_every_flag() {
    let signed = keys().sign(&receipt());
    assert_eq!(
        with_keys().write(&receipt(), false),
        format!("sessiontoken={signed}; Path=/; HttpOnly; SameSite=Lax; Max-Age=720")
    );
    assert_eq!(
        without_keys().write(&receipt(), true),
        format!("sessiontoken={TOKEN}; Path=/; HttpOnly; SameSite=Lax; Max-Age=720; Secure")
    );
}

proptest! {
    #[test]
    fn no_header_makes_a_panic(headers in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..4), now: u64) {
        for cookie in [with_keys(), without_keys()] {
            let headers = headers.iter().map(Vec::as_slice);
            prop_assert!(!matches!(cookie.read(headers, now), Claim::Receipt(..)));
        }
    }

    #[test]
    fn a_receipt_is_found_among_other_cookies(before in "[ -:<-~]{0,40}", after in "[ -~]{0,40}") {
        let header = format!("{before}; sessiontoken={}; {after}", keys().sign(&receipt()));
        prop_assert_eq!(claim(&with_keys(), &[&header]), Claim::Receipt(receipt(), 5));
    }
}
