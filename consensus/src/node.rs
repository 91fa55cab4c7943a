//! One node: its life from start to shutdown, and what `api` asks of it. No openraft type passes this file.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::Fatal;
use openraft::{Config, Raft, RaftMetrics, ServerState, SnapshotPolicy};
use parking_lot::Mutex;
use partita_core::decision::{Answer, Command};
use partita_core::id::Position;
use partita_storage::codec::{Level, Levels};
use partita_storage::engine::{EngineError, RocksEngine, TableEngine};
use partita_storage::log::mark::MarkFile;
use partita_storage::log::{LogEngine, LogError, MarkStore, RocksLog, open_log};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::appender::{AppenderHandle, LogQueue, LogRequest, start_appender};
use crate::applier::{ApplierHandle, Contiguity, Durable, OpenState, Work, start_applier};
use crate::barrier::{Barrier, ReadError};
use crate::batcher::{Batcher, SubmitError, encoded};
use crate::cluster::change::Change;
use crate::cluster::joining::{self, JoinError};
use crate::cluster::message::Join;
use crate::cluster::operations::Cluster;
use crate::cluster::steward::watch_over;
use crate::codec::{CodecError, RaftState};
use crate::data_directory::{ClusterId, DataDirectory, DirectoryError, EmptyDirectory, Opened};
use crate::disk::{DiskGuard, DiskLimits, Shortage, needed_bytes};
use crate::environment::{Machine, SharedEnvironment};
use crate::errors::chain;
use crate::forward::Forwarder;
use crate::leadership::{ELECTION_TIMEOUT, Leader, Leadership, Metrics, leads};
use crate::levels::{ActiveLevel, raise_when_all_know};
use crate::log_store::LogStore;
use crate::network::Network;
use crate::peer::{Listener, NotedLevels, PeerIdentity, Peers, Security, Socket, TlsConfig, TlsError};
use crate::proposal::EncodedCommands;
use crate::purge::purge_behind_checkpoints;
use crate::raft_types::{Instance, Member, TypeConfig, raft_log_id};
use crate::requests::Requests;
use crate::snapshot::exports::{ExportError, Exports};
use crate::snapshot::receive::Receiver;
use crate::state_machine::StateMachine;
use partita_storage::snapshot::{DiskStore, Exported, SnapshotError, StateHome, TableStore};
use partita_storage::state::{OpenError, Reader, StateConfig, open_state};

/// How long a leader that ends tries to have another lead.
const HAND_OVER: Duration = Duration::from_secs(3);

#[derive(Clone, Debug)]
pub struct NodeConfig {
    pub data: PathBuf,
    /// This node's number in its cluster, from 1.
    pub node_id: u64,
    /// Divided among memtables, caches and the working set.
    pub memory_bytes: usize,
    /// The replicated levels that it knows: [`Levels::OWN`], but in tests of an upgrade.
    pub levels: Levels,
    /// Where other nodes reach this one. Without it the node is alone.
    pub raft_listen: Option<SocketAddr>,
    /// What other nodes are told to connect to, if that is not where this one listens.
    pub raft_advertise: Option<String>,
    /// Without it what nodes say to each other is neither secret nor proved to be theirs.
    pub tls: Option<TlsConfig>,
    /// Members to be taken in by, where the data directory is empty. Without any the node founds a cluster.
    pub join: Vec<String>,
    /// A node that joins stays a learner until it is promoted.
    pub standby: bool,
}

