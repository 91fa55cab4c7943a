//! The operations that an anomaly is about: those with a key that it names, or at a position that it names.

use std::collections::BTreeSet;

use crate::chaos::history::{Operation, Record};

const SHOWN: usize = 12;

/// As lines of the history, in the order in which they ended.
pub(super) fn minimal_history(anomaly: &str, records: &[Record]) -> Vec<String> {
    let words: BTreeSet<&str> = anomaly
        .split(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.' | ':')))
        .map(|word| word.trim_end_matches(['.', ':']))
        .filter(|word| !word.is_empty())
        .collect();
    let after = |before: &str| {
        let mut rest = anomaly.split_whitespace().skip_while(|word| *word != before).skip(1);
        rest.next().and_then(|word| word.trim_matches(|letter: char| !letter.is_ascii_digit()).parse::<u64>().ok())
    };
    let position = after("position").or_else(|| after("at"));
    let concerns = |record: &Record| {
        let key = match &record.operation {
            Operation::Lookup { of } => Some(of.as_str()),
            _ => record.key.as_deref(),
        };
        let decided = record.result.as_ref().and_then(|outcome| outcome.position);
        key.is_some_and(|key| words.contains(key)) || (position.is_some() && decided == position)
    };
    let lines = records.iter().filter(|record| concerns(record)).take(SHOWN);
    lines.map(|record| serde_json::to_string(record).unwrap_or_else(|error| error.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::history::{Outcome, Phase, Status};

    #[test]
    fn an_anomaly_shows_the_operations_that_it_names() {
        let record = |key: &str, position| Record {
            client: 1,
            operation: Operation::Transfer { from: 0, to: 1, amount: 5 },
            key: Some(key.to_owned()),
            result: Some(Outcome {
                code: "posted".into(),
                index: position,
                position: Some(position),
                ..Outcome::default()
            }),
            start: 1,
            end: 2,
            status: Status::Ok,
            phase: Phase::Main,
            node: 0,
            why: None,
        };
        let records = [record("bank-1", 41), record("bank-2", 42), record("bank-12", 43)];
        let shown = |anomaly| minimal_history(anomaly, &records).len();
        assert_eq!(shown("bank-1 was acknowledged and is not in the journal"), 1);
        assert_eq!(shown("keys bank-1 and bank-12: both decided"), 2);
        assert_eq!(shown("position 42: nobody's"), 1);
        assert_eq!(shown("group 3 has no order"), 0);
    }
}
