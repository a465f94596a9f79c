//! Lambda around the bundle: its [Runtime API](https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), and a
//! function instance in AWS's own runtime interface client.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Mutex;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

use crate::support::any_port;

/// The runtimes to test on, by their major version.
pub(crate) const NODES: [&str; 2] = ["22", "24"];

/// A function instance that is running.
pub(crate) struct Function {
    /// Node's major version.
    node: String,
    api: web::Data<RuntimeApi>,
    instance: Child,
    log: PathBuf,
    _folder: TempDir,
}

struct RuntimeApi {
    /// Events that wait for the function to ask for the next one, each with its id.
    queue: mpsc::UnboundedSender<(String, String)>,
    next: tokio::sync::Mutex<mpsc::UnboundedReceiver<(String, String)>>,
    /// Who waits for which answer.
    waiting: Mutex<HashMap<String, oneshot::Sender<Value>>>,
}

/// What `edge/lambda/test` has made: the bundle, Node and the client.
pub(crate) fn made(file: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("edge").join(file);
    assert!(path.exists(), "{} is missing: edge/lambda/test makes it", path.display());
    path
}

/// The bundle, unzipped into an empty folder, with `config` in place of the one in it.
pub(crate) fn unzip(config: &Value) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let zip = made("stickshift-edge.zip");
    let unzip = Command::new("unzip").arg("-q").arg(zip).arg("-d").arg(folder.path()).status().expect("unzip runs");
    assert!(unzip.success());
    std::fs::write(folder.path().join("config.json"), config.to_string()).expect("written");
    folder
}

impl Function {
    /// Starts an instance of the bundle with a configuration, on Node's major version `node`, in eu-central-1.
    pub(crate) fn start(node: &str, config: &Value) -> Self {
        Self::start_in(unzip(config), node, &[])
    }

    /// Starts an instance of what is in a folder, with further variables in its environment.
    pub(crate) fn start_in(folder: TempDir, node: &str, variables: &[(&str, &str)]) -> Self {
        let (queue, next) = mpsc::unbounded_channel();
        let api = RuntimeApi { queue, next: next.into(), waiting: Mutex::default() };
        let api = web::Data::new(api);
        let address = serve(api.clone());
        let log = folder.path().with_extension("log");
        let output = File::create(&log).expect("a log");
        let instance = Command::new(made(&format!("runtimes/node_modules/node{node}/bin/node")))
            .arg(made("runtimes/node_modules/aws-lambda-ric/index.mjs"))
            .current_dir(folder.path())
            // Only what Lambda sets, and no more:
            // https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
            .env_clear()
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
                ("LAMBDA_TASK_ROOT", folder.path().to_str().expect("a path in UTF-8")),
                ("_HANDLER", "index.handler"),
                ("AWS_REGION", "eu-central-1"),
                ("AWS_ACCESS_KEY_ID", "any"),
                ("AWS_SECRET_ACCESS_KEY", "any"),
                ("AWS_SESSION_TOKEN", "any"),
                ("AWS_LAMBDA_FUNCTION_NAME", "us-east-1.stickshift-edge"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
                ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/us-east-1.stickshift-edge"),
                ("AWS_LAMBDA_LOG_STREAM_NAME", "test"),
                ("PATH", "/usr/local/bin:/usr/bin:/bin"),
                ("TZ", ":UTC"),
            ])
            .envs(variables.iter().copied())
            .stdin(std::process::Stdio::null())
            .stdout(output.try_clone().expect("a log"))
            .stderr(output)
            .spawn()
            .expect("node runs");
        Self { node: node.to_owned(), api, instance, log, _folder: folder }
    }

    /// Hands the function an event and returns what it answers.
    pub(crate) async fn invoke(&self, event: &Value) -> Value {
        let id = uuid::Uuid::new_v4().to_string();
        let (answer, answered) = oneshot::channel();
        self.api.waiting.lock().expect("not poisoned").insert(id.clone(), answer);
        self.api.queue.send((id, event.to_string())).expect("the API runs");
        let answer = tokio::time::timeout(Duration::from_secs(30), answered).await;
        match answer {
            Ok(Ok(answer)) => answer,
            _ => panic!("the function failed or does not answer; its log: {}", self.log()),
        }
    }

    /// The reason that the function's answer gives.
    pub(crate) async fn reason(&self, event: &Value) -> String {
        let answer = self.invoke(event).await;
        let reason = answer["headers"]["x-stickshift-route"][0]["value"].as_str();
        reason.unwrap_or_else(|| panic!("no reason in {answer}; the log: {}", self.log())).to_owned()
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("a log")
    }

    /// Stops its processes where they stand, as Lambda does between two events; and lets them go on.
    pub(crate) fn freeze(&self, is_frozen: bool) {
        let signal = if is_frozen { "STOP" } else { "CONT" };
        // The shell has a `kill` of its own, where the system may have none.
        let kill = Command::new("sh").arg("-c").arg(format!("kill -{signal} {}", self.instance.id())).status();
        assert!(kill.expect("a shell").success());
    }

    /// Resident memory, in KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.instance.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

/// What to know of it when a test fails.
impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "on Node {}; its log: {}", self.node, self.log())
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.instance.kill().ok();
        self.instance.wait().ok();
        std::fs::remove_file(&self.log).ok();
    }
}

/// Serves the Runtime API for one function and returns its address.
fn serve(api: web::Data<RuntimeApi>) -> String {
    let listener = any_port();
    let address = listener.local_addr().expect("an address").to_string();
    let app = move || {
        App::new().app_data(api.clone()).app_data(web::PayloadConfig::new(1 << 20)).service(
            web::scope("/2018-06-01/runtime")
                .route("/invocation/next", web::get().to(next))
                .route("/invocation/{id}/response", web::post().to(answer))
                .route("/invocation/{id}/error", web::post().to(error))
                .route("/init/error", web::post().to(error)),
        )
    };
    actix_web::rt::spawn(HttpServer::new(app).workers(1).disable_signals().listen(listener).expect("a server").run());
    address
}

async fn next(api: web::Data<RuntimeApi>) -> HttpResponse {
    let (id, event) = api.next.lock().await.recv().await.expect("the function is not dropped");
    HttpResponse::Ok()
        .insert_header(("Lambda-Runtime-Aws-Request-Id", id))
        .insert_header(("Lambda-Runtime-Deadline-Ms", "9999999999999"))
        .insert_header((
            "Lambda-Runtime-Invoked-Function-Arn",
            "arn:aws:lambda:us-east-1:123456789012:function:stickshift-edge:1",
        ))
        .content_type("application/json")
        .body(event)
}

async fn answer(api: web::Data<RuntimeApi>, id: web::Path<String>, body: web::Bytes) -> HttpResponse {
    let waiting = api.waiting.lock().expect("not poisoned").remove(id.as_str()).expect("somebody waits for it");
    // Whoever waited may have given up.
    waiting.send(serde_json::from_slice(&body).expect("JSON")).ok();
    HttpResponse::Accepted().json(serde_json::json!({ "status": "OK" }))
}

/// The function threw, or did not start: whoever waits for an answer gets none.
async fn error(api: web::Data<RuntimeApi>) -> HttpResponse {
    api.waiting.lock().expect("not poisoned").clear();
    HttpResponse::Accepted().json(serde_json::json!({ "status": "OK" }))
}