impl NodeConfig {
    /// A node without others.
    #[must_use]
    pub fn alone(data: PathBuf, node_id: u64, memory_bytes: usize) -> Self {
        Self {
            data,
            node_id,
            memory_bytes,
            raft_listen: None,
            raft_advertise: None,
            tls: None,
            join: Vec::new(),
            standby: false,
            levels: Levels::OWN,
        }
    }
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error("the raft log cannot be opened")]
    Log(#[from] LogError),
    #[error("the state database cannot be opened")]
    Tables(#[from] EngineError),
    #[error("the state's files cannot be used")]
    Files(#[from] SnapshotError),
    #[error("the state cannot be recovered")]
    State(#[source] OpenError),
    #[error("the state's record of raft cannot be read")]
    RaftState(#[from] CodecError),
    #[error("the state includes raft entry {applied}, but the log ends at {last}: acknowledged entries are missing")]
    LogBehindState { applied: u64, last: String },
    #[error(
        "the log begins after entry {purged}, but the state includes only what is before {applied}: entries are missing"
    )]
    LogBeyondState { purged: u64, applied: String },
    #[error("the address {address} for other nodes cannot be listened at")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("TLS between nodes cannot be used as it is configured")]
    Tls(#[from] TlsError),
    #[error("the cluster has other members, and no address is given at which they reach this one")]
    NotListening,
    #[error("free disk space cannot be read")]
    FreeSpace(#[source] io::Error),
    #[error("this node is not in a cluster yet, and gives no address at which others would reach it: --raft-listen")]
    Unreachable,
    #[error(transparent)]
    Join(#[from] JoinError),
    #[error("raft cannot start: {reason}")]
    Raft { reason: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Leader,
    Candidate,
    Follower,
    Learner,
    Stopped,
}

impl Role {
    pub(crate) fn of(metrics: &RaftMetrics<TypeConfig>) -> Self {
        match metrics.state {
            ServerState::Leader if leads(metrics) => Self::Leader,
            // No quorum has answered it for so long that another may have been elected.
            ServerState::Leader | ServerState::Candidate => Self::Candidate,
            ServerState::Follower => Self::Follower,
            ServerState::Learner => Self::Learner,
            ServerState::Shutdown => Self::Stopped,
        }
    }
}

#[derive(Clone, Debug)]
pub struct NodeStatus {
    pub node_id: u64,
    pub cluster: ClusterId,
    pub role: Role,
    pub term: u64,
    pub leader: Option<u64>,
    /// Everything acknowledged before the start has been applied again.
    pub recovered: bool,
    /// The last decision applied.
    pub position: Position,
    /// The last raft entry applied, and the last one that a durable checkpoint includes.
    pub applied_index: Option<u64>,
    pub durable_index: Option<u64>,
    /// Up to where the raft log was purged.
    pub purged_index: Option<u64>,
    pub queued_commands: usize,
    /// The disk has too little room: writes are refused.
    pub short_of_disk: Option<Shortage>,
    /// The replicated level that holds; none while the log has no commands.
    pub level: Option<Level>,
    /// The replicated levels that this node knows.
    pub levels: Levels,
}

/// The stores of one node: on disk, or in memory for the simulator.
#[derive(Debug)]
pub struct Stores<L, M, S> {
    pub log: L,
    pub mark: M,
    pub tables: S,
    /// Where they lie: free space is watched there. None where they have no disk.
    pub directories: Vec<PathBuf>,
}

/// Who a node is.
#[derive(Clone, Debug)]
pub struct Identity {
    pub cluster: ClusterId,
    pub node_id: u64,
    /// The replicated levels that it knows.
    pub levels: Levels,
}

/// How a node is reached by others.
#[derive(Debug)]
pub(crate) struct Peering {
    pub(crate) socket: Socket,
    pub(crate) security: Security,
    /// What others connect to.
    pub(crate) address: String,
    /// Whether a node without a log founds a cluster. If not, it waits to be taken into one.
    pub(crate) founds: bool,
}

/// How the memory budget is divided.
struct Budget {
    log_memtables: usize,
    entry_cache: usize,
    tables: usize,
    working_set: usize,
}

impl Budget {
    /// In 32nds: four for the log's memtables, one for recent entries, eight for the state's tables, sixteen for its
    /// working set. Three are left for requests on their way.
    fn of(memory_bytes: usize) -> Self {
        let part = memory_bytes / 32;
        Self { log_memtables: 4 * part, entry_cache: part, tables: 8 * part, working_set: 16 * part }
    }

    fn disk(&self, directories: Vec<PathBuf>, levels: Levels) -> DiskLimits {
        let generation = u64::try_from(self.state(levels).generation_bytes()).unwrap_or(u64::MAX / 8);
        DiskLimits { directories, needed_bytes: needed_bytes(generation) }
    }

    fn state(&self, levels: Levels) -> StateConfig {
        StateConfig { memory_bytes: self.working_set, levels }
    }
}

/// A running node.
pub struct Node<T: TableEngine = RocksEngine> {
    identity: Identity,
    raft: Raft<TypeConfig, StateMachine>,
    metrics: Metrics,
    leadership: Leadership,
    batcher: Batcher,
    forwarder: Forwarder<T>,
    barrier: Barrier,
    listener: Mutex<Option<Listener>>,
    cluster: Cluster,
    reader: Reader<T>,
    work: mpsc::Sender<Work>,
    exports: Exports,
    log: LogQueue,
    position: watch::Receiver<Position>,
    durable: watch::Receiver<Option<Durable>>,
    recovered: watch::Receiver<bool>,
    active_level: ActiveLevel,
    disk: DiskGuard,
    closing: Arc<AtomicBool>,
    _directory: Option<DataDirectory>,
}

impl<T: TableEngine> std::fmt::Debug for Node<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Node {
    /// Opens or creates the data directory and starts. Returns before the log is replayed and a leader is known:
    /// [`Node::wait_recovered`] waits for that.
    pub async fn start(config: NodeConfig) -> Result<Self, StartError> {
        let environment: SharedEnvironment = Arc::new(Machine);
        let directory = match DataDirectory::open(&config.data, config.node_id)? {
            Opened::Ours(directory) => directory,
            Opened::Empty(empty) if config.join.is_empty() => empty.found(ClusterId(environment.random()))?,
            Opened::Empty(empty) => join(empty, &config, &environment).await?,
        };
        let budget = Budget::of(config.memory_bytes);
        let stores = Stores {
            log: RocksLog::open(&directory.log(), budget.log_memtables)?,
            mark: MarkFile::new(&directory.mark()),
            tables: DiskStore::new(directory.path(), budget.tables),
            directories: vec![directory.log(), directory.path().to_owned()],
        };
        let identity = Identity { cluster: directory.cluster, node_id: config.node_id, levels: config.levels };
        let peering = match config.raft_listen {
            None => None,
            Some(address) => Some(listen(address, &config, directory.instance.is_none()).await?),
        };
        let mut node = Self::start_among(stores, identity, config.memory_bytes, environment, peering).await?;
        node._directory = Some(directory);
        Ok(node)
    }
}

impl<T: TableEngine> Node<T> {
    /// Starts over the given stores, clock and threads, alone.
    pub async fn start_with<L: LogEngine, M: MarkStore, S: TableStore<Engine = T>>(
        stores: Stores<L, M, S>,
        identity: Identity,
        memory_bytes: usize,
        environment: SharedEnvironment,
    ) -> Result<Self, StartError> {
        Self::start_among(stores, identity, memory_bytes, environment, None).await
    }

    /// Starts over the given stores, clock and threads, reached by others if so told.
    pub(crate) async fn start_among<L: LogEngine, M: MarkStore, S: TableStore<Engine = T>>(
        stores: Stores<L, M, S>,
        identity: Identity,
        memory_bytes: usize,
        environment: SharedEnvironment,
        peering: Option<Peering>,
    ) -> Result<Self, StartError> {
        let budget = Budget::of(memory_bytes);
        let limits = budget.disk(stores.directories, identity.levels);
        let disk = DiskGuard::start(limits, Arc::clone(&environment)).map_err(StartError::FreeSpace)?;
        let writer = open_log(stores.log, stores.mark, budget.entry_cache)?;
        let home = Arc::new(StateHome::recover(stores.tables, identity.levels)?);
        let state_config = budget.state(identity.levels);
        let (applier, checkpointer, reader) = open_state(home.open()?, state_config).map_err(StartError::State)?;
        let recovered = RaftState::decode(&applier.applied().raft)?;
        assert_eq!(recovered.level, applier.applied().level, "both are of one record");
        let log = writer.log();
        check_log_and_state(&log.state(), &recovered, home.installed())?;

        let replicates_as = peering.is_some().then_some(identity.node_id);
        let AppenderHandle { queue: log_queue, synced } = start_appender(writer, &environment, replicates_as);
        let state = recovered.clone();
        let checkpoints = Arc::clone(&home);
        let open = OpenState { home, config: state_config, applier, checkpointer, reader: reader.clone() };
        let ApplierHandle { work, here, durable, position } =
            start_applier(open, recovered, Contiguity::Asserted, synced, &environment);
        let purged = log.clone();
        let exports = Exports::new(
            work.clone(),
            Arc::new(move || purged.state().purged.map(|id| id.index)),
            Arc::clone(&environment),
        );
        let store = LogStore::new(log, log_queue.clone());
        let machine = StateMachine::new(work.clone(), here, durable.clone(), exports.clone(), state, identity.levels);
        let (active_level, on_the_way) = (machine.active_level(), machine.on_the_way());
        let failed = |error: &dyn std::error::Error| StartError::Raft { reason: chain(error) };
        let raft_config = raft_config(&identity).validate().map_err(|error| failed(&error))?;
        let peer_identity =
            PeerIdentity { cluster: Some(identity.cluster), node_id: identity.node_id, levels: identity.levels };
        let security = peering.as_ref().map(|peering| peering.security.clone()).unwrap_or_default();
        let peers = Peers::new(peer_identity, security);
        peers.levels().tell(active_level.clone());
        let network = Network::new(peers.clone(), exports.clone());
        let raft = Raft::new(identity.node_id, Arc::new(raft_config), network, store, machine)
            .await
            .map_err(|error| failed(&error))?;

        let closing = Arc::new(AtomicBool::new(false));
        let metrics = raft.metrics();
        tokio::spawn(watch_raft(metrics.clone(), Arc::clone(&closing), Arc::clone(&environment)));
        tokio::spawn(purge_behind_checkpoints(raft.clone(), durable.clone(), exports.clone()));
        let (recovered_sender, recovered) = watch::channel(false);
        tokio::spawn(watch_recovery(raft.clone(), recovered_sender));
        let (node_id, levels) = (identity.node_id, identity.levels);
        tokio::spawn(stop_when_left_behind(peers.levels().clone(), levels, Arc::clone(&environment)));
        let noted = peers.levels().clone();
        let knows = move |member, level| noted.of(member).is_some_and(|said| said.know(level));
        tokio::spawn(raise_when_all_know(raft.clone(), metrics.clone(), node_id, levels, active_level.clone(), knows));
        let leadership = Leadership::new(identity.node_id, &raft);
        let batcher = Batcher::start(
            raft.clone(),
            Arc::clone(&environment),
            levels,
            active_level.clone(),
            disk.clone(),
            on_the_way,
        );
        let barrier = Barrier::start(raft.clone(), leadership.clone(), peers.clone());
        let reached = peering.is_some().then(|| peers.clone());
        let cluster = Cluster::new(raft.clone(), identity.clone(), leadership.clone(), reached, position.clone());
        if let Some(peering) = &peering {
            tokio::spawn(watch_over(cluster.clone(), raft.clone(), peering.address.clone()));
        }
        let requests = Requests {
            raft: raft.clone(),
            batcher: batcher.clone(),
            barrier: barrier.clone(),
            leadership: leadership.clone(),
            levels,
            snapshots: Receiver::new(checkpoints, raft.clone(), Arc::clone(&environment)),
            cluster: cluster.clone(),
        };
        let founder = match &peering {
            None => Some(Member::default()),
            Some(peering) => peering.founds.then(|| Member { address: peering.address.clone(), ..Member::default() }),
        };
        let listener = peering.map(|peering| Listener::start(peering.socket, &peers, Arc::new(requests)));
        found_or_elect(&raft, &identity, founder, listener.is_some()).await?;

        Ok(Self {
            forwarder: Forwarder::new(
                peers,
                leadership.clone(),
                reader.clone(),
                position.clone(),
                environment,
                levels,
                active_level.clone(),
            ),
            batcher,
            barrier,
            listener: Mutex::new(listener),
            cluster,
            identity,
            raft,
            metrics,
            leadership,
            reader,
            work,
            exports,
            log: log_queue,
            position,
            durable,
            recovered,
            active_level,
            disk,
            closing,
            _directory: None,
        })
    }

    /// Has commands decided, by this node or the leader it knows; answers in their order, when this node has applied
    /// them. Whoever leads sets their stamps. All are proposed or none; where a proposal was lost, some may have been
    /// decided and others not.
    pub async fn submit(&self, commands: Vec<Command>, deadline: Instant) -> Result<Vec<Answer>, SubmitError> {
        self.submit_encoded(encoded(commands)?, deadline).await
    }

    /// The same, of commands that are in the form of the log already.
    pub async fn submit_encoded(
        &self,
        commands: EncodedCommands,
        deadline: Instant,
    ) -> Result<Vec<Answer>, SubmitError> {
        match self.leadership.now() {
            Leader::Own => self.batcher.submit_encoded(commands, deadline).await,
            _ if self.closing.load(Ordering::Acquire) => Err(SubmitError::ShuttingDown),
            Leader::Other(leader) => {
                let answers = self.forwarder.submit(&leader, commands, deadline).await?;
                self.catch_up_for(&answers, deadline).await?;
                Ok(answers)
            }
            Leader::Unknown => Err(SubmitError::NoLeader),
        }
    }

    /// A replay points to an old decision, and says by its position what else its caller may rely on: as much as a
    /// linearizable read would show.
    async fn catch_up_for(&self, answers: &[Answer], deadline: Instant) -> Result<(), SubmitError> {
        let is_new = |answer: &Answer| matches!(answer, Answer::Decided(_));
        if answers.iter().all(is_new) {
            return Ok(());
        }
        // They are decided; sent again, they are answered when a leader is there.
        self.barrier.wait(deadline).await.map_err(|_unconfirmed| SubmitError::OutcomeUnknown)
    }

    /// Returns when every write acknowledged before the call is visible to [`Node::reader`].
    pub async fn barrier(&self, deadline: Instant) -> Result<(), ReadError> {
        self.barrier.wait(deadline).await
    }

    /// The last decision applied; the state shows it, or one after it.
    #[must_use]
    pub fn position(&self) -> Position {
        *self.position.borrow()
    }

    /// Returns when this node has applied the decision at `position`.
    pub async fn wait_position(&self, position: Position, deadline: Instant) -> Result<(), ReadError> {
        let mut reached = self.position.clone();
        match tokio::time::timeout_at(deadline, reached.wait_for(|reached| *reached >= position)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_gone)) => Err(ReadError::ShuttingDown),
            Err(_elapsed) => {
                let reached = *self.position.borrow();
                Err(ReadError::PositionNotReached { wanted: position, reached })
            }
        }
    }

    /// Returns when everything acknowledged before the start is applied again and a leader is known: a node that
    /// serves reads before may show less than it showed before it stopped.
    pub async fn wait_recovered(&self, deadline: Instant) -> Result<(), ReadError> {
        let mut recovered = self.recovered.clone();
        match tokio::time::timeout_at(deadline, recovered.wait_for(|recovered| *recovered)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_gone)) => Err(ReadError::ShuttingDown),
            Err(_elapsed) => Err(ReadError::TimedOut),
        }
    }

    /// The cluster as this node sees it, and changes of it.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// For what looks into a node from beside it: the simulator and the tests.
    pub(crate) fn raft(&self) -> &Raft<TypeConfig, StateMachine> {
        &self.raft
    }

    #[cfg(test)]
    pub(crate) fn exports(&self) -> &Exports {
        &self.exports
    }

    /// A checkpoint of everything applied on this node, as files: removed when it is dropped.
    pub async fn export(&self) -> Result<Exported, ExportError> {
        self.exports.fresh().await
    }

    /// What this node has applied.
    #[must_use]
    pub fn reader(&self) -> &Reader<T> {
        &self.reader
    }

    #[must_use]
    pub fn status(&self) -> NodeStatus {
        let metrics = self.metrics.borrow_watched();
        let leads = leads(&metrics);
        let durable_index = self.durable.borrow().as_ref().and_then(|durable| durable.raft.last).map(|id| id.index);
        NodeStatus {
            node_id: self.identity.node_id,
            cluster: self.identity.cluster,
            role: Role::of(&metrics),
            term: metrics.current_term,
            leader: metrics.current_leader.filter(|leader| leads || *leader != self.identity.node_id),
            recovered: *self.recovered.borrow(),
            position: *self.position.borrow(),
            applied_index: metrics.last_applied.map(|id| id.index),
            durable_index,
            purged_index: metrics.purged.map(|id| id.index),
            queued_commands: self.batcher.queued_commands(),
            short_of_disk: self.disk.shortage(),
            level: *self.active_level.borrow(),
            levels: self.identity.levels,
        }
    }

    /// Lets another node lead, takes no more commands, waits until those taken are answered (at most until `deadline`),
    /// writes a checkpoint so that the next start has nothing to replay, and closes the log.
    pub async fn shutdown(&self, deadline: Instant) {
        if self.closing.swap(true, Ordering::AcqRel) {
            return;
        }
        self.hand_over(deadline).await;
        self.batcher.drain(deadline).await;
        self.listener.lock().take();
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(error = chain(&error), "raft did not end by itself");
        }
        let (done, checkpointed) = oneshot::channel();
        if self.work.send(Work::Close { done }).await.is_err() || checkpointed.await.is_err() {
            tracing::warn!("no checkpoint was written at shutdown: the next start replays the raft log");
        }
        let (done, closed) = oneshot::channel();
        if self.log.send(LogRequest::Close { done }).is_err() || closed.await.is_err() {
            tracing::warn!("the raft log was not closed in order; it is durable all the same");
        }
    }
}

impl<T: TableEngine> Node<T> {
    /// A leader that ends lets another lead before: nobody has to miss it first.
    async fn hand_over(&self, deadline: Instant) {
        let members = self.metrics.borrow_watched().membership_config.voter_ids().count();
        if self.leadership.now() != Leader::Own || members == 1 {
            return;
        }
        let deadline = deadline.min(Instant::now() + HAND_OVER);
        if let Err(error) = self.cluster.change(Change::TransferLeader { to: None }, deadline).await {
            tracing::info!(error = chain(&error), "nobody takes over: the others will elect a leader");
        }
    }
}

#[cfg(test)]
impl<T: TableEngine> Node<T> {
    /// As a killed process: nothing is answered, written or sent any more.
    pub(crate) async fn halt(self) {
        self.closing.store(true, Ordering::Release);
        self.listener.lock().take();
        self.raft.shutdown().await.expect("raft ends when it is told to");
    }

    /// Asks for a checkpoint; it is done when the answer comes.
    pub(crate) async fn order_checkpoint(&self) -> oneshot::Receiver<Option<Durable>> {
        let (done, finished) = oneshot::channel();
        self.work.send(Work::Checkpoint { done }).await.expect("the applier runs");
        finished
    }

    /// Takes a node that listens into the cluster, as a voter.
    pub(crate) async fn take_in(&self, node_id: u64, address: String) {
        let member = Member { address, ..Member::default() };
        self.raft.add_learner(node_id, member, true).await.expect("this node leads");
        let voters: BTreeSet<u64> = self.raft.voter_ids().chain([node_id]).collect();
        self.raft.change_membership(voters, false).await.expect("this node leads");
    }
}

impl<T: TableEngine> Drop for Node<T> {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Release);
    }
}

