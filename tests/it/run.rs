//! `rollout run` against a running `up`, with two apps behind sidecars and viewers that come all the time.
//!
//! Only times are shorter than in production: pulses come every second, and steps take seconds.

use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_web::rt::task::JoinHandle;
use actix_web::rt::time::sleep;
use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::cli::{Serve, Up};
use crate::faulty::dead_port;
use crate::rollout::{rollout, status};
use crate::support::{BUSY, Viewer, any_port, root};

/// How an app treats its viewers; 0 for never.
#[derive(Debug, Default)]
struct Manners {
    /// Every so-many-th first answer is a 500.
    first_fails: AtomicU64,
    /// Every so-many-th second answer is a 500.
    second_fails: AtomicU64,
    /// How long every answer takes, in milliseconds.
    dawdles: AtomicU64,
    firsts: AtomicU64,
    seconds: AtomicU64,
}

impl Manners {
    fn fails(count: &AtomicU64, every: &AtomicU64) -> bool {
        let (count, every) = (count.fetch_add(1, Ordering::Relaxed) + 1, every.load(Ordering::Relaxed));
        every > 0 && count.is_multiple_of(every)
    }
}

/// An app: where it is.
fn spawn_app(manners: &Arc<Manners>) -> String {
    let listener = any_port();
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let manners = Arc::clone(manners);
    let server = HttpServer::new(move || {
        let (of_first, of_second) = (Arc::clone(&manners), Arc::clone(&manners));
        let answer = |manners: Arc<Manners>, fails: bool| async move {
            sleep(Duration::from_millis(manners.dawdles.load(Ordering::Relaxed))).await;
            if fails { HttpResponse::InternalServerError().finish() } else { HttpResponse::Ok().body("here") }
        };
        App::new()
            .route(
                "/",
                web::get()
                    .to(move || answer(Arc::clone(&of_first), Manners::fails(&of_first.firsts, &of_first.first_fails))),
            )
            .route(
                "/again",
                web::get().to(move || {
                    answer(Arc::clone(&of_second), Manners::fails(&of_second.seconds, &of_second.second_fails))
                }),
            )
    });
    actix_web::rt::spawn(server.workers(1).disable_signals().listen(listener).expect("a server").run());
    url
}

const SETTINGS: [(&str, &str); 3] = [
    ("STICKSHIFT_KEYS", "0123456789abcdef0123456789abcdef"),
    ("STICKSHIFT_PULSE_SECONDS", "1"),
    ("STICKSHIFT_TOUCH_INTERVAL_SECONDS", "0"),
];

/// Version 1 in an `up`, version 2 in a process of its own, and viewers.
struct Site {
    up: Up,
    two: Serve,
    one_manners: Arc<Manners>,
    two_manners: Arc<Manners>,
    viewers: Option<JoinHandle<()>>,
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(viewers) = &self.viewers {
            viewers.abort();
        }
    }
}

/// Somebody who comes, and comes again after the second of the first visit.
async fn visit(url: String) {
    let viewer = Viewer::new(&url);
    for path in ["/", "/again", "/again"] {
        // While nothing answers, nobody visits.
        viewer.request("GET", path).header("sec-fetch-dest", "document").send().await.ok();
        sleep(Duration::from_millis(1100)).await;
    }
}

