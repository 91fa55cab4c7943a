//! Recognition, rates, conversions, revaluation and year close, once more from docs/rules.md.

use std::collections::BTreeMap;

use partita_core::account::{Account, Class};
use partita_core::entry::{DocumentRef, MAX_LINES, Rule, Side};
use partita_core::fx::{Rate, Valuation, Valued};
use partita_core::id::{CurrencyCode, CurrencyId, DocumentId};
use partita_core::operation::{CloseYear, Convert, Recognise, RecordRate, Revalue};
use partita_core::period::{Blocker, PeriodId, PeriodState, YearClose};
use partita_core::recognition::{MAX_RECOGNISED, Recognised, RecognisedUpTo, RecognitionRun};
use partita_core::rejection::{Field, Reason, Rejection};
use partita_core::time::Date;

use super::arith::{converted, floored, rounded};
use super::charges::row as row_at;
use super::decide::{Draft, Moment, Thing, Wish, refuse};
use super::ledger::{ItemAt, Row, Shelf, on};
use super::manual::{Fields, by_role, exact, known_currency, playing, row, still_open};
use super::periods::{last_day, state};

/// Days from the first to the last, both counted; none before the first.
fn days(from: Date, to: Date) -> i128 {
    (i128::from(to.days()) - i128::from(from.days()) + 1).max(0)
}

pub(crate) fn recognise(shelf: &Shelf, moment: &Moment, operation: &Recognise) -> Result<Wish, Rejection> {
    let account = by_role(shelf, "deferred_revenue", Field::Role)?;
    let mut wish = Wish::default();
    let mut run = RecognitionRun { through: operation.through, charges: 0, amount: 0, next: None };
    let mut last = None;
    let items: Vec<ItemAt> = shelf.items.keys().filter(|at| at.0 == account.id).cloned().collect();
    for at in items {
        let here = RecognisedUpTo { customer: at.1.clone(), item: at.2.clone() };
        if operation.after.as_ref().is_some_and(|after| here <= *after) {
            continue;
        }
        if wish.drafts.len() == MAX_RECOGNISED {
            run.next = last;
            break;
        }
        last = Some(here);
        if let Some((draft, recognised)) = of_one(shelf, moment, operation, account, &at, wish.drafts.len())? {
            run.charges += 1;
            run.amount += draft.rows[0].0.amount;
            wish.drafts.push(draft);
            wish.things.push(Thing::Recognised(recognised));
        }
    }
    wish.things.insert(0, Thing::RecognitionRun(run));
    Ok(wish)
}

fn of_one(
    shelf: &Shelf,
    moment: &Moment,
    operation: &Recognise,
    account: &Account,
    at: &ItemAt,
    index: usize,
) -> Result<Option<(Draft, Recognised)>, Rejection> {
    let id = DocumentId::new(at.2.as_str()).unwrap();
    let Some(charge) = shelf.charges.get(&id) else { return Ok(None) };
    if charge.voided
        || charge.deferred != Some(account.id)
        || at.1.as_ref() != Some(&charge.customer)
        || at.3 != shelf.book.functional_currency
    {
        return Ok(None);
    }
    let pending =
        shelf.pending(at.3, |end| end.account == at.0 && end.party == at.1 && end.item.as_ref() == Some(&at.2));
    let free = on(account.normal_side(), shelf.item(at)) - pending.0;
    let before = shelf.recognised.get(&id);
    let so_far = |line: usize| before.map_or(0, |before| before.lines[line]);
    let deferred: Vec<usize> = (0..charge.lines.len()).filter(|line| charge.lines[*line].defer.is_some()).collect();
    let rests: Vec<i128> = deferred.iter().map(|line| charge.lines[*line].functional_net - so_far(*line)).collect();
    let left = shares(free.max(0), &rests);
    let mut amounts = vec![];
    for (line, left) in deferred.iter().zip(left) {
        let defer = charge.lines[*line].defer.unwrap();
        let all = days(defer.from, defer.to);
        let elapsed = days(defer.from, operation.through).min(all);
        let to_date = rounded(&[so_far(*line) + left, elapsed], &[all]).unwrap();
        amounts.push((to_date - so_far(*line)).max(0));
    }
    let total: i128 = amounts.iter().sum();
    if total == 0 {
        return Ok(None);
    }
    let number = partita_core::id::EntryNumber(shelf.next_entry().0 + u64::try_from(index).unwrap());
    let own = (Some(&charge.customer), Some(&id));
    let mut rows = vec![(row_at(account, own, Side::Debit, total, at.3), Field::Whole)];
    let mut lines: Vec<i128> = (0..charge.lines.len()).map(so_far).collect();
    for (line, amount) in deferred.iter().zip(&amounts) {
        let revenue = shelf.account(charge.lines[*line].revenue);
        still_open(revenue, Field::Whole)?;
        if *amount > 0 {
            rows.push((row_at(revenue, (None, None), Side::Credit, *amount, at.3), Field::Whole));
        }
        lines[*line] += amount;
    }
    let recognised = Recognised {
        charge: id.clone(),
        customer: charge.customer.clone(),
        lines,
        through: before.map_or(operation.through, |before| before.through.max(operation.through)),
        last_entry: number,
        decided: moment.position,
    };
    let draft = Draft {
        rule: Rule::Recognition,
        date: operation.through,
        description: format!("Recognition through {}", operation.through),
        metadata: operation.metadata.clone(),
        reverses: None,
        document: Some(DocumentRef::Charge(id)),
        rows,
    };
    Ok(Some((draft, recognised)))
}

