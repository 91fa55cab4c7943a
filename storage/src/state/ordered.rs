//! A table that is scanned in the order of its keys: what changed since the last checkpoint, over what is on the disk.
//!
//! From the top: `current` (changed since the last seal), `sealed` (being written by the checkpointer), `settled`
//! (written by the last checkpoint, still in memory), and what did not change: a bounded cache of records read, and the
//! engine. A record's newest value is in the first layer that has it. The layers have the stored bytes for keys, so
//! that they merge in the engine's order.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::ops::Bound;
use std::sync::Arc;

use super::cache::{Unchanged, record_bytes};
use super::error::StorageError;
use crate::codec::Stored;
use crate::codec::keys::TableKey;
use crate::engine::{Direction, KeyRange, Row, Steps, Table, TableRead};

/// A scan reads the engine this many rows at a time, at most.
const SCAN_PAGE_ROWS: usize = 1_024;

/// Changes by stored keys, in the engine's order; `None` is a removal.
pub(super) type Sorted<V> = BTreeMap<Vec<u8>, Option<V>>;

/// Changes on their way to the disk; shared with the checkpointer, never changed again.
pub(super) struct SealedOrdered<K, V> {
    table: Table,
    changes: Arc<Sorted<V>>,
    key: PhantomData<fn(K)>,
}

impl<K, V: Stored> SealedOrdered<K, V> {
    pub(super) fn write_to(&self, steps: &mut impl Steps) {
        for (key, value) in &*self.changes {
            write_change(steps, self.table, key, value);
        }
    }
}

/// `None` is a removal.
pub(super) fn write_change<V: Stored>(steps: &mut impl Steps, table: Table, key: &[u8], value: &Option<V>) {
    match value {
        Some(value) => steps.put_record(table, key, value),
        None => steps.remove(table, key),
    }
}

/// A table with its layers above the engine.
pub(super) struct OrderedTable<K, V> {
    current: Sorted<V>,
    sealed: Option<Arc<Sorted<V>>>,
    settled: Arc<Sorted<V>>,
    unchanged: Unchanged<K, V>,
}

impl<K, V> fmt::Debug for OrderedTable<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderedTable").field("changed", &self.current.len()).finish_non_exhaustive()
    }
}

impl<K: TableKey + Hash + Ord + Clone, V: Stored + Clone> OrderedTable<K, V> {
    /// `cache_bytes` bounds the cache of records read, as far as their size in memory is known.
    pub(super) fn new(table: Table, cache_bytes: usize) -> Self {
        Self {
            current: Sorted::new(),
            sealed: None,
            settled: Arc::default(),
            unchanged: Unchanged::new(table, cache_bytes),
        }
    }

    /// For how many keys it was not memory that answered.
    pub(super) fn asked(&self) -> u64 {
        self.unchanged.asked()
    }

    pub(super) fn get(&self, engine: &impl TableRead, key: &K) -> Result<Option<V>, StorageError> {
        match changed([Some(&self.current), self.sealed.as_deref(), Some(&self.settled)], key) {
            Some(value) => Ok(value.clone()),
            None => self.unchanged.get(engine, key),
        }
    }

    /// Reads what memory lacks of `keys` in one go.
    pub(super) fn prefetch(&self, engine: &impl TableRead, keys: Vec<K>) -> Result<(), StorageError> {
        let layers = [Some(&self.current), self.sealed.as_deref(), Some(&*self.settled)];
        let lacking = keys.into_iter().filter(|key| changed(layers, key).is_none()).collect();
        self.unchanged.read_ahead(engine, lacking)
    }

    /// Puts or removes a record and returns by how many bytes memory grew.
    pub(super) fn put(&mut self, key: &K, value: Option<V>, weight_bytes: usize) -> usize {
        let bytes = key.bytes();
        if let Some(before) = self.current.get_mut(bytes.as_slice()) {
            *before = value;
            return 0;
        }
        self.current.insert(bytes.into_vec(), value);
        self.unchanged.forget(key);
        record_bytes::<K, ()>() + weight_bytes
    }

    /// Changes a record, or the default one; returns by how many bytes memory grew.
    pub(super) fn change(
        &mut self,
        engine: &impl TableRead,
        key: &K,
        weight_bytes: usize,
        change: impl FnOnce(&mut V),
    ) -> Result<usize, StorageError>
    where
        V: Default,
    {
        let bytes = key.bytes();
        if let Some(value) = self.current.get_mut(bytes.as_slice()) {
            change(value.get_or_insert_default());
            return Ok(0);
        }
        let before = match changed([self.sealed.as_deref(), Some(&*self.settled)], key) {
            Some(value) => value.clone(),
            None => self.unchanged.take(engine, key)?,
        };
        let mut value = before.unwrap_or_default();
        change(&mut value);
        self.current.insert(bytes.into_vec(), Some(value));
        Ok(record_bytes::<K, ()>() + weight_bytes)
    }

    pub(super) fn seal(&mut self) -> SealedOrdered<K, V> {
        assert!(self.sealed.is_none(), "one checkpoint at a time");
        let changes = Arc::new(std::mem::take(&mut self.current));
        self.sealed = Some(Arc::clone(&changes));
        SealedOrdered { table: self.unchanged.table(), changes, key: PhantomData }
    }

