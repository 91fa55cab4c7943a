//! Refunds: the credit step takes back revenue and tax, the cash step pays out; failing mirrors both.

use partita_core::document::{Charge, Endpoint, Payment, Refund, RefundPart, RefundState, SettleMode};
use partita_core::entry::{DocumentRef, Rule, Side};
use partita_core::id::{AccountId, CurrencyId, DocumentId, Item, Party};
use partita_core::money::Amount;
use partita_core::operation::{CreateRefund, MoveRefund, WrittenRefundPart};
use partita_core::rejection::{Existing, Field, Reason, Rejection};

use super::arith::{minor_units, rounded};
use super::charges::row;
use super::decide::{Draft, Moment, Thing, Wish, gather, refuse};
use super::ledger::{Row, Shelf};
use super::manual::{by_role, known_currency, mirrored, playing, still_open};
use super::payments::{source_row, unapplied};

/// Where a refund's money comes from.
struct Parts {
    unapplied: i128,
    charges: Vec<(DocumentId, i128)>,
}

fn exact(
    shelf: &Shelf,
    payment: &Payment,
    written: partita_core::money::WrittenAmount,
    field: Field,
) -> Result<i128, Rejection> {
    let decimals = shelf.decimals(payment.currency);
    match minor_units(written, decimals) {
        Some(minor) => Ok(minor),
        None => refuse(Reason::TooManyDecimals { currency: shelf.currency_code(payment.currency), decimals }, field),
    }
}

/// What holds keep of a customer's item, on its debit side.
fn held(shelf: &Shelf, account: AccountId, customer: &Party, id: &DocumentId, currency: CurrencyId) -> i128 {
    let item = Item::from(id);
    let here = |end: &Endpoint| {
        end.account == account && end.party.as_ref() == Some(customer) && end.item.as_ref() == Some(&item)
    };
    shelf.pending(currency, here).0
}

/// The payment's unapplied cash that no hold keeps.
fn free_cash(shelf: &Shelf, payment: &Payment) -> i128 {
    let held = held(shelf, payment.unapplied, &payment.customer, &payment.id, payment.currency);
    (unapplied(shelf, payment) - held).max(0)
}

/// Unapplied cash first, then the newest application, going back.
fn chosen(shelf: &Shelf, payment: &Payment, amount: i128) -> Parts {
    let mut left = amount;
    let from_cash = left.min(free_cash(shelf, payment));
    left -= from_cash;
    let mut charges = vec![];
    for application in payment.applications.iter().rev() {
        let charge = &shelf.charges[&application.charge];
        let available = (application.amount - application.refunded).min(charge.amount.minor() - charge.credited);
        let part = left.min(available);
        if part > 0 {
            charges.push((application.charge.clone(), part));
            left -= part;
        }
    }
    Parts { unapplied: from_cash, charges }
}

/// What a payment's cash and applications can still give together.
fn capacity(shelf: &Shelf, payment: &Payment) -> i128 {
    let all = chosen(shelf, payment, i128::MAX);
    all.unapplied + all.charges.iter().map(|part| part.1).sum::<i128>()
}

/// What the request named, each part within what its source can still give.
fn named(shelf: &Shelf, payment: &Payment, from: &[WrittenRefundPart]) -> Result<Parts, Rejection> {
    let mut amounts = vec![];
    for (index, part) in (0..).zip(from) {
        let (WrittenRefundPart::Unapplied { amount } | WrittenRefundPart::Charge { amount, .. }) = part;
        amounts.push(exact(shelf, payment, *amount, Field::From(index))?);
    }
    for (index, part) in (0..).zip(from) {
        if let WrittenRefundPart::Charge { charge, .. } = part
            && !payment.applications.iter().any(|application| application.charge == *charge)
        {
            return refuse(Reason::UnknownDocument, Field::From(index));
        }
    }
    let mut parts = Parts { unapplied: 0, charges: vec![] };
    for (part, amount) in from.iter().zip(amounts) {
        match part {
            WrittenRefundPart::Unapplied { .. } => parts.unapplied += amount,
            WrittenRefundPart::Charge { charge, .. } => parts.charges.push((charge.clone(), amount)),
        }
    }
    Ok(parts)
}

fn named_charge(part: &WrittenRefundPart) -> Option<DocumentId> {
    match part {
        WrittenRefundPart::Unapplied { .. } => None,
        WrittenRefundPart::Charge { charge, .. } => Some(charge.clone()),
    }
}