/// What is left of each line when the item holds `free`: in proportion, by largest remainder, the first line first.
fn shares(free: i128, rests: &[i128]) -> Vec<i128> {
    let whole: i128 = rests.iter().sum();
    if free >= whole {
        return rests.to_vec();
    }
    let parts: Vec<(i128, i128)> = rests.iter().map(|rest| floored(free, *rest, whole)).collect();
    let mut shares: Vec<i128> = parts.iter().map(|part| part.0).collect();
    let mut order: Vec<usize> = (0..rests.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(parts[*index].1));
    let missing = free - shares.iter().sum::<i128>();
    for index in order.into_iter().take(usize::try_from(missing).unwrap()) {
        shares[index] += 1;
    }
    shares
}

pub(crate) fn record_rate(shelf: &Shelf, moment: &Moment, operation: &RecordRate) -> Result<Wish, Rejection> {
    let base = known_currency(shelf, &operation.base, Field::Base)?.id;
    let quote = known_currency(shelf, &operation.quote, Field::Quote)?.id;
    let rate = Rate {
        base,
        quote,
        date: operation.date,
        rate: operation.rate,
        source: operation.source.clone(),
        decided: moment.position,
    };
    Ok(Wish { things: vec![Thing::Rate(rate)], ..Wish::default() })
}

pub(crate) fn convert(shelf: &Shelf, moment: &Moment, operation: &Convert) -> Result<Wish, Rejection> {
    let fields = Fields { account: Field::Credit, currency: Field::Currency, amount: Field::Amount };
    let given = row(shelf, &operation.from, Side::Credit, (operation.amount, &operation.currency), fields)?;
    let fields = Fields { account: Field::Debit, currency: Field::ReceivedCurrency, amount: Field::Received };
    let written = (operation.received, &operation.received_currency);
    let received = row(shelf, &operation.to, Side::Debit, written, fields)?;
    let (sold, bought) = (code_of(shelf, &given.0), code_of(shelf, &received.0));
    let position = by_role(shelf, "fx_position", Field::Role)?;
    for currency in [&sold, &bought] {
        playing(shelf, "fx_position", (&known_currency(shelf, currency, Field::Role)?, Field::Role), (false, false))?;
    }
    let mut rows = vec![];
    let place = |side, amount, currency| (row_at(position, (None, None), side, amount, currency), Field::Role);
    rows.push(place(Side::Debit, given.0.amount, given.0.currency));
    rows.push(received.clone());
    let mut cost = received.0.amount;
    if let Some(fee) = operation.fee {
        by_role(shelf, "processing_fees", Field::Role)?;
        let currency = known_currency(shelf, &bought, Field::Fee)?;
        let account = by_role(shelf, "processing_fees", Field::Role)?;
        super::manual::takes_currency(account, &currency, Field::Fee)?;
        let fee = exact(&currency, fee, Field::Fee)?;
        super::manual::shape(account, None, None, Field::Role)?;
        rows.push((row_at(account, (None, None), Side::Debit, fee, currency.id), Field::Role));
        cost += fee;
    }
    rows.push(given);
    rows.push(place(Side::Credit, cost, received.0.currency));
    let draft = Draft {
        rule: Rule::Conversion,
        date: moment.date(&operation.details),
        description: operation.details.description.clone(),
        metadata: operation.details.metadata.clone(),
        reverses: None,
        document: None,
        rows,
    };
    Ok(Wish { drafts: vec![draft], ..Wish::default() })
}

