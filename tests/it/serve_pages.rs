//! What a version serves.

use crate::support::{App, Page, Viewer, as_cookie, send, settings};

/// Compares a page with its snapshot. What differs from run to run is replaced.
fn assert_page(name: &str, page: &Page) {
    let filters = [
        ("<code>[0-9a-f]{8}</code>", "<code>[token]</code>"),
        (r#"<time datetime="[-0-9]{10}T[:0-9]{8}Z">[-0-9]{10} [:0-9]{8} UTC"#, r#"<time datetime="[time]">[time]"#),
    ];
    let names = [
        "content-type",
        "cache-control",
        "allow",
        "content-security-policy",
        "x-content-type-options",
        "referrer-policy",
    ];
    let lines = names.iter().filter(|name| page.headers.contains_key(**name));
    let lines: Vec<String> = lines.map(|name| format!("{name}: {}", page.header(name))).collect();
    let text = format!("{}\n{}\n\n{}", page.status, lines.join("\n"), page.body);
    insta::with_settings!({ filters => filters }, { insta::assert_snapshot!(name, text) });
}

#[actix_web::test]
async fn pages_show_their_version_and_the_session() {
    let app = App::spawn(settings("1")).await;
    let viewer = Viewer::new(&app.url);
    let page = viewer.get("/").await;
    let receipt = page.receipt().expect("a receipt");
    assert!(page.body.contains(&format!("<code>{}</code>", receipt.token.short())));
    assert!(!page.body.contains(receipt.token.as_str()), "the whole token is for the cookie only");
    assert!(!page.body.contains("style="), "the Content-Security-Policy would drop it");
    assert_page("page_of_version_1", &page);
    let theirs = as_cookie(&crate::support::receipt("2", 5));
    let foreign = Viewer::new(&app.url).get_with("/", &[("cookie", &theirs), ("x-stickshift-route", "hint")]).await;
    assert_page("page_for_a_session_elsewhere", &foreign);
    let bot = [("user-agent", "Googlebot/2.1"), ("x-stickshift-route", "bot")];
    assert_page("page_without_a_session", &Viewer::new(&app.url).get_with("/", &bot).await);
    assert_page("page_not_found", &viewer.get("/nothing?here").await);
    assert_page("method_not_allowed", &send(viewer.request("POST", "/")).await);

    let app = App::spawn(settings("2")).await;
    let page = Viewer::new(&app.url).get_with("/", &[("x-stickshift-route", "roll")]).await;
    assert_page("page_of_version_2", &page);
}

#[actix_web::test]
async fn pages_without_dynamodb() {
    let mut settings = settings("1");
    settings.shared.cookie.accept_bare_tokens = true;
    let bare = "sessiontoken=472ed977dc2fd2700dbb03a58634f789fd58d911";
    let app = App::spawn_with(settings.clone(), &crate::faulty::refusing());
    assert_page("page_for_an_unknown_session", &Viewer::new(&app.url).get_with("/", &[("cookie", bare)]).await);
    settings.shared.cookie.keys = None;
    let app = App::spawn_with(settings, &crate::faulty::refusing());
    assert_page("page_of_an_error", &Viewer::new(&app.url).get("/").await);
}

#[actix_web::test]
async fn assets_live_under_their_version_and_never_change() {
    let app = App::spawn(settings("2")).await;
    let viewer = Viewer::new(&app.url);
    for (file, content_type, part) in [
        ("theme.css", "text/css; charset=utf-8", "--background: #08122c;"),
        ("theme.css", "text/css; charset=utf-8", "Calibri, Helvetica, Sans-Serif;"),
        ("icon.svg", "image/svg+xml", "fill=\"#08122c\""),
        ("countdown.js", "text/javascript; charset=utf-8", "getElementById(\"countdown\")"),
    ] {
        let asset = viewer.get(&format!("/_v/2/{file}")).await;
        assert_eq!((asset.status, asset.header("content-type")), (200, content_type));
        assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable");
        assert!(asset.body.contains(part), "{}", asset.body);
        assert_eq!(asset.set_cookie(), None);
    }
    let head = send(viewer.request("HEAD", "/_v/2/theme.css")).await;
    assert_eq!((head.status, head.header("content-type"), head.body.as_str()), (200, "text/css; charset=utf-8", ""));
    let post = send(viewer.request("POST", "/_v/2/theme.css")).await;
    assert_eq!((post.status, post.header("allow"), post.header("cache-control")), (405, "GET, HEAD", "no-store"));
    for elsewhere in ["/_v/1/theme.css", "/_v/2/nothing.css", "/_v/2/", "/_v/2/../../etc/passwd", "/_v/2/%2e%2e/x"] {
        assert_eq!(viewer.get(elsewhere).await.status, 404, "{elsewhere}");
    }
}

#[actix_web::test]
async fn other_paths_and_methods_are_refused_without_naming_the_version() {
    let app = App::spawn(settings("1")).await;
    let page = Viewer::new(&app.url).get("/nothing?here").await;
    assert_eq!((page.status, page.header("content-type")), (404, "text/html; charset=utf-8"));
    assert!(page.body.contains("<h1>Page not found</h1>") && !page.body.contains("Version"));
    assert_eq!(page.header("cache-control"), "private, no-store");
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let page = send(Viewer::new(&app.url).request(method, "/")).await;
        assert_eq!((page.status, page.header("allow")), (405, "GET, HEAD"), "{method}");
        assert_eq!((page.header("cache-control"), page.set_cookie()), ("no-store", None));
    }
}

