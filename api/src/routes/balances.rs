//! Balances: of an account, a party's part of it, or one item; now, as of a date, as known at an instant.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use partita_core::account::Account;
use partita_core::entry::Side;
use partita_core::id::{BookId, CurrencyId, Position};
use partita_core::resolve;
use partita_core::state::{ControlKey, ItemKey, Movement, SubaccountKey, Sums};
use partita_core::time::Date;
use partita_storage::state::MovementsOf;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::accounts::{SideJson, find};
use crate::app::App;
use crate::history;
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{Read, ReadQuery, parameter};
use crate::values::{CurrencyCode, Day, Instant, Item, Party};

/// Which balance.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BalanceQuery {
    /// One party's part of a control account; without it the control balance.
    #[param(value_type = Option<String>)]
    pub party: Option<Party>,
    /// One item; with its party, where the account has parties.
    #[param(value_type = Option<String>)]
    pub item: Option<Item>,
    /// One currency; without it every currency that the account ever had.
    #[param(value_type = Option<String>)]
    pub currency: Option<CurrencyCode>,
    /// What is effective on this date or before.
    #[param(value_type = Option<String>)]
    pub as_of: Option<Day>,
    /// What was recorded at this instant or before.
    #[param(value_type = Option<String>)]
    pub known_at: Option<Instant>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Balance)]
pub struct BalanceJson {
    pub currency: String,
    pub debits: String,
    pub credits: String,
    /// Positive on the account's normal side.
    pub balance: String,
    pub pending_debits: Option<String>,
    pub pending_credits: Option<String>,
    /// Pending on the other side. Null, as all pending figures, with as_of or known_at.
    pub held: Option<String>,
    /// The balance without what is held.
    pub available: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Balances)]
pub struct BalancesJson {
    pub account: String,
    pub party: Option<String>,
    pub item: Option<String>,
    /// The account's normal side.
    pub side: SideJson,
    pub as_of: Option<String>,
    pub known_at: Option<String>,
    pub balances: Vec<BalanceJson>,
}

impl BalanceJson {
    pub(crate) fn now(sums: Sums, currency: CurrencyId, side: Side, names: &Names) -> Self {
        let held = match side {
            Side::Debit => sums.pending_credits,
            Side::Credit => sums.pending_debits,
        };
        let money = |minor| Some(names.money(minor, currency));
        let posted = Movement { debits: sums.debits, credits: sums.credits };
        Self {
            pending_debits: money(sums.pending_debits),
            pending_credits: money(sums.pending_credits),
            held: money(held),
            available: money(signed(posted, side) - held),
            ..Self::posted(posted, currency, side, names)
        }
    }

    fn posted(movement: Movement, currency: CurrencyId, side: Side, names: &Names) -> Self {
        Self {
            currency: names.currency_code(currency),
            debits: names.money(movement.debits, currency),
            credits: names.money(movement.credits, currency),
            balance: names.money(signed(movement, side), currency),
            pending_debits: None,
            pending_credits: None,
            held: None,
            available: None,
        }
    }
}

fn signed(movement: Movement, side: Side) -> i128 {
    match side {
        Side::Debit => movement.debits - movement.credits,
        Side::Credit => movement.credits - movement.debits,
    }
}

/// What is asked for, resolved.
struct Wanted {
    account: Arc<Account>,
    query: BalanceQuery,
    /// With `known_at` or `as_of`: the last decision that counts.
    known: Option<Position>,
}

