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
use indexmap::map::Entry;
use parking_lot::Mutex;
use partita_core::state::Found;

use super::error::StorageError;
use crate::codec::keys::TableKey;
use crate::codec::{CodecError, Stored, decode_record};
use crate::engine::{Direction, KeyRange, Row, Steps, Table, TableRead};

/// What an entry of a map costs beside its key and value.
const ENTRY_OVERHEAD_BYTES: usize = 48;
/// How many keys are asked what all of them have in common.
const SAMPLED_KEYS: usize = 64;
/// A scan reads the engine this many rows at a time, at most.
const SCAN_PAGE_ROWS: usize = 1_024;

/// By typed keys, for point look-ups; in the order in which they came.
pub(super) type Hashed<K, V> = IndexMap<K, Option<V>, foldhash::fast::RandomState>;
/// By stored keys, in the engine's order.
pub(super) type Sorted<V> = BTreeMap<Vec<u8>, Option<V>>;

/// A map of changes: `None` is a removal.
pub(super) trait Changes<K, V>: Default {
    fn find(&self, key: &K) -> Option<&Option<V>>;
    /// As `find`, with where it stands in a map that knows places.
    fn find_with_place(&self, key: &K) -> Option<(Option<usize>, &Option<V>)> {
        self.find(key).map(|value| (None, value))
    }
    /// What stands there, if it is this key's.
    fn find_at(&self, _place: usize, _key: &K) -> Option<&Option<V>> {
        None
    }
    /// Changes a value, or what `before` makes where there is none, and says whether the key is new. `place`: where it
    /// may stand.
    fn change<E>(
        &mut self,
        key: &K,
        place: Option<usize>,
        before: impl FnOnce() -> Result<V, E>,
        change: impl FnOnce(&mut V),
    ) -> Result<bool, E>
    where
        V: Default;
    /// Says whether the key is new.
    fn put(&mut self, key: &K, value: Option<V>) -> bool;
    /// An empty map with room for what this one has.
    fn emptied(&self) -> Self;
    fn count(&self) -> usize;
    /// Calls `visit` with every row, in the order of the stored keys.
    fn in_order(&self, visit: impl FnMut(&[u8], &Option<V>));
}

impl<K: TableKey + Hash + Ord + Clone, V> Changes<K, V> for Hashed<K, V> {
    fn find(&self, key: &K) -> Option<&Option<V>> {
        self.get(key)
    }

    fn find_with_place(&self, key: &K) -> Option<(Option<usize>, &Option<V>)> {
        self.get_full(key).map(|(place, _, value)| (Some(place), value))
    }

    fn find_at(&self, place: usize, key: &K) -> Option<&Option<V>> {
        self.get_index(place).filter(|row| row.0 == key).map(|row| row.1)
    }

    fn change<E>(
        &mut self,
        key: &K,
        place: Option<usize>,
        before: impl FnOnce() -> Result<V, E>,
        change: impl FnOnce(&mut V),
    ) -> Result<bool, E>
    where
        V: Default,
    {
        if let Some((at, value)) = place.and_then(|place| self.get_index_mut(place))
            && at == key
        {
            change(value.get_or_insert_default());
            return Ok(false);
        }
        match self.entry(key.clone()) {
            Entry::Occupied(mut row) => {
                change(row.get_mut().get_or_insert_default());
                Ok(false)
            }
            Entry::Vacant(row) => {
                let mut value = before()?;
                change(&mut value);
                row.insert(Some(value));
                Ok(true)
            }
        }
    }

    fn put(&mut self, key: &K, value: Option<V>) -> bool {
        self.insert(key.clone(), value).is_none()
    }

