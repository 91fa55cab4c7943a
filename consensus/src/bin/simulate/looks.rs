//! What is seen of each node after every step.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use partita_consensus::simulated::{RaftSeen, raft};
use partita_core::id::Position;

use crate::cluster::Cluster;
use crate::invariants::Witness;
use crate::oracle::Oracle;

/// One node that runs.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) node: u64,
    /// Which process this is on its machine.
    pub(crate) incarnation: u64,
    pub(crate) raft: RaftSeen,
    pub(crate) position: Position,
    /// The last entry that a durable checkpoint includes.
    pub(crate) durable_index: Option<u64>,
}

/// Everything that an invariant may look at.
pub(crate) struct Seen<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) oracle: &'a Oracle,
    pub(crate) looks: &'a BTreeMap<u64, Look>,
    pub(crate) witness: &'a Mutex<Witness>,
}

impl Seen<'_> {
    /// How many nodes were heard to vote for this term and node.
    pub(crate) fn votes_given(&self, ballot: (u64, u64)) -> usize {
        self.witness.lock().votes_given(ballot)
    }
}

pub(crate) fn look(cluster: &Cluster) -> BTreeMap<u64, Look> {
    let mut looks = BTreeMap::new();
    for (id, site) in &cluster.machines {
        let Some(node) = cluster.node(*id) else { continue };
        let durable_index = node.status().durable_index;
        let position = node.reader().position();
        let look = Look { node: *id, incarnation: site.incarnation, raft: raft(node), position, durable_index };
        looks.insert(*id, look);
    }
    looks
}