/// The accounts that taking back a part of a charge needs.
fn check_roles(shelf: &Shelf, payment: &Payment, id: &DocumentId) -> Result<(), Rejection> {
    let id_of = shelf.book.functional_currency;
    let functional = known_currency(shelf, &shelf.currency_code(id_of), Field::Currency)?;
    playing(shelf, "credits_and_refunds", (&functional, Field::Role), (false, false))?;
    let applied = payment.applications.iter().any(|application| application.charge == *id);
    let Some(charge) = shelf.charges.get(id).filter(|_| applied) else { return Ok(()) };
    let currency = known_currency(shelf, &shelf.currency_code(charge.currency), Field::Currency)?;
    if charge.currency != id_of {
        playing(shelf, "fx_position", (&currency, Field::Role), (false, false))?;
        playing(shelf, "fx_position", (&functional, Field::Role), (false, false))?;
    }
    if charge.lines.iter().any(|line| !line.tax.is_empty()) {
        playing(shelf, "tax_payable", (&currency, Field::Role), (true, false))?;
    }
    Ok(())
}

fn check_caps(shelf: &Shelf, payment: &Payment, from: &[WrittenRefundPart], parts: &Parts) -> Result<(), Rejection> {
    let decimals = shelf.decimals(payment.currency);
    let mut charges = parts.charges.iter();
    for (index, part) in (0..).zip(from) {
        let (asked, available) = match part {
            WrittenRefundPart::Unapplied { .. } => (parts.unapplied, free_cash(shelf, payment)),
            WrittenRefundPart::Charge { charge, .. } => {
                let application = payment.applications.iter().find(|application| application.charge == *charge);
                let available = application.map_or(0, |application| application.amount - application.refunded);
                let available = available.min(shelf.charges[charge].amount.minor() - shelf.charges[charge].credited);
                (charges.next().expect("one for each").1, available)
            }
        };
        if asked > available {
            return refuse(Reason::OverRefund { available, decimals }, Field::From(index));
        }
    }
    Ok(())
}

pub(crate) fn create(shelf: &Shelf, moment: &Moment, operation: &CreateRefund) -> Result<Wish, Rejection> {
    if let Some(known) = shelf.refunds.get(&operation.id) {
        let what = Existing::Refund(operation.id.clone());
        return refuse(Reason::AlreadyExists { what, decided_at: known.decided }, Field::Id);
    }
    let Some(payment) = shelf.payments.get(&operation.payment) else {
        return refuse(Reason::UnknownDocument, Field::Payment);
    };
    let currency = known_currency(shelf, &shelf.currency_code(payment.currency), Field::Currency)?;
    let payable = playing(shelf, "refunds_payable", (&currency, Field::Role), (true, true))?;
    let amount = exact(shelf, payment, operation.amount, Field::Amount)?;
    let decimals = shelf.decimals(payment.currency);
    let given = operation.from.as_deref();
    if operation.settle == SettleMode::Automatic {
        still_open(shelf.account(source_row(shelf, payment, Side::Credit, amount).account), Field::Payment)?;
    }
    let touched: Vec<DocumentId> = match given {
        Some(from) => from.iter().filter_map(named_charge).collect(),
        None => chosen(shelf, payment, amount).charges.into_iter().map(|part| part.0).collect(),
    };
    for id in &touched {
        check_roles(shelf, payment, id)?;
    }
    let named_parts = given.map(|from| named(shelf, payment, from)).transpose()?;
    let refundable = payment.captured - payment.refunded;
    let available = if given.is_some() { refundable } else { refundable.min(capacity(shelf, payment)) };
    if amount > available {
        return refuse(Reason::OverRefund { available, decimals }, Field::Amount);
    }
    let parts = match (given, named_parts) {
        (Some(from), Some(parts)) => {
            check_caps(shelf, payment, from, &parts)?;
            parts
        }
        (None, _) | (_, None) => chosen(shelf, payment, amount),
    };
    let mut refund = Refund {
        id: operation.id.clone(),
        payment: payment.id.clone(),
        customer: payment.customer.clone(),
        currency: payment.currency,
        amount: Amount::new(amount).unwrap(),
        payable: payable.id,
        settle: operation.settle,
        state: match operation.settle {
            SettleMode::Automatic => RefundState::Succeeded,
            SettleMode::Manual => RefundState::Pending,
        },
        reason: operation.reason.clone(),
        unapplied: parts.unapplied,
        parts: vec![],
        description: operation.details.description.clone(),
        metadata: operation.details.metadata.clone(),
        effective_date: moment.date(&operation.details),
        entries: vec![shelf.next_entry()],
        decided: moment.position,
    };
    let mut payment = payment.clone();
    let mut charges = vec![];
    let mut rows = vec![];
    if parts.unapplied > 0 {
        let own = (Some(&payment.customer), Some(&payment.id));
        let cash = row(shelf.account(payment.unapplied), own, Side::Debit, parts.unapplied, payment.currency);
        rows.push((cash, Field::Whole));
    }
    for (id, part) in &parts.charges {
        let mut charge = shelf.charges[id].clone();
        credit_part(shelf, &mut charge, *part, &mut rows, &mut refund)?;
        let applied = payment.applications.iter_mut().find(|application| application.charge == *id);
        applied.expect("checked above").refunded += part;
        charges.push(charge);
    }
    let own = (Some(&refund.customer), Some(&refund.id));
    rows.push((row(payable, own, Side::Credit, amount, refund.currency), Field::Amount));
    if refund.settle == SettleMode::Automatic {
        rows.extend(cash_rows(shelf, &payment, &refund, [Field::Amount, Field::Payment])?);
    }
    payment.refunded += amount;
    payment.refunded_unapplied += parts.unapplied;
    let number = shelf.next_entry();
    payment.refunds.push(refund.id.clone());
    let draft = Draft {
        rule: Rule::Refund,
        date: refund.effective_date,
        description: operation.details.description.clone(),
        metadata: operation.details.metadata.clone(),
        reverses: None,
        document: Some(DocumentRef::Refund(refund.id.clone())),
        rows,
    };
    for charge in &mut charges {
        charge.refunds.push(refund.id.clone());
    }
    wish(moment, draft, (refund, payment, charges), number)
}

