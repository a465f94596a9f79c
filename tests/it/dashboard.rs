//! The dashboard: who gets an answer, what it shows, and what it changes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use actix_web::rt::time::sleep;
use aws_sdk_dynamodb::Client;
use futures_util::StreamExt as _;
use reqwest::header::HeaderMap;
use serde_json::Value;
use stickshift::clock::unix_now;
use stickshift::dashboard::{Dashboard, DashboardConfig};
use stickshift::local::RunningUp;
use stickshift::local::machine::EmbeddedDynamoDb;
use stickshift::operator::Site;
use stickshift::store::live::{LiveSample, write_live};
use stickshift::store::plans::{history, read_plan, write_plan};
use stickshift::store::pulses::PulseStore;
use stickshift_contract::{Draws, Histogram, Plan, PlanRecord, Pulse, ROLLOUT_TABLE, SESSIONS_TABLE};

use crate::cli::Up;
use crate::rollout::rollout;
use crate::support::{Page, Viewer, any_port, change_plan, code, dynamodb, put_session, receipt, send, session_item};
use crate::wire::Wire;

/// A dashboard over tables of its own.
struct Board {
    url: String,
    client: Client,
    calls: stickshift::store::Calls,
    links: Vec<(String, String)>,
    _dynamodb: EmbeddedDynamoDb,
    _dashboard: Dashboard,
}

impl Board {
    async fn spawn(may_change: bool, people: &[&str]) -> Self {
        let (dynamodb, client) = dynamodb().await;
        put_plan(&client, 1, 1_000, "the first plan").await;
        let endpoint = dynamodb.endpoint().to_owned();
        Self::spawn_at(&endpoint, dynamodb, may_change, people)
    }

    fn spawn_at(endpoint: &str, dynamodb: EmbeddedDynamoDb, may_change: bool, people: &[&str]) -> Self {
        let site = site(endpoint);
        let calls = site.calls.clone();
        let listener = any_port();
        let port = listener.local_addr().expect("an address").port();
        let url = (!people.is_empty()).then(|| format!("http://board.example:{port}"));
        let people = people.iter().map(|name| (*name).to_owned()).collect();
        let config = DashboardConfig { listener, site, may_change, people, url };
        let dashboard = Dashboard::start(config).expect("a dashboard");
        Self {
            url: format!("http://{}", dashboard.address),
            client: dynamodb.dynamodb().client(),
            calls,
            links: dashboard.links.clone(),
            _dynamodb: dynamodb,
            _dashboard: dashboard,
        }
    }

    fn viewer(&self) -> Viewer {
        Viewer::new(&self.url)
    }

    /// The path of a person's link.
    fn link_of(&self, name: &str) -> String {
        let (_, link) = self.links.iter().find(|(other, _)| other == name).expect("a link");
        link.split_once("/enter").map(|(_, token)| format!("/enter{token}")).expect("a path")
    }

    /// Sends a form as its page would.
    async fn post(&self, viewer: &Viewer, path: &str, fields: &[(&str, &str)]) -> Page {
        let form = fields.iter().map(|(name, value)| format!("{name}={}", value.replace(' ', "+").replace('%', "%25")));
        let request = viewer.request("POST", path).header("origin", &self.url);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        send(request.body(form.collect::<Vec<_>>().join("&"))).await
    }

    async fn newest(&self) -> PlanRecord {
        history(&self.client, ROLLOUT_TABLE, 1).await.expect("a history").remove(0)
    }
}

fn site(endpoint: &str) -> Site {
    let up = RunningUp {
        dynamodb: endpoint.to_owned(),
        cloudfront: "http://127.0.0.1:8080".to_owned(),
        sessions_table: SESSIONS_TABLE.to_owned(),
        rollout_table: ROLLOUT_TABLE.to_owned(),
    };
    Site::of_up(up, ".stickshift".into())
}

/// A plan with versions 1 and 2, both live.
async fn put_plan(client: &Client, revision: u64, basis_points: u16, why: &str) -> Plan {
    let version = |weight: u16, port: u16| {
        serde_json::json!({
            "origin": { "domain": "localhost", "port": port, "protocol": "http" },
            "weight_basis_points": weight,
            "state": "live",
        })
    };
    let plan = serde_json::json!({
        "format": 1,
        "revision": revision,
        "stable": "1",
        "versions": { "1": version(10_000 - basis_points, 8081), "2": version(basis_points, 8082) },
    });
    let plan: Plan = serde_json::from_value(plan).expect("a plan");
    let record =
        PlanRecord { plan: plan.clone(), changed_at: unix_now(), changed_by: "ada".to_owned(), why: why.to_owned() };
    write_plan(client, ROLLOUT_TABLE, revision - 1, &record).await.expect("written");
    plan
}

