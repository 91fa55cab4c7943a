//! What the simulator (`src/bin/simulate/`) needs of a node beside its public face: streams, doors and draws that it
//! gives, and a look at raft and at what nodes say to each other. A node outside of it uses none of this.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::raft::AppendEntriesResponse;
use partita_core::decision::Command;
use partita_storage::codec::{Level, Levels};
use partita_storage::engine::TableEngine;
use partita_storage::log::{EntryId, LogEngine, MarkStore, Vote};
use partita_storage::snapshot::TableStore;

use crate::cluster::joining::{self, JoinError};
use crate::cluster::message::Join;
use crate::data_directory::ClusterId;
use crate::environment::SharedEnvironment;
use crate::node::{Identity, Peering, Stores};
use crate::peer::frame::{self, Kind};
use crate::peer::message::{Request, Response};
use crate::peer::{PeerIdentity, Peers, Security, Socket};
use crate::proposal::{Decoded, decode_proposal};
use crate::raft_types::{Instance, entry_id, stored_vote};
use crate::{Node, StartError, raft_runtime};

pub use crate::peer::{BoxStream, Carrier, Door, Stream};

/// From now on everything that raft draws on this thread follows from `seed`.
pub fn seed_raft(seed: u64) {
    raft_runtime::seed(seed);
}

/// How a node reaches others and is reached.
#[derive(Debug)]
pub struct Place {
    pub carrier: Arc<dyn Carrier>,
    pub door: Box<dyn Door>,
    pub address: SocketAddr,
    /// Whether a node without a log founds a cluster. If not, it waits to be taken into one.
    pub founds: bool,
}

/// Starts a node among others.
pub async fn start<L: LogEngine, M: MarkStore, S: TableStore>(
    stores: Stores<L, M, S>,
    identity: Identity,
    memory_bytes: usize,
    environment: SharedEnvironment,
    place: Place,
) -> Result<Node<S::Engine>, StartError> {
    let peering = Peering {
        socket: Socket::simulated(place.door, place.address),
        security: Security::Simulated(place.carrier),
        address: place.address.to_string(),
        founds: place.founds,
    };
    Node::start_among(stores, identity, memory_bytes, environment, Some(peering)).await
}

/// Has a node with nothing on its disks taken into a cluster, as [`crate::join_cluster`] does.
pub async fn join(
    carrier: Arc<dyn Carrier>,
    node_id: u64,
    address: SocketAddr,
    instance: [u8; 16],
    contacts: &[String],
) -> Result<ClusterId, JoinError> {
    let outside = PeerIdentity { cluster: None, node_id, levels: Levels::OWN };
    let peers = Peers::new(outside, Security::Simulated(carrier));
    let ask = Join { node_id, address: address.to_string(), instance: Instance(instance), standby: false };
    joining::join(&peers, &ask, contacts).await
}

/// What raft says of itself on one node.
#[derive(Clone, Debug)]
pub struct RaftSeen {
    /// Whether it takes itself for the leader, however long nobody has answered it.
    pub leads: bool,
    pub term: u64,
    pub vote: Vote,
    pub last_index: Option<u64>,
    pub committed: Option<EntryId>,
    pub applied: Option<EntryId>,
    pub purged: Option<EntryId>,
    pub voters: Vec<u64>,
    pub members: Vec<u64>,
    /// Up to where each follower has what the leader has.
    pub matched: Vec<(u64, EntryId)>,
}

/// Raft on this node, as it last said.
#[must_use]
pub fn raft<T: TableEngine>(node: &Node<T>) -> RaftSeen {
    let metrics = node.raft().metrics();
    let metrics = metrics.borrow_watched();
    let membership = metrics.membership_config.membership();
    let replication = metrics.replication.iter().flatten();
    RaftSeen {
        leads: metrics.state == ServerState::Leader,
        term: metrics.current_term,
        vote: stored_vote(&metrics.vote),
        last_index: metrics.last_log_index,
        committed: metrics.local_committed.as_ref().map(entry_id),
        applied: metrics.last_applied.as_ref().map(entry_id),
        purged: metrics.purged.as_ref().map(entry_id),
        voters: membership.voter_ids().collect(),
        members: membership.nodes().map(|(id, _)| *id).collect(),
        matched: replication.filter_map(|(id, upto)| upto.as_ref().map(|upto| (*id, entry_id(upto)))).collect(),
    }
}

