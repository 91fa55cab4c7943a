//! Receivables ageing: what customers owe, by how long it has been due. Its total is the control account's balance.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use partita_core::account::Account;
use partita_core::id::CurrencyId;
use partita_core::report::ageing::{self, Aged, Ageing, Bucket, By, OpenItem, ageing};
use partita_core::resolve::role;
use partita_core::time::Date;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{accounts_of_role, no_period, untied};
use crate::app::App;
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::ReadQuery;
use crate::report::{Basis, Cell, Column, Frame, Piece, Report, ReportJson, ReportQuery, Reporting, Row, respond};
use crate::subledger::{self, AccountAt, Place, Since};

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ByForm {
    Customer,
    Item,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AgeingQuery {
    /// A row per `customer` and currency (default), or per open `item`.
    #[param(inline)]
    pub by: Option<ByForm>,
}

/// Receivables ageing by due date: not due, 1 to 30 days, 31 to 60, 61 to 90, 91 to 120, and more.
#[utoipa::path(get, path = "/v1/books/{book}/reports/receivables-ageing", tag = "reports",
    params(("book" = String, Path), ReportQuery, AgeingQuery, ReadQuery),
    responses((status = 200, content((ReportJson = "application/json"), (String = "text/csv"),
        (String = "text/plain"), (String = "text/html"))), (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>, path: PathArgs, query: Reporting<AgeingQuery>) -> Result<Response, Problem> {
    let code = path.book()?;
    app.respond(query.fresh, move |app| {
        let basis = Basis::resolve(app, &code, &query.common)?;
        no_period(&basis)?;
        let by = match query.own.by {
            None | Some(ByForm::Customer) => By::Party,
            Some(ByForm::Item) => By::Item,
        };
        let made = make(app, &basis, by)?;
        Ok(respond(&shown(&basis, by, &made), query.common.format))
    })
    .await
}

fn make(app: &App, basis: &Basis, by: By) -> Result<Ageing, Problem> {
    let names = &*basis.names;
    let mut items: Vec<OpenItem> = vec![];
    let mut control: BTreeMap<CurrencyId, i128> = BTreeMap::new();
    for account in accounts_of_role(app, names, role::RECEIVABLE)? {
        let at = subledger::account_at(app, basis, &account)?;
        items.extend(due_items(app, basis, &account, &at)?);
        for (currency, balance) in at.control {
            *control.entry(currency).or_default() += balance;
        }
    }
    // An account that took over another one's role shares its customers.
    items.sort_by(|a, b| (&a.party, &a.item, a.currency).cmp(&(&b.party, &b.item, b.currency)));
    ageing(items, basis.as_of, by, &control).map_err(|error: ageing::Untied| untied(names, error.currency, &error))
}

/// Open items with the due dates of their charges; what no charge made is due since it is open.
fn due_items(app: &App, basis: &Basis, account: &Account, at: &AccountAt) -> Result<Vec<OpenItem>, Problem> {
    let due = subledger::due_dates(app, basis.names.book.id, account, &at.open);
    let without = at.open.iter().zip(&due).filter(|(_, due)| due.is_none()).map(|(open, _)| open);
    let since = subledger::opened(app, basis, account, at, without)?;
    let items = at.open.iter().zip(due).flat_map(|((place, balance), due)| match due {
        Some(due) => vec![open_item(place, due, *balance)],
        None => open_items(&since, place),
    });
    Ok(items.collect())
}

fn open_item(place: &Place, due: Date, balance: i128) -> OpenItem {
    OpenItem { party: place.party.clone(), item: place.item.clone(), currency: place.currency, balance, due }
}

/// What was searched for, due since it is open.
pub(super) fn open_items(since: &Since, place: &Place) -> Vec<OpenItem> {
    let parts = since.get(place).expect("what no document dates was searched for");
    parts.iter().map(|(due, balance)| open_item(place, *due, *balance)).collect()
}

fn shown(basis: &Basis, by: By, made: &Ageing) -> Report {
    let names = &*basis.names;
    let mut columns = vec![Column::text("customer", "Customer")];
    if by == By::Item {
        columns.extend([
            Column::text("item", "Item"),
            Column::date("due_date", "Due"),
            Column::number("days_overdue", "Days"),
        ]);
    }
    columns.push(Column::text("currency", "Currency"));
    columns.extend(bucket_columns());
    let row = |row: &ageing::Row| {
        let mut cells = vec![Cell::or_empty(row.party.as_ref())];
        if by == By::Item {
            cells.push(Cell::or_empty(row.item.as_ref()));
            cells.push(row.due.map_or(Cell::Empty, Cell::Date));
            cells.push(row.due.map_or(Cell::Empty, |due| super::days_between(due, basis.as_of)));
        }
        cells.push(Cell::text(names.currency_code(row.currency)));
        cells.extend(bucket_cells(names, row.currency, row.aged));
        cells
    };
    let lead = if by == By::Item { 3 } else { 0 };
    let total = |(currency, aged): (&CurrencyId, &Aged)| -> Row {
        let mut cells = vec![Cell::text("Total")];
        cells.extend(std::iter::repeat_n(Cell::Empty, lead));
        cells.push(Cell::text(names.currency_code(*currency)));
        cells.extend(bucket_cells(names, *currency, *aged));
        cells
    };
    let mut header = basis.header("receivables-ageing", "Receivables ageing");
    header.options.push(("by", if by == By::Item { "item" } else { "customer" }.to_owned()));
    Report {
        frame: Frame { header, columns, has_sections: false },
        pieces: vec![
            Piece::Rows(made.rows.iter().map(row).collect()),
            Piece::End(made.totals.iter().map(total).collect()),
        ],
    }
}

pub(super) fn bucket_columns() -> Vec<Column> {
    vec![
        Column::amount("current", "Current"),
        Column::amount("days_1_to_30", "1-30"),
        Column::amount("days_31_to_60", "31-60"),
        Column::amount("days_61_to_90", "61-90"),
        Column::amount("days_91_to_120", "91-120"),
        Column::amount("over_120", ">120"),
        Column::amount("total", "Total"),
    ]
}

pub(super) fn bucket_cells(names: &Names, currency: CurrencyId, aged: Aged) -> impl Iterator<Item = Cell> {
    let amounts = Bucket::ALL.map(|bucket| aged.of(bucket)).into_iter().chain([aged.total()]);
    let cells: Vec<Cell> = amounts.map(|minor| Cell::amount(names, currency, minor)).collect();
    cells.into_iter()
}
