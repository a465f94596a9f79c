//! Apps behind a sidecar: one that tells what it was sent, and plain sockets that break the rules of HTTP.

use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use stickshift::settings::{self, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{any_port, code, keys};

/// The settings of a sidecar with the tests' keys.
pub(crate) fn sidecar(version: &str, url: &str) -> Settings {
    let mut settings = Settings::of_sidecar(code(version), url.parse().expect("a URL")).expect("settings");
    settings.shared.cookie.keys = Some(keys());
    settings.shared.plan_ttl_seconds = 0;
    settings
}

/// Changes what is special to a sidecar.
pub(crate) fn upstream(settings: &mut Settings) -> &mut settings::Upstream {
    match &mut settings.app {
        settings::App::Upstream(upstream) => upstream,
        settings::App::Themed { .. } => unreachable!("it is a sidecar"),
    }
}

/// An app that tells what it was sent, drinks what it is given, and pours, dawdles or fails on demand.
pub(crate) fn spawn_app() -> String {
    let listener = any_port();
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let tell = |request: HttpRequest| async move {
        let headers: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        HttpResponse::Ok()
            .insert_header(("keep-alive", "timeout=5"))
            .append_header(("set-cookie", "a=1"))
            .append_header(("set-cookie", "b=2"))
            .json(json!({ "method": request.method().as_str(), "uri": request.uri().to_string(), "headers": headers }))
    };
    let drink = |mut body: web::Payload| async move {
        let mut size = 0;
        while let Some(part) = body.next().await {
            size += part.expect("a part").len();
        }
        HttpResponse::Ok().body(size.to_string())
    };
    let pour = |size: web::Path<usize>| async move {
        const PART: &[u8] = &[b'.'; 64 * 1024];
        let parts = size.into_inner() / PART.len();
        HttpResponse::Ok()
            .streaming(stream::iter(0..parts).map(|_| Ok::<_, std::io::Error>(web::Bytes::from_static(PART))))
    };
    let dawdle = |milliseconds: web::Path<u64>| async move {
        tokio::time::sleep(Duration::from_millis(milliseconds.into_inner())).await;
        HttpResponse::Ok().body("at last")
    };
    let fail = |status: web::Path<u16>| async move {
        HttpResponse::build(status.into_inner().try_into().expect("a status")).body("failed")
    };
    let events = || async {
        let ticks = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Some((Ok::<_, std::io::Error>(web::Bytes::from_static(b"data: tick\n\n")), ()))
        });
        HttpResponse::Ok().content_type("text/event-stream").streaming(Box::pin(ticks))
    };
    let steal = || async {
        HttpResponse::Ok()
            .append_header(("set-cookie", "sessiontoken=mine; Path=/"))
            .append_header(("set-cookie", "__Host-stickshift-pass=mine"))
            .append_header(("set-cookie", "theme=dark"))
            .append_header(("cache-control", "public, max-age=60"))
            .body("stolen")
    };
    let server = HttpServer::new(move || {
        App::new()
            .route("/drink", web::post().to(drink))
            .route("/pour/{size}", web::get().to(pour))
            .route("/dawdle/{milliseconds}", web::get().to(dawdle))
            .route("/fail/{status}", web::get().to(fail))
            .route("/events", web::get().to(events))
            .route("/steal", web::get().to(steal))
            .default_service(web::to(tell))
    });
    actix_web::rt::spawn(server.workers(1).backlog(4096).disable_signals().listen(listener).expect("a server").run());
    url
}

/// The values of a header, as [`spawn_app`] tells of a request.
pub(crate) fn header<'a>(told: &'a Value, name: &str) -> Vec<&'a str> {
    let headers = told["headers"].as_array().expect("a list");
    headers.iter().filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().expect("text")).collect()
}

/// An app that reads a request's first part and then does what `answer` does with the connection.
pub(crate) fn spawn_raw<F: Future<Output = ()> + 'static>(answer: impl Fn(String, TcpStream) -> F + 'static) -> String {
    let listener = any_port();
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    listener.set_nonblocking(true).expect("set");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    actix_web::rt::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.expect("a connection");
            let head = read_head(&mut connection).await;
            actix_web::rt::spawn(answer(head, connection));
        }
    });
    url
}

/// Reads up to the empty line, or to the end.
pub(crate) async fn read_head(connection: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match connection.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).expect("text")
}

/// An app that answers every request with these bytes and closes.
pub(crate) fn spawn_answering(answer: &'static [u8]) -> String {
    spawn_raw(move |_, mut connection| async move {
        connection.write_all(answer).await.ok();
    })
}

/// An app that agrees to every WebSocket and sends back what it gets, byte for byte.
pub(crate) fn spawn_echo() -> String {
    spawn_raw(|head, mut connection| async move {
        let agrees = head.to_ascii_lowercase().contains("upgrade: websocket");
        let answer = if agrees {
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: yes\r\n\r\n"
        } else {
            "HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\n\r\n"
        };
        connection.write_all(answer.as_bytes()).await.expect("sent");
        let (mut reader, mut writer) = connection.split();
        tokio::io::copy(&mut reader, &mut writer).await.ok();
    })
}

/// Sends bytes to a server and returns what comes back until it closes, or until nothing comes for `pause`.
pub(crate) async fn exchange(url: &str, request: &[u8], pause: Duration) -> String {
    let mut connection = TcpStream::connect(url.trim_start_matches("http://")).await.expect("a connection");
    connection.write_all(request).await.expect("sent");
    read_until_pause(&mut connection, pause).await
}

pub(crate) async fn read_until_pause(connection: &mut TcpStream, pause: Duration) -> String {
    let mut answer = Vec::new();
    while let Ok(Ok(1..)) = tokio::time::timeout(pause, connection.read_buf(&mut answer)).await {}
    String::from_utf8_lossy(&answer).into_owned()
}
