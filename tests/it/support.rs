//! What the tests share: starting things, viewers, and checks that every response must pass.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use reqwest::header::{CACHE_CONTROL, HeaderMap, SET_COOKIE};
use serde_json::{Value, json};
use stickshift::clock::unix_now;
use stickshift::local::SharedRng;
use stickshift::local::machine::{EmbeddedDynamoDb, Machine, MachineConfig};
use stickshift::serve::{self, OriginListeners};
use stickshift::settings::Settings;
use stickshift::store::DynamoDb;
use stickshift::store::plans::{read_plan, write_plan};
use stickshift_contract::{
    Keys, Placed, Placement, Plan, PlanRecord, ROLLOUT_TABLE, Receipt, SESSIONS_TABLE, SessionItem, TableNames, Token,
    VersionCode,
};

pub(crate) fn keys() -> Keys {
    Keys::parse("0123456789abcdef0123456789abcdef").expect("a key")
}

pub(crate) fn code(text: &str) -> VersionCode {
    VersionCode::parse(text).expect("a version code")
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The settings of a theme file, with the tests' keys, and a plan that is never cached.
pub(crate) fn settings(version: &str) -> Settings {
    let mut settings = Settings::load(&root().join(format!("themes/version{version}.toml"))).expect("a theme");
    settings.shared.cookie.keys = Some(keys());
    settings.shared.plan_ttl_seconds = 0;
    settings
}

/// Held by the tests that keep the machine busy: side by side they would run into each other's time-outs.
pub(crate) static BUSY: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

pub(crate) fn any_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("there is a free port")
}

/// An embedded DynamoDB in memory with empty tables.
pub(crate) async fn dynamodb() -> (EmbeddedDynamoDb, Client) {
    let embedded =
        EmbeddedDynamoDb::start(any_port(), None, &TableNames::default()).await.expect("an embedded DynamoDB");
    let client = embedded.dynamodb().client();
    (embedded, client)
}

/// One version of the app, served by itself.
pub(crate) struct App {
    pub url: String,
    /// Where it answers monitors.
    pub admin_url: String,
    pub client: Client,
    _dynamodb: Option<EmbeddedDynamoDb>,
}

impl App {
    pub(crate) async fn spawn(settings: Settings) -> Self {
        let (dynamodb, _) = dynamodb().await;
        let app = Self::spawn_with(settings, dynamodb.endpoint());
        Self { _dynamodb: Some(dynamodb), ..app }
    }

    /// An app whose DynamoDB is whatever is at `endpoint`.
    pub(crate) fn spawn_with(settings: Settings, endpoint: &str) -> Self {
        let listener = any_port();
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let admin = any_port();
        let admin_url = format!("http://{}", admin.local_addr().expect("an address"));
        let listeners = OriginListeners { public: listener, admin };
        serve::start(listeners, settings, DynamoDb::at(endpoint)).expect("a server");
        Self { url, admin_url, client: DynamoDb::at(endpoint).client(), _dynamodb: None }
    }

    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let text = Viewer::new(&self.admin_url).get("/metrics").await.body;
        let line = text.lines().find(|line| line.starts_with(&format!("stickshift_{name}{{")));
        let value = line.and_then(|line| line.rsplit(' ').next()).unwrap_or_else(|| panic!("no {name} in {text}"));
        value.parse().expect("a number")
    }
}

/// The whole machine in memory; the draws of its edge are seeded.
pub(crate) async fn spawn_machine(weight_of_2: &str) -> Machine {
    let weight = stickshift_contract::Weight::parse_percent(weight_of_2).expect("a weight");
    Machine::start(MachineConfig { weights: vec![(code("2"), weight)], ..machine_config() }).await.expect("a machine")
}

pub(crate) fn machine_config() -> MachineConfig {
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    MachineConfig {
        listen: any,
        dynamodb: any,
        admin_listen: any,
        versions: vec![settings("1"), settings("2")],
        weights: Vec::new(),
        data_dir: None,
        rng: SharedRng::from_seed(20_240_311),
        read_timeout_seconds: 30,
        // The machine is busy with other tests.
        edge_deadline: Duration::from_secs(10),
    }
}

/// Puts a changed plan in force. `change` gets it as JSON.
pub(crate) async fn change_plan(client: &Client, change: impl FnOnce(&mut Value)) -> Plan {
    let in_force = read_plan(client, ROLLOUT_TABLE).await.expect("readable").expect("a plan");
    let mut plan = serde_json::to_value(&in_force).expect("JSON");
    plan["revision"] = json!(in_force.revision() + 1);
    change(&mut plan);
    let plan: Plan = serde_json::from_value(plan).expect("a plan");
    let record =
        PlanRecord { plan: plan.clone(), changed_at: unix_now(), changed_by: "test".into(), why: "test".into() };
    write_plan(client, ROLLOUT_TABLE, in_force.revision(), &record).await.expect("written");
    plan
}

/// Puts anything at all where the plan belongs.
pub(crate) async fn put_as_plan(client: &Client, plan: Value) {
    let mut item: HashMap<String, AttributeValue> = serde_dynamo::to_item(plan).expect("an item");
    item.insert("pk".into(), AttributeValue::S("rollout".into()));
    item.insert("sk".into(), AttributeValue::S("current".into()));
    client.put_item().table_name(ROLLOUT_TABLE).set_item(Some(item)).send().await.expect("put");
}