    /// Generations are much alike: none of them has to grow as the first one did.
    fn emptied(&self) -> Self {
        Self::with_capacity_and_hasher(self.len(), foldhash::fast::RandomState::default())
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn in_order(&self, mut visit: impl FnMut(&[u8], &Option<V>)) {
        for (_, place) in order(self) {
            let (key, value) = self.get_index(place).expect("places are those of the keys");
            visit(&key.bytes(), value);
        }
    }
}

/// The places of keys in the order of their stored form.
///
/// A generation's keys have much in common at their beginnings. What differs first is compared as a number that stands
/// beside the place, so that sorting does not go to and fro between all keys.
fn order<K: TableKey, V>(rows: &Hashed<K, V>) -> Vec<(u128, usize)> {
    // Some of them say what all have in common, unless another says otherwise.
    let first = rows.keys().next().map(TableKey::bytes).unwrap_or_default();
    let in_common =
        |most: usize, key: &K| first[..most].iter().zip(&key.bytes()).take_while(|(one, other)| one == other).count();
    let mut common = rows.keys().step_by(rows.len() / SAMPLED_KEYS + 1).fold(first.len(), in_common);
    let mut places = loop {
        match numbers(rows, &first[..common]) {
            Ok(places) => break places,
            Err(less) => common = less,
        }
    };
    let stored = |place: usize| rows.get_index(place).expect("places are those of the rows").0.bytes();
    // Stable sorting takes runs as they come: keys mostly came in order.
    places.sort_by(|one, other| one.0.cmp(&other.0).then_with(|| stored(one.1).cmp(&stored(other.1))));
    places
}

/// What follows the beginning that all keys have, as a number; or how much of it they have, if one has less.
fn numbers<K: TableKey, V>(rows: &Hashed<K, V>, beginning: &[u8]) -> Result<Vec<(u128, usize)>, usize> {
    let number = |key: &K| {
        let bytes = key.bytes();
        let Some(rest) = bytes.strip_prefix(beginning) else {
            return Err(beginning.iter().zip(&bytes).take_while(|(one, other)| one == other).count());
        };
        let length = rest.len().min(16);
        let mut number = [0; 16];
        number[..length].copy_from_slice(&rest[..length]);
        Ok(u128::from_be_bytes(number))
    };
    rows.keys().zip(0..).map(|(key, place)| Ok((number(key)?, place))).collect()
}

impl<K: TableKey, V> Changes<K, V> for Sorted<V> {
    fn find(&self, key: &K) -> Option<&Option<V>> {
        if self.is_empty() { None } else { self.get(key.bytes().as_slice()) }
    }

    fn change<E>(
        &mut self,
        key: &K,
        _place: Option<usize>,
        before: impl FnOnce() -> Result<V, E>,
        change: impl FnOnce(&mut V),
    ) -> Result<bool, E>
    where
        V: Default,
    {
        let key = key.bytes();
        if let Some(value) = self.get_mut(key.as_slice()) {
            change(value.get_or_insert_default());
            return Ok(false);
        }
        let mut value = before()?;
        change(&mut value);
        Ok(self.insert(key.into_vec(), Some(value)).is_none())
    }

    fn put(&mut self, key: &K, value: Option<V>) -> bool {
        let key = key.bytes();
        if let Some(before) = self.get_mut(key.as_slice()) {
            *before = value;
            return false;
        }
        self.insert(key.into_vec(), value).is_none()
    }

