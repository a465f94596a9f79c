//! HTTP as attackers send it, to the local CloudFront and to a sidecar, and apps that break the rules. What is
//! refused and what is normalised is in `docs/http.md`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_web::rt::time::sleep;
use stickshift::local::machine::Machine;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::cli::{Up, peak_memory_kib};
use crate::support::{App, BUSY, Viewer, as_cookie, machine_config, receipt};
use crate::upstream::{
    exchange, read_head, read_until_pause, sidecar, spawn_answering, spawn_app, spawn_raw, upstream,
};

const PAUSE: Duration = Duration::from_millis(400);

/// An app that answers every request, keeps the connection open and remembers every byte that it got.
struct Recorder {
    url: String,
    received: Rc<RefCell<String>>,
}

impl Recorder {
    fn spawn() -> Self {
        let received = Rc::new(RefCell::new(String::new()));
        let log = Rc::clone(&received);
        let url = spawn_raw(move |head, mut connection| {
            let log = Rc::clone(&log);
            async move {
                log.borrow_mut().push_str(&head);
                loop {
                    connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.ok();
                    let more = read_until_pause(&mut connection, Duration::from_millis(200)).await;
                    if more.is_empty() {
                        return;
                    }
                    log.borrow_mut().push_str(&more);
                }
            }
        });
        Self { url, received }
    }

    /// The first lines of the requests that it got since the last time.
    fn request_lines(&self) -> Vec<String> {
        let received = self.received.take();
        let lines = received.lines().filter(|line| line.ends_with(" HTTP/1.1") || line.ends_with(" HTTP/1.0"));
        lines.map(str::to_owned).collect()
    }
}

/// The same app behind both servers, and what is sent to both must be understood in the same way.
async fn fronts() -> (Recorder, Machine, App) {
    let recorder = Recorder::spawn();
    let mut config = machine_config();
    config.versions = vec![sidecar("1", &recorder.url)];
    let machine = Machine::start(config).await.expect("a machine");
    let app = App::spawn(sidecar("1", &recorder.url)).await;
    (recorder, machine, app)
}

