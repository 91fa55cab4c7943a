//! Who is at the other end: the first two frames of a connection, and every reason to go no further.
//!
//! The caller says hello: `"partita" ‖ versions ‖ cluster ‖ own id ‖ expected id ‖ levels ‖ active level ‖ channel`. The other side
//! welcomes it (`"partita" ‖ version ‖ cluster ‖ own id ‖ levels ‖ active level`) or refuses. A node that is not in a cluster yet
//! names none, and may only ask to be taken in. The active level is that of the log as the node knows it; who does not
//! know the other's can work on no log with it.

use partita_storage::codec::{Level, Levels};

use super::Channel;
use crate::codec::{CodecError, Input, put_text};
use crate::data_directory::ClusterId;

const MAGIC: &[u8] = b"partita";
/// Of the messages: the oldest and the newest that this program speaks.
const OLDEST_VERSION: u8 = 1;
const NEWEST_VERSION: u8 = 1;

/// Who this node is to its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerIdentity {
    /// None before a cluster has taken the node in.
    pub(crate) cluster: Option<ClusterId>,
    pub(crate) node_id: u64,
    pub(crate) levels: Levels,
}

/// Who calls, as the handshake found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// What it calls itself.
    pub(crate) node_id: u64,
    /// Whether it named this cluster. If not it may only ask to be taken in.
    pub(crate) knows_cluster: bool,
    pub(crate) levels: Levels,
    pub(crate) channel: Channel,
}

/// Why one side did nothing of what the other asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("it speaks versions {oldest} to {newest} of the protocol")]
    Version { oldest: u8, newest: u8 },
    #[error("it is of cluster {own}, not {named}")]
    OtherCluster { own: ClusterId, named: ClusterId },
    #[error("it is node {own}, not node {expected}")]
    OtherNode { own: u64, expected: u64 },
    #[error("it is node {node} itself: two nodes have the same id")]
    SameNode { node: u64 },
    #[error("it knows {own} of the replicated rules, not {named}")]
    Levels { own: Levels, named: Levels },
    #[error("replicated level {active} holds, and one of the two knows only {known}")]
    ActiveLevel { active: Level, known: Levels },
    #[error("a node without a cluster may only ask to be taken into one")]
    ClusterNotNamed,
    #[error("it cannot read the request")]
    Unreadable,
    #[error("it does not serve this now: {reason}")]
    Unavailable { reason: String },
    #[error("it is shutting down")]
    Stopping,
}

/// What a caller says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) identity: PeerIdentity,
    pub(super) active: Option<Level>,
    pub(super) expected: Option<u64>,
    pub(super) channel: Channel,
}

impl Hello {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[OLDEST_VERSION, NEWEST_VERSION]);
        put_cluster(out, self.identity.cluster);
        out.extend_from_slice(&self.identity.node_id.to_le_bytes());
        out.push(u8::from(self.expected.is_some()));
        out.extend_from_slice(&self.expected.unwrap_or_default().to_le_bytes());
        put_levels(out, self.identity.levels);
        out.push(Level::byte_of(self.active));
        out.push(self.channel.byte());
    }

    /// The hello, or why no version of the protocol is common to both.
    pub(super) fn take(bytes: &[u8]) -> Result<Result<Self, Refusal>, CodecError> {
        let mut input = Input::new("a hello", bytes);
        take_magic(&mut input)?;
        let (oldest, newest) = (input.byte()?, input.byte()?);
        if oldest > NEWEST_VERSION || newest < OLDEST_VERSION {
            return Ok(Err(Refusal::Version { oldest: OLDEST_VERSION, newest: NEWEST_VERSION }));
        }
        let cluster = take_cluster(&mut input)?;
        let node_id = input.integer()?;
        let expected = match (input.byte()?, input.integer()?) {
            (0, 0) => None,
            (1, node) => Some(node),
            _ => return Err(input.invalid()),
        };
        let levels = take_levels(&mut input)?;
        let active = Level::new(input.byte()?);
        let channel = input.byte()?;
        let channel = Channel::from_byte(channel).ok_or_else(|| input.invalid())?;
        input.end()?;
        Ok(Ok(Self { identity: PeerIdentity { cluster, node_id, levels }, active, expected, channel }))
    }

    /// Whether `own`, whose log is at the level `active`, may serve who said this.
    pub(super) fn check(&self, own: &PeerIdentity, active: Option<Level>) -> Result<Caller, Refusal> {
        if let (Some(own), Some(named)) = (own.cluster, self.identity.cluster)
            && own != named
        {
            return Err(Refusal::OtherCluster { own, named });
        }
        if let Some(expected) = self.expected.filter(|expected| *expected != own.node_id) {
            return Err(Refusal::OtherNode { own: own.node_id, expected });
        }
        if self.identity.node_id == own.node_id {
            return Err(Refusal::SameNode { node: own.node_id });
        }
        check_levels(own.levels, self.identity.levels)?;
        check_active(active, self.identity.levels)?;
        check_active(self.active, own.levels)?;
        Ok(Caller {
            node_id: self.identity.node_id,
            knows_cluster: own.cluster.is_some() && self.identity.cluster.is_some(),
            levels: self.identity.levels,
            channel: self.channel,
        })
    }
}

/// What the other side says to a caller that it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Welcome {
    pub(super) identity: PeerIdentity,
    pub(super) active: Option<Level>,
}

