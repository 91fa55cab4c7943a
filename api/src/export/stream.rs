//! Writing an export while its reader takes it: a piece of the journal at a time.

use bytes::Bytes;
use futures::stream::{self, Stream};
use partita_core::decision::{Decision, Outcome};
use partita_core::entry::Entry;
use partita_core::id::Position;
use partita_core::state::Read as _;
use partita_core::time::Date;
use tokio::sync::watch;

use super::Notation;
use super::slice::{Export, Sums, add};
use crate::app::{App, blocking, source};
use crate::routes::entries::EntryJson;

/// Decisions read at one time.
const CHUNK: usize = 500;
const CHUNK_BYTES: usize = 512 << 10;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    #[error("this node is shutting down: the export is not complete")]
    ShuttingDown,
}

#[derive(Clone, Copy)]
enum Stage {
    /// The opening balances are not known yet: the entries are read once for their sums alone.
    Summing {
        next: Position,
        first: Option<Date>,
    },
    Head,
    Entries {
        next: Position,
    },
    Done,
}

struct Writer {
    app: App,
    export: Export,
    notation: Box<dyn Notation>,
    stage: Stage,
    /// Of what was read in this stage.
    sums: Sums,
    entries: u64,
    stopping: watch::Receiver<bool>,
}

/// The export's text in pieces; an error in place of its end if it could not be finished.
pub(crate) fn stream(
    app: App,
    export: Export,
    notation: Box<dyn Notation>,
) -> impl Stream<Item = Result<Bytes, ExportError>> + Send {
    let stage =
        if export.opening_is_unknown() { Stage::Summing { next: export.first, first: None } } else { Stage::Head };
    let writer = Writer { stopping: app.stopping(), app, export, notation, stage, sums: Sums::new(), entries: 0 };
    stream::unfold(writer, |writer| async move {
        if matches!(writer.stage, Stage::Done) {
            return None;
        }
        Some(
            blocking(move || {
                let mut writer = writer;
                let written = writer.write();
                if written.is_err() {
                    writer.stage = Stage::Done;
                }
                (written, writer)
            })
            .await,
        )
    })
}

impl Writer {
    /// The next piece.
    fn write(&mut self) -> Result<Bytes, ExportError> {
        let mut out = String::new();
        // Where other books' decisions are many, several pieces of the journal give nothing to write.
        while out.is_empty() && !matches!(self.stage, Stage::Done) {
            if *self.stopping.borrow() {
                return Err(ExportError::ShuttingDown);
            }
            self.stage = self.step(&mut out);
        }
        Ok(out.into())
    }

    fn step(&mut self, out: &mut String) -> Stage {
        match self.stage {
            Stage::Summing { next, mut first } => {
                let decisions = self.read(next);
                for entry in decisions.iter().flat_map(entries).filter(|entry| self.export.slice.takes(entry)) {
                    entry.lines.iter().for_each(|line| add(&mut self.sums, line));
                    first = Some(first.map_or(entry.effective_date, |first| first.min(entry.effective_date)));
                }
                if let Some(last) = decisions.last() {
                    return Stage::Summing { next: last.position.next(), first };
                }
                let sums = std::mem::take(&mut self.sums);
                self.export.open_with(&sums, first);
                Stage::Head
            }
            Stage::Head => {
                self.notation.head(&self.app, &self.export, out);
                Stage::Entries { next: self.export.first }
            }
            Stage::Entries { next } => {
                let decisions = self.read(next);
                for decision in &decisions {
                    self.decision(decision, out);
                }
                if let Some(last) = decisions.last() {
                    return Stage::Entries { next: last.position.next() };
                }
                // The ledger's own data are wrong: better no end than a wrong one.
                assert!(
                    self.export.adds_up(&self.sums),
                    "book {}: the entries up to position {} are not its movements",
                    self.export.names.book.code,
                    self.export.position
                );
                self.notation.end(&self.export, self.entries, out);
                Stage::Done
            }
            Stage::Done => Stage::Done,
        }
    }

    /// The decisions from `next`, as far as the export sees; none at the end.
    fn read(&self, next: Position) -> Vec<Decision> {
        if next > self.export.position {
            return vec![];
        }
        let mut decisions = self.app.past(|reader| reader.decisions(next, CHUNK, CHUNK_BYTES));
        decisions.retain(|decision| decision.position <= self.export.position);
        decisions
    }

    fn decision(&mut self, decision: &Decision, out: &mut String) {
        if decision.book != self.export.names.book.id {
            return;
        }
        for entry in entries(decision).filter(|entry| self.export.slice.takes(entry)) {
            entry.lines.iter().for_each(|line| add(&mut self.sums, line));
            self.entries += 1;
            // A later reversal than the export sees is none.
            let reversed_by = if entry.rule.reversible() {
                let record = self.app.look(|view| view.entry_record(decision.book, entry.number));
                record.and_then(|record| record.reversed_by).filter(|by| *by <= self.export.last_entry)
            } else {
                None
            };
            let shown = EntryJson::of(entry, &self.export.names, source(decision), reversed_by);
            self.notation.entry(&self.export, &shown, out);
        }
    }
}

fn entries(decision: &Decision) -> impl Iterator<Item = &Entry> {
    let entries = match &decision.outcome {
        Outcome::Accepted(effects) => effects.entries.as_slice(),
        Outcome::Refused(_) => &[],
    };
    entries.iter()
}
