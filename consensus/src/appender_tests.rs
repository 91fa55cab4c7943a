//! The append thread: groups, order, and nothing acknowledged that is not durable.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use openraft::alias::OneshotReceiverOf;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use partita_storage::log::memory::{MemoryLog, MemoryMark, Power, Unsynced};
use partita_storage::log::{EntryId, EntryKind, LogEngine, LogEntry, RaftLog, Vote, open_log};
use tokio::time::timeout_at;

use crate::appender::{LogQueue, LogRequest, start_appender};
use crate::environment::SharedEnvironment;
use crate::log_store::LogStore;
use crate::raft_types::{TypeConfig, raft_vote};
use crate::testing::{GatedLog, TestMachine, soon};

type Flushed = OneshotReceiverOf<TypeConfig, std::io::Result<()>>;

struct Opened {
    log: RaftLog<GatedLog<MemoryLog>>,
    engine: GatedLog<MemoryLog>,
    mark: MemoryMark,
    queue: LogQueue,
    machine: Arc<TestMachine>,
}

const LEADER: u64 = 1;
const FOLLOWER: u64 = 2;

/// A follower's.
fn open(power: Power) -> Opened {
    open_as(FOLLOWER, power)
}

fn open_as(node: u64, power: Power) -> Opened {
    let machine = TestMachine::new();
    let environment: SharedEnvironment = machine.clone();
    let engine = GatedLog::new(MemoryLog::new(power.clone()));
    let mark = MemoryMark::new(power);
    let writer = open_log(engine.clone(), mark.clone(), 1 << 20).unwrap();
    let log = writer.log();
    Opened { log, engine, mark, queue: start_appender(writer, &environment, Some(node)).queue, machine }
}

impl Opened {
    /// Through the queue.
    fn append(&self, index: u64) -> Flushed {
        let (entries, callback, flushed) = self.staged(index, b"commands");
        assert!(self.queue.send(LogRequest::Append { entries, callback }).is_ok());
        flushed
    }

    /// The shorter way, if it is open.
    fn append_here(&self, index: u64, payload: &'static [u8]) -> Flushed {
        let (entries, callback, flushed) = self.staged(index, payload);
        assert!(self.queue.append(entries, callback).is_ok());
        flushed
    }

    fn staged(&self, index: u64, payload: &'static [u8]) -> (Vec<LogEntry>, IOFlushed<TypeConfig>, Flushed) {
        let id = EntryId { index, term: 1, node: LEADER };
        let entries = vec![LogEntry { id, kind: EntryKind::Commands, payload: Bytes::from_static(payload) }];
        self.log.stage(&entries).unwrap();
        let (sender, flushed) = TypeConfig::oneshot();
        (entries, IOFlushed::<TypeConfig>::signal(sender), flushed)
    }

    /// Until the thread is done with what was sent before.
    async fn idle(&self) {
        let deadline = soon();
        while self.queue.waiting() > 0 {
            assert!(tokio::time::Instant::now() < deadline, "the thread is not done");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Appends while the disk holds up every commit: nobody who appends may wait for it.
    async fn append_while_held_up(self: &Arc<Self>, appends: &[(u64, &'static [u8])]) -> Vec<Flushed> {
        self.engine.gate.close();
        let (opened, appends) = (Arc::clone(self), appends.to_vec());
        let append = move || appends.iter().map(|(index, payload)| opened.append_here(*index, payload)).collect();
        let appended = timeout_at(soon(), tokio::task::spawn_blocking(append)).await;
        self.engine.gate.open();
        appended.expect("whoever appended waited for the disk").unwrap()
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
    timeout_at(soon(), opened.queue.closed()).await.unwrap();
}

#[tokio::test]
async fn a_single_append_is_durable_at_once_where_nothing_waits() {
    let opened = Arc::new(open(Power::steady()));
    opened.machine.let_wait_for_disk();
    timeout_at(soon(), opened.append(0)).await.unwrap().unwrap().unwrap();
    opened.idle().await;
    let flushed = opened.append_here(1, b"a single write");
    // Nobody was given a turn in between.
    assert_eq!(flushed.now_or_never().expect("it was done here").unwrap().ok(), Some(()));
    let engine = opened.engine.log.after_power_cut(Unsynced::Lost, Power::steady());
    assert_eq!(engine.last_index().unwrap(), Some(1));
    // A large one is the thread's, and what comes behind it keeps its place.
    for wait in opened.append_while_held_up(&[(2, &[7; 4_096]), (3, b"a single write")]).await {
        timeout_at(soon(), wait).await.unwrap().unwrap().unwrap();
    }
    let engine = opened.engine.log.after_power_cut(Unsynced::Lost, Power::steady());
    assert_eq!(engine.last_index().unwrap(), Some(3));
}

#[tokio::test]
async fn what_others_have_to_be_sent_meanwhile_is_the_thread_s() {
    let opened = Arc::new(open_as(LEADER, Power::steady()));
    opened.machine.let_wait_for_disk();
    timeout_at(soon(), opened.append(0)).await.unwrap().unwrap().unwrap();
    opened.idle().await;
    for flushed in opened.append_while_held_up(&[(1, b"a single write")]).await {
        timeout_at(soon(), flushed).await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test]
async fn nothing_is_acknowledged_after_a_sync_that_failed_here() {
    // The append before it takes the steps up to the seventh.
    let opened = open(Power::failing_at(7));
    opened.machine.let_wait_for_disk();
    timeout_at(soon(), opened.append(0)).await.unwrap().unwrap().unwrap();
    opened.idle().await;
    let failed = opened.append_here(1, b"a single write");
    assert!(failed.now_or_never().expect("it was tried here").is_err(), "the callback was dropped, not called");
    timeout_at(soon(), opened.machine.stopped()).await.unwrap();
    let after = opened.append_here(2, b"a single write");
    assert!(timeout_at(soon(), after).await.unwrap().is_err());
}

#[tokio::test]
async fn a_vote_is_durable_when_it_is_saved() {
    let opened = open(Power::steady());
    let mut store = LogStore::new(opened.log.clone(), opened.queue.clone());
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
