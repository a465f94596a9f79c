//! What a view does to its session.

use stickshift::clock::unix_now;
use stickshift_contract::{Placed, Placement, Receipt, SessionItem};

use crate::support::{
    App, Viewer, as_cookie, code, count_sessions, put_session, receipt, send, session_item, settings, stored,
    stored_session, token,
};

#[actix_web::test]
async fn a_new_viewer_gets_a_session() {
    let app = App::spawn(settings("1")).await;
    let before = unix_now();
    let placements = [
        (vec![("x-stickshift-route", "roll"), ("x-stickshift-revision", "42")], "42d"),
        (vec![("x-stickshift-route", "roll")], "0d"),
        (vec![("x-stickshift-route", "fallback"), ("x-stickshift-revision", "42")], "0o"),
        (vec![], "0o"),
    ];
    for (headers, placed) in placements {
        let page = Viewer::new(&app.url).get_with("/", &headers).await;
        let receipt = page.receipt().expect("a receipt");
        assert!((before..=unix_now()).contains(&receipt.touched));
        assert_eq!((receipt.started, receipt.version), (receipt.touched, code("1")));
        assert_eq!(receipt.placed.to_string(), placed, "{headers:?}");
        assert_eq!(stored_session(&app.client, receipt.token).await, Some(session_item(&receipt)));
    }
}

#[actix_web::test]
async fn a_young_receipt_costs_no_call_to_dynamodb() {
    let app = App::spawn_with(settings("1"), &crate::faulty::refusing());
    let young = receipt("1", 50);
    let page = Viewer::new(&app.url).get_with("/", &[("cookie", &as_cookie(&young))]).await;
    assert_eq!((page.version(), page.set_cookie()), ("1", None));
    assert!(page.body.contains(young.token.short()));
    assert_eq!(app.metric("session_writes_saved_total").await, 1);
    assert_eq!(app.metric("session_writes_failed_total").await, 0, "a call would have failed");
}

#[actix_web::test]
async fn an_older_receipt_is_written_and_renewed() {
    let app = App::spawn(settings("1")).await;
    let old = receipt("1", 60);
    let page = Viewer::new(&app.url).get_with("/", &[("cookie", &as_cookie(&old))]).await;
    let renewed = page.receipt().expect("a receipt");
    assert_eq!(renewed, Receipt { touched: renewed.touched, ..old });
    assert!(renewed.touched >= old.touched + 60);
    assert_eq!(
        stored_session(&app.client, old.token).await,
        Some(session_item(&renewed)),
        "the item was lost, and is back"
    );
}

#[actix_web::test]
async fn a_touch_interval_of_zero_writes_on_every_view() {
    let mut settings = settings("1");
    settings.shared.cookie.timing.touch_interval_seconds = 0;
    let app = App::spawn(settings).await;
    let viewer = Viewer::new(&app.url);
    for _ in 0..3 {
        assert!(viewer.get("/").await.receipt().is_some());
    }
    assert_eq!(app.metric("session_writes_total").await, 3);
    assert_eq!(count_sessions(&app.client).await, 1);
}

#[actix_web::test]
async fn attributes_of_the_apps_own_survive_a_renewal() {
    use aws_sdk_dynamodb::types::AttributeValue;
    let app = App::spawn(settings("1")).await;
    let old = receipt("1", 100);
    let mut item: std::collections::HashMap<_, _> = serde_dynamo::to_item(session_item(&old)).expect("an item");
    item.insert("progress".to_owned(), AttributeValue::N("3".to_owned()));
    app.client.put_item().table_name("SessionsTable").set_item(Some(item)).send().await.expect("put");
    Viewer::new(&app.url).get_with("/", &[("cookie", &as_cookie(&old))]).await;
    let item = stored(&app.client, old.token).await.expect("an item");
    assert_eq!(item["progress"], AttributeValue::N("3".to_owned()));
    assert_ne!(item["touched"], AttributeValue::N(old.touched.to_string()));
}