/// A session's attributes as they are stored.
pub(crate) async fn stored(client: &Client, token: Token) -> Option<HashMap<String, AttributeValue>> {
    let key = AttributeValue::S(token.as_str().to_owned());
    client.get_item().table_name(SESSIONS_TABLE).key("token", key).send().await.expect("an answer").item
}

pub(crate) async fn stored_session(client: &Client, token: Token) -> Option<SessionItem> {
    stored(client, token).await.map(|item| serde_dynamo::from_item(item).expect("a session"))
}

pub(crate) async fn put_session(client: &Client, item: &SessionItem) {
    let item = serde_dynamo::to_item(item).expect("an item");
    client.put_item().table_name(SESSIONS_TABLE).set_item(Some(item)).send().await.expect("put");
}

pub(crate) async fn count_sessions(client: &Client) -> usize {
    client.scan().table_name(SESSIONS_TABLE).send().await.expect("an answer").items().len()
}

pub(crate) fn token(seed: u64) -> Token {
    use rand::SeedableRng as _;
    Token::generate(&mut rand::rngs::StdRng::seed_from_u64(seed))
}

/// A session that was drawn by the first plan.
pub(crate) fn drawn() -> Placed {
    Placed { revision: 1, placement: Placement::Drawn }
}

/// A receipt that was issued `age` seconds ago.
pub(crate) fn receipt(version: &str, age: u64) -> Receipt {
    let touched = unix_now() - age;
    Receipt { token: token(1), version: code(version), placed: drawn(), started: touched - 7, touched }
}

pub(crate) fn session_item(receipt: &Receipt) -> SessionItem {
    let Receipt { token, version, placed: Placed { revision, placement }, started, touched } = *receipt;
    let expiration = touched + 720;
    SessionItem { token, version: Some(version), expiration, started, touched, revision, placement, failed: None }
}

pub(crate) fn as_cookie(receipt: &Receipt) -> String {
    format!("sessiontoken={}", keys().sign(receipt))
}

/// Somebody with a browser: keeps cookies, follows no redirect.
#[derive(Clone)]
pub(crate) struct Viewer {
    http: reqwest::Client,
    url: String,
}

pub(crate) struct Page {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Viewer {
    pub(crate) fn new(url: &str) -> Self {
        let http = reqwest::Client::builder().cookie_store(true).redirect(reqwest::redirect::Policy::none()).no_proxy();
        Self { http: http.build().expect("a client"), url: url.to_owned() }
    }

    /// Somebody at a machine's CloudFront.
    pub(crate) fn at(machine: &Machine) -> Self {
        Self::new(&format!("http://{}", machine.cloudfront.address))
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method.parse().expect("a method"), format!("{}{path}", self.url))
    }

    pub(crate) async fn get(&self, path: &str) -> Page {
        send(self.request("GET", path)).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Page {
        send(headers.iter().fold(self.request("GET", path), |request, (name, value)| request.header(*name, *value)))
            .await
    }
}

/// Sends a request and checks what must hold for every response of ours.
pub(crate) async fn send(request: reqwest::RequestBuilder) -> Page {
    let response = request.send().await.expect("a response");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let page = Page { status, headers, body: response.text().await.expect("a whole body") };
    let caching = page.header("cache-control");
    let content_type = page.header("content-type");
    let is_from_app = page.headers.contains_key("content-security-policy");
    if is_from_app {
        assert!(!page.header("content-security-policy").contains("unsafe-inline"));
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert!(!page.header("referrer-policy").is_empty());
        match (status, content_type) {
            (200, "text/html; charset=utf-8") => assert_eq!(caching, "private, no-store"),
            _ => assert!(caching.contains("no-store") || caching.contains("immutable"), "{caching}"),
        }
    }
    if let Some(cookie) = page.set_cookie().filter(|_| is_from_app) {
        assert_eq!(page.headers.get_all(SET_COOKIE).iter().count(), 1);
        assert_eq!(page.headers[CACHE_CONTROL], "private, no-store");
        let names = ["sessiontoken=", "__Host-sessiontoken=", "sessiontoken-pass=", "__Host-sessiontoken-pass="];
        assert!(names.iter().any(|name| cookie.starts_with(name)), "{cookie}");
        assert!(cookie.contains("; Path=/; HttpOnly; SameSite=Lax; Max-Age="), "{cookie}");
    }
    page
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub(crate) fn set_cookie(&self) -> Option<&str> {
        self.headers.get(SET_COOKIE).map(|cookie| cookie.to_str().expect("text"))
    }

    /// The receipt that came with it.
    pub(crate) fn receipt(&self) -> Option<Receipt> {
        let value = self.set_cookie()?.split(['=', ';']).nth(1)?;
        Some(keys().verify(value).expect("a receipt that verifies"))
    }

    /// The version that served it.
    pub(crate) fn version(&self) -> &str {
        assert_eq!(self.status, 200, "{}", self.body);
        let heading = self.body.split("<h1>This is application Version ").nth(1).expect("a heading");
        &heading[..1]
    }

    /// The edge's reason, as the page tells it.
    pub(crate) fn way(&self) -> &str {
        let way = self.body.split("<dt>Way here</dt><dd>").nth(1).expect("a way");
        way.split([':', ',']).next().expect("a word")
    }
}
