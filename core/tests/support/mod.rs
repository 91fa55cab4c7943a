//! What the tests of the posting rules share.

pub(crate) mod memory;
