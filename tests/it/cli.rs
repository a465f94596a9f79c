//! The binary as a person runs it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::stream;

use crate::faulty::refusing;
use crate::support::{BUSY, Viewer, any_port, root, send};

fn stickshift(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stickshift"));
    command.args(arguments).current_dir(root()).env("RUST_LOG", "info");
    command
}

pub(crate) fn run(arguments: &[&str]) -> (i32, String, String) {
    run_with(arguments, &[])
}

pub(crate) fn run_with(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let output = stickshift(arguments).envs(variables.iter().copied()).output().expect("it runs");
    let Output { status, stdout, stderr } = output;
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code().expect("an exit code"), text(stdout), text(stderr))
}

/// The most memory that a process ever had, in KiB.
pub(crate) fn peak_memory_kib(process_id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Ends a process in order, as a person or `docker stop` would.
fn signal(name: &str, process_id: u32) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {process_id}")).status().expect("a shell");
    assert!(sent.success());
}

/// `stickshift up` on free ports, with a data directory of its own.
pub(crate) struct Up {
    child: Child,
    pub cloudfront: String,
    pub dynamodb: String,
    pub dashboard: String,
    pub overview: String,
    _data_dir: tempfile::TempDir,
}

impl Up {
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let data_dir = tempfile::tempdir().expect("a folder");
        let path = data_dir.path().to_str().expect("text");
        let any = "127.0.0.1:0";
        let ports = ["--listen", any, "--dynamodb", any, "--admin-listen", any, "--dashboard", any, "--data-dir", path];
        let mut command = stickshift(&[&["up"], &ports[..], arguments].concat());
        let mut child = command.envs(variables.iter().copied()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let overview: Vec<String> = lines.by_ref().take_while(|line| !line.starts_with("Ctrl-C")).collect();
        let address = |what: &str| {
            let row = overview.iter().find(|line| line.trim_start().starts_with(what)).expect("a row");
            row.split_whitespace().find(|word| word.starts_with("http://")).expect("an address").to_owned()
        };
        let (cloudfront, dynamodb, dashboard) = (address("CloudFront"), address("DynamoDB"), address("Dashboard"));
        Self { child, cloudfront, dynamodb, dashboard, overview: overview.join("\n"), _data_dir: data_dir }
    }

    /// A verb of `rollout` that goes on.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        let data_dir = self.data_dir().to_str().expect("text");
        let mut command = stickshift(&[&["rollout", "--data-dir", data_dir], arguments].concat());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn data_dir(&self) -> &std::path::Path {
        self._data_dir.path()
    }

    /// Stops all of it for a while, its DynamoDB included, as if the network were gone.
    pub(crate) fn freeze(&self, is_frozen: bool) {
        signal(if is_frozen { "STOP" } else { "CONT" }, self.child.id());
    }

    /// Ctrl-C, and a clean end.
    pub(crate) fn stop(self) {
        signal("INT", self.child.id());
        self.ended();
    }

    /// A clean end, after a signal.
    fn ended(mut self) {
        assert!(self.child.wait().expect("it ends").success());
    }
}

/// A test that fails must not leave its program behind.
impl Drop for Up {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// `stickshift serve` or `edge`, and the lines that it logs.
pub(crate) struct Serve {
    child: Child,
    log: BufReader<ChildStderr>,
    pub url: String,
}

impl Serve {
    fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let always =
            ["serve", "--theme", "themes/version1.toml", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        Self::run(&[&always[..], arguments].concat(), variables)
    }

    pub(crate) fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = stickshift(arguments);
        let mut child = command.envs(variables.iter().copied()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        while !line.contains("is served on ") {
            line.clear();
            assert_ne!(log.read_line(&mut line).expect("text"), 0, "it ended early");
        }
        let url = line.trim().rsplit(' ').next().expect("an address").to_owned();
        Self { child, log, url }
    }

    /// SIGKILL: it ends without a word.
    pub(crate) fn kill(&self) {
        signal("KILL", self.child.id());
    }