fn raft_config(identity: &Identity) -> Config {
    let timeout_ms = u64::try_from(ELECTION_TIMEOUT.as_millis()).expect("it is short");
    Config {
        cluster_name: identity.cluster.to_string(),
        heartbeat_interval: timeout_ms / 4,
        election_timeout_min: timeout_ms,
        election_timeout_max: timeout_ms * 2,
        install_snapshot_timeout: 600_000,
        // Checkpoints and purges go by bytes, not by entries: see `crate::purge`.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        // Committed is not stored, so a restarted leader has to win an election before it knows what is.
        enable_leader_restore: Some(false),
        enable_pre_vote: Some(true),
        ..Config::default()
    }
}

/// `installed` is the raft entry at which the state was put in the place of another. A crash right after that leaves
/// a log that ends before the state; openraft then purges it.
pub(crate) fn check_log_and_state(
    log: &partita_storage::log::LogState,
    state: &RaftState,
    installed: Option<u64>,
) -> Result<(), StartError> {
    if let Some(applied) = state.last
        && log.last.is_none_or(|last| last.index < applied.index)
        && installed != Some(applied.index)
    {
        let last = log.last.map_or_else(|| "nothing".to_owned(), |last| last.to_string());
        return Err(StartError::LogBehindState { applied: applied.index, last });
    }
    if let Some(purged) = log.purged
        && state.last.is_none_or(|applied| applied < raft_log_id(purged))
    {
        let applied = state.last.map_or_else(|| "the first".to_owned(), |applied| (applied.index + 1).to_string());
        return Err(StartError::LogBeyondState { purged: purged.index, applied });
    }
    Ok(())
}

