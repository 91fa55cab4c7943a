//! Payments: money received, applied to charges as far as they are open, the rest unapplied cash.

use partita_core::account::{Account, ItemRule};
use partita_core::currency::Currency;
use partita_core::document::{Application, CaptureMode, Charge, Endpoint, Payment, PaymentState, Source};
use partita_core::entry::{DocumentRef, Metadata, Rule, Side};
use partita_core::id::{DocumentId, Item, Party};
use partita_core::money::{Amount, WrittenAmount};
use partita_core::operation::{
    ApplyPayment, CapturePayment, CreatePayment, PostPaymentFee, VoidPayment, WrittenApplication, WrittenSource,
};
use partita_core::rejection::{Existing, Field, Reason, Rejection};
use partita_core::time::Date;

use super::charges::row;
use super::decide::{Draft, Moment, Thing, Wish, gather, refuse};
use super::ledger::{Reserved, Reserver, Row, Shelf};
use super::manual::{by_role, exact, known_currency, open_one, playing, shape, still_open, takes_currency};

/// A payment under way, with the charges that its applications touch.
struct Work<'a> {
    shelf: &'a Shelf,
    payment: Payment,
    charges: Vec<Charge>,
    drafts: Vec<Draft>,
}

/// The money side of a payment's line: its clearing item, or the plain account.
pub(crate) fn source_row(shelf: &Shelf, payment: &Payment, side: Side, amount: i128) -> Row {
    let end = source_end(shelf, payment);
    Row { account: end.account, party: end.party, item: end.item, side, amount, currency: payment.currency }
}

fn source_end(shelf: &Shelf, payment: &Payment) -> Endpoint {
    let item = Item::from(&payment.id);
    let takes_items = |account| shelf.account(account).items != ItemRule::None;
    match &payment.source {
        Source::Processor { account, processor } => {
            Endpoint { account: *account, party: Some(processor.clone()), item: takes_items(*account).then_some(item) }
        }
        Source::Account(account) => {
            Endpoint { account: *account, party: None, item: takes_items(*account).then_some(item) }
        }
    }
}

fn source_account<'a>(shelf: &'a Shelf, payment: &Payment) -> &'a Account {
    shelf.account(match &payment.source {
        Source::Processor { account, .. } | Source::Account(account) => *account,
    })
}

pub(crate) fn open_amount(shelf: &Shelf, charge: &Charge) -> i128 {
    if charge.voided {
        return 0;
    }
    let open = shelf.item_balance(charge.receivable, &charge.customer, &charge.id, charge.currency);
    let item = Item::from(&charge.id);
    let (_, held) = shelf.pending(charge.currency, |end| {
        end.account == charge.receivable
            && end.party.as_ref() == Some(&charge.customer)
            && end.item.as_ref() == Some(&item)
    });
    (open - held).max(0)
}

pub(crate) fn unapplied(shelf: &Shelf, payment: &Payment) -> i128 {
    shelf.item_balance(payment.unapplied, &payment.customer, &payment.id, payment.currency)
}

fn currency_of(shelf: &Shelf, payment: &Payment) -> Currency {
    Currency {
        id: payment.currency,
        code: shelf.currency_code(payment.currency),
        decimals: shelf.decimals(payment.currency),
        decided: partita_core::id::Position(0),
    }
}

fn reserved(shelf: &Shelf, payment: &Payment) -> Option<Reserved> {
    (payment.pending > 0).then(|| Reserved {
        debit: source_end(shelf, payment),
        credit: Endpoint {
            account: payment.unapplied,
            party: Some(payment.customer.clone()),
            item: Some(Item::from(&payment.id)),
        },
        currency: payment.currency,
        amount: payment.pending,
    })
}

impl<'a> Work<'a> {
    fn new(shelf: &'a Shelf, mut payment: Payment, moment: &Moment) -> Self {
        payment.decided = moment.position;
        Self { shelf, payment, charges: vec![], drafts: vec![] }
    }

    /// The charge as this decision has left it so far.
    fn charge_mut(&mut self, id: &DocumentId) -> &mut Charge {
        let index = self.charges.iter().position(|charge| charge.id == *id).unwrap_or_else(|| {
            let mut charge = self.shelf.charges[id].clone();
            charge.decided = self.payment.decided;
            self.charges.push(charge);
            self.charges.len() - 1
        });
        &mut self.charges[index]
    }

