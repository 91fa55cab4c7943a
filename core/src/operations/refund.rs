//! Refunding a payment, in two steps: credit (what was earned or deferred and its tax become payable to the
//! customer), then cash (it leaves through the payment's source). Automatic settlement posts both in one entry.
//!
//! Unapplied money goes back without touching revenue or tax. What was applied to a charge takes deferred revenue
//! first, then credits and refunds; tax by cumulative rounding (docs/rules.md, rule 11), per tax line of the charge,
//! and the functional value of a foreign charge's net the same way. So any sequence of refunds of a charge ends at
//! exactly its tax, its gross and its functional value, and never gives back more of one of them on the way. What a
//! hold reserves of unapplied money or of deferred revenue is left alone.
//!
//! Refusals, in order: `already_exists`; `unknown_document` of the payment; the refunds-payable account, the amount
//! and, where settled at once, the source; the parts' amounts; credits and refunds, FX position and tax payable, as
//! far as a part needs them; `unknown_document` of a charge that the payment was never applied to; `over_refund` of
//! the whole, then part by part; `document_full`; the balances.

use crate::account::Account;
use crate::commit::{refundable_deferred_amount, refundable_unapplied_amount};
use crate::currency::Currency;
use crate::document::{Charge, Payment, Refund, RefundPart, RefundState, SettleMode};
use crate::entry::{DocumentRef, MAX_LINES, Rule};
use crate::id::{DocumentId, Item, Party};
use crate::money::Amount;
use crate::operation::{CreateRefund, WrittenRefundPart};
use crate::place::{Lines, Place};
use crate::plan::{Change, Context, Plan};
use crate::rejection::{Existing, Field, Reason, Rejection};
use crate::resolve::{list_entry, role};
use crate::state::Read;
use crate::tax::refund_share;

use super::payment::{source_place, unapplied_place};

pub fn plan<S: Read>(context: &Context<'_, S>, create: &CreateRefund) -> Result<Plan, Rejection> {
    if let Some(refund) = context.state.refund(context.book.id, &create.id) {
        let reason = Reason::AlreadyExists { what: Existing::Refund(refund.id), decided_at: refund.decided };
        return Err(Rejection::new(reason, Field::Id));
    }
    let mut payment = context.payment(&create.payment, Field::Payment)?;
    let currency = context.currency_of(payment.currency);
    let account = context.role(role::REFUNDS_PAYABLE)?;
    let item = Item::from(&create.id);
    let payable = Place::new(&account, Some(&payment.customer), Some(&item), &currency, (Field::Role, Field::Role))?;
    let amount = context.amount(create.amount, &currency, Field::Amount)?;
    let source = match create.settle {
        SettleMode::Automatic => Some(source_place(context, &payment, Field::Payment)?),
        SettleMode::Manual => None,
    };
    let sources = Sources::of(context, &payment);
    let parts = match &create.from {
        Some(written) => written_parts(context, written, &currency)?,
        None => sources.split(amount.minor()),
    };
    let accounts = Accounts::find(context, &sources, &parts, &currency)?;
    sources.check(&payment, create, amount, &parts, &currency)?;

    let mut refund = refund(context, create, &payment, amount, payable.account());
    let mut lines = Lines::default();
    let mut charges = vec![];
    for Part { from, amount, field } in parts {
        match from {
            Taken::Unapplied => {
                lines.debit(&unapplied_place(context, &payment)?, amount);
                refund.unapplied += amount;
                payment.refunded_unapplied += amount;
            }
            Taken::Charge(id) => {
                let mut charge = sources.charge(&id).clone();
                let credit = Credit::of(context, &charge, amount);
                accounts.post(context, &charge, &credit, &currency, field, &mut lines)?;
                let part = credit.remember(&mut charge, &mut payment);
                refund.parts.push(part);
                if !charge.refunds.contains(&refund.id) {
                    charge.refunds.push(refund.id.clone());
                }
                list_entry(&mut charge.entries, context.first_entry)?;
                charges.push(Change::Charge(charge));
            }
        }
    }
    lines.credit(&payable, amount.minor());
    // Settlement's two lines, now or later, have a place beside these in one entry: `fail` mirrors both.
    if lines.count() > MAX_LINES - 2 {
        return Err(Rejection::new(Reason::DocumentFull, Field::Whole));
    }
    if let Some(source) = &source {
        lines.debit(&payable, amount.minor());
        lines.credit(source, amount.minor());
    }
    let document = DocumentRef::Refund(refund.id.clone());
    let entry = lines.into_entry(context, Rule::Refund, &create.details, document)?;
    payment.refunded += amount.minor();
    payment.refunds.push(refund.id.clone());
    list_entry(&mut payment.entries, context.first_entry)?;
    let changes = [Change::Refund(refund), Change::Payment(payment)].into_iter().chain(charges).collect();
    Ok(Plan { entries: vec![entry], changes, ..Plan::default() })
}

