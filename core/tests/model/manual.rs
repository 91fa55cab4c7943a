//! Books, currencies, accounts, manual entries, transfers and reversals, and how a line is held against the chart.

use partita_core::account::{Account, Book, CurrencyRule, ItemRule};
use partita_core::currency::{Currency, FIRST_REGISTERED, MAX_REGISTERED};
use partita_core::decision::Effects;
use partita_core::document::Snapshot;
use partita_core::entry::{Rule, Side};
use partita_core::id::{AccountCode, AccountId, BookId, CurrencyCode, CurrencyId, Item, Party, Position, Role};
use partita_core::money::WrittenAmount;
use partita_core::operation::{
    AccountRef, Chart, Currencies, ManualKind, OpenAccount, OpenBook, PostEntry, RegisterCurrency, ReverseEntry,
    Transfer,
};
use partita_core::period::{Calendar, Month};
use partita_core::rejection::{Existing, Field, Reason, Rejection};

use super::arith::minor_units;
use super::chart;
use super::decide::{Draft, Model, Moment, Thing, Wish, refuse};
use super::ledger::{Row, Shelf, Step};

pub(crate) fn open_book(
    model: &mut Model,
    operation: &OpenBook,
    first_month: Option<Month>,
    position: Position,
) -> Result<Effects, Rejection> {
    if let Some(shelf) = model.shelves.iter().find(|shelf| shelf.book.code == operation.code) {
        let what = Existing::Book(operation.code.clone());
        return refuse(Reason::AlreadyExists { what, decided_at: shelf.book.decided }, Field::Id);
    }
    let iso = partita_core::currency::ISO_4217.iter().find(|row| row.0 == operation.functional_currency.as_str());
    let Some(iso) = iso else {
        let currency = operation.functional_currency.clone();
        return refuse(Reason::UnknownCurrency { currency }, Field::FunctionalCurrency);
    };
    let functional_currency = CurrencyId(iso.1);
    let book = Book {
        id: BookId(u32::try_from(model.shelves.len()).unwrap() + 1),
        code: operation.code.clone(),
        name: operation.name.clone(),
        functional_currency,
        time_zone: operation.time_zone.clone(),
        decided: position,
    };
    let accounts = match operation.chart {
        Chart::Saas => chart::saas(functional_currency, position),
        Chart::Empty => vec![],
    };
    let mut snapshots = vec![Snapshot::Book(book.clone())];
    let mut shelf = Shelf::new(book, accounts.clone());
    if let Some(first_month) = first_month {
        shelf.calendar = Calendar { first_month, decided: position, ..Calendar::default() };
        snapshots.push(Snapshot::Calendar(shelf.calendar));
    }
    snapshots.extend(accounts.into_iter().map(Snapshot::Account));
    model.shelves.push(shelf);
    Ok(Effects { entries: vec![], snapshots })
}

pub(crate) fn register_currency(
    shelf: &Shelf,
    moment: &Moment,
    operation: &RegisterCurrency,
) -> Result<Wish, Rejection> {
    if let Some(known) = shelf.currency(&operation.code) {
        let what = Existing::Currency(operation.code.clone());
        return refuse(Reason::AlreadyExists { what, decided_at: known.decided }, Field::Id);
    }
    if shelf.currencies.len() >= usize::from(MAX_REGISTERED) {
        return refuse(Reason::TooManyCurrencies, Field::Whole);
    }
    let currency = Currency {
        id: CurrencyId(FIRST_REGISTERED + u16::try_from(shelf.currencies.len()).unwrap()),
        code: operation.code.clone(),
        decimals: operation.decimals,
        decided: moment.position,
    };
    Ok(Wish { things: vec![Thing::Currency(currency)], ..Wish::default() })
}

pub(crate) fn open_account(shelf: &Shelf, moment: &Moment, operation: &OpenAccount) -> Result<Wish, Rejection> {
    if let Some(known) = shelf.account_by_code(&operation.code) {
        let what = Existing::Account(operation.code.clone());
        return refuse(Reason::AlreadyExists { what, decided_at: known.decided }, Field::Id);
    }
    let currencies = match &operation.currencies {
        Currencies::Any => CurrencyRule::Any,
        Currencies::Only(codes) => {
            let mut ids = vec![];
            for code in codes {
                ids.push(known_currency(shelf, code, Field::Currencies)?.id);
            }
            ids.sort();
            CurrencyRule::Only(ids)
        }
    };
    let account = Account {
        id: AccountId(u32::try_from(shelf.accounts.len()).unwrap() + 1),
        code: operation.code.clone(),
        number: operation.number.clone(),
        name: operation.name.clone(),
        class: operation.class,
        contra: operation.contra,
        party: operation.party.clone(),
        items: operation.items,
        currencies,
        overdraft: operation.overdraft,
        must_zero: operation.must_zero,
        role: operation.role.clone(),
        closed: false,
        decided: moment.position,
    };
    Ok(Wish { things: vec![Thing::Account(account)], ..Wish::default() })
}

