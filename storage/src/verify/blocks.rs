//! Walking the journal: every block checked as a whole, every decision rebuilt from, keys compared on the way.

use std::collections::BTreeMap;

use partita_core::decision::{Decision, Origin, Outcome};
use partita_core::entry::Side;
use partita_core::id::{BookId, Key, Position};
use partita_core::state::{ControlKey, KeyRecord};

use super::rebuilt::Rebuilt;
use super::report::Report;
use crate::codec::keys::TableKey;
use crate::codec::{decode_decision, decode_record, encode_decision};
use crate::engine::{Direction, EngineError, KeyRange, Row, Table, TableRead};
use crate::journal::block::{BLOCK_BYTES, Block, Header, Total};
use crate::state::Horizons;

/// Blocks per read.
const PAGE_BLOCKS: usize = 64;

/// What the walk counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Walked {
    pub(super) blocks: u64,
    /// Blocks whose footer was right.
    pub(super) footers: u64,
    /// Decisions of callers, and those whose key's row was right.
    pub(super) requests: u64,
    pub(super) keys: u64,
    pub(super) last_raft_index: u64,
    /// Whether every decision up to the head was there to rebuild from.
    pub(super) is_whole: bool,
}

/// The block before, as far as the next one depends on it.
struct Previous {
    raft_index: u64,
    body_bytes: usize,
}

struct Walk<'a, R> {
    engine: &'a R,
    head: Position,
    horizons: &'a Horizons,
    rebuilt: &'a mut Rebuilt,
    report: &'a mut Report,
    previous: Option<Previous>,
    walked: Walked,
}

/// Rebuilds from all blocks up to `head`. After damage, later blocks are still checked as such.
pub(super) fn walk(
    engine: &impl TableRead,
    head: Position,
    horizons: &Horizons,
    rebuilt: &mut Rebuilt,
    report: &mut Report,
) -> Walked {
    let walked = Walked { is_whole: true, ..Walked::default() };
    let mut walk = Walk { engine, head, horizons, rebuilt, report, previous: None, walked };
    let mut range = KeyRange::all();
    loop {
        let rows = match engine.scan(Table::Journal, &range, Direction::Forward, PAGE_BLOCKS) {
            Ok(rows) => rows,
            Err(error) => {
                walk.damage("from here on", &error);
                break;
            }
        };
        let Some((last, _)) = rows.last() else { break };
        range.from = [last.as_slice(), &[0]].concat();
        for row in &rows {
            if let Err(error) = walk.row(row) {
                walk.damage("keys of its decisions", &error);
            }
        }
    }
    let reached = walk.rebuilt.head.position;
    if walk.walked.is_whole && reached != head {
        walk.report.differ("journal", "end", format_args!("decisions up to {head}"), format_args!("up to {reached}"));
        walk.walked.is_whole = false;
    }
    walk.walked
}

