//! The tables as column families of one RocksDB, written without a write-ahead log and flushed all together.
//!
//! `atomic_flush` makes a memtable switch cover all column families at one point between two batches, which is
//! what [`super::TableEngine`] promises about crashes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRawIterator, FlushOptions, LogLevel, Options, ReadOptions, WriteBatch, WriteOptions,
};

use super::{Batch, Direction, EngineError, KeyRange, Row, Steps, Table, TableEngine, TableRead};
use crate::codec::{Stored, write_record};

/// A row is rarely larger than a journal block of 32 KiB.
const JOURNAL_BLOCK_BYTES: usize = 64 << 10;
/// Point reads are mostly of records below 200 bytes.
const TABLE_BLOCK_BYTES: usize = 8 << 10;
/// About one false positive in a hundred look-ups of a key that is not there.
const BLOOM_BITS_PER_KEY: f64 = 10.0;
/// Every checkpoint writes a file of keys and one of balances that lie over the whole table: merging several at a time
/// reads and writes what is below them less often. Twice RocksDB's default; a look-up asks as many more filters.
const FILES_MERGED: i32 = 8;
/// What of a memtable's room a filter over its keys takes. While a checkpoint is written and flushed, keys in no order of
/// time are looked for in it, each of them in vain.
const KEY_FILTER_OF_MEMTABLE: f64 = 0.005;
/// Dirty pages go to the disk as files are written, not all at their final sync.
const SYNC_EVERY_BYTES: u64 = 1 << 20;
/// Enough for flushes and compactions beside the ledger's own threads on a small machine.
const BACKGROUND_JOBS: i32 = 2;

/// The State DB on a disk.
pub struct RocksEngine {
    db: DB,
    without_wal: WriteOptions,
    /// Dropped after the database is closed.
    retired: RemovedOnDrop,
}

/// A directory that goes when its database is closed, if another has taken its place.
#[derive(Default)]
struct RemovedOnDrop(OnceLock<PathBuf>);

impl Drop for RemovedOnDrop {
    fn drop(&mut self) {
        let Some(path) = self.0.get() else { return };
        if let Err(error) = std::fs::remove_dir_all(path) {
            tracing::warn!(path = %path.display(), %error, "a state that was replaced stays until the next start");
        }
    }
}

impl fmt::Debug for RocksEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksEngine").field("path", &self.db.path()).finish_non_exhaustive()
    }
}

impl RocksEngine {
    /// Opens or creates the database. Half of `memory_bytes` is for memtables, half for the block cache with
    /// indexes and filters in it.
    pub fn open(path: &Path, memory_bytes: usize) -> Result<Self, EngineError> {
        let cache = Cache::new_lru_cache(memory_bytes / 2);
        let memtable_bytes = memory_bytes / 2;
        let descriptors = Table::ALL
            .into_iter()
            .map(|table| ColumnFamilyDescriptor::new(table.name(), table_options(table, &cache, memtable_bytes)));
        let db = DB::open_cf_descriptors(&database_options(memtable_bytes), path, descriptors)
            .map_err(|error| EngineError::Open { path: path.display().to_string(), message: error.to_string() })?;
        let mut without_wal = WriteOptions::default();
        without_wal.disable_wal(true);
        Ok(Self { db, without_wal, retired: RemovedOnDrop::default() })
    }

    /// Opens an existing database whose files stay as they are: every write fails, nothing is compacted. It takes no
    /// lock; the caller knows that nobody else has it open.
    pub fn open_read_only(path: &Path, memory_bytes: usize) -> Result<Self, EngineError> {
        let cache = Cache::new_lru_cache(memory_bytes / 2);
        let memtable_bytes = memory_bytes / 2;
        let mut options = database_options(memtable_bytes);
        options.create_if_missing(false);
        options.create_missing_column_families(false);
        let descriptors = Table::ALL
            .into_iter()
            .map(|table| ColumnFamilyDescriptor::new(table.name(), table_options(table, &cache, memtable_bytes)));
        let db = DB::open_cf_descriptors_read_only(&options, path, descriptors, false)
            .map_err(|error| EngineError::Open { path: path.display().to_string(), message: error.to_string() })?;
        let mut without_wal = WriteOptions::default();
        without_wal.disable_wal(true);
        Ok(Self { db, without_wal, retired: RemovedOnDrop::default() })
    }

    /// Hard links of all files as they are durable now, in a directory that does not exist yet.
    pub fn checkpoint(&self, directory: &Path) -> Result<(), EngineError> {
        rocksdb::checkpoint::Checkpoint::new(&self.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint(directory))
            .map_err(|error| EngineError::Flush { message: error.to_string() })
    }