    fn add_application(&mut self, charge: &DocumentId, amount: i128) {
        match self.payment.applications.iter_mut().find(|application| application.charge == *charge) {
            Some(application) => application.amount += amount,
            None => self.payment.applications.push(Application { charge: charge.clone(), amount, refunded: 0 }),
        }
        let payment = self.payment.id.clone();
        let charge = self.charge_mut(charge);
        if !charge.payments.contains(&payment) {
            charge.payments.push(payment);
        }
    }

    fn draft(&mut self, rule: Rule, details: &Details<'_>, rows: Vec<(Row, Field)>) -> Result<(), Rejection> {
        let number =
            partita_core::id::EntryNumber(self.shelf.next_entry().0 + u64::try_from(self.drafts.len()).unwrap());
        gather(&mut self.payment.entries, number)?;
        self.drafts.push(Draft {
            rule,
            date: details.date,
            description: details.description.to_owned(),
            metadata: details.metadata.clone(),
            reverses: None,
            document: Some(DocumentRef::Payment(self.payment.id.clone())),
            rows,
        });
        Ok(())
    }

    /// The charges that an entry settled list it too.
    fn note_on_charges(&mut self, charges: &[DocumentId]) -> Result<(), Rejection> {
        let number = *self.payment.entries.last().expect("an entry was drafted");
        for id in charges {
            let charge = self.charge_mut(id);
            if charge.entries.last() != Some(&number) {
                gather(&mut charge.entries, number)?;
            }
        }
        Ok(())
    }

    fn done(self, reserve: Option<(Reserver, Option<Reserved>, [Field; 2])>) -> Wish {
        let mut things = vec![Thing::Payment(self.payment)];
        things.extend(self.charges.into_iter().map(Thing::Charge));
        Wish { drafts: self.drafts, reserve, things }
    }

    /// Money received: to the named charges as far as they are open, the rest to unapplied cash; then the fee.
    fn receive(
        &mut self,
        amount: i128,
        asked: &[(DocumentId, i128)],
        fee: Option<i128>,
        details: &Details<'_>,
    ) -> Result<(), Rejection> {
        let mut rows = vec![(source_row(self.shelf, &self.payment, Side::Debit, amount), Field::Source)];
        let mut left = amount;
        let mut settled: Vec<DocumentId> = vec![];
        for ((index, (id, asked)), charge) in
            (0..).zip(asked).map(|(index, pair)| ((index, pair), &self.shelf.charges[&pair.0]))
        {
            let earlier: i128 = rows.iter().filter(|(row, _)| is_item(row, charge)).map(|(row, _)| row.amount).sum();
            let part = (*asked).min(open_amount(self.shelf, charge) - earlier).min(left);
            if part > 0 {
                let own = (Some(&self.payment.customer), Some(id));
                let receivable = self.shelf.account(charge.receivable);
                rows.push((row(receivable, own, Side::Credit, part, charge.currency), Field::Apply(index)));
                left -= part;
                settled.push(id.clone());
                self.add_application(id, part);
            }
        }
        if left > 0 {
            let unapplied = still_open(self.shelf.account(self.payment.unapplied), Field::Role)?;
            let own = (Some(&self.payment.customer), Some(&self.payment.id));
            rows.push((row(unapplied, own, Side::Credit, left, self.payment.currency), Field::Amount));
        }
        self.draft(Rule::PaymentCapture, details, rows)?;
        self.note_on_charges(&settled)?;
        if let Some(fee) = fee {
            self.charge_fee(fee, false, details)?;
        }
        Ok(())
    }

    fn charge_fee(&mut self, amount: i128, returned: bool, details: &Details<'_>) -> Result<(), Rejection> {
        let fees = by_role(self.shelf, "processing_fees", Field::Role)?;
        let (fees_side, source_side) = if returned { (Side::Credit, Side::Debit) } else { (Side::Debit, Side::Credit) };
        let fees_row = (row(fees, (None, None), fees_side, amount, self.payment.currency), Field::Role);
        let source = (source_row(self.shelf, &self.payment, source_side, amount), Field::Source);
        let rows = vec![fees_row, source];
        self.payment.fees += if returned { -amount } else { amount };
        self.draft(if returned { Rule::PaymentFeeReturn } else { Rule::PaymentFee }, details, rows)
    }
}

