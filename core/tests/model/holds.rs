//! Holds: a reservation of two sides, captured in parts, voided, or expired.

use partita_core::document::{Endpoint, Hold, HoldState};
use partita_core::entry::{DocumentRef, Rule, Side};
use partita_core::money::Amount;
use partita_core::operation::{CaptureHold, PlaceHold, VoidHold};
use partita_core::rejection::{Existing, Field, Reason, Rejection};

use super::arith::minor_units;
use super::decide::{Draft, Moment, Thing, Wish, gather, refuse};
use super::ledger::{Reserved, Reserver, Row, Shelf};
use super::manual::two_rows;

fn end(row: &Row) -> Endpoint {
    Endpoint { account: row.account, party: row.party.clone(), item: row.item.clone() }
}

fn reserved(hold: &Hold) -> Option<Reserved> {
    (hold.pending > 0).then(|| Reserved {
        debit: hold.debit.clone(),
        credit: hold.credit.clone(),
        currency: hold.currency,
        amount: hold.pending,
    })
}

pub(crate) fn place(shelf: &Shelf, moment: &Moment, operation: &PlaceHold) -> Result<Wish, Rejection> {
    if let Some(known) = shelf.holds.get(&operation.id) {
        let what = Existing::Hold(operation.id.clone());
        return refuse(Reason::AlreadyExists { what, decided_at: known.decided }, Field::Id);
    }
    let rows = two_rows(shelf, (&operation.debit, &operation.credit), (operation.amount, &operation.currency))?;
    let hold = Hold {
        id: operation.id.clone(),
        debit: end(&rows[0].0),
        credit: end(&rows[1].0),
        currency: rows[0].0.currency,
        amount: Amount::new(rows[0].0.amount).unwrap(),
        captured: 0,
        pending: rows[0].0.amount,
        state: HoldState::Pending,
        expires_at: operation.expires_at,
        description: operation.description.clone(),
        metadata: operation.metadata.clone(),
        entries: vec![],
        decided: moment.position,
    };
    let reserve = (Reserver::Hold(hold.id.clone()), reserved(&hold), [Field::Debit, Field::Credit]);
    Ok(Wish { drafts: vec![], reserve: Some(reserve), things: vec![Thing::Hold(hold)] })
}

fn pending_one(shelf: &Shelf, id: &partita_core::id::DocumentId) -> Result<Hold, Rejection> {
    let Some(hold) = shelf.holds.get(id) else { return refuse(Reason::UnknownDocument, Field::Whole) };
    match hold.state {
        HoldState::Pending | HoldState::PartiallyCaptured => Ok(hold.clone()),
        HoldState::Captured | HoldState::Voided | HoldState::Expired => refuse(Reason::HoldNotOpen, Field::Whole),
    }
}

pub(crate) fn capture(shelf: &Shelf, moment: &Moment, operation: &CaptureHold) -> Result<Wish, Rejection> {
    let mut hold = pending_one(shelf, &operation.id)?;
    let decimals = shelf.decimals(hold.currency);
    let amount = match operation.amount {
        None => hold.pending,
        Some(written) => match minor_units(written, decimals) {
            Some(minor) => minor,
            None => {
                let currency = shelf.currency_code(hold.currency);
                return refuse(Reason::TooManyDecimals { currency, decimals }, Field::Amount);
            }
        },
    };
    if amount > hold.pending {
        return refuse(Reason::OverCapture { available: hold.pending, decimals }, Field::Amount);
    }
    gather(&mut hold.entries, shelf.next_entry())?;
    hold.captured += amount;
    hold.pending -= amount;
    if operation.is_final {
        hold.pending = 0;
    }
    hold.state = if hold.pending == 0 { HoldState::Captured } else { HoldState::PartiallyCaptured };
    hold.decided = moment.position;
    let row = |end: &Endpoint, side, field| {
        let (party, item) = (end.party.clone(), end.item.clone());
        (Row { account: end.account, party, item, side, amount, currency: hold.currency }, field)
    };
    let draft = Draft {
        rule: Rule::HoldCapture,
        date: moment.date(&operation.details),
        description: operation.details.description.clone(),
        metadata: operation.details.metadata.clone(),
        reverses: None,
        document: Some(DocumentRef::Hold(hold.id.clone())),
        rows: vec![row(&hold.debit, Side::Debit, Field::Debit), row(&hold.credit, Side::Credit, Field::Credit)],
    };
    let reserve = (Reserver::Hold(hold.id.clone()), reserved(&hold), [Field::Debit, Field::Credit]);
    Ok(Wish { drafts: vec![draft], reserve: Some(reserve), things: vec![Thing::Hold(hold)] })
}

pub(crate) fn void(shelf: &Shelf, moment: &Moment, operation: &VoidHold) -> Result<Wish, Rejection> {
    let mut hold = pending_one(shelf, &operation.id)?;
    hold.pending = 0;
    hold.state = if hold.captured == 0 { HoldState::Voided } else { HoldState::Captured };
    hold.decided = moment.position;
    let reserve = (Reserver::Hold(hold.id.clone()), None, [Field::Whole; 2]);
    Ok(Wish { drafts: vec![], reserve: Some(reserve), things: vec![Thing::Hold(hold)] })
}
