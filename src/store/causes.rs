//! Errors of the SDK for people.

use std::error::Error;
use std::iter::successors;

/// An error and its causes, in one line. The SDK's own errors do not print their causes.
pub(super) fn causes(error: &aws_sdk_dynamodb::Error) -> String {
    let causes = successors(Some(error as &dyn Error), |&error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}
