//! Who is taken in, and what is not changed: decided by a real leader over disks that lose power.

use partita_storage::engine::MemoryEngine;
use partita_storage::log::memory::{Power, Unsynced};

use super::change::{Change, ChangeError, ChangeRefusal};
use super::message::{ClusterRequest, ClusterResponse, Failure, Join};
use super::status::Standing;
use crate::Node;
use crate::data_directory::ClusterId;
use crate::environment::SharedEnvironment;
use crate::node::{Identity, Peering, Stores};
use crate::peer::{Security, Socket};
use crate::raft_types::Instance;
use crate::testing::{Disks, TestMachine, command, soon};

const CLUSTER: ClusterId = ClusterId([1; 16]);

/// The founder of a cluster, which nobody else answers.
async fn founder(disks: &Disks) -> Node<MemoryEngine> {
    let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = "n1:7071".to_owned();
    let peering = Peering { socket, security: Security::Plain, address, founds: true };
    let Disks { log, mark, tables, memory_bytes, levels } = disks.clone();
    let identity = Identity { cluster: CLUSTER, node_id: 1, levels };
    let environment: SharedEnvironment = TestMachine::new();
    let stores = Stores { log, mark, tables, directories: vec![] };
    let node = Node::start_among(stores, identity, memory_bytes, environment, Some(peering)).await.unwrap();
    node.wait_recovered(soon()).await.unwrap();
    node
}

fn address(node_id: u64) -> String {
    // A name that is never resolved: nobody is there.
    format!("n{node_id}.invalid:7071")
}

/// What a node is told that asks to be taken in.
async fn join(node: &Node<MemoryEngine>, node_id: u64, address: String, drawn: u8) -> Result<(), ChangeRefusal> {
    let join = Join { node_id, address, instance: Instance([drawn; 16]), standby: false };
    let answer = node.cluster().handle(ClusterRequest::Join(join), true, soon()).await;
    if let ClusterResponse::Failed(Failure::Refused(refusal)) = answer {
        return Err(refusal);
    }
    assert_eq!(answer, ClusterResponse::Joined(CLUSTER));
    Ok(())
}

async fn change(node: &Node<MemoryEngine>, change: Change) -> Result<(), ChangeRefusal> {
    match node.cluster().change(change, soon()).await {
        Ok(()) => Ok(()),
        Err(ChangeError::Refused(refusal)) => Err(refusal),
        Err(other) => panic!("{other}"),
    }
}

fn add(node_id: u64, address: String) -> Change {
    Change::Add { node_id, address, standby: true }
}

