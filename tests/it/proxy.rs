//! The local CloudFront as a proxy: what arrives at the origin, what comes back, and how long it waits.

use std::time::Duration;

use actix_web::web;
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use stickshift::local::machine::Machine;
use stickshift::store::DynamoDb;

use crate::cli::{Up, peak_memory_kib};
use crate::support::{BUSY, Viewer, change_plan, machine_config, send, spawn_machine};
use crate::upstream::{header, spawn_app};

/// Puts an origin in the place of both versions.
async fn take_over(dynamodb: &DynamoDb, url: &str) {
    let port: u16 = url.rsplit(':').next().expect("a port").parse().expect("a number");
    change_plan(&dynamodb.client(), |plan| {
        plan["versions"]["1"]["origin"]["port"] = json!(port);
        plan["versions"]["2"]["origin"]["port"] = json!(port);
    })
    .await;
    // A request that may use an older plan uses one of the same second.
    actix_web::rt::time::sleep(Duration::from_millis(1100)).await;
}

async fn told(machine: &Machine, request: impl FnOnce(&Viewer) -> reqwest::RequestBuilder) -> Value {
    take_over(&machine.dynamodb.dynamodb(), &spawn_app()).await;
    let page = send(request(&Viewer::at(machine))).await;
    assert_eq!(page.status, 200, "{}", page.body);
    serde_json::from_str(&page.body).expect("JSON")
}

#[actix_web::test]
async fn the_origin_is_sent_what_the_viewer_sent_and_what_cloudfront_adds() {
    let machine = spawn_machine("50").await;
    let told = told(&machine, |viewer| {
        viewer
            .request("PATCH", "/a%20b/c?q=1&q=%2F&empty")
            .header("x-many", "1")
            .header("x-many", "2")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .header("cookie", reqwest::header::HeaderValue::from_bytes(b"name=caf\xc3\xa9").expect("a value"))
            .header("x-forwarded-for", "203.0.113.9")
            .header("connection", "keep-alive, x-private")
            .header("x-private", "for one connection only")
            .header("keep-alive", "timeout=5")
            .header("te", "trailers")
            .header("upgrade", "h2c")
            .header("proxy-authorization", "Basic Og==")
            .header("x-stickshift-route", "moved")
            .header("x-stickshift-version", "9")
    })
    .await;
    assert_eq!((&told["method"], &told["uri"]), (&json!("PATCH"), &json!("/a%20b/c?q=1&q=%2F&empty")));
    assert_eq!(header(&told, "x-many"), ["1", "2"]);
    assert_eq!(header(&told, "cookie"), ["a=1", "b=2", "name=café"]);
    assert_eq!(header(&told, "host"), ["localhost"]);
    assert_eq!(header(&told, "x-forwarded-for"), ["203.0.113.9, 127.0.0.1"]);
    assert_eq!(header(&told, "cloudfront-forwarded-proto"), ["http"]);
    assert_eq!(header(&told, "via"), ["1.1 stickshift.local (CloudFront)"]);
    assert_eq!(header(&told, "x-amz-cf-id").len(), 1);
    assert_eq!(header(&told, "x-stickshift-route"), ["stray"], "a PATCH cannot begin a session");
    assert_eq!(header(&told, "x-stickshift-version").len(), 1);
    for gone in ["x-private", "keep-alive", "te", "upgrade", "proxy-authorization", "transfer-encoding"] {
        assert_eq!(header(&told, gone), [""; 0], "{gone}");
    }
}

#[actix_web::test]
async fn the_viewer_gets_what_the_origin_sent_and_what_cloudfront_adds() {
    let machine = spawn_machine("50").await;
    take_over(&machine.dynamodb.dynamodb(), &spawn_app()).await;
    let response = Viewer::at(&machine).request("GET", "/").send().await.expect("a response");
    let headers = response.headers();
    assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
    assert_eq!(headers.get("keep-alive"), None);
    assert_eq!(headers["x-cache"], "Miss from cloudfront");
    assert_eq!(headers["via"], "1.1 stickshift.local (CloudFront)");
    assert_eq!(headers["x-amz-cf-id"].len(), 32);
    assert!(headers.contains_key("content-length"));
}

#[actix_web::test]
async fn an_origin_that_is_too_slow_is_a_504() {
    let mut config = machine_config();
    config.read_timeout_seconds = 1;
    let machine = Machine::start(config).await.expect("a machine");
    take_over(&machine.dynamodb.dynamodb(), &spawn_app()).await;
    let viewer = Viewer::at(&machine);
    let page = viewer.get("/dawdle/20000").await;
    assert_eq!((page.status, page.header("x-cache")), (504, "Error from cloudfront"));
    assert_eq!(viewer.get("/dawdle/0").await.body, "at last");
}

#[actix_web::test]
async fn a_hundred_megabytes_pass_both_ways_in_little_memory() {
    const SIZE: usize = 100 * 1024 * 1024;
    let _busy = BUSY.lock().await;
    let up = Up::start(&[], &[("STICKSHIFT_PLAN_TTL_SECONDS", "0")]);
    take_over(&DynamoDb::at(&up.dynamodb), &spawn_app()).await;
    let viewer = Viewer::new(&up.cloudfront);
    viewer.get("/").await;
    let before = peak_memory_kib(up.process_id());

    let part = web::Bytes::from_static(&[b'.'; 1024 * 1024]);
    let parts = move || {
        stream::iter(0..100).map({
            let part = part.clone();
            move |_| Ok::<_, std::io::Error>(part.clone())
        })
    };
    let chunked = viewer.request("POST", "/drink").body(reqwest::Body::wrap_stream(parts()));
    assert_eq!(send(chunked).await.body, SIZE.to_string());
    let sized =
        viewer.request("POST", "/drink").header("content-length", SIZE).body(reqwest::Body::wrap_stream(parts()));
    assert_eq!(send(sized).await.body, SIZE.to_string());
    let mut response = viewer.request("GET", &format!("/pour/{SIZE}")).send().await.expect("a response");
    let mut size = 0;
    while let Some(part) = response.chunk().await.expect("a part") {
        size += part.len();
    }
    assert_eq!(size, SIZE);

    let more = peak_memory_kib(up.process_id()) - before;
    assert!(more < 64 * 1024, "{more} KiB more");
    up.stop();
}

#[actix_web::test]
async fn a_viewer_who_leaves_stops_the_download() {
    let machine = spawn_machine("50").await;
    take_over(&machine.dynamodb.dynamodb(), &spawn_app()).await;
    let viewer = Viewer::at(&machine);
    for _ in 0..20 {
        let response = viewer.request("GET", &format!("/pour/{}", 1 << 30)).send().await.expect("a response");
        drop(response);
    }
    assert_eq!(viewer.get("/dawdle/0").await.body, "at last");
}