fn cash_rows(
    shelf: &Shelf,
    payment: &Payment,
    refund: &Refund,
    fields: [Field; 2],
) -> Result<Vec<(Row, Field)>, Rejection> {
    let amount = refund.amount.minor();
    let own = (Some(&refund.customer), Some(&refund.id));
    let source = source_row(shelf, payment, Side::Credit, amount);
    still_open(shelf.account(source.account), fields[1])?;
    let payable = row(shelf.account(refund.payable), own, Side::Debit, amount, refund.currency);
    Ok(vec![(payable, fields[0]), (source, fields[1])])
}

/// The credit step of one charge's part: tax by cumulative rounding, the deferred part first, the rest a credit.
fn credit_part(
    shelf: &Shelf,
    charge: &mut Charge,
    part: i128,
    rows: &mut Vec<(Row, Field)>,
    refund: &mut Refund,
) -> Result<(), Rejection> {
    let gross = charge.amount.minor();
    let credited = charge.credited + part;
    let functional = shelf.book.functional_currency;
    let mut taxes: Vec<Vec<i128>> = vec![];
    let mut by_jurisdiction: Vec<(Party, i128)> = vec![];
    for line in &mut charge.lines {
        let mut back = vec![];
        for tax in &mut line.tax {
            let due = rounded(&[tax.amount.minor(), credited], &[gross]).expect("at most the tax") - tax.refunded;
            // A refund that failed can have left more given back than the share so far; tax never comes back.
            let due = due.max(0);
            tax.refunded += due;
            back.push(due);
            match by_jurisdiction.iter_mut().find(|(jurisdiction, _)| *jurisdiction == tax.jurisdiction) {
                Some((_, sum)) => *sum += due,
                None => by_jurisdiction.push((tax.jurisdiction.clone(), due)),
            }
        }
        taxes.push(back);
    }
    let net = part - taxes.iter().flatten().sum::<i128>();
    let functional_net = if charge.currency == functional {
        net
    } else {
        let total: i128 = charge.lines.iter().map(|line| line.functional_net).sum();
        let share = rounded(&[total, credited], &[gross]).expect("at most the total");
        (share - charge.credited_functional_net).max(0)
    };
    let own = (Some(&charge.customer), Some(&charge.id));
    let mut rest = functional_net;
    if let Some(account) = charge.deferred {
        let balance = shelf.item_balance(account, &charge.customer, &charge.id, functional);
        let held = held(shelf, account, &charge.customer, &charge.id, functional);
        let from_deferred = rest.min(balance - held).max(0);
        if from_deferred > 0 {
            rows.push((row(shelf.account(account), own, Side::Debit, from_deferred, functional), Field::Amount));
            rest -= from_deferred;
        }
    }
    if rest != 0 {
        let credits = by_role(shelf, "credits_and_refunds", Field::Role)?;
        rows.push((signed(row(credits, (None, None), Side::Debit, rest, functional)), Field::Role));
    }
    if charge.currency != functional {
        let position = by_role(shelf, "fx_position", Field::Role)?;
        if net != 0 {
            rows.push((signed(row(position, (None, None), Side::Debit, net, charge.currency)), Field::Role));
        }
        if functional_net != 0 {
            rows.push((signed(row(position, (None, None), Side::Credit, functional_net, functional)), Field::Role));
        }
    }
    for (jurisdiction, due) in by_jurisdiction.into_iter().filter(|(_, due)| *due != 0) {
        let account = by_role(shelf, "tax_payable", Field::Role)?;
        rows.push((signed(row(account, (Some(&jurisdiction), None), Side::Debit, due, charge.currency)), Field::Role));
    }
    charge.credited = credited;
    charge.credited_functional_net += functional_net;
    let amount = Amount::new(part).unwrap();
    refund.parts.push(RefundPart { charge: charge.id.clone(), amount, tax: taxes, functional_net });
    Ok(())
}

