//! The commands of this node's proposals, kept beside their bytes until they are applied.
//!
//! Whoever proposed an entry has its commands already, and need not decode them from its bytes. Only a matter of speed: what
//! is not kept is decoded, with the same result. An entry is known by where its bytes lie, which the log hands through: as
//! long as they are kept here, nothing else lies there.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use partita_core::decision::Command;
use partita_storage::codec::Level;

/// The commands of a proposal, as decoding its bytes would give them.
#[derive(Debug, PartialEq)]
pub(crate) struct KeptCommands {
    /// At least one, in their order, stamped; as they came, which spares moving them.
    pub(crate) pieces: Vec<Vec<Command>>,
    /// Of all of them.
    pub(crate) level: Level,
}

/// Shared by who proposes and the state machine. As many as there are proposals in flight.
#[derive(Clone, Debug, Default)]
pub(crate) struct OnTheWay(Arc<Mutex<Vec<(Bytes, KeptCommands)>>>);

impl OnTheWay {
    pub(crate) fn keep(&self, proposal: Bytes, commands: KeptCommands) {
        self.0.lock().push((proposal, commands));
    }

    /// What was kept of an entry, if these are the very bytes that were proposed.
    pub(crate) fn take(&self, proposal: &Bytes) -> Option<KeptCommands> {
        let mut kept = self.0.lock();
        let place = kept.iter().position(|(bytes, _)| lies_where(bytes, proposal))?;
        Some(kept.swap_remove(place).1)
    }
}

fn lies_where(one: &Bytes, other: &Bytes) -> bool {
    one.as_ptr() == other.as_ptr() && one.len() == other.len()
}
