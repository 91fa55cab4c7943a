//! One line for an error and everything that caused it: for the log, at the edge.

use std::error::Error;
use std::fmt::Write;

pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a String cannot fail.
        let _written = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}
