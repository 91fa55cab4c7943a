//! The State DB: the working set of tables, the applier that writes it, checkpoints, and readers.
//!
//! The journal is the index and the raft log is the write-ahead log: the applier changes memory only, a checkpoint
//! makes a whole generation of changes durable at once, and a crash replays the raft log from the last checkpoint.
//! Raft itself, threads and when to make a checkpoint are the consensus crate's business.
//!
//! Architecture Invariant: only [`Checkpointer::write`] and [`open_state`] write the State DB that is open, and a state
//! of another cluster is given its new raft entry before it is ([`crate::snapshot::StateHome::adopt`]).

mod applier;
mod cache;
mod charts;
mod checkpoint;
mod entries;
mod error;
mod head;
mod horizon;
mod journal;
mod journaling;
mod open;
mod ordered;
mod parts;
mod past;
#[cfg(feature = "planted-bugs")]
mod planted;
mod point;
mod posted;
mod prefetch;
mod reader;
mod walk;
mod working;

#[cfg(test)]
mod tests;

pub use applier::{Applier, JournalWork};
pub use checkpoint::{Checkpointer, Sealed};
pub(crate) use entries::page_of;
pub use error::{OpenError, StorageError};
pub use head::{Applied, HEAD_KEY, HORIZON_PREFIX, HeadRecord, STATE_FORMAT, read_head};
#[cfg(test)]
pub(crate) use head::{horizon_key, parse_horizon_key};
#[cfg(test)]
pub(crate) use horizon::horizon_sample;
pub use horizon::{Horizon, Horizons, KeyClass, classify};
pub(crate) use open::load_horizons;
pub use open::{Opened, StateConfig, open_state};
pub use parts::Parts;
pub use posted::{Entries, EntriesOf};
pub use reader::{Held, MovementsOf, Reader, View};
pub use walk::{Order, Posting};
