//! The sidecar: what the app sees, what the viewer gets, and what stays open.

use std::time::{Duration, Instant};

use actix_web::rt::time::sleep;
use serde_json::{Value, json};
use stickshift::clock::unix_now;
use stickshift::local::machine::Machine;
use stickshift_contract::Timing;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::cli::Up;
use crate::support::{
    App, Page, Viewer, as_cookie, change_plan, count_sessions, dynamodb, machine_config, put_session, receipt, send,
    session_item, stored_session, token,
};
use crate::upstream::{exchange, header, read_until_pause, sidecar, spawn_app, spawn_echo, spawn_raw, upstream};

const PAUSE: Duration = Duration::from_secs(2);

async fn spawn(version: &str) -> App {
    App::spawn(sidecar(version, &spawn_app())).await
}

fn told(page: &Page) -> Value {
    assert_eq!(page.status, 200, "{}", page.body);
    serde_json::from_str(&page.body).expect("JSON")
}

#[actix_web::test]
async fn the_app_sees_the_viewers_request_and_three_headers_of_ours() {
    let app = spawn("2").await;
    let receipt = receipt("2", 5);
    let viewer = Viewer::new(&app.url);
    let request = viewer
        .request("PATCH", "/a%20b/c?q=1&q=%2F&empty")
        .header("cookie", format!("a=1; {}; b=2", as_cookie(&receipt)))
        .header("cookie", "stickshift-pass=2.1.f")
        .header("host", "shop.example")
        .header("x-forwarded-for", "203.0.113.9")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-proto", "ftp")
        .header("cloudfront-forwarded-proto", "https")
        .header("x-origin-verify", "secret")
        .header("x-stickshift-version", "2")
        .header("x-stickshift-route", "receipt")
        .header("x-stickshift-edge", "receipt=1")
        .header("x-stickshift-pass", "2.1.f")
        .header("x_stickshift_session", "00000000")
        .header("X-Stickshift_Version", "9")
        .header("x_forwarded_host", "evil.example")
        .header("forwarded", "host=evil.example")
        .header("proxy", "http://evil.example")
        .header("connection", "keep-alive, x-private")
        .header("x-private", "for one connection only")
        .header("te", "trailers")
        .header("x-many", "1")
        .header("x-many", "2");
    let told = told(&send(request).await);
    assert_eq!((&told["method"], &told["uri"]), (&json!("PATCH"), &json!("/a%20b/c?q=1&q=%2F&empty")));
    for (name, values) in [
        ("cookie", &["a=1; b=2"][..]),
        ("host", &["shop.example"]),
        ("x-forwarded-for", &["203.0.113.9, 127.0.0.1"]),
        ("x-forwarded-host", &["shop.example"]),
        ("x-forwarded-proto", &["https"]),
        ("x-many", &["1", "2"]),
        ("x-stickshift-version", &["2"]),
        ("x-stickshift-route", &["receipt"]),
        ("content-length", &["0"]),
    ] {
        assert_eq!(header(&told, name), values, "{name}");
    }
    // The receipt under the plain name does not count for a viewer who came by HTTPS.
    let gone = ["x-origin-verify", "x-stickshift-edge", "x-stickshift-pass", "x-private", "te", "x-stickshift-session"];
    let doubles = ["x_stickshift_session", "x-stickshift_version", "x_forwarded_host", "forwarded", "proxy"];
    let gone = gone.into_iter().chain(doubles);
    for name in gone {
        assert_eq!(header(&told, name), [""; 0], "{name}");
    }
}

#[actix_web::test]
async fn the_app_gets_its_own_host_and_the_sessions_first_digits() {
    let url = spawn_app();
    let mut settings = sidecar("2", &url);
    upstream(&mut settings).host = stickshift::settings::UpstreamHost::Upstream;
    let app = App::spawn(settings).await;
    let receipt = receipt("2", 5);
    let page = Viewer::new(&app.url).get_with("/", &[("cookie", &as_cookie(&receipt))]).await;
    let told = told(&page);
    assert_eq!(header(&told, "x-stickshift-session"), [receipt.token.short()]);
    assert_eq!(header(&told, "host"), [url.trim_start_matches("http://")]);
    assert_eq!(header(&told, "x-forwarded-host"), [app.url.trim_start_matches("http://")]);
    assert_eq!(header(&told, "cookie"), [""; 0]);
    assert!(!page.headers.contains_key("cache-control"), "nothing of ours is in this answer");
    assert_eq!(page.headers.get_all("set-cookie").iter().count(), 2);
}

