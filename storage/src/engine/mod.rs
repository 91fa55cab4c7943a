//! What the State DB asks of the store underneath: named tables of ordered keys, atomic batches, and a flush.
//!
//! A batch is applied as a whole but is durable only after [`TableEngine::flush`]: there is no write-ahead log,
//! the raft log is it. The store may make everything written so far durable at any moment by itself (a full
//! memtable does), so a crash keeps the batches up to some point since the last flush, in order, and never a part
//! of one. Nothing here knows what the tables mean.

mod memory;
mod rocks;

#[cfg(test)]
pub(crate) mod tests;

pub use memory::{MemoryEngine, Stop};
pub use rocks::{RocksBatch, RocksEngine};

use crate::codec::{Stored, write_record};

/// The tables of the State DB. Their names are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// First position → block of decisions.
    Journal,
    Books,
    Currencies,
    Accounts,
    /// Book → counters and running totals.
    Totals,
    /// Book → frontier of its hash tree.
    Trees,
    Controls,
    Subaccounts,
    Items,
    /// The items whose debits and credits differ, for what is asked of open items only.
    OpenItems,
    Movements,
    /// Book → fiscal calendar, and how far it is closed.
    Calendars,
    /// (book, period) → what was done to it, with its seal.
    Periods,
    /// (book, base, quote, date downwards) → rate.
    Rates,
    /// (book, charge) → what was recognised of it.
    Recognitions,
    Keys,
    /// (book, entry number) → where it stands in the journal.
    Entries,
    Holds,
    Charges,
    Payments,
    Refunds,
    /// (book, customer, kind, id): the documents of a customer.
    Customers,
    /// (instant, book, kind, id): what expires, in order.
    Expiries,
    /// The head, and what the key look-ups need.
    Meta,
}

impl Table {
    pub const ALL: [Self; 24] = [
        Self::Journal,
        Self::Books,
        Self::Currencies,
        Self::Accounts,
        Self::Totals,
        Self::Trees,
        Self::Controls,
        Self::Subaccounts,
        Self::Items,
        Self::OpenItems,
        Self::Movements,
        Self::Calendars,
        Self::Periods,
        Self::Rates,
        Self::Recognitions,
        Self::Keys,
        Self::Entries,
        Self::Holds,
        Self::Charges,
        Self::Payments,
        Self::Refunds,
        Self::Customers,
        Self::Expiries,
        Self::Meta,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Books => "books",
            Self::Currencies => "currencies",
            Self::Accounts => "accounts",
            Self::Totals => "totals",
            Self::Trees => "trees",
            Self::Controls => "controls",
            Self::Subaccounts => "subaccounts",
            Self::Items => "items",
            Self::OpenItems => "open_items",
            Self::Movements => "movements",
            Self::Calendars => "calendars",
            Self::Periods => "periods",
            Self::Rates => "rates",
            Self::Recognitions => "recognitions",
            Self::Keys => "keys",
            Self::Entries => "entries",
            Self::Holds => "holds",
            Self::Charges => "charges",
            Self::Payments => "payments",
            Self::Refunds => "refunds",
            Self::Customers => "customers",
            Self::Expiries => "expiries",
            Self::Meta => "meta",
        }
    }

    /// Its place in [`Self::ALL`], which has the tables in the order of their declaration.
    #[expect(clippy::as_conversions, reason = "a variant's number is its place in the declaration")]
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// Why the store could not do what it was asked. None of them is ever retried: the node stops.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the state database at {path} cannot be opened: {message}")]
    Open { path: String, message: String },
    #[error("table {}: {message}", table.name())]
    Read { table: Table, message: String },
    #[error("a write to the state database failed: {message}")]
    Write { message: String },
    #[error("a flush of the state database failed: {message}")]
    Flush { message: String },
    #[error("the simulated store was stopped")]
    Stopped,
}

/// Keys from `from` on, up to but without `to` (`None`: to the end).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    pub from: Vec<u8>,
    pub to: Option<Vec<u8>>,
}

impl KeyRange {
    #[must_use]
    pub fn all() -> Self {
        Self { from: vec![], to: None }
    }