    /// Ends flushes and compactions, and removes `directory`, which is this database's, once it is closed.
    pub(crate) fn retire(&self, directory: PathBuf) {
        self.db.cancel_all_background_work(false);
        self.retired.0.get_or_init(|| directory);
    }

    /// Rewrites everything into its final shape; tests use it to see each byte pass through a compaction.
    pub fn compact(&self) {
        let mut options = rocksdb::CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        for table in Table::ALL {
            self.db.compact_range_cf_opt(self.family(table), None::<&[u8]>, None::<&[u8]>, &options);
        }
    }

    fn family(&self, table: Table) -> &ColumnFamily {
        self.db.cf_handle(table.name()).expect("all tables are opened together")
    }

    fn get_with(&self, table: Table, key: &[u8], options: &ReadOptions) -> Result<Option<Vec<u8>>, EngineError> {
        self.db.get_cf_opt(self.family(table), key, options).map_err(|error| read_error(table, &error))
    }

    fn multi_get_with(
        &self,
        table: Table,
        keys: &[Vec<u8>],
        options: &ReadOptions,
    ) -> Result<Vec<Option<Vec<u8>>>, EngineError> {
        self.db
            .batched_multi_get_cf_opt(self.family(table), keys, true, options)
            .into_iter()
            .map(|found| match found {
                Ok(value) => Ok(value.map(|value| value.to_vec())),
                Err(error) => Err(read_error(table, &error)),
            })
            .collect()
    }

    fn scan_with(
        &self,
        table: Table,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
        mut options: ReadOptions,
    ) -> Result<Vec<Row>, EngineError> {
        options.set_iterate_lower_bound(range.from.clone());
        if let Some(to) = &range.to {
            if *to <= range.from {
                return Ok(vec![]);
            }
            options.set_iterate_upper_bound(to.clone());
        }
        let mut iterator = self.db.raw_iterator_cf_opt(self.family(table), options);
        match direction {
            Direction::Forward => iterator.seek_to_first(),
            Direction::Backward => iterator.seek_to_last(),
        }
        collect(table, &mut iterator, direction, limit)
    }
}

/// Takes rows until the limit; an iterator that ends early may have met an error.
fn collect(
    table: Table,
    iterator: &mut DBRawIterator<'_>,
    direction: Direction,
    limit: usize,
) -> Result<Vec<Row>, EngineError> {
    let mut rows = Vec::new();
    while rows.len() < limit {
        let Some((key, value)) = iterator.item() else { break };
        rows.push((key.to_vec(), value.to_vec()));
        match direction {
            Direction::Forward => iterator.next(),
            Direction::Backward => iterator.prev(),
        }
    }
    iterator.status().map_err(|error| read_error(table, &error))?;
    Ok(rows)
}

/// RocksDB names the file and block that it cannot read.
fn read_error(table: Table, error: &rocksdb::Error) -> EngineError {
    EngineError::Read { table, message: error.to_string() }
}

fn database_options(memtable_bytes: usize) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_atomic_flush(true);
    options.set_paranoid_checks(true);
    options.set_max_background_jobs(BACKGROUND_JOBS);
    options.set_bytes_per_sync(SYNC_EVERY_BYTES);
    // Checkpoints flush by themselves; this bound only catches one that is larger than was planned for.
    options.set_db_write_buffer_size(memtable_bytes);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 << 20);
    options
}

fn table_options(table: Table, cache: &Cache, memtable_bytes: usize) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_format_version(5);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_cache_index_and_filter_blocks_with_high_priority(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    // One table alone may use all of it: which one grows depends on the work.
    options.set_write_buffer_size(memtable_bytes);
    options.set_level_compaction_dynamic_level_bytes(true);
    match table {
        Table::Journal => {
            blocks.set_block_size(JOURNAL_BLOCK_BYTES);
            // The same compression on every level lets files move down without being rewritten: keys only grow.
            options.set_compression_type(DBCompressionType::Lz4);
            options.set_bottommost_compression_type(DBCompressionType::Lz4);
            options.set_target_file_size_base(256 << 20);
        }
        Table::Subaccounts
        | Table::Items
        | Table::Keys
        | Table::Holds
        | Table::Charges
        | Table::Payments
        | Table::Refunds => {
            blocks.set_block_size(TABLE_BLOCK_BYTES);
            // Most look-ups are of keys that are new.
            blocks.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
            lower_levels_compressed(&mut options);
            if matches!(table, Table::Subaccounts | Table::Keys) {
                options.set_level_zero_file_num_compaction_trigger(FILES_MERGED);
            }
            if table == Table::Keys {
                options.set_memtable_prefix_bloom_ratio(KEY_FILTER_OF_MEMTABLE);
                options.set_memtable_whole_key_filtering(true);
            }
        }
        Table::Books
        | Table::Currencies
        | Table::Accounts
        | Table::Totals
        | Table::Trees
        | Table::Controls
        | Table::OpenItems
        | Table::Movements
        | Table::Calendars
        | Table::Periods
        | Table::Rates
        | Table::Recognitions
        | Table::Entries
        | Table::Customers
        | Table::Expiries
        | Table::Meta => {
            blocks.set_block_size(TABLE_BLOCK_BYTES);
            lower_levels_compressed(&mut options);
        }
    }
    options.set_block_based_table_factory(&blocks);
    options
}

