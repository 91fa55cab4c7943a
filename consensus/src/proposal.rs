//! What one raft entry carries: the encoded commands of many callers, one piece after the other.
//!
//! Each caller's task encodes its own commands, so that merging is copying: `length (u32, little-endian) ‖ piece`,
//! repeated. A piece is a sealed batch of `partita_storage::codec`. Answers come in the order of the commands.

use partita_core::decision::Command;
use partita_storage::codec::{self, encode_commands};

use crate::codec::CodecError;

/// The most bytes of a raft entry: what one append, one message to a follower and one read move together. A single
/// command above it travels alone.
pub(crate) const PROPOSAL_BYTES: usize = 1 << 20;
/// The most commands encoded together.
const PIECE_COMMANDS: usize = 1_000;
const LENGTH_BYTES: usize = 4;

/// Encoded commands of one caller.
pub(crate) struct EncodedPiece {
    pub(crate) bytes: Vec<u8>,
    pub(crate) commands: usize,
}

/// Encodes commands as pieces, each at most [`PROPOSAL_BYTES`] unless it is a single command.
pub(crate) fn encode_pieces(commands: &[Command]) -> Vec<EncodedPiece> {
    let mut pieces = Vec::new();
    let mut waiting: Vec<&[Command]> = commands.chunks(PIECE_COMMANDS).rev().collect();
    while let Some(chunk) = waiting.pop() {
        let bytes = encode_commands(chunk);
        if bytes.len() + LENGTH_BYTES > PROPOSAL_BYTES && chunk.len() > 1 {
            let (first, second) = chunk.split_at(chunk.len() / 2);
            waiting.push(second);
            waiting.push(first);
        } else {
            pieces.push(EncodedPiece { bytes, commands: chunk.len() });
        }
    }
    pieces
}

/// A proposal under construction.
#[derive(Debug, Default)]
pub(crate) struct ProposalBytes(Vec<u8>);

impl ProposalBytes {
    pub(crate) fn has_room_for(&self, piece: &[u8]) -> bool {
        self.0.is_empty() || self.0.len() + LENGTH_BYTES + piece.len() <= PROPOSAL_BYTES
    }

    pub(crate) fn push(&mut self, piece: &[u8]) {
        let length = u32::try_from(piece.len()).expect("bodies are bounded far below 4 GiB");
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(piece);
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Why a committed entry cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProposalError {
    #[error("a raft entry of commands is cut wrongly")]
    Framing(#[from] CodecError),
    #[error("a raft entry's commands cannot be decoded")]
    Commands(#[from] codec::CodecError),
}

/// The commands of an entry, in order.
pub(crate) fn decode_proposal(mut bytes: &[u8]) -> Result<Vec<Command>, ProposalError> {
    let mut commands = Vec::new();
    while !bytes.is_empty() {
        let short = CodecError::Short { what: "a proposal" };
        let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>().ok_or_else(|| short.clone())?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_too_large| short.clone())?;
        let (piece, rest) = rest.split_at_checked(length).ok_or(short)?;
        commands.append(&mut codec::decode_commands(piece)?);
        bytes = rest;
    }
    Ok(commands)
}
