//! The booking: steps, two tabs, endings half-way, and who may see it.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{Days, Utc};
use reqwest::header::SET_COOKIE;
use serde_json::json;
use stickshift::clock::unix_now;
use stickshift::local::machine::Machine;
use stickshift::store::plans::read_plan;
use stickshift_contract::{Keys, Pass, ROLLOUT_TABLE, Receipt, SESSIONS_TABLE, SessionItem, Token, Weight};

use crate::faulty::refusing;
use crate::support::{App, Viewer, change_plan, code, keys, machine_config, settings, spawn_machine, stored};

/// Somebody with a browser whose cookies a test can change.
#[derive(Clone)]
struct Booker {
    viewer: Viewer,
    cookies: BTreeMap<String, String>,
    headers: Vec<(&'static str, &'static str)>,
}

/// A page, and where it was.
struct Shown {
    path: String,
    status: u16,
    body: String,
}

impl Booker {
    fn new(url: &str) -> Self {
        let headers = vec![("accept", "text/html")];
        Self { viewer: Viewer::new(url), cookies: BTreeMap::new(), headers }
    }

    fn at(machine: &Machine) -> Self {
        Self::new(&format!("http://{}", machine.cloudfront.address))
    }

    async fn send(&mut self, method: &str, path: &str, form: Option<&[(String, String)]>) -> Shown {
        let (mut method, mut path, mut form) = (method.to_owned(), path.to_owned(), form);
        for _ in 0..5 {
            let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            // A fresh client each time, so that only these cookies go out.
            let mut request = self.viewer.request(&method, &path).header("cookie", cookies.join("; "));
            for (name, value) in &self.headers {
                request = request.header(*name, *value);
            }
            if let Some(fields) = form {
                let body: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
                request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
                if !self.headers.iter().any(|(name, _)| *name == "sec-fetch-site") {
                    request = request.header("sec-fetch-site", "same-origin");
                }
            }
            let response = request.send().await.expect("a response");
            let caching = response.headers()["cache-control"].to_str().expect("text");
            assert!(caching == "private, no-store" || response.status() == 500 && caching == "no-store", "{path}");
            for cookie in response.headers().get_all(SET_COOKIE) {
                let cookie = cookie.to_str().expect("text");
                assert!(cookie.contains("; Path=/; HttpOnly; SameSite=Lax; Max-Age="), "{cookie}");
                let (name, value) = cookie.split(';').next().and_then(|pair| pair.split_once('=')).expect("a pair");
                if cookie.contains("Max-Age=0") {
                    self.cookies.remove(name);
                } else {
                    self.cookies.insert(name.to_owned(), value.to_owned());
                }
            }
            let status = response.status().as_u16();
            if status != 303 {
                let body = response.text().await.expect("a whole body");
                return Shown { path, status, body };
            }
            path = response.headers()["location"].to_str().expect("text").to_owned();
            (method, form) = ("GET".to_owned(), None);
        }
        panic!("{path} goes on and on");
    }

    async fn open(&mut self, path: &str) -> Shown {
        self.send("GET", path, None).await
    }

    /// Types into the form of a page, and sends it.
    async fn submit(&mut self, page: &Shown, typed: &[(&str, &str)]) -> Shown {
        let (action, fields) = page.form(typed);
        self.send("POST", &action, Some(&fields)).await
    }

    fn receipt(&self) -> Receipt {
        keys().verify(&self.cookies["sessiontoken"]).expect("a receipt")
    }
}

impl Shown {
    /// The first form: where it goes, and its fields with what somebody types.
    fn form(&self, typed: &[(&str, &str)]) -> (String, Vec<(String, String)>) {
        let form = self.body.split("<form method=\"post\" action=\"").nth(1).expect("a form");
        let action = form.split('"').next().expect("an action").to_owned();
        let form = form.split("</form>").next().expect("an end");
        let attribute = |input: &str, name: &str| {
            let value = input.split(&format!("{name}=\"")).nth(1)?.split('"').next()?;
            Some(value.replace("&#39;", "'").replace("&#60;", "<").replace("&#38;", "&"))
        };
        let inputs = form.split("<input ").skip(1);
        let fields = inputs.map(|input| {
            let name = attribute(input, "name").expect("a name");
            let typed = typed.iter().find(|(field, _)| *field == name).map(|(_, value)| (*value).to_owned());
            (name, typed.unwrap_or_else(|| attribute(input, "value").unwrap_or_default()))
        });
        (action, fields.collect())
    }

    fn value(&self, field: &str) -> Option<String> {
        self.form(&[]).1.into_iter().find(|(name, _)| name == field).map(|(_, value)| value)
    }

    fn heading(&self) -> &str {
        self.body.split("<h1>").nth(1).and_then(|rest| rest.split("</h1>").next()).expect("a heading")
    }

    fn says(&self, text: &str) -> bool {
        self.body.contains(text)
    }
}

fn in_days(days: u64) -> String {
    (Utc::now().date_naive() + Days::new(days)).to_string()
}

async fn activity(client: &Client, token: Token) -> HashMap<String, AttributeValue> {
    let item = stored(client, token).await.expect("an item");
    item["activity"].as_m().expect("a map").clone()
}