/// What a part of a refund is taken of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Taken {
    Unapplied,
    Charge(DocumentId),
}

#[derive(Clone, Debug)]
struct Part {
    from: Taken,
    amount: i128,
    field: Field,
}

fn written_parts<S: Read>(
    context: &Context<'_, S>,
    written: &[WrittenRefundPart],
    currency: &Currency,
) -> Result<Vec<Part>, Rejection> {
    let source = |part: &WrittenRefundPart| match part {
        WrittenRefundPart::Unapplied { .. } => None,
        WrittenRefundPart::Charge { charge, .. } => Some(charge.clone()),
    };
    let once = written
        .iter()
        .enumerate()
        .all(|(index, part)| !written[..index].iter().any(|before| source(before) == source(part)));
    assert!(once, "a refund names each source once");
    let parts = (0u16..).zip(written).map(|(number, part)| {
        let field = Field::From(number);
        let (from, amount) = match part {
            WrittenRefundPart::Unapplied { amount } => (Taken::Unapplied, amount),
            WrittenRefundPart::Charge { charge, amount } => (Taken::Charge(charge.clone()), amount),
        };
        Ok(Part { from, amount: context.amount(*amount, currency, field)?.minor(), field })
    });
    parts.collect()
}

/// What a payment's refunds can be taken of.
struct Sources {
    unapplied: i128,
    /// In the order of application, with what is left of each.
    charges: Vec<(Charge, i128)>,
}

impl Sources {
    fn of<S: Read>(context: &Context<'_, S>, payment: &Payment) -> Self {
        let charges = payment.applications.iter().map(|application| {
            let id = &application.charge;
            let charge = context.state.charge(context.book.id, id).expect("a payment is applied to charges that exist");
            // A manual entry can have made more open than was charged; no more than was charged is credited.
            let left = (application.amount - application.refunded).min(charge.amount.minor() - charge.credited);
            (charge, left)
        });
        // Only a manual entry or a hold can have made it other than captured less applied and refunded.
        let unapplied = refundable_unapplied_amount(context.state, context.book.id, payment).max(0);
        Self { unapplied, charges: charges.collect() }
    }

    /// Unapplied first, then the newest application, going back.
    fn split(&self, amount: i128) -> Vec<Part> {
        let newest_first = self.charges.iter().rev().map(|(charge, left)| (Taken::Charge(charge.id.clone()), *left));
        let mut rest = amount;
        let mut parts = vec![];
        for (from, left) in std::iter::once((Taken::Unapplied, self.unapplied)).chain(newest_first) {
            let amount = rest.min(left);
            if amount > 0 {
                parts.push(Part { from, amount, field: Field::Amount });
                rest -= amount;
            }
        }
        parts
    }

    fn charge(&self, id: &DocumentId) -> &Charge {
        let found = self.charges.iter().find(|(charge, _)| charge.id == *id);
        &found.expect("the parts were checked: each is of a charge that the payment was applied to").0
    }

