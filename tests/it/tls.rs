//! An origin that CloudFront reaches by HTTPS.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, CertifiedKey, KeyPair, generate_simple_self_signed};
use stickshift::serve::{self, OriginListeners};
use stickshift::settings::{Settings, TlsFiles};
use stickshift::store::DynamoDb;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::{App, any_port, dynamodb, root, settings};

/// The most that a new certificate may take until it is in use.
const RELOADED: Duration = Duration::from_secs(20);

#[actix_web::test]
async fn an_origin_serves_https_and_follows_its_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = certificate();
    let files = write(folder.path(), &first);
    let (embedded, _) = dynamodb().await;
    let app = App::spawn_with(Settings { tls: Some(files), ..settings("1") }, embedded.endpoint());
    let address: SocketAddr = app.url.trim_start_matches("http://").parse().expect("an address");

    let mut open = connect(address, &first).await.expect("a connection");
    assert_eq!(open.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]), "CloudFront speaks HTTP/1.1 to origins");
    let page = get(&mut open).await;
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("set-cookie: "), "{page}");
    assert!(expires(&app).await > 4_000_000_000, "rcgen's certificates end in the year 4096");

    // Plain HTTP gets no page.
    let mut plain = TcpStream::connect(address).await.expect("a connection");
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).await.ok();
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");

    // A new certificate is written before its key. Until both are there, the first pair is in use.
    let soon = SystemTime::now() + Duration::from_secs(86_400);
    let second = certificate_until(soon);
    std::fs::write(folder.path().join("certificate.pem"), second.cert.pem()).expect("written");
    tokio::time::sleep(Duration::from_secs(6)).await;
    connect(address, &first).await.expect("the first certificate is still in use");
    std::fs::write(folder.path().join("key.pem"), second.signing_key.serialize_pem()).expect("written");
    let deadline = tokio::time::Instant::now() + RELOADED;
    while connect(address, &second).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the second certificate is not in use");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(connect(address, &first).await.is_err(), "a client that trusts only the first certificate gets the second");
    let until = soon.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    assert_eq!(expires(&app).await, until);
    let page = get(&mut open).await;
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "the connection from before goes on: {page}");
}

#[actix_web::test]
async fn files_that_cannot_be_used_stop_the_start_and_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = write(folder.path(), &certificate());
    let other = folder.path().join("other.pem");
    std::fs::write(&other, KeyPair::generate().expect("a key").serialize_pem()).expect("written");
    let missing = folder.path().join("missing.pem");
    let with = |certificate: &Path, key: &Path| TlsFiles { certificate: certificate.into(), key: key.into() };
    for (files, says) in [
        (with(&missing, &files.key), "STICKSHIFT_TLS_CERTIFICATE: could not read "),
        (with(&files.certificate, &missing), "STICKSHIFT_TLS_KEY: could not read a key from "),
        (with(&files.key, &files.key), "contains no certificate in PEM"),
        (with(&files.certificate, &files.certificate), "STICKSHIFT_TLS_KEY: could not read a key from "),
        (with(&files.certificate, &other), "other.pem does not fit the certificate in "),
    ] {
        let listeners = OriginListeners { public: any_port(), admin: any_port() };
        let settings = Settings { tls: Some(files), ..settings("1") };
        let refusal =
            serve::start(listeners, settings, DynamoDb::at("http://127.0.0.1:1")).expect_err("it cannot start");
        let refusal = format!("{refusal:#}");
        assert!(refusal.contains(says), "{says} is not in {refusal}");
        assert!(!refusal.contains("PRIVATE KEY"), "{refusal}");
    }
}

#[test]
fn a_certificate_that_ends_soon_or_has_ended_is_warned_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let now = SystemTime::now();
    let day = Duration::from_secs(86_400);
    for (end, level, says) in [
        (now + 20 * day, "INFO", " is in use until "),
        (now + 13 * day, "WARN", ": after that, CloudFront answers 502 until there is a new one"),
        (now - day, "WARN", " ended at "),
    ] {
        let files = write(folder.path(), &certificate_until(end));
        let mut command = Command::new(env!("CARGO_BIN_EXE_stickshift"));
        command
            .args(["serve", "--theme", "themes/version1.toml", "--listen", "127.0.0.1:0"])
            .args(["--admin-listen", "127.0.0.1:0", "--embedded", "--data-dir"])
            .arg(folder.path().join("data"))
            .env("STICKSHIFT_TLS_CERTIFICATE", &files.certificate)
            .env("STICKSHIFT_TLS_KEY", &files.key);
        let mut process = command.current_dir(root()).stderr(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(process.stderr.take().expect("its log")).lines();
        let mut log = String::new();
        for line in lines.map_while(Result::ok) {
            log.push_str(&line);
            log.push('\n');
            if line.contains("is served on https://") {
                break;
            }
        }
        process.kill().expect("it runs");
        process.wait().expect("it ends");
        let line = log.lines().find(|line| line.contains("certificate.pem")).unwrap_or_else(|| panic!("{log}"));
        assert!(line.contains(level) && line.contains(says), "{line}");
    }
}

/// A certificate for `localhost` that is its own root.
fn certificate() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate")
}

fn certificate_until(end: SystemTime) -> CertifiedKey<KeyPair> {
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("parameters");
    params.not_after = end.into();
    let signing_key = KeyPair::generate().expect("a key");
    CertifiedKey { cert: params.self_signed(&signing_key).expect("a certificate"), signing_key }
}

fn write(folder: &Path, pair: &CertifiedKey<KeyPair>) -> TlsFiles {
    let files = TlsFiles { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
    std::fs::write(&files.certificate, pair.cert.pem()).expect("written");
    std::fs::write(&files.key, pair.signing_key.serialize_pem()).expect("written");
    files
}

/// Connects as a client that trusts only this certificate.
async fn connect(address: SocketAddr, trusted: &CertifiedKey<KeyPair>) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(trusted.cert.der().to_vec())).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await
}

/// The head of a page, on a connection that stays open.
async fn get(connection: &mut TlsStream<TcpStream>) -> String {
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n";
    connection.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    while !answer.ends_with("</html>") {
        let mut part = [0; 4096];
        let length = connection.read(&mut part).await.expect("an answer");
        assert!(length > 0, "the answer ends early: {answer}");
        answer.push_str(std::str::from_utf8(&part[..length]).expect("text"));
    }
    answer
}

async fn expires(app: &App) -> u64 {
    app.metric("tls_certificate_expires_timestamp_seconds").await
}
