use proptest::prelude::*;
use stickshift_contract::{Claim, Keys, Link, Pass, PassKeys, SessionCookie};

use crate::{KEY, code, keys, receipt};

const NOW: u64 = 1_710_000_000;

// Made with Python's hmac module.
const PASS_KEY: &str = "4b56412c1d17a1813ebd09ac18a918a55adcce4de3e5b6390ff1c61674919d29";
const PASS: &str = "2.1710007200.a57a96f03a37661360410a14235b622a";
const LINK: &str = "2.1710000600.1710007200.48721ba6dea11b2eff295c7f2a3ab32f";
const RECEIPT: &str =
    "472ed977dc2fd2700dbb03a58634f789fd58d911.1.41d.1710000000.1710000042.53b450ccab57660b6088feb40263a7e9";

fn pass() -> Pass {
    Pass { version: code("2"), expires: 1_710_007_200 }
}

fn link() -> Link {
    Link { pass: pass(), redeem_by: 1_710_000_600 }
}

#[test]
fn the_vectors_are_signed_and_read() {
    let keys = keys();
    let passes = keys.passes();
    assert_eq!((passes.signing_key(), passes.sign(&pass()).as_str()), (PASS_KEY, PASS));
    assert_eq!(passes.sign_link(&link()), LINK);
    assert_eq!((passes.verify(PASS, NOW), passes.verify_link(LINK, NOW)), (Some(pass()), Some(link())));
    assert_eq!(keys.sign_under_pass(&receipt()), RECEIPT);
    assert_eq!(keys.verify_under_pass(RECEIPT), Some(receipt()));
    let operators = PassKeys::parse(PASS_KEY).expect("a key");
    assert_eq!((operators.sign(&pass()).as_str(), operators.sign_link(&link()).as_str()), (PASS, LINK));
    assert!(PassKeys::parse(KEY).is_err(), "that is a receipt's key");
}

#[test]
fn a_text_of_one_kind_is_worth_nothing_as_another() {
    let keys = keys();
    assert_eq!(keys.passes().verify(LINK, NOW), None);
    assert_eq!(keys.passes().verify_link(PASS, NOW), None);
    assert_eq!(keys.verify(RECEIPT), None, "under a pass");
    assert_eq!(keys.verify_under_pass(&keys.sign(&receipt())), None, "without one");
    // With a field more or less, and the tag of the other kind.
    let tag = |text: &str| text.rsplit_once('.').expect("a tag").1.to_owned();
    assert_eq!(keys.passes().verify_link(&format!("2.1710000600.1710007200.{}", tag(PASS)), NOW), None);
    assert_eq!(keys.passes().verify(&format!("2.1710007200.{}", tag(LINK)), NOW), None);
}

#[test]
fn a_right_counts_until_its_end_and_for_no_longer_than_it_may_last() {
    let keys = keys();
    let passes = keys.passes();
    assert!(passes.verify(PASS, pass().expires - 1).is_some());
    assert_eq!(passes.verify(PASS, pass().expires), None);
    assert!(passes.verify_link(LINK, link().redeem_by - 1).is_some());
    assert_eq!(passes.verify_link(LINK, link().redeem_by), None);
    for (seconds, counts) in [(86_400, true), (86_460, true), (86_461, false), (u64::MAX - NOW, false)] {
        let long = Pass { expires: NOW + seconds, ..pass() };
        assert_eq!(passes.verify(&passes.sign(&long), NOW).is_some(), counts, "{seconds}");
    }
    for (seconds, counts) in [(600, true), (660, true), (661, false)] {
        let long = Link { redeem_by: NOW + seconds, ..link() };
        assert_eq!(passes.verify_link(&passes.sign_link(&long), NOW).is_some(), counts, "{seconds}");
    }
    let over = Link { pass: Pass { expires: NOW, ..pass() }, ..link() };
    assert_eq!(passes.verify_link(&passes.sign_link(&over), NOW), None, "the pass would be over");
}

