//! Snapshots on their way between nodes, and out of one for a backup.
//!
//! [`exports`] has the checkpoints of this node that somebody reads, [`send`] brings one to a follower that is further
//! behind than the log reaches, [`receive`] is the follower's side. Files and the steps of an install are storage's
//! (`partita_storage::snapshot`). Writes go on meanwhile on both sides, and no more than a part of a file is in memory.

pub(crate) mod exports;
pub(crate) mod message;
pub(crate) mod receive;
pub(crate) mod send;

#[cfg(test)]
mod message_tests;
#[cfg(test)]
mod tests;