async fn standings(node: &Node<MemoryEngine>) -> Vec<(u64, Standing)> {
    let status = node.cluster().status(soon()).await;
    status.members.into_iter().map(|member| (member.node_id, member.standing)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_taken_in_once_and_known_again_and_no_other_in_its_place() {
    let node = founder(&Disks::new(Power::steady())).await;
    let taken = |node_id, greatest| Err(ChangeRefusal::IdIsMember { node_id, greatest });
    assert_eq!(join(&node, 3, address(3), 30).await, Ok(()));
    // Its answer was lost: it asks again.
    assert_eq!(join(&node, 3, address(3), 30).await, Ok(()));
    assert_eq!(join(&node, 3, address(3), 31).await, taken(3, 3));
    assert_eq!(join(&node, 1, address(1), 10).await, taken(1, 3));
    let used = Err(ChangeRefusal::AddressTaken { address: address(3), node_id: 3 });
    assert_eq!(join(&node, 2, address(3), 20).await, used);
    // Ids need not come in order.
    assert_eq!(join(&node, 2, address(2), 20).await, Ok(()));
    assert_eq!(join(&node, 0, address(4), 40).await, Err(ChangeRefusal::BadId));
    for bad in ["n4", "n4:", "n4:0", "n4:99999", ":7071", "n 4:7071", ""] {
        let refused = Err(ChangeRefusal::BadAddress { address: bad.to_owned() });
        assert_eq!(join(&node, 4, bad.to_owned(), 40).await, refused, "{bad:?}");
    }
    let learners = [(1, Standing::Voter), (2, Standing::Learner), (3, Standing::Learner)];
    assert_eq!(standings(&node).await, learners);
    // Learners that nobody hears hold up nothing.
    node.submit(vec![command(1)], soon()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_announced_node_comes_from_where_it_was_announced() {
    let node = founder(&Disks::new(Power::steady())).await;
    assert_eq!(change(&node, add(2, address(2))).await, Ok(()));
    assert_eq!(change(&node, add(2, address(2))).await, Ok(()), "it is so already");
    let greatest = 2;
    assert_eq!(change(&node, add(2, address(5))).await, Err(ChangeRefusal::IdIsMember { node_id: 2, greatest }));
    assert_eq!(change(&node, Change::Promote { node_id: 2 }).await, Err(ChangeRefusal::NotComeYet { node_id: 2 }));
    assert_eq!(standings(&node).await, [(1, Standing::Voter), (2, Standing::Announced)]);
    let elsewhere = ChangeRefusal::OtherAddress { node_id: 2, announced: address(2), address: address(5) };
    assert_eq!(join(&node, 2, address(5), 20).await, Err(elsewhere));
    assert_eq!(join(&node, 2, address(2), 20).await, Ok(()));
    assert_eq!(join(&node, 2, address(2), 21).await, Err(ChangeRefusal::IdIsMember { node_id: 2, greatest }));
    assert_eq!(standings(&node).await, [(1, Standing::Voter), (2, Standing::Standby)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_leave_no_cluster_is_refused() {
    let node = founder(&Disks::new(Power::steady())).await;
    assert_eq!(join(&node, 2, address(2), 20).await, Ok(()));
    let silent = Err(ChangeRefusal::Silent { node_id: 2 });
    assert_eq!(change(&node, Change::Promote { node_id: 2 }).await, silent);
    assert_eq!(change(&node, Change::Promote { node_id: 1 }).await, Ok(()), "it votes already");
    let stranger = Err(ChangeRefusal::NotAMember { node_id: 7 });
    assert_eq!(change(&node, Change::Promote { node_id: 7 }).await, stranger);
    assert_eq!(change(&node, Change::Remove { node_id: 7 }).await, stranger);
    assert_eq!(change(&node, Change::Remove { node_id: 1 }).await, Err(ChangeRefusal::LastVoter { node_id: 1 }));
    let learner = Err(ChangeRefusal::NotAVoter { node_id: 2 });
    assert_eq!(change(&node, Change::TransferLeader { to: Some(2) }).await, learner);
    assert_eq!(change(&node, Change::TransferLeader { to: Some(1) }).await, Ok(()), "it leads already");
    assert_eq!(change(&node, Change::TransferLeader { to: None }).await, Err(ChangeRefusal::NobodyElse));
    node.submit(vec![command(1)], soon()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_nodes_id_is_never_given_again() {
    let was = |greatest| Err(ChangeRefusal::IdWasMember { node_id: 2, greatest });
    let disks = Disks::new(Power::steady());
    let node = founder(&disks).await;
    assert_eq!(join(&node, 2, address(2), 20).await, Ok(()));
    assert_eq!(change(&node, Change::Remove { node_id: 2 }).await, Ok(()));
    // Not even to the very node that had it: it may have lost its data since.
    assert_eq!(join(&node, 2, address(2), 20).await, was(2));
    assert_eq!(change(&node, add(2, address(2))).await, was(2));
    node.halt().await;

    // Replayed from the log, then read from a checkpoint behind which the log is gone.
    let disks = disks.after_power_cut(Unsynced::Lost, 0);
    let node = founder(&disks).await;
    assert_eq!(join(&node, 2, address(2), 20).await, was(2));
    node.shutdown(soon()).await;
    let disks = disks.after_power_cut(Unsynced::Lost, 0);
    let node = founder(&disks).await;
    assert_eq!(join(&node, 2, address(2), 20).await, was(2));
    assert_eq!(join(&node, 3, address(3), 30).await, Ok(()));
}
