//! Checkpoints: a sealed generation on its way to the disk.
//!
//! First the journal's blocks, in batches of a few megabytes: blocks beyond the stored head are invisible. Then all
//! tables and the head in one batch, so that balances never stand beside another `applied`. Then the flush. The
//! store may make any of these batches durable by itself, and after each of them the database is a valid state.

use std::fmt;
use std::sync::Arc;

use super::applier::Shared;
use super::charts::SealedCharts;
use super::entries::{Runs, SealedEntries, emptied_run};
use super::error::StorageError;
use super::head::{Applied, HEAD_KEY, HeadRecord, STATE_FORMAT, horizon_key};
use super::journal::Blocks;
use super::ordered::{SealedOrdered, Sorted};
use super::point::{Rows, SealedPoint, emptied};
use super::working::WorkingSet;
use crate::codec::encode_record;
use crate::codec::keys::{CustomerKey, RateKey, TableKey};
#[cfg(feature = "planted-bugs")]
use crate::engine::Batch;
use crate::engine::{Steps, Table, TableEngine, TableRead};
use partita_core::document::{Charge, Hold, Payment, Refund};
use partita_core::fx::Rate;
use partita_core::id::{BookId, DocumentId, Key};
use partita_core::period::{Period, PeriodId};
use partita_core::planted::{Bug, planted};
use partita_core::recognition::Recognised;
use partita_core::state::{
    Expiry, ItemKey, KeyRecord, Movement, MovementKey, OpenItem, Subaccount, SubaccountKey, Sums,
};

/// Journal blocks per batch.
/// Tests make it small, so that a checkpoint of theirs has several batches too.
const JOURNAL_BATCH_BYTES: usize = if cfg!(test) { 4 << 10 } else { 4 << 20 };

/// A generation that changes no more.
pub struct Sealed {
    /// About what its tables take in a batch.
    tables_bytes: usize,
    head: HeadRecord,
    journal: Arc<Blocks>,
    charts: SealedCharts,
    horizons: Vec<(Vec<u8>, Vec<u8>)>,
    keys: SealedPoint<(BookId, Key), KeyRecord>,
    subaccounts: SealedPoint<SubaccountKey, Subaccount>,
    items: SealedOrdered<ItemKey, Sums>,
    open_items: SealedOrdered<ItemKey, OpenItem>,
    movements: SealedOrdered<MovementKey, Movement>,
    periods: SealedOrdered<(BookId, PeriodId), Period>,
    rates: SealedOrdered<RateKey, Rate>,
    recognitions: SealedOrdered<(BookId, DocumentId), Recognised>,
    entries: SealedEntries,
    holds: SealedOrdered<(BookId, DocumentId), Hold>,
    charges: SealedOrdered<(BookId, DocumentId), Charge>,
    payments: SealedOrdered<(BookId, DocumentId), Payment>,
    refunds: SealedOrdered<(BookId, DocumentId), Refund>,
    customers: SealedOrdered<CustomerKey, ()>,
    expiries: SealedOrdered<Expiry, ()>,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("applied", &self.head.applied.index).finish_non_exhaustive()
    }
}

impl Sealed {
    pub(super) fn of<E: TableEngine>(working: &mut WorkingSet<E>) -> Self {
        let horizons = working.all_keys.changed_since(&working.written_keys);
        working.written_keys = working.all_keys.clone();
        let journal = working.journal.seal();
        let blocks_bytes: usize = journal.values().map(|block| block.len()).sum();
        // A row takes about half of its place in memory.
        let tables_bytes = working.generation_bytes.saturating_sub(blocks_bytes) / 2;
        working.generation_bytes = 0;
        Self {
            tables_bytes,
            head: HeadRecord {
                format: STATE_FORMAT,
                head: working.head,
                applied: working.applied.clone(),
                tree: working.tree.clone(),
            },
            journal,
            charts: working.charts.seal(),
            horizons: horizons
                .into_iter()
                .map(|((book, class), horizon)| (horizon_key(book, class), encode_record(&horizon)))
                .collect(),
            keys: working.keys.seal(),
            subaccounts: working.subaccounts.seal(),
            items: working.items.seal(),
            open_items: working.open_items.seal(),
            movements: working.movements.seal(),
            periods: working.periods.seal(),
            rates: working.rates.seal(),
            recognitions: working.recognitions.seal(),
            entries: working.entries.seal(),
            holds: working.holds.seal(),
            charges: working.charges.seal(),
            payments: working.payments.seal(),
            refunds: working.refunds.seal(),
            customers: working.customers.seal(),
            expiries: working.expiries.seal(),
        }
    }

