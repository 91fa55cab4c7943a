//! One table's records in the engine, behind a bounded cache of those that were read and did not change since.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::error::StorageError;
use crate::codec::keys::TableKey;
use crate::codec::{CodecError, Stored, decode_record};
use crate::engine::{Table, TableRead};

/// What an entry of a map costs beside its key and value.
pub(super) const ENTRY_OVERHEAD_BYTES: usize = 48;

/// About what a record takes in memory, as far as that is known.
pub(super) const fn record_bytes<K, V>() -> usize {
    size_of::<K>() + size_of::<V>() + ENTRY_OVERHEAD_BYTES
}

type Known<K, V> = HashMap<K, Option<V>, foldhash::fast::RandomState>;

/// Records that were read, absent ones included. Two generations, a key in one of them: what was not asked for while the
/// younger one filled is forgotten.
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
        // It is in one of them at most: what is taken must not be found again.
        if !self.old.is_empty() {
            self.old.remove(&key);
        }
        self.young.insert(key, value);
    }
}

/// The first sixteen bytes as a number that has their order.
pub(super) fn leading(bytes: &[u8]) -> u128 {
    let mut number = [0; 16];
    let length = bytes.len().min(16);
    number[..length].copy_from_slice(&bytes[..length]);
    u128::from_be_bytes(number)
}

/// What a table's layers of changes do not say.
///
/// The cache never has what one of them has, so that no stale value ever comes to light again.
pub(super) struct Unchanged<K, V> {
    table: Table,
    read: Mutex<Cache<K, V>>,
    /// For how many keys the engine was asked.
    asked: AtomicU64,
}

impl<K: TableKey + Hash + Ord + Clone, V: Stored + Clone> Unchanged<K, V> {
    /// `cache_bytes` bounds the cache, as far as the size of a record in memory is known.
    pub(super) fn new(table: Table, cache_bytes: usize) -> Self {
        let limit = cache_bytes / 2 / record_bytes::<K, V>();
        Self { table, read: Mutex::new(Cache::new(limit)), asked: AtomicU64::new(0) }
    }

    pub(super) fn table(&self) -> Table {
        self.table
    }

    /// For how many keys it was not memory that answered.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    pub(super) fn get(&self, engine: &impl TableRead, key: &K) -> Result<Option<V>, StorageError> {
        self.look(engine, key, |value| value.cloned())
    }

    /// Looks at a record where it stands.
    pub(super) fn look<T>(
        &self,
        engine: &impl TableRead,
        key: &K,
        look: impl FnOnce(Option<&V>) -> T,
    ) -> Result<T, StorageError> {
        if let Some(value) = self.read.lock().find(key) {
            return Ok(look(value.as_ref()));
        }
        let value = self.ask(engine, key)?;
        let seen = look(value.as_ref());
        self.read.lock().keep(key.clone(), value);
        Ok(seen)
    }

    /// A record that a layer of changes will have from now on.
    pub(super) fn take(&mut self, engine: &impl TableRead, key: &K) -> Result<Option<V>, StorageError> {
        match self.read.get_mut().take(key) {
            Some(value) => Ok(value),
            None => self.ask(engine, key),
        }
    }

    /// A layer of changes has the record from now on.
    pub(super) fn forget(&mut self, key: &K) {
        self.read.get_mut().take(key);
    }

    /// Reads what the cache lacks of `keys` in one go. No layer of changes may have one of them.
    pub(super) fn read_ahead(&self, engine: &impl TableRead, keys: Vec<K>) -> Result<(), StorageError> {
        let absent = self.read_absent(engine, keys)?;
        let mut read = self.read.lock();
        absent.into_iter().for_each(|key| read.keep(key, None));
        Ok(())
    }

    /// As [`Self::read_ahead`], but says which of `keys` there are no records of, in their order, and does not keep that.
    pub(super) fn read_absent(&self, engine: &impl TableRead, keys: Vec<K>) -> Result<Vec<K>, StorageError> {
        let mut is_absent = vec![false; keys.len()];
        let mut unknown: Vec<(u128, Vec<u8>, usize)> = Vec::new();
        {
            let mut read = self.read.lock();
            for (place, key) in keys.iter().enumerate() {
                match read.find(key) {
                    Some(known) => is_absent[place] = known.is_none(),
                    None => {
                        let bytes = key.to_bytes();
                        unknown.push((leading(&bytes), bytes, place));
                    }
                }
            }
        }
        // The numbers decide nearly always, and stand where they are compared.
        unknown.sort_unstable_by(|one, other| one.0.cmp(&other.0).then_with(|| one.1.cmp(&other.1)));
        let mut asked: Vec<Vec<u8>> = Vec::with_capacity(unknown.len());
        let mut places = Vec::with_capacity(unknown.len());
        for (_, bytes, place) in unknown {
            if asked.last() != Some(&bytes) {
                asked.push(bytes);
            }
            places.push((asked.len() - 1, place));
        }
        self.asked.fetch_add(u64::try_from(asked.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let found = if asked.is_empty() { Vec::new() } else { engine.multi_get(self.table, &asked)? };
        for (number, place) in places {
            match &found[number] {
                None => is_absent[place] = true,
                Some(record) => {
                    let value = self.decode(&asked[number], record)?;
                    self.read.lock().keep(keys[place].clone(), Some(value));
                }
            }
        }
        Ok(keys.into_iter().zip(is_absent).filter_map(|(key, is_absent)| is_absent.then_some(key)).collect())
    }

    fn ask(&self, engine: &impl TableRead, key: &K) -> Result<Option<V>, StorageError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let bytes = key.bytes();
        engine.get(self.table, &bytes)?.map(|record| self.decode(&bytes, &record)).transpose()
    }

    pub(super) fn decode(&self, key: &[u8], bytes: &[u8]) -> Result<V, StorageError> {
        decode_record(bytes).map_err(|source| self.corrupt(key, source))
    }

    pub(super) fn corrupt(&self, key: &[u8], source: CodecError) -> StorageError {
        StorageError::Corrupt { table: self.table, key: key.to_vec(), source }
    }
}

#[cfg(test)]
mod tests {
    use partita_core::id::BookId;

    use super::Cache;

    #[test]
    fn what_is_taken_is_not_found_again() {
        for kept_before in 0..40 {
            let mut cache: Cache<BookId, ()> = Cache::new(16);
            (0..kept_before).for_each(|other| cache.keep(BookId(100 + other), None));
            // As when one prefetch names it twice.
            cache.keep(BookId(1), None);
            cache.keep(BookId(1), None);
            (0..kept_before % 7).for_each(|other| cache.keep(BookId(200 + other), None));
            assert_eq!(cache.take(&BookId(1)), Some(None));
            assert_eq!(cache.find(&BookId(1)), None, "{kept_before} records before it");
        }
    }
}
