//! The two kinds of tables against a map.

use std::cell::Cell;
use std::collections::BTreeMap;

use partita_core::id::{AccountId, BookId, CurrencyId, Key};
use partita_core::state::{ControlKey, Movement};
use proptest::prelude::*;

use super::super::cache::record_bytes;
use super::super::ordered::{OrderedTable, SealedOrdered};
use super::super::point::{PointTable, SealedPoint};
use crate::codec::keys::TableKey;
use crate::engine::{Batch, KeyRange, MemoryEngine, Table, TableEngine};

#[derive(Clone, Debug)]
enum Step {
    Put(u16, i128),
    /// Looks and then changes what was found.
    Add(u16, i128),
    Remove(u16),
    Get(u16),
    Prefetch(Vec<u16>),
    /// Book, `from` within it, limit.
    Scan(u8, u16, usize),
    Seal,
    /// The checkpointer has written what was sealed; readers may look before it is settled.
    Write,
    Settle,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let place = 0..60u16;
    let step = prop_oneof![
        6 => (place.clone(), 1..100i128).prop_map(|(place, value)| Step::Put(place, value)),
        6 => (place.clone(), 1..100i128).prop_map(|(place, value)| Step::Add(place, value)),
        2 => place.clone().prop_map(Step::Remove),
        4 => place.clone().prop_map(Step::Get),
        1 => prop::collection::vec(place.clone(), 1..8).prop_map(Step::Prefetch),
        3 => (0..3u8, place, 1..9usize).prop_map(|(book, from, limit)| Step::Scan(book, from, limit)),
        2 => Just(Step::Seal),
        2 => Just(Step::Write),
        2 => Just(Step::Settle),
    ];
    prop::collection::vec(step, 1..120)
}

/// Three books with twenty places each.
fn key(place: u16) -> ControlKey {
    let book = BookId(u32::from(place / 20));
    ControlKey { book, account: AccountId(u32::from(place % 20)), currency: CurrencyId(840) }
}

fn value(debits: i128) -> Movement {
    Movement { debits, credits: 0 }
}

/// What both kinds of tables do.
trait Layered {
    type Sealed;
    fn get(&self, engine: &MemoryEngine, key: &ControlKey) -> Option<Movement>;
    fn prefetch(&self, engine: &MemoryEngine, keys: Vec<ControlKey>);
    fn put(&mut self, key: &ControlKey, value: Option<Movement>);
    /// Looks and then adds to what was found; returns what was seen.
    fn add(&mut self, engine: &MemoryEngine, key: &ControlKey, debits: i128) -> i128;
    fn scan(&self, engine: &MemoryEngine, range: &KeyRange, limit: usize) -> Vec<(ControlKey, Movement)>;
    fn seal(&mut self) -> Self::Sealed;
    fn written(sealed: &Self::Sealed) -> Batch;
    fn settle(&mut self);
}

macro_rules! layered {
    ($kind:ident, $sealed:ident, $add:expr, $scan:expr) => {
        impl Layered for $kind<ControlKey, Movement> {
            type Sealed = $sealed<ControlKey, Movement>;

            fn get(&self, engine: &MemoryEngine, key: &ControlKey) -> Option<Movement> {
                Self::get(self, engine, key).unwrap()
            }

            fn prefetch(&self, engine: &MemoryEngine, keys: Vec<ControlKey>) {
                Self::prefetch(self, engine, keys).unwrap();
            }

            fn put(&mut self, key: &ControlKey, value: Option<Movement>) {
                Self::put(self, key, value, 0);
            }

            fn add(&mut self, engine: &MemoryEngine, key: &ControlKey, debits: i128) -> i128 {
                $add(self, engine, key, debits)
            }

            fn scan(&self, engine: &MemoryEngine, range: &KeyRange, limit: usize) -> Vec<(ControlKey, Movement)> {
                $scan(self, engine, range, limit)
            }

            fn seal(&mut self) -> Self::Sealed {
                Self::seal(self)
            }

            fn written(sealed: &Self::Sealed) -> Batch {
                let mut batch = Batch::new();
                sealed.write_to(&mut batch);
                batch
            }

            fn settle(&mut self) {
                Self::settle(self);
            }
        }
    };
}

layered!(
    PointTable,
    SealedPoint,
    |table: &mut PointTable<_, _>, engine, key, debits| {
        let look = |value: Option<&Movement>, found| (value.map_or(0, |value| value.debits), found);
        let (seen, found) = table.look(engine, key, look).unwrap();
        table.change(engine, key, found, 0, |value: &mut Movement| value.debits += debits + 1).unwrap();
        // What a look said of an older generation does no harm when it is not true any more.
        table.change(engine, key, found, 0, |value: &mut Movement| value.debits -= 1).unwrap();
        seen
    },
    |table: &PointTable<_, _>, engine, range, limit| table.part(range).scan(engine, range, limit).unwrap()
);

layered!(
    OrderedTable,
    SealedOrdered,
    |table: &mut OrderedTable<_, _>, engine, key, debits| {
        let seen = table.get(engine, key).unwrap().map_or(0, |value: Movement| value.debits);
        table.change(engine, key, 0, |value: &mut Movement| value.debits += debits).unwrap();
        seen
    },
    |table: &OrderedTable<_, _>, engine, range, limit| table.scan(engine, range, limit).unwrap()
);

