//! What one raft entry carries: the encoded commands of many callers, one piece after the other.
//!
//! Each caller's task encodes its own commands, so that merging is copying: `length (u32, little-endian) ‖ piece`,
//! repeated. A piece is a sealed batch of `partita_storage::codec`, of the level that held when it was encoded. Answers
//! come in the order of the commands. An empty batch of the next level, alone in its entry, raises the level.

use partita_core::decision::Command;
use partita_core::id::{Fingerprint, Key};
use partita_core::operation::{MAX_PARTS, Operation};
use partita_core::recognition::MAX_RECOGNISED;
use partita_core::time::Timestamp;
use partita_core::wellformed::{Malformed, check};
use partita_storage::codec::level::follow;
use partita_storage::codec::{self, CommandHead, CommandsWriter, Level, LevelError, Levels};

use crate::codec::CodecError;
use crate::on_the_way::KeptCommands;

/// The most bytes of a raft entry: what one append, one message to a follower and one read move together. A single
/// command above it travels alone.
pub(crate) const PROPOSAL_BYTES: usize = 1 << 20;
/// The most that the decisions of one raft entry may weigh beside their commands' own bytes ([`weight`]).
const PROPOSAL_WEIGHT: usize = 64 << 20;
/// What a decision may have to keep of one document that its command only names.
const DOCUMENT_WEIGHT: usize = 64 << 10;
/// The most commands encoded together.
const PIECE_COMMANDS: usize = 1_000;
const LENGTH_BYTES: usize = 4;
/// What a transfer takes, more or less.
const COMMAND_BYTES: usize = 144;

/// Commands in the form of the log, in pieces that each fit into a proposal: at most [`PROPOSAL_BYTES`] and
/// [`PROPOSAL_WEIGHT`] unless it is a single command.
#[derive(Debug, Default)]
pub struct EncodedCommands {
    pieces: Vec<EncodedPiece>,
    /// How many are still to come, more or less.
    expected: usize,
}

/// Commands of one caller that are encoded together.
#[derive(Debug, Default)]
pub(crate) struct EncodedPiece {
    commands: CommandsWriter,
    /// The same commands, not stamped; or none of them.
    kept: Vec<Command>,
    weight: usize,
}

/// What a command's decision may hold beyond what the command itself does: documents and entries that it names.
///
/// A short request can lead to a long decision (a payment applied to a hundred charges of a hundred lines), and
/// the decisions of one raft entry are in memory together, on every replica.
fn weight(operation: &Operation) -> usize {
    let documents = match operation {
        Operation::OpenBook(_)
        | Operation::OpenFiscalBook(_)
        | Operation::SoftClosePeriod(_)
        | Operation::ClosePeriod(_)
        | Operation::ReopenPeriod(_)
        | Operation::RecordRate(_)
        | Operation::Convert(_)
        | Operation::Revalue(_)
        | Operation::CloseYear(_)
        | Operation::RegisterCurrency(_)
        | Operation::OpenAccount(_)
        | Operation::CloseAccount(_)
        | Operation::PostEntry(_)
        | Operation::PostEntries(_)
        | Operation::Transfer(_)
        | Operation::Transfers(_)
        | Operation::PlaceHold(_)
        | Operation::CaptureHold(_)
        | Operation::VoidHold(_)
        | Operation::CreateCharge(_) => 0,
        Operation::ReverseEntry(_)
        | Operation::VoidCharge(_)
        | Operation::VoidPayment(_)
        | Operation::PostPaymentFee(_)
        | Operation::SettleRefund(_) => 2,
        Operation::CreatePayment(payment) => payment.apply.len(),
        Operation::CapturePayment(capture) => capture.apply.as_ref().map_or(MAX_PARTS, Vec::len),
        Operation::ApplyPayment(apply) | Operation::UnapplyPayment(apply) => apply.apply.len(),
        Operation::CreateRefund(refund) => refund.from.as_ref().map_or(MAX_PARTS / 10, Vec::len),
        Operation::FailRefund(_) => MAX_PARTS / 10,
        Operation::Recognise(_) => MAX_RECOGNISED,
    };
    documents * DOCUMENT_WEIGHT
}

