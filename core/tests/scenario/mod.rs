//! A ledger in memory that is driven by lines of text.

mod parse;
mod print;

use partita_core::decision::{Answer, Command, Outcome};
use partita_core::execute::execute;
use partita_core::id::{Actor, BookId, Fingerprint, Key};
use partita_core::operation::Operation;
use partita_core::state::Head;
use partita_core::time::{Date, Timestamp};

use crate::support::memory::Memory;
use parse::{Line, Words};

/// Commands go to the book that was opened last, one second apart, on 2026-01-02 unless `today` says otherwise.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) memory: Memory,
    pub(crate) book: BookId,
    pub(crate) clock: Timestamp,
    pub(crate) today: Date,
    /// Whether a transfer is asked for as an atomic batch of one.
    pub(crate) together: bool,
    commands: u32,
}

impl Default for Ledger {
    fn default() -> Self {
        let today = Date::parse("2026-01-02").unwrap();
        Self {
            memory: Memory::default(),
            book: BookId::CLUSTER,
            clock: Timestamp(0),
            today,
            together: false,
            commands: 0,
        }
    }
}

impl Ledger {
    /// Runs one line and says what came of it.
    pub(crate) fn run(&mut self, line: &str) -> String {
        match parse::line(&mut Words::new(line), self.clock) {
            Line::Clock(clock) => {
                self.clock = clock;
                String::new()
            }
            Line::Today(today) => {
                self.today = today;
                String::new()
            }
            Line::TrialBalance => print::trial_balance(self),
            Line::Balance(place) => print::balance(self, &place),
            Line::Blockers(period) => print::blockers(self, period),
            Line::Seal(period) => print::seal(self, period),
            Line::Value(date) => print::valuation(self, date),
            Line::Show(document) => print::document(self, &document),
            Line::Operation { key, operation } => match *operation {
                Operation::Transfer(transfer) if self.together => {
                    self.execute(key, Operation::Transfers(vec![transfer]))
                }
                operation => self.execute(key, operation),
            },
        }
    }

    fn execute(&mut self, key: Option<Key>, operation: Operation) -> String {
        self.commands += 1;
        self.clock = Timestamp(self.clock.0 + 1_000_000_000);
        let key = key.unwrap_or_else(|| Key::new(&format!("key-{}", self.commands)).unwrap());
        let before = self.memory.clone();
        let answer = self.decide(key.clone(), operation);
        let mut out = String::new();
        for decision in &self.memory.journal[before.journal.len()..] {
            out.push_str(&print::decision(self, decision));
        }
        match answer {
            Answer::Decided(decision) => {
                if let Outcome::Refused(_) = decision.outcome {
                    self.assert_untouched(&before, &key);
                }
            }
            Answer::Replayed { position } => out.push_str(&format!("replayed #{position}\n")),
            Answer::KeyReused { position } => out.push_str(&format!("key reused, was #{position}\n")),
        }
        out
    }

    /// Decides an operation and journals it.
    pub(crate) fn decide(&mut self, key: Key, operation: Operation) -> Answer {
        let is_book = matches!(operation, Operation::OpenBook(_) | Operation::OpenFiscalBook(_));
        let hash = blake3::hash(format!("{operation:?}").as_bytes());
        let command = Command {
            book: if is_book { BookId::CLUSTER } else { self.book },
            key,
            fingerprint: Fingerprint(hash.as_bytes()[..16].try_into().unwrap()),
            stamp: self.clock,
            today: self.today,
            actor: Actor::new("scenario").unwrap(),
            operation,
        };
        let executed = execute(&mut self.memory, &command);
        for decision in &executed.expired {
            self.memory.record((**decision).clone());
        }
        if let Answer::Decided(decision) = &executed.answer {
            self.memory.record((**decision).clone());
            if is_book {
                self.book = self.memory.head.last_book;
            }
        }
        executed.answer
    }

    /// A refusal (without an expiry before it) changes the head, its key and the journal, and nothing else.
    fn assert_untouched(&self, before: &Memory, key: &Key) {
        let expired = self.memory.journal.len() - before.journal.len() - 1;
        if expired > 0 {
            return;
        }
        let mut after = self.memory.clone();
        after.head = Head { ..before.head };
        after.keys.retain(|(_, other), _| other != key);
        after.journal.pop();
        after.journal_hash = before.journal_hash;
        let keys = before.keys.iter().filter(|((_, other), _)| other != key);
        let before = Memory { keys: keys.map(|(key, record)| (key.clone(), *record)).collect(), ..before.clone() };
        assert_eq!(after, before, "a refusal changes nothing");
    }
}