impl<R: TableRead> Walk<'_, R> {
    fn damage(&mut self, key: &str, error: &EngineError) {
        self.report.differ("journal", key, "readable", error);
        self.walked.is_whole = false;
    }

    fn row(&mut self, (key, value): &Row) -> Result<(), EngineError> {
        let first = match Position::from_bytes(key) {
            Ok(first) => first,
            Err(error) => {
                self.report.differ("journal", format_args!("{key:02x?}"), "a position", error);
                self.walked.is_whole = false;
                return Ok(());
            }
        };
        if first > self.head {
            self.report.blocks_beyond_head += 1;
            return Ok(());
        }
        let name = format!("block of position {first}");
        self.walked.blocks += 1;
        let block = match Block::open(value) {
            Ok(block) => block,
            Err(error) => {
                self.report.differ("journal", name, "an undamaged block", chain(&error));
                self.walked.is_whole = false;
                return Ok(());
            }
        };
        let header = block.header();
        let is_here = self.report.same("journal", format_args!("{name}, first position"), &first, &header.first);
        if !self.walked.is_whole || !is_here {
            self.walked.is_whole = false;
            return Ok(());
        }
        let next = self.rebuilt.head.position.next();
        if !self.report.same("journal", format_args!("{name}, decisions before it"), &next, &first) {
            self.walked.is_whole = false;
            return Ok(());
        }
        if header.last() > self.head {
            self.report.differ("journal", &name, format_args!("decisions up to {}", self.head), header.last());
        }
        let Some(decisions) = self.decode(&block, &name) else { return Ok(()) };
        self.check_cut(&block, &header, &name);
        self.check_frame(&block, &header, &decisions, &name);
        self.check_keys(&decisions)
    }

    /// Decodes all decisions, then rebuilds from them; `None` if one of them is not what it should be.
    fn decode(&mut self, block: &Block<'_>, name: &str) -> Option<Vec<Decision>> {
        let mut decisions = Vec::new();
        for (position, bytes) in block.iter() {
            match decode_decision(bytes) {
                // One value has one form: otherwise equal decisions could have different hashes.
                Ok(decision) if decision.position == position && encode_decision(&decision) == bytes => {
                    decisions.push(decision);
                }
                Ok(decision) => {
                    let found = format_args!("decision {} or another form of it", decision.position);
                    self.report.differ("journal", name, format_args!("decision {position} in its one form"), found);
                    self.walked.is_whole = false;
                    return None;
                }
                Err(error) => {
                    self.report.differ("journal", name, format_args!("decision {position}"), error);
                    self.walked.is_whole = false;
                    return None;
                }
            }
        }
        for (decision, (_, bytes)) in decisions.iter().zip(block.iter()) {
            self.rebuilt.apply(decision, bytes, self.report);
        }
        Some(decisions)
    }

    /// Blocks are cut inside one raft entry, and only where the next decision has no room.
    fn check_cut(&mut self, block: &Block<'_>, header: &Header, name: &str) {
        let sizes: Vec<usize> = block.iter().map(|(_, bytes)| bytes.len()).collect();
        let body_bytes = sizes.iter().sum();
        if body_bytes > BLOCK_BYTES && sizes.len() > 1 {
            self.report.differ("journal", name, format_args!("at most {BLOCK_BYTES} bytes"), body_bytes);
        }
        if let Some(previous) = &self.previous {
            let has_room = previous.body_bytes + sizes.first().copied().unwrap_or(0) <= BLOCK_BYTES;
            let fits = match header.raft_index.cmp(&previous.raft_index) {
                std::cmp::Ordering::Less => false,
                std::cmp::Ordering::Equal => !has_room,
                std::cmp::Ordering::Greater => true,
            };
            if !fits {
                let expected = format_args!("a raft entry behind {}, or a full block before it", previous.raft_index);
                self.report.differ("journal", format_args!("{name}, raft index"), expected, header.raft_index);
            }
        }
        self.walked.last_raft_index = header.raft_index;
        self.previous = Some(Previous { raft_index: header.raft_index, body_bytes });
    }

    /// Header and footer, against what the decisions say.
    fn check_frame(&mut self, block: &Block<'_>, header: &Header, decisions: &[Decision], name: &str) {
        let (Some(first), Some(last)) = (decisions.first(), decisions.last()) else { return };
        let times = (first.recorded_at, last.recorded_at);
        let found = (header.first_recorded_at, header.last_recorded_at);
        let is_same = self.report.same("journal", format_args!("{name}, recorded_at"), &times, &found);
        match block.totals() {
            Ok(found) => {
                let expected = totals(decisions);
                if self.report.same("journal", format_args!("{name}, totals"), &expected, &found) && is_same {
                    self.walked.footers += 1;
                }
            }
            Err(error) => self.report.differ("journal", format_args!("{name}, totals"), "readable", chain(&error)),
        }
    }

    /// Each caller's decision is the one that its key's row names. No two decisions can share a row.
    fn check_keys(&mut self, decisions: &[Decision]) -> Result<(), EngineError> {
        let mut expected: BTreeMap<Vec<u8>, (&Key, KeyRecord)> = BTreeMap::new();
        for decision in decisions {
            let Origin::Request { key, fingerprint, .. } = &decision.origin else { continue };
            let record = KeyRecord { position: decision.position, fingerprint: *fingerprint };
            self.walked.requests += 1;
            // A look-up that is skipped where the key exists would decide it twice.
            if self.horizons.surely_absent(decision.book, key.as_str().as_bytes()) {
                self.report.differ("meta", format_args!("key horizon of {key:?}"), "the key within", "the key beyond");
            }
            if expected.insert((decision.book, key.clone()).to_bytes(), (key, record)).is_some() {
                self.report.differ("keys", format_args!("{key:?}"), "one decision", "two decisions in one block");
            }
        }
        let keys: Vec<Vec<u8>> = expected.keys().cloned().collect();
        let found = self.engine.multi_get(Table::Keys, &keys)?;
        for ((key, record), found) in expected.values().zip(found) {
            let found = found.map(|bytes| decode_record::<KeyRecord>(&bytes));
            if found.as_ref() == Some(&Ok(*record)) {
                self.walked.keys += 1;
            } else {
                self.report.differ(
                    "keys",
                    format_args!("{key:?}"),
                    format_args!("{record:?}"),
                    format_args!("{found:?}"),
                );
            }
        }
        Ok(())
    }
}