#[actix_web::test]
async fn three_steps_are_kept_in_the_session() {
    let app = App::spawn(settings("1")).await;
    let mut viewer = Booker::new(&app.url);
    let trip = viewer.open("/booking").await;
    assert_eq!((trip.path.as_str(), trip.heading()), ("/booking/trip", "When do you want to go?"));
    let begun = viewer.receipt();
    let contact = viewer.submit(&trip, &[("date", &in_days(7)), ("seats", "3")]).await;
    assert_eq!((contact.path.as_str(), contact.status), ("/booking/contact", 200));
    assert_eq!(viewer.receipt().token, begun.token);

    // Another browser window, another instance, another day: the item has it.
    let item = stored(&app.client, begun.token).await.expect("an item");
    assert_eq!(item["activity_step"], AttributeValue::N("1".into()));
    assert_eq!(activity(&app.client, begun.token).await["seats"], AttributeValue::N("3".into()));
    assert_eq!(viewer.open("/booking").await.path, "/booking/contact");
    let back = viewer.open("/booking/trip").await;
    assert_eq!((back.value("date"), back.value("seats")), (Some(in_days(7)), Some("3".into())));
    for ahead in ["/booking/confirm", "/booking/done", "/booking/details"] {
        assert_eq!(viewer.open(ahead).await.path, "/booking/contact", "{ahead}");
    }

    let confirm = viewer.submit(&contact, &[("name", "Ada <3 O'Neill"), ("email", "ada@example.com")]).await;
    assert_eq!((confirm.path.as_str(), confirm.heading()), ("/booking/confirm", "Check your booking"));
    assert!(confirm.says("<dd>Ada &#60;3 O&#39;Neill"), "{}", confirm.body);
    assert!(confirm.says("€748.50"));
    viewer.headers.push(("accept-language", "de-CH, en;q=0.5"));
    assert!(viewer.open("/booking").await.says("<span lang=\"de\">748,50\u{a0}€</span>"));
    let done = viewer.submit(&confirm, &[]).await;
    assert_eq!((done.path.as_str(), done.heading()), ("/booking/done", "Your trip is booked"));
    // Sent twice, it is one booking.
    let again = viewer.submit(&confirm, &[]).await;
    assert_eq!((again.path.as_str(), again.status), ("/booking/done", 200));
    let item = stored(&app.client, begun.token).await.expect("an item");
    assert_eq!(item["activity_step"], AttributeValue::N("3".into()));
    assert!(item.contains_key("finished"));
    assert_eq!(app.metric("sessions_finished_total").await, 1);

    // A second booking is a new one, and the session has finished once.
    let another = viewer.open("/booking/trip").await;
    assert_eq!(another.value("date"), Some(String::new()));
    let contact = viewer.submit(&another, &[("date", &in_days(9)), ("seats", "1")]).await;
    assert_eq!((contact.path.as_str(), contact.value("name")), ("/booking/contact", Some(String::new())));
    let confirm = viewer.submit(&contact, &[("name", "Ada"), ("email", "ada@example.com")]).await;
    assert_eq!(viewer.submit(&confirm, &[]).await.path, "/booking/done");
    assert_eq!(app.metric("sessions_finished_total").await, 1);
}

#[actix_web::test]
async fn a_step_is_one_write_with_the_renewal() {
    let app = App::spawn(settings("2")).await;
    let mut viewer = Booker::new(&app.url);
    let details = viewer.open("/booking").await;
    assert_eq!(details.path, "/booking/details");
    let begun = viewer.receipt();
    let answers = [("date", &*in_days(2)), ("seats", "1"), ("name", "Grace"), ("email", "grace@example.com")];
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let writes = app.metric("session_writes_total").await;
    let confirm = viewer.submit(&details, &answers).await;
    assert_eq!(confirm.path, "/booking/confirm");
    assert_eq!(app.metric("session_writes_total").await, writes + 1);
    let item: SessionItem = crate::support::stored_session(&app.client, begun.token).await.expect("an item");
    assert!(item.touched > begun.touched && item.touched == viewer.receipt().touched, "the same write renewed it");
    assert_eq!(activity(&app.client, begun.token).await["wishes"], AttributeValue::S(String::new()));
}

#[actix_web::test]
async fn what_is_wrong_is_told_beside_the_field_and_above_the_form() {
    let app = App::spawn(settings("2")).await;
    let mut viewer = Booker::new(&app.url);
    let details = viewer.open("/booking").await;
    let wrong = viewer.submit(&details, &[("date", "soon"), ("seats", "9"), ("name", "\"><b>"), ("email", "x")]).await;
    assert!(wrong.path.starts_with("/booking/details?draft="), "{}", wrong.path);
    assert!(wrong.says("<title>Error: Your trip"));
    for (field, problem) in [
        ("date", "Enter the date as year, month and day: 2027-01-31."),
        ("seats", "Enter a number of seats from 1 to 8."),
        ("email", "Enter an e-mail address such as name@example.com."),
    ] {
        assert!(wrong.says(&format!("<li><a href=\"#{field}\">{problem}</a></li>")), "{}", wrong.body);
        assert!(wrong.says(&format!("id=\"{field}-problem\"><span class=\"unseen\">Error: </span>{problem}")));
    }
    assert!(wrong.says("value=\"&#34;&#62;&#60;b&#62;\""), "it is kept, and it is text");
    assert_eq!(stored(&app.client, viewer.receipt().token).await.expect("an item").get("activity"), None);
    // A reload sends nothing, and shows it again. The page itself shows what is saved: nothing.
    let again = viewer.open(&wrong.path).await;
    assert_eq!((again.value("seats"), again.says("Enter a number of seats")), (Some("9".into()), true));
    let fresh = viewer.open("/booking/details").await;
    assert_eq!((fresh.value("seats"), fresh.says("Enter a number of seats")), (Some(String::new()), false));
    let right = [("date", &*in_days(1)), ("seats", "8"), ("name", "Ada"), ("email", "ada@example.com")];
    assert_eq!(viewer.submit(&wrong, &right).await.path, "/booking/confirm");
}

