//! A follower gets the leader's state: with writes meanwhile, over a way that breaks, and with the power going at
//! every step of the follower's log, mark and files.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::ReplicationClosed;
use openraft::raft::AppendEntriesRequest;
use openraft::{Config, EntryPayload, Raft, SnapshotPolicy};
use partita_core::id::Position;
use partita_storage::engine::{MemoryEngine, TableEngine};
use partita_storage::log::memory::{Power, Unsynced};
use partita_storage::log::{EntryId, Vote, open_log};
use partita_storage::snapshot::{Files, StateHome, TableStore};
use partita_storage::state::{Reader, StateConfig, open_state};
use tokio::time::{Instant, timeout_at};

use super::exports::Exports;
use super::message::{SnapshotRequest, SnapshotResponse};
use super::receive::Receiver;
use super::send::{SendError, Way, send};
use crate::appender::{AppenderHandle, start_appender};
use crate::applier::{ApplierHandle, Contiguity, OpenState, start_applier};
use crate::codec::RaftState;
use crate::data_directory::ClusterId;
use crate::environment::SharedEnvironment;
use crate::log_store::LogStore;
use crate::network::Network;
use crate::node::check_log_and_state;
use crate::peer::{PeerIdentity, Peers, Security};
use crate::raft_types::{Proposal, RaftEntry, TypeConfig, raft_log_id, raft_vote, stored_vote};
use crate::state_machine::StateMachine;
use crate::testing::{Disks, TestMachine, commands, recovered, soon};
use crate::{Node, StartError};

/// A node that is in no cluster of its own and follows whoever calls it.
struct Follower {
    raft: Raft<TypeConfig, StateMachine>,
    reader: Reader<MemoryEngine>,
    receiver: Receiver,
    machine: Arc<TestMachine>,
}

const FOLLOWER: u64 = 2;

async fn follow(disks: &Disks) -> Result<Follower, StartError> {
    let machine = TestMachine::new();
    let environment: SharedEnvironment = machine.clone();
    let writer = open_log(disks.log.clone(), disks.mark.clone(), 1 << 20)?;
    let home = Arc::new(StateHome::recover(disks.tables.clone(), disks.levels)?);
    let config = StateConfig { memory_bytes: disks.memory_bytes, levels: disks.levels };
    let (applier, checkpointer, reader) = open_state(home.open()?, config).map_err(StartError::State)?;
    let recovered = RaftState::decode(&applier.applied().raft)?;
    let log = writer.log();
    check_log_and_state(&log.state(), &recovered, home.installed())?;
    let AppenderHandle { queue, synced } = start_appender(writer, &environment, Some(FOLLOWER));
    let open = OpenState { home: Arc::clone(&home), config, applier, checkpointer, reader: reader.clone() };
    let ApplierHandle { work, here, durable, .. } =
        start_applier(open, recovered.clone(), Contiguity::Asserted, synced, &environment);
    let exports = Exports::new(work.clone(), Arc::new(|| None), Arc::clone(&environment));
    let machine_of_raft = StateMachine::new(work, here, durable, exports.clone(), recovered, disks.levels);
    let cluster = Some(ClusterId([1; 16]));
    let nobody = Peers::new(PeerIdentity { cluster, node_id: FOLLOWER, levels: disks.levels }, Security::default());
    let network = Network::new(nobody, exports);
    let config = Config { enable_elect: false, snapshot_policy: SnapshotPolicy::Never, ..Config::default() };
    let raft = Raft::new(FOLLOWER, Arc::new(config), network, LogStore::new(log, queue), machine_of_raft)
        .await
        .map_err(|error| StartError::Raft { reason: error.to_string() })?;
    let receiver = Receiver::new(home, raft.clone(), environment);
    Ok(Follower { raft, reader, receiver, machine })
}

impl Follower {
    /// Entries of a leader that was lost before they were committed.
    async fn append_uncommitted(&self, count: u64) -> Result<(), String> {
        let lost = |index| raft_log_id(EntryId { term: 1, node: 9, index });
        let payload = || EntryPayload::Normal(Proposal(Bytes::from_static(b"never applied")));
        let entries = (0..count).map(|index| RaftEntry { log_id: lost(index), payload: payload() }).collect();
        let vote = raft_vote(Vote { term: 1, node: 9, committed: true });
        let request = AppendEntriesRequest { vote, prev_log_id: None, entries, leader_commit: None };
        self.raft.append_entries(request).await.map(|_answer| ()).map_err(|stopped| stopped.to_string())
    }