#[actix_web::test]
async fn what_proves_no_session_begins_one_and_its_token_is_never_adopted() {
    let app = App::spawn(settings("1")).await;
    let signed = as_cookie(&receipt("1", 5));
    let mut forged = signed.clone();
    forged.replace_range(signed.len() - 1.., if signed.ends_with('0') { "1" } else { "0" });
    let long = format!("pad={}", "x".repeat(8192));
    let cookies = [
        "",
        "sessiontoken=",
        "xsessiontoken=472ed977dc2fd2700dbb03a58634f789fd58d911",
        &format!("sessiontoken={}", receipt("1", 5).token.as_str()),
        &forged,
        &as_cookie(&receipt("1", 720)),
        &long,
        "sessiontoken=\"\"; sessiontoken=; =; ;;",
    ];
    for cookie in cookies {
        let page = Viewer::new(&app.url).get_with("/", &[("cookie", cookie)]).await;
        let begun = page.receipt().unwrap_or_else(|| panic!("no session was begun for {cookie}"));
        assert_ne!(begun.token, token(1), "{cookie}");
    }
    assert_eq!(stored(&app.client, token(1)).await, None);
    assert_eq!(count_sessions(&app.client).await, cookies.len());
}

#[actix_web::test]
async fn a_receipt_is_found_in_cookies_of_every_shape() {
    let app = App::spawn(settings("1")).await;
    let signed = as_cookie(&receipt("1", 5));
    let quoted = signed.replacen('=', "=\"", 1) + "\"";
    let shapes = [
        format!("pad=a=b==; {signed}; lang=en"),
        format!("sessiontoken=nonsense; {signed}"),
        format!("{signed}; sessiontoken=nonsense"),
        format!("pad={}; {signed}", "x".repeat(8192)),
        quoted,
    ];
    for cookie in
        shapes.map(String::into_bytes).into_iter().chain([[b"name=caf\xc3\xa9\xff; ", signed.as_bytes()].concat()])
    {
        let cookie = reqwest::header::HeaderValue::from_bytes(&cookie).expect("a header value");
        let page = send(Viewer::new(&app.url).request("GET", "/").header("cookie", cookie)).await;
        assert_eq!(page.set_cookie(), None, "the session goes on");
        assert!(page.body.contains(token(1).short()));
    }
    let two_headers = Viewer::new(&app.url).get_with("/", &[("cookie", "theme=dark"), ("cookie", &signed)]).await;
    assert_eq!(two_headers.set_cookie(), None);
}