#[actix_web::test]
async fn a_session_begins_by_an_answer_that_is_no_5xx() {
    let app = spawn("1").await;
    for (path, begins) in [("/fail/503", false), ("/fail/500", false), ("/fail/404", true), ("/", true)] {
        let page = Viewer::new(&app.url).get(path).await;
        let ours = |cookie: &&reqwest::header::HeaderValue| cookie.as_bytes().starts_with(b"sessiontoken=");
        assert_eq!(page.headers.get_all("set-cookie").iter().filter(ours).count(), usize::from(begins), "{path}");
        assert_eq!(page.header("cache-control") == "private, no-store", begins, "{path}");
    }
    assert_eq!(count_sessions(&app.client).await, 2);
}

#[actix_web::test]
async fn cookies_of_ours_that_the_app_sets_are_dropped() {
    let app = spawn("1").await;
    let page = Viewer::new(&app.url).get_with("/steal", &[("sec-fetch-dest", "image")]).await;
    let cookies: Vec<_> = page.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["theme=dark"]);
    assert_eq!(page.header("cache-control"), "public, max-age=60", "what carries no cookie of ours stays as it is");
}

#[actix_web::test]
async fn assets_have_the_prefix_of_the_version() {
    let mut settings = sidecar("2", &spawn_app());
    settings.shared.cookie.timing = Timing::default();
    let app = App::spawn(settings).await;
    assert_eq!(Viewer::new(&app.url).get("/_v/2/assets/app.js").await.status, 404, "no paths are named");

    let url = spawn_app();
    let up = Up::start(
        &["--app", &format!("1={url}"), "--app", &format!("2={url}")],
        &[("STICKSHIFT_ASSET_PATHS", "/assets/")],
    );
    let viewer = Viewer::new(&up.cloudfront);
    for version in ["1", "2"] {
        let page = viewer.get(&format!("/_v/{version}/assets/app.js?v=3")).await;
        let told = told(&page);
        assert_eq!(told["uri"], "/assets/app.js?v=3");
        assert_eq!(header(&told, "x-stickshift-version"), [version]);
        assert!(page.headers.get_all("set-cookie").iter().all(|cookie| !cookie.as_bytes().starts_with(b"sess")));
    }
    for path in [
        "/_v/1/",
        "/_v/1/admin",
        "/_v/1/assets",
        "/_v/1/assets/..%2fadmin",
        "/_v/1/assets/%2e%2e/admin",
        "/_v/9/assets/a",
    ] {
        assert_eq!(viewer.get(path).await.status, 404, "{path}");
    }
    assert_eq!(send(viewer.request("POST", "/_v/1/assets/app.js")).await.status, 405);
    up.stop();
}

#[actix_web::test]
async fn an_app_that_is_down_or_slow_is_a_plain_page() {
    let down = App::spawn(sidecar("1", &crate::faulty::refusing())).await;
    let page = Viewer::new(&down.url).get("/").await;
    assert_eq!((page.status, page.body.as_str()), (502, "502: the app does not answer\n"));
    assert_eq!((page.header("cache-control"), page.set_cookie()), ("no-store", None));
    let mut settings = sidecar("1", &spawn_app());
    upstream(&mut settings).limits.head = Duration::from_millis(500);
    let slow = App::spawn(settings).await;
    let page = Viewer::new(&slow.url).get("/dawdle/20000").await;
    assert_eq!((page.status, page.body.as_str()), (504, "504: the app took too long to answer\n"));
    assert_eq!(Viewer::new(&slow.url).get("/dawdle/0").await.body, "at last");
}

#[actix_web::test]
async fn an_app_by_unix_socket_is_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.sock");
    let server = actix_web::HttpServer::new(|| {
        actix_web::App::new()
            .default_service(actix_web::web::to(|| async { actix_web::HttpResponse::Ok().body("by socket") }))
    });
    actix_web::rt::spawn(server.workers(1).disable_signals().bind_uds(&path).expect("a socket").run());
    let app = App::spawn(sidecar("1", &format!("unix:{}", path.display()))).await;
    assert_eq!(Viewer::new(&app.url).get("/").await.body, "by socket");
}