    fn left(&self, from: &Taken) -> Option<i128> {
        match from {
            Taken::Unapplied => Some(self.unapplied),
            Taken::Charge(id) => self.charges.iter().find(|(charge, _)| charge.id == *id).map(|(_, left)| *left),
        }
    }

    fn check(
        &self,
        payment: &Payment,
        create: &CreateRefund,
        amount: Amount,
        parts: &[Part],
        currency: &Currency,
    ) -> Result<(), Rejection> {
        if let Some(part) = parts.iter().find(|part| self.left(&part.from).is_none()) {
            return Err(Rejection::new(Reason::UnknownDocument, part.field));
        }
        let over = |available, field| {
            Err(Rejection::new(Reason::OverRefund { available, decimals: currency.decimals }, field))
        };
        let all: i128 = self.unapplied + self.charges.iter().map(|(_, left)| left).sum::<i128>();
        let available = match &create.from {
            Some(_) => payment.refundable(),
            None => payment.refundable().min(all),
        };
        if amount.minor() > available {
            return over(available, Field::Amount);
        }
        for part in parts {
            let left = self.left(&part.from).expect("checked above");
            if part.amount > left {
                return over(left, part.field);
            }
        }
        Ok(())
    }
}

/// The accounts that the parts need, looked up by role.
struct Accounts {
    /// In the functional currency.
    credits: Option<Place>,
    /// In the payment's currency and in the functional one.
    fx_position: Option<[Place; 2]>,
    tax: Option<std::sync::Arc<Account>>,
}

impl Accounts {
    fn find<S: Read>(
        context: &Context<'_, S>,
        sources: &Sources,
        parts: &[Part],
        currency: &Currency,
    ) -> Result<Self, Rejection> {
        let mut found = Self { credits: None, fx_position: None, tax: None };
        let functional = context.functional();
        let fields = (Field::Role, Field::Role);
        for part in parts {
            let Taken::Charge(id) = &part.from else { continue };
            if found.credits.is_none() {
                let account = context.role(role::CREDITS_AND_REFUNDS)?;
                found.credits = Some(Place::new(&account, None, None, &functional, fields)?);
            }
            let Some((charge, _)) = sources.charges.iter().find(|(charge, _)| charge.id == *id) else { continue };
            if charge.rate.is_some() && found.fx_position.is_none() {
                let account = context.role(role::FX_POSITION)?;
                let place = |currency| Place::new(&account, None, None, currency, fields);
                found.fx_position = Some([place(currency)?, place(&functional)?]);
            }
            if charge.tax() > 0 && found.tax.is_none() {
                let account = context.role(role::TAX_PAYABLE)?;
                for tax in charge.lines.iter().flat_map(|line| &line.tax) {
                    Place::new(&account, Some(&tax.jurisdiction), None, currency, fields)?;
                }
                found.tax = Some(account);
            }
        }
        Ok(found)
    }

    /// Debits what bears one charge's part: deferred revenue, credits and refunds, tax; the payable's credit balances it.
    fn post<S: Read>(
        &self,
        context: &Context<'_, S>,
        charge: &Charge,
        credit: &Credit,
        currency: &Currency,
        field: Field,
        lines: &mut Lines,
    ) -> Result<(), Rejection> {
        let functional = context.functional();
        let deferred = refundable_deferred_amount(context.state, context.book.id, charge, functional.id).max(0);
        let from_deferred = credit.functional_net.clamp(0, deferred);
        if from_deferred > 0 {
            let id = charge.deferred.expect("only a charge with a deferred account has a deferred amount");
            let account = context.account_by_id(id, field)?;
            let item = Item::from(&charge.id);
            let place = Place::new(&account, Some(&charge.customer), Some(&item), &functional, (field, field))?;
            lines.debit(&place, from_deferred);
        }
        let credits = self.credits.as_ref().expect("looked up for every part of a charge");
        lines.debit(credits, credit.functional_net - from_deferred);
        if charge.rate.is_some() {
            let [foreign, functional] = self.fx_position.as_ref().expect("looked up for every foreign charge");
            lines.debit(foreign, credit.net);
            lines.credit(functional, credit.functional_net);
        }
        for (jurisdiction, minor) in credit.tax_by_jurisdiction(charge) {
            let account = self.tax.as_ref().expect("looked up for every charge with tax");
            let place = Place::new(account, Some(jurisdiction), None, currency, (Field::Role, Field::Role))?;
            lines.debit(&place, minor);
        }
        Ok(())
    }
}

