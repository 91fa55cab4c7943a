//! What the tests of the posting rules share.

pub mod memory;