impl Welcome {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        out.push(NEWEST_VERSION);
        put_cluster(out, self.identity.cluster);
        out.extend_from_slice(&self.identity.node_id.to_le_bytes());
        put_levels(out, self.identity.levels);
        out.push(Level::byte_of(self.active));
    }

    pub(super) fn take(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut input = Input::new("a welcome", bytes);
        take_magic(&mut input)?;
        input.version(NEWEST_VERSION)?;
        let cluster = take_cluster(&mut input)?;
        let node_id = input.integer()?;
        let levels = take_levels(&mut input)?;
        let active = Level::new(input.byte()?);
        input.end()?;
        Ok(Self { identity: PeerIdentity { cluster, node_id, levels }, active })
    }

    /// Whether it is whom `hello` was meant for: the caller checks too, and trusts no other side to have done it.
    pub(super) fn check(&self, hello: &Hello) -> Result<(), Refusal> {
        if let (Some(named), Some(own)) = (hello.identity.cluster, self.identity.cluster)
            && own != named
        {
            return Err(Refusal::OtherCluster { own, named });
        }
        match hello.expected {
            Some(expected) if expected != self.identity.node_id => {
                Err(Refusal::OtherNode { own: self.identity.node_id, expected })
            }
            _ => {
                check_levels(self.identity.levels, hello.identity.levels)?;
                check_active(self.active, hello.identity.levels)
            }
        }
    }
}

fn check_levels(own: Levels, named: Levels) -> Result<(), Refusal> {
    if own.meet(named) { Ok(()) } else { Err(Refusal::Levels { own, named }) }
}

fn check_active(active: Option<Level>, known: Levels) -> Result<(), Refusal> {
    match active {
        Some(active) if !known.know(active) => Err(Refusal::ActiveLevel { active, known }),
        Some(_) | None => Ok(()),
    }
}

impl Refusal {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Version { oldest, newest } => out.extend_from_slice(&[0, *oldest, *newest]),
            Self::OtherCluster { own, named } => {
                out.push(1);
                out.extend_from_slice(&own.0);
                out.extend_from_slice(&named.0);
            }
            Self::OtherNode { own, expected } => {
                out.push(2);
                out.extend_from_slice(&own.to_le_bytes());
                out.extend_from_slice(&expected.to_le_bytes());
            }
            Self::SameNode { node } => {
                out.push(3);
                out.extend_from_slice(&node.to_le_bytes());
            }
            Self::Levels { own, named } => {
                out.push(4);
                put_levels(out, *own);
                put_levels(out, *named);
            }
            Self::ClusterNotNamed => out.push(5),
            Self::Unreadable => out.push(6),
            Self::Unavailable { reason } => {
                out.push(7);
                put_text(out, reason);
            }
            Self::Stopping => out.push(8),
            Self::ActiveLevel { active, known } => {
                out.extend_from_slice(&[9, active.number()]);
                put_levels(out, *known);
            }
        }
    }

    pub(super) fn take(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut input = Input::new("a refusal", bytes);
        let refusal = match input.byte()? {
            0 => Self::Version { oldest: input.byte()?, newest: input.byte()? },
            1 => Self::OtherCluster { own: take_cluster_id(&mut input)?, named: take_cluster_id(&mut input)? },
            2 => Self::OtherNode { own: input.integer()?, expected: input.integer()? },
            3 => Self::SameNode { node: input.integer()? },
            4 => Self::Levels { own: take_levels(&mut input)?, named: take_levels(&mut input)? },
            5 => Self::ClusterNotNamed,
            6 => Self::Unreadable,
            7 => Self::Unavailable { reason: input.text()? },
            8 => Self::Stopping,
            9 => {
                let active = Level::new(input.byte()?).ok_or_else(|| input.invalid())?;
                Self::ActiveLevel { active, known: take_levels(&mut input)? }
            }
            _ => return Err(input.invalid()),
        };
        input.end()?;
        Ok(refusal)
    }
}

fn take_magic(input: &mut Input<'_>) -> Result<(), CodecError> {
    if input.take(MAGIC.len())? == MAGIC { Ok(()) } else { Err(input.invalid()) }
}

fn put_cluster(out: &mut Vec<u8>, cluster: Option<ClusterId>) {
    out.push(u8::from(cluster.is_some()));
    out.extend_from_slice(&cluster.map_or([0; 16], |cluster| cluster.0));
}

fn take_cluster(input: &mut Input<'_>) -> Result<Option<ClusterId>, CodecError> {
    match (input.byte()?, take_cluster_id(input)?) {
        (0, ClusterId(bytes)) if bytes == [0; 16] => Ok(None),
        (1, cluster) => Ok(Some(cluster)),
        _ => Err(input.invalid()),
    }
}

fn take_cluster_id(input: &mut Input<'_>) -> Result<ClusterId, CodecError> {
    Ok(ClusterId(input.take(16)?.try_into().expect("sixteen bytes were taken")))
}

fn put_levels(out: &mut Vec<u8>, levels: Levels) {
    out.extend_from_slice(&[levels.oldest().number(), levels.newest().number()]);
}

fn take_levels(input: &mut Input<'_>) -> Result<Levels, CodecError> {
    let (oldest, newest) = (Level::new(input.byte()?), Level::new(input.byte()?));
    oldest.zip(newest).and_then(|(oldest, newest)| Levels::between(oldest, newest)).ok_or_else(|| input.invalid())
}