fn is_item(row: &Row, charge: &Charge) -> bool {
    row.account == charge.receivable && row.item.as_ref() == Some(&Item::from(&charge.id)) && row.side == Side::Credit
}

/// What the entries of one operation have in common.
struct Details<'a> {
    date: Date,
    description: &'a str,
    metadata: &'a Metadata,
}

fn details<'a>(moment: &Moment, written: &'a partita_core::operation::Details) -> Details<'a> {
    Details { date: moment.date(written), description: &written.description, metadata: &written.metadata }
}

/// The amounts of named applications, held against the currency.
fn exact_applications(currency: &Currency, apply: &[WrittenApplication]) -> Result<Vec<(DocumentId, i128)>, Rejection> {
    let mut amounts = vec![];
    for (index, part) in (0..).zip(apply) {
        amounts.push((part.charge.clone(), exact(currency, part.amount, Field::Apply(index))?));
    }
    Ok(amounts)
}

fn check_charges(
    shelf: &Shelf,
    (customer, currency): (&Party, partita_core::id::CurrencyId),
    apply: &[(DocumentId, i128)],
) -> Result<(), Rejection> {
    for (index, (id, _)) in (0..).zip(apply) {
        let field = Field::Apply(index);
        let Some(charge) = shelf.charges.get(id) else { return refuse(Reason::UnknownDocument, field) };
        if charge.customer != *customer {
            return refuse(Reason::CustomerMismatch, field);
        }
        if charge.currency != currency {
            return refuse(Reason::CurrencyMismatch, field);
        }
    }
    Ok(())
}

fn exact_fee(
    shelf: &Shelf,
    currency: &Currency,
    fee: Option<WrittenAmount>,
    field: Field,
) -> Result<Option<i128>, Rejection> {
    let Some(fee) = fee else { return Ok(None) };
    let account = by_role(shelf, "processing_fees", Field::Role)?;
    takes_currency(account, currency, field)?;
    let amount = exact(currency, fee, field)?;
    shape(account, None, None, Field::Role)?;
    Ok(Some(amount))
}

pub(crate) fn create(shelf: &Shelf, moment: &Moment, operation: &CreatePayment) -> Result<Wish, Rejection> {
    if let Some(known) = shelf.payments.get(&operation.id) {
        let what = Existing::Payment(operation.id.clone());
        return refuse(Reason::AlreadyExists { what, decided_at: known.decided }, Field::Id);
    }
    let (account, source) = match &operation.source {
        WrittenSource::Processor(processor) => {
            let account = by_role(shelf, "processor_clearing", Field::Role)?;
            (account, Source::Processor { account: account.id, processor: processor.clone() })
        }
        WrittenSource::Account(code) => {
            let account = open_one(shelf, code, Field::Source)?;
            (account, Source::Account(account.id))
        }
    };
    let currency = known_currency(shelf, &operation.currency, Field::Currency)?;
    takes_currency(account, &currency, Field::Currency)?;
    let amount = exact(&currency, operation.amount, Field::Amount)?;
    let item = Item::from(&operation.id);
    let item = (account.items != ItemRule::None).then_some(&item);
    match &source {
        Source::Processor { processor, .. } => shape(account, Some(processor), item, Field::Source)?,
        Source::Account(_) => shape(account, None, item, Field::Source)?,
    }
    let unapplied = playing(shelf, "unapplied_cash", (&currency, Field::Currency), (true, true))?;
    let fee = exact_fee(shelf, &currency, operation.fee, Field::Fee)?;
    let asked = exact_applications(&currency, &operation.apply)?;
    check_charges(shelf, (&operation.customer, currency.id), &asked)?;
    let manual = operation.capture == CaptureMode::Manual;
    let requested = asked.iter().map(|(id, minor)| (id.clone(), Amount::new(*minor).unwrap()));
    let payment = Payment {
        id: operation.id.clone(),
        customer: operation.customer.clone(),
        source,
        unapplied: unapplied.id,
        currency: currency.id,
        amount: Amount::new(amount).unwrap(),
        capture: operation.capture,
        state: if manual { PaymentState::Authorised } else { PaymentState::Captured },
        captured: if manual { 0 } else { amount },
        pending: if manual { amount } else { 0 },
        expires_at: operation.expires_at,
        requested: if manual { requested.collect() } else { vec![] },
        applications: vec![],
        refunded: 0,
        refunded_unapplied: 0,
        fees: 0,
        description: operation.details.description.clone(),
        metadata: operation.details.metadata.clone(),
        effective_date: moment.date(&operation.details),
        refunds: vec![],
        entries: vec![],
        decided: moment.position,
    };
    let mut work = Work::new(shelf, payment, moment);
    if manual {
        let reserve =
            (Reserver::Payment(operation.id.clone()), reserved(shelf, &work.payment), [Field::Source, Field::Amount]);
        return Ok(work.done(Some(reserve)));
    }
    work.receive(amount, &asked, fee, &details(moment, &operation.details))?;
    Ok(work.done(None))
}