impl Site {
    /// `origin`: where the plan says that version 2 is; where it is, if nothing is said.
    async fn start(origin: Option<String>) -> Self {
        let (one_manners, two_manners) = (Arc::<Manners>::default(), Arc::<Manners>::default());
        let app = format!("1={}", spawn_app(&one_manners));
        let up = Up::start(&["--app", &app], &SETTINGS);
        let upstream = spawn_app(&two_manners);
        let arguments = ["sidecar", "--version-code", "2", "--upstream", &upstream];
        let listen = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        let endpoint = [("AWS_ENDPOINT_URL_DYNAMODB", up.dynamodb.as_str())];
        let access = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];
        let two = Serve::run(&[&arguments[..], &listen].concat(), &[&SETTINGS[..], &endpoint, &access].concat());
        let origin = origin.unwrap_or_else(|| two.url.replace("127.0.0.1", "localhost"));
        let (code, _, error) = rollout(&up, &["add", "2", "--origin", &origin]);
        assert_eq!((code, error.as_str()), (0, ""));
        let site = Self { up, two, one_manners, two_manners, viewers: None };
        // So many first answers of version 1 must be known before anything is called slow.
        for _ in 0..10 {
            let firsts = (0..25).map(|_| Viewer::new(&site.up.cloudfront));
            let firsts = firsts.map(|viewer| async move { viewer.get("/").await.status });
            assert!(futures_util::future::join_all(firsts).await.iter().all(|status| *status < 600));
        }
        site
    }

    /// New viewers from now on, so many a second.
    fn viewers(mut self, a_second: u64) -> Self {
        let url = self.up.cloudfront.clone();
        self.viewers = Some(actix_web::rt::spawn(async move {
            loop {
                actix_web::rt::spawn(visit(url.clone()));
                sleep(Duration::from_millis(1000 / a_second)).await;
            }
        }));
        self
    }

    fn run(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stickshift"));
        let data_dir = self.up.data_dir().to_str().expect("text");
        command.args(["rollout", "--data-dir", data_dir, "run", "--to", "2"]).args(arguments).current_dir(root());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("it starts")
    }

    /// Runs it with steps of seconds: the exit code, and what it printed.
    async fn run_to_the_end(&self, arguments: &[&str]) -> (i32, String) {
        ended(self.run(&quick(arguments))).await
    }

    fn steer(&self, arguments: &[&str]) -> String {
        let (code, output, error) = rollout(&self.up, arguments);
        assert_eq!((code, error.as_str()), (0, ""), "{arguments:?}");
        output
    }

    fn state_of_two(&self) -> String {
        let planned = &status(&self.up)["plan"]["versions"]["2"];
        format!("{} {}", planned["state"].as_str().expect("a state"), planned["weight_basis_points"])
    }

    /// Waits until the status says so.
    async fn until(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let status = status(&self.up);
            if is_so(&status) {
                return status;
            }
            assert!(begin.elapsed() < Duration::from_secs(100), "{status:#}");
            sleep(Duration::from_millis(300)).await;
        }
    }
}

/// Steps of seconds, but for what `arguments` say.
fn quick<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let usual = [
        ["--steps", "20,50,100"],
        ["--every", "3s"],
        ["--settle", "3s"],
        ["--min-sessions", "20"],
        ["--warm-up", "1s"],
        // The machine is busy with other tests.
        ["--max-slow", "100%"],
        ["--timeout", "90s"],
    ];
    let missing = usual.into_iter().filter(|[flag, _]| !arguments.contains(flag));
    missing.flatten().chain(arguments.iter().copied()).collect()
}

async fn ended(run: Child) -> (i32, String) {
    let Output { status, stdout, stderr } = run.wait_with_output().await.expect("it ends");
    let printed = [stdout, stderr].map(|bytes| String::from_utf8(bytes).expect("text")).concat();
    (status.code().expect("an exit code"), printed)
}

fn says(printed: &str, parts: &[&str]) {
    for part in parts {
        assert!(printed.contains(part), "no `{part}` in\n{printed}");
    }
}

