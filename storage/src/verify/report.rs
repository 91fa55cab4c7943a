//! What verification found: how much of everything it checked, and where the stored state tells another story.

use std::fmt;

use partita_core::id::Position;

use crate::tree::Hash;

/// How many differences are kept in full; all of them are counted.
const KEPT_DIFFERENCES: usize = 100;
/// The most characters of a value that a difference shows.
const SHOWN_CHARACTERS: usize = 600;

/// One place where the stored state is not what the journal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The table's name.
    pub table: String,
    /// The row, or the place within the journal.
    pub key: String,
    pub expected: String,
    pub found: String,
}

/// How many of something there should be and how many were found right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: String,
    pub expected: u64,
    pub checked: u64,
}

impl Check {
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.expected == self.checked
    }
}

/// The outcome of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The last decision of the stored state.
    pub position: Position,
    /// The head of the hash tree over all decisions, as rebuilt.
    pub head: Hash,
    pub checks: Vec<Check>,
    /// The first differences.
    pub differences: Vec<Difference>,
    /// All differences.
    pub difference_count: u64,
    /// Blocks written ahead of a checkpoint that never became durable: invisible, cut when the state is opened next.
    pub blocks_beyond_head: u64,
}

impl Report {
    /// No difference, and nothing that should have been checked was left out.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.difference_count == 0 && !self.checks.is_empty() && self.checks.iter().all(Check::is_complete)
    }

    /// How many were checked under this name; zero if there is no such check.
    #[must_use]
    pub fn checked(&self, name: &str) -> u64 {
        self.checks.iter().find(|check| check.name == name).map_or(0, |check| check.checked)
    }

    pub(super) fn differ(
        &mut self,
        table: &str,
        key: impl fmt::Display,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) {
        self.difference_count += 1;
        if self.differences.len() < KEPT_DIFFERENCES {
            self.differences.push(Difference {
                table: table.to_owned(),
                key: shown(&key),
                expected: shown(&expected),
                found: shown(&found),
            });
        }
    }

    /// Notes a difference unless both are equal; returns whether they are.
    pub(super) fn same<T: PartialEq + fmt::Debug>(
        &mut self,
        table: &str,
        key: impl fmt::Display,
        expected: &T,
        found: &T,
    ) -> bool {
        let is_same = expected == found;
        if !is_same {
            self.differ(table, key, format_args!("{expected:?}"), format_args!("{found:?}"));
        }
        is_same
    }

    pub(super) fn check(&mut self, name: &str, expected: u64, checked: u64) {
        self.checks.push(Check { name: name.to_owned(), expected, checked });
    }
}

fn shown(value: &impl fmt::Display) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        None => text,
        Some((end, _)) => format!("{} … ({} bytes)", &text[..end], text.len()),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let Check { name, expected, checked } = check;
            if check.is_complete() {
                writeln!(f, "{name:<32} {checked:>12}")?;
            } else {
                writeln!(f, "{name:<32} {checked:>12} of {expected}")?;
            }
        }
        if self.blocks_beyond_head > 0 {
            writeln!(f, "{} blocks beyond the last checkpoint, not part of the state", self.blocks_beyond_head)?;
        }
        for Difference { table, key, expected, found } in &self.differences {
            writeln!(f, "table {table}, {key}\n  expected {expected}\n  found    {found}")?;
        }
        let kept = u64::try_from(self.differences.len()).map_err(|_source| fmt::Error)?;
        if self.difference_count > kept {
            writeln!(f, "and {} more differences", self.difference_count - kept)?;
        }
        write!(f, "position {}, head blake3:{}", self.position, blake3::Hash::from_bytes(self.head).to_hex())
    }
}