fn lower_levels_compressed(options: &mut Options) {
    options.set_compression_type(DBCompressionType::None);
    options.set_bottommost_compression_type(DBCompressionType::Lz4);
}

impl TableRead for RocksEngine {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.get_with(table, key, &ReadOptions::default())
    }

    fn multi_get(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, EngineError> {
        self.multi_get_with(table, keys, &ReadOptions::default())
    }

    fn scan(
        &self,
        table: Table,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, EngineError> {
        self.scan_with(table, range, direction, limit, ReadOptions::default())
    }
}

/// The tables as they were at one moment.
pub struct RocksSnapshot<'a> {
    engine: &'a RocksEngine,
    snapshot: rocksdb::Snapshot<'a>,
}

impl fmt::Debug for RocksSnapshot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksSnapshot").field("sequence", &self.snapshot.sequence_number()).finish_non_exhaustive()
    }
}

impl RocksSnapshot<'_> {
    fn options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.snapshot);
        options
    }
}

impl TableRead for RocksSnapshot<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.engine.get_with(table, key, &self.options())
    }

    fn multi_get(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, EngineError> {
        self.engine.multi_get_with(table, keys, &self.options())
    }

    fn scan(
        &self,
        table: Table,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, EngineError> {
        self.engine.scan_with(table, range, direction, limit, self.options())
    }
}

/// Steps in RocksDB's own form.
pub struct RocksBatch<'a> {
    steps: WriteBatch,
    /// In the order of [`Table::ALL`].
    families: [&'a ColumnFamily; Table::ALL.len()],
    /// The last record; kept for its memory.
    record: Vec<u8>,
}

impl fmt::Debug for RocksBatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksBatch").field("steps", &self.steps.len()).finish_non_exhaustive()
    }
}

impl Steps for RocksBatch<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.steps.put_cf(self.families[table.index()], key, value);
    }

    fn put_record(&mut self, table: Table, key: &[u8], value: &impl Stored) {
        self.record.clear();
        write_record(value, &mut self.record);
        self.steps.put_cf(self.families[table.index()], key, &self.record);
    }

    fn remove(&mut self, table: Table, key: &[u8]) {
        self.steps.delete_cf(self.families[table.index()], key);
    }
}

impl TableEngine for RocksEngine {
    type Snapshot<'a> = RocksSnapshot<'a>;
    type Large<'a> = RocksBatch<'a>;

    fn large(&self, bytes: usize) -> RocksBatch<'_> {
        let families = Table::ALL.map(|table| self.family(table));
        RocksBatch { steps: WriteBatch::with_capacity_bytes(bytes), families, record: Vec::new() }
    }

    fn write_large(&self, batch: RocksBatch<'_>) -> Result<(), EngineError> {
        self.db
            .write_opt(batch.steps, &self.without_wal)
            .map_err(|error| EngineError::Write { message: error.to_string() })
    }

    fn snapshot(&self) -> RocksSnapshot<'_> {
        RocksSnapshot { engine: self, snapshot: self.db.snapshot() }
    }

    fn write(&self, batch: Batch) -> Result<(), EngineError> {
        // RocksDB's own overhead per step is below 16 bytes.
        let mut steps = self.large(batch.bytes() + 16 * batch.steps().len());
        batch.copy_to(&mut steps);
        self.write_large(steps)
    }

    fn flush(&self) -> Result<(), EngineError> {
        let families: Vec<&ColumnFamily> = Table::ALL.into_iter().map(|table| self.family(table)).collect();
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.db.flush_cfs_opt(&families, &options).map_err(|error| EngineError::Flush { message: error.to_string() })
    }
}
