//! One table of the working set: what changed since the last checkpoint, over what is on the disk.
//!
//! From the top: `current` (changed since the last seal), `sealed` (being written by the checkpointer), `settled`
//! (written by the last checkpoint, still in memory), a bounded cache of records read, and the engine. A record's
//! newest value is in the first layer that has it. The layers of an ordered table have the stored bytes for keys, so
//! that they merge in the engine's order.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indexmap::IndexMap;
use parking_lot::Mutex;

use super::error::StorageError;
use crate::codec::keys::TableKey;
use crate::codec::{Stored, decode_record};
use crate::engine::{Batch, Direction, KeyRange, Row, Table, TableRead};

/// What an entry of a map costs beside its key and value.
const ENTRY_OVERHEAD_BYTES: usize = 48;
/// A scan reads the engine this many rows at a time, at most.
const SCAN_PAGE_ROWS: usize = 1_024;

/// By typed keys, for point look-ups; in the order in which they came.
pub(super) type Hashed<K, V> = IndexMap<K, Option<V>, foldhash::fast::RandomState>;
/// By stored keys, in the engine's order.
pub(super) type Sorted<V> = BTreeMap<Vec<u8>, Option<V>>;

/// A map of changes: `None` is a removal.
pub(super) trait Changes<K, V>: Default {
    fn find(&self, key: &K) -> Option<&Option<V>>;
    fn find_mut(&mut self, key: &K) -> Option<&mut Option<V>>;
    /// Takes a key that is not there.
    fn add(&mut self, key: &K, value: Option<V>);
    fn count(&self) -> usize;
    /// Calls `visit` with every row, in the order of the stored keys.
    fn in_order(&self, visit: impl FnMut(&[u8], &Option<V>));
}

impl<K: TableKey + Hash + Ord + Clone, V> Changes<K, V> for Hashed<K, V> {
    fn find(&self, key: &K) -> Option<&Option<V>> {
        self.get(key)
    }

    fn find_mut(&mut self, key: &K) -> Option<&mut Option<V>> {
        self.get_mut(key)
    }

    fn add(&mut self, key: &K, value: Option<V>) {
        self.insert(key.clone(), value);
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn in_order(&self, mut visit: impl FnMut(&[u8], &Option<V>)) {
        let mut rows: Vec<_> = self.iter().collect();
        // Stable sorting takes runs as they come: keys mostly came in order.
        rows.sort_by(|one, other| one.0.cmp(other.0));
        for (key, value) in rows {
            visit(&key.bytes(), value);
        }
    }
}

impl<K: TableKey, V> Changes<K, V> for Sorted<V> {
    fn find(&self, key: &K) -> Option<&Option<V>> {
        if self.is_empty() { None } else { self.get(key.bytes().as_slice()) }
    }

    fn find_mut(&mut self, key: &K) -> Option<&mut Option<V>> {
        self.get_mut(key.bytes().as_slice())
    }

    fn add(&mut self, key: &K, value: Option<V>) {
        self.insert(key.to_bytes(), value);
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn in_order(&self, mut visit: impl FnMut(&[u8], &Option<V>)) {
        for (key, value) in self {
            visit(key, value);
        }
    }
}

type Known<K, V> = HashMap<K, Option<V>, foldhash::fast::RandomState>;

/// Records that were read and not changed since, absent ones included. Two generations: what was not asked for
/// while the younger one filled is forgotten.
struct Cache<K, V> {
    young: Known<K, V>,
    old: Known<K, V>,
    /// Records per generation.
    limit: usize,
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    fn new(limit: usize) -> Self {
        Self { young: Known::default(), old: Known::default(), limit: limit.max(16) }
    }

    fn find(&mut self, key: &K) -> Option<Option<V>> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.keep(key, value.clone());
        Some(value)
    }