#[actix_web::test]
async fn a_good_version_goes_from_one_percent_to_all() {
    let site = Site::start(None).await.viewers(25);
    let told = tempfile::NamedTempFile::new().expect("a file");
    let notify = format!("cat >> {}", told.path().display());
    let steps = ["--steps", "1,50,100", "--min-sessions", "1", "--check", "exit 0", "--notify", &notify];
    let (code, printed) = site.run_to_the_end(&steps).await;
    assert_eq!(code, 0, "{printed}");
    says(
        &printed,
        &["began: version 2 gets 1.00 %", "warmed up", "step: 1.00 % to 50.00 %", "reached: 50.00 % to 100 %"],
    );
    assert_eq!(site.state_of_two(), "live 10000");
    let told = std::fs::read_to_string(told.path()).expect("text");
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let decisions: Vec<&str> = told.iter().map(|told| told["decision"].as_str().expect("a word")).collect();
    assert_eq!(decisions, ["began", "warmed_up", "stepped", "reached"]);
    let history = site.steer(&["history", "--json"]);
    let reasons: Vec<Value> = history.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let why = reasons[0]["why"].as_str().expect("a reason");
    says(why, &["run: 50.00 % to 100 %, every gate passes", "evidence"]);
    // A run that is over is no obstacle to the next one, and stable is no canary.
    let (code, printed) = site.run_to_the_end(&[]).await;
    assert_eq!((code, printed.contains("version 2 is stable")), (1, true), "{printed}");
}

#[actix_web::test]
async fn a_version_that_fails_one_session_in_five_is_taken_back() {
    let site = Site::start(None).await.viewers(25);
    site.two_manners.second_fails.store(5, Ordering::Relaxed);
    let (code, printed) = site.run_to_the_end(&["--min-sessions", "1000"]).await;
    assert_eq!(code, 3, "{printed}");
    says(&printed, &["FAILED: sessions fail more often than on version 1"]);
    assert_eq!(site.state_of_two(), "draining 0");
}

#[actix_web::test]
async fn a_version_that_is_slower_is_taken_back_and_its_sessions_move() {
    // Slow is what stable is not, and on a busy machine everything is slow.
    let _busy = BUSY.lock().await;
    let site = Site::start(None).await.viewers(25);
    site.two_manners.dawdles.store(300, Ordering::Relaxed);
    let (code, printed) = site.run_to_the_end(&["--min-sessions", "1000", "--on-fail", "evict"]).await;
    assert_eq!(code, 3, "{printed}");
    says(&printed, &["FAILED: sessions begin slowly more often than on version 1"]);
    assert_eq!(site.state_of_two(), "withdrawn 0");
}

#[actix_web::test]
async fn a_version_whose_first_answers_fail_waits_for_somebody_who_decides() {
    let site = Site::start(None).await.viewers(25);
    site.two_manners.first_fails.store(3, Ordering::Relaxed);
    let run = site.run(&quick(&["--min-sessions", "1000", "--on-fail", "pause"]));
    let paused = site.until(|status| status["run"]["paused"]["has_failed"] == true).await;
    assert_eq!(paused["plan"]["versions"]["2"]["weight_basis_points"], 2000, "nothing was changed");
    let (code, _, error) = rollout(&site.up, &["resume"]);
    assert_eq!((code, error.contains("judge it anew with `retry`")), (1, true), "{error}");
    // It is mended, and begins again without the evidence so far.
    site.two_manners.first_fails.store(0, Ordering::Relaxed);
    site.steer(&["retry"]);
    let again = site.until(|status| status["run"]["phase"]["at"] == "step").await;
    assert_eq!(again["run"]["attempt"], 2);
    assert_eq!(again["run"]["report"]["gates"][0]["failed"], 0, "{again:#}");
    site.steer(&["abort", "--reason", "enough"]);
    let (code, printed) = ended(run).await;
    assert_eq!(code, 3, "{printed}");
    says(
        &printed,
        &["paused: version 2 has failed: first answers fail more often", "aborted: taken back by", "enough"],
    );
}

#[actix_web::test]
async fn a_version_at_which_no_session_arrives_is_taken_back() {
    // Its instance reports, and nobody listens where the plan says that it is.
    let site = Site::start(Some(format!("http://localhost:{}", dead_port()))).await.viewers(25);
    let (code, printed) = site.run_to_the_end(&["--min-sessions", "1000"]).await;
    assert_eq!(code, 3, "{printed}");
    says(&printed, &["FAILED: only 0 of ", "new sessions arrived at version 2"]);
}

