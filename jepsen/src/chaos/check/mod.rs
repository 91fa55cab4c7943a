//! The checkers, one file each. None knows how the ledger works: each believes the history.

pub mod availability;
pub mod caps;
pub mod effects;
pub mod heads;
pub mod indefinite;
pub mod replays;
pub mod search;
pub mod statements;
pub mod sums;
pub mod trial_balances;
pub mod upgrades;
pub mod witness;

#[cfg(test)]
mod planted;

use serde::Serialize;

/// What a checker says of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub checker: &'static str,
    /// In one sentence: what must hold.
    pub claim: &'static str,
    pub result: Judgement,
    /// What was looked at, so that a reader sees that it was not nothing.
    pub counted: Vec<(&'static str, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    Passed,
    /// Each anomaly with the operations that show it.
    Failed(Vec<String>),
    /// Not decided; never counted as passed.
    Unknown(String),
}

impl Verdict {
    #[must_use]
    pub fn passed(&self) -> bool {
        self.result == Judgement::Passed
    }
}

/// Gathers anomalies, the first of them in words.
#[derive(Debug, Default)]
pub(crate) struct Anomalies {
    found: Vec<String>,
    more: usize,
}

const SHOWN: usize = 20;

impl Anomalies {
    pub(crate) fn add(&mut self, what: impl FnOnce() -> String) {
        if self.found.len() < SHOWN {
            self.found.push(what());
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn judge(mut self) -> Judgement {
        if self.found.is_empty() {
            return Judgement::Passed;
        }
        if self.more > 0 {
            self.found.push(format!("and {} more", self.more));
        }
        Judgement::Failed(self.found)
    }
}

pub(crate) fn count(number: usize) -> u64 {
    u64::try_from(number).expect("a history fits into memory")
}
