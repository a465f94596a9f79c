//! The router while replicas refuse, hang, throttle or lag.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use stickshift::clock::unix_now;
use stickshift::local::machine::EmbeddedDynamoDb;
use stickshift::store::DynamoDb;
use stickshift_contract::{Plan, ROLLOUT_TABLE, Receipt, Route, SESSIONS_TABLE};
use stickshift_edge::replicas::{Replicas, route, warm};
use stickshift_edge::{Decision, Request, Router, RouterConfig};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::faulty::{hanging, refusing, throttling, unprocessing};
use crate::support::{as_cookie, code, dynamodb, put_as_plan, put_session, receipt, session_item, settings, token};
use crate::wire::Wire;

/// New sessions go to version 2 by this plan; version 1 is stable.
fn plan() -> Value {
    let origin = |domain: &str| json!({ "domain": domain, "port": 80, "protocol": "http" });
    json!({ "revision": 1, "stable": "1", "versions": {
        "1": { "origin": origin("one.example.org"), "weight_basis_points": 0, "state": "live" },
        "2": { "origin": origin("two.example.org"), "weight_basis_points": 10_000, "state": "live" },
    }})
}

/// The same versions the other way round, so that a decision by the bundle's weights would show.
fn bundled() -> Plan {
    let mut plan = plan();
    plan["versions"]["1"]["weight_basis_points"] = json!(10_000);
    plan["versions"]["2"]["weight_basis_points"] = json!(0);
    serde_json::from_value(plan).expect("a plan")
}

fn config(plan_ttl_seconds: u64) -> RouterConfig {
    RouterConfig { plan_ttl_seconds, ..RouterConfig::new(settings("1").shared.cookie, bundled()) }
}

/// A router and the replicas that it asks, with a plan that is never cached.
struct Edge {
    router: Router,
    replicas: Replicas,
}

impl Edge {
    fn new(endpoints: &[&str], deadline: Duration) -> Self {
        let clients = endpoints.iter().map(|endpoint| DynamoDb::at(endpoint).look_up_client()).collect();
        Self { router: Router::new(config(0)), replicas: Replicas { deadline, ..Replicas::new(clients) } }
    }

    /// Where somebody answers, the machine may be too busy with other tests for 250 ms.
    fn patient(endpoints: &[&str]) -> Self {
        Self::new(endpoints, Duration::from_secs(10))
    }

    /// The default deadline, for endpoints that do not answer.
    fn hurried(endpoint: &str) -> Self {
        Self::new(&[endpoint, endpoint], Duration::from_millis(250))
    }

    async fn route(&self, cookie: &str) -> (String, Route) {
        let mut request = request(cookie);
        let begin = Instant::now();
        let decision = self.route_at(&mut request, unix_now()).await;
        // The deadline is 250 ms. A machine that is busy with other tests may take longer, a call that hangs
        // must not.
        assert!(begin.elapsed() < Duration::from_secs(5), "it took {:?}", begin.elapsed());
        let host: Vec<&str> = request.headers.values("host").collect();
        let expected = if decision.version.as_str() == "1" { "one.example.org" } else { "two.example.org" };
        assert_eq!(host, [expected]);
        (decision.version.to_string(), decision.route)
    }

    async fn route_at(&self, request: &mut Request, now: u64) -> Decision {
        route(&self.router, &self.replicas, request, now, &mut StdRng::seed_from_u64(1)).await
    }
}

/// A DynamoDB with the plan and a session, and the session's cookie. Only the item knows that the session is on
/// version 1.
async fn session_on_1() -> (EmbeddedDynamoDb, String) {
    let (dynamodb, client) = dynamodb().await;
    put_as_plan(&client, plan()).await;
    put_session(&client, &session_item(&receipt("1", 100))).await;
    (dynamodb, as_cookie(&receipt("2", 110)))
}

fn request(cookie: &str) -> Request {
    let mut event = crate::golden::event();
    let mut request: Request = serde_json::from_value(event["Records"][0]["cf"]["request"].take()).expect("a request");
    request.headers.set("Cookie", cookie.to_owned());
    request
}

fn went(version: &str, route: Route) -> (String, Route) {
    (version.to_owned(), route)
}

