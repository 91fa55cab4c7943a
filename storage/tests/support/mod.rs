//! What the tests of the State DB share.

pub(crate) mod readers;
pub(crate) mod stores;
