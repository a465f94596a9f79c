//! CloudFront's origin-request event.
//!
//! Only what the router reads or sets has a field, and only what the decision needs is required. `index.mjs`
//! puts the router's changes into the event itself, so everything else goes out as it came in.
//! Shape: [Lambda@Edge event structure](https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/lambda-event-structure.html).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use stickshift_contract::{self as contract, HEADER_PREFIX, Protocol};

use crate::json_error::without_value;

/// The part of an event's request that the router reads or sets. The function's answer is the whole request
/// with [`Changes`] in it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path, without the query string.
    pub uri: String,
    /// The text after the `?`.
    pub querystring: Option<String>,
    /// Every header that the policies forward, and CloudFront's own.
    #[serde(default)]
    pub headers: Headers,
    /// Where CloudFront is going to send the request.
    pub origin: Option<Origin>,
}

/// What [`Router::forward`](crate::Router::forward) has changed in a request: all that the function needs to
/// know to change the event in the same way.
#[derive(Debug, Serialize)]
pub struct Changes<'a> {
    /// The origin, whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: &'a Option<Origin>,
    /// The headers that the router has set. Every other header of the event that starts with
    /// [`HEADER_PREFIX`] is to be removed.
    headers: BTreeMap<&'a str, &'a [Header]>,
}

/// Headers by their lower-case names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headers(pub BTreeMap<String, Vec<Header>>);

/// One line of a header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The name as it was sent. If it is absent, the name is the lower-case one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The value.
    pub value: String,
    /// Fields that this code does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An origin. CloudFront's own has exactly one of `custom` and `s3`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// An HTTP server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomOrigin>,
    /// `s3`, and fields that this code does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An HTTP server as origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomOrigin {
    /// The origin's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain_name: Option<String>,
    /// The port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// A prefix of the request's path. It starts with `/` and does not end with one, or it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Seconds to wait for the origin's answer and between two packets of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_timeout: Option<u64>,
    /// Headers that CloudFront adds on the way to the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_headers: Option<Headers>,
    /// `keepaliveTimeout`, `sslProtocols`, and fields that this code does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The text is not the request of an event. The message repeats no value of the text, because a cookie or a secret may
/// be among them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an event: {0}")]
pub struct EventError(String);

impl Headers {
    /// The values of a header's lines, in their order; `name` in lower case.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> + Clone {
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

    /// Removes a header; `name` in lower case.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Removes every header whose name starts with `prefix`, which is in lower case.
    pub fn remove_prefix(&mut self, prefix: &str) {
        self.0.retain(|name, _| !name.starts_with(prefix));
    }
}

impl Request {
    /// Reads the request of an event. Errors: [`EventError`].
    pub fn parse(text: &str) -> Result<Self, EventError> {
        serde_json::from_str(text).map_err(|cause| EventError(without_value(&cause)))
    }

    /// What the router has changed in this request.
    pub fn changes(&self) -> Changes<'_> {
        let is_set = |name: &str| name == "host" || name.starts_with(HEADER_PREFIX);
        let headers = self.headers.0.iter().filter(|(name, _)| is_set(name));
        Changes { origin: &self.origin, headers: headers.map(|(name, lines)| (name.as_str(), &**lines)).collect() }
    }

    /// Sends the request to another host. The time-outs, the path and the custom headers of the default
    /// origin keep their values. The `Host` header does too: the caller must set it as well.
    pub fn set_origin(&mut self, origin: &contract::Origin) {
        let current = self.origin.get_or_insert_default();
        // CloudFront refuses an answer with two kinds of origin.
        current.other.remove("s3");
        match &mut current.custom {
            Some(custom) => {
                custom.domain_name = Some(origin.domain.to_string());
                custom.port = Some(origin.port.get());
                custom.protocol = Some(origin.protocol);
            }
            None => current.custom = Some(CustomOrigin::new(origin)),
        }
    }
}

impl CustomOrigin {
    /// CloudFront's read time-out in seconds, unless a distribution sets another one.
    pub const READ_TIMEOUT_SECONDS: u64 = 30;

    /// An origin with CloudFront's defaults: 30 s read time-out, 5 s keep-alive, TLS 1.2.
    pub fn new(origin: &contract::Origin) -> Self {
        let mut other = Map::new();
        other.insert("keepaliveTimeout".to_owned(), json!(5));
        other.insert("sslProtocols".to_owned(), json!(["TLSv1.2"]));
        Self {
            domain_name: Some(origin.domain.to_string()),
            port: Some(origin.port.get()),
            protocol: Some(origin.protocol),
            path: Some(String::new()),
            read_timeout: Some(Self::READ_TIMEOUT_SECONDS),
            custom_headers: Some(Headers::default()),
            other,
        }
    }
}
