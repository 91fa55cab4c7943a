//! `execute` held against an independent model: random commands, every answer, every balance.
//!
//! `PARTITA_MODEL_SEED` runs one seed alone, `PARTITA_MODEL_COMMANDS` and `PARTITA_MODEL_RUNS` more or fewer.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops where something is wrong")]

#[path = "model/mod.rs"]
mod model;
mod support;

use model::compare::Compared;
use model::coverage::Coverage;
use model::edges;
use model::run::{Ledger, directed, runs};
use partita_core::decision::{Answer, Command};
use partita_core::execute::{Executed, execute};
use partita_core::id::Fingerprint;
use partita_core::operation::Operation;
use partita_core::state::Read;
use support::memory::Memory;

impl Ledger for Memory {
    fn new(_seed: u64) -> Self {
        Self::default()
    }

    fn execute(&mut self, commands: &[Command]) -> Vec<Executed> {
        let execute_one = |command| {
            let executed = execute(self, command);
            for decision in &executed.expired {
                self.record((**decision).clone());
            }
            if let Answer::Decided(decision) = &executed.answer {
                self.record((**decision).clone());
            }
            executed
        };
        commands.iter().map(execute_one).collect()
    }

    fn read(&self, check: &mut dyn FnMut(&dyn Read) -> Compared) -> Compared {
        check(self)
    }
}

/// Any function of the content will do here: the core compares fingerprints, storage makes them.
fn fingerprint(operation: &Operation) -> Fingerprint {
    let hash = blake3::hash(format!("{operation:?}").as_bytes());
    Fingerprint(hash.as_bytes()[..16].try_into().unwrap())
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn a_hundred_thousand_commands_and_every_answer() {
    let length = usize::try_from(setting("PARTITA_MODEL_COMMANDS").unwrap_or(3_000)).unwrap();
    if let Some(seed) = setting("PARTITA_MODEL_SEED") {
        let coverage = runs::<Memory>(seed..seed + 1, length, fingerprint);
        println!("{}", coverage.table());
        return;
    }
    let coverage: Coverage = runs::<Memory>(0..setting("PARTITA_MODEL_RUNS").unwrap_or(40), length, fingerprint);
    println!("{}", coverage.table());
    assert!(coverage.commands >= 100_000, "only {} commands", coverage.commands);
    let missing = coverage.missing();
    assert!(missing.is_empty(), "never happened: {missing:#?}\n{}", coverage.table());
}

#[test]
fn a_document_takes_a_thousand_entries_and_no_more() {
    let coverage = directed::<Memory>(&edges::a_full_document(fingerprint));
    assert_eq!(coverage.count("PostPaymentFee", "accepted"), 999);
    assert_eq!(coverage.count("PostPaymentFee", "document_full"), 6);
}

#[test]
fn sums_stop_before_they_overflow() {
    let coverage = directed::<Memory>(&edges::the_greatest_sums(fingerprint));
    assert!(coverage.count("PostEntry", "accepted") > 1, "{}", coverage.table());
    assert!(coverage.count("PostEntry", "balance_too_large") > 4, "{}", coverage.table());
}
