use proptest::prelude::*;
use serde_json::{Value, json};
use stickshift_contract::{Domain, Origin, Port, Protocol};
use stickshift_edge::Request;

const EVENT: &str = include_str!("data/origin-request.json");

fn event() -> Value {
    serde_json::from_str(EVENT).expect("the event is JSON")
}

fn origin() -> Origin {
    let domain = Domain::parse("origin-two.example.org").expect("a name");
    Origin { domain, port: Port::new(8443).expect("a port"), protocol: Protocol::Https }
}

/// The request of the example event.
pub(crate) fn request() -> Request {
    serde_json::from_value(event()["Records"][0]["cf"]["request"].take()).expect("a request")
}

/// The event's request with the changes that `change` makes, as the function puts them in.
fn answer(event: &Value, change: impl FnOnce(&mut Request)) -> Value {
    let mut answer = event["Records"][0]["cf"]["request"].clone();
    let mut request = Request::parse(&answer.to_string()).expect("a request");
    change(&mut request);
    let mut changes = serde_json::to_value(request.changes()).expect("JSON");
    if let Some(origin) = changes.get_mut("origin") {
        answer["origin"] = origin.take();
    }
    answer
}

#[test]
fn an_origin_keeps_fields_that_this_code_does_not_know() {
    let mut event = event();
    let request = &mut event["Records"][0]["cf"]["request"];
    request["origin"]["future"] = json!("d");
    request["origin"]["custom"]["originAccessControl"] = json!({ "enabled": false });
    request["origin"]["custom"]["customHeaders"]["x-many"] =
        json!([{ "key": "X-Many", "value": "1" }, { "value": "2", "future": 1 }]);
    assert_eq!(answer(&event, |_| ()), event["Records"][0]["cf"]["request"]);
}

#[test]
fn the_changes_have_the_headers_that_the_router_sets_and_no_others() {
    let mut request = request();
    request.headers.set("Host", "origin-two.example.org".to_owned());
    request.headers.set("x-stickshift-version", "2".to_owned());
    assert_eq!(
        serde_json::to_value(request.changes()).expect("JSON")["headers"],
        json!({
            "host": [{ "key": "Host", "value": "origin-two.example.org" }],
            "x-stickshift-version": [{ "key": "x-stickshift-version", "value": "2" }],
        })
    );
}

#[test]
fn a_new_origin_changes_the_address_and_nothing_else() {
    let mut expected = event()["Records"][0]["cf"]["request"].clone();
    expected["origin"]["custom"]["domainName"] = json!("origin-two.example.org");
    expected["origin"]["custom"]["port"] = json!(8443);
    expected["origin"]["custom"]["protocol"] = json!("https");
    assert_eq!(answer(&event(), |request| request.set_origin(&origin())), expected);
}

#[test]
fn an_s3_origin_is_replaced_whole() {
    let mut event = event();
    event["Records"][0]["cf"]["request"]["origin"] = json!({ "s3": { "domainName": "bucket.s3.amazonaws.com" } });
    let answer = answer(&event, |request| request.set_origin(&origin()));
    assert_eq!(
        answer["origin"],
        json!({ "custom": {
            "domainName": "origin-two.example.org", "port": 8443, "protocol": "https", "path": "", "readTimeout": 30,
            "keepaliveTimeout": 5, "customHeaders": {}, "sslProtocols": ["TLSv1.2"],
        }})
    );
}

#[test]
fn an_event_without_an_origin_gets_one() {
    let mut event = event();
    event["Records"][0]["cf"]["request"].as_object_mut().expect("an object").remove("origin");
    assert_eq!(answer(&event, |request| request.set_origin(&origin()))["origin"]["custom"]["port"], 8443);
}

#[test]
fn a_text_that_is_not_a_request_is_an_error() {
    for text in ["", "{}", "[]", "null", r#"{"method":"GET","uri":7}"#, r#"{"uri":"/"}"#] {
        assert!(Request::parse(text).is_err(), "{text}");
    }
}

