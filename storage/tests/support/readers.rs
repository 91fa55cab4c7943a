//! What readers say, held against the model: the journal, scans, statements, earlier balances, hash trees.

use std::fmt::Debug;

use partita_core::decision::{Decision, Outcome};
use partita_core::document::Snapshot;
use partita_core::entry::{Entry, Line};
use partita_core::id::{BookId, Party, Position};
use partita_core::period::Seal;
use partita_core::state::{Read, SubaccountKey};
use partita_core::time::{Date, Timestamp};
use partita_storage::codec::encode_decision;
use partita_storage::engine::TableEngine;
use partita_storage::state::{Order, View};

use crate::model::compare::Compared;
use crate::model::decide::Model;
use crate::model::ledger::{Shelf, SubaccountAt};
use crate::model::periods::{known, known_decision};
use crate::model::random::Random;

fn same<T: PartialEq + Debug>(what: &str, found: &T, expected: &T) -> Compared {
    if found == expected { Ok(1) } else { Err(format!("{what}:\n   found    {found:?}\n   expected {expected:?}")) }
}

/// All of it; returns how much was compared.
pub(crate) fn compare<E: TableEngine>(model: &Model, view: &View<'_, E>) -> Compared {
    let mut random = Random::new(model.position.0);
    let mut count = journal(model, view, &mut random)?;
    for ((scope, key), (operation, position)) in &model.keys {
        let found = view.key(*scope, key).map(|record| (record.position, record.fingerprint));
        let expected = Some((*position, partita_storage::codec::fingerprint(operation)));
        count += same("key record", &found, &expected)?;
    }
    for shelf in &model.shelves {
        count += scans(shelf, view)?;
        for at in shelf.steps.keys() {
            count += statement(shelf, view, at, &mut random)?;
        }
    }
    Ok(count)
}

/// RFC 6962 by its definition.
fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => *blake3::hash(b"").as_bytes(),
        [leaf] => *leaf,
        _ => {
            let half = leaves.len().next_power_of_two() / 2;
            let mut node = blake3::Hasher::new();
            node.update(&[1]).update(&root(&leaves[..half])).update(&root(&leaves[half..]));
            *node.finalize().as_bytes()
        }
    }
}

fn journal<E: TableEngine>(model: &Model, view: &View<'_, E>, random: &mut Random) -> Compared {
    let decisions = view.decisions(Position(1), usize::MAX, usize::MAX).map_err(|error| error.to_string())?;
    if decisions.iter().map(known_decision).ne(model.journal.iter().cloned()) {
        return Err("the journal has other decisions than the model".to_owned());
    }
    let leaf = |decision| {
        let mut leaf = blake3::Hasher::new();
        leaf.update(&[0]).update(&encode_decision(decision));
        *leaf.finalize().as_bytes()
    };
    let leaves: Vec<(BookId, [u8; 32])> = decisions.iter().map(|decision| (decision.book, leaf(decision))).collect();
    let of = |book: BookId| leaves.iter().filter(|pair| pair.0 == book).map(|pair| pair.1).collect::<Vec<_>>();
    let mut count = same("head", &view.head_hash(), &root(&leaves.iter().map(|pair| pair.1).collect::<Vec<_>>()))?;
    for seal in decisions.iter().flat_map(seals) {
        let before = usize::try_from(seal.journal.position.0).unwrap();
        let leaves: Vec<[u8; 32]> = leaves[..before].iter().map(|pair| pair.1).collect();
        count += same("a sealed head", &seal.journal.hash.0, &root(&leaves))?;
    }
    for shelf in &model.shelves {
        count += same("a book's head", &view.book_head_hash(shelf.book.id), &root(&of(shelf.book.id)))?;
    }
    for _ in 0..50 {
        let index = random.below(decisions.len());
        let found = view.decision(Position(u64::try_from(index).unwrap() + 1)).map_err(|error| error.to_string())?;
        count += same("decision", &found.as_ref(), &Some(&decisions[index]))?;
        let instant = Timestamp(decisions[index].recorded_at.0 + [-1, 0, 1][random.below(3)]);
        let last = decisions.iter().rev().find(|decision| decision.recorded_at <= instant);
        let found = view.position_at(instant).map_err(|error| error.to_string())?;
        count += same("position at an instant", &found, &last.map_or(Position(0), |decision| decision.position))?;
    }
    Ok(count + decisions.len())
}

/// The seals that a decision left.
fn seals(decision: &Decision) -> Vec<Seal> {
    let Outcome::Accepted(effects) = &decision.outcome else { return vec![] };
    let sealed = effects
        .snapshots
        .iter()
        .filter_map(|snapshot| if let Snapshot::Period(period) = snapshot { period.seal.clone() } else { None });
    sealed.collect()
}