impl EncodedCommands {
    /// Takes room for about as many.
    #[must_use]
    pub fn for_about(commands: usize) -> Self {
        Self { pieces: Vec::new(), expected: commands }
    }

    /// A command of a request that was just read.
    ///
    /// A posting rule that asserts what a request did not hold to would stop every replica, at every restart; so what
    /// is not well-formed is refused here.
    pub fn push(&mut self, head: &CommandHead, key: Key, operation: Operation) -> Result<(), Malformed> {
        check(&operation)?;
        self.put(weight(&operation), |commands| {
            commands.push(head, &key, &operation);
            let CommandHead { book, today, actor } = head.clone();
            // Both come later: the fingerprints of many are taken at once, and a proposal has one stamp.
            let (fingerprint, stamp) = (Fingerprint([0; 16]), Timestamp::default());
            Command { book, key, fingerprint, stamp, today, actor, operation }
        });
        Ok(())
    }

    /// A command with the fingerprint that it has.
    pub(crate) fn push_command(&mut self, command: Command) -> Result<(), Malformed> {
        check(&command.operation)?;
        self.put(weight(&command.operation), |commands| {
            commands.push_command(&command);
            command
        });
        Ok(())
    }

    fn put(&mut self, weight: usize, write: impl FnOnce(&mut CommandsWriter) -> Command) {
        let has_room =
            |piece: &EncodedPiece| piece.commands() < PIECE_COMMANDS && piece.weight + weight <= PROPOSAL_WEIGHT;
        if !self.pieces.last().is_some_and(has_room) {
            if let Some(full) = self.pieces.last_mut() {
                full.fingerprint();
            }
            let expected = self.expected.clamp(1, PIECE_COMMANDS);
            let commands = CommandsWriter::with_capacity(expected * COMMAND_BYTES);
            self.pieces.push(EncodedPiece { commands, kept: Vec::with_capacity(expected), weight: 0 });
        }
        self.expected = self.expected.saturating_sub(1);
        let piece = self.pieces.last_mut().expect("there is one by now");
        let command = write(&mut piece.commands);
        piece.kept.push(command);
        piece.weight += weight;
        if piece.bytes() + LENGTH_BYTES > PROPOSAL_BYTES && piece.commands() > 1 {
            piece.weight -= weight;
            let commands = piece.commands.split_last();
            let kept = piece.kept.pop().into_iter().collect();
            self.pieces.push(EncodedPiece { commands, kept, weight });
        }
    }

    /// How many commands.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.iter().map(EncodedPiece::commands).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(crate) fn into_pieces(mut self) -> Vec<EncodedPiece> {
        self.pieces.iter_mut().for_each(EncodedPiece::fingerprint);
        self.pieces
    }

    /// Lets go of the commands themselves: they will be decoded from their bytes.
    pub(crate) fn keep_bytes_only(&mut self) {
        self.pieces.iter_mut().for_each(|piece| piece.kept = Vec::new());
    }

    /// Each piece as a batch of its own.
    pub(crate) fn seal(self, level: Level, at: Timestamp) -> Vec<Vec<u8>> {
        let seal = |piece: EncodedPiece| {
            let mut bytes = Vec::new();
            piece.commands.seal_into(level, at, &mut bytes);
            bytes
        };
        self.into_pieces().into_iter().map(seal).collect()
    }
}

impl EncodedPiece {
    /// Takes the fingerprints of all its commands that have none yet.
    fn fingerprint(&mut self) {
        let Self { commands, kept, weight: _ } = self;
        commands.fingerprint(|number, fingerprint| {
            if let Some(command) = kept.get_mut(number) {
                command.fingerprint = fingerprint;
            }
        });
    }

    pub(crate) fn commands(&self) -> usize {
        self.commands.len()
    }

    /// At most as many has its batch.
    pub(crate) fn bytes(&self) -> usize {
        self.commands.sealed_bytes()
    }
}

/// A proposal under construction.
#[derive(Debug, Default)]
pub(crate) struct ProposalBytes {
    bytes: Vec<u8>,
    kept: Kept,
    weight: usize,
}

/// The commands of a proposal, as far as they are kept: all, or none.
#[derive(Debug, Default)]
enum Kept {
    #[default]
    Empty,
    All(KeptCommands),
    Not,
}

