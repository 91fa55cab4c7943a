//! Charges: receivable against revenue (or deferred revenue) and taxes; a foreign one passes through the FX position.

use partita_core::account::Account;
use partita_core::currency::Currency;
use partita_core::document::{Charge, ChargeLine, Deferral, TaxLine};
use partita_core::entry::{DocumentRef, Rule, Side};
use partita_core::id::{CurrencyId, DocumentId, Item, Party};
use partita_core::money::Amount;
use partita_core::operation::{CreateCharge, VoidCharge, WrittenChargeLine};
use partita_core::rejection::{Existing, Field, Reason, Rejection};

use super::arith::converted;
use super::decide::{Draft, Moment, Thing, Wish, gather, refuse};
use super::ledger::{Row, Shelf};
use super::manual::{by_role, exact, known_currency, mirrored, open_one, playing, shape, takes_currency};

/// A line of a charge in minor units.
struct Resolved<'a> {
    revenue: &'a Account,
    amount: i128,
    tax: Vec<(Party, i128)>,
    defer: Option<Deferral>,
}

impl Resolved<'_> {
    fn net(&self) -> i128 {
        self.amount - self.tax.iter().map(|tax| tax.1).sum::<i128>()
    }
}

pub(crate) fn row(
    account: &Account,
    (party, item): (Option<&Party>, Option<&DocumentId>),
    side: Side,
    amount: i128,
    currency: CurrencyId,
) -> Row {
    Row { account: account.id, party: party.cloned(), item: item.map(Item::from), side, amount, currency }
}

fn resolve_line<'a>(
    shelf: &'a Shelf,
    (currency, functional): (&Currency, &Currency),
    line: &WrittenChargeLine,
    index: u16,
) -> Result<Resolved<'a>, Rejection> {
    let field = Field::Line(index);
    let revenue = open_one(shelf, &line.revenue, field)?;
    takes_currency(revenue, functional, field)?;
    let amount = exact(currency, line.amount, field)?;
    shape(revenue, None, None, field)?;
    if line.defer.is_some() {
        playing(shelf, "deferred_revenue", (functional, field), (true, true))?;
    }
    let mut tax = vec![];
    for (number, written) in (0..).zip(&line.tax) {
        let field = Field::Tax(index, number);
        let payable = by_role(shelf, "tax_payable", Field::Role)?;
        takes_currency(payable, currency, field)?;
        tax.push((written.jurisdiction.clone(), exact(currency, written.amount, field)?));
        shape(payable, Some(&written.jurisdiction), None, field)?;
    }
    Ok(Resolved { revenue, amount, tax, defer: line.defer })
}

pub(crate) fn create(shelf: &Shelf, moment: &Moment, operation: &CreateCharge) -> Result<Wish, Rejection> {
    if let Some(known) = shelf.charges.get(&operation.id) {
        let what = Existing::Charge(operation.id.clone());
        return refuse(Reason::AlreadyExists { what, decided_at: known.decided }, Field::Id);
    }
    by_role(shelf, "receivable", Field::Role)?;
    let currency = known_currency(shelf, &operation.currency, Field::Currency)?;
    let receivable = playing(shelf, "receivable", (&currency, Field::Currency), (true, true))?;
    let functional_id = shelf.book.functional_currency;
    let functional = known_currency(shelf, &shelf.currency_code(functional_id), Field::Currency)?;
    let foreign = currency.id != functional.id;
    if foreign {
        playing(shelf, "fx_position", (&currency, Field::Currency), (false, false))?;
        playing(shelf, "fx_position", (&functional, Field::Currency), (false, false))?;
    }
    let mut lines = vec![];
    for (index, line) in (0..).zip(&operation.lines) {
        lines.push(resolve_line(shelf, (&currency, &functional), line, index)?);
    }
    if foreign && operation.rate.is_none() {
        return refuse(Reason::RateRequired, Field::Rate);
    }
    let mut functional_nets = vec![];
    for (index, line) in (0..).zip(&lines) {
        let net = match operation.rate.filter(|_| foreign) {
            None => Some(line.net()),
            Some(rate) => converted(line.net(), rate, currency.decimals, functional.decimals),
        };
        let Some(net) = net else {
            return refuse(Reason::BalanceTooLarge { account: line.revenue.code.clone() }, Field::Line(index));
        };
        functional_nets.push(net);
    }
    let deferred = lines.iter().any(|line| line.defer.is_some());
    let mut charge = Charge {
        id: operation.id.clone(),
        customer: operation.customer.clone(),
        receivable: receivable.id,
        deferred: if deferred { Some(by_role(shelf, "deferred_revenue", Field::Role)?.id) } else { None },
        currency: currency.id,
        due_date: operation.due_date,
        rate: operation.rate.filter(|_| foreign),
        lines: vec![],
        amount: Amount::new(lines.iter().map(|line| line.amount).sum()).unwrap(),
        voided: false,
        credited: 0,
        credited_functional_net: 0,
        description: operation.details.description.clone(),
        metadata: operation.details.metadata.clone(),
        effective_date: moment.date(&operation.details),
        payments: vec![],
        refunds: vec![],
        entries: vec![shelf.next_entry()],
        decided: moment.position,
    };
    let rows = rows(shelf, &charge, &lines, &functional_nets)?;
    for (line, functional_net) in lines.iter().zip(functional_nets) {
        let tax = line.tax.iter().map(|(jurisdiction, amount)| TaxLine {
            jurisdiction: jurisdiction.clone(),
            amount: Amount::new(*amount).unwrap(),
            refunded: 0,
        });
        charge.lines.push(ChargeLine {
            revenue: line.revenue.id,
            amount: Amount::new(line.amount).unwrap(),
            tax: tax.collect(),
            defer: line.defer,
            functional_net,
        });
    }
    let draft = Draft {
        rule: Rule::Charge,
        date: charge.effective_date,
        description: operation.details.description.clone(),
        metadata: operation.details.metadata.clone(),
        reverses: None,
        document: Some(DocumentRef::Charge(charge.id.clone())),
        rows,
    };
    Ok(Wish { drafts: vec![draft], reserve: None, things: vec![Thing::Charge(charge)] })
}

