//! Every node's journal is what the independent model decides on the committed commands, decision by decision, with every
//! balance after; and at the end all of its tables are the model's.

use std::collections::BTreeMap;

use partita_core::decision::Decision;
use partita_core::id::Position;

use super::Invariant;
use crate::looks::Seen;
use crate::model::compare;
use crate::model::periods::known_decision;

#[derive(Debug, Default)]
pub(super) struct DecidedByTheRules {
    compared: BTreeMap<(u64, u64), Position>,
}

impl Invariant for DecidedByTheRules {
    fn name(&self) -> &'static str {
        "decided by the rules"
    }

    fn check(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        for look in seen.looks.values() {
            let process = (look.node, look.incarnation);
            // What a process finds at its start is read when it ends, with everything else.
            let from = *self.compared.entry(process).or_insert(look.position);
            if look.position > from {
                compare_journals(seen, look.node, from)?;
                self.compared.insert(process, look.position);
            }
        }
        Ok(())
    }

    fn finish(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        for node in seen.looks.keys() {
            compare_journals(seen, *node, Position(0))?;
            let Some(running) = seen.cluster.node(*node) else { continue };
            let compared = running.reader().read(|view| compare::everything(&seen.oracle.model, view));
            let count = compared.map_err(|message| format!("node {node}: {message}"))?;
            seen.cluster.trace.add("records compared", u64::try_from(count).expect("64 bits"));
        }
        Ok(())
    }
}

fn compare_journals(seen: &Seen<'_>, node: u64, after: Position) -> Result<(), String> {
    let Some(running) = seen.cluster.node(node) else { return Ok(()) };
    let decisions = running.reader().decisions(after.next(), usize::MAX, usize::MAX);
    let decisions = decisions.map_err(|error| format!("node {node}'s journal cannot be read: {error}"))?;
    let mut next = after.next();
    for decision in &decisions {
        if decision.position != next {
            return Err(format!("node {node} has {} after {after}, where {next} comes", decision.position));
        }
        match seen.oracle.decision(next) {
            Some(expected) if known_decision(decision) == *expected => {}
            Some(expected) => return Err(difference(node, decision, expected)),
            None => return Err(format!("node {node} decided {next}, and nobody committed it: {decision:?}")),
        }
        next = next.next();
    }
    seen.cluster.trace.add("decisions compared", u64::try_from(decisions.len()).expect("64 bits"));
    Ok(())
}

fn difference(node: u64, found: &Decision, expected: &Decision) -> String {
    let (found, expected) = (format!("{found:#?}"), format!("{expected:#?}"));
    let (found, expected): (Vec<&str>, Vec<&str>) = (found.lines().collect(), expected.lines().collect());
    let first = found.iter().zip(&expected).position(|(a, b)| a != b).unwrap_or(found.len().min(expected.len()));
    let around = |lines: &[&str]| {
        let from = first.saturating_sub(8).min(lines.len());
        lines[from..(first + 6).min(lines.len())].join("\n")
    };
    format!("node {node} decided\n{}\nby the rules it is\n{}", around(&found), around(&expected))
}
