//! What the fuzzing targets do with a text from outside. No text may cause a panic, and what is
//! accepted must keep its promises.
//!
//! `cargo +nightly fuzz run event --features libfuzzer` searches for new texts. The texts in `corpus/` are
//! also replayed by a test, without the fuzzing engine.

use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use stickshift::theme::Theme;
use stickshift_contract::{Claim, Keys, Plan, SessionCookie, Token};
use stickshift_edge::{FunctionConfig, Request, Router, RouterConfig};

/// The time of the receipts in `corpus/`, in Unix seconds.
const NOW: u64 = 1_710_000_042;
/// The key that signed the receipts in `corpus/`.
const KEY: &str = "0123456789abcdef0123456789abcdef";
const PLAN: &str = include_str!("../corpus/plan/example");

fn keys() -> Keys {
    Keys::parse(KEY).expect("the key is long enough")
}

/// The request of an event: it is refused, it is a link, it needs a look-up, or it is routed to an origin of the plan.
pub fn event(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(mut request) = Request::parse(text) else { return };
    let plan: Plan = serde_json::from_str(PLAN).expect("the example is a plan");
    let router = Router::new(RouterConfig::new(SessionCookie::new(Some(keys())), plan.clone()));
    router.adopt(plan.clone(), NOW);
    if let Some(redirect) = router.redeem(&request, NOW) {
        let location = redirect.headers.values("location").next().expect("a way");
        let second = location.strip_prefix('/').expect("the same site").bytes().next();
        assert!(!matches!(second, Some(b'/' | b'\\')), "{location} leads to another site");
        assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location:?}");
        return;
    }
    if let stickshift_edge::Considered::Ready(knowledge) = router.consider(router.read(&request, NOW), NOW) {
        let decision = router.forward(&mut request, &knowledge, NOW, &mut SmallRng::seed_from_u64(1));
        let origin = plan.origin(decision.version).expect("a decision names a version of the plan");
        assert_eq!(request.headers.values("host").collect::<Vec<_>>(), [origin.domain.as_str()]);
        assert_eq!(request.headers.values("x-stickshift-version").collect::<Vec<_>>(), [decision.version.as_str()]);
        let changes = serde_json::to_value(request.changes()).expect("changes are JSON");
        assert_eq!(changes["origin"]["custom"]["domainName"], origin.domain.as_str());
        assert!(changes["origin"].get("s3").is_none());
    }
}

/// The values of Cookie headers, one a line. A receipt that is accepted can be signed to the same text again.
pub fn cookie(data: &[u8]) {
    let headers = || data.split(|&byte| byte == b'\n');
    let with_keys = SessionCookie::new(Some(keys()));
    if let Claim::Receipt(receipt) = with_keys.read(headers(), NOW, false) {
        let signed = keys().sign(&receipt);
        assert!(String::from_utf8_lossy(data).contains(&signed), "{signed} was not there");
    }
    assert!(!matches!(SessionCookie::new(None).read(headers(), NOW, true), Claim::Receipt(_)));
}

/// A receipt: it is refused, or signing it makes the same text.
pub fn receipt(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(receipt) = keys().verify(text) {
        assert_eq!(keys().sign(&receipt), text);
    }
}

/// A plan: it is refused, or it comes out as it went in and places every session.
pub fn plan(data: &[u8]) {
    let Ok(plan) = serde_json::from_slice::<Plan>(data) else { return };
    let text = serde_json::to_string(&plan).expect("a plan is JSON");
    assert_eq!(serde_json::from_str::<Plan>(&text).expect("what was written can be read"), plan);
    let mut rng = SmallRng::seed_from_u64(1);
    assert!(plan.origin(plan.pick(&mut rng)).is_some());
    let token = Token::parse("472ed977dc2fd2700dbb03a58634f789fd58d911").expect("a token");
    assert!(plan.origin(plan.pick_again(&token)).is_some());
}

/// The function's configuration: it is refused with a message, or it says what it sets.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let message = match FunctionConfig::parse(text) {
        Ok(config) => config.to_string(),
        Err(refusal) => refusal.to_string(),
    };
    assert!(!message.is_empty());
}

/// The four values of a theme, one a line: they are refused, or nothing in them can leave the style sheet.
pub fn theme(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines();
    let mut next = || lines.next().unwrap_or_default();
    if let Ok(theme) = Theme::new(next(), next(), next(), next()) {
        for value in [&theme.background, &theme.color, &theme.panel, &theme.font_family] {
            assert!(!value.contains(['<', '>', ';', '{', '}', '"', '\\', '/']), "{value}");
        }
    }
}