    /// All tables and the head.
    fn write_to(&self, engine: &impl TableRead, steps: &mut impl Steps) -> Result<(), StorageError> {
        self.charts.write_to(steps);
        if !planted(Bug::KeysLeftOut) {
            self.keys.write_to(steps);
        }
        self.subaccounts.write_to(steps);
        self.items.write_to(steps);
        self.open_items.write_to(steps);
        self.movements.write_to(steps);
        self.periods.write_to(steps);
        self.rates.write_to(steps);
        self.recognitions.write_to(steps);
        self.entries.write_to(engine, steps)?;
        self.holds.write_to(steps);
        self.charges.write_to(steps);
        self.payments.write_to(steps);
        self.refunds.write_to(steps);
        self.customers.write_to(steps);
        self.expiries.write_to(steps);
        for (key, record) in &self.horizons {
            steps.put(Table::Meta, key, record);
        }
        steps.put_record(Table::Meta, HEAD_KEY, &self.head);
        Ok(())
    }
}

/// Writes sealed generations, one at a time, beside the applier.
pub struct Checkpointer<E> {
    shared: Arc<Shared<E>>,
}

impl<E> fmt::Debug for Checkpointer<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpointer").finish_non_exhaustive()
    }
}

impl<E: TableEngine> Checkpointer<E> {
    pub(super) fn new(shared: Arc<Shared<E>>) -> Self {
        Self { shared }
    }

    /// The store that is written. Between two calls of [`Self::write`] it holds nothing but what they wrote.
    #[must_use]
    pub fn engine(&self) -> &E {
        &self.shared.engine
    }

    /// [`Bug::EntryAppliedTwice`], its first half.
    #[cfg(feature = "planted-bugs")]
    pub fn write_balances_first(&self, sealed: &Sealed) -> Result<(), StorageError> {
        let mut balances = Batch::new();
        sealed.subaccounts.write_to(&mut balances);
        self.shared.engine.write(balances)?;
        Ok(self.shared.engine.flush()?)
    }

    /// Makes a sealed generation durable and says up to which raft entry the state now is. After an error the
    /// process must stop: what of it reached the disk is a valid state, but the generation cannot be written again.
    pub fn write(&mut self, sealed: Sealed) -> Result<Applied, StorageError> {
        let engine = &*self.shared.engine;
        let (mut blocks, mut bytes) = (engine.large(JOURNAL_BATCH_BYTES), 0);
        for (first, block) in &*sealed.journal {
            if bytes >= JOURNAL_BATCH_BYTES {
                engine.write_large(std::mem::replace(&mut blocks, engine.large(JOURNAL_BATCH_BYTES)))?;
                bytes = 0;
            }
            blocks.put(Table::Journal, &first.bytes(), block);
            bytes += block.len();
        }
        if bytes > 0 {
            engine.write_large(blocks)?;
        }
        let mut tables = engine.large(sealed.tables_bytes);
        sealed.write_to(engine, &mut tables)?;
        engine.write_large(tables)?;
        if !planted(Bug::LogPurgedEarly) {
            engine.flush()?;
        }
        let applied = sealed.head.applied.clone();
        // What memory held of it goes only now that the engine has it, and is freed outside the lock.
        let Forgotten { keys, subaccounts, entries, rest } = self.shared.working.write().settle();
        drop((rest, sealed));
        let (keys, subaccounts, entries) = (emptied(keys), emptied(subaccounts), emptied_run(entries));
        let mut working = self.shared.working.write();
        working.keys.reuse(keys);
        working.subaccounts.reuse(subaccounts);
        working.entries.reuse(entries);
        Ok(applied)
    }
}

/// What a settled checkpoint lets go of: held until the lock is free, for freeing it takes long.
struct Forgotten {
    keys: Vec<Arc<Rows<(BookId, Key), KeyRecord>>>,
    subaccounts: Vec<Arc<Rows<SubaccountKey, Subaccount>>>,
    entries: Arc<Runs>,
    rest: Rest,
}

/// Of the other tables.
#[allow(dead_code, reason = "the fields are there to be dropped")]
struct Rest {
    journal: Option<Arc<Blocks>>,
    items: Arc<Sorted<Sums>>,
    open_items: Arc<Sorted<OpenItem>>,
    movements: Arc<Sorted<Movement>>,
    periods: Arc<Sorted<Period>>,
    rates: Arc<Sorted<Rate>>,
    recognitions: Arc<Sorted<Recognised>>,
    holds: Arc<Sorted<Hold>>,
    charges: Arc<Sorted<Charge>>,
    payments: Arc<Sorted<Payment>>,
    refunds: Arc<Sorted<Refund>>,
    customers: Arc<Sorted<()>>,
    expiries: Arc<Sorted<()>>,
}

impl<E: TableEngine> WorkingSet<E> {
    fn settle(&mut self) -> Forgotten {
        let rest = Rest {
            journal: self.journal.settle(),
            items: self.items.settle(),
            open_items: self.open_items.settle(),
            movements: self.movements.settle(),
            periods: self.periods.settle(),
            rates: self.rates.settle(),
            recognitions: self.recognitions.settle(),
            holds: self.holds.settle(),
            charges: self.charges.settle(),
            payments: self.payments.settle(),
            refunds: self.refunds.settle(),
            customers: self.customers.settle(),
            expiries: self.expiries.settle(),
        };
        let (keys, subaccounts) = (self.keys.settle(), self.subaccounts.settle());
        Forgotten { keys, subaccounts, entries: self.entries.settle(), rest }
    }
}