/// What decisions moved, per (book, account, currency), in that order.
fn totals(decisions: &[Decision]) -> Vec<Total> {
    let mut totals: BTreeMap<ControlKey, Total> = BTreeMap::new();
    for decision in decisions {
        let Outcome::Accepted(effects) = &decision.outcome else { continue };
        for entry in &effects.entries {
            for line in &entry.lines {
                let (book, account, currency) = (decision.book, line.account, line.currency);
                let date = entry.effective_date;
                let fresh =
                    Total { book, account, currency, debits: 0, credits: 0, least_date: date, greatest_date: date };
                let total = totals.entry(ControlKey { book, account, currency }).or_insert(fresh);
                match line.side {
                    Side::Debit => total.debits = total.debits.saturating_add(line.amount.minor()),
                    Side::Credit => total.credits = total.credits.saturating_add(line.amount.minor()),
                }
                total.least_date = total.least_date.min(date);
                total.greatest_date = total.greatest_date.max(date);
            }
        }
    }
    totals.into_values().collect()
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        None => error.to_string(),
        Some(source) => format!("{error}: {}", chain(source)),
    }
}

/// Rows of the key table that no decision stands behind: each must name a decision that names it.
pub(super) fn surplus_keys(engine: &impl TableRead, report: &mut Report) -> Result<(), EngineError> {
    let mut range = KeyRange::all();
    loop {
        let rows = engine.scan(Table::Keys, &range, Direction::Forward, super::PAGE_ROWS)?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        range.from = [last.as_slice(), &[0]].concat();
        for (key, value) in rows {
            let (Ok((book, key)), Ok(record)) = (<(BookId, Key)>::from_bytes(&key), decode_record::<KeyRecord>(&value))
            else {
                report.differ("keys", format_args!("{key:02x?}"), "a key and its record", format_args!("{value:02x?}"));
                continue;
            };
            let stored = stored_decision(engine, record.position)?;
            let names_it = stored.is_some_and(|decision| match &decision.origin {
                Origin::Request { key: stored, .. } => *stored == key && decision.book == book,
                Origin::Internal => false,
            });
            if !names_it {
                report.differ("keys", format_args!("{key:?} of book {book}"), "no row", format_args!("{record:?}"));
            }
        }
    }
}

fn stored_decision(engine: &impl TableRead, position: Position) -> Result<Option<Decision>, EngineError> {
    let range = KeyRange { from: vec![], to: Some(position.next().to_bytes()) };
    let row = engine.scan(Table::Journal, &range, Direction::Backward, 1)?.pop();
    Ok(row.and_then(|(_, bytes)| Block::open(&bytes).ok().and_then(|block| block.decision(position).ok())))
}
