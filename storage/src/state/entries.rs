//! Where a book's entries stand: their numbers follow each other, so memory and disk have runs of them, not rows.
//!
//! In memory a generation's new entries are one run of numbers per book; an older entry changes when it is reversed, and
//! such ones stand apart. On the disk a row is a page of [`PAGE`] entries. A checkpoint writes the pages that changed; the
//! first of a book may be one that an earlier checkpoint left part of.

use std::collections::BTreeMap;
use std::sync::Arc;

use partita_core::id::{BookId, EntryNumber};
use partita_core::state::EntryRecord;

use super::error::StorageError;
use crate::codec::keys::TableKey;
use crate::codec::{EntryPage, decode_record};
use crate::engine::{Steps, Table, TableRead};

/// Entries of a page. Part of the format.
pub(crate) const PAGE: u64 = 128;

type Key = (BookId, EntryNumber);

/// The number of the first entry of the page that holds `number`.
pub(crate) fn page_of(number: EntryNumber) -> EntryNumber {
    EntryNumber(number.0.saturating_sub(1) / PAGE * PAGE + 1)
}

fn place(first: EntryNumber, number: EntryNumber) -> Option<usize> {
    usize::try_from(number.0.checked_sub(first.0)?).ok()
}

/// The entries of one generation that changed.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: BTreeMap<BookId, Run>,
    apart: BTreeMap<Key, EntryRecord>,
    /// An empty list with room for the first run.
    spare: Vec<EntryRecord>,
}

#[derive(Debug)]
struct Run {
    first: EntryNumber,
    records: Vec<EntryRecord>,
}

impl Runs {
    fn find(&self, (book, number): &Key) -> Option<&EntryRecord> {
        let run = self.runs.get(book)?;
        match place(run.first, *number) {
            Some(place) => run.records.get(place),
            None => self.apart.get(&(*book, *number)),
        }
    }

    /// Whether it is new here.
    #[inline(always)]
    fn put(&mut self, (book, number): Key, record: EntryRecord) -> bool {
        let spare = &mut self.spare;
        let run = self.runs.entry(book).or_insert_with(|| Run { first: number, records: std::mem::take(spare) });
        match place(run.first, number) {
            None => return self.apart.insert((book, number), record).is_none(),
            Some(place) if place < run.records.len() => {
                run.records[place] = record;
                return false;
            }
            Some(place) if place == run.records.len() => run.records.push(record),
            // A run has no holes. This one began with older entries that changed, so it is short: once a new entry is
            // there, the run ends with the book's last.
            Some(_) => {
                let older = std::mem::replace(run, Run { first: number, records: vec![record] });
                let numbers = (older.first.0..).map(EntryNumber);
                self.apart.extend(numbers.map(|number| (book, number)).zip(older.records));
            }
        }
        true
    }

    /// How many records the longest run has.
    fn longest(&self) -> usize {
        self.runs.values().map(|run| run.records.len()).max().unwrap_or(0)
    }

    fn pages(&self) -> BTreeMap<Key, Vec<(EntryNumber, EntryRecord)>> {
        let mut pages: BTreeMap<Key, Vec<_>> = BTreeMap::new();
        for (&(book, number), record) in &self.apart {
            pages.entry((book, page_of(number))).or_default().push((number, *record));
        }
        for (&book, run) in &self.runs {
            for (number, record) in (run.first.0..).map(EntryNumber).zip(&run.records) {
                pages.entry((book, page_of(number))).or_default().push((number, *record));
            }
        }
        pages
    }
}

/// Drops what was forgotten, all but the memory of its longest run.
pub(super) fn emptied_run(forgotten: Arc<Runs>) -> Vec<EntryRecord> {
    let runs = Arc::into_inner(forgotten).map(|forgotten| forgotten.runs).unwrap_or_default();
    let mut records = runs.into_values().map(|run| run.records).max_by_key(Vec::len).unwrap_or_default();
    records.clear();
    records
}

/// What is on its way to the disk.
pub(super) struct SealedEntries(Arc<Runs>);