/// Only an account whose every subaccount is at zero, with nothing pending, can be closed.
pub(crate) fn close_account(shelf: &Shelf, moment: &Moment, code: &AccountCode) -> Result<Wish, Rejection> {
    let mut account = open_one(shelf, code, Field::Whole)?.clone();
    let pending = shelf.reserved.values().any(|reserved| {
        reserved.amount > 0 && (reserved.debit.account == account.id || reserved.credit.account == account.id)
    });
    let mine = shelf.steps.iter().filter(|((id, _, _), _)| *id == account.id);
    let left = |steps: &Vec<Step>| steps.last().is_some_and(|step| step.money.0 != step.money.1);
    if pending || mine.into_iter().any(|(_, steps)| left(steps)) {
        return refuse(Reason::AccountNotEmpty { account: code.clone() }, Field::Whole);
    }
    account.closed = true;
    account.decided = moment.position;
    Ok(Wish { things: vec![Thing::Account(account)], ..Wish::default() })
}

pub(crate) fn known_currency(shelf: &Shelf, code: &CurrencyCode, field: Field) -> Result<Currency, Rejection> {
    match shelf.currency(code) {
        Some(currency) => Ok(currency),
        None => refuse(Reason::UnknownCurrency { currency: code.clone() }, field),
    }
}

pub(crate) fn open_one<'a>(shelf: &'a Shelf, code: &AccountCode, field: Field) -> Result<&'a Account, Rejection> {
    match shelf.account_by_code(code) {
        None => refuse(Reason::UnknownAccount { account: code.clone() }, field),
        Some(account) => still_open(account, field),
    }
}

pub(crate) fn still_open(account: &Account, field: Field) -> Result<&Account, Rejection> {
    if account.closed { refuse(Reason::AccountClosed { account: account.code.clone() }, field) } else { Ok(account) }
}

/// The first open account of the role.
pub(crate) fn by_role<'a>(shelf: &'a Shelf, role: &str, field: Field) -> Result<&'a Account, Rejection> {
    match shelf.account_by_role(role) {
        Some(account) => Ok(account),
        None => refuse(Reason::RoleMissing { role: Role::new(role).unwrap() }, field),
    }
}

/// The first open account of the role, if it takes such lines: this currency, a party or none, an item or none.
pub(crate) fn playing<'a>(
    shelf: &'a Shelf,
    role: &str,
    (currency, field): (&Currency, Field),
    (party, item): (bool, bool),
) -> Result<&'a Account, Rejection> {
    let account = by_role(shelf, role, Field::Role)?;
    takes_currency(account, currency, field)?;
    let (any_party, any_item) = (Party::new("any").unwrap(), Item::new("any").unwrap());
    shape(account, party.then_some(&any_party), item.then_some(&any_item), Field::Role)?;
    Ok(account)
}

pub(crate) fn takes_currency(account: &Account, currency: &Currency, field: Field) -> Result<(), Rejection> {
    let takes = match &account.currencies {
        CurrencyRule::Any => true,
        CurrencyRule::Only(ids) => ids.contains(&currency.id),
    };
    if takes {
        return Ok(());
    }
    refuse(Reason::CurrencyNotAllowed { account: account.code.clone(), currency: currency.code.clone() }, field)
}

pub(crate) fn exact(currency: &Currency, amount: WrittenAmount, field: Field) -> Result<i128, Rejection> {
    match minor_units(amount, currency.decimals) {
        Some(minor) => Ok(minor),
        None => {
            let (currency, decimals) = (currency.code.clone(), currency.decimals);
            refuse(Reason::TooManyDecimals { currency, decimals }, field)
        }
    }
}

/// Whether an account takes a line with this party and item.
pub(crate) fn shape(
    account: &Account,
    party: Option<&Party>,
    item: Option<&Item>,
    field: Field,
) -> Result<(), Rejection> {
    let code = account.code.clone();
    match (account.party.is_some(), party.is_some()) {
        (true, false) => return refuse(Reason::PartyRequired { account: code }, field),
        (false, true) => return refuse(Reason::PartyNotAllowed { account: code }, field),
        (true, true) | (false, false) => {}
    }
    match (account.items, item.is_some()) {
        (ItemRule::Required, false) => refuse(Reason::ItemRequired { account: code }, field),
        (ItemRule::None, true) => refuse(Reason::ItemNotAllowed { account: code }, field),
        (ItemRule::Required, true) | (ItemRule::None, false) | (ItemRule::Optional, _) => Ok(()),
    }
}

/// Where the parts of a written line stand in its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    pub(crate) account: Field,
    pub(crate) currency: Field,
    pub(crate) amount: Field,
}