#[actix_web::test]
async fn a_request_for_the_whole_server_reaches_the_app() {
    let tell = |head: String, mut connection: TcpStream| async move {
        let line = head.lines().next().unwrap_or_default();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{line}", line.len());
        connection.write_all(answer.as_bytes()).await.expect("sent");
    };
    let app = App::spawn(sidecar("1", &spawn_raw(tell))).await;
    let request = b"OPTIONS * HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n";
    let answer = exchange(&app.url, request, PAUSE).await;
    assert!(answer.ends_with("\r\n\r\nOPTIONS * HTTP/1.1"), "{answer}");
}

#[actix_web::test]
async fn a_body_over_the_limit_is_a_413() {
    let mut settings = sidecar("1", &spawn_app());
    upstream(&mut settings).limits.body_bytes = 1000;
    let app = App::spawn(settings).await;
    let viewer = Viewer::new(&app.url);
    assert_eq!(send(viewer.request("POST", "/drink").body(vec![b'.'; 1000])).await.body, "1000");
    assert_eq!(send(viewer.request("POST", "/drink").body(vec![b'.'; 1001])).await.status, 413);
    let parts = futures_util::stream::iter((0..3).map(|_| Ok::<_, std::io::Error>(vec![b'.'; 500])));
    let chunked = viewer.request("POST", "/drink").body(reqwest::Body::wrap_stream(parts));
    assert_eq!(send(chunked).await.status, 413);
}

#[actix_web::test]
async fn more_requests_than_connections_wait_and_then_give_up() {
    let mut settings = sidecar("1", &spawn_app());
    // On each of the threads.
    upstream(&mut settings).limits.connections = 1;
    upstream(&mut settings).limits.connect = Duration::from_secs(1);
    let app = App::spawn(settings).await;
    let send = |path: &'static str| {
        let viewer = Viewer::new(&app.url);
        actix_web::rt::spawn(async move { viewer.get(path).await.status })
    };
    let quick: Vec<_> = (0..20).map(|_| send("/dawdle/20")).collect();
    for status in quick {
        assert_eq!(status.await.expect("an answer"), 200);
    }
    let slow: Vec<_> = (0..40).map(|_| send("/dawdle/3000")).collect();
    let mut given_up = 0;
    for status in slow {
        given_up += usize::from(status.await.expect("an answer") == 504);
    }
    assert!(given_up >= 20, "{given_up} of 40");
}

/// A viewer's WebSocket.
async fn open_websocket(url: &str, cookie: &str) -> TcpStream {
    let mut connection = TcpStream::connect(url.trim_start_matches("http://")).await.expect("a connection");
    let request = format!(
        "GET /socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: {cookie}\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await.expect("sent");
    let mut head = String::new();
    while !head.contains("\r\n\r\n") {
        head += &read_until_pause(&mut connection, Duration::from_millis(300)).await;
    }
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.to_ascii_lowercase().contains("sec-websocket-accept: yes"), "{head}");
    connection
}

#[actix_web::test]
async fn websockets_pass_and_end_when_the_version_is_withdrawn() {
    let echo = spawn_echo();
    let mut config = machine_config();
    config.versions = vec![sidecar("1", &echo), sidecar("2", &echo)];
    for settings in &mut config.versions {
        settings.shared.cookie.timing.touch_interval_seconds = 0;
    }
    let machine = Machine::start(config).await.expect("a machine");
    let client = machine.dynamodb.dynamodb().client();
    let receipt = stickshift_contract::Receipt { token: token(2), ..receipt("2", 300) };
    put_session(&client, &session_item(&receipt)).await;
    let url = format!("http://{}", machine.cloudfront.address);
    let mut socket = open_websocket(&url, &as_cookie(&receipt)).await;
    for text in ["hello", "again"] {
        socket.write_all(text.as_bytes()).await.expect("sent");
        assert_eq!(read_until_pause(&mut socket, Duration::from_millis(300)).await, text);
    }
    let opened = unix_now();
    assert!(stored_session(&client, receipt.token).await.expect("a session").touched >= opened - 2);

    // While it is open, the session is renewed.
    sleep(Duration::from_secs(12)).await;
    let renewed = stored_session(&client, receipt.token).await.expect("a session");
    assert!(renewed.touched >= opened + 9, "{renewed:?}");
    socket.write_all(b"still here").await.expect("sent");
    assert_eq!(read_until_pause(&mut socket, Duration::from_millis(300)).await, "still here");

    change_plan(&client, |plan| {
        plan["versions"]["1"]["weight_basis_points"] = json!(10_000);
        plan["versions"]["2"]["weight_basis_points"] = json!(0);
        plan["versions"]["2"]["state"] = json!("withdrawn");
    })
    .await;
    let begin = Instant::now();
    assert_eq!(read_until_pause(&mut socket, Duration::from_secs(15)).await, "");
    assert!(begin.elapsed() < Duration::from_secs(12), "it was ended: {:?}", begin.elapsed());
    // The viewer comes back and is moved.
    let mut socket = open_websocket(&url, &as_cookie(&receipt)).await;
    socket.write_all(b"moved").await.expect("sent");
    assert_eq!(read_until_pause(&mut socket, Duration::from_millis(300)).await, "moved");
    let moved = stored_session(&client, receipt.token).await.expect("a session");
    assert_eq!(moved.version.map(|version| version.to_string()).as_deref(), Some("1"));
    machine.stop().await.expect("it stops");
}