impl Kept {
    fn push(&mut self, piece: &mut EncodedPiece, level: Level, at: Timestamp) {
        let mut commands = std::mem::take(&mut piece.kept);
        let is_whole = !commands.is_empty() && commands.len() == piece.commands();
        commands.iter_mut().for_each(|command| command.stamp = at);
        match self {
            Self::Empty if is_whole => *self = Self::All(KeptCommands { pieces: vec![commands], level }),
            Self::All(kept) if is_whole && kept.level == level => kept.pieces.push(commands),
            Self::Empty | Self::All(_) | Self::Not => *self = Self::Not,
        }
    }
}

impl ProposalBytes {
    pub(crate) fn has_room_for(&self, piece: &EncodedPiece) -> bool {
        let fits = self.bytes.len() + LENGTH_BYTES + piece.bytes() <= PROPOSAL_BYTES
            && self.weight + piece.weight <= PROPOSAL_WEIGHT;
        self.bytes.is_empty() || fits
    }

    /// Adds a piece as a batch of a level, stamped.
    pub(crate) fn push(&mut self, mut piece: EncodedPiece, level: Level, at: Timestamp) {
        self.kept.push(&mut piece, level, at);
        let start = self.bytes.len() + LENGTH_BYTES;
        self.bytes.extend_from_slice(&[0; LENGTH_BYTES]);
        piece.commands.seal_into(level, at, &mut self.bytes);
        let length = u32::try_from(self.bytes.len() - start).expect("bodies are bounded far below 4 GiB");
        self.bytes[start - LENGTH_BYTES..start].copy_from_slice(&length.to_le_bytes());
        self.weight += piece.weight;
    }

    /// The proposal, with its commands if they were kept.
    pub(crate) fn finish(self) -> (Vec<u8>, Option<KeptCommands>) {
        let kept = if let Kept::All(kept) = self.kept { Some(kept) } else { None };
        (self.bytes, kept)
    }
}

/// Why a committed entry cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProposalError {
    #[error("a raft entry of commands is cut wrongly")]
    Framing(#[from] CodecError),
    #[error("a raft entry's commands cannot be decoded")]
    Commands(#[from] codec::CodecError),
    #[error("a raft entry's commands cannot be taken")]
    Level(#[from] LevelError),
}

/// What an entry carries.
#[derive(Debug, PartialEq)]
pub(crate) struct Decoded {
    /// The commands in their order, in any pieces.
    pub(crate) pieces: Vec<Vec<Command>>,
    /// What holds after it; as before it if it carries nothing.
    pub(crate) level: Option<Level>,
}

/// The proposal that raises the level.
pub(crate) fn raising(level: Level) -> Vec<u8> {
    let mut proposal = ProposalBytes::default();
    proposal.push(EncodedPiece::default(), level, Timestamp::default());
    proposal.finish().0
}

impl Decoded {
    /// What decoding the same entry would give.
    pub(crate) fn of_kept(kept: KeptCommands, active: Option<Level>) -> Result<Self, ProposalError> {
        let KeptCommands { pieces, level } = kept;
        Ok(Self { level: Some(follow(active, level, pieces.is_empty())?), pieces })
    }
}

/// The commands of an entry, where `active` held before it.
pub(crate) fn decode_proposal(
    mut bytes: &[u8],
    active: Option<Level>,
    known: Levels,
) -> Result<Decoded, ProposalError> {
    let mut level = active;
    // A command takes some four times as much in memory as it has bytes, and a proposal is of bounded size.
    let mut commands = Vec::with_capacity(4 * bytes.len() / size_of::<Command>());
    while !bytes.is_empty() {
        let short = CodecError::Short { what: "a proposal" };
        let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>().ok_or_else(|| short.clone())?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_too_large| short.clone())?;
        let (piece, rest) = rest.split_at_checked(length).ok_or(short)?;
        let before = commands.len();
        let decoded = codec::decode_commands_behind(piece, known, &mut commands)?;
        level = Some(follow(level, decoded, commands.len() == before)?);
        bytes = rest;
    }
    Ok(Decoded { pieces: vec![commands], level })
}