#[actix_web::test]
async fn two_tabs_cannot_lose_each_others_step() {
    let app = App::spawn(settings("1")).await;
    let mut viewer = Booker::new(&app.url);
    let (one, other) = (viewer.open("/booking").await, viewer.open("/booking").await);
    viewer.submit(&one, &[("date", &in_days(3)), ("seats", "2")]).await;
    let lost = viewer.submit(&other, &[("date", &in_days(4)), ("seats", "5")]).await;
    assert!(
        lost.says("the booking has changed since the page was loaded") && lost.says("<dt>Seats</dt><dd>2</dd>"),
        "{}",
        lost.body
    );
    assert_eq!((lost.value("date"), lost.value("seats")), (Some(in_days(4)), Some("5".into())), "what it typed");
    assert_eq!(activity(&app.client, viewer.receipt().token).await["seats"], AttributeValue::N("2".into()));
    // Its viewer decides.
    assert_eq!(viewer.submit(&lost, &[]).await.path, "/booking/contact");
    assert_eq!(activity(&app.client, viewer.receipt().token).await["seats"], AttributeValue::N("5".into()));

    // One tab finishes the booking while another one still has an old step.
    let contact = viewer.open("/booking/contact").await;
    let confirm = viewer.submit(&contact, &[("name", "Ada"), ("email", "ada@example.com")]).await;
    viewer.submit(&confirm, &[]).await;
    let late = viewer.submit(&contact, &[("name", "Grace"), ("email", "grace@example.com")]).await;
    assert!(late.says("the booking is finished, perhaps in another tab"));
    assert_eq!(late.value("name").as_deref(), Some("Grace"));
    assert_eq!(activity(&app.client, viewer.receipt().token).await["name"], AttributeValue::S("Ada".into()));

    // Many at once: one is written, and every other one is told.
    let trip = viewer.open("/booking/trip").await;
    let many: Vec<_> = (1..=8).map(|seats| (viewer.clone(), seats.to_string())).collect();
    let at_once = many.into_iter().map(|(mut viewer, seats)| {
        let trip = &trip;
        async move { viewer.submit(trip, &[("date", &in_days(5)), ("seats", &seats)]).await.says("has changed since") }
    });
    let are_told = futures_util::future::join_all(at_once).await;
    assert_eq!(are_told.iter().filter(|is_told| **is_told).count(), 7, "{are_told:?}");
}

#[actix_web::test]
async fn a_session_that_ended_half_way_gets_its_form_back() {
    let machine = spawn_machine("0").await;
    let client = machine.dynamodb.dynamodb().client();
    let mut viewer = Booker::at(&machine);
    let trip = viewer.open("/booking").await;
    let contact = viewer.submit(&trip, &[("date", &in_days(3)), ("seats", "2")]).await;
    let before = viewer.receipt();

    // Thirteen minutes pass: the receipt is that old, and the item is over.
    let old = Receipt { started: before.started - 780, touched: before.touched - 780, ..before };
    viewer.cookies.insert("sessiontoken".into(), keys().sign(&old));
    client
        .update_item()
        .table_name(SESSIONS_TABLE)
        .key("token", AttributeValue::S(before.token.as_str().into()))
        .update_expression("SET #expiration = :past, #touched = :touched")
        .expression_attribute_names("#expiration", "expiration")
        .expression_attribute_names("#touched", "touched")
        .expression_attribute_values(":past", AttributeValue::N((unix_now() - 60).to_string()))
        .expression_attribute_values(":touched", AttributeValue::N(old.touched.to_string()))
        .send()
        .await
        .expect("an answer");
    let mut cleared = viewer.clone();
    let ended = viewer.submit(&contact, &[("name", "Ada"), ("email", "ada@example.com")]).await;
    assert!(ended.path.starts_with("/booking/contact?draft=") && ended.status == 200, "{}", ended.path);
    assert!(ended.says("Your session had ended before this form arrived") && ended.says("still in the form"));
    assert_eq!((ended.value("name"), ended.value("date")), (Some("Ada".into()), Some(in_days(3))));
    let begun = viewer.receipt();
    assert_ne!(begun.token, before.token, "a new session");
    let confirm = viewer.submit(&ended, &[]).await;
    assert_eq!(confirm.path, "/booking/confirm");
    assert!(!viewer.cookies.contains_key("booking-draft"), "it is in the session now");
    assert_eq!(viewer.submit(&confirm, &[]).await.path, "/booking/done");

    // Somebody who has deleted every cookie is in the same place.
    cleared.cookies.clear();
    let ended = cleared.submit(&contact, &[("name", "Grace"), ("email", "nothing")]).await;
    assert!(ended.path.starts_with("/booking/contact?draft="));
    assert_eq!(ended.value("name").as_deref(), Some("Grace"));
    let wrong = cleared.submit(&ended, &[]).await;
    assert!(wrong.says("Enter an e-mail address such as"));
    assert_eq!(wrong.value("email").as_deref(), Some("nothing"));
    assert_eq!(cleared.submit(&wrong, &[("email", "grace@example.com")]).await.path, "/booking/confirm");

    // Somebody whose browser takes no cookies is told so.
    let mut without = Booker::at(&machine);
    let trip = without.open("/booking").await;
    let (action, fields) = trip.form(&[("date", &in_days(3)), ("seats", "2")]);
    let url = format!("http://{}", machine.cloudfront.address);
    let response =
        Viewer::new(&url).request("POST", &action).header("content-type", "application/x-www-form-urlencoded");
    let body: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    let response = response.header("sec-fetch-site", "same-origin").body(body).send().await.expect("a response");
    let location = response.headers()["location"].to_str().expect("text").to_owned();
    without.cookies.clear();
    assert!(without.open(&location).await.says("allow cookies for this site"));

    // Who comes back later is told that it is another session.
    let mut later = Booker::at(&machine);
    later.open("/booking").await;
    later.cookies.remove("sessiontoken");
    assert!(later.open("/booking").await.says("Your last session has ended"));
    machine.stop().await.expect("stopped");
}

