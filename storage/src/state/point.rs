//! A table that is asked for single records, in any order: keys and balances, of which there are most.
//!
//! Changes stand in generations, each a list in the order in which they came; one index over all of them says where a
//! record's newest value is, so that one look-up does, however many generations there are. From the newest: the one that
//! fills, the one that the checkpointer is writing, and some that are written and are kept to be read. What none of them
//! has is in the engine or in the cache in front of it ([`Unchanged`]).

use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::hint::black_box;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use partita_core::state::Found;

use super::cache::{Unchanged, leading, record_bytes};
use super::error::StorageError;
use super::ordered::{OrderedTable, write_change};
use crate::codec::Stored;
use crate::codec::keys::TableKey;
use crate::engine::{KeyRange, Steps, Table, TableRead};

/// Records that the caches of a processor have room for.
const CACHED_RECORDS: usize = 1 << 12;

/// Rows that a checkpoint looks at together.
const WRITTEN_TOGETHER: usize = 32;

/// How many keys are asked what all of them have in common.
const SAMPLED_KEYS: usize = 64;

/// Where a value stands. Generations are numbered from 0 in the order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    generation: u32,
    row: u32,
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("addresses have at least 32 bits")
}

/// Where a key's newest value stands or, its generation being forgotten, stood.
struct Newest {
    hash: u64,
    at: Place,
}

/// A changed record; `None` is a removal.
pub(super) struct Row<K, V> {
    hash: u64,
    key: K,
    value: Option<V>,
}

/// A generation's changes; a key is in it once.
pub(super) type Rows<K, V> = Vec<Row<K, V>>;

/// Drops what was forgotten, all but the memory of one list.
pub(super) fn emptied<K, V>(forgotten: Vec<Arc<Rows<K, V>>>) -> Rows<K, V> {
    let mut rows = forgotten.into_iter().filter_map(Arc::into_inner).last().unwrap_or_default();
    rows.clear();
    rows
}

/// Changes on their way to the disk; shared with the checkpointer, never changed again.
pub(super) struct SealedPoint<K, V> {
    table: Table,
    rows: Arc<Rows<K, V>>,
}

impl<K: TableKey, V: Stored> SealedPoint<K, V> {
    pub(super) fn write_to(&self, steps: &mut impl Steps) {
        for some in in_order(&self.rows).chunks(WRITTEN_TOGETHER) {
            // Rows that follow each other stand anywhere: the processor waits for all of these at one time.
            let rows = some.iter().map(|(_, place)| &self.rows[*place]);
            black_box(rows.clone().fold(0, |read, row| read ^ row.hash ^ u64::from(row.value.is_some())));
            rows.for_each(|row| write_change(steps, self.table, &row.key.bytes(), &row.value));
        }
    }
}

pub(super) struct PointTable<K, V> {
    hasher: foldhash::fast::RandomState,
    /// Of every key in a generation, and of some that are in none any more.
    index: HashTable<Newest>,
    /// The number of the generation that fills.
    generation: u32,
    current: Rows<K, V>,
    /// Those before it, the newest first.
    older: VecDeque<Arc<Rows<K, V>>>,
    /// Whether the first of them is not in the engine yet.
    is_sealed: bool,
    /// An empty list with the memory of a forgotten generation, for the next one.
    spare: Rows<K, V>,
    /// How many rows the generations may have that are kept beside the last one that was written.
    kept_rows: usize,
    unchanged: Unchanged<K, V>,
}

impl<K, V> fmt::Debug for PointTable<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PointTable").field("changed", &self.current.len()).finish_non_exhaustive()
    }
}

