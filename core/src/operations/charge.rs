//! Charging a customer: debit receivable, credit revenue or deferred revenue, and tax (docs/rules.md, events).
//!
//! A charge in a foreign currency posts by the FX-position method: receivable and tax stand in the foreign
//! currency, revenue in the functional one, and the FX position balances both. Each line's functional value is
//! rounded once, half up. Recognition of what is deferred is not here.
//!
//! Refusals, in order: `already_exists`; the receivable account and the currency; the FX position, where foreign;
//! line by line its revenue account and amount, the deferred-revenue account, its tax lines; `rate_required`;
//! `document_full`, above 1,000 lines in all.

use rust_decimal::Decimal;

use crate::account::Account;
use crate::currency::Currency;
use crate::document::{Charge, ChargeLine, TaxLine};
use crate::entry::{DocumentRef, Rule};
use crate::id::{AccountId, Item};
use crate::money::{Amount, convert_half_up};
use crate::operation::{CreateCharge, WrittenChargeLine};
use crate::place::{Lines, Place};
use crate::plan::{Change, Context, Plan};
use crate::rejection::{Existing, Field, Reason, Rejection};
use crate::resolve::{currency_allowed, role};
use crate::state::Read;

pub fn plan<S: Read>(context: &Context<'_, S>, create: &CreateCharge) -> Result<Plan, Rejection> {
    if let Some(charge) = context.state.charge(context.book.id, &create.id) {
        let reason = Reason::AlreadyExists { what: Existing::Charge(charge.id), decided_at: charge.decided };
        return Err(Rejection::new(reason, Field::Id));
    }
    let places = places(context, create)?;
    let rate = match &places.fx_position {
        Some(_) => Some(create.rate.ok_or_else(|| Rejection::new(Reason::RateRequired, Field::Rate))?),
        None => None,
    };
    let charge = charge(context, create, &places, rate)?;
    let entry = lines(&charge, &places).into_entry(
        context,
        Rule::Charge,
        &create.details,
        DocumentRef::Charge(create.id.clone()),
    )?;
    Ok(Plan { entries: vec![entry], changes: vec![Change::Charge(charge)], ..Plan::default() })
}

/// Everything that the charge names, found and checked.
struct Places {
    currency: Currency,
    functional: Currency,
    receivable: Place,
    /// In the charge's currency and in the functional one, where they differ.
    fx_position: Option<[Place; 2]>,
    deferred: Option<AccountId>,
    lines: Vec<LinePlaces>,
}

struct LinePlaces {
    revenue: AccountId,
    /// Revenue, or deferred revenue: where the net goes now.
    net: Place,
    amount: Amount,
    tax: Vec<(Place, Amount)>,
}

fn places<S: Read>(context: &Context<'_, S>, create: &CreateCharge) -> Result<Places, Rejection> {
    let item = Item::from(&create.id);
    let account = context.role(role::RECEIVABLE)?;
    let currency = context.currency(&create.currency, Field::Currency)?;
    let fields = (Field::Role, Field::Currency);
    let receivable = Place::new(&account, Some(&create.customer), Some(&item), &currency, fields)?;
    let functional = context.functional();
    let fx_position = if currency.id == functional.id {
        None
    } else {
        let account = context.role(role::FX_POSITION)?;
        let place = |currency| Place::new(&account, None, None, currency, fields);
        Some([place(&currency)?, place(&functional)?])
    };
    let mut places = Places { currency, functional, receivable, fx_position, deferred: None, lines: vec![] };
    for (number, line) in (0u16..).zip(&create.lines) {
        let found = line_places(context, create, &mut places, number, line)?;
        places.lines.push(found);
    }
    Ok(places)
}