    /// The engine has what was sealed. Returns what is forgotten, to be dropped where nobody waits.
    pub(super) fn settle(&mut self) -> Arc<Sorted<V>> {
        let sealed = self.sealed.take().expect("settle follows seal");
        std::mem::replace(&mut self.settled, sealed)
    }

    /// What memory has to say about `range`, as a table of its own: together with a snapshot of the engine that is
    /// taken at the same time it can be scanned after the lock is gone.
    pub(super) fn part(&self, range: &KeyRange) -> Self {
        self.parts(std::slice::from_ref(range))
    }

    /// As [`Self::part`], of several ranges.
    pub(super) fn parts(&self, ranges: &[KeyRange]) -> Self {
        let mut part = Self::new(self.unchanged.table(), 0);
        for range in ranges.iter().filter(|range| range.to.as_ref().is_none_or(|to| range.from < *to)) {
            let to = range.to.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let bounds = (Bound::Included(&range.from), to);
            // From the oldest layer to the newest.
            for layer in [Some(&*self.settled), self.sealed.as_deref(), Some(&self.current)].into_iter().flatten() {
                for (key, value) in layer.range::<Vec<u8>, _>(bounds) {
                    part.current.insert(key.clone(), value.clone());
                }
            }
        }
        part
    }

    /// At most `limit` records of `range`, in order, all layers merged.
    pub(super) fn scan(
        &self,
        engine: &impl TableRead,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(K, V)>, StorageError> {
        if range.to.as_ref().is_some_and(|to| *to <= range.from) {
            return Ok(vec![]);
        }
        let to = range.to.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let bounds = (Bound::Included(&range.from), to);
        let nothing = Sorted::new();
        let sealed = self.sealed.as_deref().unwrap_or(&nothing);
        let mut changes = [
            self.current.range::<Vec<u8>, _>(bounds).peekable(),
            sealed.range::<Vec<u8>, _>(bounds).peekable(),
            self.settled.range::<Vec<u8>, _>(bounds).peekable(),
        ];
        let mut stored = StoredRows::new(self.unchanged.table(), range, limit);
        let mut rows = Vec::new();
        while rows.len() < limit {
            let stored_key = stored.peek(engine)?.map(|row| &row.0);
            let smallest = changes.iter_mut().filter_map(|layer| layer.peek().map(|row| row.0)).min();
            let value = match (smallest, stored_key) {
                (None, None) => break,
                (Some(changed), Some(stored)) if stored < changed => None,
                (None, Some(_)) => None,
                (Some(changed), _) => Some(changed.clone()),
            };
            let (key, value) = match value {
                None => {
                    let (key, bytes) = stored.next().expect("peeked");
                    let value = self.unchanged.decode(&key, &bytes)?;
                    (key, Some(value))
                }
                Some(key) => {
                    let newest = take_newest(&mut changes, &key);
                    stored.skip(&key);
                    (key, newest)
                }
            };
            if let Some(value) = value {
                rows.push((K::from_bytes(&key).map_err(|source| self.unchanged.corrupt(&key, source))?, value));
            }
        }
        Ok(rows)
    }
}

/// What layers of changes say, from the newest to the oldest; `None` if they say nothing.
fn changed<'a, V: 'a>(
    layers: impl IntoIterator<Item = Option<&'a Sorted<V>>>,
    key: &impl TableKey,
) -> Option<&'a Option<V>> {
    let mut layers = layers.into_iter().flatten().filter(|layer| !layer.is_empty()).peekable();
    layers.peek()?;
    let key = key.bytes();
    layers.find_map(|layer| layer.get(key.as_slice()))
}

type Cursor<'a, V> = std::iter::Peekable<std::collections::btree_map::Range<'a, Vec<u8>, Option<V>>>;

/// Moves every layer past `key` and returns the newest value.
fn take_newest<V: Clone>(changes: &mut [Cursor<'_, V>; 3], key: &Vec<u8>) -> Option<V> {
    let mut newest = None;
    for layer in changes {
        if let Some((_, value)) = layer.next_if(|row| row.0 == key) {
            newest.get_or_insert(value);
        }
    }
    newest.expect("some layer has the key").clone()
}

/// The engine's rows of a range, read page by page.
struct StoredRows {
    table: Table,
    range: KeyRange,
    page: std::iter::Peekable<std::vec::IntoIter<Row>>,
    page_rows: usize,
    exhausted: bool,
}

impl StoredRows {
    fn new(table: Table, range: &KeyRange, limit: usize) -> Self {
        let page_rows = limit.clamp(1, SCAN_PAGE_ROWS);
        Self { table, range: range.clone(), page: Vec::new().into_iter().peekable(), page_rows, exhausted: false }
    }

    fn peek(&mut self, engine: &impl TableRead) -> Result<Option<&Row>, StorageError> {
        if self.page.peek().is_none() && !self.exhausted {
            let rows = engine.scan(self.table, &self.range, Direction::Forward, self.page_rows)?;
            self.exhausted = rows.len() < self.page_rows;
            if let Some((last, _)) = rows.last() {
                // The first key behind it.
                self.range.from = [last.as_slice(), &[0]].concat();
            }
            self.page = rows.into_iter().peekable();
        }
        Ok(self.page.peek())
    }

    fn next(&mut self) -> Option<Row> {
        self.page.next()
    }

    /// Passes over the stored row of a key that a layer of changes has.
    fn skip(&mut self, key: &[u8]) {
        self.page.next_if(|row| row.0 == key);
    }
}