/// Has a node with nothing in its directory taken into a cluster, unless it founds one. A directory that is somebody's
/// is left as it is. Ends only when the node was taken in or refused; may be given up and tried again.
pub async fn join_cluster(config: &NodeConfig) -> Result<(), StartError> {
    if config.join.is_empty() {
        return Ok(());
    }
    let environment: SharedEnvironment = Arc::new(Machine);
    match DataDirectory::open(&config.data, config.node_id)? {
        Opened::Ours(_) => Ok(()),
        Opened::Empty(empty) => join(empty, config, &environment).await.map(drop),
    }
}

async fn join(
    mut empty: EmptyDirectory,
    config: &NodeConfig,
    environment: &SharedEnvironment,
) -> Result<DataDirectory, StartError> {
    let listen = config.raft_listen.ok_or(StartError::Unreachable)?;
    let address = config.raft_advertise.clone().unwrap_or_else(|| listen.to_string());
    let instance = empty.instance(Instance(environment.random()))?;
    let outside = PeerIdentity { cluster: None, node_id: config.node_id, levels: config.levels };
    let peers = Peers::new(outside, security(config)?);
    let ask = Join { node_id: config.node_id, address, instance, standby: config.standby };
    let cluster = joining::join(&peers, &ask, &config.join).await?;
    tracing::info!(%cluster, node = config.node_id, "taken into the cluster");
    Ok(empty.joined(cluster)?)
}

