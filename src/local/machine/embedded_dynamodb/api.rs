//! DynamoDB's [HTTP API](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html)
//! over the embedded database, for programs on this machine only.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, web};
use dynoxide::{Database, DynoxideError};

use crate::loopback;

/// DynamoDB accepts bodies up to 16 MiB.
pub(super) const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// Refuses requests of web pages and requests without AWS's signature, before anything else is read.
pub(super) async fn refuse_web_pages(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    // Any AWS client signs its requests. A web page cannot, unless it may set headers.
    let is_signed = |value: &str| value.starts_with("AWS4-HMAC-SHA256 ");
    let signature = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let answer = if let Some(cause) = loopback::refusal(request.headers(), true) {
        refuse("AccessDeniedException", cause)
    } else if !signature.is_some_and(is_signed) {
        refuse("MissingAuthenticationTokenException", "the request has no AWS signature")
    } else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    Ok(request.into_response(answer).map_into_right_body())
}

/// Answers a request.
pub(super) async fn handle(request: HttpRequest, body: String, database: web::Data<Database>) -> HttpResponse {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    let Some(operation) = target.and_then(|target| target.strip_prefix("DynamoDB_20120810.")) else {
        return refuse("UnknownOperationException", "the request has no X-Amz-Target of DynamoDB");
    };
    match run(&database, operation, &body) {
        Some(Ok(answer)) => json(StatusCode::OK, answer),
        Some(Err(cause)) => {
            let status = StatusCode::from_u16(cause.status_code()).unwrap_or(StatusCode::BAD_REQUEST);
            json(status, cause.to_json())
        }
        None => refuse("UnknownOperationException", "the embedded DynamoDB does not have this operation"),
    }
}

/// Runs an operation; `None` if there is no such operation.
fn run(database: &Database, operation: &str, body: &str) -> Option<Result<String, DynoxideError>> {
    macro_rules! dispatch {
        ($($name:literal => $method:ident),* $(,)?) => {
            match operation {
                $($name => Some(read(body).and_then(|input| write(&database.$method(input)?))),)*
                _ => None,
            }
        };
    }
    dispatch! {
        "BatchGetItem" => batch_get_item,
        "BatchWriteItem" => batch_write_item,
        "CreateTable" => create_table,
        "DeleteItem" => delete_item,
        "DeleteTable" => delete_table,
        "DescribeTable" => describe_table,
        "DescribeTimeToLive" => describe_time_to_live,
        "GetItem" => get_item,
        "ListTables" => list_tables,
        "PutItem" => put_item,
        "Query" => query,
        "Scan" => scan,
        "TransactGetItems" => transact_get_items,
        "TransactWriteItems" => transact_write_items,
        "UpdateItem" => update_item,
        "UpdateTimeToLive" => update_time_to_live,
    }
    // A refusal of a request's values has a name of its own inside the library.
    .map(|result| {
        result.map_err(|cause| match cause {
            DynoxideError::EnvelopedValidation(message) => DynoxideError::ValidationException(message),
            cause => cause,
        })
    })
}

fn read<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, DynoxideError> {
    serde_json::from_str(body).map_err(|cause| DynoxideError::ValidationException(cause.to_string()))
}

fn write(output: &impl serde::Serialize) -> Result<String, DynoxideError> {
    serde_json::to_string(output).map_err(|cause| DynoxideError::InternalServerError(cause.to_string()))
}

fn refuse(name: &str, message: &str) -> HttpResponse {
    let body = serde_json::json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{name}"), "message": message });
    json(StatusCode::BAD_REQUEST, body.to_string())
}

fn json(status: StatusCode, body: String) -> HttpResponse {
    HttpResponse::build(status).content_type("application/x-amz-json-1.0").body(body)
}
