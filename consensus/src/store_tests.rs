//! openraft's own suite for stores, over real RocksDB in temporary directories.

use std::sync::Arc;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use partita_storage::codec::Levels;
use partita_storage::log::mark::MarkFile;
use partita_storage::log::{RocksLog, open_log};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::appender::start_appender;
use crate::applier::{ApplierHandle, Contiguity, OpenState, start_applier};
use crate::codec::RaftState;
use crate::environment::{Machine, SharedEnvironment};
use crate::log_store::LogStore;
use crate::raft_types::TypeConfig;
use crate::snapshot::exports::Exports;
use crate::state_machine::StateMachine;
use partita_storage::snapshot::{DiskStore, StateHome};
use partita_storage::state::{StateConfig, open_state};

struct OnDisk;

impl StoreBuilder<TypeConfig, LogStore<RocksLog>, StateMachine, TempDir> for OnDisk {
    async fn build(&self) -> Result<(TempDir, LogStore<RocksLog>, StateMachine), StorageError<TypeConfig>> {
        let directory = tempfile::tempdir().unwrap();
        let environment: SharedEnvironment = Arc::new(Machine);
        let engine = RocksLog::open(&directory.path().join("log"), 1 << 20).unwrap();
        let writer = open_log(engine, MarkFile::new(&directory.path().join("mark")), 1_000).unwrap();
        let log = writer.log();
        let queue = start_appender(writer, &environment, None).queue;
        let home = Arc::new(StateHome::recover(DiskStore::new(directory.path(), 8 << 20), Levels::OWN).unwrap());
        let config = StateConfig { memory_bytes: 8 << 20, levels: Levels::OWN };
        let (applier, checkpointer, reader) = open_state(home.open().unwrap(), config).unwrap();
        let open = OpenState { home, config, applier, checkpointer, reader };
        // The suite applies entries that it never appended.
        let (_, synced) = watch::channel(Some(u64::MAX));
        let ApplierHandle { work, here, durable, .. } =
            start_applier(open, RaftState::default(), Contiguity::Unchecked, synced, &environment);
        let exports = Exports::new(work.clone(), Arc::new(|| None), environment);
        let machine = StateMachine::new(work, here, durable, exports, RaftState::default(), Levels::OWN);
        Ok((directory, LogStore::new(log, queue), machine))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stores_pass_openrafts_suite() {
    Suite::test_all(OnDisk).await.unwrap();
}