fn authorised(shelf: &Shelf, id: &DocumentId) -> Result<Payment, Rejection> {
    let payment = known(shelf, id)?;
    match payment.state {
        PaymentState::Authorised | PaymentState::PartiallyCaptured => Ok(payment),
        PaymentState::Captured | PaymentState::Voided | PaymentState::Expired => {
            refuse(Reason::PaymentNotOpen, Field::Whole)
        }
    }
}

fn known(shelf: &Shelf, id: &DocumentId) -> Result<Payment, Rejection> {
    match shelf.payments.get(id) {
        Some(payment) => Ok(payment.clone()),
        None => refuse(Reason::UnknownDocument, Field::Whole),
    }
}

/// Operations on received money need some.
fn received(shelf: &Shelf, id: &DocumentId) -> Result<Payment, Rejection> {
    let payment = known(shelf, id)?;
    if payment.captured == 0 { refuse(Reason::PaymentNotOpen, Field::Whole) } else { Ok(payment) }
}

pub(crate) fn capture(shelf: &Shelf, moment: &Moment, operation: &CapturePayment) -> Result<Wish, Rejection> {
    let payment = authorised(shelf, &operation.id)?;
    let currency = currency_of(shelf, &payment);
    still_open(source_account(shelf, &payment), Field::Source)?;
    let amount = match operation.amount {
        None => payment.pending,
        Some(written) => exact(&currency, written, Field::Amount)?,
    };
    let fee = exact_fee(shelf, &currency, operation.fee, Field::Fee)?;
    let asked = match &operation.apply {
        Some(apply) => exact_applications(&currency, apply)?,
        // What was asked for at creation and is not applied yet.
        None => payment
            .requested
            .iter()
            .map(|(id, amount)| {
                let applied = payment.applications.iter().find(|application| application.charge == *id);
                (id.clone(), amount.minor() - applied.map_or(0, |application| application.amount))
            })
            .collect(),
    };
    check_charges(shelf, (&payment.customer, payment.currency), &asked)?;
    if amount > payment.pending {
        return refuse(Reason::OverCapture { available: payment.pending, decimals: currency.decimals }, Field::Amount);
    }
    let mut work = Work::new(shelf, payment, moment);
    work.payment.captured += amount;
    work.payment.pending -= amount;
    if operation.is_final {
        work.payment.pending = 0;
    }
    let all = work.payment.pending == 0;
    work.payment.state = if all { PaymentState::Captured } else { PaymentState::PartiallyCaptured };
    work.receive(amount, &asked, fee, &details(moment, &operation.details))?;
    let reserve =
        (Reserver::Payment(operation.id.clone()), reserved(shelf, &work.payment), [Field::Source, Field::Amount]);
    Ok(work.done(Some(reserve)))
}

pub(crate) fn void(shelf: &Shelf, moment: &Moment, operation: &VoidPayment) -> Result<Wish, Rejection> {
    let mut work = Work::new(shelf, authorised(shelf, &operation.id)?, moment);
    work.payment.pending = 0;
    work.payment.state = if work.payment.captured == 0 { PaymentState::Voided } else { PaymentState::Captured };
    Ok(work.done(Some((Reserver::Payment(operation.id.clone()), None, [Field::Whole; 2]))))
}