fn scans<E: TableEngine>(shelf: &Shelf, view: &View<'_, E>) -> Compared {
    let book = shelf.book.id;
    let error = |error: partita_storage::state::StorageError| error.to_string();
    let mut accounts = shelf.accounts.clone();
    accounts.sort_by(|a, b| a.code.cmp(&b.code));
    let found: Vec<_> = view.accounts(book).map_err(error)?.iter().map(|account| (**account).clone()).collect();
    let mut count = same("accounts", &found, &accounts)?;
    let movements: Vec<_> = view
        .movements(book)
        .map_err(error)?
        .into_iter()
        .filter(|row| (row.1.debits, row.1.credits) != (0, 0))
        .collect();
    let expected: Vec<_> = shelf.movements.iter().filter(|(_, money)| **money != (0, 0)).collect();
    count += same("number of movements", &movements.len(), &expected.len())?;
    for ((key, movement), ((account, currency, date), money)) in movements.iter().zip(expected) {
        let found = (key.control.account, key.control.currency, key.date, (movement.debits, movement.credits));
        count += same("movement", &found, &(*account, *currency, *date, *money))?;
    }
    count += same(
        "charges",
        &view.charges(book, None, None, usize::MAX).map_err(error)?,
        &shelf.charges.values().cloned().collect(),
    )?;
    count +=
        same("holds", &view.holds(book, None, usize::MAX).map_err(error)?, &shelf.holds.values().cloned().collect())?;
    for customer in ["cus_1", "cus_2", "cus_3", "nobody"] {
        let customer = Party::new(customer).unwrap();
        let charges = shelf.charges.values().filter(|charge| charge.customer == customer).cloned().collect();
        let payments = shelf.payments.values().filter(|payment| payment.customer == customer).cloned().collect();
        let refunds = shelf.refunds.values().filter(|refund| refund.customer == customer).cloned().collect();
        count += same(
            "a customer's charges",
            &view.charges(book, Some(&customer), None, usize::MAX).map_err(error)?,
            &charges,
        )?;
        count += same(
            "a customer's payments",
            &view.payments(book, Some(&customer), None, usize::MAX).map_err(error)?,
            &payments,
        )?;
        count += same(
            "a customer's refunds",
            &view.refunds(book, Some(&customer), None, usize::MAX).map_err(error)?,
            &refunds,
        )?;
    }
    count += same(
        "periods",
        &view.periods(book).map_err(error)?.into_iter().map(known).collect(),
        &shelf.periods.values().cloned().collect::<Vec<_>>(),
    )?;
    let records = view.entry_records(book, Default::default(), usize::MAX).map_err(error)?;
    count += same("number of entries", &records.len(), &shelf.entries.len())?;
    Ok(count)
}

/// Every posting of a subaccount in the order of the journal, from the entries alone.
fn postings<'a>(shelf: &'a Shelf, at: &SubaccountAt) -> Vec<(Position, &'a Entry, &'a Line)> {
    let mut found = vec![];
    for posted in &shelf.entries {
        for line in &posted.entry.lines {
            if (line.account, line.party.clone(), line.currency) == *at {
                found.push((posted.position, &posted.entry, line));
            }
        }
    }
    found
}

fn statement<E: TableEngine>(shelf: &Shelf, view: &View<'_, E>, at: &SubaccountAt, random: &mut Random) -> Compared {
    let (account, party, currency) = at.clone();
    let key = SubaccountKey { book: shelf.book.id, account, party, currency };
    let error = |error: partita_storage::state::StorageError| error.to_string();
    let expected = postings(shelf, at);
    let lines: Vec<&Line> = expected.iter().map(|posting| posting.2).collect();
    let oldest = view.postings(&key, Order::Oldest, None, usize::MAX).map_err(error)?;
    let mut count =
        same("postings, oldest first", &oldest.iter().map(|posting| &posting.line).collect::<Vec<_>>(), &lines)?;
    let newest = view.postings(&key, Order::Newest, None, usize::MAX).map_err(error)?;
    count +=
        same("postings, newest first", &newest.iter().rev().map(|posting| &posting.line).collect::<Vec<_>>(), &lines)?;
    if lines.is_empty() {
        return Ok(count);
    }
    for _ in 0..6 {
        let (position, entry, _) = expected[random.below(expected.len())];
        let as_of: Option<Date> = random.chance(60).then_some(entry.effective_date);
        let known: Option<Position> = random.chance(60).then_some(Position(position.0 - u64::from(random.chance(30))));
        let mut sums = (0, 0);
        for (position, entry, line) in &expected {
            if as_of.is_none_or(|as_of| entry.effective_date <= as_of) && known.is_none_or(|known| *position <= known) {
                match line.side {
                    partita_core::entry::Side::Debit => sums.0 += line.amount.minor(),
                    partita_core::entry::Side::Credit => sums.1 += line.amount.minor(),
                }
            }
        }
        let found = view.balance_at(&key, as_of, known).map_err(error)?;
        count += same(&format!("{key:?} as of {as_of:?} known at {known:?}"), &(found.debits, found.credits), &sums)?;
        let after = 1 + random.next() % u64::try_from(lines.len()).unwrap();
        let page = view.postings(&key, Order::Oldest, Some(after), 3).map_err(error)?;
        let from = usize::try_from(after).unwrap().min(lines.len());
        let page: Vec<&Line> = page.iter().map(|posting| &posting.line).collect();
        count += same("a page of postings", &page.as_slice(), &&lines[from..(from + 3).min(lines.len())])?;
    }
    Ok(count)
}
