//! The life of a cluster: who its members are.

pub(crate) mod message;