fn run<L: Layered>(steps: &[Step], mut layers: L) {
    let engine = MemoryEngine::new();
    let mut model: BTreeMap<Vec<u8>, (ControlKey, Movement)> = BTreeMap::new();
    let (mut sealed, mut is_written) = (None, false);
    for step in steps {
        match step {
            Step::Put(place, debits) => {
                layers.put(&key(*place), Some(value(*debits)));
                model.insert(key(*place).to_bytes(), (key(*place), value(*debits)));
            }
            Step::Add(place, debits) => {
                let key = key(*place);
                let before = model.get(&key.to_bytes()).map_or(0, |row| row.1.debits);
                assert_eq!(layers.add(&engine, &key, *debits), before);
                model.insert(key.to_bytes(), (key, value(before + debits)));
            }
            Step::Remove(place) => {
                layers.put(&key(*place), None);
                model.remove(&key(*place).to_bytes());
            }
            Step::Get(place) => {
                let expected = model.get(&key(*place).to_bytes()).map(|row| row.1);
                assert_eq!(layers.get(&engine, &key(*place)), expected);
            }
            Step::Prefetch(places) => layers.prefetch(&engine, places.iter().map(|place| key(*place)).collect()),
            Step::Scan(book, from, limit) => {
                let mut range = KeyRange::prefix(u32::from(*book).to_be_bytes().to_vec());
                range.from = range.from.max(key(*from).to_bytes());
                let end = range.to.clone().unwrap();
                let expected: Vec<_> = model
                    .iter()
                    .filter(|row| *row.0 >= range.from && *row.0 < end)
                    .map(|row| row.1.clone())
                    .take(*limit)
                    .collect();
                assert_eq!(layers.scan(&engine, &range, *limit), expected);
            }
            Step::Seal if sealed.is_none() => sealed = Some(layers.seal()),
            Step::Write => {
                if let Some(sealed) = &sealed {
                    engine.write(L::written(sealed)).unwrap();
                    is_written = true;
                }
            }
            Step::Settle if is_written => {
                layers.settle();
                (sealed, is_written) = (None, false);
            }
            Step::Seal | Step::Settle => {}
        }
    }
    for place in 0..60 {
        let expected = model.get(&key(place).to_bytes()).map(|row| row.1);
        assert_eq!(layers.get(&engine, &key(place)), expected);
    }
}

#[test]
fn written_generations_are_kept_as_far_as_there_is_room() {
    let engine = MemoryEngine::new();
    let kept_bytes = 20 * record_bytes::<ControlKey, Movement>();
    let mut table: PointTable<ControlKey, Movement> = PointTable::new(Table::Controls, 0, kept_bytes);
    for generation in 0..6 {
        for place in 10 * generation..10 * generation + 10 {
            table.put(&key(place), Some(value(1)), 0);
        }
        let sealed = table.seal();
        engine.write(<PointTable<_, _> as Layered>::written(&sealed)).unwrap();
        let forgotten = table.settle();
        assert_eq!(forgotten.len(), usize::from(generation > 2), "generation {generation}");
        assert!(table.indexed() <= 45, "{} keys in the index", table.indexed());
    }
    let touched = Cell::new(0);
    let keys: Vec<ControlKey> = (0..70).rev().map(key).collect();
    table.touch(&keys, |value| {
        touched.set(touched.get() + value.debits);
        0
    });
    assert_eq!(touched.get(), 30, "of the generations that are kept, each value once");
    let asked_for = |places: std::ops::Range<u16>| {
        let before = table.asked();
        places.for_each(|place| assert_eq!(table.get(&engine, &key(place)).unwrap(), Some(value(1))));
        table.asked() - before
    };
    assert_eq!(asked_for(30..60), 0, "the last one that was written, and two before it");
    assert_eq!(asked_for(0..30), 30, "the others");
}

proptest! {
    #[test]
    fn rows_are_in_the_order_of_their_stored_keys(keys in prop::collection::vec((0..3u32, "[!-#a-c]{1,24}"), 0..200)) {
        let mut rows: PointTable<(BookId, Key), ()> = PointTable::new(Table::Keys, 0, 0);
        let mut sorted: OrderedTable<(BookId, Key), ()> = OrderedTable::new(Table::Keys, 0);
        for (book, text) in keys {
            let key = (BookId(book), Key::new(&text).unwrap());
            sorted.put(&key, Some(()), 0);
            rows.put(&key, Some(()), 0);
        }
        let (mut written, mut expected) = (Batch::new(), Batch::new());
        rows.seal().write_to(&mut written);
        sorted.seal().write_to(&mut expected);
        let keys = |batch: &Batch| batch.steps().map(|step| step.key.to_vec()).collect::<Vec<_>>();
        prop_assert_eq!(keys(&written), keys(&expected));
    }

    #[test]
    fn all_layers_together_are_one_map(steps in steps(), kept_rows in 0..90usize) {
        // The smallest cache there is forgets all the time; generations are kept as far as there is room.
        let kept_bytes = kept_rows * record_bytes::<ControlKey, Movement>();
        run(&steps, PointTable::new(Table::Controls, 0, kept_bytes));
        run(&steps, OrderedTable::new(Table::Controls, 0));
    }
}