/// The commands of a raft entry, where `active` held before it; and what holds after it.
pub fn commands(payload: &[u8], active: Option<Level>) -> Result<(Vec<Command>, Option<Level>), String> {
    let Decoded { pieces, level } =
        decode_proposal(payload, active, Levels::OWN).map_err(|error| crate::errors::chain(&error))?;
    Ok((pieces.concat(), level))
}

/// What one node says to another and must keep to, whatever happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It asks for votes, and so has given itself its own.
    Stands { vote: Vote },
    /// It leads, and sends its log.
    Leads { vote: Vote },
    /// It has given its vote.
    Granted { vote: Vote },
    /// It has a leader's log up to here.
    Has { leader: Vote, upto: EntryId },
}

/// One connection, overheard.
#[derive(Debug, Default)]
pub struct Conversation {
    from_caller: BytesMut,
    from_called: BytesMut,
    asked: BTreeMap<u64, Asked>,
}

#[derive(Debug)]
enum Asked {
    Vote,
    Append { leader: Vote, upto: Option<EntryId> },
}

impl Conversation {
    /// Bytes on their way to whoever was called.
    pub fn caller_says(&mut self, bytes: &[u8]) -> Vec<Said> {
        self.from_caller.extend_from_slice(bytes);
        let mut said = Vec::new();
        while let Some(frame) = next_frame(&mut self.from_caller) {
            if frame.kind != Kind::Request || !concerns_raft(&frame.payload) {
                continue;
            }
            match Request::take(&frame.payload) {
                Ok(Request::Vote(vote)) => {
                    said.push(Said::Stands { vote: stored_vote(&vote.vote) });
                    self.asked.insert(frame.id, Asked::Vote);
                }
                Ok(Request::Append(append)) => {
                    let leader = stored_vote(&append.vote);
                    said.push(Said::Leads { vote: leader });
                    let upto = append.entries.last().map(|entry| &entry.log_id).or(append.prev_log_id.as_ref());
                    self.asked.insert(frame.id, Asked::Append { leader, upto: upto.map(entry_id) });
                }
                Ok(_) | Err(_) => {}
            }
        }
        said
    }

    /// Bytes on their way back.
    pub fn called_says(&mut self, bytes: &[u8]) -> Vec<Said> {
        self.from_called.extend_from_slice(bytes);
        let mut said = Vec::new();
        while let Some(frame) = next_frame(&mut self.from_called) {
            let Some(asked) = self.asked.remove(&frame.id) else { continue };
            if frame.kind != Kind::Response {
                continue;
            }
            match (asked, Response::take(&frame.payload)) {
                (Asked::Vote, Ok(Response::Vote(answer))) if answer.vote_granted => {
                    said.push(Said::Granted { vote: stored_vote(&answer.vote) });
                }
                (Asked::Append { leader, upto }, Ok(Response::Append(answer))) => {
                    let upto = match answer {
                        AppendEntriesResponse::Success => upto,
                        AppendEntriesResponse::PartialSuccess(upto) => upto.as_ref().map(entry_id),
                        AppendEntriesResponse::Conflict | AppendEntriesResponse::HigherVote(_) => None,
                    };
                    said.extend(upto.map(|upto| Said::Has { leader, upto }));
                }
                (Asked::Vote | Asked::Append { .. }, Ok(_) | Err(_)) => {}
            }
        }
        said
    }
}

/// Appends and votes are the first two kinds of requests.
fn concerns_raft(payload: &[u8]) -> bool {
    payload.first().is_some_and(|kind| *kind < 2)
}

fn next_frame(stream: &mut BytesMut) -> Option<frame::Frame> {
    let length = u32::from_le_bytes(*stream.first_chunk::<4>()?);
    let whole = usize::try_from(length).ok()? + 4;
    if stream.len() < whole {
        return None;
    }
    let mut bytes = stream.split_to(whole);
    frame::decode(bytes.split_off(4)).ok()
}