#[actix_web::test]
async fn documents_begin_sessions_visits_renew_them_and_the_rest_does_neither() {
    let app = App::spawn(settings("1")).await;
    let viewer = Viewer::new(&app.url);
    for header in [
        ("sec-fetch-dest", "empty"),
        ("sec-fetch-dest", "image"),
        ("sec-fetch-dest", "iframe"),
        ("accept", "application/json"),
        ("user-agent", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
        ("user-agent", "ELB-HealthChecker/2.0"),
    ] {
        let page = viewer.get_with("/", &[header]).await;
        assert_eq!((page.status, page.set_cookie()), (200, None), "{header:?}");
        assert!(page.body.contains("has no session and starts none"));
    }
    for path in ["/_v/1/theme.css", "/_v/1/nothing"] {
        assert_eq!(viewer.get(path).await.set_cookie(), None, "CloudFront may keep an asset");
    }
    assert_eq!(count_sessions(&app.client).await, 0);

    // Twelve minutes of posts and fetches must not lose a session.
    let old = as_cookie(&receipt("1", 100));
    let fetch = viewer.get_with("/", &[("sec-fetch-dest", "empty"), ("cookie", &old)]).await;
    assert_eq!(fetch.receipt().map(|receipt| receipt.token), Some(token(1)));
    for (method, path) in [("POST", "/"), ("PUT", "/cart"), ("DELETE", "/cart/1")] {
        let page = send(viewer.request(method, path).header("cookie", &old)).await;
        let renewed = page.receipt().unwrap_or_else(|| panic!("{method} did not renew"));
        assert_eq!((renewed.token, page.header("cache-control")), (token(1), "private, no-store"));
    }

    for header in [("sec-fetch-dest", "image"), ("user-agent", "Googlebot/2.1")] {
        let page = viewer.get_with("/", &[header, ("cookie", &old)]).await;
        assert_eq!(page.set_cookie(), None, "{header:?}");
        assert!(page.body.contains(token(1).short()), "it is shown though");
    }
    let head = send(viewer.request("HEAD", "/").header("cookie", &old)).await;
    assert_eq!((head.status, head.set_cookie(), head.body.as_str()), (200, None, ""));
    assert!(head.header("content-length").parse::<u64>().expect("a length") > 100);
    assert_eq!(count_sessions(&app.client).await, 1);
    let viewer = Viewer::new(&app.url);
    let page = viewer.get_with("/", &[("sec-fetch-dest", "document"), ("user-agent", "curl/8.5.0")]).await;
    assert!(page.receipt().is_some());
    assert!(Viewer::new(&app.url).get("/nothing/here").await.receipt().is_some(), "any document begins one");
}

#[actix_web::test]
async fn a_session_begins_only_where_the_edge_found_none() {
    let app = App::spawn(settings("1")).await;
    // By the edge's clock each session goes on, by the app's clock it is over.
    let over = as_cookie(&receipt("1", 800));
    for route in ["receipt", "record", "hint", "moved", "stray"] {
        for cookie in ["", &over] {
            let headers = [("cookie", cookie), ("x-stickshift-route", route)];
            let page = Viewer::new(&app.url).get_with("/", &headers).await;
            assert_eq!((page.status, page.set_cookie()), (200, None), "{route}: nothing begins and nothing is deleted");
        }
    }
    assert_eq!(count_sessions(&app.client).await, 0);
    let young = as_cookie(&receipt("1", 5));
    for route in ["roll", "fallback"] {
        let headers = [("cookie", &*over), ("x-stickshift-route", route)];
        assert!(Viewer::new(&app.url).get_with("/", &headers).await.receipt().is_some(), "{route}");
    }
    let headers = [("cookie", &*young), ("x-stickshift-route", "roll"), ("x-stickshift-revision", "3")];
    let begun = Viewer::new(&app.url).get_with("/", &headers).await.receipt().expect("a receipt");
    assert_ne!(begun.token, token(1), "whatever the cookie says");
}

#[actix_web::test]
async fn a_request_for_another_version_changes_nothing() {
    let app = App::spawn(settings("1")).await;
    let theirs = receipt("2", 100);
    put_session(&app.client, &session_item(&theirs)).await;
    for (route, cookie) in [("roll", String::new()), ("moved", as_cookie(&theirs)), ("record", as_cookie(&theirs))] {
        let headers = [
            ("cookie", cookie.as_str()),
            ("x-stickshift-route", route),
            ("x-stickshift-version", "2"),
            ("x-stickshift-from", "2"),
            ("x-stickshift-revision", "9"),
        ];
        let page = Viewer::new(&app.url).get_with("/", &headers).await;
        assert_eq!((page.status, page.set_cookie()), (200, None), "{route}");
    }
    // The reason may have got lost on the way.
    let page = Viewer::new(&app.url).get_with("/", &[("x-stickshift-version", "2")]).await;
    assert_eq!((page.status, page.set_cookie()), (200, None));
    assert_eq!(stored_session(&app.client, theirs.token).await, Some(session_item(&theirs)));
    assert_eq!(count_sessions(&app.client).await, 1);
    assert_eq!(app.metric("misdirected_total").await, 4);
}

#[actix_web::test]
async fn a_session_of_another_version_is_left_alone() {
    let app = App::spawn(settings("1")).await;
    let theirs = receipt("2", 100);
    put_session(&app.client, &session_item(&theirs)).await;
    for route in ["hint", "fallback", "nonsense"] {
        let headers = [("cookie", as_cookie(&theirs)), ("x-stickshift-route", route.to_owned())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let page = Viewer::new(&app.url).get_with("/", &headers).await;
        assert_eq!((page.version(), page.set_cookie()), ("1", None), "{route}");
        assert!(page.body.contains("is on version 2 and stays there"));
    }
    assert_eq!(stored_session(&app.client, theirs.token).await, Some(session_item(&theirs)));
    // Its receipt says version 1, and is older than its item, which says 2. The visit extends the session.
    let stale = as_cookie(&receipt("1", 200));
    let page = Viewer::new(&app.url).get_with("/", &[("cookie", &stale)]).await;
    assert_eq!(page.set_cookie(), None);
    assert!(page.body.contains("is on version 2 and stays there"));
    let extended = stored_session(&app.client, theirs.token).await.expect("an item");
    assert!(extended.touched >= theirs.touched + 100);
    let expected =
        SessionItem { touched: extended.touched, expiration: extended.touched + 720, ..session_item(&theirs) };
    assert_eq!(extended, expected);
}

#[actix_web::test]
async fn a_session_that_was_moved_while_writes_failed_goes_on() {
    // Its item still says version 2, under the plan before. Only the receipt knows of the move.
    let app = App::spawn(settings("1")).await;
    let stale = receipt("2", 130);
    put_session(&app.client, &session_item(&stale)).await;
    let placed = Placed { revision: 2, placement: Placement::Moved };
    let moved = Receipt { placed, touched: stale.touched + 40, version: code("1"), ..stale };
    let headers = [("cookie", &*as_cookie(&moved)), ("x-stickshift-route", "hint")];
    let page = Viewer::new(&app.url).get_with("/", &headers).await;
    let renewed = page.receipt().expect("a renewed receipt");
    assert_eq!((renewed.token, renewed.version, renewed.placed), (stale.token, code("1"), placed));
    assert_eq!(stored_session(&app.client, stale.token).await, Some(session_item(&renewed)));
}

#[actix_web::test]
async fn two_tabs_with_one_old_receipt_move_a_session_once() {
    let app = App::spawn(settings("1")).await;
    let theirs = receipt("2", 10);
    // The other tab was moved to version 3 by a later plan a moment ago.
    let placed = Placed { revision: 5, placement: Placement::Moved };
    let item = session_item(&Receipt { version: code("3"), placed, touched: unix_now(), ..theirs });
    put_session(&app.client, &item).await;
    let headers = [
        ("cookie", &*as_cookie(&theirs)),
        ("x-stickshift-route", "moved"),
        ("x-stickshift-from", "2"),
        ("x-stickshift-revision", "4"),
    ];
    let page = Viewer::new(&app.url).get_with("/", &headers).await;
    assert_eq!(page.set_cookie(), None);
    assert!(page.body.contains("is on version 3 and stays there"), "{}", page.body);
    let stored = stored_session(&app.client, theirs.token).await.expect("an item");
    assert_eq!((stored.version, stored.placed()), (Some(code("3")), placed));
}

#[actix_web::test]
async fn an_item_that_cannot_be_read_is_nobodys_session() {
    use aws_sdk_dynamodb::types::AttributeValue;
    let app = App::spawn(settings("1")).await;
    let old = receipt("1", 100);
    let mut item: std::collections::HashMap<_, _> = serde_dynamo::to_item(session_item(&old)).expect("an item");
    item.insert("version".to_owned(), AttributeValue::S("no version code".to_owned()));
    app.client.put_item().table_name("SessionsTable").set_item(Some(item)).send().await.expect("put");
    let page = Viewer::new(&app.url).get_with("/", &[("cookie", &as_cookie(&old))]).await;
    assert_eq!((page.version(), page.set_cookie()), ("1", None));
    assert!(page.body.contains("could not be looked up just now"), "{}", page.body);
}

#[actix_web::test]
async fn a_session_that_the_edge_moved_is_taken_over_with_its_history() {
    let app = App::spawn(settings("1")).await;
    let theirs = receipt("2", 10);
    put_session(&app.client, &session_item(&theirs)).await;
    let headers = [
        ("cookie", &*as_cookie(&theirs)),
        ("x-stickshift-route", "moved"),
        ("x-stickshift-from", "2"),
        ("x-stickshift-revision", "42"),
    ];
    let page = Viewer::new(&app.url).get_with("/", &headers).await;
    let moved = page.receipt().expect("a receipt");
    let placed = Placed { revision: 42, placement: Placement::Moved };
    assert_eq!(moved, Receipt { version: code("1"), placed, touched: moved.touched, ..theirs });
    assert_eq!(stored_session(&app.client, theirs.token).await, Some(session_item(&moved)));
}

#[actix_web::test]
async fn a_record_newer_than_the_receipt_is_believed_only_if_the_table_agrees() {
    let app = App::spawn(settings("1")).await;
    let headers = [("cookie", &*as_cookie(&receipt("2", 100))), ("x-stickshift-route", "record")];
    let ours = session_item(&receipt("1", 50));
    put_session(&app.client, &ours).await;
    let renewed = Viewer::new(&app.url).get_with("/", &headers).await.receipt().expect("a receipt");
    assert_eq!((renewed.token, renewed.version, renewed.started), (ours.token, code("1"), ours.started));
    let theirs = session_item(&receipt("2", 50));
    put_session(&app.client, &theirs).await;
    assert_eq!(Viewer::new(&app.url).get_with("/", &headers).await.set_cookie(), None);
    let extended = stored_session(&app.client, theirs.token).await.expect("an item");
    assert_eq!((extended.version, extended.started), (theirs.version, theirs.started));
}

#[actix_web::test]
async fn a_live_item_without_a_version_binds_nobody() {
    let app = App::spawn(settings("1")).await;
    let old = receipt("1", 100);
    put_session(&app.client, &SessionItem { version: None, ..session_item(&old) }).await;
    let page = Viewer::new(&app.url).get_with("/", &[("cookie", &as_cookie(&old))]).await;
    assert_eq!(page.receipt().expect("a receipt").token, old.token);
}

#[actix_web::test]
async fn by_https_the_cookie_is_secure_and_has_a_name_that_no_other_domain_can_plant() {
    let app = App::spawn(settings("1")).await;
    for name in ["cloudfront-forwarded-proto", "x-forwarded-proto"] {
        let page = Viewer::new(&app.url).get_with("/", &[(name, "https")]).await;
        let cookie = page.set_cookie().expect("a cookie");
        assert!(cookie.starts_with("__Host-sessiontoken=") && cookie.ends_with("; Secure"), "{cookie}");
        let page = Viewer::new(&app.url).get_with("/", &[(name, "http")]).await;
        let cookie = page.set_cookie().expect("a cookie");
        assert!(cookie.starts_with("sessiontoken=") && !cookie.contains("Secure"), "{cookie}");
    }
    // A sibling domain has planted a receipt of its own, newer than the viewer's.
    let planted = Receipt { token: token(9), ..receipt("1", 1) };
    let ours = receipt("1", 30);
    let cookies = format!("{}; __Host-{}", as_cookie(&planted), as_cookie(&ours));
    let https = ("cloudfront-forwarded-proto", "https");
    let page = Viewer::new(&app.url).get_with("/", &[https, ("cookie", &cookies)]).await;
    assert!(page.body.contains(ours.token.short()));
    let alone = Viewer::new(&app.url).get_with("/", &[https, ("cookie", &as_cookie(&planted))]).await;
    assert_ne!(alone.receipt().expect("a session of one's own").token, planted.token);
}

#[actix_web::test]
async fn without_keys_the_cookie_is_the_bare_token_of_a_live_session_here() {
    let mut settings = settings("1");
    settings.shared.cookie.keys = None;
    let app = App::spawn(settings).await;
    let view = async |token: stickshift_contract::Token| {
        let cookie = format!("sessiontoken={}", token.as_str());
        let page = Viewer::new(&app.url).get_with("/", &[("cookie", &cookie)]).await;
        page.set_cookie().map(|cookie| cookie.split(['=', ';']).nth(1).expect("a value").to_owned())
    };
    // Renewed on every view, and older than its first visit of now.
    let ours = session_item(&receipt("1", 5));
    put_session(&app.client, &ours).await;
    assert_eq!(view(ours.token).await.as_deref(), Some(ours.token.as_str()));
    let renewed = stored_session(&app.client, ours.token).await.expect("an item");
    assert_eq!(renewed.started, ours.started);
    assert!(renewed.touched > ours.touched);
    // Over, though TTL has not deleted it.
    let over = SessionItem { token: token(2), expiration: unix_now() - 1, ..ours.clone() };
    put_session(&app.client, &over).await;
    assert_ne!(view(over.token).await.expect("a session").as_str(), over.token.as_str());
    assert_eq!(stored_session(&app.client, over.token).await, Some(over));
    // Never was.
    assert_ne!(view(token(3)).await.expect("a session").as_str(), token(3).as_str());
    // On another version.
    let theirs = SessionItem { token: token(4), version: Some(code("2")), ..ours.clone() };
    put_session(&app.client, &theirs).await;
    assert_eq!(view(theirs.token).await, None);
    assert_eq!(stored_session(&app.client, theirs.token).await.expect("an item").version, theirs.version);
    // A junk cookie before it does not lose the session.
    let cookie = format!("sessiontoken={}; sessiontoken={}", token(5).as_str(), ours.token.as_str());
    let page = Viewer::new(&app.url).get_with("/", &[("cookie", &cookie)]).await;
    assert!(page.body.contains(ours.token.short()), "{}", page.body);
}

#[actix_web::test]
async fn while_migrating_a_bare_token_becomes_a_receipt() {
    let mut settings = settings("1");
    settings.shared.cookie.accept_bare_tokens = true;
    let app = App::spawn(settings).await;
    let ours = session_item(&receipt("1", 5));
    put_session(&app.client, &ours).await;
    let cookie = format!("sessiontoken={}", ours.token.as_str());
    let page = Viewer::new(&app.url).get_with("/", &[("cookie", &cookie)]).await;
    let receipt = page.receipt().expect("a receipt");
    assert_eq!((receipt.token, receipt.started), (ours.token, ours.started));
}
