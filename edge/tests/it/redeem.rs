//! Links, and what the edge answers to them.

use stickshift_contract::{Keys, Link, Pass, SessionCookie, VersionCode};
use stickshift_edge::{Redirect, Request, Router, RouterConfig};

const NOW: u64 = 1_710_000_000;

fn keys() -> Keys {
    Keys::parse("0123456789abcdef0123456789abcdef").expect("a key")
}

fn pass() -> Pass {
    Pass { version: VersionCode::parse("2").expect("a code"), expires: NOW + 7_200 }
}

fn link() -> String {
    keys().passes().sign_link(&Link { pass: pass(), redeem_by: NOW + 600 })
}

fn request(path: &str, query: &str) -> Request {
    let mut request = crate::event::request();
    (request.method, request.uri, request.querystring) = ("GET".to_owned(), path.to_owned(), Some(query.to_owned()));
    request
}

fn answer(request: &Request, cookie: SessionCookie) -> Option<Redirect> {
    let plan = include_str!("../../../fuzz/corpus/plan/example");
    let plan = serde_json::from_str(plan).expect("a plan");
    Router::new(RouterConfig::new(cookie, plan)).redeem(request, NOW)
}

fn redeem(request: &Request) -> Option<Redirect> {
    answer(request, SessionCookie::new(Some(keys())))
}

fn header<'a>(redirect: &'a Redirect, name: &str) -> Vec<&'a str> {
    redirect.headers.values(name).collect()
}

#[test]
fn a_link_becomes_a_pass_and_leaves_the_address() {
    for (path, query, location) in [
        ("/", format!("stickshift-pass={}", link()), "/"),
        ("/shop/a%20b", format!("a=1&stickshift-pass={}&b=%2F&c", link()), "/shop/a%20b?a=1&b=%2F&c"),
        (
            "/",
            format!("a=stickshift-pass&stickshift-pass={}&xstickshift-pass=1", link()),
            "/?a=stickshift-pass&xstickshift-pass=1",
        ),
    ] {
        let redirect = redeem(&request(path, &query)).expect("an answer");
        assert_eq!((redirect.status, header(&redirect, "location")), ("302", vec![location]));
        assert_eq!(header(&redirect, "cache-control"), ["private, no-store"]);
        let pass = keys().passes().sign(&pass());
        let cookie = format!("stickshift-pass={pass}; Path=/; HttpOnly; SameSite=Lax; Max-Age=7200");
        let cookies = header(&redirect, "set-cookie");
        assert!(cookies == [cookie.as_str()] || cookies == [format!("__Host-{cookie}; Secure")], "{cookies:?}");
    }
}

#[test]
fn it_is_what_lambda_at_edge_takes_for_an_answer() {
    let mut request = request("/a", &format!("stickshift-pass={}", link()));
    request.headers.set("CloudFront-Forwarded-Proto", "https".to_owned());
    let answer = serde_json::to_value(redeem(&request)).expect("JSON");
    let pass = keys().passes().sign(&pass());
    let cookie = format!("__Host-stickshift-pass={pass}; Path=/; HttpOnly; SameSite=Lax; Max-Age=7200; Secure");
    let expected = serde_json::json!({
        "status": "302",
        "statusDescription": "Found",
        "headers": {
            "cache-control": [{ "key": "Cache-Control", "value": "private, no-store" }],
            "location": [{ "key": "Location", "value": "/a" }],
            "set-cookie": [{ "key": "Set-Cookie", "value": cookie }],
        },
    });
    assert_eq!(answer, expected);
}

#[test]
fn a_link_that_is_empty_over_false_or_doubled_takes_the_pass_away() {
    let late = keys().passes().sign_link(&Link { pass: pass(), redeem_by: NOW });
    let forged = link().replacen('2', "1", 1);
    let pass = keys().passes().sign(&pass());
    for query in [
        "stickshift-pass=".to_owned(),
        "stickshift-pass".to_owned(),
        format!("stickshift-pass={late}"),
        format!("stickshift-pass={forged}"),
        format!("stickshift-pass={pass}"),
        format!("stickshift-pass={}&stickshift-pass=", link()),
        format!("stickshift-pass={0}&stickshift-pass={0}", link()),
    ] {
        let mut request = request("/", &query);
        request.headers.set("CloudFront-Forwarded-Proto", "http".to_owned());
        let redirect = redeem(&request).expect("an answer");
        assert_eq!(header(&redirect, "location"), ["/"], "{query}");
        let cookies = header(&redirect, "set-cookie");
        assert_eq!(cookies, ["stickshift-pass=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"], "{query}");
    }
}

#[test]
fn the_way_leads_to_no_other_site() {
    let query = format!("stickshift-pass={}", link());
    for (path, location) in [
        ("//evil.example", "/evil.example"),
        ("///evil.example/a", "/evil.example/a"),
        ("/\\evil.example", "/evil.example"),
        ("\\\\evil.example", "/evil.example"),
        ("/\t/evil.example", "/"),
        ("/a\r\nSet-Cookie: x=1", "/"),
        ("/\u{2028}/evil.example", "/"),
        ("", "/"),
        ("/a//b", "/a//b"),
    ] {
        let redirect = redeem(&request(path, &query)).expect("an answer");
        assert_eq!(header(&redirect, "location"), [location], "{path:?}");
    }
    let redirect = redeem(&request("/", &format!("a=\n&{query}"))).expect("an answer");
    assert_eq!(header(&redirect, "location"), ["/"]);
}

#[test]
fn everything_else_goes_to_an_origin() {
    let query = format!("stickshift-pass={}", link());
    let mut post = request("/", &query);
    post.method = "POST".to_owned();
    let mut head = request("/", &query);
    head.method = "HEAD".to_owned();
    let mut none = request("/", "");
    none.querystring = None;
    // CloudFront caches assets: the answer with the pass would be everybody's.
    let asset = request("/_v/2/style.css", &query);
    let others = ["", "a=1", "stickshift-passes=1", "a=stickshift-pass", "stickshift%2Dpass=1"];
    for request in others.map(|query| request("/", query)).iter().chain([&post, &head, &none, &asset]) {
        assert_eq!(redeem(request), None, "{request:?}");
    }
    assert_eq!(answer(&request("/", &query), SessionCookie::new(None)), None, "without keys there are no passes");
}
