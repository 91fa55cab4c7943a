//! The common shapes of writes, read straight from a body's bytes: batches of transfers and of entries, and single ones.
//!
//! Nothing here has an error of its own. Whatever is not plain (an escape, a surprise, a fault) ends the reading with
//! `None`, and the body is read again by way of serde ([`crate::body::parse`]), which alone says what is wrong. Values
//! are read by the same functions on both ways ([`crate::values::FromText`]), so that what is read here is what serde
//! would have read; `tests` holds both against each other.

mod entries;
mod layout;
mod scan;
#[cfg(test)]
mod tests;
mod transfers;

use partita_core::operation::MAX_BATCH;
use serde::de::DeserializeOwned;

use crate::body::parse;
use crate::problem::Problem;
use scan::Scanner;

pub(crate) use entries::{entries, entry};
pub(crate) use transfers::{transfer, transfers};

/// Reads a form: straight if it is plain, or else by way of serde.
pub(crate) fn or_parse<Form: DeserializeOwned>(
    bytes: &[u8],
    plain: fn(&[u8]) -> Option<Form>,
) -> Result<Form, Problem> {
    plain(bytes).map_or_else(|| parse(bytes), Ok)
}

/// Reads the batch's items, in order, under their `name`. An atomic or empty batch is not plain.
fn batch<'a, Form>(
    name: &str,
    body: &'a [u8],
    mut form: impl FnMut(&mut Scanner<'a>) -> Option<Form>,
    mut each: impl FnMut(Form) -> Option<()>,
) -> Option<()> {
    let mut scanner = Scanner::new(body)?;
    let (mut has_items, mut is_empty, mut atomic) = (false, true, false);
    scanner.object(|scanner, member| {
        if member == name && !has_items {
            has_items = true;
            return scanner.array(MAX_BATCH, |scanner| {
                is_empty = false;
                each(form(scanner)?)
            });
        }
        if member == "atomic" && !atomic {
            atomic = true;
            return scanner.word("false").then_some(());
        }
        None
    })?;
    scanner.end()?;
    (!is_empty).then_some(())
}