#[actix_web::test]
async fn a_record_is_found_and_the_plan_read_in_the_same_call() {
    let (dynamodb, client) = dynamodb().await;
    put_as_plan(&client, plan()).await;
    let ours = receipt("1", 100);
    put_session(&client, &session_item(&ours)).await;
    let edge = Edge::patient(&[dynamodb.endpoint()]);
    assert_eq!(edge.route(&as_cookie(&ours)).await, went("1", Route::Record));
    assert_eq!(edge.route("").await, went("2", Route::Roll), "by the table's plan");
    assert_eq!(edge.route(&as_cookie(&Receipt { version: code("9"), ..ours })).await, went("1", Route::Record));
    let removed = Receipt { token: token(9), version: code("9"), ..ours };
    assert_eq!(edge.route(&as_cookie(&removed)).await, went("2", Route::Moved), "a receipt from a removed version");
}

#[actix_web::test]
async fn with_no_replica_the_receipt_decides_and_new_sessions_go_to_stable() {
    let (hanging, _listener) = hanging();
    for endpoint in [refusing(), hanging, throttling(), unprocessing()] {
        let edge = Edge::hurried(&endpoint);
        assert_eq!(edge.route(&as_cookie(&receipt("2", 10))).await, went("2", Route::Receipt), "{endpoint}");
        assert_eq!(edge.route(&as_cookie(&receipt("2", 100))).await, went("2", Route::Hint), "{endpoint}");
        assert_eq!(edge.route("").await, went("1", Route::Fallback), "{endpoint}");
    }
}

#[actix_web::test]
async fn where_the_nearest_replica_fails_the_next_one_answers() {
    let (dynamodb, cookie) = session_on_1().await;
    let (hanging, _listener) = hanging();
    for nearest in [refusing(), hanging, throttling(), unprocessing()] {
        let decision = Edge::patient(&[&nearest, dynamodb.endpoint()]).route(&cookie).await;
        assert_eq!(decision, went("1", Route::Record), "{nearest}");
    }
}

#[actix_web::test]
async fn an_attempt_that_fails_does_not_wait_for_the_hedge() {
    let (dynamodb, cookie) = session_on_1().await;
    let refusing = refusing();
    // A hedge delay as long as the deadline is valid.
    let mut edge = Edge::patient(&[&refusing, dynamodb.endpoint()]);
    edge.replicas.hedge_delay = edge.replicas.deadline;
    // `route` allows half of the deadline.
    assert_eq!(edge.route(&cookie).await, went("1", Route::Record));
}

#[actix_web::test]
async fn a_throttled_table_gets_a_pause() {
    let (dynamodb, cookie) = session_on_1().await;
    let mut edge = Edge::patient(&[&throttling(), dynamodb.endpoint()]);
    edge.replicas.hedge_delay = Duration::from_millis(500);
    let begin = Instant::now();
    assert_eq!(edge.route(&cookie).await, went("1", Route::Record));
    assert!(begin.elapsed() >= edge.replicas.hedge_delay, "{:?}", begin.elapsed());
}

#[actix_web::test]
async fn attempts_that_fail_hide_no_later_answer_of_another() {
    let (dynamodb, cookie) = session_on_1().await;
    let slow = Wire::opening_after(dynamodb.endpoint(), Duration::from_secs(3)).await;
    let mut edge = Edge::patient(&[&slow.url, &refusing()]);
    edge.replicas.hedge_delay = Duration::from_secs(2);
    // The first attempt has its connection by then. The third one gets none.
    let refuse = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        slow.refuse(true);
    };
    let (decision, ()) = tokio::join!(edge.route(&cookie), refuse);
    assert_eq!(decision, went("1", Route::Record));
}

#[actix_web::test]
async fn an_attempt_that_hangs_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let edge = Edge::hurried(&url);
    assert_eq!(edge.route(&as_cookie(&receipt("2", 100))).await, went("2", Route::Hint));
    let (mut connection, _) = listener.accept().await.expect("the first attempt");
    let begin = Instant::now();
    let read_to_end = async { while let Ok(1..) = connection.read_buf(&mut Vec::new()).await {} };
    tokio::time::timeout(2 * Replicas::ATTEMPT_LIMIT, read_to_end).await.expect("it is closed");
    assert!(begin.elapsed() > Replicas::ATTEMPT_LIMIT / 2, "it goes on for a while: {:?}", begin.elapsed());
}