/// A negative amount stands on the other side.
fn signed(mut row: Row) -> Row {
    if row.amount < 0 {
        row.amount = -row.amount;
        row.side = if row.side == Side::Debit { Side::Credit } else { Side::Debit };
    }
    row
}

fn wish(
    moment: &Moment,
    draft: Draft,
    (mut refund, mut payment, mut charges): (Refund, Payment, Vec<Charge>),
    number: partita_core::id::EntryNumber,
) -> Result<Wish, Rejection> {
    if !refund.entries.contains(&number) {
        gather(&mut refund.entries, number)?;
    }
    gather(&mut payment.entries, number)?;
    for charge in &mut charges {
        gather(&mut charge.entries, number)?;
        charge.decided = moment.position;
    }
    refund.decided = moment.position;
    payment.decided = moment.position;
    let mut things = vec![Thing::Refund(refund), Thing::Payment(payment)];
    things.extend(charges.into_iter().map(Thing::Charge));
    Ok(Wish { drafts: vec![draft], reserve: None, things })
}

fn known(shelf: &Shelf, id: &DocumentId) -> Result<Refund, Rejection> {
    match shelf.refunds.get(id) {
        Some(refund) => Ok(refund.clone()),
        None => refuse(Reason::UnknownDocument, Field::Whole),
    }
}

fn draft(moment: &Moment, operation: &MoveRefund, rule: Rule, rows: Vec<(Row, Field)>) -> Draft {
    Draft {
        rule,
        date: moment.date(&operation.details),
        description: operation.details.description.clone(),
        metadata: operation.details.metadata.clone(),
        reverses: None,
        document: Some(DocumentRef::Refund(operation.id.clone())),
        rows,
    }
}

pub(crate) fn settle(shelf: &Shelf, moment: &Moment, operation: &MoveRefund) -> Result<Wish, Rejection> {
    let mut refund = known(shelf, &operation.id)?;
    if refund.state != RefundState::Pending {
        return refuse(Reason::PaymentNotOpen, Field::Whole);
    }
    let payment = shelf.payments[&refund.payment].clone();
    let rows = cash_rows(shelf, &payment, &refund, [Field::Whole, Field::Source])?;
    refund.state = RefundState::Succeeded;
    wish(moment, draft(moment, operation, Rule::RefundSettle, rows), (refund, payment, vec![]), shelf.next_entry())
}

/// Mirrors what was posted and makes it refundable again.
pub(crate) fn fail(shelf: &Shelf, moment: &Moment, operation: &MoveRefund) -> Result<Wish, Rejection> {
    let mut refund = known(shelf, &operation.id)?;
    if refund.state == RefundState::Failed {
        return refuse(Reason::PaymentNotOpen, Field::Whole);
    }
    let mut rows = vec![];
    for number in &refund.entries {
        let posted = &shelf.entries[usize::try_from(number.0).unwrap() - 1];
        rows.extend(mirrored(shelf, &posted.entry.lines)?);
    }
    let only = if refund.entries.len() == 1 { Some(refund.entries[0]) } else { None };
    let mut payment = shelf.payments[&refund.payment].clone();
    payment.refunded -= refund.amount.minor();
    payment.refunded_unapplied -= refund.unapplied;
    let mut charges = vec![];
    for part in &refund.parts {
        let applied = payment.applications.iter_mut().find(|application| application.charge == part.charge);
        applied.expect("a part was applied").refunded -= part.amount.minor();
        let mut charge = shelf.charges[&part.charge].clone();
        charge.credited -= part.amount.minor();
        charge.credited_functional_net -= part.functional_net;
        for (line, taxes) in charge.lines.iter_mut().zip(&part.tax) {
            for (tax, back) in line.tax.iter_mut().zip(taxes) {
                tax.refunded -= back;
            }
        }
        charges.push(charge);
    }
    refund.state = RefundState::Failed;
    let draft = Draft { reverses: only, ..draft(moment, operation, Rule::RefundFail, rows) };
    wish(moment, draft, (refund, payment, charges), shelf.next_entry())
}
