//! Why a request to a peer has no answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::handshake::Refusal;
use crate::codec::CodecError;

/// Says of a request whether the peer may have acted on it.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum PeerError {
    /// The peer never saw it whole.
    #[error("nothing was sent")]
    NotSent(#[source] Arc<ConnectionError>),
    /// It was sent, and no answer came.
    #[error("what was sent has no answer")]
    Unknown(#[source] Arc<ConnectionError>),
    /// The peer answered that it did nothing.
    #[error("the peer refused")]
    Refused(#[source] Refusal),
}

/// Why a connection was not made, or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error("it cannot be connected to")]
    Connect(#[source] io::Error),
    #[error("no TLS connection is made with it")]
    Tls(#[source] io::Error),
    #[error("no connection was made within {HANDSHAKE_SECONDS} s")]
    ConnectDeadline,
    #[error("it refuses the connection")]
    Refused(#[source] Refusal),
    #[error("what it answered to the handshake cannot be read")]
    Handshake(#[source] CodecError),
    #[error("the connection failed")]
    Io(#[source] io::Error),
    #[error("the other side closed the connection")]
    Closed,
    #[error("a frame's checksum does not match its bytes")]
    Checksum,
    #[error("a frame cannot be read")]
    Frame(#[source] CodecError),
    #[error("a frame did not belong there")]
    OutOfPlace,
    #[error("a frame could not be written in time")]
    WriteDeadline,
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    #[error("more requests were sent than may be unanswered")]
    TooManyRequests,
    #[error("answers are not taken")]
    AnswersNotTaken,
    #[error("there was no need of the connection")]
    Idle,
    #[error("the deadline passed")]
    Deadline,
    #[error("the answer was not waited for")]
    GivenUp,
    #[error("a message of {bytes} bytes is too long for a frame")]
    TooLong { bytes: usize },
    #[error("the node is shutting down")]
    Stopping,
}

const HANDSHAKE_SECONDS: u64 = super::HANDSHAKE_DEADLINE.as_secs();