#[test]
fn an_error_repeats_no_value_of_the_request() {
    let refusal = |change: &dyn Fn(&mut Value)| {
        let mut request = event()["Records"][0]["cf"]["request"].take();
        change(&mut request);
        Request::parse(&request.to_string()).expect_err("no request").to_string()
    };
    let text = refusal(&|request| request["headers"]["cookie"] = json!("sessiontoken=\"472ed\", expected"));
    assert!(text.starts_with("not an event: invalid type, expected a sequence at line 1"), "{text}");
    let number = refusal(&|request| request["headers"]["cookie"][0]["value"] = json!(472));
    assert!(number.starts_with("not an event: invalid type, expected a string at line 1"), "{number}");
    let protocol = refusal(&|request| request["origin"]["custom"]["protocol"] = json!("472ed"));
    assert!(protocol.starts_with("not an event: unknown variant, expected `http` or `https`"), "{protocol}");
    let without = refusal(&|request| drop(request.as_object_mut().expect("an object").remove("uri")));
    assert!(without.starts_with("not an event: missing field `uri`"), "{without}");
}

/// The example event in which one part is replaced by another value. `path` leads to the part.
fn damaged(path: &[usize], replacement: &Value) -> Value {
    fn replace(part: &mut Value, path: &[usize], replacement: &Value) {
        match (path, part) {
            ([step, rest @ ..], Value::Object(fields)) => {
                let count = fields.len();
                replace(fields.values_mut().nth(step % count).expect("a field"), rest, replacement);
            }
            ([step, rest @ ..], Value::Array(items)) if !items.is_empty() => {
                let count = items.len();
                replace(&mut items[step % count], rest, replacement);
            }
            (_, part) => *part = replacement.clone(),
        }
    }
    let mut event = event();
    replace(&mut event, path, replacement);
    event
}

/// AWS's own sample events leave out one field or another.
#[test]
fn only_what_the_decision_needs_is_required() {
    let request = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut event = event();
        change(event["Records"][0]["cf"]["request"].as_object_mut().expect("an object"));
        event
    };
    for name in ["clientIp", "querystring", "origin", "body"] {
        let event = request(&|request| drop(request.remove(name)));
        assert_eq!(answer(&event, |_| ()), event["Records"][0]["cf"]["request"], "what was absent stays absent");
        let set = answer(&event, |request| request.set_origin(&origin()));
        assert_eq!(set["origin"]["custom"]["port"], 8443, "{name}");
    }
    for name in ["domainName", "port", "protocol", "path", "readTimeout", "sslProtocols", "customHeaders"] {
        let event = request(&|request| {
            drop(request["origin"]["custom"].as_object_mut().expect("an object").remove(name));
        });
        assert_eq!(answer(&event, |_| ()), event["Records"][0]["cf"]["request"], "{name}");
    }
    let mut event = event();
    event["Records"][0]["cf"].as_object_mut().expect("an object").remove("config");
    assert_eq!(answer(&event, |_| ()), event["Records"][0]["cf"]["request"]);
}

proptest! {
    /// Whatever CloudFront sends: the text is refused, or the request can be sent to another origin.
    #[test]
    fn a_damaged_event_is_refused_or_survives(
        path in prop::collection::vec(0usize..10, 0..12),
        replacement in prop_oneof![
            Just(json!({})), Just(json!([])), Just(json!([{ "value": "a" }])),
            any::<i64>().prop_map(Value::from), "\\PC{0,20}".prop_map(Value::from),
        ],
    ) {
        let damaged = damaged(&path, &replacement);
        if let Ok(mut request) = Request::parse(&damaged["Records"][0]["cf"]["request"].to_string()) {
            request.set_origin(&origin());
            let custom = request.origin.and_then(|origin| origin.custom).expect("an origin");
            prop_assert_eq!(custom.domain_name.as_deref(), Some("origin-two.example.org"));
        }
    }
}
