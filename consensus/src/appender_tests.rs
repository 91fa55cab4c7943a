//! The append thread: groups, order, and nothing acknowledged that is not durable.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::alias::OneshotReceiverOf;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use partita_storage::log::memory::{MemoryLog, MemoryMark, Power, Unsynced};
use partita_storage::log::{EntryId, EntryKind, LogEntry, RaftLog, Vote, open_log};
use tokio::sync::mpsc;
use tokio::time::timeout_at;

use crate::appender::{LogRequest, start_appender};
use crate::environment::SharedEnvironment;
use crate::log_store::LogStore;
use crate::raft_types::{TypeConfig, raft_vote};
use crate::testing::{GatedLog, TestMachine, soon};

type Flushed = OneshotReceiverOf<TypeConfig, std::io::Result<()>>;

struct Opened {
    log: RaftLog<GatedLog<MemoryLog>>,
    engine: GatedLog<MemoryLog>,
    mark: MemoryMark,
    requests: mpsc::UnboundedSender<LogRequest>,
    machine: Arc<TestMachine>,
}

fn open(power: Power) -> Opened {
    let machine = TestMachine::new();
    let environment: SharedEnvironment = machine.clone();
    let engine = GatedLog::new(MemoryLog::new(power.clone()));
    let mark = MemoryMark::new(power);
    let writer = open_log(engine.clone(), mark.clone(), 1 << 20).unwrap();
    let log = writer.log();
    Opened { log, engine, mark, requests: start_appender(writer, &environment).requests, machine }
}

impl Opened {
    fn append(&self, index: u64) -> Flushed {
        let id = EntryId { index, term: 1, node: 1 };
        let entries = vec![LogEntry { id, kind: EntryKind::Commands, payload: Bytes::from_static(b"commands") }];
        self.log.stage(&entries).unwrap();
        let (sender, flushed) = TypeConfig::oneshot();
        let callback = IOFlushed::<TypeConfig>::signal(sender);
        assert!(self.requests.send(LogRequest::Append { entries, callback }).is_ok());
        flushed
    }
}

#[tokio::test]
async fn waiting_appends_share_one_sync_and_are_acknowledged_in_order() {
    let opened = open(Power::steady());
    opened.engine.gate.close();
    let mut waits = vec![opened.append(0)];
    // The first may be at the gate by itself; all after it wait together.
    waits.extend((1..=100).map(|index| opened.append(index)));
    opened.engine.gate.open();
    for wait in waits {
        timeout_at(soon(), wait).await.unwrap().unwrap().unwrap();
    }
    let commits = opened.engine.commits.lock().clone();
    assert_eq!(commits.iter().sum::<usize>(), 101);
    assert!(commits.len() <= 2, "{commits:?}");
}

#[tokio::test]
async fn nothing_is_acknowledged_after_a_failed_sync() {
    // The mark's creation and first value take four steps; the first append's write and sync are the next two.
    let opened = open(Power::failing_at(5));
    let first = timeout_at(soon(), opened.append(0)).await.unwrap();
    assert!(first.is_err(), "the callback was dropped, not called: {first:?}");
    timeout_at(soon(), opened.machine.stopped()).await.unwrap();
    timeout_at(soon(), opened.requests.closed()).await.unwrap();
}

#[tokio::test]
async fn a_vote_is_durable_when_it_is_saved() {
    let opened = open(Power::steady());
    let mut store = LogStore::new(opened.log.clone(), opened.requests.clone());
    let vote = Vote { term: 3, node: 1, committed: true };
    timeout_at(soon(), store.save_vote(&raft_vote(vote))).await.unwrap().unwrap();
    let engine = opened.engine.log.after_power_cut(Unsynced::Lost, Power::steady());
    let mark = opened.mark.after_power_cut(Unsynced::Lost, Power::steady());
    assert_eq!(open_log(engine, mark, 0).unwrap().log().vote(), Some(vote));
    assert_eq!(store.get_log_reader().await.read_vote().await.unwrap(), Some(raft_vote(vote)));
}

#[tokio::test]
async fn the_mark_follows_by_itself() {
    let opened = open(Power::steady());
    timeout_at(soon(), opened.append(0)).await.unwrap().unwrap().unwrap();
    let deadline = soon();
    loop {
        let mark = opened.mark.after_power_cut(Unsynced::Lost, Power::steady());
        let empty = MemoryLog::new(Power::steady());
        // An empty log opens only as long as nothing is marked.
        if open_log(empty, mark, 0).is_err() {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "the mark was never synced");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