fn rows(
    shelf: &Shelf,
    charge: &Charge,
    lines: &[Resolved<'_>],
    functional_nets: &[i128],
) -> Result<Vec<(Row, Field)>, Rejection> {
    let own = (Some(&charge.customer), Some(&charge.id));
    let functional = shelf.book.functional_currency;
    let foreign = charge.currency != functional;
    let gross = charge.amount.minor();
    let mut rows =
        vec![(row(shelf.account(charge.receivable), own, Side::Debit, gross, charge.currency), Field::Amount)];
    for ((index, line), net) in (0..).zip(lines).zip(functional_nets) {
        let earned = if line.defer.is_some() {
            row(by_role(shelf, "deferred_revenue", Field::Role)?, own, Side::Credit, *net, functional)
        } else {
            row(line.revenue, (None, None), Side::Credit, *net, functional)
        };
        if *net > 0 {
            rows.push((earned, Field::Line(index)));
        }
        for (number, (jurisdiction, amount)) in (0..).zip(&line.tax) {
            let payable = by_role(shelf, "tax_payable", Field::Role)?;
            let tax = row(payable, (Some(jurisdiction), None), Side::Credit, *amount, charge.currency);
            rows.push((tax, Field::Tax(index, number)));
        }
    }
    if foreign {
        let position = by_role(shelf, "fx_position", Field::Role)?;
        let net: i128 = lines.iter().map(Resolved::net).sum();
        let value: i128 = functional_nets.iter().sum();
        if net > 0 {
            rows.push((row(position, (None, None), Side::Credit, net, charge.currency), Field::Role));
        }
        if value > 0 {
            rows.insert(1, (row(position, (None, None), Side::Debit, value, functional), Field::Role));
        }
    }
    Ok(rows)
}

/// Only a charge that nothing happened to since: all of it open, nothing applied, credited or recognised.
pub(crate) fn void(shelf: &Shelf, moment: &Moment, operation: &VoidCharge) -> Result<Wish, Rejection> {
    let Some(charge) = shelf.charges.get(&operation.id) else { return refuse(Reason::UnknownDocument, Field::Whole) };
    let mut charge = charge.clone();
    let open = shelf.item_balance(charge.receivable, &charge.customer, &charge.id, charge.currency);
    let applied = charge.payments.iter().any(|payment| {
        shelf.payments[payment]
            .applications
            .iter()
            .any(|application| application.charge == charge.id && application.amount > 0)
    });
    let functional = shelf.book.functional_currency;
    let recognised = charge.deferred.is_some_and(|account| {
        let deferred: i128 =
            charge.lines.iter().filter(|line| line.defer.is_some()).map(|line| line.functional_net).sum();
        shelf.item_balance(account, &charge.customer, &charge.id, functional) != deferred
    });
    if charge.voided || open != charge.amount.minor() || charge.credited != 0 || applied || recognised {
        return refuse(Reason::ChargeNotOpen, Field::Whole);
    }
    let posted = &shelf.entries[usize::try_from(charge.entries[0].0).unwrap() - 1];
    let rows = mirrored(shelf, &posted.entry.lines)?;
    charge.voided = true;
    charge.decided = moment.position;
    gather(&mut charge.entries, shelf.next_entry())?;
    let draft = Draft {
        rule: Rule::ChargeVoid,
        date: moment.date(&operation.details),
        description: operation.details.description.clone(),
        metadata: operation.details.metadata.clone(),
        reverses: Some(posted.entry.number),
        document: Some(DocumentRef::Charge(charge.id.clone())),
        rows,
    };
    Ok(Wish { drafts: vec![draft], reserve: None, things: vec![Thing::Charge(charge)] })
}
