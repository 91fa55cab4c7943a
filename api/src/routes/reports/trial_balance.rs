//! The trial balance: a row per account and currency, with opening, movement and closing.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use partita_core::entry::Side;
use partita_core::id::{AccountId, CurrencyId};
use partita_core::report::trial_balance::{Posted, Row as Line, Total, TrialBalance, trial_balance};
use partita_core::state::Movement;
use partita_core::time::Date;
use partita_storage::state::MovementsOf;
use serde::Serialize;
use utoipa::ToSchema;

use super::unequal;
use crate::app::App;
use crate::history::{self, Since};
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{Nothing, ReadQuery};
use crate::report::{Basis, Cell, Column, Frame, Piece, Report, ReportQuery, Reporting, Row, respond};
use crate::routes::accounts::ClassJson;

/// A row; each balance stands in one of its two columns, the other is null.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrialBalanceRow)]
pub struct RowJson {
    pub account: String,
    pub number: Option<String>,
    pub name: String,
    pub class: ClassJson,
    pub currency: String,
    pub opening_debit: Option<String>,
    pub opening_credit: Option<String>,
    pub debits: String,
    pub credits: String,
    pub debit: Option<String>,
    pub credit: Option<String>,
}

/// Per currency; the members that only an account has are null.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrialBalanceTotal)]
pub struct TotalJson {
    pub currency: String,
    pub opening_debit: String,
    pub opening_credit: String,
    pub debits: String,
    pub credits: String,
    pub debit: String,
    pub credit: String,
}

/// Documents the trial balance as JSON.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrialBalance)]
pub struct TrialBalanceJson {
    pub report: String,
    pub title: String,
    pub book: String,
    pub as_of: String,
    pub from: Option<String>,
    pub known_at: Option<String>,
    /// True if no decision to come can change it: `known_at` was given and ledger time has passed it.
    pub r#final: bool,
    /// The last decision that counts.
    pub position: u64,
    /// The book's last entry that counts.
    pub last_entry: u64,
    /// The head of the hash tree over all decisions up to `head_position`, which the report was read from.
    pub head: String,
    pub head_position: u64,
    pub rows: Vec<RowJson>,
    pub totals: Vec<TotalJson>,
}

/// The trial balance: a row per account and currency.
#[utoipa::path(get, path = "/v1/books/{book}/reports/trial-balance", tag = "reports",
    params(("book" = String, Path), ReportQuery, ReadQuery),
    responses((status = 200, content((TrialBalanceJson = "application/json"), (String = "text/csv"),
        (String = "text/plain"), (String = "text/html"))), (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>, path: PathArgs, query: Reporting<Nothing>) -> Result<Response, Problem> {
    let code = path.book()?;
    app.respond(query.fresh, move |app| {
        let basis = Basis::resolve(app, &code, &query.common)?;
        Ok(respond(&make(app, &basis)?, query.common.format))
    })
    .await
}

fn make(app: &App, basis: &Basis) -> Result<Report, Problem> {
    let names = &*basis.names;
    let book = names.book.id;
    let ((until, accounts), movements) = app.past(|reader| {
        reader.read_with_movements(MovementsOf::Book(book), |view| Ok((view.position(), view.accounts(book)?)))
    });
    let mut posted: BTreeMap<(AccountId, CurrencyId, Date), Movement> = movements
        .into_iter()
        .map(|(key, movement)| ((key.control.account, key.control.currency, key.date), movement))
        .collect();
    take_back(app, &mut posted, Since { book, after: basis.position, until })?;
    let posted =
        posted.into_iter().map(|((account, currency, date), movement)| Posted { account, currency, date, movement });
    let made = trial_balance(accounts.iter().map(|account| &**account), posted, basis.from, basis.as_of)
        .map_err(|error| unequal(names, error.currency))?;
    Ok(shown(basis, &made))
}

/// Takes out of the movements what was decided after the position that counts.
fn take_back(
    app: &App,
    posted: &mut BTreeMap<(AccountId, CurrencyId, Date), Movement>,
    since: Since,
) -> Result<(), Problem> {
    history::each_line(app, since, |date, line| {
        let movement = posted.entry((line.account, line.currency, date)).or_default();
        match line.side {
            Side::Debit => movement.debits -= line.amount.minor(),
            Side::Credit => movement.credits -= line.amount.minor(),
        }
    })?;
    posted.retain(|_, movement| *movement != Movement::default());
    Ok(())
}

fn shown(basis: &Basis, made: &TrialBalance<'_>) -> Report {
    let names = &*basis.names;
    let has_opening = basis.from.is_some();
    let columns = vec![
        Column::text("account", "Account"),
        Column::text("number", "Number"),
        Column::text("name", "Name"),
        Column::text("class", "Class").unprinted(),
        Column::text("currency", "Currency"),
        Column::amount("opening_debit", "Opening debit").printed_if(has_opening),
        Column::amount("opening_credit", "Opening credit").printed_if(has_opening),
        Column::amount("debits", "Debits"),
        Column::amount("credits", "Credits"),
        Column::amount("debit", "Debit"),
        Column::amount("credit", "Credit"),
    ];
    let rows = made.rows.iter().map(|line| row(names, line)).collect();
    let totals = made.totals.iter().map(|(currency, sums)| total(names, *currency, sums)).collect();
    Report {
        frame: Frame { header: basis.header("trial-balance", "Trial balance"), columns, has_sections: false },
        pieces: vec![Piece::Rows(rows), Piece::End(totals)],
    }
}

fn row(names: &Names, line: &Line<'_>) -> Row {
    let money = |minor| Cell::some_amount(names, line.currency, minor);
    vec![
        Cell::text(&line.account.code),
        Cell::or_empty(line.account.number.as_ref()),
        Cell::text(&line.account.name),
        Cell::text(ClassJson::of(line.account.class).as_str()),
        Cell::text(names.currency_code(line.currency)),
        money(line.opening.debit),
        money(line.opening.credit),
        money(Some(line.debits)),
        money(Some(line.credits)),
        money(line.closing.debit),
        money(line.closing.credit),
    ]
}

fn total(names: &Names, currency: CurrencyId, total: &Total) -> Row {
    let money = |minor| Cell::amount(names, currency, minor);
    vec![
        Cell::Empty,
        Cell::Empty,
        Cell::text("Total"),
        Cell::Empty,
        Cell::text(names.currency_code(currency)),
        money(total.opening_debit),
        money(total.opening_credit),
        money(total.debits),
        money(total.credits),
        money(total.debit),
        money(total.credit),
    ]
}
