//! Commands, decisions and answers: what goes into the state machine and what comes out.

use std::sync::Arc;

use crate::document::Snapshot;
use crate::entry::Entry;
use crate::id::{Actor, BookId, Fingerprint, Key, Position};
use crate::operation::{Operation, OperationKind};
use crate::rejection::Rejection;
use crate::time::{Date, Timestamp};

/// One request, stamped with all that depends on the outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// [`BookId::CLUSTER`] for `OpenBook`; otherwise a book that exists.
    pub book: BookId,
    pub key: Key,
    pub fingerprint: Fingerprint,
    /// Stamped: the wall clock of the node that proposed it.
    pub stamp: Timestamp,
    /// Stamped: the date of the request in the book's time zone; the default for `effective_date`.
    pub today: Date,
    pub actor: Actor,
    pub operation: Operation,
}

/// Whose decision it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A caller's request, by its key.
    Request { key: Key, fingerprint: Fingerprint, actor: Actor },
    /// The state machine's own: an expiry.
    Internal,
}

/// What an accepted operation did, in full: the answer, and what `verify` rebuilds the tables from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Lines are counted through all of them, in order ([`crate::chain::PostingRef`]).
    pub entries: Vec<Entry>,
    /// Documents as they stand after the decision; the one that the operation is about comes first.
    pub snapshots: Vec<Snapshot>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Accepted(Effects),
    Refused(Rejection),
}

/// One decision, as the journal keeps it for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub position: Position,
    pub recorded_at: Timestamp,
    /// The book whose keys, tree and entries it belongs to. Opening a book belongs to [`BookId::CLUSTER`].
    pub book: BookId,
    pub origin: Origin,
    pub operation: OperationKind,
    pub outcome: Outcome,
}

/// What a caller gets back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Decided(Arc<Decision>),
    /// The key was decided before, with the same content; the journal has the answer at `position`.
    Replayed {
        position: Position,
    },
    /// The key was decided before, with other content. Takes no position.
    KeyReused {
        position: Position,
    },
}
