//! Tables in memory that lose what was not flushed: the store of the simulator and of the crash tests.
//!
//! It keeps what is durable apart from what was merely written, can be stopped at any write or flush, and after a
//! crash comes back with what was durable and any number of the batches behind it, as the real store may.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Batch, Direction, EngineError, KeyRange, Row, Table, TableEngine, TableRead};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// All tables at one moment; cloning shares them until one side writes.
#[derive(Clone, Debug)]
pub struct Tables {
    tables: Vec<Arc<Rows>>,
}

impl Default for Tables {
    fn default() -> Self {
        Self { tables: Table::ALL.iter().map(|_| Arc::default()).collect() }
    }
}

impl Tables {
    fn rows(&self, table: Table) -> &Rows {
        &self.tables[table.index()]
    }

    fn apply(&mut self, batch: &Batch) {
        for step in batch.steps() {
            let rows = Arc::make_mut(&mut self.tables[step.table.index()]);
            match step.value {
                Some(value) => rows.insert(step.key.to_vec(), value.to_vec()),
                None => rows.remove(step.key),
            };
        }
    }
}

impl TableRead for Tables {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.rows(table).get(key).cloned())
    }

    fn multi_get(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, EngineError> {
        assert!(keys.is_sorted(), "multi_get takes sorted keys");
        keys.iter().map(|key| self.get(table, key)).collect()
    }

    fn scan(
        &self,
        table: Table,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, EngineError> {
        let to = range.to.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        if range.to.as_ref().is_some_and(|to| *to <= range.from) {
            return Ok(vec![]);
        }
        let found = self.rows(table).range::<Vec<u8>, _>((Bound::Included(&range.from), to));
        let copy = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        Ok(match direction {
            Direction::Forward => found.take(limit).map(copy).collect(),
            Direction::Backward => found.rev().take(limit).map(copy).collect(),
        })
    }
}

/// Where the store stops working: at the `operation`-th write or flush from now, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    pub operation: u64,
    /// Whether that operation still takes effect; its caller gets an error either way.
    pub takes_effect: bool,
}

#[derive(Debug, Default)]
struct Inner {
    durable: Tables,
    /// The batches since the last flush, in order.
    unflushed: Vec<Batch>,
    live: Tables,
    operations: u64,
    stop: Option<Stop>,
    stopped: bool,
}

impl Inner {
    /// Counts one write or flush; `Ok(true)`: it takes effect and then the store stops.
    fn operation(&mut self) -> Result<bool, EngineError> {
        if self.stopped {
            return Err(EngineError::Stopped);
        }
        self.operations += 1;
        match self.stop {
            Some(stop) if stop.operation == self.operations => {
                self.stopped = true;
                if stop.takes_effect { Ok(true) } else { Err(EngineError::Stopped) }
            }
            Some(_) | None => Ok(false),
        }
    }
}

/// A handle to one store; clones share it, so that a test keeps one to crash it.
#[derive(Clone, Debug, Default)]
pub struct MemoryEngine {
    inner: Arc<Mutex<Inner>>,
}

impl MemoryEngine {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on stops as `stop` says; counting begins anew.
    pub fn stop_at(&self, stop: Option<Stop>) {
        let mut inner = self.inner.lock();
        inner.operations = 0;
        inner.stop = stop;
    }

    /// Writes and flushes since counting began.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.inner.lock().operations
    }

    /// How many batches a crash now could lose.
    #[must_use]
    pub fn unflushed(&self) -> usize {
        self.inner.lock().unflushed.len()
    }

    /// The store as a crash now leaves it when `kept` of the unflushed batches had become durable by themselves.
    #[must_use]
    pub fn crash(&self, kept: usize) -> Self {
        let inner = self.inner.lock();
        let mut durable = inner.durable.clone();
        for batch in inner.unflushed.iter().take(kept) {
            durable.apply(batch);
        }
        let live = durable.clone();
        Self { inner: Arc::new(Mutex::new(Inner { durable, live, ..Inner::default() })) }
    }

    /// Flips bits of one stored value, as a failing disk would.
    pub fn damage(&self, table: Table, key: &[u8], byte: usize, mask: u8) {
        let mut inner = self.inner.lock();
        let mut value = inner.live.rows(table).get(key).expect("there is a row to damage").clone();
        value[byte] ^= mask;
        let mut damage = Batch::new();
        damage.put(table, key, value);
        inner.durable.apply(&damage);
        inner.live.apply(&damage);
    }

    /// Everything in it, for comparing two stores.
    #[must_use]
    pub fn dump(&self) -> BTreeMap<Table, Vec<Row>> {
        let live = self.snapshot();
        let rows = |table| live.rows(table).iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        Table::ALL.into_iter().map(|table| (table, rows(table))).collect()
    }
}

impl TableRead for MemoryEngine {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.inner.lock().live.get(table, key)
    }

    fn multi_get(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, EngineError> {
        self.inner.lock().live.multi_get(table, keys)
    }

    fn scan(
        &self,
        table: Table,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, EngineError> {
        self.inner.lock().live.scan(table, range, direction, limit)
    }
}

impl TableEngine for MemoryEngine {
    type Snapshot<'a> = Tables;
    type Large<'a> = Batch;

    fn large(&self, _bytes: usize) -> Batch {
        Batch::new()
    }

    fn write_large(&self, batch: Batch) -> Result<(), EngineError> {
        self.write(batch)
    }

    fn snapshot(&self) -> Tables {
        self.inner.lock().live.clone()
    }

    fn write(&self, batch: Batch) -> Result<(), EngineError> {
        let mut inner = self.inner.lock();
        let stops = inner.operation()?;
        inner.live.apply(&batch);
        inner.unflushed.push(batch);
        if stops { Err(EngineError::Stopped) } else { Ok(()) }
    }

    fn flush(&self) -> Result<(), EngineError> {
        let mut inner = self.inner.lock();
        let stops = inner.operation()?;
        inner.durable = inner.live.clone();
        inner.unflushed.clear();
        if stops { Err(EngineError::Stopped) } else { Ok(()) }
    }
}
