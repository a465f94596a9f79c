//! Errors for people.

use std::error::Error;
use std::iter::successors;

/// An error and its causes, in one line. Many libraries do not print the causes of their errors.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let causes = successors(Some(error), |&error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}
