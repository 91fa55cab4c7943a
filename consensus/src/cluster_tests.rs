//! Several real nodes in one process, over loopback and disks that lose power: writes and reads through each of them,
//! kills, restarts, and a leader that nobody hears.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use partita_core::decision::Answer;
use partita_core::id::Position;
use partita_storage::engine::{MemoryEngine, TableEngine};
use partita_storage::log::LogEngine;
use partita_storage::log::memory::{Power, Unsynced};
use partita_storage::snapshot::{Files, TableStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use crate::data_directory::ClusterId;
use crate::environment::SharedEnvironment;
use crate::node::{Identity, Peering, Stores};
use crate::peer::{Security, Socket};
use crate::testing::{Disks, MEMORY_BYTES, TestMachine, command, commands, in_ms, position_of, soon};
use crate::{Node, ReadError, Role, StartError, SubmitError};

/// The wires between nodes: whoever is cut off is heard by nobody and hears nobody, and no connection is closed.
#[derive(Clone, Debug)]
struct Wires {
    cut: watch::Sender<BTreeSet<u64>>,
}

impl Wires {
    fn cut(&self, node: u64) {
        self.cut.send_modify(|cut| {
            cut.insert(node);
        });
    }

    fn heal(&self) {
        self.cut.send_modify(BTreeSet::clear);
    }

    /// Carries what other nodes say to `node`, which listens at what `target` holds.
    async fn lay(&self, node: u64, target: Arc<Mutex<SocketAddr>>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cut = self.cut.clone();
        tokio::spawn(async move {
            loop {
                let (from, _) = listener.accept().await.unwrap();
                let target = *target.lock();
                tokio::spawn(carry(from, target, node, cut.subscribe()));
            }
        });
        address
    }
}

/// Carries one connection while both of its ends are there to be heard; then it is silent until that changes, and is
/// closed: what was said meanwhile is lost.
async fn carry(mut from: TcpStream, target: SocketAddr, node: u64, mut cut: watch::Receiver<BTreeSet<u64>>) {
    // The caller's id stands in its hello, behind length, frame header, magic, versions and cluster.
    let mut hello = vec![0; 52];
    if from.read_exact(&mut hello).await.is_err() {
        return;
    }
    let caller = u64::from_le_bytes(hello[43..51].try_into().unwrap());
    let are_heard = |cut: &BTreeSet<u64>| !cut.contains(&caller) && !cut.contains(&node);
    if are_heard(&cut.borrow_and_update()) {
        let Ok(mut to) = TcpStream::connect(target).await else { return };
        if to.write_all(&hello).await.is_err() {
            return;
        }
        tokio::select! {
            _closed = copy_bidirectional(&mut from, &mut to) => return,
            _cut = cut.wait_for(|cut| !are_heard(cut)) => {}
        }
    }
    let _healed = cut.wait_for(are_heard).await;
}

/// A node that may be killed and started again.
struct Place {
    id: u64,
    disks: Disks,
    listens_at: Arc<Mutex<SocketAddr>>,
    /// Where the others find it.
    address: SocketAddr,
    node: Option<Arc<Node<MemoryEngine>>>,
}

impl Place {
    async fn start(&mut self, founds: bool) {
        let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        *self.listens_at.lock() = socket.address();
        let peering = Peering { socket, security: Security::Plain, address: self.address.to_string(), founds };
        let Disks { log, mark, tables, memory_bytes, levels } = self.disks.clone();
        let identity = Identity { cluster: ClusterId([1; 16]), node_id: self.id, levels };
        let environment: SharedEnvironment = TestMachine::new();
        let stores = Stores { log, mark, tables, directories: vec![] };
        let node = Node::start_among(stores, identity, memory_bytes, environment, Some(peering)).await.unwrap();
        self.node = Some(Arc::new(node));
    }

    /// As by a power cut: of the log only what was synced is left.
    async fn kill(&mut self) {
        self.kill_keeping(0).await;
    }

    /// Of the state, what was flushed is left and the first `kept` batches after it.
    async fn kill_keeping(&mut self, kept: usize) {
        let node = Arc::into_inner(self.node.take().unwrap()).expect("nobody uses a node that is killed");
        node.halt().await;
        self.disks = self.disks.after_power_cut(Unsynced::Lost, kept);
    }
}

struct Nodes {
    wires: Wires,
    places: Vec<Place>,
}

impl Nodes {
    /// A cluster of that many voters, which the first founded.
    async fn start(count: u64) -> Self {
        Self::start_with(count, MEMORY_BYTES).await
    }

    async fn start_with(count: u64, memory_bytes: usize) -> Self {
        let wires = Wires { cut: watch::Sender::default() };
        let mut places = Vec::new();
        for id in 1..=count {
            let listens_at = Arc::new(Mutex::new("127.0.0.1:1".parse().unwrap()));
            let address = wires.lay(id, Arc::clone(&listens_at)).await;
            let disks = Disks { memory_bytes, ..Disks::new(Power::steady()) };
            let mut place = Place { id, disks, listens_at, address, node: None };
            place.start(id == 1).await;
            places.push(place);
        }
        let nodes = Self { wires, places };
        let founder = nodes.node(1);
        founder.wait_recovered(soon()).await.unwrap();
        for place in &nodes.places[1..] {
            founder.take_in(place.id, place.address.to_string()).await;
        }
        for id in 1..=count {
            nodes.node(id).wait_recovered(soon()).await.unwrap();
        }
        nodes
    }

    fn node(&self, id: u64) -> Arc<Node<MemoryEngine>> {
        Arc::clone(self.places[usize::try_from(id - 1).unwrap()].node.as_ref().unwrap())
    }

    fn ids(&self) -> Vec<u64> {
        self.places.iter().filter(|place| place.node.is_some()).map(|place| place.id).collect()
    }

    fn place(&mut self, id: u64) -> &mut Place {
        &mut self.places[usize::try_from(id - 1).unwrap()]
    }

    /// The node that all of these take for the leader.
    async fn leader(&self, of: &[u64]) -> u64 {
        let deadline = soon();
        loop {
            let named: BTreeSet<Option<u64>> = of.iter().map(|id| self.node(*id).status().leader).collect();
            if let (1, Some(Some(leader))) = (named.len(), named.first()) {
                return *leader;
            }
            assert!(Instant::now() < deadline, "no leader: {named:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Every node has applied as much as the others, and the same.
    async fn are_equal(&self, position: Position) {
        for id in self.ids() {
            self.node(id).wait_position(position, soon()).await.unwrap();
        }
        let heads: BTreeSet<_> =
            self.ids().into_iter().map(|id| self.node(id).reader().read(|view| view.head_hash())).collect();
        assert_eq!(heads.len(), 1, "equal heads at equal positions");
    }
}

/// Sends until it is decided, as a client does: with the same key, to any of these nodes.
async fn decide(nodes: &Nodes, among: &[u64], number: u64) -> Position {
    let deadline = soon();
    for id in among.iter().cycle() {
        match nodes.node(*id).submit(vec![command(number)], in_ms(3_000)).await {
            Ok(answers) => return position_of(&answers[0]),
            Err(SubmitError::NoLeader | SubmitError::OutcomeUnknown | SubmitError::Overloaded { .. }) => {
                assert!(Instant::now() < deadline, "{number} is not decided");
                sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("the nodes are asked in a circle")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_takes_writes_and_serves_linearizable_reads() {
    for count in [3, 5] {
        let nodes = Nodes::start(count).await;
        let mut position = Position(0);
        for number in 1..=20 {
            let node = nodes.node(number % count + 1);
            let answers = node.submit(vec![command(number)], soon()).await.unwrap();
            position = position.next();
            let Answer::Decided(decision) = &answers[0] else { panic!("{answers:?}") };
            assert_eq!(decision.position, position);
            // Its own writes are there to be read, and the others' after a barrier.
            assert_eq!(node.reader().decision(position).unwrap().as_ref(), Some(&**decision));
            for id in nodes.ids() {
                nodes.node(id).barrier(soon()).await.unwrap();
                assert!(nodes.node(id).reader().position() >= position, "node {id}");
            }
        }
        // A large batch, replays of others' writes and reused keys, each in its place.
        for id in nodes.ids() {
            let first = 1_000 * id;
            let mut mixed = commands(first, first + 499);
            mixed.extend(commands(1, 3));
            let reused = partita_core::id::Fingerprint([2; 16]);
            mixed.push(partita_core::decision::Command { fingerprint: reused, ..command(4) });
            mixed.extend(commands(first + 500, first + 510));
            let answers = nodes.node(id).submit(mixed, soon()).await.unwrap();
            let decided = answers.iter().filter_map(|answer| match answer {
                Answer::Decided(decision) => Some(decision.position.0),
                Answer::Replayed { .. } | Answer::KeyReused { .. } => None,
            });
            assert_eq!(decided.collect::<Vec<_>>(), (position.0 + 1..=position.0 + 511).collect::<Vec<_>>());
            assert_eq!(answers[500..503], [1, 2, 3].map(|at| Answer::Replayed { position: Position(at) }));
            assert_eq!(answers[503], Answer::KeyReused { position: Position(4) });
            position = Position(position.0 + 511);
        }
        nodes.are_equal(position).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writers_on_all_nodes_read_what_they_wrote() {
    let nodes = Nodes::start(3).await;
    let mut writers = Vec::new();
    for writer in 0..30 {
        let node = nodes.node(writer % 3 + 1);
        writers.push(tokio::spawn(async move {
            let mut seen = Position(0);
            for round in 0..20 {
                let answers = node.submit(vec![command(writer * 100 + round)], soon()).await.unwrap();
                let position = position_of(&answers[0]);
                assert!(position > seen && node.reader().position() >= position);
                node.barrier(soon()).await.unwrap();
                seen = node.reader().position();
                assert!(seen >= position);
            }
        }));
    }
    for writer in writers {
        timeout_at(soon(), writer).await.unwrap().unwrap();
    }
    nodes.are_equal(Position(600)).await;
}

/// A replay points far back; what its caller may read after it is as new as anything that was acknowledged before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_on_any_node_shows_no_less_than_was_acknowledged_before_it() {
    let nodes = Nodes::start(3).await;
    let leader = nodes.leader(&[1, 2, 3]).await;
    let mut acknowledged = decide(&nodes, &[leader], 1).await;
    for number in 2..=100 {
        let answers = nodes.node(leader).submit(commands(1_000 * number, 1_000 * number + 9), soon()).await.unwrap();
        acknowledged = position_of(&answers[9]).max(acknowledged);
        for id in nodes.ids() {
            let answers = nodes.node(id).submit(vec![command(1)], soon()).await.unwrap();
            assert_eq!(answers, [Answer::Replayed { position: Position(1) }]);
            let position = nodes.node(id).reader().position();
            assert!(position >= acknowledged, "node {id} is at {position} after {acknowledged} was acknowledged");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_is_replaced_and_catches_up() {
    let mut nodes = Nodes::start(3).await;
    for number in 1..=50 {
        decide(&nodes, &[1, 2, 3], number).await;
    }
    let leader = nodes.leader(&[1, 2, 3]).await;
    nodes.place(leader).kill().await;
    let rest = nodes.ids();
    for number in 51..=100 {
        decide(&nodes, &rest, number).await;
    }
    assert_ne!(nodes.leader(&rest).await, leader);
    nodes.place(leader).start(false).await;
    for number in 1..=100 {
        assert_eq!(decide(&nodes, &[leader], number).await, Position(number), "the first decision is the only one");
    }
    nodes.are_equal(Position(100)).await;

    // All at once, and again: the nodes elect a leader though none is ready to serve.
    for id in nodes.ids() {
        nodes.place(id).kill().await;
    }
    for id in 1..=3 {
        nodes.place(id).start(false).await;
    }
    for id in 1..=3 {
        nodes.node(id).wait_recovered(soon()).await.unwrap();
        assert_eq!(nodes.node(id).reader().position(), Position(100));
    }
    assert_eq!(decide(&nodes, &[1, 2, 3], 101).await, Position(101));
    nodes.are_equal(Position(101)).await;
}

/// Makes a checkpoint of every few books, and purges the log behind them.
const SMALL_MEMORY_BYTES: usize = 64 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_the_log_does_not_reach_any_more_gets_a_snapshot() {
    let mut nodes = Nodes::start_with(3, SMALL_MEMORY_BYTES).await;
    for number in 1..=20 {
        decide(&nodes, &[1, 2, 3], number).await;
    }
    let leader = nodes.leader(&[1, 2, 3]).await;
    let away = leader % 3 + 1;
    nodes.node(away).wait_position(Position(20), soon()).await.unwrap();
    nodes.place(away).kill().await;
    let had = nodes.place(away).disks.log.last_index().unwrap();
    let rest = nodes.ids();
    let mut last = 20;
    let had = had.expect("it had written something");
    let reaches_back = |place: &Place| place.disks.log.first_index().unwrap().is_none_or(|first| first <= had + 1);
    while nodes.places.iter().any(|place| place.id != away && reaches_back(place)) {
        nodes.node(leader).submit(commands(last + 1, last + 100), soon()).await.unwrap();
        last += 100;
        assert!(last < 50_000, "the log is bounded");
    }
    nodes.place(away).start(false).await;
    // Writes go on while it gets the state, through the leader and then through itself.
    for number in last + 1..=last + 20 {
        decide(&nodes, &rest, number).await;
    }
    last += 20;
    nodes.are_equal(Position(last)).await;
    assert!(is_installed(nodes.place(away)), "the log does not reach back to {had}");
    assert_eq!(decide(&nodes, &[away], last).await, Position(last));
    assert_eq!(decide(&nodes, &[away], last + 1).await, Position(last + 1));
    nodes.are_equal(Position(last + 1)).await;

    // It starts again on what was installed, and is the leader's equal.
    nodes.place(away).kill().await;
    nodes.place(away).start(false).await;
    nodes.are_equal(Position(last + 1)).await;
    for id in [1, 2, 3] {
        let report = partita_storage::verify::verify(&nodes.place(id).disks.tables.engine().snapshot());
        assert!(report.is_clean(), "node {id}: {report}");
    }
}

fn is_installed(place: &Place) -> bool {
    place.disks.tables.files().read("state.current").unwrap().is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_ends_lets_another_lead_before() {
    let nodes = Nodes::start(3).await;
    decide(&nodes, &[1, 2, 3], 1).await;
    let old = nodes.leader(&[1, 2, 3]).await;
    let rest: Vec<u64> = nodes.ids().into_iter().filter(|id| *id != old).collect();
    let began = Instant::now();
    nodes.node(old).shutdown(soon()).await;
    // Without a hand-over they would still take the old one for the leader, until they miss it.
    assert_ne!(nodes.leader(&rest).await, old, "{:?}", began.elapsed());
    assert_eq!(decide(&nodes, &rest, 2).await, Position(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_nobody_hears_takes_no_writes_and_confirms_no_reads() {
    let nodes = Nodes::start(3).await;
    decide(&nodes, &[1, 2, 3], 1).await;
    let old = nodes.leader(&[1, 2, 3]).await;
    let alone = nodes.node(old);
    let rest: Vec<u64> = nodes.ids().into_iter().filter(|id| *id != old).collect();
    // That nobody writes for a while is not silence.
    sleep(Duration::from_millis(2_500)).await;
    for id in nodes.ids() {
        nodes.node(id).submit(vec![command(1)], soon()).await.unwrap();
    }
    nodes.wires.cut(old);
    let cut_at = Instant::now();
    // Taken before the silence is noticed: one is told at its deadline, one when its proposal is thrown away.
    let in_flight = tokio::spawn({
        let alone = Arc::clone(&alone);
        async move { alone.submit(vec![command(2)], in_ms(700)).await }
    });
    let patient = tokio::spawn({
        let alone = Arc::clone(&alone);
        async move { alone.submit(vec![command(3)], soon()).await }
    });
    // Handed to it by a node that has not noticed either: it waits for no leader that was replaced.
    let handed_on = tokio::spawn({
        let node = nodes.node(rest[0]);
        async move { node.submit(vec![command(50)], soon()).await }
    });
    let reading = alone.barrier(soon()).await;
    assert_eq!(reading, Err(ReadError::NoLeader));
    assert_eq!(timeout_at(soon(), in_flight).await.unwrap().unwrap(), Err(SubmitError::OutcomeUnknown));
    while alone.status().role == Role::Leader {
        sleep(Duration::from_millis(5)).await;
    }
    assert!(cut_at.elapsed() < Duration::from_millis(2_500), "{:?}", cut_at.elapsed());
    assert_eq!(alone.status().leader, None);
    assert_eq!(alone.submit(vec![command(4)], soon()).await, Err(SubmitError::NoLeader));
    assert_eq!(alone.barrier(soon()).await, Err(ReadError::NoLeader));
    assert_eq!(timeout_at(in_ms(4_000), handed_on).await.unwrap().unwrap(), Err(SubmitError::OutcomeUnknown));
    // The others go on, and read their writes.
    decide(&nodes, &rest, 5).await;
    assert_ne!(nodes.leader(&rest).await, old);
    for number in 6..=20 {
        let position = decide(&nodes, &rest, number).await;
        for id in &rest {
            nodes.node(*id).barrier(soon()).await.unwrap();
            assert!(nodes.node(*id).reader().position() >= position);
        }
    }
    assert_eq!(alone.reader().position(), Position(1), "what nobody confirmed is not applied");
    nodes.wires.heal();
    assert_eq!(timeout_at(soon(), patient).await.unwrap().unwrap(), Err(SubmitError::OutcomeUnknown));
    // Sent again they are decided once, wherever they are sent.
    let position = decide(&nodes, &[old], 3).await;
    assert_eq!(decide(&nodes, &rest, 3).await, position);
    let last = decide(&nodes, &[old], 21).await;
    nodes.are_equal(last).await;
}

/// The leader's log is held up: a follower's sync and another's are a quorum all the same, because entries are sent
/// before they are synced here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_sync_while_the_leader_does() {
    let nodes = Nodes::start(3).await;
    decide(&nodes, &[1], 1).await;
    let leader = nodes.leader(&[1, 2, 3]).await;
    let disks = nodes.places[usize::try_from(leader - 1).unwrap()].disks.clone();
    disks.log.gate.close();
    let answers = nodes.node(leader).submit(commands(2, 11), soon()).await.unwrap();
    assert_eq!(position_of(&answers[9]), Position(11));
    let following: Vec<u64> = nodes.ids().into_iter().filter(|id| *id != leader).collect();
    let answers = nodes.node(following[0]).submit(commands(12, 21), soon()).await.unwrap();
    assert_eq!(position_of(&answers[9]), Position(21));
    disks.log.gate.open();
    nodes.are_equal(Position(21)).await;
}

/// Messages reach a follower one behind the other, and what waits for its disk shares one sync.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_syncs_together_what_came_one_after_the_other() {
    let nodes = Nodes::start(3).await;
    decide(&nodes, &[1], 1).await;
    let leader = nodes.leader(&[1, 2, 3]).await;
    let slow = nodes.ids().into_iter().find(|id| *id != leader).unwrap();
    let disks = nodes.places[usize::try_from(slow - 1).unwrap()].disks.clone();
    disks.log.gate.close();
    // The other follower and the leader are a quorum; each write is an entry and a message of its own.
    for number in 2..=20 {
        nodes.node(leader).submit(vec![command(number)], soon()).await.unwrap();
    }
    nodes.node(slow).wait_position(Position(20), soon()).await.unwrap();
    disks.log.commits.lock().clear();
    disks.log.gate.open();
    let deadline = soon();
    while disks.log.commits.lock().iter().sum::<usize>() < 19 {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(1)).await;
    }
    let commits = disks.log.commits.lock().clone();
    assert!(commits.iter().any(|entries| *entries >= 15), "{commits:?}");
    nodes.are_equal(Position(20)).await;
}

/// What is committed may be applied here before it is durable here; a checkpoint of it may not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_is_never_ahead_of_the_log() {
    let mut nodes = Nodes::start(3).await;
    decide(&nodes, &[1], 1).await;
    let leader = nodes.leader(&[1, 2, 3]).await;
    let held = nodes.ids().into_iter().find(|id| *id != leader).unwrap();
    let disks = nodes.places[usize::try_from(held - 1).unwrap()].disks.clone();
    disks.log.gate.close();
    for number in 2..=10 {
        nodes.node(leader).submit(vec![command(number)], soon()).await.unwrap();
    }
    nodes.node(held).wait_position(Position(10), soon()).await.unwrap();
    let before = disks.tables.engine().operations();
    let checkpoint = nodes.node(held).order_checkpoint().await;
    let waited = timeout_at(in_ms(300), checkpoint).await;
    assert!(waited.is_err(), "the log holds nothing of what it would include");
    assert_eq!(disks.tables.engine().operations(), before);
    // The power goes, and the log with it; of the state everything is left that was written.
    nodes.place(held).kill_keeping(usize::MAX).await;
    disks.log.gate.open();
    nodes.place(held).start(false).await;
    nodes.are_equal(Position(10)).await;

    // With a log that keeps up it is made.
    let checkpoint = nodes.node(held).order_checkpoint().await;
    let durable = timeout_at(soon(), checkpoint).await.unwrap().unwrap();
    assert_eq!(durable.unwrap().position, Position(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_of_a_cluster_does_not_start_where_nobody_reaches_it() {
    let mut nodes = Nodes::start(3).await;
    nodes.place(2).kill().await;
    let Disks { log, mark, tables, memory_bytes, levels } = nodes.places[1].disks.clone();
    let identity = Identity { cluster: ClusterId([1; 16]), node_id: 2, levels };
    let environment: SharedEnvironment = TestMachine::new();
    let error =
        Node::start_with(Stores { log, mark, tables, directories: vec![] }, identity, memory_bytes, environment).await;
    assert!(matches!(error.map(|_| ()), Err(StartError::NotListening)));
}
