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
        let key =
            if let Operation::Lookup { of } = &record.operation { Some(of.as_str()) } else { record.key.as_deref() };
        let decided = record.result.as_ref().and_then(|outcome| outcome.position);
        key.is_some_and(|key| words.contains(key)) || (position.is_some() && decided == position)
    };
    let lines = records.iter().filter(|record| concerns(record)).take(SHOWN);
    lines.map(|record| serde_json::to_string(record).unwrap_or_else(|error| error.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_anomaly_shows_the_operations_that_it_names() {
        let record = |key: &str, position: u64| {
            let line = json!({
                "client": 1, "op": "transfer", "args": {"from": 0, "to": 1, "amount": 5}, "key": key,
                "result": {"code": "posted", "index": position, "position": position},
                "start": 1, "end": 2, "status": "ok", "phase": "main", "node": 0,
            });
            serde_json::from_value::<Record>(line).unwrap()
        };
        let records = [record("bank-1", 41), record("bank-2", 42), record("bank-12", 43)];
        let shown = |anomaly| minimal_history(anomaly, &records).len();
        assert_eq!(shown("bank-1 was acknowledged and is not in the journal"), 1);
        assert_eq!(shown("keys bank-1 and bank-12: both decided"), 2);
        assert_eq!(shown("position 42: nobody's"), 1);
        assert_eq!(shown("group 3 has no order"), 0);
    }
}
