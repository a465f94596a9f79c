//! The number of a stored format.

use serde::{Deserialize, Deserializer, de::Error as _};

/// Reads the field `format` of a `what`, for example `plan`. Errors: it is not the format that this release reads.
pub fn known<'de, D: Deserializer<'de>>(deserializer: D, what: &str, known: u64) -> Result<u64, D::Error> {
    match u64::deserialize(deserializer)? {
        format if format == known => Ok(known),
        other => Err(D::Error::custom(format!("the {what} has format {other}: this release reads format {known}"))),
    }
}
