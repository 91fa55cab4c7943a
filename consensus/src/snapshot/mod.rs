//! Snapshots on their way between nodes.

pub(crate) mod message;
