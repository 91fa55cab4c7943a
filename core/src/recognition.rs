//! What was recognised of charges so far, and how far one command of a recognition got.
//!
//! How much is due is [`crate::schedule`]'s arithmetic; posting it is [`crate::operations::recognise`]'s.

use crate::document::Charge;
use crate::id::{DocumentId, EntryNumber, Party, Position};
use crate::schedule::DeferredLine;
use crate::time::Date;

/// The most charges that one command recognises something of: each is an entry of its decision.
pub const MAX_RECOGNISED: usize = 250;
/// The most deferred items that one command looks at.
pub const MAX_EXAMINED: usize = 5_000;

/// What was recognised of one charge. A charge that nothing was recognised of has no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    pub charge: DocumentId,
    pub customer: Party,
    /// Per line of the charge, in its order, in the functional currency; zero where a line is not deferred.
    pub lines: Vec<i128>,
    /// The last day that something was recognised through.
    pub through: Date,
    pub last_entry: EntryNumber,
    /// The decision that left it so.
    pub decided: Position,
}

impl Recognised {
    /// All lines together.
    #[must_use]
    pub fn total(&self) -> i128 {
        self.lines.iter().sum()
    }
}

/// The charge's deferred lines with what was recognised of each, and their places among all of its lines.
#[must_use]
pub fn deferred_lines(charge: &Charge, recognised: Option<&Recognised>) -> Vec<(usize, DeferredLine)> {
    let lines = charge.lines.iter().enumerate().filter_map(|(index, line)| {
        let deferral = line.defer?;
        let recognised = recognised.map_or(0, |record| record.lines[index]);
        Some((index, DeferredLine { total: line.functional_net, deferral, recognised }))
    });
    lines.collect()
}

/// Where the next command of a recognition goes on: behind this item of deferred revenue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecognisedUpTo {
    /// `None`: a manual entry's item without a party.
    pub customer: Option<Party>,
    pub item: crate::id::Item,
}

/// What one command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecognitionRun {
    pub through: Date,
    /// How many charges something was recognised of: one entry each.
    pub charges: u32,
    /// In the functional currency.
    pub amount: i128,
    /// `None`: all deferred items were looked at.
    pub next: Option<RecognisedUpTo>,
}