#[actix_web::test]
async fn an_evicted_viewer_goes_on_at_the_other_version() {
    let mut config = machine_config();
    for settings in &mut config.versions {
        settings.shared.cookie.timing.trust_window_seconds = 0;
    }
    config.weights = vec![(code("2"), Weight::NONE)];
    let machine = Machine::start(config).await.expect("a machine");
    let client = machine.dynamodb.dynamodb().client();
    let mut viewer = Booker::at(&machine);
    let trip = viewer.open("/booking").await;
    let contact = viewer.submit(&trip, &[("date", &in_days(3)), ("seats", "2")]).await;
    let token = viewer.receipt().token;
    // Another release has written what this one does not know.
    let set = |expression: &str, value| {
        client
            .update_item()
            .table_name(SESSIONS_TABLE)
            .key("token", AttributeValue::S(token.as_str().into()))
            .update_expression(expression)
            .expression_attribute_names("#activity", "activity")
            .expression_attribute_values(":value", AttributeValue::S(value))
            .send()
    };
    set("SET #activity.seatmap = :value", "A4".into()).await.expect("an answer");
    let revision = read_plan(&client, ROLLOUT_TABLE).await.expect("readable").expect("a plan").revision();
    let evict = |from: &'static str, to: &'static str, withdrawn_at: u64| {
        change_plan(&client, move |plan| {
            plan["versions"][from]["state"] = json!("withdrawn");
            plan["versions"][from]["weight_basis_points"] = json!(0);
            plan["versions"][from]["withdrawn_at"] = json!(withdrawn_at);
            plan["versions"][to]["state"] = json!("live");
            plan["versions"][to]["weight_basis_points"] = json!(10_000);
            plan["stable"] = json!(to);
        })
    };
    evict("1", "2", unix_now()).await;
    // The form of version 1 arrives at version 2.
    let details = viewer.submit(&contact, &[("name", "Ada"), ("email", "ada@example.com")]).await;
    assert_eq!((details.path.as_str(), viewer.receipt().version.as_str()), ("/booking/details", "2"));
    assert!(
        details.says("You are on another version of this site now, Version 2.0, and what you had entered is kept.")
    );
    for (field, value) in [("date", &*in_days(3)), ("seats", "2"), ("name", "Ada"), ("email", "ada@example.com")] {
        assert_eq!(details.value(field).as_deref(), Some(value), "{field}");
    }
    // It is kept indeed, and told until the next step.
    let again = viewer.open("/booking").await;
    assert_eq!((again.path.as_str(), again.value("name")), ("/booking/details", Some("Ada".into())));
    assert!(again.says("You are on another version of this site now"));
    let confirm = viewer.submit(&details, &[("wishes", "A window")]).await;
    assert_eq!(confirm.path, "/booking/confirm");
    assert!(!confirm.says("another version of this site"), "it is told once");
    let kept = activity(&client, token).await;
    assert_eq!(kept["seatmap"], AttributeValue::S("A4".into()), "what a release does not know survives");

    // And back: version 1 finishes what version 2 began, and keeps the field that it does not know.
    evict("2", "1", unix_now()).await;
    // A form that confirms at one version does not confirm at another one.
    let back = viewer.submit(&confirm, &[]).await;
    assert_eq!((back.path.as_str(), viewer.receipt().version.as_str()), ("/booking/confirm", "1"));
    assert!(back.says("You are on another version of this site now, Version 1.0"));
    let back = viewer.open("/booking").await;
    assert_eq!((back.path.as_str(), viewer.receipt().version.as_str()), ("/booking/confirm", "1"));
    assert!(back.says("You are on another version of this site now, Version 1.0"));
    assert_eq!(viewer.submit(&back, &[]).await.path, "/booking/done");
    let kept = activity(&client, token).await;
    assert_eq!(
        (&kept["wishes"], &kept["version"]),
        (&AttributeValue::S("A window".into()), &AttributeValue::S("1".into()))
    );
    assert!(read_plan(&client, ROLLOUT_TABLE).await.expect("readable").expect("a plan").revision() > revision);
    machine.stop().await.expect("stopped");
}