fn code_of(shelf: &Shelf, row: &Row) -> CurrencyCode {
    shelf.currency_code(row.currency)
}

/// Debits less credits of an account up to a date, from the entries.
fn balance(shelf: &Shelf, account: &Account, currency: CurrencyId, until: Date) -> i128 {
    let entries = shelf.entries.iter().map(|posted| &posted.entry).filter(|entry| entry.effective_date <= until);
    let lines = entries.flat_map(|entry| &entry.lines);
    let own = lines.filter(|line| line.account == account.id && line.currency == currency);
    own.map(|line| if line.side == Side::Debit { line.amount.minor() } else { -line.amount.minor() }).sum()
}

fn touched(shelf: &Shelf, account: &Account) -> Vec<CurrencyId> {
    shelf.controls.keys().filter(|at| at.0 == account.id).map(|at| at.1).collect()
}

/// `Err`: the first currency without a rate; `Err(None)`: beyond every number.
fn value(shelf: &Shelf, position: &Account, date: Date) -> Result<Valuation, Option<CurrencyId>> {
    let functional = shelf.book.functional_currency;
    let mut valuation = Valuation { date, currencies: vec![], functional: 0, difference: 0 };
    for currency in touched(shelf, position) {
        let balance = balance(shelf, position, currency, date);
        if currency == functional {
            valuation.functional = balance;
        } else if balance != 0 {
            let rates = shelf.rates.iter().filter(|(at, _)| (at.0, at.1) == (currency, functional) && at.2 <= date);
            let rate = rates.max_by_key(|(at, _)| at.2).map(|pair| pair.1).ok_or(Some(currency))?;
            let (from, to) = (shelf.decimals(currency), shelf.decimals(functional));
            let value = converted(balance.abs(), rate.rate, from, to).ok_or(None)? * balance.signum();
            valuation.currencies.push(Valued { currency, balance, rate: rate.rate, rate_date: rate.date, value });
        }
    }
    let values =
        valuation.currencies.iter().try_fold(0i128, |sum, valued| sum.checked_add(valued.value)).ok_or(None)?;
    valuation.difference = values.checked_add(valuation.functional).ok_or(None)?;
    Ok(valuation)
}

pub(crate) fn fx_blocker(shelf: &Shelf, period: PeriodId) -> Option<Blocker> {
    let position = shelf.account_by_role("fx_position")?;
    let account = position.code.clone();
    let functional = shelf.book.functional_currency;
    match value(shelf, position, last_day(period)) {
        Ok(valuation) => (valuation.difference != 0).then(|| Blocker::FxPosition {
            account,
            currency: shelf.currency_code(functional),
            balance: valuation.difference,
            decimals: shelf.decimals(functional),
        }),
        Err(Some(currency)) => Some(Blocker::RateMissing { account, currency: shelf.currency_code(currency) }),
        Err(None) => Some(Blocker::FxPosition {
            account,
            currency: shelf.currency_code(functional),
            balance: i128::MAX,
            decimals: 0,
        }),
    }
}

pub(crate) fn revalue(shelf: &Shelf, _moment: &Moment, operation: &Revalue) -> Result<Wish, Rejection> {
    let functional = known_currency(shelf, &shelf.currency_code(shelf.book.functional_currency), Field::Currency)?;
    let position = by_role(shelf, "fx_position", Field::Role)?;
    let unrealised = by_role(shelf, "fx_unrealised", Field::Role)?;
    playing(shelf, "fx_position", (&functional, Field::Role), (false, false))?;
    playing(shelf, "fx_unrealised", (&functional, Field::Role), (false, false))?;
    let valuation = match value(shelf, position, operation.date) {
        Ok(valuation) => valuation,
        Err(Some(currency)) => {
            let (base, quote) = (shelf.currency_code(currency), functional.code);
            return refuse(Reason::RateMissing { base, quote, date: operation.date }, Field::Whole);
        }
        Err(None) => return refuse(Reason::BalanceTooLarge { account: position.code.clone() }, Field::Whole),
    };
    let mut wish = Wish::default();
    let left = valuation.difference;
    if left != 0 {
        let (up, down) = if left < 0 { (Side::Debit, Side::Credit) } else { (Side::Credit, Side::Debit) };
        let row = |account, side| (row_at(account, (None, None), side, left.abs(), functional.id), Field::Role);
        let text = |valued: &Valued| {
            let of = |minor: i128, currency| super::periods::decimal(shelf, minor, currency);
            let (code, value) = (shelf.currency_code(valued.currency), of(valued.value, functional.id));
            (
                code.to_string(),
                format!("{} at {} is {value} {}", of(valued.balance, valued.currency), valued.rate, functional.code),
            )
        };
        wish.drafts.push(Draft {
            rule: Rule::Revaluation,
            date: operation.date,
            description: format!("Revaluation of the FX position at {}", operation.date),
            metadata: valuation.currencies.iter().take(50).map(text).collect(),
            reverses: None,
            document: None,
            rows: vec![row(position, up), row(unrealised, down)],
        });
    }
    wish.things.push(Thing::Valuation(valuation));
    Ok(wish)
}