    fn keep(&mut self, key: K, value: Option<V>) {
        if self.young.len() >= self.limit {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    fn forget(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

/// Changes on their way to the disk; shared with the checkpointer, never changed again.
pub(super) struct SealedTable<K, M> {
    table: Table,
    changes: Arc<M>,
    key: PhantomData<fn(K)>,
}

impl<K, M> SealedTable<K, M> {
    pub(super) fn write_to<V: Stored>(&self, batch: &mut Batch)
    where
        M: Changes<K, V>,
    {
        self.changes.in_order(|key, value| match value {
            Some(value) => batch.put_record(self.table, key, value),
            None => batch.remove(self.table, key),
        });
    }
}

pub(super) type SealedPoint<K, V> = SealedTable<K, Hashed<K, V>>;
pub(super) type SealedOrdered<K, V> = SealedTable<K, Sorted<V>>;

/// A table with its layers above the engine.
pub(super) struct Layers<K, V, M> {
    table: Table,
    current: M,
    sealed: Option<Arc<M>>,
    settled: Arc<M>,
    read: Mutex<Cache<K, V>>,
    /// How often the engine was asked.
    asked: AtomicU64,
}

/// A table that point look-ups read; a scan must sort a part of it first.
pub(super) type PointTable<K, V> = Layers<K, V, Hashed<K, V>>;
/// A table that is also scanned.
pub(super) type OrderedTable<K, V> = Layers<K, V, Sorted<V>>;

impl<K, V, M: Changes<K, V>> fmt::Debug for Layers<K, V, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers")
            .field("table", &self.table)
            .field("changed", &self.current.count())
            .finish_non_exhaustive()
    }
}

impl<K: TableKey + Hash + Ord + Clone, V: Stored + Clone, M: Changes<K, V>> Layers<K, V, M> {
    /// `cache_bytes` bounds the cache of records read, as far as their size in memory is known.
    pub(super) fn new(table: Table, cache_bytes: usize) -> Self {
        let record_bytes = size_of::<K>() + size_of::<V>() + ENTRY_OVERHEAD_BYTES;
        Self {
            table,
            current: M::default(),
            sealed: None,
            settled: Arc::default(),
            read: Mutex::new(Cache::new(cache_bytes / 2 / record_bytes)),
            asked: AtomicU64::new(0),
        }
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.sealed.is_some()
    }

    /// What the layers of changes say; `None` if they say nothing.
    fn changed(&self, key: &K) -> Option<&Option<V>> {
        self.current
            .find(key)
            .or_else(|| self.sealed.as_ref().and_then(|sealed| sealed.find(key)))
            .or_else(|| self.settled.find(key))
    }

    /// What memory says; `None` if the engine must be asked.
    fn in_memory(&self, key: &K) -> Option<Option<V>> {
        match self.changed(key) {
            Some(value) => Some(value.clone()),
            None => self.read.lock().find(key),
        }
    }

    pub(super) fn get(&self, engine: &impl TableRead, key: &K) -> Result<Option<V>, StorageError> {
        self.get_unless(engine, key, || false)
    }

    /// As `get`, but takes a record that is not in memory for absent where `surely_absent` says so.
    pub(super) fn get_unless(
        &self,
        engine: &impl TableRead,
        key: &K,
        surely_absent: impl FnOnce() -> bool,
    ) -> Result<Option<V>, StorageError> {
        if let Some(value) = self.in_memory(key) {
            return Ok(value);
        }
        if surely_absent() {
            return Ok(None);
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        let bytes = key.bytes();
        let value = engine.get(self.table, &bytes)?.map(|record| self.decode(&bytes, &record)).transpose()?;
        self.read.lock().keep(key.clone(), value.clone());
        Ok(value)
    }

    /// How often it was not memory that answered.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Looks at a record where it stands.
    pub(super) fn look<T>(
        &self,
        engine: &impl TableRead,
        key: &K,
        look: impl FnOnce(Option<&V>) -> T,
    ) -> Result<T, StorageError> {
        match self.changed(key) {
            Some(value) => Ok(look(value.as_ref())),
            None => Ok(look(self.get(engine, key)?.as_ref())),
        }
    }

    /// Reads what memory lacks of `keys` in one go.
    pub(super) fn prefetch(&self, engine: &impl TableRead, keys: impl Iterator<Item = K>) -> Result<(), StorageError> {
        let mut wanted: Vec<(Vec<u8>, K)> = Vec::new();
        let mut read = self.read.lock();
        for key in keys {
            if self.changed(&key).is_none() && read.find(&key).is_none() {
                wanted.push((key.to_bytes(), key));
            }
        }
        drop(read);
        if wanted.is_empty() {
            return Ok(());
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        wanted.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        wanted.dedup_by(|one, other| one.0 == other.0);
        let (bytes, keys): (Vec<Vec<u8>>, Vec<K>) = wanted.into_iter().unzip();
        let found = engine.multi_get(self.table, &bytes)?;
        let mut values = Vec::with_capacity(keys.len());
        for (key, record) in bytes.iter().zip(found) {
            values.push(record.map(|record| self.decode(key, &record)).transpose()?);
        }
        let mut read = self.read.lock();
        for (key, value) in keys.into_iter().zip(values) {
            read.keep(key, value);
        }
        Ok(())
    }

    /// Puts or removes a record and returns by how many bytes memory grew.
    pub(super) fn put(&mut self, key: &K, value: Option<V>, weight_bytes: usize) -> usize {
        if let Some(before) = self.current.find_mut(key) {
            *before = value;
            return 0;
        }
        // The cache never has what a layer of changes has, so that no stale value ever comes to light again.
        self.read.get_mut().forget(key);
        self.current.add(key, value);
        size_of::<K>() + weight_bytes + ENTRY_OVERHEAD_BYTES
    }

    /// Changes a record, or the default one, where it stands; returns by how many bytes memory grew.
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
        if let Some(value) = self.current.find_mut(key) {
            change(value.get_or_insert_default());
            return Ok(0);
        }
        let mut value = self.get(engine, key)?.unwrap_or_default();
        change(&mut value);
        Ok(self.put(key, Some(value), weight_bytes))
    }

    pub(super) fn seal(&mut self) -> SealedTable<K, M> {
        assert!(self.sealed.is_none(), "one checkpoint at a time");
        let changes = Arc::new(std::mem::take(&mut self.current));
        self.sealed = Some(Arc::clone(&changes));
        SealedTable { table: self.table, changes, key: PhantomData }
    }

    /// The engine has what was sealed. Returns what is forgotten, to be dropped where nobody waits.
    pub(super) fn settle(&mut self) -> Arc<M> {
        let sealed = self.sealed.take().expect("settle follows seal");
        std::mem::replace(&mut self.settled, sealed)
    }

    fn decode(&self, key: &[u8], bytes: &[u8]) -> Result<V, StorageError> {
        decode_record(bytes).map_err(|source| self.corrupt(key, source))
    }

    fn corrupt(&self, key: &[u8], source: crate::codec::CodecError) -> StorageError {
        StorageError::Corrupt { table: self.table, key: key.to_vec(), source }
    }
}

impl<K: TableKey + Hash + Ord + Clone, V: Stored + Clone> PointTable<K, V> {
    /// As [`OrderedTable::part`], in time that grows with all that memory has of the table.
    pub(super) fn part(&self, range: &KeyRange) -> OrderedTable<K, V> {
        let mut part = OrderedTable::new(self.table, 0);
        let within =
            |key: &[u8]| key >= range.from.as_slice() && range.to.as_ref().is_none_or(|to| key < to.as_slice());
        // From the oldest layer to the newest.
        for layer in [Some(&*self.settled), self.sealed.as_deref(), Some(&self.current)].into_iter().flatten() {
            for (key, value) in layer {
                let key = key.bytes();
                if within(&key) {
                    part.current.insert(key.into_vec(), value.clone());
                }
            }
        }
        part
    }
}

impl<K: TableKey + Hash + Ord + Clone, V: Stored + Clone> OrderedTable<K, V> {
    /// What memory has to say about `range`, as a table of its own: together with a snapshot of the engine that is
    /// taken at the same time it can be scanned after the lock is gone.
    pub(super) fn part(&self, range: &KeyRange) -> Self {
        self.parts(std::slice::from_ref(range))
    }

    /// As [`Self::part`], of several ranges.
    pub(super) fn parts(&self, ranges: &[KeyRange]) -> Self {
        let mut part = Self::new(self.table, 0);
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
        let mut stored = StoredRows::new(self.table, range, limit);
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
                    let value = self.decode(&key, &bytes)?;
                    (key, Some(value))
                }
                Some(key) => {
                    let newest = take_newest(&mut changes, &key);
                    stored.skip(&key);
                    (key, newest)
                }
            };
            if let Some(value) = value {
                rows.push((K::from_bytes(&key).map_err(|source| self.corrupt(&key, source))?, value));
            }
        }
        Ok(rows)
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

    use partita_core::id::{AccountId, BookId, CurrencyId};
    use partita_core::state::{ControlKey, Movement};
    use proptest::prelude::*;

    use super::*;
    use crate::engine::{MemoryEngine, TableEngine};

    #[derive(Clone, Debug)]
    enum Step {
        Put(u16, i128),
        Remove(u16),
        Get(u16),
        Prefetch(Vec<u16>),
        /// Book, `from` within it, limit.
        Scan(u8, u16, usize),
        Seal,
        /// The checkpointer has written what was sealed; readers may look before it is settled.
        Write,
        Settle,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let place = 0..60u16;
        let step = prop_oneof![
            6 => (place.clone(), 1..100i128).prop_map(|(place, value)| Step::Put(place, value)),
            2 => place.clone().prop_map(Step::Remove),
            4 => place.clone().prop_map(Step::Get),
            1 => prop::collection::vec(place.clone(), 1..8).prop_map(Step::Prefetch),
            3 => (0..3u8, place, 1..9usize).prop_map(|(book, from, limit)| Step::Scan(book, from, limit)),
            2 => Just(Step::Seal),
            2 => Just(Step::Write),
            2 => Just(Step::Settle),
        ];
        prop::collection::vec(step, 1..120)
    }

    /// Three books with twenty places each.
    fn key(place: u16) -> ControlKey {
        let book = BookId(u32::from(place / 20));
        ControlKey { book, account: AccountId(u32::from(place % 20)), currency: CurrencyId(840) }
    }

    fn value(debits: i128) -> Movement {
        Movement { debits, credits: 0 }
    }

    fn run<M: Changes<ControlKey, Movement>>(
        steps: &[Step],
        scan: impl Fn(&Layers<ControlKey, Movement, M>, &MemoryEngine, &KeyRange, usize) -> Vec<(ControlKey, Movement)>,
    ) {
        let engine = MemoryEngine::new();
        // Room for the smallest cache there is: it forgets all the time.
        let mut layers: Layers<ControlKey, Movement, M> = Layers::new(Table::Controls, 0);
        let mut model: BTreeMap<Vec<u8>, (ControlKey, Movement)> = BTreeMap::new();
        let (mut sealed, mut is_written) = (None, false);
        for step in steps {
            match step {
                Step::Put(place, debits) => {
                    layers.put(&key(*place), Some(value(*debits)), 0);
                    model.insert(key(*place).to_bytes(), (key(*place), value(*debits)));
                }
                Step::Remove(place) => {
                    layers.put(&key(*place), None, 0);
                    model.remove(&key(*place).to_bytes());
                }
                Step::Get(place) => {
                    let expected = model.get(&key(*place).to_bytes()).map(|row| row.1);
                    assert_eq!(layers.get(&engine, &key(*place)).unwrap(), expected);
                }
                Step::Prefetch(places) => layers.prefetch(&engine, places.iter().map(|place| key(*place))).unwrap(),
                Step::Scan(book, from, limit) => {
                    let mut range = KeyRange::prefix(u32::from(*book).to_be_bytes().to_vec());
                    range.from = range.from.max(key(*from).to_bytes());
                    let end = range.to.clone().unwrap();
                    let expected: Vec<_> = model
                        .iter()
                        .filter(|row| *row.0 >= range.from && *row.0 < end)
                        .map(|row| row.1.clone())
                        .take(*limit)
                        .collect();
                    assert_eq!(scan(&layers, &engine, &range, *limit), expected);
                }
                Step::Seal if sealed.is_none() => sealed = Some(layers.seal()),
                Step::Write => {
                    if let Some(sealed) = &sealed {
                        let mut batch = Batch::new();
                        sealed.write_to(&mut batch);
                        engine.write(batch).unwrap();
                        is_written = true;
                    }
                }
                Step::Settle if is_written => {
                    layers.settle();
                    (sealed, is_written) = (None, false);
                }
                Step::Seal | Step::Settle => {}
            }
        }
        for place in 0..60 {
            let expected = model.get(&key(place).to_bytes()).map(|row| row.1);
            assert_eq!(layers.get(&engine, &key(place)).unwrap(), expected);
        }
    }

    proptest! {
        #[test]
        fn all_layers_together_are_one_map(steps in steps()) {
            run::<Hashed<ControlKey, Movement>>(&steps, |layers, engine, range, limit| {
                layers.part(range).scan(engine, range, limit).unwrap()
            });
            run::<Sorted<Movement>>(&steps, |layers, engine, range, limit| {
                layers.scan(engine, range, limit).unwrap()
            });
        }
    }
}