#[actix_web::test]
async fn without_dynamodb_no_step_is_acknowledged() {
    for with_keys in [true, false] {
        let mut settings = settings("2");
        if !with_keys {
            settings.shared.cookie.keys = None;
        }
        let app = App::spawn(settings.clone()).await;
        let mut viewer = Booker::new(&app.url);
        let details = viewer.open("/booking").await;
        let answers = [("date", &*in_days(2)), ("seats", "1"), ("name", "Ada"), ("email", "ada@example.com")];
        // The same browser reaches an instance whose table is away.
        let away = App::spawn_with(settings, &refusing());
        let there = viewer.viewer.clone();
        viewer.viewer = Viewer::new(&away.url);
        let unsaved = viewer.submit(&details, &answers).await;
        let unread = viewer.open("/booking").await;
        if with_keys {
            assert_eq!((unsaved.status, unread.status), (503, 503));
            assert!(unsaved.says("This step could not be saved just now"));
            assert_eq!(unsaved.value("name").as_deref(), Some("Ada"));
        } else {
            // The article's page. Without keys there is no page without the table.
            assert_eq!((unsaved.status, unread.status), (500, 500));
        }
        viewer.viewer = there;
        if with_keys {
            // The write had arrived, and its answer was lost.
            let mut other = viewer.clone();
            assert_eq!(other.submit(&details, &answers).await.path, "/booking/confirm");
            assert_eq!(viewer.open(&unsaved.path).await.path, "/booking/confirm", "it is saved after all");
        }
        let (unsaved, typed) = if with_keys { (&unsaved, &[][..]) } else { (&details, &answers[..]) };
        assert_eq!(viewer.submit(unsaved, typed).await.path, "/booking/confirm", "it works again");
    }
}

#[actix_web::test]
async fn whoever_plants_or_copies_a_cookie_reads_nothing() {
    // By HTTPS the session's cookie could be planted only with this switch.
    let mut settings = settings("1");
    settings.shared.cookie.accept_unprefixed_cookie = true;
    let app = App::spawn(settings).await;
    let https = ("x-forwarded-proto", "https");
    let mut attacker = Booker::new(&app.url);
    attacker.headers.push(https);
    attacker.open("/booking").await;
    let planted = attacker.cookies["__Host-sessiontoken"].clone();
    let mut victim = Booker::new(&app.url);
    victim.headers.push(https);
    victim.cookies.insert("sessiontoken".into(), planted);
    // A browser's secret cannot be planted: without the prefix it does not count.
    victim.cookies.insert("booking".into(), attacker.cookies["__Host-booking"].clone());
    let trip = victim.open("/booking").await;
    let contact = victim.submit(&trip, &[("date", &in_days(3)), ("seats", "2")]).await;
    victim.submit(&contact, &[("name", "Victoria"), ("email", "victoria@example.com")]).await;
    let token = Keys::verify(&keys(), &attacker.cookies["__Host-sessiontoken"]).expect("a receipt").token;
    assert_eq!(activity(&app.client, token).await["name"], AttributeValue::S("Victoria".into()), "the same session");

    let mut copier = Booker::new(&app.url);
    copier.headers.push(https);
    copier.cookies.insert("sessiontoken".into(), victim.cookies["__Host-sessiontoken"].clone());
    for thief in [&mut attacker, &mut copier] {
        for path in ["/booking", "/booking/trip", "/booking/contact", "/booking/confirm", "/booking/done"] {
            let page = thief.open(path).await;
            assert!(!page.says("Victoria") && !page.says("victoria@") && !page.says(&in_days(3)), "{path}");
            assert_eq!(page.path, "/booking/trip");
        }
        // Nor does an old form, with a counter that is guessed, show or change anything.
        let trip = thief.open("/booking").await;
        let (action, mut fields) = trip.form(&[("date", &in_days(8)), ("seats", "7")]);
        fields.retain(|(name, _)| name != "replaces");
        let refused = thief.send("POST", &action, Some(&fields)).await;
        assert!(refused.says("the booking has changed since"), "{}", refused.body);
        assert!(!refused.says("Victoria") && !refused.says(&in_days(3)));
    }
    assert_eq!(victim.open("/booking/confirm").await.path, "/booking/confirm", "it is all there");
    // Somebody with the session's cookie can begin a booking of their own in it. The victim's is then gone, and read by
    // nobody.
    let trip = copier.open("/booking").await;
    copier.submit(&trip, &[("date", &in_days(8)), ("seats", "7")]).await;
    assert_eq!(victim.open("/booking").await.value("date"), Some(String::new()));
}