#[actix_web::test]
async fn what_ends_by_itself_is_finished_although_the_version_is_withdrawn() {
    let url = spawn_app();
    let mut config = machine_config();
    config.versions = vec![sidecar("1", &url), sidecar("2", &url)];
    let machine = Machine::start(config).await.expect("a machine");
    let client = machine.dynamodb.dynamodb().client();
    let receipt = receipt("2", 5);
    let viewer = Viewer::at(&machine);
    let request = viewer.request("GET", "/dawdle/13000").header("cookie", as_cookie(&receipt));
    let slow = actix_web::rt::spawn(async move { send(request).await });
    sleep(Duration::from_millis(500)).await;
    change_plan(&client, |plan| {
        plan["versions"]["1"]["weight_basis_points"] = json!(10_000);
        plan["versions"]["2"]["weight_basis_points"] = json!(0);
        plan["versions"]["2"]["state"] = json!("withdrawn");
    })
    .await;
    let page = slow.await.expect("an answer");
    assert_eq!((page.status, page.body.as_str()), (200, "at last"));
}

#[actix_web::test]
async fn event_streams_count_as_open_and_end_with_the_server() {
    let (url, echo) = (spawn_app(), spawn_echo());
    let keys = ("STICKSHIFT_KEYS", "0123456789abcdef0123456789abcdef");
    let up = Up::start(&["--app", &format!("1={url}"), "--app", &format!("2={echo}"), "--weight", "2=0"], &[keys]);
    let mut socket = open_websocket(&up.cloudfront, &as_cookie(&receipt("2", 5))).await;
    let response = Viewer::new(&up.cloudfront).request("GET", "/events").send().await.expect("a response");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let monitors = up.overview.lines().find(|line| line.contains("Monitors")).expect("a row");
    let admin_url = monitors.split_whitespace().find(|word| word.starts_with("http://")).expect("an address");
    let metrics = Viewer::new(admin_url).get("/metrics").await.body;
    assert!(metrics.contains("stickshift_open_connections{version=\"1\"} 1\n"), "{metrics}");
    let begin = Instant::now();
    let ended = actix_web::rt::spawn(async move { response.bytes().await.is_err() });
    up.stop();
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
    assert_eq!(read_until_pause(&mut socket, PAUSE).await, "");
    assert!(ended.await.expect("it ended"), "a stream that is broken off does not look complete");
}

#[actix_web::test]
async fn a_stream_that_pauses_for_too_long_is_broken_off() {
    let mut settings = sidecar(
        "1",
        &spawn_raw(|_, mut connection| async move {
            connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await.expect("sent");
            sleep(Duration::from_secs(30)).await;
        }),
    );
    upstream(&mut settings).limits.pause = Duration::from_millis(300);
    let app = App::spawn(settings).await;
    let response = Viewer::new(&app.url).request("GET", "/").send().await.expect("a response");
    let begin = Instant::now();
    assert!(response.bytes().await.is_err());
    assert!(begin.elapsed() < PAUSE);
}

#[actix_web::test]
async fn a_server_that_closes_idle_connections_loses_no_request() {
    // It says nothing of it, and closes each connection after one answer.
    let url = crate::upstream::spawn_answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let (embedded, _) = dynamodb().await;
    let app = App::spawn_with(sidecar("1", &url), embedded.endpoint());
    let viewer = Viewer::new(&app.url);
    for _ in 0..50 {
        assert_eq!(viewer.get("/").await.body, "ok");
    }
}
