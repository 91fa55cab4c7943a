//! The newest entries of the log, decoded: everything not yet durable, and recent entries up to a bound.

use std::collections::VecDeque;

use super::entry::LogEntry;

/// A contiguous run of entries that ends with the log's last.
#[derive(Debug, Default)]
pub(super) struct Tail {
    entries: VecDeque<LogEntry>,
    bytes: usize,
    limit_bytes: usize,
}

impl Tail {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, limit_bytes }
    }

    pub(super) fn first_index(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.id.index)
    }

    pub(super) fn push(&mut self, entry: LogEntry) {
        debug_assert!(self.entries.back().is_none_or(|last| last.id.index + 1 == entry.id.index));
        self.bytes += entry.weight_bytes();
        self.entries.push_back(entry);
    }

    /// Forgets the oldest entries above the bound, none above `durable`.
    pub(super) fn shrink(&mut self, durable: u64) {
        while self.bytes > self.limit_bytes && self.entries.front().is_some_and(|entry| entry.id.index <= durable) {
            self.pop_front();
        }
    }

    pub(super) fn remove_upto(&mut self, index: u64) {
        while self.entries.front().is_some_and(|entry| entry.id.index <= index) {
            self.pop_front();
        }
    }

    pub(super) fn remove_from(&mut self, index: u64) {
        while self.entries.back().is_some_and(|entry| entry.id.index >= index) {
            let entry = self.entries.pop_back().expect("the loop's condition saw it");
            self.bytes -= entry.weight_bytes();
        }
    }

    pub(super) fn get(&self, index: u64) -> Option<&LogEntry> {
        let offset = index.checked_sub(self.first_index()?)?;
        self.entries.get(usize::try_from(offset).ok()?)
    }

    /// Entries from `first`, which the tail holds, to before `end`; at least one, then up to `limit_bytes`.
    pub(super) fn read(&self, first: u64, end: u64, limit_bytes: usize) -> Vec<LogEntry> {
        let mut found = Vec::new();
        let mut bytes = 0;
        let mut index = first;
        while index < end && (bytes < limit_bytes || found.is_empty()) {
            let Some(entry) = self.get(index) else { break };
            bytes += entry.weight_bytes();
            found.push(entry.clone());
            index += 1;
        }
        found
    }

    fn pop_front(&mut self) {
        let entry = self.entries.pop_front().expect("callers saw it");
        self.bytes -= entry.weight_bytes();
    }
}