#[actix_web::test]
async fn a_version_that_fails_as_often_as_stable_is_not_taken_back() {
    let site = Site::start(None).await.viewers(25);
    for manners in [&site.one_manners, &site.two_manners] {
        manners.second_fails.store(10, Ordering::Relaxed);
        manners.first_fails.store(10, Ordering::Relaxed);
    }
    let (code, printed) = site.run_to_the_end(&["--steps", "50,100", "--timeout", "30s"]).await;
    assert_eq!(code, 4, "{printed}");
    says(&printed, &["timed out: no verdict in time, so the plan stays as it is"]);
    assert_eq!(site.state_of_two(), "live 5000");
    let warnings = status(&site.up)["warnings"].to_string();
    says(&warnings, &["NOBODY LOOKS at the rollout to version 2: start `rollout run --to 2` again"]);
}

#[actix_web::test]
async fn a_version_whose_process_is_killed_fails_within_its_pulse_the_look_and_half_a_minute() {
    let site = Site::start(None).await.viewers(10);
    let run = site.run(&quick(&["--min-sessions", "1000"]));
    site.until(|status| status["run"]["phase"]["at"] == "step").await;
    site.two.kill();
    let begin = Instant::now();
    let (code, printed) = ended(run).await;
    assert_eq!(code, 3, "{printed}");
    // Its first answers fail at the edge, so its sessions do not arrive: that may be seen first.
    assert!(printed.contains("no instance of version 2 has reported for 30 s") || printed.contains("FAILED: only"));
    assert!(begin.elapsed() < Duration::from_secs(45), "{:?}", begin.elapsed());
}

#[actix_web::test]
async fn one_error_in_three_sessions_decides_nothing() {
    let site = Site::start(None).await;
    site.two_manners.second_fails.store(3, Ordering::Relaxed);
    let run = site.run(&quick(&["--steps", "99.99,100", "--min-sessions", "3", "--timeout", "25s"]));
    site.until(|status| status["run"]["phase"]["at"] == "step").await;
    // The edge uses the plan before for a few seconds.
    sleep(Duration::from_secs(6)).await;
    for _ in 0..3 {
        let viewer = Viewer::new(&site.up.cloudfront);
        viewer.get("/").await;
        sleep(Duration::from_millis(1100)).await;
        viewer.get("/again").await;
    }
    let (code, printed) = ended(run).await;
    assert_eq!(code, 4, "{printed}");
    let status = status(&site.up);
    let sessions = &status["run"]["report"]["gates"][1];
    assert_eq!((&sessions["failed"], &sessions["verdict"]), (&Value::from(1), &Value::from("inconclusive")));
}

#[actix_web::test]
async fn killed_at_every_step_and_started_again_it_goes_on_with_the_same_evidence() {
    let site = Site::start(None).await.viewers(25);
    // Some sessions fail on both versions, so that there is evidence to lose.
    for manners in [&site.one_manners, &site.two_manners] {
        manners.second_fails.store(150, Ordering::Relaxed);
    }
    let (mut drawn, mut revision) = (0, 0);
    for phase in ["warm_up", "0", "1"] {
        let mut run = site.run(&quick(&["--timeout", "240s"]));
        let is_there = |status: &Value| {
            let phase_now = &status["run"]["phase"];
            phase_now["at"] == phase
                || phase_now["index"].as_u64().map(|index| index.to_string()).as_deref() == Some(phase)
        };
        let before = site.until(is_there).await;
        run.kill().await.expect("killed");
        let counts = |status: &Value| status["run"]["report"]["drawn"]["canary"].as_u64().unwrap_or(0);
        assert!(counts(&before) >= drawn, "{before:#}");
        drawn = counts(&before);
        let now = before["plan"]["revision"].as_u64().expect("a number");
        assert!(now > revision, "each step is one revision");
        revision = now;
    }
    let (code, printed) = site.run_to_the_end(&[]).await;
    assert_eq!(code, 0, "{printed}");
    says(&printed, &["goes on with the rollout that", "reached: "]);
    let status = status(&site.up);
    assert!(status["run"]["report"]["drawn"]["canary"].as_u64().expect("a count") >= drawn);
    // Added, began, warmed up, one step, promoted.
    assert_eq!(status["plan"]["revision"], 2 + 4);
}