impl<K: TableKey + Hash + Ord + Clone, V: Stored + Clone> PointTable<K, V> {
    /// `cache_bytes` bounds the cache of records read, `kept_bytes` the generations that are kept beside the last one
    /// that was written; both as far as the size of a record in memory is known.
    pub(super) fn new(table: Table, cache_bytes: usize, kept_bytes: usize) -> Self {
        Self {
            hasher: foldhash::fast::RandomState::default(),
            index: HashTable::new(),
            generation: 0,
            current: Vec::new(),
            older: VecDeque::new(),
            is_sealed: false,
            spare: Vec::new(),
            kept_rows: kept_bytes / record_bytes::<K, V>(),
            unchanged: Unchanged::new(table, cache_bytes),
        }
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    /// For how many keys it was not memory that answered.
    pub(super) fn asked(&self) -> u64 {
        self.unchanged.asked()
    }

    /// How many keys the index has, those of forgotten generations included.
    #[cfg(test)]
    pub(super) fn indexed(&self) -> usize {
        self.index.len()
    }

    /// Whether the generation is not forgotten.
    fn has(&self, generation: u32) -> bool {
        self.generation.checked_sub(generation).is_some_and(|age| index(age) <= self.older.len())
    }

    /// `None` if the generation is forgotten.
    fn row(&self, at: Place) -> Option<&Row<K, V>> {
        let rows = match index(self.generation.checked_sub(at.generation)?) {
            0 => &self.current,
            age => &**self.older.get(age - 1)?,
        };
        rows.get(index(at.row))
    }

    /// The newest value, and where it stands.
    fn find(&self, hash: u64, key: &K) -> Option<(Place, &Option<V>)> {
        let newest = self
            .index
            .find(hash, |newest| newest.hash == hash && self.row(newest.at).is_some_and(|row| row.key == *key))?;
        self.row(newest.at).map(|row| (newest.at, &row.value))
    }

    /// The key's hash, if its newest value stands there.
    fn hash_if_newest(&self, at: Place, key: &K) -> Option<u64> {
        let row = self.row(at).filter(|row| row.key == *key)?;
        let is_newest =
            at.generation == self.generation || self.index.find(row.hash, |newest| newest.at == at).is_some();
        is_newest.then_some(row.hash)
    }

    pub(super) fn get(&self, engine: &impl TableRead, key: &K) -> Result<Option<V>, StorageError> {
        self.get_unless(engine, key, || false)
    }

    /// As `get`, but takes a record that no generation has for absent where `surely_absent` says so.
    pub(super) fn get_unless(
        &self,
        engine: &impl TableRead,
        key: &K,
        surely_absent: impl FnOnce() -> bool,
    ) -> Result<Option<V>, StorageError> {
        match self.find(self.hasher.hash_one(key), key) {
            Some((_, value)) => Ok(value.clone()),
            None if surely_absent() => Ok(None),
            None => self.unchanged.get(engine, key),
        }
    }

    /// Looks at a record where it stands, and says where that is for changing it.
    pub(super) fn look<T>(
        &self,
        engine: &impl TableRead,
        key: &K,
        look: impl FnOnce(Option<&V>, Found) -> T,
    ) -> Result<T, StorageError> {
        match self.find(self.hasher.hash_one(key), key) {
            Some((Place { generation, row }, value)) => Ok(look(value.as_ref(), Found(Some((generation, row))))),
            None => self.unchanged.look(engine, key, |value| look(value, Found(None))),
        }
    }

    /// The rows of the newest values, in the order of `keys`; `None` where no generation has one.
    ///
    /// Every step is taken for all keys before the next one, so that the processor waits for many places in memory at a
    /// time.
    fn find_all<'a>(&'a self, keys: &'a [K]) -> impl Iterator<Item = Option<&'a Row<K, V>>> {
        let hashes: Vec<u64> = keys.iter().map(|key| self.hasher.hash_one(key)).collect();
        let places: Vec<Option<Place>> = hashes
            .iter()
            .map(|hash| {
                let newest = self.index.find(*hash, |newest| newest.hash == *hash && self.has(newest.at.generation))?;
                Some(newest.at)
            })
            .collect();
        keys.iter().zip(hashes).zip(places).map(|((key, hash), place)| {
            // Another key may have the same hash.
            self.row(place?).filter(|row| row.key == *key).or_else(|| self.row(self.find(hash, key)?.0))
        })
    }

    /// Whether looking for a record mostly waits for memory.
    pub(super) fn is_large(&self) -> bool {
        self.index.len() > CACHED_RECORDS
    }

    /// Brings what is soon asked for into the processor's caches, as far as `touch` reads a value.
    pub(super) fn touch(&self, keys: &[K], touch: impl Fn(&V) -> u64) {
        let values = self.find_all(keys).flatten().filter_map(|row| row.value.as_ref());
        black_box(values.fold(0, |read, value| read ^ touch(value)));
    }

    /// Reads what memory lacks of `keys` in one go.
    pub(super) fn prefetch(&self, engine: &impl TableRead, keys: Vec<K>) -> Result<(), StorageError> {
        self.unchanged.read_ahead(engine, self.lacking(keys))
    }

    /// Does the same, and says which of `keys` neither memory nor the engine has, in their order.
    pub(super) fn prefetch_absent(&self, engine: &impl TableRead, keys: Vec<K>) -> Result<Vec<K>, StorageError> {
        self.unchanged.read_absent(engine, self.lacking(keys))
    }

    /// Those of `keys` that no generation has.
    fn lacking(&self, keys: Vec<K>) -> Vec<K> {
        let is_lacking: Vec<bool> = self.find_all(&keys).map(|row| row.is_none()).collect();
        keys.into_iter().zip(is_lacking).filter_map(|(key, is_lacking)| is_lacking.then_some(key)).collect()
    }

    /// Puts or removes a record and returns by how many bytes memory grew.
    pub(super) fn put(&mut self, key: &K, value: Option<V>, weight_bytes: usize) -> usize {
        let hash = self.hasher.hash_one(key);
        match self.find(hash, key).map(|found| found.0) {
            Some(at) if at.generation == self.generation => {
                self.current_row(at).value = value;
                return 0;
            }
            Some(at) => self.append_instead_of(at, Row { hash, key: key.clone(), value }),
            None => {
                self.unchanged.forget(key);
                self.append(Row { hash, key: key.clone(), value });
            }
        }
        record_bytes::<K, ()>() + weight_bytes
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
        let hinted = found.0.map(|(generation, row)| Place { generation, row });
        let hinted = hinted.and_then(|at| Some((self.hash_if_newest(at, key)?, Some(at))));
        let (hash, at) = hinted.unwrap_or_else(|| {
            let hash = self.hasher.hash_one(key);
            (hash, self.find(hash, key).map(|found| found.0))
        });
        match at {
            Some(at) if at.generation == self.generation => {
                change(self.current_row(at).value.get_or_insert_default());
                return Ok(0);
            }
            Some(at) => {
                let before = self.row(at).expect("it was just found");
                let mut value = before.value.clone().unwrap_or_default();
                change(&mut value);
                self.append_instead_of(at, Row { hash, key: key.clone(), value: Some(value) });
            }
            None => {
                let mut value = self.unchanged.take(engine, key)?.unwrap_or_default();
                change(&mut value);
                self.append(Row { hash, key: key.clone(), value: Some(value) });
            }
        }
        Ok(record_bytes::<K, ()>() + weight_bytes)
    }

    fn current_row(&mut self, at: Place) -> &mut Row<K, V> {
        self.current.get_mut(index(at.row)).expect("it was just found")
    }

    fn next_place(&self) -> Place {
        let row = u32::try_from(self.current.len()).expect("a generation is full long before it has so many rows");
        Place { generation: self.generation, row }
    }

    /// A record that no generation has.
    fn append(&mut self, row: Row<K, V>) {
        let newest = Newest { hash: row.hash, at: self.next_place() };
        self.index.insert_unique(row.hash, newest, |newest| newest.hash);
        self.current.push(row);
    }

    /// A record whose newest value is at `before` in an older generation.
    fn append_instead_of(&mut self, before: Place, row: Row<K, V>) {
        let at = self.next_place();
        let entry = self.index.entry(row.hash, |newest| newest.at == before, |newest| newest.hash);
        let Entry::Occupied(mut newest) = entry else { panic!("it was just found") };
        newest.get_mut().at = at;
        self.current.push(row);
    }

    pub(super) fn seal(&mut self) -> SealedPoint<K, V> {
        assert!(!self.is_sealed, "one checkpoint at a time");
        let mut empty = std::mem::take(&mut self.spare);
        // Generations are much alike: none of them has to grow as the first one did.
        empty.reserve(self.current.len());
        let rows = Arc::new(std::mem::replace(&mut self.current, empty));
        self.older.push_front(Arc::clone(&rows));
        self.generation = self.generation.checked_add(1).expect("generations take seconds each");
        self.is_sealed = true;
        SealedPoint { table: self.unchanged.table(), rows }
    }

    /// The engine has what was sealed. Returns what is forgotten, to be dropped where nobody waits.
    pub(super) fn settle(&mut self) -> Vec<Arc<Rows<K, V>>> {
        assert!(std::mem::take(&mut self.is_sealed), "settle follows seal");
        let mut room = self.kept_rows;
        let beyond = self.older.iter().skip(1).position(|rows| match room.checked_sub(rows.len()) {
            Some(left) => {
                room = left;
                false
            }
            None => true,
        });
        let forgotten = beyond.map(|kept| self.older.drain(kept + 1..).collect()).unwrap_or_default();
        self.forget_places();
        forgotten
    }

    /// Takes the memory of a forgotten generation for the next one: it costs less than new memory.
    pub(super) fn reuse(&mut self, empty: Rows<K, V>) {
        assert!(empty.is_empty(), "no record comes back");
        self.spare = empty;
    }

    /// Takes places in forgotten generations out of the index, where there are many.
    fn forget_places(&mut self) {
        let rows = self.current.len() + self.older.iter().map(|rows| rows.len()).sum::<usize>();
        if self.index.len() > rows + rows / 2 {
            let kept = u32::try_from(self.older.len()).expect("there are few");
            let oldest = self.generation.saturating_sub(kept);
            self.index.retain(|newest| newest.at.generation >= oldest);
        }
    }

    /// What memory has to say about `range`, as [`OrderedTable::part`], in time that grows with all that memory has of
    /// the table.
    pub(super) fn part(&self, range: &KeyRange) -> OrderedTable<K, V> {
        let mut part = OrderedTable::new(self.unchanged.table(), 0);
        let within =
            |key: &[u8]| key >= range.from.as_slice() && range.to.as_ref().is_none_or(|to| key < to.as_slice());
        // From the older one to the newer. What is written, the engine says as well.
        let sealed = self.older.front().filter(|_| self.is_sealed);
        for row in sealed.into_iter().flat_map(|rows| rows.iter()).chain(&self.current) {
            if within(&row.key.bytes()) {
                part.put(&row.key, row.value.clone(), 0);
            }
        }
        part
    }
}

/// Places in the order of the stored keys, each with a number of its key.
///
/// A generation's keys have much in common at their beginnings. What differs first is compared as a number that stands
/// beside the place, so that sorting does not go to and fro between all keys.
fn in_order<K: TableKey, V>(rows: &[Row<K, V>]) -> Vec<(u128, usize)> {
    // Some of them say what all have in common, unless another says otherwise.
    let first = rows.first().map(|row| row.key.bytes()).unwrap_or_default();
    let in_common = |most: usize, row: &Row<K, V>| {
        first[..most].iter().zip(&row.key.bytes()).take_while(|(one, other)| one == other).count()
    };
    let mut common = rows.iter().step_by(rows.len() / SAMPLED_KEYS + 1).fold(first.len(), in_common);
    let mut places = loop {
        match numbers(rows, &first[..common]) {
            Ok(places) => break places,
            Err(less) => common = less,
        }
    };
    // Stable sorting takes runs as they come: keys mostly came in order.
    places.sort_by(|one, other| {
        one.0.cmp(&other.0).then_with(|| rows[one.1].key.bytes().cmp(&rows[other.1].key.bytes()))
    });
    places
}

/// What follows the beginning that all keys have, as a number; or how much of it they have, if one has less.
fn numbers<K: TableKey, V>(rows: &[Row<K, V>], beginning: &[u8]) -> Result<Vec<(u128, usize)>, usize> {
    let number = |key: &K| {
        let bytes = key.bytes();
        let Some(rest) = bytes.strip_prefix(beginning) else {
            return Err(beginning.iter().zip(&bytes).take_while(|(one, other)| one == other).count());
        };
        Ok(leading(rest))
    };
    rows.iter().zip(0..).map(|(row, place)| Ok((number(&row.key)?, place))).collect()
}
