//! The app while DynamoDB does not do what it should.

use crate::faulty::{hanging, refusing, throttling};
use crate::support::{App, Viewer, as_cookie, receipt, settings};

#[actix_web::test]
async fn with_keys_pages_and_receipts_go_on() {
    let (hanging, _listener) = hanging();
    for endpoint in [refusing(), hanging, throttling()] {
        let app = App::spawn_with(settings("1"), &endpoint);
        let viewer = Viewer::new(&app.url);
        let begun = viewer.get("/").await.receipt().expect("a receipt for a new viewer");
        let again = viewer.get("/").await;
        assert_eq!((again.version(), again.set_cookie()), ("1", None), "the receipt holds");
        assert!(again.body.contains(begun.token.short()));
        let old = receipt("1", 100);
        let renewed = Viewer::new(&app.url).get_with("/", &[("cookie", &as_cookie(&old))]).await.receipt();
        assert_eq!(renewed.expect("a renewed receipt").token, old.token);
        assert_eq!(app.metric("session_writes_failed_total").await, 2);
        assert_eq!(Viewer::new(&app.admin_url).get("/readyz").await.status, 503);
        assert_eq!(viewer.get("/healthz").await.status, 200);
    }
}

#[actix_web::test]
async fn without_keys_it_is_the_plain_500_page_without_a_cookie_or_a_cause() {
    let (hanging, _listener) = hanging();
    for endpoint in [refusing(), hanging, throttling()] {
        let mut settings = settings("1");
        settings.shared.cookie.keys = None;
        let app = App::spawn_with(settings, &endpoint);
        let bare = "sessiontoken=472ed977dc2fd2700dbb03a58634f789fd58d911";
        for cookie in ["", bare] {
            let page = Viewer::new(&app.url).get_with("/", &[("cookie", cookie)]).await;
            assert_eq!((page.status, page.set_cookie(), page.header("cache-control")), (500, None, "no-store"));
            assert!(page.body.contains("<h1>ERROR 500</h1><p>We expected unexpected!</p>"));
            for cause in ["dynamodb", "DynamoDB", "127.0.0.1", "TOO FAST", "time"] {
                assert!(!page.body.contains(cause), "{cause} reached the viewer");
            }
        }
    }
}

#[actix_web::test]
async fn a_bare_token_that_cannot_be_looked_up_is_neither_lost_nor_believed() {
    let mut settings = settings("1");
    settings.shared.cookie.accept_bare_tokens = true;
    let app = App::spawn_with(settings, &refusing());
    let bare = "sessiontoken=472ed977dc2fd2700dbb03a58634f789fd58d911";
    let page = Viewer::new(&app.url).get_with("/", &[("cookie", bare)]).await;
    assert_eq!((page.version(), page.set_cookie()), ("1", None));
    assert!(page.body.contains("could not be looked up just now"));
}