fn line_places<S: Read>(
    context: &Context<'_, S>,
    create: &CreateCharge,
    places: &mut Places,
    number: u16,
    line: &WrittenChargeLine,
) -> Result<LinePlaces, Rejection> {
    let at = Field::Line(number);
    let revenue = context.account(&line.revenue, at)?;
    currency_allowed(&revenue, &places.functional, at)?;
    let amount = context.amount(line.amount, &places.currency, at)?;
    let mut net = Place::new(&revenue, None, None, &places.functional, (at, at))?;
    if line.defer.is_some() {
        let account = context.role(role::DEFERRED_REVENUE)?;
        let item = Item::from(&create.id);
        net = Place::new(&account, Some(&create.customer), Some(&item), &places.functional, (Field::Role, at))?;
        places.deferred = Some(account.id);
    }
    let mut tax = Vec::with_capacity(line.tax.len());
    for (tax_number, written) in (0u16..).zip(&line.tax) {
        let at = Field::Tax(number, tax_number);
        let account = context.role(role::TAX_PAYABLE)?;
        tax.push(tax_place(context, &account, &places.currency, written, at)?);
    }
    Ok(LinePlaces { revenue: revenue.id, net, amount, tax })
}

fn tax_place<S: Read>(
    context: &Context<'_, S>,
    account: &Account,
    currency: &Currency,
    written: &crate::operation::WrittenTax,
    at: Field,
) -> Result<(Place, Amount), Rejection> {
    currency_allowed(account, currency, at)?;
    let amount = context.amount(written.amount, currency, at)?;
    Ok((Place::new(account, Some(&written.jurisdiction), None, currency, (at, at))?, amount))
}

fn charge<S: Read>(
    context: &Context<'_, S>,
    create: &CreateCharge,
    places: &Places,
    rate: Option<Decimal>,
) -> Result<Charge, Rejection> {
    let mut lines = Vec::with_capacity(create.lines.len());
    let (mut gross, mut functional_total) = (0i128, 0i128);
    for ((number, written), found) in (0u16..).zip(&create.lines).zip(&places.lines) {
        let tax: i128 = found.tax.iter().map(|(_, amount)| amount.minor()).sum();
        let net = found.amount.minor() - tax;
        assert!(net >= 0, "a charge line's tax is at most its amount");
        let too_large =
            || Rejection::new(Reason::BalanceTooLarge { account: written.revenue.clone() }, Field::Line(number));
        let functional_net = match rate {
            None => net,
            Some(rate) => convert_half_up(net, rate, places.currency.decimals, places.functional.decimals)
                .ok_or_else(too_large)?,
        };
        // At most 100 amounts below 10^36 each; their functional values have no such bound.
        gross += found.amount.minor();
        functional_total = functional_total.checked_add(functional_net).ok_or_else(too_large)?;
        let jurisdictions = written.tax.iter().zip(&found.tax);
        let tax = jurisdictions.map(|(written, (_, amount))| TaxLine {
            jurisdiction: written.jurisdiction.clone(),
            amount: *amount,
            refunded: 0,
        });
        lines.push(ChargeLine {
            revenue: found.revenue,
            amount: found.amount,
            tax: tax.collect(),
            defer: written.defer,
            functional_net,
        });
    }
    Ok(Charge {
        id: create.id.clone(),
        customer: create.customer.clone(),
        receivable: places.receivable.account(),
        deferred: places.deferred,
        currency: places.currency.id,
        due_date: create.due_date,
        rate,
        lines,
        amount: Amount::new(gross).expect("a charge has lines, and each is above zero"),
        voided: false,
        credited: 0,
        credited_functional_net: 0,
        description: create.details.description.clone(),
        metadata: create.details.metadata.clone(),
        effective_date: context.effective_date(&create.details),
        payments: vec![],
        refunds: vec![],
        entries: vec![context.first_entry],
        decided: context.position,
    })
}

fn lines(charge: &Charge, places: &Places) -> Lines {
    let mut lines = Lines::default();
    lines.debit(&places.receivable, charge.amount.minor());
    if let Some([_, functional]) = &places.fx_position {
        lines.debit(functional, charge.lines.iter().map(|line| line.functional_net).sum());
    }
    for (line, found) in charge.lines.iter().zip(&places.lines) {
        lines.credit(&found.net, line.functional_net);
        for (place, amount) in &found.tax {
            lines.credit(place, amount.minor());
        }
    }
    if let Some([foreign, _]) = &places.fx_position {
        lines.credit(foreign, charge.amount.minor() - charge.tax());
    }
    lines
}