#[actix_web::test]
async fn a_request_that_two_servers_could_read_in_two_ways_reaches_no_app() {
    let (recorder, machine, app) = fronts().await;
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-A: a\r\n".repeat(96));
    let large = format!("GET / HTTP/1.1\r\nHost: x\r\nX-A: {}\r\n\r\n", "a".repeat(129 * 1024));
    let refused: &[(&str, &str)] = &[
        ("CL.TE", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"),
        (
            "TE.CL",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n\
             12\r\nGET /admin HTTP/1.1\r\n\r\n0\r\n\r\n",
        ),
        (
            "TE.TE",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        ),
        ("obscured TE", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ("TE list", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ("TE by HTTP/1.0", "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        ("the same length twice", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na"),
        ("length list", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\na"),
        ("signed length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na"),
        ("negative length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\na"),
        ("hexadecimal length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\na"),
        ("space before the colon", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 1\r\n\r\na"),
        ("obs-fold", "GET / HTTP/1.1\r\nHost: x\r\nX-A: one\r\n two\r\n\r\n"),
        ("fold before the first field", "GET / HTTP/1.1\r\n Host: x\r\n\r\n"),
        ("NUL in a value", "GET / HTTP/1.1\r\nHost: x\r\nX-A: a\0b\r\n\r\n"),
        ("CR in a value", "GET / HTTP/1.1\r\nHost: x\r\nX-A: a\rContent-Length: 4\r\n\r\n"),
        ("no host", "GET / HTTP/1.1\r\nX-A: a\r\n\r\n"),
        ("two hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
        ("CONNECT", "CONNECT internal:80 HTTP/1.1\r\nHost: internal:80\r\n\r\n"),
        (
            "body before a WebSocket",
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 4\r\n\r\nabcd",
        ),
        (
            "chunk size overflow",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\na\r\n0\r\n\r\n",
        ),
        ("bad chunk", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n"),
        (
            "a WebSocket's field beside another",
            "POST / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nUpgrade: websocket\r\nContent-Length: 4\r\n\r\nabcd",
        ),
        ("a WebSocket that asks for no upgrade", "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n"),
        ("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("no HTTP", "\x16\x03\x01\x02\r\n\r\n"),
        ("97 headers", &many),
        ("129 KiB", &large),
    ];
    for url in [format!("http://{}", machine.cloudfront.address), app.url.clone()] {
        for (what, request) in refused {
            let answer = exchange(&url, request.as_bytes(), PAUSE).await;
            let status = answer.split(' ').nth(1).unwrap_or_default();
            assert!(status.starts_with('4') || answer.is_empty(), "{what} at {url}: {answer}");
            assert!(
                !recorder.request_lines().iter().any(|line| line.contains("admin") || line.starts_with('G')),
                "{what}"
            );
        }
    }
    machine.stop().await.expect("it stops");
}

#[actix_web::test]
async fn what_is_normalised_arrives_in_one_form() {
    let (recorder, machine, app) = fronts().await;
    let long = "a".repeat(8000);
    let normalised: &[(&str, String, &[&str])] = &[
        ("bare LF", "GET /lf HTTP/1.1\nHost: x\n\n".into(), &["GET /lf HTTP/1.1"]),
        ("absolute form", "GET http://evil.example/abs?q HTTP/1.1\r\nHost: x\r\n\r\n".into(), &["GET /abs?q HTTP/1.1"]),
        ("dot segments", "GET /a/../b/./c HTTP/1.1\r\nHost: x\r\n\r\n".into(), &["GET /a/../b/./c HTTP/1.1"]),
        ("encoded slash", "GET /a%2fb HTTP/1.1\r\nHost: x\r\n\r\n".into(), &["GET /a%2fb HTTP/1.1"]),
        ("two slashes", "GET //a HTTP/1.1\r\nHost: x\r\n\r\n".into(), &["GET //a HTTP/1.1"]),
        ("long path", format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), &[&format!("GET /{long} HTTP/1.1")]),
        (
            "pipelining",
            "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\n\r\n"
                .into(),
            &["GET /1 HTTP/1.1", "GET /2 HTTP/1.1", "GET /3 HTTP/1.1"],
        ),
        (
            "Connection names fields",
            "GET /c HTTP/1.1\r\nHost: x\r\nConnection: close, x-stickshift-version, cookie, X-A\r\nX-A: 1\r\n\r\n"
                .into(),
            &["GET /c HTTP/1.1"],
        ),
        (
            "Expect",
            "POST /e HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab".into(),
            &["POST /e HTTP/1.1"],
        ),
        ("dots under the prefix", "GET /_v/1/../2/a HTTP/1.1\r\nHost: x\r\n\r\n".into(), &[]),
        ("encoded slash under the prefix", "GET /_v/1/..%2fadmin HTTP/1.1\r\nHost: x\r\n\r\n".into(), &[]),
        ("HEAD", "HEAD /h HTTP/1.1\r\nHost: x\r\n\r\n".into(), &["HEAD /h HTTP/1.1"]),
    ];
    for url in [format!("http://{}", machine.cloudfront.address), app.url.clone()] {
        for (what, request, lines) in normalised {
            let answer = exchange(&url, request.as_bytes(), PAUSE).await;
            let status = if lines.is_empty() { "404" } else { "200" };
            assert!(answer.contains(&format!("HTTP/1.1 {status} ")), "{what} at {url}: {answer}");
            let received = recorder.received.borrow().to_ascii_lowercase();
            assert!(!received.contains("x-a:") && !received.contains("expect:"), "{what}: {received}");
            // The sidecar takes the name in the first line for the host's. The local CloudFront has its own.
            let names_it = *what == "absolute form" && url == app.url;
            assert_eq!(received.contains("\r\nhost: evil.example\r\n"), names_it, "{what}: {received}");
            let mut got = recorder.request_lines();
            got.sort();
            assert_eq!(got, *lines, "{what} at {url}");
        }
    }
    machine.stop().await.expect("it stops");
}

#[actix_web::test]
async fn half_requests_keep_nobody_else_waiting() {
    let app = App::spawn(sidecar("1", &spawn_app())).await;
    let address = app.url.trim_start_matches("http://").to_owned();
    let mut half = Vec::new();
    for index in 0..200 {
        let mut connection = TcpStream::connect(&address).await.expect("a connection");
        let part: &[u8] = match index % 3 {
            0 => b"GET / HTTP/1.1\r\nHost: x\r\nX-",
            1 => b"POST /drink HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\na",
            _ => b"POST /drink HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        };
        connection.write_all(part).await.expect("sent");
        half.push(connection);
    }
    let begin = Instant::now();
    for _ in 0..20 {
        assert_eq!(Viewer::new(&app.url).get("/dawdle/0").await.status, 200);
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    // A body that trickles is as slow as its viewer, and no slower.
    let mut trickled = TcpStream::connect(&address).await.expect("a connection");
    trickled.write_all(b"POST /drink HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n").await.expect("sent");
    for _ in 0..10 {
        trickled.write_all(b"a").await.expect("sent");
        sleep(Duration::from_millis(50)).await;
    }
    assert!(read_until_pause(&mut trickled, Duration::from_secs(1)).await.ends_with("\r\n\r\n10"));
    // A first part that does not come to an end is given up.
    assert!(read_until_pause(&mut half[0], Duration::from_secs(10)).await.starts_with("HTTP/1.1 408"));
}

#[actix_web::test]
async fn an_app_that_breaks_the_rules_is_a_502() {
    let endless = || {
        spawn_raw(|_, mut connection| async move {
            connection.write_all(b"HTTP/1.1 200 OK\r\n").await.ok();
            while connection.write_all(b"x-more: and more and more and more\r\n").await.is_ok() {}
        })
    };
    let early = || {
        spawn_raw(|_, mut connection| async move {
            connection.write_all(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000).as_slice()).await.ok();
            connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.ok();
        })
    };
    let many = spawn_raw(|_, mut connection| async move {
        let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-a: a\r\n".repeat(101));
        connection.write_all(head.as_bytes()).await.ok();
    });
    for (what, url, status) in [
        ("nobody listens", crate::faulty::refusing(), 502),
        ("nothing", spawn_answering(b""), 502),
        ("no HTTP", spawn_answering(b"hello\r\n\r\n"), 502),
        ("two lengths", spawn_answering(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"), 502),
        ("bad length", spawn_answering(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\nab"), 502),
        ("a first part that ends early", spawn_answering(b"HTTP/1.1 200 OK\r\ncontent-le"), 502),
        (
            "an upgrade that nobody asked for",
            spawn_answering(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
            502,
        ),
        ("an endless first part", endless(), 502),
        ("101 headers", many, 502),
        (
            "a length beside an encoding",
            spawn_answering(
                b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            ),
            200,
        ),
        ("a flood of 1xx", early(), 200),
        ("HTTP/1.0 without a length", spawn_answering(b"HTTP/1.0 200 OK\r\n\r\nok"), 200),
        (
            "early hints",
            spawn_answering(
                b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            ),
            200,
        ),
        (
            "trailers",
            spawn_answering(
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nset-cookie: a=1\r\n\r\n",
            ),
            200,
        ),
    ] {
        let app = App::spawn(sidecar("1", &url)).await;
        let page = Viewer::new(&app.url).get("/").await;
        assert_eq!(page.status, status, "{what}: {}", page.body);
        if status == 200 {
            assert_eq!(page.body, "ok", "{what}");
        }
    }
}

#[actix_web::test]
async fn large_headers_pass_and_an_answer_that_breaks_off_looks_broken() {
    let large = spawn_raw(|_, mut connection| async move {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-large: {}\r\n\r\nok", "a".repeat(70 * 1024));
        connection.write_all(head.as_bytes()).await.ok();
    });
    let app = App::spawn(sidecar("1", &large)).await;
    assert_eq!(Viewer::new(&app.url).get("/").await.header("x-large").len(), 70 * 1024);

    for half in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let app = App::spawn(sidecar("1", &spawn_answering(half))).await;
        let response = Viewer::new(&app.url).request("GET", "/").send().await.expect("a first part");
        assert!(response.bytes().await.is_err());
    }
    let reset = spawn_raw(|_, mut connection| async move {
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await.ok();
        sleep(Duration::from_millis(100)).await;
        // The system sends a reset instead of an end.
        socket2::SockRef::from(&connection).set_linger(Some(Duration::ZERO)).expect("set");
    });
    let app = App::spawn(sidecar("1", &reset)).await;
    let response = Viewer::new(&app.url).request("GET", "/").send().await.expect("a first part");
    assert!(response.bytes().await.is_err());
}

#[actix_web::test]
async fn an_app_that_does_not_read_costs_no_memory() {
    let _busy = BUSY.lock().await;
    let deaf = spawn_raw(|_, connection| async move {
        sleep(Duration::from_secs(30)).await;
        drop(connection);
    });
    let up = Up::start(&["--app", &format!("1={deaf}")], &[("STICKSHIFT_UPSTREAM_HEAD_SECONDS", "3")]);
    let before = peak_memory_kib(up.process_id());
    let part = actix_web::web::Bytes::from_static(&[b'.'; 1024 * 1024]);
    let parts = futures_util::stream::iter((0..5 * 1024).map(move |_| Ok::<_, std::io::Error>(part.clone())));
    let viewer = Viewer::new(&up.cloudfront);
    let request = viewer.request("POST", "/").header("content-length", 5_u64 << 30);
    // The answer comes while the request is being sent, so the client may see either.
    if let Ok(response) = request.body(reqwest::Body::wrap_stream(parts)).send().await {
        assert_eq!(response.status(), 504);
    }
    let more = peak_memory_kib(up.process_id()) - before;
    assert!(more < 32 * 1024, "{more} KiB more");
    up.stop();
}

#[actix_web::test]
async fn a_time_out_is_for_one_request() {
    let mut settings = sidecar("1", &spawn_app());
    upstream(&mut settings).limits.head = Duration::from_millis(500);
    let app = App::spawn(settings).await;
    let slow: Vec<_> = (0..20)
        .map(|_| {
            let viewer = Viewer::new(&app.url);
            actix_web::rt::spawn(async move { viewer.get("/dawdle/5000").await.status })
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(Viewer::new(&app.url).get("/dawdle/10").await.status, 200);
    }
    for status in slow {
        assert_eq!(status.await.expect("an answer"), 504);
    }
}

#[actix_web::test]
async fn a_refused_websocket_is_an_answer_that_can_be_read() {
    let refusing =
        spawn_answering(b"HTTP/1.1 403 Forbidden\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let app = App::spawn(sidecar("1", &refusing)).await;
    let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let answer = exchange(&app.url, request.as_bytes(), PAUSE).await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.ends_with("\r\n\r\nhello"), "{answer}");
    assert!(!answer.to_ascii_lowercase().contains("transfer-encoding"), "{answer}");
    // A viewer with HTTP/1.0 knows no chunks.
    let answer = exchange(&app.url, b"GET / HTTP/1.0\r\n\r\n", PAUSE).await;
    assert!(answer.ends_with("\r\n\r\nhello") && !answer.contains("chunked"), "{answer}");
}

#[actix_web::test]
async fn an_app_that_answers_early_and_never_reads_keeps_no_connection() {
    let early = spawn_raw(|head, mut connection| async move {
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.ok();
        if head.starts_with("POST") {
            sleep(Duration::from_secs(60)).await;
        }
    });
    let mut settings = sidecar("1", &early);
    upstream(&mut settings).limits.connections = 1;
    upstream(&mut settings).limits.connect = Duration::from_secs(15);
    let app = App::spawn(settings).await;
    for _ in 0..4 {
        let viewer = Viewer::new(&app.url);
        let body = vec![b'.'; 20 << 20];
        actix_web::rt::spawn(async move { viewer.request("POST", "/").body(body).send().await.ok() });
    }
    sleep(Duration::from_secs(1)).await;
    for _ in 0..8 {
        assert_eq!(Viewer::new(&app.url).get("/").await.body, "ok");
    }
}

#[actix_web::test]
async fn a_request_is_sent_once_more_at_most_and_never_after_an_answer() {
    let seen = Rc::new(RefCell::new(String::new()));
    let log = Rc::clone(&seen);
    let app = spawn_raw(move |head, mut connection| {
        let log = Rc::clone(&log);
        async move {
            let mut head = head;
            loop {
                log.borrow_mut().push_str(head.lines().next().unwrap_or_default());
                if head.starts_with("DELETE /crash") {
                    return;
                }
                let answer: &[u8] = if head.starts_with("DELETE /bad") {
                    b"garbage\r\n\r\n"
                } else {
                    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
                };
                sleep(Duration::from_millis(50)).await;
                connection.write_all(answer).await.ok();
                head = read_head(&mut connection).await;
                if head.is_empty() {
                    return;
                }
            }
        }
    });
    let app = App::spawn(sidecar("1", &app)).await;
    for (path, most) in [("/bad", 1), ("/crash", 2)] {
        let warm: Vec<_> = (0..20)
            .map(|_| {
                let viewer = Viewer::new(&app.url);
                actix_web::rt::spawn(async move { viewer.get("/").await.status })
            })
            .collect();
        for status in warm {
            assert_eq!(status.await.expect("an answer"), 200);
        }
        let viewer = Viewer::new(&app.url);
        let status = crate::support::send(viewer.request("DELETE", path)).await.status;
        assert_eq!(status, 502, "{path}: {}", seen.borrow());
        let count = seen.borrow().matches(&format!("DELETE {path}")).count();
        assert!((1..=most).contains(&count), "{path}: {count} times");
    }
}

#[actix_web::test]
async fn a_body_reaches_an_app_that_speaks_http_1_0_every_time() {
    let sizes = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&sizes);
    let old = spawn_raw(move |_, mut connection| {
        let log = Rc::clone(&log);
        async move {
            loop {
                let body = read_until_pause(&mut connection, Duration::from_millis(200)).await;
                log.borrow_mut().push(body.matches('.').count());
                let answer = b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok";
                connection.write_all(answer).await.ok();
                if read_until_pause(&mut connection, Duration::from_secs(2)).await.is_empty() {
                    return;
                }
            }
        }
    });
    let app = App::spawn(sidecar("1", &old)).await;
    for _ in 0..3 {
        let parts = futures_util::stream::iter((0..2).map(|_| Ok::<_, std::io::Error>(vec![b'.'; 50])));
        let request = Viewer::new(&app.url).request("POST", "/").body(reqwest::Body::wrap_stream(parts));
        assert_eq!(crate::support::send(request).await.body, "ok");
    }
    assert_eq!(*sizes.borrow(), [100, 100, 100]);
}

#[actix_web::test]
async fn a_viewer_who_stops_sending_is_no_failure_of_the_app() {
    let mut settings = sidecar("1", &spawn_app());
    upstream(&mut settings).limits.head = Duration::from_millis(500);
    let app = App::spawn(settings).await;
    let cookie = as_cookie(&receipt("1", 5));
    let request = format!("POST /drink HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nContent-Length: 10\r\n\r\nabc");
    let answer = exchange(&app.url, request.as_bytes(), Duration::from_secs(2)).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(app.metric("sessions_failed_total").await, 0);
}

#[actix_web::test]
async fn ten_thousand_viewers_at_once_get_no_5xx() {
    const VIEWERS: usize = 10_000;
    let _busy = BUSY.lock().await;
    rlimit::increase_nofile_limit(20_000).expect("as many files as the programs under test");
    let url = spawn_app();
    let keys = ("STICKSHIFT_KEYS", "0123456789abcdef0123456789abcdef");
    let up = Up::start(&["--app", &format!("1={url}"), "--app", &format!("2={url}")], &[keys]);
    let cookie = as_cookie(&receipt("1", 5));
    let address = up.cloudfront.trim_start_matches("http://").to_owned();
    let viewers: Vec<_> = (0..VIEWERS)
        .map(|_| {
            let (address, cookie) = (address.clone(), cookie.clone());
            actix_web::rt::spawn(async move {
                let mut connection = TcpStream::connect(&address).await.expect("a connection");
                let request = format!(
                    "GET /dawdle/50 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: {cookie}\r\n\r\n"
                );
                connection.write_all(request.as_bytes()).await.expect("sent");
                let answer = read_until_pause(&mut connection, Duration::from_secs(60)).await;
                answer.get(9..12).map(str::to_owned)
            })
        })
        .collect();
    let mut statuses = std::collections::BTreeMap::new();
    for viewer in viewers {
        *statuses.entry(viewer.await.expect("an answer")).or_insert(0) += 1;
    }
    assert_eq!(statuses, [(Some("200".to_owned()), VIEWERS)].into(), "{statuses:?}");
    up.stop();
}