    /// All keys that begin with `prefix`.
    #[must_use]
    pub fn prefix(prefix: Vec<u8>) -> Self {
        let to = crate::codec::keys::after_prefix(&prefix);
        Self { from: prefix, to }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Backward,
}

/// A key and its value, as stored.
pub type Row = (Vec<u8>, Vec<u8>);

/// Reading tables: the newest state of the engine, or a snapshot of it.
pub trait TableRead {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// The values of `keys`, which are sorted, in their order.
    fn multi_get(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, EngineError>;

    /// At most `limit` rows of the range, from its beginning or, backward, from its end.
    fn scan(&self, table: Table, range: &KeyRange, direction: Direction, limit: usize)
    -> Result<Vec<Row>, EngineError>;
}

/// One step of a batch: a value to put, or a key to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    pub table: Table,
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

/// Takes the steps of a batch, one after the other.
pub trait Steps {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]);

    /// Puts a value as its record.
    fn put_record(&mut self, table: Table, key: &[u8], value: &impl Stored);

    fn remove(&mut self, table: Table, key: &[u8]);
}

/// Steps that are applied together or not at all. Their bytes stand one after the other.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    steps: Vec<Placed>,
}

/// Where a step's bytes end; they begin where those of the step before it do.
#[derive(Clone, Copy, Debug)]
struct Placed {
    table: Table,
    removes: bool,
    key_end: usize,
    end: usize,
}

impl Batch {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub fn put(&mut self, table: Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.put_with(table, key, |bytes| bytes.extend_from_slice(value.as_ref()));
    }

    /// Puts a value as its record.
    pub fn put_record(&mut self, table: Table, key: impl AsRef<[u8]>, value: &impl Stored) {
        self.put_with(table, key, |bytes| write_record(value, bytes));
    }

    fn put_with(&mut self, table: Table, key: impl AsRef<[u8]>, write: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.extend_from_slice(key.as_ref());
        let key_end = self.bytes.len();
        write(&mut self.bytes);
        self.steps.push(Placed { table, removes: false, key_end, end: self.bytes.len() });
    }

    pub fn remove(&mut self, table: Table, key: impl AsRef<[u8]>) {
        self.bytes.extend_from_slice(key.as_ref());
        let end = self.bytes.len();
        self.steps.push(Placed { table, removes: true, key_end: end, end });
    }

    /// Gives all of its steps to `to`.
    pub fn copy_to(&self, to: &mut impl Steps) {
        for step in self.steps() {
            match step.value {
                Some(value) => to.put(step.table, step.key, value),
                None => to.remove(step.table, step.key),
            }
        }
    }

    pub fn steps(&self) -> impl ExactSizeIterator<Item = Step<'_>> {
        let mut start = 0;
        self.steps.iter().map(move |placed| {
            let key = &self.bytes[start..placed.key_end];
            let value = (!placed.removes).then(|| &self.bytes[placed.key_end..placed.end]);
            start = placed.end;
            Step { table: placed.table, key, value }
        })
    }

    /// Bytes of keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl Steps for Batch {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        Self::put(self, table, key, value);
    }

    fn put_record(&mut self, table: Table, key: &[u8], value: &impl Stored) {
        Self::put_record(self, table, key, value);
    }

    fn remove(&mut self, table: Table, key: &[u8]) {
        Self::remove(self, table, key);
    }
}

/// A store of tables.
pub trait TableEngine: TableRead + Send + Sync + 'static {
    /// Sees the tables as they were when it was taken.
    type Snapshot<'a>: TableRead
    where
        Self: 'a;

    fn snapshot(&self) -> Self::Snapshot<'_>;

    /// A batch in the store's own form: a checkpoint has millions of steps.
    type Large<'a>: Steps
    where
        Self: 'a;

    /// An empty one, with room for about so many bytes of keys and values.
    fn large(&self, bytes: usize) -> Self::Large<'_>;

    /// As [`Self::write`].
    fn write_large(&self, batch: Self::Large<'_>) -> Result<(), EngineError>;

    /// Applies all of the batch. Durable only after [`Self::flush`].
    fn write(&self, batch: Batch) -> Result<(), EngineError>;

    /// Makes everything that was written durable, all tables together.
    fn flush(&self) -> Result<(), EngineError>;
}
