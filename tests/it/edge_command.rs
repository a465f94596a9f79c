//! `stickshift edge`: the edge alone, in front of versions that are served elsewhere.

use stickshift_contract::{SESSIONS_TABLE, TableNames};

use crate::cli::{Serve, run};
use crate::faulty::refusing;
use crate::support::{App, Viewer, dynamodb, settings};

const KEY: &str = "0123456789abcdef0123456789abcdef";

#[actix_web::test]
async fn it_makes_its_tables_and_shows_the_origins_their_secret() {
    let (dynamodb, client) = dynamodb().await;
    let version = |number| {
        let mut settings = settings(number);
        settings.shared.origin_secret = Some("open sesame".to_owned().into());
        settings.shared.tables =
            TableNames { sessions: "blue.Sessions".to_owned(), rollout: "blue-Rollout".to_owned() };
        App::spawn_with(settings, dynamodb.endpoint())
    };
    let (one, two) = (version("1"), version("2"));
    assert_eq!(Viewer::new(&one.url).get("/").await.status, 403, "past the edge");

    let origins = [("1", &one), ("2", &two)]
        .map(|(code, app)| format!("{code}={}", app.url.replace("http://127.0.0.1", "localhost")));
    let arguments = ["edge", "--listen", "127.0.0.1:0", "--dynamodb", dynamodb.endpoint()];
    let weights = ["--origin", &origins[0], "--origin", &origins[1], "--weight", "2=100"];
    let variables = [
        ("STICKSHIFT_KEYS", KEY),
        ("STICKSHIFT_ORIGIN_SECRET", "open sesame"),
        ("STICKSHIFT_SESSIONS_TABLE", "blue.Sessions"),
        ("STICKSHIFT_ROLLOUT_TABLE", "blue-Rollout"),
    ];
    let edge = Serve::run(&[&arguments[..], &weights].concat(), &variables);
    let viewer = Viewer::new(&edge.url);
    let page = viewer.get("/").await;
    assert_eq!((page.version(), page.way()), ("2", "roll"));
    let receipt = page.receipt().expect("a receipt");
    assert_eq!(viewer.get("/").await.way(), "receipt");
    let counts = async |table: &str| client.scan().table_name(table).send().await.expect("an answer").count();
    assert_eq!((counts("blue.Sessions").await, counts(SESSIONS_TABLE).await), (1, 0), "{}", receipt.token.as_str());
    assert!(counts("blue-Rollout").await >= 2, "the plan in force, its history, and pulses");
    let log = edge.stop();
    assert!(log.contains("version 1 at localhost:"), "{log}");
    assert!(log.contains(": live, stable, 0.00 % of new sessions"), "{log}");
    assert!(!log.contains("open sesame") && !log.contains(KEY), "{log}");

    // What an operator set survives a restart, and so do the tables.
    let edge = Serve::run(&[&arguments[..], &weights[..4]].concat(), &variables);
    assert_eq!(Viewer::new(&edge.url).get("/").await.version(), "2");
    edge.stop();
}

#[test]
fn what_it_cannot_go_by_is_named() {
    let endpoint = refusing();
    let one = ["edge", "--listen", "127.0.0.1:0", "--dynamodb", &endpoint, "--origin", "1=localhost:8081"];
    let (code, _, error) = run(&[&one[..], &["--origin", "1=localhost:8082"]].concat());
    assert_eq!((code, error.contains("--origin names version 1 twice")), (1, true), "{error}");
    let (code, _, error) = run(&one);
    let expected = format!("could not make the tables in the DynamoDB at {endpoint}, see --dynamodb");
    assert_eq!((code, error.contains(&expected)), (1, true), "{error}");
}
