//! The whole State DB held against core's independent model: random raft entries, checkpoints, crashes and replays
//! over the in-memory engine and over RocksDB; at the end the journal, every reader and `verify`.
//! `PARTITA_MODEL_RUNS` asks for more seeds than eight.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops where something is wrong")]

#[allow(dead_code, reason = "written for core's tests; a part of it is used here")]
#[path = "../../core/tests/model/mod.rs"]
mod model;
mod support;

use model::compare::Compared;
use model::coverage::Coverage;
use model::edges;
use model::random::Random;
use model::run::{Ledger, directed, runs};
use partita_core::decision::{Answer, Command, Decision, Origin};
use partita_core::execute::Executed;
use partita_core::id::Position;
use partita_core::state::Read;
use partita_storage::codec::{Level, Levels, decode_commands, encode_commands, fingerprint};
use partita_storage::engine::TableEngine;
use partita_storage::state::{Applied, Opened, Reader, StateConfig, open_state};
use std::sync::Arc;
use support::readers;
use support::stores::{InMemory, OnDisk, Store};

/// Small enough that caches forget and generations fill.
const CONFIG: StateConfig = StateConfig { memory_bytes: 64 << 10, levels: Levels::OWN };

/// A state, the raft log that it came from, and what crashes it.
struct Node<S: Store> {
    store: S,
    /// `None` only while the process is "down".
    open: Option<Opened<S::Engine>>,
    /// Every raft entry as the log keeps it, with the answers that it got.
    log: Vec<(Vec<u8>, Vec<Answer>)>,
    random: Random,
    crashes: u64,
    checkpoints: u64,
    replayed: u64,
}

impl<S: Store> Node<S> {
    fn parts(&mut self) -> &mut Opened<S::Engine> {
        self.open.as_mut().expect("the node is up")
    }

    fn reader(&self) -> &Reader<S::Engine> {
        &self.open.as_ref().expect("the node is up").2
    }

    fn applied(index: usize) -> Applied {
        let number = u64::try_from(index).unwrap() + 1;
        Applied { index: number, level: Some(Level::FIRST), raft: number.to_be_bytes().to_vec() }
    }

    fn checkpoint(&mut self) -> bool {
        let (applier, checkpointer, _) = self.parts();
        let Some(sealed) = applier.seal() else { return true };
        let written = checkpointer.write(sealed).is_ok();
        self.checkpoints += u64::from(written);
        written
    }

    /// Down and up again: the raft log is replayed from what was durable, and must give the same answers.
    fn crash(&mut self) {
        self.crashes += 1;
        self.store.crash(&mut self.random, || drop(self.open.take()));
        self.open = Some(open_state(self.store.engine(), CONFIG).unwrap());
        let applied = self.parts().0.applied().clone();
        let first = usize::try_from(if applied.raft.is_empty() { 0 } else { applied.index }).unwrap();
        for index in first..self.log.len() {
            let (bytes, answers) = self.log[index].clone();
            let again =
                self.parts().0.apply(Self::applied(index), decode_commands(&bytes, Levels::OWN).unwrap().commands);
            assert_eq!(again, answers, "raft entry {index} gave other answers after a crash");
            self.replayed += 1;
        }
    }

    fn decisions_after(&self, position: Position) -> Vec<Decision> {
        self.reader().read(|view| view.decisions(position.next(), usize::MAX, usize::MAX)).unwrap()
    }
}

/// The decisions of one raft entry, given back to the commands that they belong to.
fn executed(answers: Vec<Answer>, decisions: Vec<Decision>) -> Vec<Executed> {
    let mut decisions = decisions.into_iter().map(Arc::new);
    let mut done = vec![];
    for answer in answers {
        let mut expired = vec![];
        if let Answer::Decided(decided) = &answer {
            for decision in decisions.by_ref() {
                if decision.position == decided.position {
                    assert_eq!(decision, *decided, "the journal has the answer");
                    break;
                }
                assert_eq!(decision.origin, Origin::Internal);
                expired.push(decision);
            }
        }
        done.push(Executed { expired, answer });
    }
    assert_eq!(decisions.next(), None, "the journal has a decision that nobody asked for");
    done
}