impl SealedEntries {
    /// Reads what it adds to. Nothing else writes entries meanwhile.
    pub(super) fn write_to(&self, engine: &impl TableRead, steps: &mut impl Steps) -> Result<(), StorageError> {
        for (key, changed) in self.0.pages() {
            let begins = changed.first().is_some_and(|row| row.0 == key.1);
            let follows = changed.windows(2).all(|two| two[1].0 == two[0].0.next());
            // A page that all of is there needs nothing of the old one, unless that is longer.
            let is_whole = begins && follows && u64::try_from(changed.len()) == Ok(PAGE);
            let mut page = if is_whole { EntryPage::default() } else { stored_page(engine, key)?.unwrap_or_default() };
            for (number, record) in changed {
                let place = place(key.1, number).expect("it is of this page");
                let count = page.records.len();
                match page.records.get_mut(place) {
                    Some(before) => *before = record,
                    None if place == count => page.records.push(record),
                    None => return Err(missing(key.0, number)),
                }
            }
            steps.put_record(Table::Entries, &key.bytes(), &page);
        }
        Ok(())
    }
}

fn stored_page(engine: &impl TableRead, key: Key) -> Result<Option<EntryPage>, StorageError> {
    let bytes = key.bytes();
    let Some(record) = engine.get(Table::Entries, &bytes)? else { return Ok(None) };
    let corrupt = |source| StorageError::Corrupt { table: Table::Entries, key: bytes.to_vec(), source };
    decode_record(&record).map(Some).map_err(corrupt)
}

fn missing(book: BookId, number: EntryNumber) -> StorageError {
    StorageError::Inconsistent {
        table: Table::Entries,
        key: (book, number).to_bytes(),
        problem: "entry numbers have no gaps, and this one's record is missing",
    }
}

/// All generations over the engine.
#[derive(Debug, Default)]
pub(super) struct EntryTable {
    current: Runs,
    sealed: Option<Arc<Runs>>,
    settled: Arc<Runs>,
    /// An empty list with the memory of a forgotten run, for the next generation.
    spare: Vec<EntryRecord>,
}

impl EntryTable {
    fn in_memory(&self, key: &Key) -> Option<EntryRecord> {
        let layers = [Some(&self.current), self.sealed.as_deref(), Some(&*self.settled)];
        layers.into_iter().flatten().find_map(|layer| layer.find(key)).copied()
    }

    /// `None` where the book has no such entry.
    pub(super) fn get(&self, engine: &impl TableRead, key: &Key) -> Result<Option<EntryRecord>, StorageError> {
        if key.1 == EntryNumber(0) {
            return Ok(None);
        }
        if let Some(record) = self.in_memory(key) {
            return Ok(Some(record));
        }
        let first = page_of(key.1);
        let page = stored_page(engine, (key.0, first))?;
        Ok(page.and_then(|page| page.records.get(place(first, key.1)?).copied()))
    }

    /// Entries that there are, in order.
    pub(super) fn list(
        &self,
        engine: &impl TableRead,
        book: BookId,
        numbers: impl Iterator<Item = EntryNumber>,
    ) -> Result<Vec<(EntryNumber, EntryRecord)>, StorageError> {
        let mut page: Option<(EntryNumber, EntryPage)> = None;
        let mut found = Vec::new();
        for number in numbers {
            if let Some(record) = self.in_memory(&(book, number)) {
                found.push((number, record));
                continue;
            }
            let first = page_of(number);
            if page.as_ref().is_none_or(|page| page.0 != first) {
                page = stored_page(engine, (book, first))?.map(|page| (first, page));
            }
            let record = page.as_ref().and_then(|page| page.1.records.get(place(first, number)?));
            found.push((number, *record.ok_or_else(|| missing(book, number))?));
        }
        Ok(found)
    }

    /// Returns by how many bytes memory grew.
    #[inline(always)]
    pub(super) fn put(&mut self, key: Key, record: EntryRecord) -> usize {
        if self.current.put(key, record) { size_of::<EntryRecord>() } else { 0 }
    }

