use proptest::prelude::*;
use serde_json::{Value, json};
use stickshift_contract::{Origin, Protocol};
use stickshift_edge::{Event, Request};

const EVENT: &str = include_str!("data/origin-request.json");

fn event() -> Value {
    serde_json::from_str(EVENT).expect("the event is JSON")
}

fn origin() -> Origin {
    Origin { domain: "origin-two.example.org".to_owned(), port: 8443, protocol: Protocol::Https }
}

/// Parses an event, lets `change` at its request and returns the request as the function would.
fn answer(event: &Value, change: impl FnOnce(&mut Request)) -> Value {
    let event: Event = serde_json::from_value(event.clone()).expect("an event");
    let mut request = event.into_request();
    change(&mut request);
    serde_json::to_value(request).expect("a request is JSON")
}

#[test]
fn an_event_comes_out_as_it_went_in() {
    let parsed: Event = serde_json::from_value(event()).expect("an event");
    assert_eq!(serde_json::to_value(parsed).expect("JSON"), event());
}

#[test]
fn fields_never_heard_of_and_headers_of_several_lines_survive() {
    let mut event = event();
    event["future"] = json!({ "a": [1, 2.5, null] });
    event["Records"][0]["future"] = json!("b");
    event["Records"][0]["cf"]["future"] = json!(true);
    let request = &mut event["Records"][0]["cf"]["request"];
    request["future"] = json!({ "nested": ["c"] });
    request["body"] = json!({ "action": "read-only", "data": "", "encoding": "base64", "inputTruncated": false });
    request["headers"]["x-many"] =
        json!([{ "key": "X-Many", "value": "1" }, { "value": "2" }, { "value": "3", "future": 1 }]);
    request["origin"]["future"] = json!("d");
    request["origin"]["custom"]["originAccessControl"] = json!({ "enabled": false });
    let parsed: Event = serde_json::from_value(event.clone()).expect("an event");
    assert_eq!(serde_json::to_value(parsed).expect("JSON"), event);
    assert_eq!(answer(&event, |_| ()), event["Records"][0]["cf"]["request"]);
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
fn what_is_no_event_is_an_error() {
    for text in ["{}", "[]", r#"{"Records":[]}"#, r#"{"Records":[{"cf":{"config":{},"request":{"uri":7}}}]}"#] {
        assert!(Event::parse(text).is_err(), "{text}");
    }
}

#[test]
fn an_error_repeats_no_value_of_the_event() {
    let refusal = |change: &dyn Fn(&mut Value)| {
        let mut event = event();
        change(&mut event["Records"][0]["cf"]["request"]);
        Event::parse(&event.to_string()).expect_err("no event").to_string()
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

proptest! {
    #[test]
    fn no_text_makes_a_panic(text in "\\PC{0,300}") {
        let _ = serde_json::from_str::<Event>(&text);
    }
}
