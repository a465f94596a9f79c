//! What a request costs at the edge without I/O: `cargo bench --bench route`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value;
use stickshift_contract::{Keys, Placed, Plan, Receipt, SessionCookie, Token, VersionCode};
use stickshift_edge::{Incoming, PlanSource, Request, StoredSession, decide};

const NOW: u64 = 1_710_000_042;
const EVENT: &str = include_str!("../edge/tests/it/data/origin-request.json");

fn request(cookie: Option<String>) -> Request {
    let mut event: Value = serde_json::from_str(EVENT).expect("an event");
    let mut request: Request = serde_json::from_value(event["Records"][0]["cf"]["request"].take()).expect("a request");
    request.headers.remove("cookie");
    if let Some(cookie) = cookie {
        request.headers.set("Cookie", cookie);
    }
    request
}

fn route(criterion: &mut Criterion) {
    let keys = Keys::parse("0123456789abcdef0123456789abcdef").expect("a key");
    let mut rng = StdRng::seed_from_u64(1);
    let version = VersionCode::parse("1").expect("a code");
    let receipt = Receipt {
        token: Token::generate(&mut rng),
        version,
        placed: Placed::default(),
        started: NOW - 99,
        touched: NOW - 9,
    };
    let returning = request(Some(format!("theme=dark; sessiontoken={}; lang=en", keys.sign(&receipt))));
    let new = request(None);
    let cookie = SessionCookie::new(Some(keys.clone()));
    let plan: Plan = serde_json::from_str(
        r#"{ "revision": 1, "stable": "1", "versions": {
            "1": { "origin": { "domain": "a.example.org", "port": 80, "protocol": "http" },
                   "weight_basis_points": 9000, "state": "live" },
            "2": { "origin": { "domain": "b.example.org", "port": 80, "protocol": "http" },
                   "weight_basis_points": 1000, "state": "live" } } }"#,
    )
    .expect("a plan");
    let mut decision = |request: &Request| {
        let incoming = Incoming::read(request, &cookie, NOW);
        decide(
            &incoming,
            &StoredSession::Unasked,
            PlanSource::Table { plan: &plan, is_fresh: true },
            &cookie.timing,
            NOW,
            &mut rng,
        )
    };
    criterion.bench_function("route by receipt", |bencher| bencher.iter(|| decision(black_box(&returning))));
    criterion.bench_function("route by roll", |bencher| bencher.iter(|| decision(black_box(&new))));
    criterion.bench_function("sign a receipt", |bencher| bencher.iter(|| keys.sign(black_box(&receipt))));
}

criterion_group!(benches, route);
criterion_main!(benches);
