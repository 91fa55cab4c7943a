//! RocksDB behind typed tables: the raft log, the journal, the working set and its checkpoints.

pub mod log;
