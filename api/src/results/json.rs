//! JSON: the same text as serde's of [`crate::batch::BatchJson`], which describes it.

use axum::http::HeaderValue;
use partita_core::entry::Entry;
use partita_core::id::Position;
use partita_core::time::Timestamp;

use super::digits::{put_money, put_number};
use super::{Balances, Results};
use crate::batch::ResultJson;
use crate::names::Names;
use crate::values::format_instant;

/// What a posted item with two balances takes, more or less.
const ITEM_BYTES: usize = 112;

#[derive(Debug)]
pub(crate) struct JsonResults<'a> {
    balances: Balances<'a>,
    text: Vec<u8>,
}

impl<'a> Results<'a> for JsonResults<'a> {
    const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/json");

    fn new(names: &'a Names, count: usize, decision: Option<(Position, Timestamp)>) -> Self {
        let mut text = Vec::with_capacity(count * ITEM_BYTES + 128);
        text.push(b'{');
        if let Some((position, recorded_at)) = decision {
            text.extend_from_slice(b"\"position\":");
            put_number(&mut text, position.0);
            text.extend_from_slice(b",\"recorded_at\":\"");
            text.extend_from_slice(format_instant(recorded_at).as_bytes());
            text.extend_from_slice(b"\",");
        }
        text.extend_from_slice(b"\"results\":[");
        Self { balances: Balances::new(names), text }
    }

    fn posted(&mut self, entry: &Entry, position: Position) {
        self.text.extend_from_slice(b"{\"status\":\"posted\",\"number\":");
        put_number(&mut self.text, entry.number.0);
        self.text.extend_from_slice(b",\"position\":");
        put_number(&mut self.text, position.0);
        self.text.extend_from_slice(b",\"balances\":[");
        for line in &entry.lines {
            let (minor, decimals) = self.balances.after(line);
            self.text.push(b'"');
            put_money(&mut self.text, minor, decimals);
            self.text.extend_from_slice(b"\",");
        }
        self.end(b"]},");
    }

    fn other(&mut self, result: &ResultJson) {
        serde_json::to_writer(&mut self.text, result).expect("texts and numbers are JSON, and memory takes them");
        self.text.push(b',');
    }

    fn finish(mut self) -> Vec<u8> {
        self.end(b"]}");
        self.text
    }
}

impl JsonResults<'_> {
    /// Closes a list whose last element has a comma behind it.
    fn end(&mut self, closing: &[u8]) {
        if self.text.last() == Some(&b',') {
            self.text.pop();
        }
        self.text.extend_from_slice(closing);
    }
}