/// What one refund credits of one charge.
struct Credit {
    gross: Amount,
    /// Per charge line and tax line.
    tax: Vec<Vec<i128>>,
    /// Gross without tax, in the charge's currency.
    net: i128,
    functional_net: i128,
}

impl Credit {
    fn of<S: Read>(context: &Context<'_, S>, charge: &Charge, part: i128) -> Self {
        let gross = charge.amount.minor();
        let credited = charge.credited + part;
        let step = |tax: &crate::document::TaxLine| refund_share(tax.amount.minor(), tax.refunded, credited, gross);
        let tax: Vec<Vec<i128>> = charge.lines.iter().map(|line| line.tax.iter().map(step).collect()).collect();
        let net = part - tax.iter().flatten().sum::<i128>();
        let functional_net = if charge.currency == context.book.functional_currency {
            net
        } else {
            let total = charge.lines.iter().map(|line| line.functional_net).sum();
            refund_share(total, charge.credited_functional_net, credited, gross)
        };
        let gross = Amount::new(part).expect("a part of a refund is above zero");
        Self { gross, tax, net, functional_net }
    }

    /// In the order in which the charge names them.
    fn tax_by_jurisdiction<'a>(&self, charge: &'a Charge) -> Vec<(&'a Party, i128)> {
        let mut sums: Vec<(&Party, i128)> = vec![];
        let taxes = charge.lines.iter().flat_map(|line| &line.tax).zip(self.tax.iter().flatten());
        for (tax, step) in taxes {
            match sums.iter_mut().find(|(jurisdiction, _)| *jurisdiction == &tax.jurisdiction) {
                Some((_, sum)) => *sum += step,
                None => sums.push((&tax.jurisdiction, *step)),
            }
        }
        sums
    }

    /// Notes it on the charge and on the payment's application; `refund_fail` takes it back.
    fn remember(self, charge: &mut Charge, payment: &mut Payment) -> RefundPart {
        charge.credited += self.gross.minor();
        charge.credited_functional_net += self.functional_net;
        for (line, steps) in charge.lines.iter_mut().zip(&self.tax) {
            for (tax, step) in line.tax.iter_mut().zip(steps) {
                tax.refunded += step;
            }
        }
        let mut applications = payment.applications.iter_mut();
        let application = applications.find(|application| application.charge == charge.id);
        application.expect("checked: the payment was applied to the charge").refunded += self.gross.minor();
        let Self { gross, tax, functional_net, .. } = self;
        RefundPart { charge: charge.id.clone(), amount: gross, tax, functional_net }
    }
}

fn refund<S: Read>(
    context: &Context<'_, S>,
    create: &CreateRefund,
    payment: &Payment,
    amount: Amount,
    payable: crate::id::AccountId,
) -> Refund {
    Refund {
        id: create.id.clone(),
        payment: payment.id.clone(),
        customer: payment.customer.clone(),
        currency: payment.currency,
        amount,
        payable,
        settle: create.settle,
        state: match create.settle {
            SettleMode::Automatic => RefundState::Succeeded,
            SettleMode::Manual => RefundState::Pending,
        },
        reason: create.reason.clone(),
        unapplied: 0,
        parts: vec![],
        description: create.details.description.clone(),
        metadata: create.details.metadata.clone(),
        effective_date: context.effective_date(&create.details),
        entries: vec![context.first_entry],
        decided: context.position,
    }
}