/// A pulse of an instance that has run for a while: every number rises by the minute.
fn pulse(instance: &str, started_at: u64, written_at: u64, drawn_a_minute: u64) -> Pulse {
    let minutes = (written_at - started_at) / 60;
    let mut latencies = Histogram::default();
    latencies.add(6, 10 * minutes);
    let draws = Draws {
        drawn: drawn_a_minute * minutes,
        renewed: 2 * minutes,
        failed: minutes,
        finished: 2 * minutes,
        ..Draws::default()
    };
    Pulse {
        format: 1,
        instance: instance.to_owned(),
        sequence: 1 + written_at - started_at,
        started_at,
        written_at,
        interval_seconds: 10,
        formats: stickshift_contract::FORMATS.to_owned(),
        requests: BTreeMap::from([("roll".to_owned(), [0, 10 * minutes, 0, 0, 0])]),
        latencies,
        table_reads: 12 * minutes,
        table_writes: 30 * minutes,
        revisions: BTreeMap::from([(1, draws)]),
        ..Pulse::default()
    }
}

/// The events of a stream, as they come.
struct Events {
    stream: futures_util::stream::BoxStream<'static, reqwest::Result<actix_web::web::Bytes>>,
    text: String,
}

impl Events {
    async fn open(viewer: &Viewer, path: &str) -> (HeaderMap, Self) {
        let response = viewer.request("GET", path).send().await.expect("a response");
        assert_eq!(response.status(), 200);
        let headers = response.headers().clone();
        (headers, Self { stream: response.bytes_stream().boxed(), text: String::new() })
    }

    /// The next event that has data for us: its name, and its data.
    async fn next(&mut self) -> (String, Value) {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                if let (Some(name), Some(data)) = (field("event: "), field("data: ")) {
                    return (name, serde_json::from_str(&data).expect("JSON"));
                }
            }
            let bytes = tokio::time::timeout(Duration::from_secs(20), self.stream.next()).await.expect("in time");
            self.text += std::str::from_utf8(&bytes.expect("more").expect("bytes")).expect("text");
        }
    }

    /// The next change whose text has this.
    async fn change_with(&mut self, text: &str) -> Value {
        let begin = Instant::now();
        loop {
            let (name, data) = self.next().await;
            if name == "change" && data.to_string().contains(text) {
                return data;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "no change with {text}");
        }
    }
}

/// Reads a page again and again until it has this.
async fn page_with(viewer: &Viewer, path: &str, text: &str) -> String {
    let begin = Instant::now();
    loop {
        let page = viewer.get(path).await;
        if page.body.contains(text) {
            return page.body;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "no {text} in {}", page.body);
        sleep(Duration::from_millis(200)).await;
    }
}

/// The page and the stream are compared, so no minute may begin between them.
async fn away_from_the_edge_of_a_minute() {
    while !(5..35).contains(&(unix_now() % 60)) {
        sleep(Duration::from_millis(500)).await;
    }
}

/// The numbers of a chart, row by row, as its table has them.
fn rows_of<'a>(page: &'a str, chart: &str) -> Vec<Vec<&'a str>> {
    let body = page.split(&format!("<tbody id=\"rows-{chart}\">")).nth(1).expect("the chart");
    let body = body.split("</tbody>").next().expect("an end");
    let cells = |row: &'a str| row.split("data-value=\"").skip(1).filter_map(|cell| cell.split('"').next()).collect();
    body.split("<tr").skip(1).map(cells).collect()
}