/// Holds one written line against the chart.
pub(crate) fn row(
    shelf: &Shelf,
    spot: &AccountRef,
    side: Side,
    (amount, currency): (WrittenAmount, &CurrencyCode),
    fields: Fields,
) -> Result<(Row, Field), Rejection> {
    let account = open_one(shelf, &spot.code, fields.account)?;
    let currency = known_currency(shelf, currency, fields.currency)?;
    takes_currency(account, &currency, fields.currency)?;
    let amount = exact(&currency, amount, fields.amount)?;
    shape(account, spot.party.as_ref(), spot.item.as_ref(), fields.account)?;
    let (party, item) = (spot.party.clone(), spot.item.clone());
    Ok((Row { account: account.id, party, item, side, amount, currency: currency.id }, fields.account))
}

pub(crate) fn post_entry(shelf: &Shelf, moment: &Moment, operation: &PostEntry) -> Result<Wish, Rejection> {
    let mut rows = vec![];
    for (index, line) in (0..).zip(&operation.lines) {
        let field = Field::Line(index);
        let fields = Fields { account: field, currency: field, amount: field };
        rows.push(row(shelf, &line.account, line.side, (line.amount, &line.currency), fields)?);
    }
    let rule = match operation.kind {
        ManualKind::Standard => Rule::Standard,
        ManualKind::Opening => Rule::Opening,
        ManualKind::Adjusting => Rule::Adjusting,
    };
    let draft = Draft {
        rule,
        date: moment.date(&operation.details),
        description: operation.details.description.clone(),
        metadata: operation.details.metadata.clone(),
        reverses: None,
        document: None,
        rows,
    };
    Ok(Wish { drafts: vec![draft], ..Wish::default() })
}

/// Both sides of a transfer or hold.
pub(crate) fn two_rows(
    shelf: &Shelf,
    (debit, credit): (&AccountRef, &AccountRef),
    amount: (WrittenAmount, &CurrencyCode),
) -> Result<Vec<(Row, Field)>, Rejection> {
    let fields = |account| Fields { account, currency: Field::Currency, amount: Field::Amount };
    Ok(vec![
        row(shelf, debit, Side::Debit, amount, fields(Field::Debit))?,
        row(shelf, credit, Side::Credit, amount, fields(Field::Credit))?,
    ])
}

pub(crate) fn transfer(shelf: &Shelf, moment: &Moment, operation: &Transfer) -> Result<Wish, Rejection> {
    let rows = two_rows(shelf, (&operation.debit, &operation.credit), (operation.amount, &operation.currency))?;
    let draft = Draft {
        rule: Rule::Transfer,
        date: moment.date(&operation.details),
        description: operation.details.description.clone(),
        metadata: operation.details.metadata.clone(),
        reverses: None,
        document: None,
        rows,
    };
    Ok(Wish { drafts: vec![draft], ..Wish::default() })
}

pub(crate) fn reverse(shelf: &Shelf, moment: &Moment, operation: &ReverseEntry) -> Result<Wish, Rejection> {
    let posted = shelf.entries.iter().find(|posted| posted.entry.number == operation.number);
    let Some(posted) = posted else { return refuse(Reason::UnknownDocument, Field::Whole) };
    if let Some(by) = posted.reversed_by {
        return refuse(Reason::AlreadyReversed { by }, Field::Whole);
    }
    match posted.entry.rule {
        Rule::Standard
        | Rule::Opening
        | Rule::Adjusting
        | Rule::Transfer
        | Rule::Reversal
        | Rule::Conversion
        | Rule::Revaluation
        | Rule::Closing => {}
        Rule::HoldCapture
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
        | Rule::Recognition => return refuse(Reason::NotReversible, Field::Whole),
    }
    let rows = mirrored(shelf, &posted.entry.lines)?;
    let given = operation.details.description.clone();
    let draft = Draft {
        rule: Rule::Reversal,
        date: moment.date(&operation.details),
        description: if given.is_empty() { format!("Reversal of entry {}", operation.number) } else { given },
        metadata: operation.details.metadata.clone(),
        reverses: Some(operation.number),
        document: None,
        rows,
    };
    Ok(Wish { drafts: vec![draft], ..Wish::default() })
}

/// The same lines with their sides exchanged; their accounts must still be open.
pub(crate) fn mirrored(shelf: &Shelf, lines: &[partita_core::entry::Line]) -> Result<Vec<(Row, Field)>, Rejection> {
    let mut rows = vec![];
    for (index, line) in (0..).zip(lines) {
        let field = Field::Line(index);
        still_open(shelf.account(line.account), field)?;
        let side = match line.side {
            Side::Debit => Side::Credit,
            Side::Credit => Side::Debit,
        };
        let row = Row {
            account: line.account,
            party: line.party.clone(),
            item: line.item.clone(),
            side,
            amount: line.amount.minor(),
            currency: line.currency,
        };
        rows.push((row, field));
    }
    Ok(rows)
}