#[actix_web::test]
async fn a_replica_too_far_to_be_reached_in_time_is_reached_the_next_time() {
    let (dynamodb, cookie) = session_on_1().await;
    for viewer_goes_away in [false, true] {
        let far = Wire::opening_after(dynamodb.endpoint(), Duration::from_millis(1500)).await;
        let edge = Edge::new(&[&far.url], Duration::from_secs(1));
        if viewer_goes_away {
            let answer = tokio::time::timeout(Duration::from_millis(100), edge.route(&cookie)).await;
            assert!(answer.is_err());
        } else {
            assert_eq!(edge.route(&cookie).await, went("2", Route::Hint));
        }
        // The connection goes on being opened, though nobody waits for it any more.
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(edge.route(&cookie).await, went("1", Route::Record), "{viewer_goes_away}");
    }
}

#[actix_web::test]
async fn the_viewers_host_can_be_kept() {
    let (dynamodb, client) = dynamodb().await;
    put_as_plan(&client, plan()).await;
    let router = Router::new(RouterConfig { keep_viewer_host: true, ..config(5) });
    router.adopt(bundled(), unix_now());
    let edge = Edge { router, ..Edge::patient(&[dynamodb.endpoint()]) };
    let mut request = request("");
    request.headers.set("Host", "www.example.org".to_owned());
    let decision = edge.route_at(&mut request, unix_now()).await;
    assert_eq!((decision.version, decision.route), (code("1"), Route::Roll));
    assert_eq!(request.headers.values("host").collect::<Vec<_>>(), ["www.example.org"]);
    assert_eq!(
        request.origin.and_then(|origin| origin.custom).expect("an origin").domain_name.as_deref(),
        Some("one.example.org")
    );
}

#[actix_web::test]
async fn a_replica_that_lags_is_no_reason_to_roll_again() {
    let (dynamodb, client) = dynamodb().await;
    put_as_plan(&client, plan()).await;
    let edge = Edge::patient(&[dynamodb.endpoint()]);
    let newer = receipt("1", 100);
    assert_eq!(edge.route(&as_cookie(&newer)).await, went("1", Route::Hint), "it has not heard of the session");
    let older = Receipt { version: code("2"), touched: newer.touched - 60, ..newer };
    put_session(&client, &session_item(&older)).await;
    assert_eq!(edge.route(&as_cookie(&newer)).await, went("1", Route::Hint), "it has not heard of the last write");
}

#[actix_web::test]
async fn a_plan_that_breaks_a_rule_is_passed_over_for_the_last_one_known() {
    let (dynamodb, client) = dynamodb().await;
    put_as_plan(&client, plan()).await;
    let edge = Edge::patient(&[dynamodb.endpoint()]);
    let mut now = unix_now();
    warm(&edge.router, &edge.replicas, now).await;
    let mut broken = bundled_as_json(2);
    broken["versions"]["1"]["weight_basis_points"] = json!(9_999);
    let bad = [broken, json!({ "revision": "two" }), json!({})].map(|bad| (bad, "2"));
    let good = [(bundled_as_json(2), "1"), (serde_json::to_value(plan()).expect("JSON"), "1")];
    // The last plan is an older one again, from a replica that lags.
    for (plan, version) in bad.into_iter().chain(good) {
        put_as_plan(&client, plan.clone()).await;
        // After a failed read the edge pauses: up to the deadline and a second.
        now += 20;
        let decision = edge.route_at(&mut request(""), now).await;
        assert_eq!((decision.version.as_str(), decision.route), (version, Route::Roll), "{plan}");
    }
}

fn bundled_as_json(revision: u64) -> Value {
    let mut plan = serde_json::to_value(bundled()).expect("JSON");
    plan["revision"] = json!(revision);
    plan
}

