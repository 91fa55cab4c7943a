//! How a node without a cluster gets into one: it asks members, one after the other, until one of them says yes or no.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::change::ChangeRefusal;
use super::message::{ClusterRequest, ClusterResponse, Failure, Join};
use crate::data_directory::ClusterId;
use crate::errors::chain;
use crate::peer::message::{Request, Response};
use crate::peer::{Channel, ConnectionError, PeerAddress, PeerError, Peers, Refusal};

/// What one member may take to answer: as long as an election and a change.
const ANSWER: Duration = Duration::from_secs(10);
/// Before all are asked again.
const PAUSE: Duration = Duration::from_millis(500);
/// Between two lines that say that it goes on.
const SAY: Duration = Duration::from_secs(10);

/// Why a node is not taken in, however often it asks.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JoinError {
    #[error("the cluster does not take this node in")]
    Refused(#[source] ChangeRefusal),
    #[error("the member at {address} refuses to talk to this node: {reason}")]
    NotSpokenTo { address: String, reason: String },
    #[error("there is no member to ask: --join names only this node's own address")]
    Nobody,
}

/// Asks until it is taken in. Ends only with the cluster's id or a refusal: members that cannot be reached may yet come.
pub(crate) async fn join(peers: &Peers, join: &Join, contacts: &[String]) -> Result<ClusterId, JoinError> {
    // The same list may stand in the configuration of every node.
    let contacts: Vec<&String> = contacts.iter().filter(|contact| **contact != join.address).collect();
    if contacts.is_empty() {
        return Err(JoinError::Nobody);
    }
    let request = Request::Cluster(ClusterRequest::Join(join.clone()));
    let mut say_at = Instant::now();
    loop {
        let mut why = String::new();
        for contact in &contacts {
            let to = PeerAddress { address: (*contact).clone(), node_id: None };
            let answer = peers.call(&to, Channel::Control, &request, Instant::now() + ANSWER).await;
            match read(contact, answer)? {
                Ok(cluster) => return Ok(cluster),
                Err(reason) => why = format!("{contact}: {reason}"),
            }
        }
        if Instant::now() >= say_at {
            tracing::warn!(node = join.node_id, why, "not taken into the cluster yet: asking again");
            say_at = Instant::now() + SAY;
        }
        sleep(PAUSE).await;
    }
}

/// The cluster, or why to go on asking.
fn read(contact: &str, answer: Result<Response, PeerError>) -> Result<Result<ClusterId, String>, JoinError> {
    let failure = match answer {
        Ok(Response::Cluster(ClusterResponse::Joined(cluster))) => return Ok(Ok(cluster)),
        Ok(Response::Cluster(ClusterResponse::Failed(failure))) => failure,
        Ok(_other) => return Ok(Err("it answered something else".to_owned())),
        Err(error) => {
            if let Some(refusal) = refusal(&error).filter(|refusal| is_final(refusal)) {
                return Err(JoinError::NotSpokenTo { address: contact.to_owned(), reason: refusal.to_string() });
            }
            return Ok(Err(chain(&error)));
        }
    };
    match failure {
        Failure::Refused(refusal) => Err(JoinError::Refused(refusal)),
        Failure::NoLeader => Ok(Err("no leader is known".to_owned())),
        Failure::Busy => Ok(Err("another change is under way".to_owned())),
        Failure::Stopping => Ok(Err("it is shutting down".to_owned())),
        // Asked again it is known by its instance.
        Failure::OutcomeUnknown => Ok(Err("whether it took this node in is not known".to_owned())),
    }
}

fn refusal(error: &PeerError) -> Option<&Refusal> {
    match error {
        PeerError::Refused(refusal) => Some(refusal),
        PeerError::NotSent(source) | PeerError::Unknown(source) => {
            if let ConnectionError::Refused(refusal) = source.as_ref() { Some(refusal) } else { None }
        }
    }
}

/// Whether asking again cannot help.
fn is_final(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Version { .. }
        | Refusal::OtherCluster { .. }
        | Refusal::SameNode { .. }
        | Refusal::Levels { .. }
        | Refusal::ActiveLevel { .. }
        | Refusal::Unreadable => true,
        Refusal::OtherNode { .. } | Refusal::ClusterNotNamed | Refusal::Unavailable { .. } | Refusal::Stopping => false,
    }
}
