//! The binary form of a batch's answer; docs/api.md has its layout.

use axum::http::HeaderValue;
use partita_core::entry::Entry;
use partita_core::id::Position;
use partita_core::time::Timestamp;

use super::{Balances, Results};
use crate::batch::ResultJson;
use crate::binary::{ATOMIC, MEDIA_TYPE};
use crate::names::Names;

const POSTED: u8 = 0;
const REPLAYED: u8 = 1;
const REJECTED: u8 = 2;
const REPLAYED_REJECTION: u8 = 3;
/// A posted item.
const ITEM_BYTES: usize = 50;
const COUNT_BYTES: usize = 4;

#[derive(Debug)]
pub(crate) struct BinaryResults<'a> {
    balances: Balances<'a>,
    bytes: Vec<u8>,
    /// Where the count stands, which is not known before the end.
    count_at: usize,
    count: u32,
}

impl<'a> Results<'a> for BinaryResults<'a> {
    const CONTENT_TYPE: HeaderValue = HeaderValue::from_static(MEDIA_TYPE);

    fn new(names: &'a Names, count: usize, decision: Option<(Position, Timestamp)>) -> Self {
        let mut bytes = Vec::with_capacity(count * ITEM_BYTES + 32);
        match decision {
            None => bytes.push(0),
            Some((position, recorded_at)) => {
                bytes.push(ATOMIC);
                bytes.extend_from_slice(&position.0.to_le_bytes());
                bytes.extend_from_slice(&recorded_at.0.to_le_bytes());
            }
        }
        let count_at = bytes.len();
        bytes.extend_from_slice(&[0; COUNT_BYTES]);
        Self { balances: Balances::new(names), bytes, count_at, count: 0 }
    }

    /// A transfer's entry: it has two lines, of one currency.
    fn posted(&mut self, entry: &Entry, position: Position) {
        self.count += 1;
        self.bytes.push(POSTED);
        self.bytes.extend_from_slice(&entry.number.0.to_le_bytes());
        self.bytes.extend_from_slice(&position.0.to_le_bytes());
        let [debit, credit] = entry.lines.as_slice() else { panic!("a transfer's entry has two lines: {entry:?}") };
        let ((debit, decimals), (credit, _)) = (self.balances.after(debit), self.balances.after(credit));
        self.bytes.push(decimals);
        self.bytes.extend_from_slice(&debit.to_le_bytes());
        self.bytes.extend_from_slice(&credit.to_le_bytes());
    }

    fn other(&mut self, result: &ResultJson) {
        self.count += 1;
        match (result.status, result.number, result.position) {
            ("replayed", Some(number), Some(position)) => {
                self.bytes.push(REPLAYED);
                self.bytes.extend_from_slice(&number.to_le_bytes());
                self.bytes.extend_from_slice(&position.to_le_bytes());
            }
            (status, _, _) => {
                self.bytes.push(if status == "replayed" { REPLAYED_REJECTION } else { REJECTED });
                let text = serde_json::to_vec(result).expect("texts and numbers are JSON");
                let length = u32::try_from(text.len()).expect("a refusal is short");
                self.bytes.extend_from_slice(&length.to_le_bytes());
                self.bytes.extend_from_slice(&text);
            }
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes[self.count_at..self.count_at + COUNT_BYTES].copy_from_slice(&self.count.to_le_bytes());
        self.bytes
    }
}