pub(crate) fn close_year(shelf: &Shelf, _moment: &Moment, operation: &CloseYear) -> Result<Wish, Rejection> {
    let first_month = u32::from(shelf.calendar.first_month.number());
    let year = u32::from(operation.year.number());
    let last = if first_month == 1 { format!("{year:04}-12") } else { format!("{year:04}-{:02}", first_month - 1) };
    let last = PeriodId::parse(&last).unwrap();
    if state(&shelf.calendar, &last.to_string()) == PeriodState::Open {
        let first = shelf.calendar.soft_closed_through.and_then(PeriodId::next).unwrap_or(last);
        return refuse(Reason::PeriodOutOfOrder { first }, Field::Whole);
    }
    let retained = by_role(shelf, "retained_earnings", Field::Role)?;
    let as_of = last_day(last);
    let mut by_currency: BTreeMap<CurrencyId, Vec<(&Account, i128)>> = BTreeMap::new();
    for account in shelf.accounts.iter().filter(|account| matches!(account.class, Class::Revenue | Class::Expense)) {
        for currency in touched(shelf, account) {
            let balance = balance(shelf, account, currency, as_of);
            if balance != 0 {
                by_currency.entry(currency).or_default().push((account, balance));
            }
        }
    }
    let mut wish = Wish::default();
    let mut earnings = vec![];
    for (id, accounts) in by_currency {
        let currency = known_currency(shelf, &shelf.currency_code(id), Field::Role)?;
        playing(shelf, "retained_earnings", (&currency, Field::Role), (false, false))?;
        earnings.push((id, -accounts.iter().map(|pair| pair.1).sum::<i128>()));
        assert!(accounts.len() < MAX_LINES, "the generator opens few accounts");
        let mut rows = vec![];
        let side = |balance: i128| if balance > 0 { Side::Credit } else { Side::Debit };
        for (account, balance) in &accounts {
            still_open(account, Field::Role)?;
            super::manual::takes_currency(account, &currency, Field::Role)?;
            super::manual::shape(account, None, None, Field::Role)?;
            rows.push((row_at(account, (None, None), side(*balance), balance.abs(), id), Field::Role));
        }
        let left: i128 = -accounts.iter().map(|pair| pair.1).sum::<i128>();
        if left != 0 {
            rows.push((row_at(retained, (None, None), side(left), left.abs(), id), Field::Role));
        }
        wish.drafts.push(Draft {
            rule: Rule::Closing,
            date: as_of,
            description: format!("Closing of fiscal year {}", operation.year),
            metadata: operation.metadata.clone(),
            reverses: None,
            document: None,
            rows,
        });
    }
    wish.things.push(Thing::YearClose(YearClose { year: operation.year, as_of, earnings }));
    Ok(wish)
}

/// Used by the periods' rules too.
pub(crate) fn is_finance(rule: Rule) -> bool {
    match rule {
        Rule::Adjusting | Rule::Reversal | Rule::Recognition | Rule::Revaluation | Rule::Closing => true,
        Rule::Standard
        | Rule::Opening
        | Rule::Transfer
        | Rule::HoldCapture
        | Rule::Charge
        | Rule::ChargeVoid
        | Rule::PaymentCapture
        | Rule::PaymentApply
        | Rule::PaymentUnapply
        | Rule::PaymentFee
        | Rule::PaymentFeeReturn
        | Rule::Refund
        | Rule::RefundSettle
        | Rule::RefundFail
        | Rule::Conversion => false,
    }
}
