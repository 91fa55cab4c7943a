//! The life of a cluster: who its members are, how a node gets in and out, who leads.
//!
//! A change is decided and proposed by the leader, one at a time ([`leading`]); any node hands it there and says what
//! became of it ([`operations`]). A node without a cluster asks to be taken in ([`joining`]). The leader lets learners
//! vote once they have caught up ([`steward`]). Every change is one raft entry, never a joint membership: it is there
//! or it is not. What all this is for and how it is used: `docs/operations.md`.

pub mod change;
pub mod joining;
pub(crate) mod leading;
pub(crate) mod message;
pub mod operations;
pub mod status;
pub(crate) mod steward;

#[cfg(test)]
mod message_tests;
#[cfg(test)]
mod tests;