#[actix_web::test]
async fn only_forms_of_our_own_pages_are_taken() {
    let app = App::spawn(settings("1")).await;
    let mut viewer = Booker::new(&app.url);
    let trip = viewer.open("/booking").await;
    let token = viewer.receipt().token;
    let typed = [("date", &*in_days(3)), ("seats", "2")];
    for site in ["cross-site", "same-site"] {
        viewer.headers.push(("sec-fetch-site", site));
        let refused = viewer.submit(&trip, &typed).await;
        assert_eq!((refused.status, refused.heading()), (403, "This form came from another site"));
        viewer.headers.pop();
    }
    // A browser that does not tell where a form comes from, and sends no cookies with it, gets none either.
    let (action, fields) = trip.form(&typed);
    let body: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    let request = Viewer::new(&app.url).request("POST", &action).body(body);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let response = request.send().await.expect("a response");
    assert_eq!((response.status().as_u16(), response.headers().get(SET_COOKIE)), (403, None));
    // Nor does a form count that our page has not rendered.
    let unmarked = viewer.submit(&trip, &[typed[0], typed[1], ("mark", "")]).await;
    assert!(unmarked.says("your browser has deleted a cookie of this site"));
    assert_eq!(unmarked.value("seats").as_deref(), Some("2"));
    assert_eq!(stored(&app.client, token).await.expect("an item").get("activity"), None, "nothing was written");

    let long = viewer.submit(&trip, &[("date", &"x".repeat(70_000))]).await;
    assert_eq!((long.status, long.heading()), (413, "This form is too long"));
    for (content_type, body) in [("text/plain", "date=1"), ("multipart/form-data", "x"), ("", "date=1")] {
        let request = viewer.viewer.request("POST", "/booking/trip").header("content-type", content_type).body(body);
        assert_eq!(request.send().await.expect("a response").status(), 415, "{content_type}");
    }
    let (_, fields) = trip.form(&typed);
    for (field, value) in [
        ("counter", "-1"),
        ("counter", "18446744073709551615"),
        ("counter", "9007199254740992"),
        ("version", "no version"),
        ("version", ""),
    ] {
        let mut fields = fields.clone();
        fields.retain(|(name, _)| name != field);
        assert_eq!(viewer.send("POST", "/booking/trip", Some(&fields)).await.status, 400, "no {field}");
        fields.push((field.into(), value.into()));
        assert_eq!(viewer.send("POST", "/booking/trip", Some(&fields)).await.status, 400, "{field}={value}");
    }
    assert_eq!(viewer.submit(&trip, &typed).await.path, "/booking/contact");
    assert_eq!(viewer.send("POST", "/booking/nothing", Some(&fields)).await.status, 404);
    assert_eq!(viewer.open("/booking/nothing").await.status, 404);
    let put = viewer.viewer.request("PUT", "/booking/trip").send().await.expect("a response");
    assert_eq!((put.status().as_u16(), &put.headers()["allow"]), (405, &"GET, HEAD, POST".parse().expect("a value")));
    // It brings what is saved by now, so nothing is lost.
    assert_eq!(viewer.submit(&unmarked, &[]).await.path, "/booking/contact");
}

#[actix_web::test]
async fn forget_me_deletes_what_was_typed_at_once() {
    let app = App::spawn(settings("1")).await;
    let mut viewer = Booker::new(&app.url);
    let trip = viewer.open("/booking").await;
    let contact = viewer.submit(&trip, &[("date", &in_days(3)), ("seats", "2")]).await;
    viewer.submit(&contact, &[("name", "Ada"), ("email", "ada@example.com")]).await;
    let token = viewer.receipt().token;
    let forget = |page: &Shown| vec![("mark".to_owned(), page.value("mark").expect("a mark"))];

    // Not for others, and not for another site.
    let mut stranger = viewer.clone();
    stranger.cookies.insert("booking".into(), "0".repeat(40));
    let theirs = stranger.open("/booking").await;
    stranger.send("POST", "/booking/forget", Some(&forget(&theirs))).await;
    assert_eq!(viewer.send("POST", "/booking/forget", Some(&[("mark".into(), "x".into())])).await.status, 403);
    assert_eq!(activity(&app.client, token).await["name"], AttributeValue::S("Ada".into()));

    let mut old_tab = viewer.clone();
    let forgotten = viewer.send("POST", "/booking/forget", Some(&forget(&contact))).await;
    assert_eq!(forgotten.path, "/booking/trip?forgotten");
    assert!(forgotten.says("What you had entered is deleted.") && forgotten.value("name").is_none());
    assert!(activity(&app.client, token).await.is_empty());
    assert_eq!(viewer.receipt().token, token, "the session goes on");
    // A tab that was open before does not bring it back.
    let late = old_tab.submit(&contact, &[("name", "Ada"), ("email", "ada@example.com")]).await;
    assert!(late.says("the booking has changed since") && late.value("name").as_deref() == Some("Ada"));
    let late = old_tab.submit(&trip, &[("date", &in_days(3)), ("seats", "2")]).await;
    assert!(late.says("the booking has changed since"));
    assert!(activity(&app.client, token).await.is_empty());
}

