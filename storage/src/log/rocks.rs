//! The raft log's store on disk: one RocksDB with a write-ahead log, one `fdatasync` per batch.

use std::fmt;
use std::path::Path;

use rocksdb::{DB, DBRecoveryMode, Direction, IteratorMode, Options, ReadOptions, WriteBatch, WriteOptions};

use super::LogError;
use super::engine::{LogEngine, LogWrite, Note};

/// The first byte of an entry's key; its index follows, big-endian.
const ENTRY: u8 = b'e';
/// The first byte of a note's key; its name follows.
const NOTE: u8 = b'n';

/// Memtables that there may be at one time. Six that are full are flushed together: entries that a purge removed meanwhile
/// are not written a second time.
const MEMTABLES: usize = 8;

pub struct RocksLog {
    database: DB,
    synced: WriteOptions,
}

impl fmt::Debug for RocksLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksLog").field("path", &self.database.path()).finish_non_exhaustive()
    }
}

impl RocksLog {
    /// Opens or creates the log in `directory`. `memtables_bytes` bounds what its memtables hold together.
    pub fn open(directory: &Path, memtables_bytes: usize) -> Result<Self, LogError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        // PointInTime, the default, opens silently with half of a log gone after one flipped byte. This mode
        // refuses damage in the middle and takes some for a torn tail: that is what the high-water mark is for.
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        options.set_recycle_log_file_num(0);
        options.set_write_buffer_size(memtables_bytes / MEMTABLES);
        options.set_max_write_buffer_number(i32::try_from(MEMTABLES).expect("there are eight"));
        options.set_min_write_buffer_number_to_merge(6);
        options.set_max_background_jobs(2);
        options.set_bytes_per_sync(1 << 20);
        options.set_max_open_files(128);
        options.set_keep_log_file_num(4);
        options.set_paranoid_checks(true);
        let database =
            DB::open(&options, directory).map_err(|source| LogError::Database { operation: "open", source })?;
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        Ok(Self { database, synced })
    }

    fn edge(&self, mode: IteratorMode<'_>) -> Result<Option<u64>, LogError> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(entry_key(0).to_vec());
        options.set_iterate_upper_bound(vec![ENTRY + 1]);
        let mut entries = self.database.iterator_opt(mode, options);
        let Some(found) = entries.next() else { return Ok(None) };
        let (key, _) = found.map_err(|source| LogError::Database { operation: "scan", source })?;
        Ok(Some(index_of(&key)?))
    }
}

impl LogEngine for RocksLog {
    fn commit(&self, batch: &[LogWrite]) -> Result<(), LogError> {
        let mut writes = WriteBatch::default();
        for write in batch {
            match write {
                LogWrite::Entry { index, record } => writes.put(entry_key(*index), record),
                LogWrite::Note { note, record } => writes.put(note_key(*note), record),
                LogWrite::Remove { first, last } => {
                    writes.delete_range(entry_key(*first).as_slice(), after(*last).as_slice())
                }
            }
        }
        self.database
            .write_opt(writes, &self.synced)
            .map_err(|source| LogError::Database { operation: "write and sync", source })
    }

    fn note(&self, note: Note) -> Result<Option<Vec<u8>>, LogError> {
        self.database.get(note_key(note)).map_err(|source| LogError::Database { operation: "read", source })
    }

    fn scan(&self, first: u64, last: u64, limit_bytes: usize) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        let start = entry_key(first);
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(after(last));
        let mut found = Vec::new();
        let mut bytes = 0;
        for item in self.database.iterator_opt(IteratorMode::From(&start, Direction::Forward), options) {
            let (key, record) = item.map_err(|source| LogError::Database { operation: "scan", source })?;
            bytes += record.len();
            found.push((index_of(&key)?, record.into_vec()));
            if bytes >= limit_bytes {
                break;
            }
        }
        Ok(found)
    }

    fn first_index(&self) -> Result<Option<u64>, LogError> {
        self.edge(IteratorMode::Start)
    }

    fn last_index(&self) -> Result<Option<u64>, LogError> {
        self.edge(IteratorMode::End)
    }
}

fn entry_key(index: u64) -> [u8; 9] {
    let mut key = [ENTRY; 9];
    key[1..].copy_from_slice(&index.to_be_bytes());
    key
}

/// The smallest key above entry `index`.
fn after(index: u64) -> Vec<u8> {
    match index.checked_add(1) {
        Some(next) => entry_key(next).to_vec(),
        None => vec![ENTRY + 1],
    }
}

fn note_key(note: Note) -> [u8; 2] {
    match note {
        Note::Vote => [NOTE, b'v'],
        Note::Purged => [NOTE, b'p'],
    }
}

fn index_of(key: &[u8]) -> Result<u64, LogError> {
    let index: Option<[u8; 8]> = key.get(1..).and_then(|index| index.try_into().ok());
    match index {
        Some(index) if key[0] == ENTRY => Ok(u64::from_be_bytes(index)),
        _ => Err(LogError::Damaged { record: "key".to_owned(), reason: "it is not an entry's" }),
    }
}