impl<S: Store> Ledger for Node<S> {
    fn new(seed: u64) -> Self {
        let store = S::new();
        let open = Some(open_state(store.engine(), CONFIG).unwrap());
        let random = Random::new(seed ^ 0x5EED);
        Self { store, open, log: vec![], random, crashes: 0, checkpoints: 0, replayed: 0 }
    }

    fn batch(&mut self) -> usize {
        match self.random.below(20) {
            0 => 30,
            1..8 => 1 + self.random.below(6),
            _ => 1,
        }
    }

    fn execute(&mut self, commands: &[Command]) -> Vec<Executed> {
        let before = self.reader().position();
        let bytes = encode_commands(commands, Level::FIRST);
        let decoded = decode_commands(&bytes, Levels::OWN).unwrap().commands;
        assert_eq!(decoded, commands, "the log keeps what was proposed");
        let applied = Self::applied(self.log.len());
        let answers = self.parts().0.apply(applied, decoded);
        self.log.push((bytes, answers.clone()));
        if self.parts().0.checkpoint_due() && !self.parts().0.must_wait() {
            assert!(self.checkpoint());
        }
        executed(answers, self.decisions_after(before))
    }

    fn read(&self, check: &mut dyn FnMut(&dyn Read) -> Compared) -> Compared {
        self.reader().read(|view| check(view))
    }

    fn disturb(&mut self) {
        match self.random.below(4) {
            0 => assert!(self.checkpoint()),
            1 => self.crash(),
            _ => {
                // A checkpoint that stops somewhere in the middle, or just after its end.
                self.store.stop_soon(&mut self.random);
                let _ = self.checkpoint();
                self.crash();
            }
        }
    }

    fn finish(&mut self, model: &model::decide::Model) -> Compared {
        self.crash();
        assert!(self.checkpoint());
        assert!(self.crashes > 0 && self.checkpoints > 0, "nothing was disturbed");
        let mut count = self.reader().read(|view| readers::compare(model, view))?;
        let report = partita_storage::verify::verify(&self.reader().engine().snapshot());
        if !report.is_clean() || report.position != model.position {
            return Err(format!("verify: {report}"));
        }
        count += usize::try_from(report.checks.iter().map(|check| check.checked).sum::<u64>()).unwrap();
        Ok(count)
    }
}

fn check(coverage: &Coverage, commands: u64) {
    println!("{}", coverage.table());
    assert!(coverage.commands >= commands, "only {} commands", coverage.commands);
    for operation in ["Transfer", "CreateCharge", "CapturePayment", "CreateRefund", "FailRefund"] {
        assert!(coverage.count(operation, "accepted") > 0, "{operation}");
        assert!(coverage.count(operation, "replayed") > 0, "{operation}");
    }
    assert!(coverage.count("ExpireHold", "accepted") > 0);
}

#[test]
fn random_commands_with_checkpoints_and_crashes() {
    let seeds = std::env::var("PARTITA_MODEL_RUNS").map_or(8, |text| text.parse().unwrap());
    check(&runs::<Node<InMemory>>(1_000..1_000 + seeds, 2_500, fingerprint), seeds * 2_500);
}

#[test]
fn random_commands_over_rocksdb() {
    check(&runs::<Node<OnDisk>>(2_000..2_002, 2_000, fingerprint), 4_000);
}

#[test]
fn edges_over_the_state_db() {
    let coverage = directed::<Node<InMemory>>(&edges::a_full_document(fingerprint));
    assert_eq!(coverage.count("PostPaymentFee", "document_full"), 6);
    let coverage = directed::<Node<InMemory>>(&edges::the_greatest_sums(fingerprint));
    assert!(coverage.count("PostEntry", "balance_too_large") > 0);
}
