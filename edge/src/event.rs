//! CloudFront's origin-request event.
//!
//! Only what the router reads or sets has a field; everything else is kept as it came and goes out again unchanged.
//! Shape: [Lambda@Edge event structure](https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/lambda-event-structure.html).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use stickshift_contract as contract;
use stickshift_contract::Protocol;

use crate::json_error::without_value;

/// The event that CloudFront calls a function with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    #[serde(rename = "Records")]
    records: [Record; 1],
    #[serde(flatten)]
    other: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    cf: CloudFront,
    #[serde(flatten)]
    other: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct CloudFront {
    config: Value,
    request: Request,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// The request in the event; also what the function answers with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The viewer's address.
    pub client_ip: String,
    /// `GET`, `POST`, …
    pub method: String,
    /// Path, without the query string.
    pub uri: String,
    /// What follows the `?`, empty if nothing does.
    pub querystring: String,
    /// Every header that the cache policy lets through, and CloudFront's own.
    #[serde(default)]
    pub headers: Headers,
    /// Where CloudFront is about to send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Fields that this code has never heard of, and `body`.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Headers by their lower-case names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headers(pub BTreeMap<String, Vec<Header>>);

/// One line of a header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The name as it was sent; absent means the lower-case one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The value.
    pub value: String,
    /// Fields that this code has never heard of.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An origin: CloudFront's own holds exactly one of `custom` and `s3`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// An HTTP server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomOrigin>,
    /// `s3` and fields that this code has never heard of.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An HTTP server as origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomOrigin {
    /// A DNS name.
    pub domain_name: String,
    /// 80, 443 or 1024 to 65535.
    pub port: u16,
    /// How to speak to it.
    pub protocol: Protocol,
    /// Goes before the request's path; starts with `/` and does not end with one, or is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Seconds to wait for the origin's answer and between two packets of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_timeout: Option<u64>,
    /// Headers that CloudFront adds on the way to the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_headers: Option<Headers>,
    /// `keepaliveTimeout`, `sslProtocols` and fields that this code has never heard of.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Why a text is no event. Repeats no value of it, since a cookie or a secret may be among them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an event: {0}")]
pub struct EventError(String);

impl Event {
    /// Reads an event. Errors: [`EventError`].
    pub fn parse(text: &str) -> Result<Self, EventError> {
        serde_json::from_str(text).map_err(|cause| EventError(without_value(&cause)))
    }

    /// The request in it.
    pub fn into_request(self) -> Request {
        let [record] = self.records;
        record.cf.request
    }
}

impl Headers {
    /// The values of a header's lines, in their order; `name` in lower case.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get(name).into_iter().flatten().map(|header| header.value.as_str())
    }

    /// Adds a line to a header.
    pub fn append(&mut self, key: &str, value: String) {
        let header = Header { key: Some(key.to_owned()), value, other: Map::new() };
        self.0.entry(key.to_ascii_lowercase()).or_default().push(header);
    }

    /// Makes a header consist of this one line.
    pub fn set(&mut self, key: &str, value: String) {
        self.remove(&key.to_ascii_lowercase());
        self.append(key, value);
    }

    /// Takes a header out; `name` in lower case.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }
}

impl Request {
    /// Sends the request to another host. Time-outs, path and custom headers of the default origin stay as they are,
    /// and so does the `Host` header, which goes on naming the old one until it is set as well.
    pub fn set_origin(&mut self, origin: &contract::Origin) {
        let current = self.origin.get_or_insert_default();
        // An event names one kind of origin only: CloudFront refuses an answer with both.
        current.other.remove("s3");
        match &mut current.custom {
            Some(custom) => {
                custom.domain_name.clone_from(&origin.domain);
                custom.port = origin.port;
                custom.protocol = origin.protocol;
            }
            None => current.custom = Some(CustomOrigin::new(origin)),
        }
    }
}

impl CustomOrigin {
    /// CloudFront's read time-out unless a distribution sets another, in seconds.
    pub const READ_TIMEOUT_SECONDS: u64 = 30;

    /// An origin with CloudFront's defaults: 30 s read time-out, 5 s keep-alive, TLS 1.2.
    pub fn new(origin: &contract::Origin) -> Self {
        let mut other = Map::new();
        other.insert("keepaliveTimeout".to_owned(), json!(5));
        other.insert("sslProtocols".to_owned(), json!(["TLSv1.2"]));
        Self {
            domain_name: origin.domain.clone(),
            port: origin.port,
            protocol: origin.protocol,
            path: Some(String::new()),
            read_timeout: Some(Self::READ_TIMEOUT_SECONDS),
            custom_headers: Some(Headers::default()),
            other,
        }
    }
}