#[actix_web::test]
async fn while_the_table_is_away_nothing_is_judged() {
    let mut site = Site::start(None).await.viewers(10);
    let run = site.run(&quick(&["--min-sessions", "30", "--timeout", "150s"]));
    site.until(|status| status["run"]["phase"]["at"] == "step").await;
    // Version 1 runs beside the table and stops with it, so viewers would wait for one version alone.
    if let Some(viewers) = site.viewers.take() {
        viewers.abort();
    }
    sleep(Duration::from_secs(4)).await;
    site.up.freeze(true);
    sleep(Duration::from_secs(60)).await;
    site.up.freeze(false);
    let _site = site.viewers(10);
    let (code, printed) = ended(run).await;
    assert_eq!(code, 0, "{printed}");
    says(&printed, &["held: ", "the tables answer again", "reached"]);
}

#[actix_web::test]
async fn of_two_runners_one_is_refused_and_a_change_by_hand_pauses_the_other() {
    let site = Site::start(None).await.viewers(20);
    let run = site.run(&quick(&["--min-sessions", "1000", "--timeout", "60s"]));
    site.until(|status| status["run"]["phase"]["at"] == "step").await;
    let (code, printed) = site.run_to_the_end(&[]).await;
    assert_eq!(code, 1, "{printed}");
    says(&printed, &["looks at this rollout: see `rollout status`", ", process "]);
    site.steer(&["pause", "--reason", "lunch"]);
    let paused = site.steer(&["status"]);
    says(&paused, &["paused: by ", ": lunch", "looked at by ", "step 1 of 3, 20.00 % ["]);
    site.steer(&["resume"]);
    site.steer(&["set-weight", "2=30", "--reason", "by hand"]);
    let paused = site.until(|status| !status["run"]["paused"].is_null()).await;
    says(paused["run"]["paused"]["why"].as_str().expect("text"), &["the plan was changed by", ": by hand"]);
    assert_eq!(paused["plan"]["versions"]["2"]["weight_basis_points"], 3000);
    site.steer(&["resume"]);
    site.until(|status| status["plan"]["versions"]["2"]["weight_basis_points"] == 2000).await;
    // A paused run still takes back a version that fails.
    site.steer(&["pause"]);
    site.two_manners.second_fails.store(1, Ordering::Relaxed);
    let (code, printed) = ended(run).await;
    assert_eq!(code, 3, "{printed}");
    says(&printed, &["paused: by ", "resumed: by ", "restored: 20.00 % again", "FAILED: sessions fail"]);
}

#[actix_web::test]
async fn a_wrong_origin_in_the_plan_holds_the_rollout() {
    let first = Site::start(None).await;
    // The plan names version 1's address for version 2.
    let one = first.up.overview.lines().find(|line| line.trim_start().starts_with("Sidecar")).expect("a row");
    let one = one.split_whitespace().find(|word| word.starts_with("http://")).expect("an address");
    let site = {
        let origin = one.replace("127.0.0.1", "localhost");
        first.steer(&["remove", "2"]);
        first.steer(&["add", "2", "--origin", &origin]);
        first.viewers(20)
    };
    let (code, printed) = site.run_to_the_end(&["--timeout", "25s"]).await;
    assert_eq!(code, 4, "{printed}");
    says(&printed, &["held: ", "requests came to the wrong version: an origin in the plan is wrong"]);
    assert_eq!(site.state_of_two(), "live 2000");
}

