//! How batches are written: as JSON, or as the compact binary body for transfers (docs/api.md). Both mean the same.

use serde_json::Value;

use crate::binary;
use crate::error::Error;
use crate::items::Item;
use crate::json;
use crate::parse::{NotResults, Posted, read_results};

/// The form of a batch's body and of its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchFormat {
    Json,
    /// For transfers, from the first answer on that shows that the ledger knows it; entries always go as JSON. Less work
    /// for both sides. While nodes are replaced by newer ones, a binary batch goes to one that takes it.
    #[default]
    Binary,
}

/// A format, and what is needed to write a list of one kind in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// The list's name: `transfers`, `entries`.
    Json(&'static str),
    BinaryTransfers,
}

impl Encoding {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Json(_) => "application/json",
            Self::BinaryTransfers => binary::CONTENT_TYPE,
        }
    }

    pub(crate) fn list(self) -> &'static str {
        match self {
            Self::Json(list) => list,
            Self::BinaryTransfers => "transfers",
        }
    }

    /// What comes before the first item.
    pub(crate) fn open(self, body: &mut Vec<u8>) {
        match self {
            Self::Json(list) => json::open(list, body),
            Self::BinaryTransfers => binary::open(body),
        }
    }

    /// What comes before an item that `before` others precede.
    pub(crate) fn separate(self, before: usize, body: &mut Vec<u8>) {
        if self.separator(before) > 0 {
            body.push(b',');
        }
    }

    /// How many bytes that is.
    pub(crate) fn separator(self, before: usize) -> usize {
        match self {
            Self::Json(_) if before > 0 => 1,
            Self::Json(_) | Self::BinaryTransfers => 0,
        }
    }

    pub(crate) fn write(self, item: &impl Item, key: &[u8], body: &mut Vec<u8>) -> Result<(), &'static str> {
        match self {
            Self::Json(_) => {
                item.write_json(key, body);
                Ok(())
            }
            Self::BinaryTransfers => item.write_binary(key, body),
        }
    }

    pub(crate) fn close(self, count: usize, body: &mut Vec<u8>) {
        match self {
            Self::Json(_) => body.extend_from_slice(json::CLOSE),
            Self::BinaryTransfers => binary::set_count(count, body),
        }
    }

    /// Says again how many there are, where the body says so at all.
    pub(crate) fn recount(self, count: usize, body: &mut [u8]) {
        match self {
            Self::Json(_) => {}
            Self::BinaryTransfers => binary::set_count(count, body),
        }
    }

    /// Takes an item out of a closed body: it begins at `start`, the next one at `next`. How many bytes those after it
    /// moved.
    pub(crate) fn remove(self, start: usize, next: Option<usize>, index: usize, body: &mut Vec<u8>) -> usize {
        let end = match self {
            Self::Json(_) => body.len() - json::CLOSE.len(),
            Self::BinaryTransfers => body.len(),
        };
        let range = match (next, self) {
            (Some(next), _) => start..next,
            // The last one takes the comma before it along.
            (None, Self::Json(_)) if index > 0 => start - 1..end,
            (None, Self::Json(_) | Self::BinaryTransfers) => start..end,
        };
        let removed = range.len();
        body.drain(range);
        removed
    }

    pub(crate) fn key_of(self, item: &[u8]) -> String {
        match self {
            Self::Json(_) => json::key_of(item),
            Self::BinaryTransfers => binary::key_of(item),
        }
    }

    /// Reads an answer in whichever form it came.
    pub(crate) fn read_results(
        content_type: &[u8],
        body: &[u8],
        each: impl FnMut(Result<Posted, Error>),
    ) -> Result<usize, NotResults> {
        if binary::is_type(content_type) { binary::read_results(body, each) } else { read_results(body, each) }
    }

    /// Which item a problem's pointer is about.
    pub(crate) fn element(self, pointer: Option<&Value>) -> Option<usize> {
        let rest = pointer?.as_str()?.strip_prefix('/')?.strip_prefix(self.list())?.strip_prefix('/')?;
        rest.split('/').next()?.parse().ok()
    }
}