    /// Where the state stands, and the head there.
    fn head(&self) -> (Position, [u8; 32]) {
        head(&self.reader)
    }
}

fn head(reader: &Reader<MemoryEngine>) -> (Position, [u8; 32]) {
    reader.read(|view| (view.position(), view.head_hash()))
}

/// Asks the follower itself; answers may be lost.
struct Direct<'a> {
    receiver: &'a Receiver,
    asked: AtomicU64,
    /// The question at which the way breaks, whose answer is lost.
    breaks_at: u64,
}

impl<'a> Direct<'a> {
    fn new(receiver: &'a Receiver, breaks_at: u64) -> Self {
        Self { receiver, asked: AtomicU64::new(0), breaks_at }
    }
}

impl Way for Direct<'_> {
    async fn ask(&self, request: SnapshotRequest, deadline: Instant) -> Result<SnapshotResponse, SendError> {
        let place = self.asked.fetch_add(1, Ordering::SeqCst);
        let response = self.receiver.handle(request, deadline).await;
        if place < self.breaks_at {
            Ok(response)
        } else {
            Err(SendError::Failed { reason: "the way broke".to_owned() })
        }
    }
}

/// A leader in its second term, whose log has been purged behind a checkpoint.
async fn leader() -> (Node<MemoryEngine>, Disks) {
    let first = Disks::new(Power::steady());
    let node = recovered(&first).await;
    node.submit(commands(1, 60), soon()).await.unwrap();
    node.shutdown(soon()).await;
    let disks = first.after_power_cut(Unsynced::Lost, 0);
    let node = recovered(&disks).await;
    assert!(node.raft().metrics().borrow_watched().current_term > 1);
    (node, disks)
}

async fn bring<W: Way>(node: &Node<MemoryEngine>, way: &W) -> Result<Vote, String> {
    let vote = stored_vote(&node.raft().metrics().borrow_watched().vote);
    let snapshot = node.raft().get_snapshot().await.unwrap().unwrap();
    let never = std::future::pending::<ReplicationClosed>();
    let sent = timeout_at(soon(), send(node.exports(), way, vote, snapshot, never)).await.unwrap();
    sent.map(|answer| stored_vote(&answer.vote)).map_err(|error| error.to_string())
}

