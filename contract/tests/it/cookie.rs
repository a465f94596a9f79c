use proptest::prelude::*;
use stickshift_contract::{BareTokens, Claim, Placed, Receipt, SameSite, SessionCookie, Timing, Token, cookie_values};

use crate::{code, keys, receipt};

const TOKEN: &str = "472ed977dc2fd2700dbb03a58634f789fd58d911";

fn with_keys() -> SessionCookie {
    SessionCookie::new(Some(keys()))
}

fn without_keys() -> SessionCookie {
    SessionCookie { keys: None, ..with_keys() }
}

fn values(header: &str) -> Vec<&str> {
    cookie_values(header.as_bytes(), SessionCookie::NAME).collect()
}

fn claim(cookie: &SessionCookie, headers: &[&str]) -> Claim {
    cookie.read(headers.iter().map(|header| header.as_bytes()), receipt().touched + 5, false)
}

fn claim_by_https(cookie: &SessionCookie, headers: &[&str]) -> Claim {
    cookie.read(headers.iter().map(|header| header.as_bytes()), receipt().touched + 5, true)
}

fn bare(tokens: &[&str]) -> Claim {
    let tokens = tokens.iter().map(|token| Token::parse(token).expect("a token"));
    Claim::Bare(BareTokens::collect(tokens).expect("at least one"))
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
    assert_eq!(cookie_values(non_ascii[0], SessionCookie::NAME).collect::<Vec<_>>(), ["abc"]);
    let long = format!("pad={}; sessiontoken=abc", "x".repeat(8192));
    assert_eq!(values(&long), ["abc"]);
}

#[test]
fn with_keys_only_a_receipt_counts() {
    let signed = keys().sign(&receipt());
    let header = format!("sessiontoken={signed}");
    assert_eq!(claim(&with_keys(), &["theme=dark", &header]), Claim::Receipt(receipt()));
    assert_eq!(claim(&with_keys(), &[&format!("sessiontoken={TOKEN}")]), Claim::Nothing);
    assert_eq!(claim(&with_keys(), &[]), Claim::Nothing);
    let migrating = SessionCookie { accept_bare_tokens: true, ..with_keys() };
    assert_eq!(claim(&migrating, &[&format!("sessiontoken={TOKEN}")]), bare(&[TOKEN]));
    assert_eq!(
        claim(&migrating, &[&format!("sessiontoken={TOKEN}; sessiontoken={signed}")]),
        Claim::Receipt(receipt())
    );
    assert_eq!(
        claim(&migrating, &[&format!("sessiontoken={signed}; sessiontoken={TOKEN}")]),
        Claim::Receipt(receipt())
    );
}

#[test]
fn without_keys_every_bare_token_counts() {
    assert_eq!(claim(&without_keys(), &[&format!("sessiontoken={TOKEN}")]), bare(&[TOKEN]));
    assert_eq!(claim(&without_keys(), &[&format!("sessiontoken={}", keys().sign(&receipt()))]), Claim::Nothing);
    let [one, two, three, four, five] = ['1', '2', '3', '4', '5'].map(|digit| digit.to_string().repeat(40));
    let header = format!("sessiontoken=junk; sessiontoken={one}; sessiontoken={TOKEN}; sessiontoken={one}");
    assert_eq!(claim(&without_keys(), &[&header]), bare(&[&one, TOKEN]), "a junk cookie does not hide the session");
    let many = [&one, &two, &three, &four, &five].map(|token| format!("sessiontoken={token}")).join("; ");
    assert_eq!(claim(&without_keys(), &[&many]), bare(&[&one, &two, &three, &four]));
}

#[test]
fn by_https_only_the_prefixed_name_counts() {
    let theirs = Receipt { touched: receipt().touched + 3, version: code("2"), ..receipt() };
    let (ours, planted) = (keys().sign(&receipt()), keys().sign(&theirs));
    let both = format!("sessiontoken={planted}; __Host-sessiontoken={ours}");
    assert_eq!(claim_by_https(&with_keys(), &[&both]), Claim::Receipt(receipt()));
    assert_eq!(claim(&with_keys(), &[&both]), Claim::Receipt(receipt()), "the prefixed name wins by HTTP, too");
    let plain = format!("sessiontoken={planted}");
    assert_eq!(claim_by_https(&with_keys(), &[&plain]), Claim::Nothing, "a sibling domain can plant it");
    assert_eq!(claim(&with_keys(), &[&plain]), Claim::Receipt(theirs));
    let migrating = SessionCookie { accept_unprefixed_cookie: true, ..with_keys() };
    assert_eq!(claim_by_https(&migrating, &[&plain]), Claim::Receipt(theirs));
    assert_eq!(claim_by_https(&migrating, &[&both]), Claim::Receipt(receipt()));
    assert_eq!(claim_by_https(&without_keys(), &[&format!("sessiontoken={TOKEN}")]), bare(&[TOKEN]));
    let to_receipts = SessionCookie { accept_bare_tokens: true, ..with_keys() };
    let token = format!("sessiontoken={TOKEN}");
    assert_eq!(claim_by_https(&to_receipts, &[&token]), Claim::Nothing, "somebody's own token, planted");
    let both_switches = SessionCookie { accept_unprefixed_cookie: true, ..to_receipts };
    assert_eq!(claim_by_https(&both_switches, &[&token]), bare(&[TOKEN]));
}

