//! Where a version is served.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a version is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The origin's name.
    pub domain: Domain,
    /// The port that CloudFront connects to.
    pub port: Port,
    /// The protocol between CloudFront and the origin.
    pub protocol: Protocol,
}

/// A DNS name. CloudFront does not accept an IP address here
/// ([event structure](https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/lambda-event-structure.html)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

/// The text is not a [`Domain`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a DNS name: expected a name such as v1.example.org, without a port, not an IP address")]
pub struct DomainError(String);

/// A port that CloudFront connects to: 80, 443 or 1024 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Port(u16);

/// The number is not a [`Port`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("CloudFront does not connect to port {0}: expected 80, 443 or 1024 to 65535")]
pub struct PortError(u16);

/// Protocol between the edge and an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Plain HTTP.
    Http,
    /// HTTPS.
    Https,
}

impl Domain {
    /// Reads a DNS name: letters, digits, hyphens and dots
    /// ([RFC 1123, section 2.1](https://www.rfc-editor.org/rfc/rfc1123#section-2.1)). Errors:
    /// [`DomainError`].
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let last = text.rsplit('.').next().unwrap_or_default();
        if text.len() <= 253 && text.split('.').all(is_label) && !is_number(last) {
            Ok(Self(text.to_owned()))
        } else {
            Err(DomainError(text.chars().take(80).collect()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a last label makes the whole name an IPv4 address: only digits, or a hexadecimal number such
/// as `0x7f000001` ([URL Standard](https://url.spec.whatwg.org/#ends-in-a-number-checker)).
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    label.bytes().all(|byte| byte.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl Port {
    /// Checks a port. Errors: [`PortError`].
    pub fn new(number: u16) -> Result<Self, PortError> {
        if matches!(number, 80 | 443 | 1024..) { Ok(Self(number)) } else { Err(PortError(number)) }
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for Domain {
    type Error = DomainError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0
    }
}

impl TryFrom<u16> for Port {
    type Error = PortError;

    fn try_from(number: u16) -> Result<Self, Self::Error> {
        Self::new(number)
    }
}

impl From<Port> for u16 {
    fn from(port: Port) -> Self {
        port.0
    }
}
