//! Where the server's time goes, from its own metrics: what it had recorded before a load, and after.

use std::collections::BTreeMap;

use super::super::client::{Client, ClientError};

/// The stages of a write, and the histogram of each.
pub(super) const STAGES: [(&str, &str); 8] = [
    ("parse", "partita_parse_seconds"),
    ("queue", "partita_queue_seconds"),
    ("log fsync", "partita_log_sync_seconds"),
    ("replicate", "partita_replicate_seconds"),
    ("apply", "partita_apply_seconds"),
    ("journal", "partita_journal_seconds"),
    ("checkpoint", "partita_checkpoint_seconds"),
    ("answer", "partita_answer_seconds"),
];
/// What the ledger itself wanted to be written: log and journal, before any device saw it.
const LOGICAL_BYTES: [&str; 2] = ["partita_proposal_bytes_sum", "partita_journal_bytes_total"];

/// A server's counters, summed over their labels. Of a histogram those whose names end in `_sum` and `_count`.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters(BTreeMap<String, f64>);

/// What a stage took: all observations together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage {
    pub seconds: f64,
    pub count: f64,
}

impl Counters {
    pub(super) async fn of(client: &Client) -> Result<Self, ClientError> {
        let answer = client.get("/metrics", &[]).await?;
        Ok(Self::read(&String::from_utf8_lossy(&answer.body)))
    }

    fn read(text: &str) -> Self {
        let mut counters = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let name = series.split('{').next().unwrap_or(series);
            // Buckets add up to nothing.
            if let (false, Ok(value)) = (name.ends_with("_bucket"), value.parse::<f64>()) {
                *counters.entry(name.to_owned()).or_default() += value;
            }
        }
        Self(counters)
    }

    pub(super) fn since(&self, before: &Self) -> Self {
        let less = |(name, value): (&String, &f64)| (name.clone(), value - before.0.get(name).copied().unwrap_or(0.0));
        Self(self.0.iter().map(less).collect())
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (name, value) in &other.0 {
            *self.0.entry(name.clone()).or_default() += value;
        }
    }

    /// `None` where the server does not record it.
    pub(super) fn stage(&self, metric: &str) -> Option<Stage> {
        let of = |ending: &str| self.0.get(&format!("{metric}{ending}")).copied();
        Some(Stage { seconds: of("_sum")?, count: of("_count")? })
    }

    /// Bytes of the log and the journal; `None` where one of them is not recorded.
    pub(super) fn logical_bytes(&self) -> Option<f64> {
        LOGICAL_BYTES.iter().map(|name| self.0.get(*name).copied()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_over_their_labels_and_subtracted() {
        let before = Counters::read("# TYPE x counter\nx{a=\"1\"} 2\nx{a=\"2\"} 3\n");
        let after = Counters::read(
            "x{a=\"1\"} 4\nx{a=\"2\"} 5\nx_bucket{le=\"1\"} 9\npartita_apply_seconds_sum 1.5\npartita_apply_seconds_count 3\n",
        );
        let mut difference = after.since(&before);
        assert_eq!(difference.0.get("x"), Some(&4.0));
        assert_eq!(difference.0.get("x_bucket"), None);
        let stage = difference.stage("partita_apply_seconds").unwrap();
        assert_eq!((stage.seconds, stage.count), (1.5, 3.0));
        assert!(difference.stage("partita_parse_seconds").is_none());
        assert_eq!(difference.logical_bytes(), None);
        difference.add(&Counters::read("partita_proposal_bytes_sum 5\npartita_journal_bytes_total 6\n"));
        assert_eq!(difference.logical_bytes(), Some(11.0));
    }
}