#[actix_web::test]
async fn a_booking_under_a_pass_is_one_of_its_own_and_forget_me_deletes_both() {
    let machine = spawn_machine("0").await;
    let client = machine.dynamodb.dynamodb().client();
    let mut viewer = Booker::at(&machine);
    let trip = viewer.open("/booking").await;
    viewer.submit(&trip, &[("date", &in_days(3)), ("seats", "2")]).await;
    let own = viewer.receipt().token;
    let (version, soon) = (code("2"), unix_now() + 600);
    viewer.cookies.insert("stickshift-pass".into(), keys().passes().sign(&Pass { version, expires: soon }));
    let details = viewer.open("/booking").await;
    assert_eq!((details.path.as_str(), details.value("seats")), ("/booking/details", Some(String::new())));
    let answers = [("date", &*in_days(5)), ("seats", "4"), ("name", "Ada"), ("email", "ada@example.com")];
    // The form of one session is not taken in the other one.
    let strange = viewer.submit(&trip, &[("date", &in_days(7)), ("seats", "7")]).await;
    assert!(strange.says("its page was loaded in another session"), "{}", strange.body);
    let confirm = viewer.submit(&details, &answers).await;
    assert_eq!(confirm.path, "/booking/confirm");
    let under_pass = keys().verify_under_pass(&viewer.cookies["sessiontoken-pass"]).expect("a receipt").token;
    assert_eq!(activity(&client, under_pass).await["seats"], AttributeValue::N("4".into()));
    assert_eq!(activity(&client, own).await["seats"], AttributeValue::N("2".into()));
    let mark = vec![("mark".to_owned(), confirm.value("mark").expect("a mark"))];
    viewer.send("POST", "/booking/forget", Some(&mark)).await;
    assert!(activity(&client, own).await.is_empty() && activity(&client, under_pass).await.is_empty());
    machine.stop().await.expect("stopped");
}

#[actix_web::test]
async fn a_form_of_one_session_does_not_fit_another_one() {
    let app = App::spawn(settings("1")).await;
    let mut viewer = Booker::new(&app.url);
    let trip = viewer.open("/booking").await;
    let contact = viewer.submit(&trip, &[("date", &in_days(3)), ("seats", "2")]).await;
    // In another tab, the next session of this browser is as far.
    viewer.cookies.remove("sessiontoken");
    let other = viewer.open("/booking").await;
    viewer.submit(&other, &[("date", &in_days(9)), ("seats", "7")]).await;
    let told = viewer.submit(&contact, &[("name", "Ada"), ("email", "ada@example.com")]).await;
    assert!(told.says("the booking has changed since") && told.says("<dt>Seats</dt><dd>7</dd>"), "{}", told.body);
    assert_eq!(told.value("name").as_deref(), Some("Ada"));
    assert_eq!(activity(&app.client, viewer.receipt().token).await["seats"], AttributeValue::N("7".into()));
}

#[actix_web::test]
async fn a_lost_item_loses_no_answer_and_no_form_fits_twice() {
    let app = App::spawn(settings("1")).await;
    let mut viewer = Booker::new(&app.url);
    let trip = viewer.open("/booking").await;
    let contact = viewer.submit(&trip, &[("date", &in_days(3)), ("seats", "2")]).await;
    let token = viewer.receipt().token;
    let key = AttributeValue::S(token.as_str().into());
    app.client.delete_item().table_name(SESSIONS_TABLE).key("token", key).send().await.expect("an answer");
    let mut other_tab = viewer.clone();
    let confirm = viewer.submit(&contact, &[("name", "Ada"), ("email", "ada@example.com")]).await;
    assert_eq!(confirm.path, "/booking/confirm");
    assert_eq!(activity(&app.client, token).await["seats"], AttributeValue::N("2".into()), "the form had it");
    let late = other_tab.submit(&contact, &[("name", "Grace"), ("email", "grace@example.com")]).await;
    assert!(late.says("the booking has changed since"), "{}", late.body);
    assert_eq!(activity(&app.client, token).await["name"], AttributeValue::S("Ada".into()));
    for _ in 0..2 {
        assert_eq!(viewer.submit(&confirm, &[]).await.path, "/booking/done");
    }
}

#[actix_web::test]
async fn at_the_confirmation_the_booking_as_it_is_now_is_shown() {
    let app = App::spawn(settings("1")).await;
    let mut viewer = Booker::new(&app.url);
    let trip = viewer.open("/booking").await;
    let contact = viewer.submit(&trip, &[("date", &in_days(3)), ("seats", "2")]).await;
    let confirm = viewer.submit(&contact, &[("name", "Ada"), ("email", "ada@example.com")]).await;
    let change = viewer.open("/booking/trip").await;
    viewer.submit(&change, &[("seats", "8")]).await;
    let told = viewer.submit(&confirm, &[]).await;
    assert!(told.says("This is the booking now") && told.body.matches("<dt>Seats</dt>").count() == 1, "{}", told.body);
    assert!(told.says("<dt>Seats</dt><dd>8 "), "{}", told.body);
    assert_eq!(viewer.submit(&told, &[]).await.path, "/booking/done");
}

#[actix_web::test]
async fn an_answer_has_one_line() {
    let app = App::spawn(settings("2")).await;
    let mut viewer = Booker::new(&app.url);
    let details = viewer.open("/booking").await;
    let answers = [("date", &*in_days(1)), ("seats", "1"), ("name", "Ada\tLovelace"), ("email", "ada@example.com")];
    assert!(viewer.submit(&details, &answers).await.says("<dd>Ada Lovelace"));
}