#[test]
fn a_session_past_its_absolute_end_is_no_claim() {
    let timing = Timing { session_max_seconds: 60, ..Timing::default() };
    let limited = SessionCookie { timing, ..with_keys() };
    let header = |started: u64| format!("sessiontoken={}", keys().sign(&Receipt { started, ..receipt() }));
    let now = receipt().touched + 5;
    assert_eq!(claim(&limited, &[&header(now - 60)]), Claim::Nothing);
    assert!(matches!(claim(&limited, &[&header(now - 59)]), Claim::Receipt(_)));
    assert!(matches!(claim(&limited, &[&header(0)]), Claim::Receipt(_)), "an unknown begin has no end");
}

#[test]
fn the_newest_of_several_receipts_counts_and_forged_ones_do_not_hide_it() {
    let old = Receipt { touched: receipt().touched - 100, version: code("2"), ..receipt() };
    let placed = Placed { revision: receipt().placed.revision - 1, ..receipt().placed };
    let of_an_earlier_plan = Receipt { touched: receipt().touched + 50, version: code("3"), placed, ..receipt() };
    let [old, new, earlier] =
        [old, receipt(), of_an_earlier_plan].map(|receipt| format!("sessiontoken={}", keys().sign(&receipt)));
    for headers in [[&old, &new, &earlier], [&earlier, &new, &old], [&new, &earlier, &old]] {
        let headers = headers.map(String::as_str);
        assert_eq!(claim(&with_keys(), &headers), Claim::Receipt(receipt()));
        assert_eq!(
            claim(&with_keys(), &[&format!("sessiontoken=x; {}", headers.join("; "))]),
            Claim::Receipt(receipt())
        );
    }
}

#[test]
fn the_cookie_is_written_with_every_flag() {
    let signed = keys().sign(&receipt());
    let framed = SessionCookie { same_site: SameSite::None, ..with_keys() };
    for (cookie, is_https, written) in [
        (with_keys(), false, format!("sessiontoken={signed}; Path=/; HttpOnly; SameSite=Lax; Max-Age=86400")),
        (
            with_keys(),
            true,
            format!("__Host-sessiontoken={signed}; Path=/; HttpOnly; SameSite=Lax; Max-Age=86400; Secure"),
        ),
        (without_keys(), true, format!("sessiontoken={TOKEN}; Path=/; HttpOnly; SameSite=Lax; Max-Age=86400; Secure")),
        (
            framed.clone(),
            true,
            format!("__Host-sessiontoken={signed}; Path=/; HttpOnly; SameSite=None; Max-Age=86400; Secure"),
        ),
        (framed, false, format!("sessiontoken={signed}; Path=/; HttpOnly; SameSite=Lax; Max-Age=86400")),
    ] {
        assert_eq!(cookie.write(&receipt(), is_https), written);
    }
}

proptest! {
    #[test]
    fn no_header_makes_a_panic(headers in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..4), now: u64) {
        for cookie in [with_keys(), without_keys()] {
            let headers = headers.iter().map(Vec::as_slice);
            prop_assert!(!matches!(cookie.read(headers, now, false), Claim::Receipt(..)));
        }
    }

    /// In any order, in one header or several: the newest receipt under the prefixed name, or without one the newest
    /// under the plain name.
    #[test]
    fn the_order_of_cookies_means_nothing(
        cookies in prop::collection::vec((any::<bool>(), 0u64..100, 1u64..4, 0usize..3), 1..6), is_one_header: bool,
    ) {
        let receipts = cookies.iter().map(|(is_prefixed, age, revision, damage)| {
            let placed = Placed { revision: *revision, ..receipt().placed };
            let receipt = Receipt { touched: receipt().touched - age, placed, ..receipt() };
            let signed = keys().sign(&receipt);
            // Of three cookies, one has a tag that is cut short.
            let value = if *damage == 0 { &signed[..signed.len() - 1] } else { &signed };
            let name = if *is_prefixed { "__Host-sessiontoken" } else { "sessiontoken" };
            (format!("{name}={value}"), (*damage > 0).then_some((*is_prefixed, receipt)))
        });
        let (texts, valid): (Vec<_>, Vec<_>) = receipts.unzip();
        let headers = if is_one_header { vec![texts.join("; ")] } else { texts };
        let headers: Vec<_> = headers.iter().map(String::as_str).collect();
        let newest = |is_prefixed| {
            let of_name = valid.iter().flatten().filter(|(prefixed, _)| *prefixed == is_prefixed);
            of_name.map(|(_, receipt)| *receipt).max_by_key(Receipt::order).map(Claim::Receipt)
        };
        let by_https = newest(true).unwrap_or(Claim::Nothing);
        prop_assert_eq!(claim_by_https(&with_keys(), &headers), by_https);
        let by_http = newest(true).or_else(|| newest(false)).unwrap_or(Claim::Nothing);
        prop_assert_eq!(claim(&with_keys(), &headers), by_http);
    }

    #[test]
    fn a_receipt_is_found_among_other_cookies(before in "[ -:<-~]{0,40}", after in "[ -~]{0,40}") {
        let header = format!("{before}; sessiontoken={}; {after}", keys().sign(&receipt()));
        prop_assert_eq!(claim(&with_keys(), &[&header]), Claim::Receipt(receipt()));
    }
}
