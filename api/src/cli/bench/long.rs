//! Long runs: whether throughput stays what it was, and what a node is like with a large book.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::super::output::print_line;
use super::drive::{MARK, Mark};

/// What only a long run tells.
#[derive(Debug)]
pub(super) struct Long {
    /// How long each million took.
    pub millions: Vec<Duration>,
    /// From SIGKILL to the first answer.
    pub restart: Option<Duration>,
    /// What the stopped node's files take.
    pub stored_bytes: Option<u64>,
}

impl Long {
    pub(super) fn new(millions: Vec<Duration>) -> Self {
        Self { millions, restart: None, stored_bytes: None }
    }

    /// The slowest million's throughput as a share of the first one's.
    pub(super) fn lowest_share(&self) -> Option<f64> {
        let (first, slowest) = (self.millions.first()?, self.millions.iter().max()?);
        Some(first.as_secs_f64() / slowest.as_secs_f64())
    }
}

/// Takes the time between marks, and shows it as it comes if it is wanted.
pub(super) async fn follow(mut marks: mpsc::UnboundedReceiver<Mark>, is_shown: bool) -> Vec<Duration> {
    let mut before = Instant::now();
    let mut millions = Vec::new();
    while let Some(mark) = marks.recv().await {
        let took = mark.at.saturating_duration_since(before);
        before = mark.at;
        millions.push(took);
        if is_shown {
            let per_second = f64::from(u32::try_from(MARK).expect("a million fits")) / took.as_secs_f64();
            let line = format!("  {:>12} writes; the last million at {per_second:.0}/s", mark.writes);
            // Nobody is served worse when the progress cannot be shown.
            drop(print_line(&line));
        }
    }
    millions
}