#[actix_web::test]
async fn a_date_that_has_passed_is_asked_for_again() {
    let app = App::spawn(settings("1")).await;
    let mut viewer = Booker::new(&app.url);
    let trip = viewer.open("/booking").await;
    let contact = viewer.submit(&trip, &[("date", &in_days(3)), ("seats", "2")]).await;
    app.client
        .update_item()
        .table_name(SESSIONS_TABLE)
        .key("token", AttributeValue::S(viewer.receipt().token.as_str().into()))
        .update_expression("SET #activity.#date = :past")
        .expression_attribute_names("#activity", "activity")
        .expression_attribute_names("#date", "date")
        .expression_attribute_values(":past", AttributeValue::S("2026-01-01".into()))
        .send()
        .await
        .expect("an answer");
    let again = viewer.submit(&contact, &[("name", "Ada"), ("email", ""), ("date", "2026-01-01")]).await;
    assert!(again.path.starts_with("/booking/trip"), "{}", again.path);
    let page = viewer.open("/booking").await;
    assert_eq!((page.path.as_str(), page.value("date").as_deref()), ("/booking/trip", Some("2026-01-01")));
    assert!(page.says("Choose a date after today."));
}

#[actix_web::test]
async fn by_https_the_cookies_are_secure_and_for_frames_if_the_sessions_is() {
    let mut settings = settings("1");
    settings.shared.cookie.same_site = stickshift_contract::SameSite::None;
    let app = App::spawn(settings).await;
    let headers = [("x-forwarded-proto", "https"), ("accept", "text/html")];
    let request = Viewer::new(&app.url).request("GET", "/booking/trip");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let response = request.send().await.expect("a response");
    let cookies: Vec<_> =
        response.headers().get_all(SET_COOKIE).iter().map(|cookie| cookie.to_str().expect("text")).collect();
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    for (cookie, name) in cookies.iter().zip(["__Host-booking=", "__Host-sessiontoken="]) {
        assert!(cookie.starts_with(name) && cookie.contains("; Path=/; HttpOnly; SameSite=None; "), "{cookie}");
        assert!(cookie.ends_with("; Secure"), "{cookie}");
    }
}

#[actix_web::test]
async fn without_dynamodb_nothing_is_said_to_be_forgotten() {
    let settings = settings("1");
    let app = App::spawn(settings.clone()).await;
    let mut viewer = Booker::new(&app.url);
    let trip = viewer.open("/booking").await;
    let contact = viewer.submit(&trip, &[("date", &in_days(3)), ("seats", "2")]).await;
    let mark = vec![("mark".to_owned(), contact.value("mark").expect("a mark"))];
    let there = viewer.viewer.clone();
    viewer.viewer = Viewer::new(&App::spawn_with(settings, &refusing()).url);
    let page = viewer.send("POST", "/booking/forget", Some(&mark)).await;
    assert_eq!((page.status, page.heading()), (503, "Your booking could not be deleted just now"));
    // Its button works once the table is back.
    viewer.viewer = there;
    assert!(viewer.submit(&page, &[]).await.says("What you had entered is deleted."));
}

#[actix_web::test]
async fn a_step_counts_whatever_the_browser_calls_itself_and_requests_without_effect_get_no_cookie() {
    let app = App::spawn(settings("1")).await;
    let mut viewer = Booker::new(&app.url);
    let trip = viewer.open("/booking").await;
    viewer.headers.push(("user-agent", "Mozilla/5.0 (compatible; Googlebot/2.1)"));
    let contact = viewer.submit(&trip, &[("date", &in_days(3)), ("seats", "2")]).await;
    assert_eq!(contact.path, "/booking/contact");
    for (method, headers) in [
        ("GET", &[("user-agent", "Googlebot/2.1")][..]),
        ("HEAD", &[("accept", "text/html")]),
        ("GET", &[("sec-fetch-dest", "image")]),
        ("GET", &[("x-stickshift-route", "stray"), ("x-stickshift-version", "1")]),
    ] {
        let request = Viewer::new(&app.url).request(method, "/booking/trip");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = request.send().await.expect("a response");
        assert_eq!((response.status().as_u16(), response.headers().get(SET_COOKIE)), (200, None), "{headers:?}");
    }
}

#[actix_web::test]
async fn what_an_address_says_is_not_told_without_reason() {
    let app = App::spawn(settings("1")).await;
    let mut viewer = Booker::new(&app.url);
    let trip = viewer.open("/booking").await;
    viewer.submit(&trip, &[("date", &in_days(3)), ("seats", "2")]).await;
    for query in ["forgotten", "ended", "<script>", "draft"] {
        let page = viewer.open(&format!("/booking/trip?{query}")).await;
        assert!(page.value("seats").as_deref() == Some("2") && !page.says("class=\"notice\""), "{query}");
        let page = Booker::new(&app.url).open(&format!("/booking/trip?{query}")).await;
        assert!(!page.says("class=\"notice\""), "somebody new: {query}");
    }
    assert!(viewer.open("/booking/trip?draft=1").await.says("This page shows what is saved."));
}

#[test]
fn the_edge_does_not_read_what_a_viewer_types() {
    for attribute in ["activity", "activity_step", "finished"] {
        assert!(!SessionItem::EDGE_ATTRIBUTES.contains(&attribute));
    }
}
