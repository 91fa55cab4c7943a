//! What nodes say to each other about snapshots.
//!
//! The sender offers a checkpoint, sends what the receiver lacks of its files in order, one part at a time, and then
//! asks for the install again and again until it is done. Each part carries its CRC-32; each file is checked as a
//! whole before the install. An offer that is repeated goes on where the one before ended.

use bytes::Bytes;
use partita_storage::log::Vote;
use partita_storage::snapshot::CheckpointId;

use crate::codec::{CodecError, Input, put_count};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SnapshotRequest {
    /// A checkpoint's manifest, encoded, from the leader that this vote made.
    Offer {
        vote: Vote,
        manifest: Bytes,
    },
    /// The next bytes of a file, which is named by its place in the manifest.
    Part {
        id: CheckpointId,
        file: u32,
        offset: u64,
        bytes: Bytes,
    },
    Install {
        id: CheckpointId,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SnapshotResponse {
    /// How many bytes of each file are there.
    Accepted {
        lengths: Vec<u64>,
    },
    Written,
    /// An install is under way; ask again.
    Working,
    /// Done, or needless; the vote is the receiver's.
    Installed {
        vote: Vote,
    },
    /// Not known here, or a file was damaged: to be offered again.
    OfferAgain,
    /// The receiver has a higher vote than the offer's.
    HigherVote {
        vote: Vote,
    },
    Failed {
        reason: String,
    },
}

fn put_vote(out: &mut Vec<u8>, vote: Vote) {
    out.extend_from_slice(&vote.term.to_le_bytes());
    out.extend_from_slice(&vote.node.to_le_bytes());
    out.push(u8::from(vote.committed));
}

fn take_vote(input: &mut Input<'_>) -> Result<Vote, CodecError> {
    Ok(Vote { term: input.integer()?, node: input.integer()?, committed: input.flag()? })
}

fn take_id(input: &mut Input<'_>) -> Result<CheckpointId, CodecError> {
    Ok(CheckpointId(input.take(32)?.try_into().expect("32 bytes were taken")))
}

fn take_bytes(input: &mut Input<'_>) -> Result<Bytes, CodecError> {
    let length = input.count()?;
    Ok(Bytes::copy_from_slice(input.take(length)?))
}

impl SnapshotRequest {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Offer { vote, manifest } => {
                out.push(0);
                put_vote(out, *vote);
                put_count(out, manifest.len());
                out.extend_from_slice(manifest);
            }
            Self::Part { id, file, offset, bytes } => {
                out.push(1);
                out.extend_from_slice(&id.0);
                out.extend_from_slice(&file.to_le_bytes());
                out.extend_from_slice(&offset.to_le_bytes());
                out.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
                put_count(out, bytes.len());
                out.extend_from_slice(bytes);
            }
            Self::Install { id } => {
                out.push(2);
                out.extend_from_slice(&id.0);
            }
        }
    }

    pub(crate) fn take(input: &mut Input<'_>) -> Result<Self, CodecError> {
        Ok(match input.byte()? {
            0 => Self::Offer { vote: take_vote(input)?, manifest: take_bytes(input)? },
            1 => {
                let (id, file, offset) = (take_id(input)?, input.short()?, input.integer()?);
                let checksum = input.short()?;
                let bytes = take_bytes(input)?;
                if crc32fast::hash(&bytes) != checksum {
                    return Err(input.invalid());
                }
                Self::Part { id, file, offset, bytes }
            }
            2 => Self::Install { id: take_id(input)? },
            _ => return Err(input.invalid()),
        })
    }
}

impl SnapshotResponse {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Accepted { lengths } => {
                out.push(0);
                put_count(out, lengths.len());
                for length in lengths {
                    out.extend_from_slice(&length.to_le_bytes());
                }
            }
            Self::Written => out.push(1),
            Self::Working => out.push(2),
            Self::Installed { vote } => {
                out.push(3);
                put_vote(out, *vote);
            }
            Self::OfferAgain => out.push(4),
            Self::HigherVote { vote } => {
                out.push(5);
                put_vote(out, *vote);
            }
            Self::Failed { reason } => {
                out.push(6);
                put_count(out, reason.len());
                out.extend_from_slice(reason.as_bytes());
            }
        }
    }

    pub(crate) fn take(input: &mut Input<'_>) -> Result<Self, CodecError> {
        Ok(match input.byte()? {
            0 => {
                let mut lengths = Vec::new();
                for _ in 0..input.count()? {
                    lengths.push(input.integer()?);
                }
                Self::Accepted { lengths }
            }
            1 => Self::Written,
            2 => Self::Working,
            3 => Self::Installed { vote: take_vote(input)? },
            4 => Self::OfferAgain,
            5 => Self::HigherVote { vote: take_vote(input)? },
            6 => Self::Failed { reason: input.text()? },
            _ => return Err(input.invalid()),
        })
    }
}