pub(crate) fn apply(shelf: &Shelf, moment: &Moment, operation: &ApplyPayment) -> Result<Wish, Rejection> {
    let payment = received(shelf, &operation.id)?;
    let currency = currency_of(shelf, &payment);
    still_open(shelf.account(payment.unapplied), Field::Whole)?;
    let asked = exact_applications(&currency, &operation.apply)?;
    check_charges(shelf, (&payment.customer, payment.currency), &asked)?;
    for (index, (id, _)) in (0..).zip(&asked) {
        if open_amount(shelf, &shelf.charges[id]) == 0 {
            return refuse(Reason::ChargeNotOpen, Field::Apply(index));
        }
    }
    let mut left = unapplied(shelf, &payment);
    let mut rows: Vec<(Row, Field)> = vec![];
    let mut work = Work::new(shelf, payment, moment);
    let mut total = 0;
    for (index, (id, amount)) in (0..).zip(&asked) {
        let charge = &shelf.charges[id];
        let earlier: i128 = rows.iter().filter(|(row, _)| is_item(row, charge)).map(|(row, _)| row.amount).sum();
        let open = open_amount(shelf, charge);
        let available = (open - earlier).min(left);
        if *amount > available {
            return refuse(Reason::OverApplication { available, decimals: currency.decimals }, Field::Apply(index));
        }
        left -= amount;
        total += amount;
        let receivable = shelf.account(charge.receivable);
        let own = (Some(&charge.customer), Some(id));
        rows.push((row(receivable, own, Side::Credit, *amount, charge.currency), Field::Apply(index)));
        work.add_application(id, *amount);
    }
    let own = (Some(&work.payment.customer), Some(&work.payment.id));
    let cash = row(shelf.account(work.payment.unapplied), own, Side::Debit, total, work.payment.currency);
    rows.insert(0, (cash, Field::Whole));
    finish(work, Rule::PaymentApply, &asked, rows, &details(moment, &operation.details))
}

fn finish(
    mut work: Work<'_>,
    rule: Rule,
    asked: &[(DocumentId, i128)],
    rows: Vec<(Row, Field)>,
    details: &Details<'_>,
) -> Result<Wish, Rejection> {
    work.draft(rule, details, rows)?;
    let touched: Vec<DocumentId> = asked.iter().map(|(id, _)| id.clone()).collect();
    work.note_on_charges(&touched)?;
    Ok(work.done(None))
}

pub(crate) fn unapply(shelf: &Shelf, moment: &Moment, operation: &ApplyPayment) -> Result<Wish, Rejection> {
    let payment = received(shelf, &operation.id)?;
    let currency = currency_of(shelf, &payment);
    still_open(shelf.account(payment.unapplied), Field::Whole)?;
    let asked = exact_applications(&currency, &operation.apply)?;
    check_charges(shelf, (&payment.customer, payment.currency), &asked)?;
    let mut work = Work::new(shelf, payment, moment);
    let mut rows: Vec<(Row, Field)> = vec![];
    let mut total = 0;
    for (index, (id, amount)) in (0..).zip(&asked) {
        let charge = &shelf.charges[id];
        let application = work.payment.applications.iter().find(|application| application.charge == *id);
        let available = application.map_or(0, |application| application.amount - application.refunded);
        if *amount > available {
            return refuse(Reason::OverApplication { available, decimals: currency.decimals }, Field::Apply(index));
        }
        total += amount;
        let receivable = still_open(shelf.account(charge.receivable), Field::Apply(index))?;
        let own = (Some(&charge.customer), Some(id));
        rows.push((row(receivable, own, Side::Debit, *amount, charge.currency), Field::Apply(index)));
        work.add_application(id, -amount);
    }
    let own = (Some(&work.payment.customer), Some(&work.payment.id));
    let cash = row(shelf.account(work.payment.unapplied), own, Side::Credit, total, work.payment.currency);
    rows.push((cash, Field::Whole));
    finish(work, Rule::PaymentUnapply, &asked, rows, &details(moment, &operation.details))
}

pub(crate) fn fee(shelf: &Shelf, moment: &Moment, operation: &PostPaymentFee) -> Result<Wish, Rejection> {
    let payment = known(shelf, &operation.id)?;
    let currency = currency_of(shelf, &payment);
    still_open(source_account(shelf, &payment), Field::Source)?;
    let amount = exact_fee(shelf, &currency, Some(operation.amount), Field::Amount)?.expect("a fee was given");
    if operation.returned && amount > payment.fees {
        return refuse(Reason::OverApplication { available: payment.fees, decimals: currency.decimals }, Field::Amount);
    }
    let mut work = Work::new(shelf, payment, moment);
    work.charge_fee(amount, operation.returned, &details(moment, &operation.details))?;
    Ok(work.done(None))
}
