//! Verification: everything in the State DB rebuilt from the journal alone and compared, row by row, both ways.
//!
//! The journal is read once, from its first block to the head. Sums, chain pointers, numbers, pending amounts, hash
//! trees and block footers are computed anew, without the code that decided or applied anything; only the codec is
//! shared. Nothing is changed or repaired. What only the raft log holds yet is not looked at: the stored state is as
//! of the last checkpoint.
//!
//! Not checked here: whether decisions follow from commands (the journal keeps outcomes, not requests), and whether
//! the whole journal was replaced by another one, consistent in itself (publish its head elsewhere: docs/rules.md,
//! controls).

mod blocks;
mod periods;
mod postings;
mod rebuilt;
mod report;
mod tables;
#[cfg(test)]
mod tests;

pub use report::{Check, Difference, Report};

use partita_core::id::Position;

use crate::codec::Levels;
use crate::engine::{Table, TableRead};
use crate::state::{HEAD_KEY, HORIZON_PREFIX, HeadRecord, load_horizons, read_head};
use blocks::{Walked, surplus_keys, walk};
use rebuilt::Rebuilt;

/// Rows per read of a table.
const PAGE_ROWS: usize = 4_096;

/// Checks a stored state: of a [`crate::engine::TableEngine`] that nobody writes, or of its snapshot.
///
/// Damage of any kind, unreadable tables included, is in the report.
pub fn verify(engine: &impl TableRead) -> Report {
    let mut report = Report::default();
    let stored = match read_head(engine, Levels::OWN) {
        Ok(stored) => stored,
        Err(error) => {
            report.differ("meta", "head", "a head that can be read", error);
            report.check("head", 1, 0);
            return report;
        }
    };
    let position = stored.as_ref().map_or(Position(0), |stored| stored.head.position);
    report.position = position;
    let horizons = match load_horizons(engine) {
        Ok(horizons) => horizons,
        Err(error) => {
            report.differ("meta", "key horizons", "readable", error);
            crate::state::Horizons::default()
        }
    };
    let mut rebuilt = Rebuilt::default();
    let walked = walk(engine, position, &horizons, &mut rebuilt, &mut report);
    report.head = rebuilt.tree.root();
    count(position, &walked, &rebuilt, &mut report);
    if !walked.is_whole {
        report.differ("all", "rows", "compared with the journal", "not compared: the journal is not whole");
        return report;
    }
    check_keys(engine, &walked, &mut report);
    check_meta(engine, stored.as_ref(), &walked, &rebuilt, &mut report);
    tables::compare_all(engine, &rebuilt, &mut report);
    tables::check_sums(&rebuilt, &mut report);
    report
}

/// What was gone through, against what there must have been.
fn count(position: Position, walked: &Walked, rebuilt: &Rebuilt, report: &mut Report) {
    let seen = &rebuilt.seen;
    let entries = rebuilt.totals.values().map(|totals| totals.last_entry.0).sum();
    let postings = rebuilt.subaccounts.values().map(postings::Postings::count).sum();
    let decided = seen.refusals + seen.expiries;
    report.check("journal blocks with footers", walked.blocks, walked.footers);
    report.check("decisions", position.0, seen.decisions);
    report.check("leaves of the hash tree", position.0, rebuilt.tree.size());
    report.check("leaves of the books' trees", position.0, rebuilt.trees.values().map(|tree| tree.size()).sum());
    report.check("refusals and expiries", decided, decided);
    report.check("document snapshots", seen.snapshots, seen.snapshots);
    report.check("seals of closed periods", seen.seals, seen.seals);
    report.check("numbered entries", entries, seen.entries);
    report.check("lines with pointers", postings, seen.lines);
}

/// Every decision of a caller found its key's row on the walk; here that there are no more rows than those.
fn check_keys(engine: &impl TableRead, walked: &Walked, report: &mut Report) {
    let mut rows = 0;
    let counted = tables::for_each_row(engine, Table::Keys, |_| rows += 1);
    let result = counted.and_then(|hidden| {
        tables::differ_hidden(report, "keys", &hidden);
        if rows == walked.requests { Ok(()) } else { surplus_keys(engine, report) }
    });
    if let Err(error) = result {
        report.differ("keys", "rows", "readable", error);
    }
    report.check("keys", walked.requests, walked.keys);
    report.check("key rows", walked.requests, rows);
}

/// The head and what stands beside it.
fn check_meta(
    engine: &impl TableRead,
    stored: Option<&HeadRecord>,
    walked: &Walked,
    rebuilt: &Rebuilt,
    report: &mut Report,
) {
    let mut heads = 0;
    if let Some(HeadRecord { format: _, head, applied, tree }) = stored {
        let is_here = report.same("meta", "head", &rebuilt.head, head);
        let is_tree = report.same("meta", "hash tree", &rebuilt.tree, tree);
        if applied.index < walked.last_raft_index {
            let expected = format_args!("at least raft entry {}", walked.last_raft_index);
            report.differ("meta", "applied", expected, applied.index);
        } else if is_here && is_tree {
            heads += 1;
        }
    }
    report.check("head", u64::from(stored.is_some()), heads);
    let result = tables::for_each_row(engine, Table::Meta, |(key, _)| {
        if key != HEAD_KEY && !key.starts_with(HORIZON_PREFIX) {
            report.differ("meta", format_args!("{key:02x?}"), "no row", "a row of no known kind");
        }
    });
    match result {
        Ok(hidden) => tables::differ_hidden(report, "meta", &hidden),
        Err(error) => report.differ("meta", "rows", "readable", error),
    }
}
