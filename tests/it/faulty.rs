//! DynamoDBs that do not do what they should. The embedded one can do none of this, so these are plain servers.

use std::net::TcpListener;

use actix_web::{App, HttpResponse, HttpServer, web};

use crate::support::any_port;

/// Nobody listens.
pub(crate) fn refusing() -> String {
    format!("http://127.0.0.1:{}", dead_port())
}

/// A port at which nobody listens, and nobody else can.
pub(crate) fn dead_port() -> u16 {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().expect("an address");
    socket.bind(&any.into()).expect("there is a free port");
    let address = socket.local_addr().expect("an address").as_socket().expect("an IP address");
    // Held to the end of the tests: bound and not listening is what keeps the port dead.
    std::mem::forget(socket);
    address.port()
}

/// Connections are taken and never answered.
pub(crate) fn hanging() -> (String, TcpListener) {
    // The kernel accepts for a listener that does not.
    let listener = any_port();
    (format!("http://{}", listener.local_addr().expect("an address")), listener)
}

/// Every call is refused for its rate.
pub(crate) fn throttling() -> String {
    let listener = any_port();
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let throttle = || async {
        HttpResponse::BadRequest().content_type("application/x-amz-json-1.0").body(
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"TOO FAST"}"#,
        )
    };
    let server = HttpServer::new(move || App::new().default_service(web::to(throttle))).workers(1).disable_signals();
    actix_web::rt::spawn(server.listen(listener).expect("a server").run());
    url
}

/// Batches come back with nothing in them and every key unprocessed, as DynamoDB does when it throttles in part.
pub(crate) fn unprocessing() -> String {
    let listener = any_port();
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let unprocessed = |call: web::Bytes| async move {
        let call: serde_json::Value = serde_json::from_slice(&call).expect("JSON");
        let answer = serde_json::json!({ "Responses": {}, "UnprocessedKeys": call["RequestItems"] });
        HttpResponse::Ok().content_type("application/x-amz-json-1.0").body(answer.to_string())
    };
    let server = HttpServer::new(move || App::new().default_service(web::to(unprocessed))).workers(1).disable_signals();
    actix_web::rt::spawn(server.listen(listener).expect("a server").run());
    url
}