#[actix_web::test]
async fn it_outlives_its_readers_and_a_command_that_hangs() {
    let site = Site::start(None).await.viewers(20);
    let mut run =
        site.run(&quick(&["--notify", "sleep 1000", "--check", "sleep 1000; true", "--min-sessions", "1000"]));
    // Nobody reads any more.
    drop(run.stdout.take());
    drop(run.stderr.take());
    let begun = site.until(|status| status["run"]["phase"]["at"] == "step").await;
    let beat = |status: &Value| status["run"]["lease"]["beat"].as_u64().expect("a number");
    sleep(Duration::from_secs(5)).await;
    let later = status(&site.up);
    assert!(beat(&later) >= beat(&begun) + 3, "it looks while its commands hang");
    run.kill().await.expect("killed");
    // Whoever goes on must know the check.
    let (code, printed) = site.run_to_the_end(&[]).await;
    assert_eq!((code, printed.contains("`--check true` goes on without one")), (1, true), "{printed}");
    // Nobody looks, and the rollout ends all the same.
    site.steer(&["drain", "2"]);
    let output = site.steer(&["abort", "--reason", "enough"]);
    says(&output, &["The plan stays as it is: ", "The rollout to version 2 ends."]);
    let retried = site.steer(&["retry"]);
    says(&retried, &["begins again with its first step", "Nobody looks at it: start `rollout run --to 2`."]);
}

#[actix_web::test]
async fn what_cannot_be_judged_is_refused_before_anything_changes() {
    let site = Site::start(None).await;
    let (code, _, error) = rollout(&site.up, &["pause"]);
    assert_eq!((code, error.contains("no rollout runs: start one with `rollout run`")), (1, true), "{error}");
    site.steer(&["add", "3", "--origin", "http://localhost:8089"]);
    site.steer(&["set-weight", "3=40", "--force"]);
    for (arguments, expected) in [
        (&["--steps", "5,60"][..], "version 1 would get no new sessions, so there would be nothing to compare with"),
        (&["--steps", "5,70"], "the step to 70.00 % is not possible"),
        (&["--steps", "5,5"], "the steps must be shares above 0 % that rise"),
        (&["--steps", "100"], "the first one below 100 %"),
        (&["--alpha", "0"], "expected a probability from 0.000001 to 0.5"),
        (&["--tolerance", "NaN"], "expected a ratio from 1 to 100"),
        (&["--max-failed", "0%"], "expected a share above 0 % and up to 100 %"),
        (&["--every", "0s"], "expected a number and s, m, h or d"),
    ] {
        let (code, printed) = site.run_to_the_end(arguments).await;
        assert!(code == 1 || code == 2, "{printed}");
        says(&printed, &[expected]);
    }
    assert_eq!(site.state_of_two(), "staged 0");
}

#[actix_web::test]
async fn without_receipts_it_refuses() {
    // The themed app without keys: sessions are found by look-ups alone.
    let (dynamodb, client) = crate::support::dynamodb().await;
    for version in ["1", "2"] {
        let mut settings = crate::support::settings(version);
        settings.shared.cookie.keys = None;
        settings.shared.pulse_seconds = 1;
        let app = crate::support::App::spawn_with(settings, dynamodb.endpoint());
        drop(app);
    }
    let origin = |port| serde_json::json!({ "domain": "localhost", "port": port, "protocol": "http" });
    let plan = serde_json::json!({
        "format": 1, "revision": 1, "stable": "1", "changed_at": 1, "changed_by": "test", "why": "test",
        "versions": {
            "1": { "origin": origin(8081), "weight_basis_points": 10000, "state": "live" },
            "2": { "origin": origin(8082), "weight_basis_points": 0, "state": "staged" },
        },
    });
    crate::support::put_as_plan(&client, plan).await;
    sleep(Duration::from_secs(2)).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_stickshift"));
    command.args(["rollout", "--region", "us-east-1", "run", "--to", "2"]);
    command.env("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.endpoint());
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    let output = command.output().await.expect("it runs");
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!((output.status.code(), error.contains("issues no receipts: without keys")), (Some(1), true), "{error}");
}
