//! The way to other nodes and from them: framed, checksummed requests and answers over TCP.
//!
//! [`Peers`] calls, [`Listener`] answers, [`message`] has what is said. Requests on one connection are pipelined and
//! arrive in the order they were sent in; each channel has a connection of its own, so that a heartbeat never waits
//! behind a batch or a snapshot. The raft port speaks nothing else. Knows of openraft only the types of its messages.
//! Formats, deadlines and bounds: `docs/cluster.md`.

mod carrier;
mod connection;
mod error;
pub(crate) mod frame;
mod handshake;
mod link;
mod listener;
pub(crate) mod message;
mod peers;
mod tls;

#[cfg(test)]
mod message_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;

use std::fmt;
use std::time::Duration;

pub use carrier::{BoxStream, Carrier, Door, Stream};
pub(crate) use error::{ConnectionError, PeerError};
pub(crate) use handshake::{Caller, PeerIdentity, Refusal};
pub(crate) use listener::{Handler, Listener, Socket};
pub(crate) use peers::{NotedLevels, Peers};
pub(crate) use tls::Security;
pub use tls::{TlsConfig, TlsError};

/// The most bytes of a frame after its length: a request of 16 MiB in our own form, or the raft entry made of it.
pub(crate) const FRAME_BYTES: usize = 32 << 20;
/// From the first byte to the last of the handshake, TCP's and TLS's included.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(3);
/// What a frame may take to be written, beside a second for each MiB of it.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// Between two pings of a connection.
const PING_PAUSE: Duration = Duration::from_secs(1);
/// A connection on which a ping is unanswered for so long is dead.
const SILENCE: Duration = Duration::from_secs(5);
/// A caller that sends no whole frame for so long, though it should ping, is dead.
const CALLER_SILENCE: Duration = Duration::from_secs(30);
/// A connection without requests for so long is closed; the next request opens another.
const IDLE: Duration = Duration::from_secs(120);

/// What a connection is for. Each has its own, so that none waits behind another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Channel {
    /// Heartbeats, votes, confirmations of reads, the cluster's own requests.
    Control,
    /// Entries of the log and forwarded writes.
    Bulk,
    Snapshot,
}

impl Channel {
    fn byte(self) -> u8 {
        match self {
            Self::Control => 0,
            Self::Bulk => 1,
            Self::Snapshot => 2,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Control),
            1 => Some(Self::Bulk),
            2 => Some(Self::Snapshot),
            _ => None,
        }
    }

    /// The most requests of one connection that are not yet answered.
    fn window(self) -> usize {
        match self {
            Self::Control | Self::Bulk => 1_024,
            Self::Snapshot => 16,
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "control",
            Self::Bulk => "bulk",
            Self::Snapshot => "snapshot",
        })
    }
}

/// Where a node is reached, and which node it has to be if that is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PeerAddress {
    /// Host and port of its raft listener.
    pub(crate) address: String,
    pub(crate) node_id: Option<u64>,
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node_id {
            Some(node) => write!(f, "node {node} at {}", self.address),
            None => write!(f, "the node at {}", self.address),
        }
    }
}
