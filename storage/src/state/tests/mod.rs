//! The state over both engines, held against maps: random commands, checkpoints, crashes and readers.

#![allow(clippy::unwrap_used, clippy::too_many_lines, reason = "a test stops where something is wrong")]

mod crash;
mod damage;
mod done_once;
mod install;
mod reading;
mod script;
mod tables;
mod walking;

#[allow(unused, unreachable_pub, missing_debug_implementations, reason = "shared with core's tests")]
#[path = "../../../../core/tests/support/memory.rs"]
mod memory;

use std::collections::BTreeMap;

use partita_core::decision::{Answer, Command};
use partita_core::execute::execute;
use partita_core::id::BookId;
use partita_core::state::Read;

use super::{Applied, Applier, Checkpointer, Reader, StateConfig, View, open_state};
use crate::codec::{Level, Levels};
use crate::engine::{Direction, KeyRange, Row, Table, TableEngine, TableRead};
use crate::tree::Hash;
use memory::Memory;

/// A raft entry's commands.
pub(super) type Entry = Vec<Command>;

/// Small enough for the caches to forget things.
pub(super) const SMALL: StateConfig = StateConfig { memory_bytes: 16 << 10, levels: Levels::OWN };

pub(super) struct State<E> {
    pub(super) applier: Applier<E>,
    pub(super) checkpointer: Checkpointer<E>,
    pub(super) reader: Reader<E>,
}

impl<E: TableEngine> State<E> {
    pub(super) fn open(engine: E) -> Self {
        let (applier, checkpointer, reader) = open_state(engine, SMALL).unwrap();
        Self { applier, checkpointer, reader }
    }

    /// Applies the entry of this place, counted from 0.
    pub(super) fn apply(&mut self, place: usize, entry: &Entry) -> Vec<Answer> {
        self.applier.apply(applied(place), entry.clone())
    }

    /// Where to go on: the place of the first entry that the state does not include.
    pub(super) fn next(&self) -> usize {
        next_of(self.applier.applied())
    }

    pub(super) fn checkpoint(&mut self) {
        if let Some(sealed) = self.applier.seal() {
            let durable = self.checkpointer.write(sealed).unwrap();
            assert_eq!(durable, *self.applier.applied());
        }
    }

    pub(super) fn head_hash(&self) -> Hash {
        self.reader.read(|view| view.head_hash())
    }
}

/// Raft indexes skip some numbers, as openraft's own entries do.
pub(super) fn applied(place: usize) -> Applied {
    let place = u64::try_from(place).unwrap();
    Applied { index: place * 3, level: Some(Level::FIRST), raft: place.to_le_bytes().to_vec() }
}

pub(super) fn next_of(applied: &Applied) -> usize {
    match applied.raft.as_slice() {
        [] => 0,
        raft => usize::try_from(u64::from_le_bytes(raft.try_into().unwrap())).unwrap() + 1,
    }
}

/// All rows of all tables.
pub(super) fn dump(engine: &impl TableRead) -> BTreeMap<Table, Vec<Row>> {
    let rows = |table| engine.scan(table, &KeyRange::all(), Direction::Forward, usize::MAX).unwrap();
    Table::ALL.into_iter().map(|table| (table, rows(table))).collect()
}

/// Says which table differs; a whole dump would be too long to read.
pub(super) fn assert_same_tables(left: &BTreeMap<Table, Vec<Row>>, right: &BTreeMap<Table, Vec<Row>>, when: &str) {
    for table in Table::ALL {
        assert!(left[&table] == right[&table], "table {} differs: {when}", table.name());
    }
}

/// The same commands on maps.
pub(super) fn run_on_maps(model: &mut Memory, entry: &Entry) -> Vec<Answer> {
    let mut answers = vec![];
    for command in entry {
        let executed = execute(model, command);
        executed.expired.iter().for_each(|decision| model.record((**decision).clone()));
        if let Answer::Decided(decision) = &executed.answer {
            model.record((**decision).clone());
        }
        answers.push(executed.answer);
    }
    answers
}

/// Every row of the model is in the view, and the scans have nothing else.
pub(super) fn assert_agrees<E: TableEngine>(reader: &Reader<E>, model: &Memory) {
    reader.read(|view| assert_view_agrees(view, model));
    for id in model.books.keys() {
        let movements: Vec<_> = model
            .movements
            .iter()
            .filter(|row| row.0.control.book == *id)
            .map(|(key, value)| (key.clone(), *value))
            .collect();
        let found = reader.read(|view| view.movements(*id)).unwrap();
        assert_eq!(found, movements);
    }
}

fn assert_view_agrees<E: TableEngine>(view: &View<'_, E>, model: &Memory) {
    assert_eq!(view.head(), model.head);
    for (id, book) in &model.books {
        assert_eq!(view.book(*id).as_ref(), Some(book));
        assert_eq!(view.totals(*id), model.totals(*id));
        let accounts: Vec<_> =
            model.accounts.range((*id, Default::default())..).take_while(|row| row.0.0 == *id).collect();
        assert_eq!(view.accounts(*id).unwrap().len(), accounts.len());
        for ((_, account), value) in accounts {
            assert_eq!(view.account(*id, *account).as_ref(), Some(value));
            assert_eq!(view.account_by_code(*id, &value.code).as_ref(), Some(value));
            if let Some(role) = &value.role {
                assert_eq!(view.account_by_role(*id, role), model.account_by_role(*id, role));
            }
            assert_eq!(view.controls_of(*id, *account), model.controls_of(*id, *account));
        }
        let charges: Vec<_> = model.charges.iter().filter(|row| row.0.0 == *id).map(|row| row.1.clone()).collect();
        assert_eq!(view.charges(*id, None, None, usize::MAX).unwrap(), charges);
        let holds: Vec<_> = model.holds.iter().filter(|row| row.0.0 == *id).map(|row| row.1.clone()).collect();
        assert_eq!(view.holds(*id, None, usize::MAX).unwrap(), holds);
        let entries: Vec<_> = model
            .entry_records
            .iter()
            .filter(|row| row.0.0 == *id)
            .map(|((_, number), record)| (*number, *record))
            .collect();
        assert_eq!(view.entry_records(*id, Default::default(), usize::MAX).unwrap(), entries);
        for (number, _) in entries {
            assert_eq!(view.entry(*id, number), model.entry(*id, number));
        }
    }
    for ((book, id), currency) in &model.currencies {
        assert_eq!(view.currency_by_id(*book, *id).as_ref(), Some(currency));
        assert_eq!(view.currency(*book, &currency.code).as_ref(), Some(currency));
    }
    for ((scope, key), record) in &model.keys {
        assert_eq!(view.key(*scope, key).as_ref(), Some(record), "{key}");
    }
    for (key, sums) in &model.controls {
        assert_eq!(view.control(key), *sums);
    }
    for (key, subaccount) in &model.subaccounts {
        assert_eq!(view.subaccount(key), *subaccount);
    }
    for (key, sums) in &model.items {
        assert_eq!(view.item(key), *sums);
    }
    for ((book, id), payment) in &model.payments {
        assert_eq!(view.payment(*book, id).as_ref(), Some(payment));
    }
    for ((book, id), refund) in &model.refunds {
        assert_eq!(view.refund(*book, id).as_ref(), Some(refund));
    }
    let end = partita_core::time::Timestamp(i64::MAX);
    assert_eq!(view.due(end), model.due(end));
    for decision in &model.journal {
        assert_eq!(view.decision(decision.position).unwrap().as_ref(), Some(decision));
    }
    assert_eq!(view.book(BookId(99)), None);
}