async fn assert_is_whole(follower: &Follower, disks: &Disks, at: (Position, [u8; 32]), case: &str) {
    assert_eq!(follower.head(), at, "{case}");
    let engine = disks.tables.engine();
    let report = partita_storage::verify::verify(&engine.snapshot());
    assert!(report.is_clean() && report.position == at.0 && report.head == at.1, "{case}: {report}");
    let applied = follower.raft.metrics().borrow_watched().last_applied.map(|last| last.index);
    // The log is purged up to there, as soon as openraft has heard of it.
    let is_purged = |metrics: &openraft::RaftMetrics<TypeConfig>| metrics.purged.map(|last| last.index) == applied;
    follower.raft.wait(Some(Duration::from_secs(20))).metrics(is_purged, "purged").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_gets_the_leaders_state_while_writes_go_on() {
    let (node, _disks) = leader().await;
    let node = Arc::new(node);
    let writer = Arc::clone(&node);
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let writes = tokio::spawn(async move {
        let mut last = 60;
        while !*stopped.borrow_and_update() {
            writer.submit(commands(last + 1, last + 20), soon()).await.unwrap();
            last += 20;
        }
        last
    });
    node.wait_position(Position(200), soon()).await.unwrap();
    let target = Disks::new(Power::steady());
    let follower = follow(&target).await.unwrap();
    follower.append_uncommitted(3).await.unwrap();
    let reader = follower.reader.clone();
    bring(&node, &Direct::new(&follower.receiver, u64::MAX)).await.unwrap();
    stop.send_replace(true);
    let last = writes.await.unwrap();
    let (position, hash) = head(&reader);
    assert!(position >= Position(200) && position.0 <= last, "{position} of {last}");
    assert_is_whole(&follower, &target, (position, hash), "installed").await;
    // What the leader had at that position is the same.
    assert_eq!(node.reader().decision(position).unwrap(), reader.decision(position).unwrap());
    // Another one, from where the first ended: nothing of the state that was replaced comes back.
    let before = head(node.reader());
    bring(&node, &Direct::new(&follower.receiver, u64::MAX)).await.unwrap();
    assert_is_whole(&follower, &target, before, "installed again").await;
    assert!(node.exports().kept().is_none() && node.exports().needed().is_none(), "nobody needs it");
    assert!(target.tables.files().list("").unwrap().iter().all(|found| found.name != "incoming.manifest"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_breaks_goes_on_with_the_same_checkpoint() {
    let (node, _disks) = leader().await;
    let target = Disks::new(Power::steady());
    let follower = follow(&target).await.unwrap();
    let (mut breaks, mut asked) = (0, 0);
    let mut known = None;
    loop {
        let way = Direct::new(&follower.receiver, breaks % 4);
        let ended = bring(&node, &way).await;
        asked += way.asked.load(Ordering::SeqCst);
        if ended.is_ok() {
            break;
        }
        let kept = node.exports().kept().expect("it waits for the next attempt").manifest().id();
        assert_eq!(*known.get_or_insert(kept), kept, "the same one");
        node.submit(commands(1_000 + breaks, 1_000 + breaks), soon()).await.unwrap();
        breaks += 1;
        assert!(breaks < 100, "it never ends");
    }
    assert!(breaks > 3, "{breaks} breaks");
    assert!(asked < 3 * breaks + 40, "{asked} questions: parts are sent once");
    assert!(follower.reader.position() >= Position(60) && follower.reader.position() < node.reader().position());
}

/// The leader ends at every step of sending: before the offer, between any two parts, before and after the install is
/// asked for. What it leaves on its disk goes at its next start, and the follower gets the rest from whoever leads then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_ends_at_any_step_of_sending_leaves_a_follower_that_gets_the_rest() {
    let (mut stops, mut known_files) = (0, 0);
    for breaks_at in 0.. {
        let (node, disks) = leader().await;
        let target = Disks::new(Power::steady());
        let follower = follow(&target).await.unwrap();
        let way = Direct::new(&follower.receiver, breaks_at);
        let ended = bring(&node, &way).await;
        if ended.is_ok() {
            break;
        }
        stops += 1;
        let exported = node.exports().kept().expect("it is on the disk");
        std::mem::forget(exported);
        node.halt().await;
        let left = disks.after_power_cut(Unsynced::Kept, 0);
        let next = recovered(&left).await;
        let listed = left.tables.files().list("").unwrap();
        assert!(listed.iter().all(|found| !found.name.starts_with("outgoing")), "{listed:?}");
        let at = head(next.reader());
        let way = Direct::new(&follower.receiver, u64::MAX);
        bring(&next, &way).await.unwrap();
        known_files += u64::from(way.asked.load(Ordering::SeqCst) < breaks_at + 3);
        assert_is_whole(&follower, &target, at, &format!("stopped at question {breaks_at}")).await;
    }
    assert!(stops > 6 && known_files > 0, "{stops} stops, {known_files} times most was there");
}

/// The power goes at every write and sync of the follower's log, its mark and its files, while a state is received
/// and installed behind a log that conflicts with it and is longer. The steps are listed in
/// `partita_storage::snapshot`; before them the log is truncated, after them purged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_at_any_step_of_an_install_leaves_a_follower_that_starts() {
    let (node, _disks) = leader().await;
    let at = head(node.reader());
    let run = async |power: Power| {
        let target = Disks::new(power);
        let Ok(follower) = follow(&target).await else { return target };
        let work = async {
            follower.append_uncommitted(40).await?;
            bring(&node, &Direct::new(&follower.receiver, u64::MAX)).await
        };
        tokio::select! {
            brought = work => {
                if brought.is_ok() {
                    assert_is_whole(&follower, &target, at, "undisturbed").await;
                }
            }
            _ = follower.machine.stopped() => {}
        }
        target
    };
    let (mut before, mut after) = (0, 0);
    // How often the mark is synced in between differs from run to run: until one comes to its end.
    for stop_at in 0.. {
        let power = Power::failing_at(stop_at);
        let target = run(power.clone()).await;
        if !power.is_off() {
            break;
        }
        for unsynced in [Unsynced::Lost, Unsynced::Kept] {
            let case = format!("power cut at {stop_at}, {unsynced:?}");
            let left = target.after_power_cut(unsynced, 0);
            let follower = follow(&left).await.unwrap_or_else(|error| panic!("{case}: {error}"));
            match follower.head() {
                (Position(0), _) => before += 1,
                found => {
                    assert_eq!(found, at, "{case}");
                    after += 1;
                }
            }
            bring(&node, &Direct::new(&follower.receiver, u64::MAX))
                .await
                .unwrap_or_else(|why| panic!("{case}: {why}"));
            assert_is_whole(&follower, &left, at, &case).await;
            assert!(!follower.machine.has_stopped(), "{case}");
        }
    }
    assert!(before > 40 && after > 2, "{before} before the change, {after} after it");
}