#[actix_web::test]
async fn web_pages_of_other_sites_get_no_answer() {
    let board = Board::spawn(true, &[]).await;
    let viewer = board.viewer();
    assert_eq!(viewer.get("/").await.status, 200);
    for (path, headers) in [
        // DNS rebinding: the browser has looked up the attacker's name and found 127.0.0.1.
        ("/", vec![("host", "evil.example")]),
        ("/events", vec![("host", "evil.example:8090")]),
        ("/assets/live.js", vec![("host", "127.0.0.1.evil.example")]),
        ("/", vec![("origin", "https://evil.example")]),
        ("/", vec![("origin", "null")]),
        ("/", vec![("x-forwarded-for", "192.0.2.7")]),
        ("/events", vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors")]),
        ("/", vec![("sec-fetch-site", "same-site"), ("sec-fetch-dest", "iframe"), ("sec-fetch-mode", "navigate")]),
    ] {
        let page = viewer.get_with(path, &headers).await;
        assert_eq!(page.status, 403, "{path} {headers:?}");
        assert!(!page.body.contains("version"), "nothing leaks: {}", page.body);
    }
    let link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    assert_eq!(viewer.get_with("/", &link).await.status, 200, "somebody follows a link in a chat");
    assert_eq!(viewer.get_with("/?range=1y", &[]).await.status, 400);
    assert_eq!(viewer.get("/nowhere").await.status, 404);
    // A form of another site, one without an Origin, and one that does not know what a page of ours would.
    let form = |viewer: &Viewer| viewer.request("POST", "/changes/promote").body("version=2&reason=evil&seen=1");
    let form = |viewer| form(viewer).header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(send(form(&viewer).header("origin", "https://evil.example")).await.status, 403);
    assert_eq!(send(form(&viewer)).await.status, 403);
    assert_eq!(send(form(&viewer).header("origin", &board.url)).await.status, 403);
    assert_eq!(board.newest().await.plan.revision(), 1, "nothing has changed");
}

#[actix_web::test]
async fn a_person_comes_in_by_a_link_once_and_stands_in_the_history() {
    let board = Board::spawn(true, &["anna", "ben"]).await;
    let host = board.links[0].1.split('/').nth(2).expect("a host").to_owned();
    assert!(host.starts_with("board.example:"), "{host}");
    let origin = format!("http://{host}");
    let nobody = board.viewer();
    for path in ["/", "/events", "/changes/promote?version=2"] {
        let page = nobody.get(path).await;
        assert_eq!((page.status, page.body.contains("localhost:8081")), (403, false), "{path}");
    }
    assert_eq!(nobody.get_with("/", &[("cookie", "stickshift-dashboard-8090=")]).await.status, 403);
    assert_eq!(nobody.get_with("/", &[("host", "other.example")]).await.status, 403);

    // Whatever reads links before people do does not use them up.
    let link = board.link_of("anna");
    for _ in 0..2 {
        let page = nobody.get_with(&link, &[("host", &host)]).await;
        assert!(page.status == 200 && page.body.contains("Hello, anna"), "{}", page.body);
    }
    let token = link.split('=').nth(1).expect("a token").to_owned();
    let enter = async |token: &str| {
        let request = board.viewer().request("POST", "/enter").header("origin", &board.url);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(format!("token={token}")).send().await.expect("an answer")
    };
    let entered = enter(&token).await;
    assert_eq!((entered.status().as_u16(), &entered.headers()["location"] == "/"), (303, true));
    let cookie = entered.headers()["set-cookie"].to_str().expect("text").to_owned();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=2592000"), "{cookie}");
    let cookie = cookie.split(';').next().expect("a pair").to_owned();

    assert_eq!(enter(&token).await.status(), 403, "a copied link");
    assert_eq!(nobody.get(&link).await.status, 403);
    assert_eq!(enter(&token[1..]).await.status(), 403);
    assert_eq!(enter("").await.status(), 403);

    let anna = |viewer: Viewer| {
        let cookie = cookie.clone();
        async move |path: &str| viewer.get_with(path, &[("cookie", &cookie)]).await
    };
    let page = anna(board.viewer())("/").await;
    assert!(page.status == 200 && page.body.contains("You are anna."), "{}", page.body);
    let form = anna(board.viewer())("/changes/weight?version=2&percent=20").await.body;
    let csrf = form.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a token");
    let dangers = form.split("name=\"dangers\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("some");
    assert!(!dangers.contains(['&', '%', '+']), "it needs no encoding: {dangers}");
    let body = format!("csrf={csrf}&seen=1&version=2&percent=20&reason=more&force=yes&dangers={dangers}");
    let post = |cookie: &str| {
        let request = board.viewer().request("POST", "/changes/weight").header("cookie", cookie).body(body.clone());
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .header("host", &host)
            .header("origin", &origin)
    };
    let of_another = cookie.replace(&cookie[cookie.len() - 4..], "0000");
    assert_eq!(send(post(&of_another)).await.status, 403, "a cookie that somebody made up");
    assert_eq!(send(post(&cookie)).await.status, 303);
    let PlanRecord { changed_by, why, .. } = board.newest().await;
    assert_eq!((changed_by.as_str(), why.as_str()), ("anna", "more"));
}

#[actix_web::test]
async fn without_the_flag_there_is_nothing_to_change_with() {
    let board = Board::spawn(false, &[]).await;
    let viewer = board.viewer();
    let page = viewer.get("/").await.body;
    assert!(!page.contains("/changes/"), "{page}");
    for verb in ["weight?version=2", "promote?version=2", "undo?to=1", "pause", "preview?version=2"] {
        assert_eq!(viewer.get(&format!("/changes/{verb}")).await.status, 404, "{verb}");
    }
    assert_eq!(board.post(&viewer, "/changes/promote", &[("version", "2"), ("seen", "1")]).await.status, 404);
    assert_eq!(board.newest().await.plan.revision(), 1);
}

#[actix_web::test]
async fn the_first_page_has_everything_and_the_stream_what_changes() {
    away_from_the_edge_of_a_minute().await;
    let board = Board::spawn(false, &[]).await;
    let pulses = PulseStore::new(board.client.clone(), ROLLOUT_TABLE.to_owned());
    let now = unix_now();
    let last = pulse("instance", now - 610, now - 5, 7);
    pulses.write(code("1"), &last).await.expect("written");
    put_session(&board.client, &session_item(&receipt("1", 0))).await;
    let viewer = board.viewer();
    let page = viewer.get("/?range=15m").await.body;
    for text in ["live, stable, 90.00 %", "live, 10.00 %", "the first plan", "by", "ada", "http-equiv=\"refresh\""] {
        assert!(page.contains(text), "no {text} in {page}");
    }
    assert!(page.contains("version 2 has no living instance"), "the warnings are there: {page}");
    assert_eq!(rows_of(&page, "new").len(), 16);
    assert_eq!(rows_of(&page, "live").iter().filter(|row| row.len() == 2 && row[1] == "1").count(), 1);

    let (headers, mut events) = Events::open(&viewer, "/events?range=15m").await;
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["cache-control"], "no-store, no-transform");
    let (name, snapshot) = events.next().await;
    assert_eq!(name, "snapshot");
    let part = |id: &str| snapshot["parts"][id].as_str().unwrap_or_else(|| panic!("no {id}")).to_owned();
    assert!(page.contains(&part("plan")) && page.contains(&part("rows-new")), "the same as on the page");
    // A pulse comes: one row of a chart is sent, and not the table.
    let next = Pulse {
        sequence: last.sequence + 1,
        written_at: now,
        requests: BTreeMap::new(),
        ..pulse("instance", now - 610, now, 9)
    };
    pulses.write(code("1"), &next).await.expect("written");
    let change = events.change_with("rows-new").await;
    let rows = change["rows"].as_array().expect("rows");
    let of_new = rows.iter().filter(|row| row[0] == "rows-new").count();
    assert!((1..=2).contains(&of_new), "{change}");
    assert!(change["parts"]["history"].is_null(), "what is as before is not sent: {change}");
    put_plan(&board.client, 2, 2_500, "a quarter").await;
    let change = events.change_with("a quarter").await;
    assert!(change["parts"]["plan"].as_str().expect("the plan").contains("live, 25.00 %"), "{change}");
}

#[actix_web::test]
async fn a_page_that_is_opened_after_a_pause_hears_of_changes_at_once() {
    let board = Board::spawn(false, &[]).await;
    board.viewer().get("/").await;
    // Nobody has a page open now, so the dashboard has time until the next look.
    sleep(Duration::from_millis(500)).await;
    let (_, mut events) = Events::open(&board.viewer(), "/events").await;
    assert_eq!(events.next().await.0, "snapshot");
    let begin = Instant::now();
    put_plan(&board.client, 2, 2_500, "a quarter").await;
    events.change_with("a quarter").await;
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
}

#[actix_web::test]
async fn a_hundred_pages_read_the_tables_no_more_often_than_one() {
    let board = Board::spawn(false, &[]).await;
    let reads = || board.calls.reads.get();
    let mut pages = vec![Events::open(&board.viewer(), "/events").await.1];
    pages[0].next().await;
    let measure = async || {
        let before = reads();
        sleep(Duration::from_secs(6)).await;
        reads() - before
    };
    let with_one = measure().await;
    for _ in 1..100 {
        let mut page = Events::open(&board.viewer(), "/events").await.1;
        assert_eq!(page.next().await.0, "snapshot");
        pages.push(page);
    }
    // A snapshot may be as old as the pace, so opening them reads nothing more.
    let with_hundred = measure().await;
    assert!(with_one > 0 && with_hundred <= 3 * with_one, "{with_one} and {with_hundred}");
    drop(pages);
    sleep(Duration::from_secs(3)).await;
    let with_none = measure().await;
    assert!(with_none < with_one, "{with_none}, and with a page {with_one}");
}

#[actix_web::test]
async fn a_table_that_is_gone_is_said_on_the_page_until_it_is_back() {
    let (dynamodb, client) = dynamodb().await;
    let endpoint = dynamodb.endpoint().to_owned();
    let wire = Wire::to(&endpoint).await;
    let board = Board::spawn_at(&wire.url, dynamodb, false, &[]);
    let viewer = board.viewer();
    let page = viewer.get("/").await;
    assert!(page.status == 200 && page.body.contains("there is nothing to show yet"), "no data at all: {}", page.body);
    assert!(page.body.contains("there is no plan in"), "{}", page.body);
    put_plan(&client, 1, 1_000, "the first plan").await;
    let (_, mut events) = Events::open(&viewer, "/events").await;
    page_with(&viewer, "/", "the first plan").await;
    wire.refuse(true);
    wire.cut();
    events.change_with("THE TABLES DO NOT ANSWER since").await;
    let page = viewer.get("/").await.body;
    assert!(page.contains("THE TABLES DO NOT ANSWER since") && page.contains("the first plan"), "{page}");
    wire.refuse(false);
    while events.change_with("\"warnings\"").await.to_string().contains("DO NOT ANSWER") {}
}

#[actix_web::test]
async fn a_day_of_minutes_is_shown_and_survives_a_restart() {
    let (dynamodb, client) = dynamodb().await;
    put_plan(&client, 1, 2_500, "the first plan").await;
    let pulses = PulseStore::new(client.clone(), ROLLOUT_TABLE.to_owned());
    // The minutes end five to ten minutes ago, so that every stretch but the newest is whole.
    let end = unix_now() / 300 * 300 - 300;
    let start = end - 86_400;
    for minute in 0..=1_440 {
        let at = start + 60 * minute;
        pulses.write_minute(code("1"), &pulse("one", start, at, 3)).await.expect("written");
        pulses.write_minute(code("2"), &pulse("two", start, at, 1)).await.expect("written");
    }
    let sample = LiveSample { at: end - 3_600, sessions: BTreeMap::from([(code("1"), 70), (code("2"), 30)]) };
    write_live(&client, ROLLOUT_TABLE, &sample).await.expect("written");
    let endpoint = dynamodb.endpoint().to_owned();
    let board = Board::spawn_at(&endpoint, dynamodb, false, &[]);
    // A day is more than the first page may wait for.
    let viewer = board.viewer();
    let begin = Instant::now();
    let mut page = viewer.get("/?range=24h").await.body;
    while rows_of(&page, "instances").iter().filter(|row| row.len() > 1).count() < 280 {
        assert!(begin.elapsed() < Duration::from_secs(30), "{page}");
        sleep(Duration::from_millis(500)).await;
        page = viewer.get("/?range=24h").await.body;
    }
    let rows = rows_of(&page, "new");
    assert_eq!(rows.len(), 289);
    // Time, then for each version its share, the ends of the interval, and the weight once there was a plan.
    let whole: Vec<_> = rows.iter().filter(|row| row.len() >= 7).collect();
    assert!(whole.len() >= 280, "{} of {}", whole.len(), rows.len());
    for row in &whole[1..] {
        assert_eq!((row[1], row[4]), ("0.75", "0.25"), "{row:?}");
        let ends: Vec<f64> = [row[2], row[3]].iter().map(|end| end.parse().expect("a number")).collect();
        assert!(ends[0] < 0.75 && ends[1] > 0.75, "{row:?}");
    }
    let of_chart = |chart: &str| rows_of(&page, chart)[100].clone();
    assert_eq!(of_chart("finished")[1..], ["10", "10"]);
    assert_eq!(of_chart("table")[1..], ["60", "60", "150", "150"]);
    assert_eq!(of_chart("instances")[1..], ["1", "1"]);
    assert_eq!(of_chart("latency").len(), 5);
    assert_eq!(of_chart("failed")[1..], ["0", "0", "0.5", "0.5"]);
    assert!(rows_of(&page, "live").iter().any(|row| row[1..] == ["70", "30"]), "the sample of before is there");
    let hours = board.viewer().get("/?range=2h").await.body;
    assert_eq!(rows_of(&hours, "new").len(), 121);
}

#[actix_web::test]
async fn what_instances_did_while_no_page_was_open_is_in_the_minutes_in_which_they_did_it() {
    let (dynamodb, client) = dynamodb().await;
    put_plan(&client, 1, 2_500, "the first plan").await;
    let pulses = PulseStore::new(client.clone(), ROLLOUT_TABLE.to_owned());
    let (start, now) = (unix_now() - 1_200, unix_now());
    let endpoint = dynamodb.endpoint().to_owned();
    // The dashboard knows the instance as it was before.
    pulses.write(code("1"), &pulse("one", start, now - 120, 4)).await.expect("written");
    let board = Board::spawn_at(&endpoint, dynamodb, false, &[]);
    board.viewer().get("/").await;
    sleep(Duration::from_secs(17)).await;
    for minutes_ago in [1, 0] {
        pulses.write_minute(code("1"), &pulse("one", start, now - 60 * minutes_ago, 4)).await.expect("written");
    }
    pulses.write(code("1"), &pulse("one", start, now, 4)).await.expect("written");
    let page = board.viewer().get("/").await.body;
    let reads: Vec<_> = rows_of(&page, "table").iter().filter_map(|row| row.get(1)?.parse::<u64>().ok()).collect();
    assert!(reads.iter().all(|reads| *reads <= 12) && reads.iter().sum::<u64>() >= 12, "{reads:?}");
}

#[actix_web::test]
async fn a_form_for_another_rollout_steers_nothing() {
    let up = Up::start(&["--weight", "2=0", "--allow-changes"], &[("STICKSHIFT_PULSE_SECONDS", "1")]);
    let board = BoardOfUp(Viewer::new(&up.dashboard), up.dashboard.clone());
    let client = stickshift::store::DynamoDb::at(&up.dynamodb).client();
    let runs = stickshift::store::runs::RunStore::new(client, ROLLOUT_TABLE.to_owned());
    let mut runner = up.spawn(&["run", "--to", "2", "--steps", "10,50"]);
    let begin = Instant::now();
    let run = loop {
        if let Some(run) = runs.read().await.expect("read") {
            break run;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "no rollout");
        sleep(Duration::from_millis(100)).await;
    };
    let form = board.0.get("/changes/pause").await.body;
    assert!(form.contains("before the first step") && form.contains("paused: it takes no step"), "{form}");
    let other = form.replace(&run.started_at.to_string(), &(run.started_at - 1).to_string());
    let (status, page) = board.send(&other, "/changes/pause", &[("reason", "lunch")]).await;
    assert!(status == 409 && page.contains("the rollout has changed meanwhile"), "{page}");
    assert_eq!(board.send(&form, "/changes/pause", &[("reason", "lunch")]).await.0, 303);
    let paused = runs.read().await.expect("read").expect("a run").paused.expect("a pause");
    assert!(paused.why.ends_with(": lunch"), "{paused:?}");
    let resume = board.0.get("/changes/resume").await.body;
    assert_eq!(board.send(&resume, "/changes/resume", &[("reason", "back")]).await.0, 303);
    assert_eq!(runs.read().await.expect("read").expect("a run").paused, None);
    let (status, page) = board.send(&resume, "/changes/resume", &[("reason", "twice")]).await;
    assert_eq!(status, 409, "{page}");
    runner.kill().expect("it runs");
    runner.wait().expect("it ends");
    up.stop();
}

#[actix_web::test]
async fn a_version_that_left_the_plan_is_still_in_the_charts_after_a_restart() {
    let (dynamodb, client) = dynamodb().await;
    put_plan(&client, 1, 2_500, "the first plan").await;
    let pulses = PulseStore::new(client.clone(), ROLLOUT_TABLE.to_owned());
    let (start, now) = (unix_now() - 900, unix_now());
    for minute in 0..=10 {
        for (version, instance, drawn) in [("1", "one", 3), ("2", "two", 1)] {
            let pulse = pulse(instance, start, start + 60 * minute, drawn);
            pulses.write_minute(code(version), &pulse).await.expect("written");
        }
    }
    change_plan(&client, |plan| {
        plan["versions"].as_object_mut().expect("versions").remove("2");
        plan["versions"]["1"]["weight_basis_points"] = 10_000.into();
    })
    .await;
    // Numbers of an instance may be anything.
    let draws = Draws { drawn: u64::MAX, first_failed: u64::MAX, failed: u64::MAX, renewed: 1, ..Draws::default() };
    let hostile = Pulse { revisions: BTreeMap::from([(1, draws)]), ..pulse("evil", now - 60, now, 1) };
    pulses.write(code("1"), &hostile).await.expect("written");
    let endpoint = dynamodb.endpoint().to_owned();
    let board = Board::spawn_at(&endpoint, dynamodb, false, &[]);
    let page = board.viewer().get("/").await.body;
    let rows = rows_of(&page, "new");
    let of_both = rows.iter().filter(|row| row.get(1) == Some(&"0.75")).count();
    assert!(of_both >= 8, "{rows:?}");
    let (_, mut events) = Events::open(&board.viewer(), "/events").await;
    assert_eq!(events.next().await.0, "snapshot");
    assert_eq!(events.next().await.0, "change", "it goes on");
}

#[actix_web::test]
async fn texts_that_try_to_be_html_are_text() {
    let board = Board::spawn(true, &[]).await;
    let evil = "</td><script src=/evil.js></script><img src=x onerror=alert(1)>";
    change_plan(&board.client, |plan| plan["versions"]["2"]["weight_basis_points"] = 1_000.into()).await;
    let in_force = read_plan(&board.client, ROLLOUT_TABLE).await.expect("read").expect("a plan");
    let mut next = serde_json::to_value(&in_force).expect("JSON");
    next["revision"] = 3.into();
    let plan: Plan = serde_json::from_value(next).expect("a plan");
    let record = PlanRecord { plan, changed_at: unix_now(), changed_by: evil.to_owned(), why: evil.to_owned() };
    write_plan(&board.client, ROLLOUT_TABLE, 2, &record).await.expect("written");
    let pulses = PulseStore::new(board.client.clone(), ROLLOUT_TABLE.to_owned());
    let now = unix_now();
    let pulse = Pulse { formats: evil.to_owned(), ..pulse(evil, now - 120, now, 1) };
    pulses.write(code("2"), &pulse).await.expect("written");
    let viewer = board.viewer();
    let page = page_with(&viewer, "/", "evil.js").await;
    assert!(!page.contains("<script src=/evil") && !page.contains("<img"), "{page}");
    let (_, mut events) = Events::open(&viewer, "/events").await;
    let (_, snapshot) = events.next().await;
    for html in snapshot["parts"].as_object().expect("parts").values().filter_map(Value::as_str) {
        assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
    }
    let form = viewer.get("/changes/weight?version=%3Cscript%3E&percent=%3Cscript%3E").await.body;
    assert!(form.contains("&#60;script&#62;") && !form.contains("<script>"), "{form}");
}

#[actix_web::test]
async fn an_operator_is_told_when_another_one_was_faster() {
    let up = Up::start(&["--weight", "2=10", "--allow-changes"], &[]);
    let viewer = Viewer::new(&up.dashboard);
    let form = viewer.get("/changes/weight?version=2&percent=30").await.body;
    assert!(form.contains("live, 10.00 %") && form.contains("live, 30.00 %"), "before and after: {form}");
    assert_eq!(rollout(&up, &["set-weight", "2=20", "--reason", "by command"]).0, 0);
    let hidden = |name: &str| {
        let rest = form.split(&format!("name=\"{name}\" value=\"")).nth(1).expect("a field");
        rest.split('"').next().expect("an end").to_owned()
    };
    let body = format!("csrf={}&seen={}&version=2&percent=30&reason=by+page", hidden("csrf"), hidden("seen"));
    let post = |body: String| {
        let request = viewer.request("POST", "/changes/weight").header("origin", &up.dashboard).body(body);
        send(request.header("content-type", "application/x-www-form-urlencoded"))
    };
    let told = post(body.clone()).await;
    assert_eq!(told.status, 409);
    let says = "somebody else was faster, so nothing was changed: revision 2 of";
    assert!(told.body.contains(says) && told.body.contains("by command"), "{}", told.body);
    assert!(told.body.contains("live, 20.00 %") && told.body.contains("value=\"by page\""), "{}", told.body);
    assert_eq!(post(body.replace("seen=1", "seen=2")).await.status, 303, "on second thoughts");
    let (_, history, _) = rollout(&up, &["history"]);
    assert!(history.contains("by page") && history.contains("live, 30.00 %"), "{history}");
    up.stop();
}

#[actix_web::test]
async fn every_verb_shows_the_plan_before_and_after_and_wants_a_reason() {
    let up = Up::start(&["--weight", "2=10", "--allow-changes"], &[]);
    let board = BoardOfUp(Viewer::new(&up.dashboard), up.dashboard.clone());
    let plan = async || {
        let client = stickshift::store::DynamoDb::at(&up.dynamodb).client();
        serde_json::to_value(read_plan(&client, ROLLOUT_TABLE).await.expect("read").expect("a plan")).expect("JSON")
    };
    let weight = "/changes/weight?version=2&percent=25";
    let (status, page) = board.fill_in(weight, &[]).await;
    assert!(status == 422 && page.contains("say why"), "{page}");
    assert_eq!(board.fill_in(weight, &[("reason", "a quarter")]).await.0, 303);
    assert_eq!(plan().await["versions"]["2"]["weight_basis_points"], 2_500);
    for (path, problem) in [
        ("/changes/weight?version=2&percent=101", "101"),
        ("/changes/weight?version=9&percent=10", "version 9 is not in the plan"),
        ("/changes/weight", "which version?"),
        ("/changes/drain?version=1&until=", "stable"),
        ("/changes/drain?version=2&until=soon", "expected a number and s, m, h or d"),
        ("/changes/undo?to=77", "the history has no revision 77"),
        ("/changes/abort?version=2&leaving=jump", "expected drain or evict"),
    ] {
        let page = board.0.get(path).await;
        assert!(page.body.contains(problem) && !page.body.contains("method=\"post\""), "{path}: {}", page.body);
    }
    assert_eq!(board.0.get("/changes/delete").await.status, 404);

    assert_eq!(board.fill_in("/changes/drain?version=2&until=30m", &[("reason", "bye")]).await.0, 303);
    let drained = plan().await;
    assert_eq!(drained["versions"]["2"]["state"], "draining");
    assert!(drained["versions"]["2"]["until"].as_u64().expect("an end") > unix_now() + 1_700);
    assert_eq!(board.fill_in("/changes/undo?to=2", &[("reason", "hello")]).await.0, 303);
    assert_eq!(plan().await["versions"]["2"]["state"], "live");
    assert_eq!(board.fill_in("/changes/abort?version=2&leaving=evict", &[("reason", "broken")]).await.0, 303);
    assert_eq!(plan().await["versions"]["2"]["state"], "withdrawn");
    let page = board.0.get("/changes/preview?version=2&time=1h").await.body;
    assert!(page.contains("version 2 is withdrawn, so it is shown to nobody"), "{page}");
    assert_eq!(board.fill_in("/changes/undo?to=4", &[("reason", "hello")]).await.0, 303);
    assert_eq!(board.fill_in("/changes/abort?version=2&leaving=drain", &[("reason", "gently")]).await.0, 303);
    assert_eq!(plan().await["versions"]["2"]["state"], "draining");
    assert_eq!(board.fill_in("/changes/promote?version=2", &[("reason", "all of it")]).await.0, 303);
    assert_eq!(plan().await["stable"], "2");

    let preview = "/changes/preview?version=1&time=1h";
    let (status, page) = board.fill_in(preview, &[("reason", "a look")]).await;
    let link = page.split("class=\"link\" href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a link");
    let entered = Viewer::new("").request("GET", link).send().await.expect("an answer");
    assert_eq!((status, entered.status().as_u16()), (200, 302), "{link}");
    let page = board.0.get("/changes/pause").await.body;
    assert!(page.contains("Pause the rollout") && page.contains("no rollout runs"), "{page}");
    let (_, history, _) = rollout(&up, &["history", "--json"]);
    let reasons = ["a quarter", "bye", "back to revision 2: hello", "broken", "gently", "all of it"];
    assert!(reasons.iter().all(|reason| history.contains(reason)), "{history}");
    up.stop();
}

/// The dashboard of an `up`.
struct BoardOfUp(Viewer, String);

impl BoardOfUp {
    /// Opens a form, and sends it with these fields besides its hidden ones.
    async fn fill_in(&self, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let page = self.0.get(path).await;
        self.send(&page.body, path, fields).await
    }

    /// Sends the form of a page.
    async fn send(&self, page: &str, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let confirm = page.split("<form method=\"post\">").nth(1).unwrap_or_else(|| panic!("{page}"));
        let hidden = confirm.split("<input type=\"hidden\" name=\"").skip(1).map(|input| {
            let (name, rest) = input.split_once("\" value=\"").expect("a value");
            (name, rest.split_once('"').expect("an end").0)
        });
        let fields = hidden.chain(fields.iter().copied());
        let form = fields.map(|(name, value)| format!("{name}={}", value.replace(' ', "+")));
        let request = self.0.request("POST", path.split('?').next().expect("a path")).header("origin", &self.1);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let page = send(request.body(form.collect::<Vec<_>>().join("&"))).await;
        (page.status, page.body)
    }
}
