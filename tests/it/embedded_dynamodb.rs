//! The embedded DynamoDB: who may use it, and what `up` makes in it.

use aws_sdk_dynamodb::types::{TimeToLiveSpecification, TimeToLiveStatus};
use stickshift::store::tables::create_tables;
use stickshift_contract::TableNames;

use crate::support::dynamodb;

const SIGNATURE: &str = "AWS4-HMAC-SHA256 Credential=any/20240311/us-east-1/dynamodb/aws4_request, Signature=00";

/// Status and body of a scan of all sessions with these headers.
async fn scan(endpoint: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let request = client
        .post(endpoint)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "DynamoDB_20120810.Scan")
        .body(r#"{"TableName":"SessionsTable"}"#);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let response = request.send().await.expect("an answer");
    assert!(!response.headers().contains_key("access-control-allow-origin"));
    (response.status().as_u16(), response.text().await.expect("text"))
}

#[actix_web::test]
async fn web_pages_must_not_use_it() {
    let (dynamodb, _client) = dynamodb().await;
    let endpoint = dynamodb.endpoint();
    let signed = ("authorization", SIGNATURE);
    assert_eq!(scan(endpoint, &[signed]).await, (200, r#"{"Items":[],"Count":0,"ScannedCount":0}"#.to_owned()));
    for (headers, cause) in [
        (vec![], "MissingAuthenticationToken"),
        (vec![("authorization", "Bearer x")], "MissingAuthenticationToken"),
        (vec![signed, ("origin", "https://evil.example")], "AccessDenied"),
        (vec![signed, ("origin", "null")], "AccessDenied"),
        (vec![signed, ("host", "evil.example:8000")], "AccessDenied"),
    ] {
        let (status, body) = scan(endpoint, &headers).await;
        assert!(status == 400 && body.contains(cause) && !body.contains("Items"), "{headers:?}: {status} {body}");
    }
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let preflight = client.request(reqwest::Method::OPTIONS, endpoint).header("origin", "https://evil.example");
    let preflight = preflight.header("access-control-request-method", "POST").send().await.expect("an answer");
    assert_eq!(preflight.status(), 400);
    assert!(!preflight.headers().contains_key("access-control-allow-origin"));
}

#[actix_web::test]
async fn wrong_requests_get_the_errors_of_dynamodb() {
    let (_dynamodb, client) = dynamodb().await;
    let missing = client.scan().table_name("Nowhere").send().await.expect_err("no such table");
    assert!(missing.into_service_error().is_resource_not_found_exception());
    let bad = client.scan().table_name("SessionsTable").filter_expression("nonsense").send().await;
    let bad = aws_sdk_dynamodb::Error::from(bad.expect_err("no expression"));
    assert!(format!("{bad:?}").contains("ValidationException"), "{bad:?}");
}

#[actix_web::test]
async fn a_table_whose_maker_stopped_before_it_switched_ttl_on_gets_it_later() {
    let (_dynamodb, client) = dynamodb().await;
    let status = async || {
        let described = client.describe_time_to_live().table_name("SessionsTable").send().await.expect("an answer");
        described.time_to_live_description.and_then(|description| description.time_to_live_status)
    };
    let off = TimeToLiveSpecification::builder().attribute_name("expiration").enabled(false).build();
    let call = client.update_time_to_live().table_name("SessionsTable");
    call.time_to_live_specification(off.expect("a specification")).send().await.expect("switched off");
    assert_ne!(status().await, Some(TimeToLiveStatus::Enabled));
    create_tables(&client, &TableNames::default()).await.expect("made");
    assert_eq!(status().await, Some(TimeToLiveStatus::Enabled));
    create_tables(&client, &TableNames::default()).await.expect("made again");
}