    pub(super) fn seal(&mut self) -> SealedEntries {
        assert!(self.sealed.is_none(), "one checkpoint at a time");
        let mut spare = std::mem::take(&mut self.spare);
        // Generations are much alike: the next one's run need not grow again.
        spare.reserve(self.current.longest());
        let changes = Arc::new(std::mem::replace(&mut self.current, Runs { spare, ..Runs::default() }));
        self.sealed = Some(Arc::clone(&changes));
        SealedEntries(changes)
    }

    /// The engine has what was sealed. Returns what is forgotten, to be dropped where nobody waits.
    pub(super) fn settle(&mut self) -> Arc<Runs> {
        let sealed = self.sealed.take().expect("settle follows seal");
        std::mem::replace(&mut self.settled, sealed)
    }

    /// Takes the memory of a forgotten run for the next generation: it costs less than new memory.
    pub(super) fn reuse(&mut self, empty: Vec<EntryRecord>) {
        assert!(empty.is_empty(), "no record comes back");
        self.spare = empty;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

    use partita_core::id::Position;
    use proptest::prelude::*;

    use super::*;
    use crate::engine::{Batch, MemoryEngine, TableEngine};

    #[derive(Clone, Debug)]
    enum Step {
        /// New entries of a book.
        Post(u32, u64),
        /// An entry of a book, counted back from the last.
        Reverse(u32, u64),
        Seal,
        Write,
        Settle,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (1u32..4, 1u64..100).prop_map(|(book, count)| Step::Post(book, count)),
            3 => (1u32..4, 0u64..400).prop_map(|(book, back)| Step::Reverse(book, back)),
            2 => Just(Step::Seal),
            2 => Just(Step::Write),
            2 => Just(Step::Settle),
        ];
        prop::collection::vec(step, 1..80)
    }

    proptest! {
        #[test]
        fn all_layers_together_are_one_map(steps in steps()) {
            let engine = MemoryEngine::new();
            let mut table = EntryTable::default();
            let mut model: BTreeMap<Key, EntryRecord> = BTreeMap::new();
            let (mut sealed, mut is_written, mut last) = (None, false, [0u64; 4]);
            for (position, step) in (1..).zip(steps) {
                match step {
                    Step::Post(book, count) => {
                        for index in 0..count {
                            last[usize::try_from(book).unwrap()] += 1;
                            let number = EntryNumber(last[usize::try_from(book).unwrap()]);
                            let index = u32::try_from(index).unwrap();
                            let record = EntryRecord { position: Position(position), index, reversed_by: None };
                            table.put((BookId(book), number), record);
                            model.insert((BookId(book), number), record);
                        }
                    }
                    Step::Reverse(book, back) => {
                        let newest = last[usize::try_from(book).unwrap()];
                        let Some(number) = newest.checked_sub(back).filter(|number| *number > 0) else { continue };
                        let key = (BookId(book), EntryNumber(number));
                        let before = table.get(&engine, &key).unwrap().unwrap();
                        let record = EntryRecord { reversed_by: Some(EntryNumber(position)), ..before };
                        table.put(key, record);
                        model.insert(key, record);
                    }
                    Step::Seal if sealed.is_none() => sealed = Some(table.seal()),
                    Step::Write => {
                        if let Some(sealed) = &sealed {
                            let mut batch = Batch::new();
                            sealed.write_to(&engine, &mut batch).unwrap();
                            engine.write(batch).unwrap();
                            is_written = true;
                        }
                    }
                    Step::Settle if is_written => {
                        drop(sealed.take());
                        let forgotten = table.settle();
                        table.reuse(emptied_run(forgotten));
                        (sealed, is_written) = (None, false);
                    }
                    Step::Seal | Step::Settle => {}
                }
                for book in 1..4u32 {
                    let newest = last[usize::try_from(book).unwrap()];
                    for number in 0..newest + 2 {
                        let key = (BookId(book), EntryNumber(number));
                        prop_assert_eq!(table.get(&engine, &key).unwrap(), model.get(&key).copied());
                    }
                    let listed = table.list(&engine, BookId(book), (1..=newest).map(EntryNumber)).unwrap();
                    let of_book = model.iter().filter(|row| row.0.0 == BookId(book));
                    prop_assert_eq!(listed, of_book.map(|(key, record)| (key.1, *record)).collect::<Vec<_>>());
                }
            }
        }
    }
}