/// A balance.
#[utoipa::path(get, path = "/v1/books/{book}/accounts/{code}/balance", tag = "accounts",
    params(("book" = String, Path), ("code" = String, Path), BalanceQuery, ReadQuery),
    responses((status = 200, body = BalancesJson), (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>, path: PathArgs, query: Read<BalanceQuery>) -> Result<Response, Problem> {
    let code = path.account()?;
    app.read_book(query.fresh, path.book()?, move |app, names| {
        let account = find(app, names, &code)?;
        check_place(&account, &query.own)?;
        let currency = match &query.own.currency {
            None => None,
            Some(code) => Some(
                app.look(|view| resolve::find_currency(view, names.book.id, &code.0))
                    .ok_or_else(|| parameter("currency", &format!("{} is not known in this book", code.0)))?
                    .id,
            ),
        };
        let known = known(app, &query.own);
        let wanted = Wanted { account, query: query.own, known };
        balances(app, names, &wanted, currency)
    })
    .await
}

/// Where something past is asked for: the last decision that counts. It is read in pieces while writes go on, so the
/// answer is pinned to it, or with `known_at` to the moment at which that was found.
fn known(app: &App, query: &BalanceQuery) -> Option<Position> {
    if query.as_of.is_none() && query.known_at.is_none() {
        return None;
    }
    let head = app.pin();
    let at = |instant: &Instant| app.past(|reader| reader.position_at(instant.0)).min(head);
    Some(query.known_at.as_ref().map_or(head, at))
}

fn check_place(account: &Account, query: &BalanceQuery) -> Result<(), Problem> {
    if query.party.is_some() && account.party.is_none() {
        return Err(parameter("party", &format!("account {} is no control account: it has no parties", account.code)));
    }
    if query.item.is_some() && query.party.is_none() && account.party.is_some() {
        return Err(parameter("item", "needs its party"));
    }
    Ok(())
}

fn balances(app: &App, names: &Names, wanted: &Wanted, currency: Option<CurrencyId>) -> Result<BalancesJson, Problem> {
    let Wanted { account, query, known } = wanted;
    let side = account.normal_side();
    let is_now = known.is_none();
    let mut shown = vec![];
    if is_now {
        let party = query.party.as_ref().map(|party| &party.0);
        let item = query.item.as_ref().map(|item| &item.0);
        let place = Place { book: names.book.id, account, party, item };
        for (currency, sums) in app.look(|view| sums_now(view, place, currency)) {
            shown.push(BalanceJson::now(sums, currency, side, names));
        }
    } else {
        for (currency, movement) in movements(app, names, wanted, currency)? {
            shown.push(BalanceJson::posted(movement, currency, side, names));
        }
    }
    shown.sort_by(|a, b| a.currency.cmp(&b.currency));
    Ok(BalancesJson {
        account: account.code.to_string(),
        party: query.party.as_ref().map(|party| party.0.to_string()),
        item: query.item.as_ref().map(|item| item.0.to_string()),
        side: SideJson::of(side),
        as_of: query.as_of.as_ref().map(|day| day.0.to_string()),
        known_at: query.known_at.as_ref().map(|instant| crate::values::format_instant(instant.0)),
        balances: shown,
    })
}

/// The currencies of the answer: the one that was asked for, or all that the account ever had.
fn currencies(
    view: &impl partita_core::state::Read,
    book: BookId,
    account: &Account,
    currency: Option<CurrencyId>,
) -> Vec<CurrencyId> {
    match currency {
        Some(currency) => vec![currency],
        None => view.controls_of(book, account.id).into_iter().map(|(currency, _)| currency).collect(),
    }
}

/// Where a balance is: of an account, of a party's part of it, or of one item.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) book: BookId,
    pub(super) account: &'a Account,
    pub(super) party: Option<&'a partita_core::id::Party>,
    pub(super) item: Option<&'a partita_core::id::Item>,
}

pub(super) fn sums_now(
    view: &impl partita_core::state::Read,
    place: Place<'_>,
    currency: Option<CurrencyId>,
) -> Vec<(CurrencyId, Sums)> {
    let Place { book, account, party, item } = place;
    let sums = |currency| match (party, item) {
        (_, Some(item)) => {
            view.item(&ItemKey { book, account: account.id, party: party.cloned(), item: item.clone(), currency })
        }
        (Some(_), None) => {
            view.subaccount(&SubaccountKey { book, account: account.id, party: party.cloned(), currency }).sums
        }
        (None, None) => view.control(&ControlKey { book, account: account.id, currency }),
    };
    let all = currencies(view, book, account, currency).into_iter().map(|currency| (currency, sums(currency)));
    // A party's or an item's answer leaves out the currencies that only others have.
    let is_part = party.is_some() || item.is_some();
    all.filter(|(_, sums)| currency.is_some() || !is_part || *sums != Sums::default()).collect()
}

/// Posted up to a date, or known at a position, or both. Of a whole account as it is known now, days are fewer than
/// postings; as it was known long ago, its chain is shorter than the journal since then.
fn movements(
    app: &App,
    names: &Names,
    wanted: &Wanted,
    currency: Option<CurrencyId>,
) -> Result<BTreeMap<CurrencyId, Movement>, Problem> {
    let Wanted { account, query, known } = wanted;
    let (book, as_of) = (names.book.id, query.as_of.as_ref().map(|day| day.0));
    let party = query.party.as_ref().map(|party| party.0.clone());
    let all = app.look(|view| currencies(view, book, account, currency));
    let mut found = BTreeMap::new();
    for currency in all {
        let movement = if let Some(item) = &query.item {
            let key = SubaccountKey { book, account: account.id, party: party.clone(), currency };
            history::item_at(app, &key, &item.0, as_of, *known)?
        } else if party.is_some() || (account.party.is_none() && query.known_at.is_some()) {
            let key = SubaccountKey { book, account: account.id, party: party.clone(), currency };
            app.past(|reader| reader.balance_at(&key, as_of, *known))
        } else {
            control_at(app, &ControlKey { book, account: account.id, currency }, as_of, *known)?
        };
        if query.currency.is_some() || movement != Movement::default() {
            found.insert(currency, movement);
        }
    }
    Ok(found)
}

/// A control account's: its balance, less what is dated later and what was decided after `known`.
fn control_at(app: &App, key: &ControlKey, as_of: Option<Date>, known: Option<Position>) -> Result<Movement, Problem> {
    let patience = history::Patience::new();
    let posted = app.past(|reader| {
        let cuts = [as_of.unwrap_or(Date::MAX)];
        reader.posted(MovementsOf::Control(key), &cuts, known, || patience.check().is_ok())
    });
    match posted {
        Some(posted) => Ok(posted.first().map(|sums| sums.movement).unwrap_or_default()),
        None => Err(history::impatient()),
    }
}
