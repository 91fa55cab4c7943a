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
pub use rocks::RocksEngine;

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

    /// Its place in [`Self::ALL`].
    pub(crate) fn index(self) -> usize {
        Self::ALL.iter().position(|table| *table == self).expect("ALL has every table")
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub table: Table,
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

/// Steps that are applied together or not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    steps: Vec<Step>,
    bytes: usize,
}

impl Batch {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub fn put(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) {
        self.bytes += key.len() + value.len();
        self.steps.push(Step { table, key, value: Some(value) });
    }

    pub fn remove(&mut self, table: Table, key: Vec<u8>) {
        self.bytes += key.len();
        self.steps.push(Step { table, key, value: None });
    }

    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    #[must_use]
    pub fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    /// Bytes of keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// A store of tables.
pub trait TableEngine: TableRead + Send + Sync + 'static {
    /// Sees the tables as they were when it was taken.
    type Snapshot<'a>: TableRead
    where
        Self: 'a;

    fn snapshot(&self) -> Self::Snapshot<'_>;

    /// Applies all of the batch. Durable only after [`Self::flush`].
    fn write(&self, batch: Batch) -> Result<(), EngineError>;

    /// Makes everything that was written durable, all tables together.
    fn flush(&self) -> Result<(), EngineError>;
}