fn security(config: &NodeConfig) -> Result<Security, StartError> {
    Ok(match &config.tls {
        Some(tls) => Security::load(tls)?,
        None => Security::Plain,
    })
}

/// Binds where other nodes are to reach this one.
async fn listen(address: SocketAddr, config: &NodeConfig, founds: bool) -> Result<Peering, StartError> {
    let socket = Socket::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
    let security = security(config)?;
    if config.tls.is_none() && !socket.address().ip().is_loopback() {
        tracing::warn!(address = %socket.address(), "nodes talk without TLS: whoever reaches this address may pass for one");
    }
    let address = config.raft_advertise.clone().unwrap_or_else(|| socket.address().to_string());
    Ok(Peering { socket, security, address, founds })
}

/// A fresh node founds a cluster of one, as `founder` if it may; a node that is alone in its cluster need not wait for
/// a leader to be silent.
async fn found_or_elect(
    raft: &Raft<TypeConfig, StateMachine>,
    identity: &Identity,
    founder: Option<Member>,
    is_listening: bool,
) -> Result<(), StartError> {
    let failed = |error: &dyn std::error::Error| StartError::Raft { reason: chain(error) };
    if !raft.is_initialized().await.map_err(|error| failed(&error))? {
        let Some(founder) = founder else { return Ok(()) };
        let members = BTreeMap::from([(identity.node_id, founder)]);
        return raft.initialize(members).await.map_err(|error| failed(&error));
    }
    let voters: BTreeSet<u64> = raft.voter_ids().collect();
    let has_others = voters.iter().copied().chain(raft.learner_ids()).any(|id| id != identity.node_id);
    if has_others && !is_listening {
        return Err(StartError::NotListening);
    }
    if voters == BTreeSet::from([identity.node_id]) {
        raft.trigger().elect(false).await.map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// Stops the process when raft has stopped by itself: after a failure of the store nothing may be acknowledged.
async fn watch_raft(mut metrics: Metrics, closing: Arc<AtomicBool>, environment: SharedEnvironment) {
    loop {
        let stopped = match &metrics.borrow_watched().running_state {
            Ok(()) | Err(Fatal::Stopped) => None,
            Err(fatal @ (Fatal::StorageError(_) | Fatal::Panicked)) => Some(chain(fatal)),
        };
        let ended = stopped.is_none() && metrics.changed().await.is_err();
        if (stopped.is_some() || ended) && closing.load(Ordering::Acquire) {
            return;
        }
        if let Some(reason) = stopped {
            environment.stop_process(&format!("raft stopped: {reason}"));
            return;
        }
        if ended {
            environment.stop_process("raft ended without being asked to");
            return;
        }
    }
}

/// Ends with the node's runtime: there is no end to what a peer may say.
async fn stop_when_left_behind(noted: NotedLevels, known: Levels, environment: SharedEnvironment) {
    let error = noted.left_behind(known).await;
    environment.stop_process(&format!("a peer's log is further: {error}"));
}

async fn watch_recovery(raft: Raft<TypeConfig, StateMachine>, recovered: watch::Sender<bool>) {
    // Without a limit: a long log takes its time, and shutting down ends the wait.
    if raft.wait_for_recovery(None).await.is_ok() {
        recovered.send_replace(true);
    }
}