    fn emptied(&self) -> Self {
        Self::new()
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

impl<K: Hash + Eq, V> Cache<K, V> {
    fn new(limit: usize) -> Self {
        Self { young: Known::default(), old: Known::default(), limit: limit.max(16) }
    }

    fn find(&mut self, key: &K) -> Option<&Option<V>> {
        // Asked first: a look-up that is also the answer would hold on to the cache beyond it.
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.keep(key, value);
        }
        self.young.get(key)
    }

    fn take(&mut self, key: &K) -> Option<Option<V>> {
        let known = [&mut self.young, &mut self.old].into_iter();
        // An empty one spares the key's hash.
        known.filter(|known| !known.is_empty()).find_map(|known| known.remove(key))
    }

    fn keep(&mut self, key: K, value: Option<V>) {
        if self.young.len() >= self.limit {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

/// Changes on their way to the disk; shared with the checkpointer, never changed again.
pub(super) struct SealedTable<K, M> {
    table: Table,
    changes: Arc<M>,
    key: PhantomData<fn(K)>,
}

impl<K, M> SealedTable<K, M> {
    pub(super) fn write_to<V: Stored>(&self, steps: &mut impl Steps)
    where
        M: Changes<K, V>,
    {
        self.changes.in_order(|key, value| match value {
            Some(value) => steps.put_record(self.table, key, value),
            None => steps.remove(self.table, key),
        });
    }
}

pub(super) type SealedPoint<K, V> = SealedTable<K, Hashed<K, V>>;
pub(super) type SealedOrdered<K, V> = SealedTable<K, Sorted<V>>;

/// The layers of changes, as a [`Found`] names them.
const CURRENT: u8 = 0;
const SEALED: u8 = 1;
const SETTLED: u8 = 2;

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
        self.current.find(key).or_else(|| self.unchanged(key))
    }

    /// What they say as of the last seal.
    fn unchanged(&self, key: &K) -> Option<&Option<V>> {
        unchanged(self.sealed.as_deref(), &self.settled, key)
    }

    pub(super) fn get(&self, engine: &impl TableRead, key: &K) -> Result<Option<V>, StorageError> {
        self.get_unless(engine, key, || false)
    }

    /// As `get`, but takes a record that did not change since the last seal for absent where `surely_absent` says so.
    pub(super) fn get_unless(
        &self,
        engine: &impl TableRead,
        key: &K,
        surely_absent: impl FnOnce() -> bool,
    ) -> Result<Option<V>, StorageError> {
        if let Some(value) = self.current.find(key) {
            return Ok(value.clone());
        }
        if surely_absent() {
            return Ok(None);
        }
        if let Some(value) = self.unchanged(key) {
            return Ok(value.clone());
        }
        if let Some(value) = self.read.lock().find(key) {
            return Ok(value.clone());
        }
        let value = self.ask(engine, key)?;
        self.read.lock().keep(key.clone(), value.clone());
        Ok(value)
    }

    fn ask(&self, engine: &impl TableRead, key: &K) -> Result<Option<V>, StorageError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        stored(engine, self.table, key)
    }

    /// How often it was not memory that answered.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Looks at a record where it stands, and says where that is for changing it.
    pub(super) fn look<T>(
        &self,
        engine: &impl TableRead,
        key: &K,
        look: impl FnOnce(Option<&V>, Found) -> T,
    ) -> Result<T, StorageError> {
        let (sealed, settled) = (self.sealed.as_deref(), Some(&*self.settled));
        for (number, layer) in [(CURRENT, Some(&self.current)), (SEALED, sealed), (SETTLED, settled)] {
            if let Some((place, value)) = layer.and_then(|layer| layer.find_with_place(key)) {
                return Ok(look(value.as_ref(), Found(place.map(|place| (number, place)))));
            }
        }
        if let Some(value) = self.read.lock().find(key) {
            return Ok(look(value.as_ref(), Found(None)));
        }
        let value = self.ask(engine, key)?;
        let seen = look(value.as_ref(), Found(None));
        self.read.lock().keep(key.clone(), value);
        Ok(seen)
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
        if !self.current.put(key, value) {
            return 0;
        }
        // The cache never has what a layer of changes has, so that no stale value ever comes to light again.
        self.read.get_mut().take(key);
        size_of::<K>() + weight_bytes + ENTRY_OVERHEAD_BYTES
    }

    /// Changes a record, or the default one, where it stands (`found`: as looking at it said); returns by how many bytes
    /// memory grew.
    pub(super) fn change(
        &mut self,
        engine: &impl TableRead,
        key: &K,
        found: Found,
        weight_bytes: usize,
        change: impl FnOnce(&mut V),
    ) -> Result<usize, StorageError>
    where
        V: Default,
    {
        let Self { table, current, sealed, settled, read, asked } = self;
        let (layer, place) = found.0.unzip();
        let before = || {
            let known = match layer.zip(place) {
                Some((SEALED, place)) => sealed.as_ref().and_then(|sealed| sealed.find_at(place, key)),
                Some((SETTLED, place)) => settled.find_at(place, key),
                Some(_) | None => None,
            };
            if let Some(value) = known.or_else(|| unchanged(sealed.as_deref(), settled, key)) {
                return Ok(value.clone().unwrap_or_default());
            }
            // Taken out: the cache never has what a layer of changes has.
            if let Some(value) = read.get_mut().take(key) {
                return Ok(value.unwrap_or_default());
            }
            asked.fetch_add(1, Ordering::Relaxed);
            stored(engine, *table, key).map(Option::unwrap_or_default)
        };
        let place = place.filter(|_| layer == Some(CURRENT));
        let is_new = current.change(key, place, before, change)?;
        Ok(if is_new { size_of::<K>() + weight_bytes + ENTRY_OVERHEAD_BYTES } else { 0 })
    }

    pub(super) fn seal(&mut self) -> SealedTable<K, M> {
        assert!(self.sealed.is_none(), "one checkpoint at a time");
        let empty = self.current.emptied();
        let changes = Arc::new(std::mem::replace(&mut self.current, empty));
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

    fn corrupt(&self, key: &[u8], source: CodecError) -> StorageError {
        StorageError::Corrupt { table: self.table, key: key.to_vec(), source }
    }
}

/// What layers that change no more say; `None` if they say nothing.
fn unchanged<'a, K, V, M: Changes<K, V>>(sealed: Option<&'a M>, settled: &'a M, key: &K) -> Option<&'a Option<V>> {
    sealed.and_then(|sealed| sealed.find(key)).or_else(|| settled.find(key))
}

/// The engine's record.
fn stored<V: Stored>(engine: &impl TableRead, table: Table, key: &impl TableKey) -> Result<Option<V>, StorageError> {
    let bytes = key.bytes();
    let Some(record) = engine.get(table, &bytes)? else { return Ok(None) };
    decode_record(&record).map(Some).map_err(|source| StorageError::Corrupt { table, key: bytes.to_vec(), source })
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

    use partita_core::id::{AccountId, BookId, CurrencyId, Key};
    use partita_core::state::{ControlKey, Movement};
    use proptest::prelude::*;

    use super::*;
    use crate::engine::{Batch, MemoryEngine, TableEngine};

    #[derive(Clone, Debug)]
    enum Step {
        Put(u16, i128),
        /// Looks and then changes what was found.
        Add(u16, i128),
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
            6 => (place.clone(), 1..100i128).prop_map(|(place, value)| Step::Add(place, value)),
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
                Step::Add(place, debits) => {
                    let key = key(*place);
                    let before = model.get(&key.to_bytes()).map_or(0, |row| row.1.debits);
                    let look = |value: Option<&Movement>, found| (value.map_or(0, |value| value.debits), found);
                    let (seen, found) = layers.look(&engine, &key, look).unwrap();
                    assert_eq!(seen, before);
                    layers.change(&engine, &key, found, 0, |value| value.debits += debits).unwrap();
                    model.insert(key.to_bytes(), (key, value(before + debits)));
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
        fn rows_are_in_the_order_of_their_stored_keys(keys in prop::collection::vec((0..3u32, "[!-#a-c]{1,24}"), 0..200)) {
            let mut rows: Hashed<(BookId, Key), ()> = Hashed::default();
            let mut sorted = Sorted::new();
            for (book, text) in keys {
                let key = (BookId(book), Key::new(&text).unwrap());
                sorted.insert(key.to_bytes(), Some(()));
                rows.insert(key, Some(()));
            }
            let (mut visited, mut expected) = (vec![], vec![]);
            rows.in_order(|key, _| visited.push(key.to_vec()));
            Changes::<(BookId, Key), ()>::in_order(&sorted, |key, _| expected.push(key.to_vec()));
            prop_assert_eq!(visited, expected);
        }

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