#[actix_web::test]
async fn monitors_are_answered_on_a_listener_of_their_own() {
    let app = App::spawn(settings("1")).await;
    let (viewer, monitor) = (Viewer::new(&app.url), Viewer::new(&app.admin_url));
    viewer.get_with("/", &[("x-stickshift-route", "roll")]).await;
    viewer.get("/").await;
    let metrics = monitor.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
    for line in [
        r#"stickshift_requests_total{version="1",route="roll",status="200"} 1"#,
        r#"stickshift_requests_total{version="1",route="direct",status="200"} 1"#,
        r#"stickshift_request_seconds_count{version="1"} 2"#,
        r#"stickshift_request_seconds_bucket{version="1",le="+Inf"} 2"#,
        r#"stickshift_sessions_begun_total{version="1"} 1"#,
        r#"stickshift_session_writes_total{version="1"} 1"#,
        r#"stickshift_session_writes_saved_total{version="1"} 1"#,
        r#"stickshift_misdirected_total{version="1"} 0"#,
        r#"stickshift_sessions_failed_total{version="1"} 0"#,
    ] {
        assert!(metrics.body.lines().any(|found| found == line), "{line} is not in {}", metrics.body);
    }
    for (path, public) in [("/healthz", 200), ("/readyz", 404), ("/metrics", 404)] {
        for method in ["GET", "HEAD"] {
            let answer = send(monitor.request(method, path)).await;
            assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{method} {path}");
            let page = send(viewer.request(method, path)).await;
            assert_eq!((page.status, page.body.contains("stickshift_")), (public, false), "{method} {path}");
        }
        let refused = send(monitor.request("POST", path)).await;
        assert_eq!((refused.status, refused.header("cache-control")), (405, "no-store"), "{path}");
    }
    assert_eq!(monitor.get("/elsewhere").await.status, 404);
    // A web page in the browser of somebody on this machine.
    for header in [("origin", "https://evil.example"), ("host", "evil.example:9464")] {
        let page = monitor.get_with("/metrics", &[header]).await;
        assert_eq!((page.status, page.body.contains("stickshift_")), (403, false), "{header:?}");
    }
}

#[actix_web::test]
async fn with_an_origin_secret_only_the_cdn_and_monitors_are_answered() {
    let mut settings = settings("1");
    settings.shared.origin_secret = Some("open sesame".to_owned().into());
    let app = App::spawn(settings).await;
    let viewer = Viewer::new(&app.url);
    for wrong in ["", "open sesam", "open sesame!", "OPEN SESAME"] {
        let page = viewer.get_with("/", &[("x-origin-verify", wrong)]).await;
        assert_eq!((page.status, page.set_cookie()), (403, None));
        assert!(!page.body.contains("sesame"));
    }
    assert_eq!(viewer.get("/").await.status, 403);
    assert_eq!(viewer.get("/_v/1/theme.css").await.status, 403);
    assert_eq!(viewer.get("/readyz").await.status, 403);
    assert_eq!(viewer.get_with("/", &[("x-origin-verify", "open sesame")]).await.status, 200);
    assert_eq!(viewer.get("/healthz").await.status, 200);
    assert_eq!(Viewer::new(&app.admin_url).get("/readyz").await.status, 200);
}