    /// SIGTERM, a clean end, and what was logged since the start.
    pub(crate) fn stop(self) -> String {
        signal("TERM", self.child.id());
        self.ended()
    }

    /// Waits for a clean end; what was logged since the start.
    fn ended(mut self) -> String {
        assert!(self.child.wait().expect("it ends").success(), "exit status 0");
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).expect("text");
        rest
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn help_describes_every_command_and_flag() {
    let verbs = [
        "status",
        "history",
        "explain",
        "add",
        "set-weight",
        "promote",
        "drain",
        "abort",
        "remove",
        "undo",
        "restore",
        "run",
        "pause",
        "resume",
        "retry",
    ];
    let verbs = verbs.map(|verb| format!("rollout {verb}"));
    let commands =
        ["", "up", "edge", "serve", "sidecar", "health", "rollout", "dashboard", "completions", "man"].into_iter();
    for command in commands.chain(verbs.iter().map(String::as_str)) {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let (code, help, error) = run(&arguments);
        assert_eq!((code, error.as_str()), (0, ""));
        insta::assert_snapshot!(format!("help_{}", command.replace([' ', '-'], "_")).trim_end_matches('_'), help);
    }
    assert_eq!(run(&["--version"]).1, format!("stickshift {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn completions_and_man_pages_know_every_verb() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, error) = run(&["completions", shell]);
        assert_eq!((code, error.as_str()), (0, ""));
        assert!(script.contains("stickshift") && script.contains("set-weight"), "{shell}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(run(&["man", folder.path().to_str().expect("text")]), (0, String::new(), String::new()));
    let page = std::fs::read_to_string(folder.path().join("stickshift-rollout-set-weight.1")).expect("a page");
    assert!(page.contains("share of new sessions"), "{page}");
    let (code, _, error) = run(&["man", "nowhere"]);
    assert_eq!(code, 1);
    assert!(error.contains("could not write man pages to nowhere"), "{error}");
}

#[test]
fn health_says_by_its_exit_code_whether_a_version_is_well() {
    let up = Up::start(&[], &[]);
    let row = up.overview.lines().find(|line| line.contains("of version 2: /healthz")).expect("a row for monitors");
    let monitors = row.split_whitespace().find(|word| word.starts_with("http://")).expect("an address");
    assert_eq!(run(&["health", "--url", &format!("{monitors}/readyz")]), (0, String::new(), String::new()));
    assert_eq!(run(&["health", "--url", &format!("{}/healthz", up.cloudfront)]), (0, String::new(), String::new()));
    let (code, _, message) = run(&["health", "--url", &format!("{}/nowhere", up.cloudfront)]);
    assert_eq!((code, message.trim_end().ends_with("/nowhere answers 404 Not Found")), (1, true), "{message}");
    let (code, _, message) = run(&["health", "--url", &format!("{}/healthz", refusing())]);
    assert_eq!((code, message.contains("/healthz does not answer: ")), (1, true), "{message}");
}

#[test]
fn a_wrong_command_line_is_refused_with_what_is_wrong_and_what_to_do() {
    let mut transcript = String::new();
    for arguments in [
        &["--weight", "2"][..],
        &["--weight", "2=101"],
        &["--weight", "2=1.234"],
        &["--weight", "two versions=10"],
        &["up", "--listen", "8080"],
        &["up", "--wieght", "2=10"],
        &["serve"],
        &["edge", "--dynamodb", "http://127.0.0.1:9"],
        &["edge", "--origin", "1=localhost:8081"],
        &["edge", "--origin", "1=localhost"],
        &["edge", "--origin", "1=localhost:http"],
        &["edge", "--origin", "1=127.0.0.1:8081"],
        &["edge", "--origin", "1=localhost:81"],
        &["edge", "--dynamodb", "https://dynamodb.us-east-1.amazonaws.com"],
        &["deploy"],
        &["serve", "--theme", "themes/version9.toml"],
        &["--themes", "src"],
        &["--themes", "nowhere"],
        &["sidecar", "--version-code", "2"],
        &["sidecar", "--version-code", "a b", "--upstream", "http://127.0.0.1:3000"],
        &["sidecar", "--version-code", "2", "--upstream", "https://shop.example"],
        &["sidecar", "--version-code", "2", "--upstream", "127.0.0.1:3000"],
        &["sidecar", "--version-code", "2", "--upstream", "http://127.0.0.1:3000/path"],
        &["sidecar", "--version-code", "2", "--upstream", "http://127.0.0.1:99999"],
        &["sidecar", "--version-code", "2", "--upstream", "unix:app.sock"],
        &["--app", "1"],
        &["up", "--dashboard", "0.0.0.0:8090"],
        &["dashboard", "--listen", "0.0.0.0:8090"],
        &["dashboard", "--listen", "0.0.0.0:8090", "--user", "anna"],
        &["dashboard", "--url", "https://rollouts.example.com"],
        &["dashboard", "--user", "anna", "--user", "anna"],
        &["dashboard", "--data-dir", "nowhere"],
        &["--app", "1=http://127.0.0.1:3000", "--app", "1=http://127.0.0.1:3001"],
    ] {
        let (code, output, error) = run(arguments);
        assert_eq!(output, "", "{arguments:?}");
        transcript += &format!("$ stickshift {}\n{error}exit code {code}\n\n", arguments.join(" "));
    }
    insta::assert_snapshot!(transcript);
}

#[test]
fn a_taken_port_is_named_with_its_flag() {
    let taken = any_port();
    let address = taken.local_addr().expect("an address").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().to_str().expect("text");
    let any = "127.0.0.1:0";
    let flags = ["--listen", "--dynamodb", "--admin-listen", "--dashboard"];
    for flag in flags {
        let flags = flags.into_iter();
        let flags = flags.flat_map(|other| [other, if other == flag { &address } else { any }]);
        let arguments: Vec<&str> = ["up", "--data-dir", data_dir].into_iter().chain(flags).collect();
        let (code, output, error) = run(&arguments);
        assert_eq!((code, output.as_str()), (1, ""));
        assert!(error.contains(&format!("could not listen on {address}")), "{error}");
        assert!(error.contains(&format!("choose another address with {flag}")), "{error}");
        assert!(error.contains("Address already in use"), "{error}");
    }
    for (flag, other) in [("--listen", "--admin-listen"), ("--admin-listen", "--listen")] {
        let (code, _, error) = run(&["serve", "--theme", "themes/version1.toml", flag, &address, other, any]);
        assert_eq!(code, 1);
        assert!(error.contains(&address) && error.contains(flag), "{error}");
    }
}

#[test]
fn two_programs_on_one_data_directory_are_refused() {
    let up = Up::start(&[], &[]);
    let path = up.data_dir().to_str().expect("text");
    let (code, _, error) = run(&[
        "up",
        "--listen",
        "127.0.0.1:0",
        "--dynamodb",
        "127.0.0.1:0",
        "--dashboard",
        "127.0.0.1:0",
        "--data-dir",
        path,
    ]);
    assert_eq!(code, 1);
    let expected = format!("the data directory {path} is in use by process {}", up.process_id());
    assert!(error.contains(&expected), "{error}");
    up.stop();
}

#[test]
fn up_tells_what_runs_where_and_keeps_its_keys_to_itself() {
    use std::os::unix::fs::PermissionsExt as _;
    let up = Up::start(&["--weight", "2=25"], &[]);
    assert!(up.overview.contains("version 1, live, stable, 75.00 % of new sessions"), "{}", up.overview);
    assert!(up.overview.contains("version 2, live, 25.00 % of new sessions"), "{}", up.overview);
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
    assert_eq!(mode(up.data_dir()), 0o700);
    for entry in std::fs::read_dir(up.data_dir()).expect("a folder") {
        let path = entry.expect("an entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    up.stop();
}

#[actix_web::test]
async fn malformed_requests_are_one_line_a_minute() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().to_str().expect("text");
    let serve = Serve::start(&["--embedded", "--data-dir", data_dir], &[]);
    for _ in 0..5 {
        let address = serve.url.trim_start_matches("http://");
        let mut connection = tokio::net::TcpStream::connect(address).await.expect("a connection");
        connection.write_all(b"\x16\x03\x01 this is no HTTP\r\n\r\n").await.expect("sent");
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await.expect("an end");
    }
    assert_eq!(Viewer::new(&serve.url).get("/").await.status, 200);
    let log = serve.stop();
    assert_eq!(log.matches("requests could not be read: 1 since").count(), 1, "{log}");
    assert_eq!(log.matches("ERROR").count(), 0, "{log}");
}

#[actix_web::test]
async fn ctrl_c_finishes_requests_in_progress() {
    let up = Up::start(&["--app", &format!("1={}", crate::upstream::spawn_app())], &[]);
    let idle = Viewer::new(&up.cloudfront);
    assert_eq!(idle.get("/").await.status, 200);
    // A request whose body takes its time: the answer can only come after the signal.
    let (parts, receiver) = tokio::sync::mpsc::channel::<Result<&'static str, std::io::Error>>(1);
    let body = stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|part| (part, receiver)) });
    let request = Viewer::new(&up.cloudfront).request("POST", "/drink").body(reqwest::Body::wrap_stream(body));
    let answer = actix_web::rt::spawn(async move { send(request).await });
    parts.send(Ok("the first part")).await.expect("sent");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begin = std::time::Instant::now();
    signal("INT", up.process_id());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!answer.is_finished(), "the request is still in progress");
    parts.send(Ok("the last part")).await.expect("sent");
    drop(parts);
    let answer = answer.await.expect("an answer");
    assert_eq!((answer.status, answer.body.as_str()), (200, "27"));
    up.ended();
    assert!(begin.elapsed() < Duration::from_secs(8), "idle connections must not delay the end");
}

#[actix_web::test]
async fn sigterm_under_load_fails_no_request() {
    let _busy = BUSY.lock().await;
    let folder = tempfile::tempdir().expect("a folder");
    let data_dir = folder.path().to_str().expect("text");
    // Every view writes: there is always something in flight.
    let variables =
        [("STICKSHIFT_TOUCH_INTERVAL_SECONDS", "0"), ("STICKSHIFT_KEYS", "0123456789abcdef0123456789abcdef")];
    let serve = Serve::start(&["--embedded", "--data-dir", data_dir], &variables);
    let served = Arc::new(AtomicU32::new(0));
    // As CloudFront does: each over a connection that it keeps, until it is told not to come again.
    let load: Vec<_> = (0..32)
        .map(|_| {
            let (viewer, served) = (Viewer::new(&serve.url), Arc::clone(&served));
            actix_web::rt::spawn(async move {
                loop {
                    let page = viewer.get("/").await;
                    assert!(page.version() == "1" && page.body.contains("</html>"));
                    served.fetch_add(1, Ordering::SeqCst);
                    if page.header("connection") == "close" {
                        return;
                    }
                }
            })
        })
        .collect();
    while served.load(Ordering::SeqCst) < 320 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    signal("TERM", serve.child.id());
    for viewer in load {
        viewer.await.expect("no request failed");
    }
    let log = serve.ended();
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}

#[actix_web::test]
async fn a_request_in_flight_is_answered_after_sigterm() {
    let (endpoint, _listener) = crate::faulty::hanging();
    let serve = Serve::start(
        &[],
        &[
            ("AWS_ENDPOINT_URL_DYNAMODB", &endpoint),
            ("AWS_ACCESS_KEY_ID", "x"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("STICKSHIFT_KEYS", "0123456789abcdef0123456789abcdef"),
        ],
    );
    let viewer = Viewer::new(&serve.url);
    let slow = actix_web::rt::spawn(async move { viewer.get("/").await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    signal("TERM", serve.child.id());
    let page = slow.await.expect("it was answered");
    assert_eq!((page.version(), page.receipt().is_some()), ("1", true));
    let log = serve.ended();
    assert_eq!(log.matches("sessions could not be written").count(), 1, "the cause is told once: {log}");
}