#[test]
fn keys_rotate() {
    let other = "f".repeat(32);
    let rotated = Keys::parse(&format!("{other},{KEY}")).expect("keys");
    assert_eq!(rotated.passes().verify(PASS, NOW), Some(pass()));
    assert_eq!(rotated.passes().verify_link(LINK, NOW), Some(link()));
    assert_ne!(rotated.passes().sign(&pass()), PASS);
    assert_eq!(Keys::parse(&other).expect("a key").passes().verify(PASS, NOW), None);
}

#[test]
fn the_cookie_of_a_pass_follows_the_viewers_protocol() {
    let cookie = SessionCookie::new(Some(keys()));
    let read = |header: &str, is_https| cookie.read_pass([header.as_bytes()], NOW, is_https);
    for (header, by_http, by_https) in [
        (format!("a=1; stickshift-pass={PASS}"), true, false),
        (format!("__Host-stickshift-pass=\"{PASS}\"; b=2"), false, true),
        (format!("stickshift-pass=junk; stickshift-pass={PASS}"), true, false),
        (format!("stickshift-pass={LINK}; __Host-stickshift-pass={LINK}"), false, false),
        ("stickshift-pass=; stickshift-pass".to_owned(), false, false),
    ] {
        assert_eq!((read(&header, false).is_some(), read(&header, true).is_some()), (by_http, by_https), "{header}");
    }
    assert_eq!(
        cookie.write_pass(Some(pass()), NOW, true),
        [format!("__Host-stickshift-pass={PASS}; Path=/; HttpOnly; SameSite=Lax; Max-Age=7200; Secure")]
    );
    assert_eq!(
        cookie.write_pass(Some(pass()), NOW, false),
        [format!("stickshift-pass={PASS}; Path=/; HttpOnly; SameSite=Lax; Max-Age=7200")]
    );
    assert_eq!(
        cookie.write_pass(None, NOW, true),
        [
            "__Host-stickshift-pass=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0; Secure",
            "stickshift-pass=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"
        ]
    );
    let without_keys = SessionCookie::new(None);
    assert_eq!(without_keys.read_pass([format!("stickshift-pass={PASS}").as_bytes()], NOW, false), None);
    assert!(without_keys.write_pass(None, NOW, false).is_empty());
}

#[test]
fn a_session_under_a_pass_has_a_cookie_of_its_own() {
    let cookie = SessionCookie { accept_bare_tokens: true, ..SessionCookie::new(Some(keys())) };
    let (own, under_pass) = (cookie.write(&receipt(), true), cookie.under_pass().write(&receipt(), true));
    assert!(own.starts_with("__Host-sessiontoken=472e"), "{own}");
    assert!(under_pass.starts_with(&format!("__Host-sessiontoken-pass={RECEIPT}; Path=/; HttpOnly;")), "{under_pass}");
    let now = receipt().touched + 5;
    let claim = |cookie: &SessionCookie, header: &str| cookie.read([header.as_bytes()], now, true);
    let both = format!("{}; {}", own.split(';').next().expect("it"), under_pass.split(';').next().expect("it"));
    assert_eq!(claim(&cookie, &both), Claim::Receipt(receipt()));
    assert_eq!(claim(&cookie.under_pass(), &both), Claim::Receipt(receipt()));
    // Copied from one cookie to the other.
    let signed = keys().sign(&receipt());
    assert_eq!(claim(&cookie, &format!("__Host-sessiontoken={RECEIPT}")), Claim::Nothing);
    assert_eq!(claim(&cookie.under_pass(), &format!("__Host-sessiontoken-pass={signed}")), Claim::Nothing);
    let bare = format!("sessiontoken-pass={}", receipt().token.as_str());
    assert_eq!(cookie.under_pass().read([bare.as_bytes()], now, false), Claim::Nothing);
}

proptest! {
    #[test]
    fn any_other_text_is_no_pass(text in ".*", place in 0usize..50, byte in 0u8..128) {
        let keys = keys();
        prop_assert_eq!(keys.passes().verify(&text, NOW), None);
        prop_assert_eq!(keys.passes().verify_link(&text, NOW), None);
        let mut near = PASS.as_bytes().to_vec();
        let place = place % near.len();
        prop_assume!(near[place] != byte);
        near[place] = byte;
        prop_assert_eq!(keys.passes().verify(&String::from_utf8(near).expect("ASCII"), NOW), None);
    }
}
