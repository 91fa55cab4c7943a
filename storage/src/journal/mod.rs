//! The journal: every decision, in blocks keyed by their first position.
//!
//! Here are the blocks' bytes only. Who cuts them, keeps them in memory and writes them is the applier and the
//! checkpoint in [`crate::state`].

pub mod block;