#[actix_web::test]
async fn a_viewers_own_routing_headers_are_replaced() {
    let (dynamodb, client) = dynamodb().await;
    put_as_plan(&client, plan()).await;
    let mut request = request("");
    request.headers.append("X-Stickshift-Route", "moved".to_owned());
    request.headers.append("x-stickshift-route", "record".to_owned());
    request.headers.append("X-Stickshift-Version", "7".to_owned());
    let edge = Edge::patient(&[dynamodb.endpoint()]);
    edge.route_at(&mut request, unix_now()).await;
    assert_eq!(request.headers.values("x-stickshift-route").collect::<Vec<_>>(), ["roll"]);
    assert_eq!(request.headers.values("x-stickshift-version").collect::<Vec<_>>(), ["2"]);
}

#[actix_web::test]
async fn a_session_refreshed_every_five_seconds_is_read_once_a_minute() {
    let (dynamodb, client) = dynamodb().await;
    put_as_plan(&client, plan()).await;
    let calls = Calls::default();
    let look_up_client = dynamodb.dynamodb().look_up_client();
    let counted = look_up_client.config().to_builder().interceptor(calls.clone()).build();
    let replicas = Replicas::new(vec![aws_sdk_dynamodb::Client::from_conf(counted)]);
    // A look-up that is late would be made twice, by the hedge.
    let patient = Replicas { hedge_delay: Duration::from_secs(9), deadline: Duration::from_secs(10), ..replicas };
    let edge = Edge { router: Router::new(config(5)), replicas: patient };
    let begin = unix_now();
    let mut session = Receipt { touched: begin, ..receipt("1", 0) };
    put_session(&client, &session_item(&session)).await;
    let mut writes = 0;
    for view in 1..=1000 {
        let now = begin + 5 * view;
        let mut request = request(&as_cookie(&session));
        let decision = edge.route_at(&mut request, now).await;
        assert_eq!(decision.version.as_str(), "1");
        // As the app does: see `an_older_receipt_is_written_and_renewed`.
        if now - session.touched >= 60 {
            session.touched = now;
            put_session(&client, &session_item(&session)).await;
            writes += 1;
        }
    }
    let look_ups = calls.of_sessions.load(Ordering::SeqCst);
    let plan_reads = calls.of_plans.load(Ordering::SeqCst);
    assert!((80..=84).contains(&look_ups) && writes <= 84, "{look_ups} look-ups, {writes} writes");
    assert!(plan_reads <= 510, "{plan_reads} plan reads in 5,000 seconds: one in 10 s");
    println!("1,000 views: {look_ups} look-ups, {writes} writes, {plan_reads} plan reads in 5,000 s");
}

#[actix_web::test]
async fn viewers_who_come_at_once_share_one_read_of_the_plan() {
    let (dynamodb, client) = dynamodb().await;
    put_as_plan(&client, plan()).await;
    let calls = Calls::default();
    let counted = dynamodb.dynamodb().look_up_client().config().to_builder().interceptor(calls.clone()).build();
    let replicas = Replicas::new(vec![aws_sdk_dynamodb::Client::from_conf(counted)]);
    let patient = Replicas { hedge_delay: Duration::from_secs(9), deadline: Duration::from_secs(10), ..replicas };
    let edge = Edge { router: Router::new(config(5)), replicas: patient };
    let begin = unix_now();
    for (now, reads) in [(begin, 1), (begin + 20, 2)] {
        let viewers = (0..50).map(|_| async {
            let decision = edge.route_at(&mut request(""), now).await;
            assert_eq!((decision.version, decision.route), (code("2"), Route::Roll), "nobody goes by an old plan");
        });
        futures_util::future::join_all(viewers).await;
        assert_eq!(calls.of_plans.load(Ordering::SeqCst), reads);
    }
}

/// Counts what DynamoDB is asked for.
#[derive(Debug, Clone, Default)]
struct Calls {
    of_sessions: Arc<AtomicU32>,
    of_plans: Arc<AtomicU32>,
}

impl Intercept for Calls {
    fn name(&self) -> &'static str {
        "calls"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.request().body().bytes().expect("a body in memory");
        let call: Value = serde_json::from_slice(body)?;
        for (table, counter) in [(SESSIONS_TABLE, &self.of_sessions), (ROLLOUT_TABLE, &self.of_plans)] {
            if let Some(keys) = call["RequestItems"].get(table) {
                let expression = keys["ProjectionExpression"].as_str().expect("only what is needed is read");
                assert!(!expression.is_empty());
                counter.fetch_add(1, Ordering::SeqCst);
            }
        }
        Ok(())
    }
}
