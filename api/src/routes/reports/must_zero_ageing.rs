//! What stays in accounts that must come to zero, by reference and by how long it has been there.

use axum::extract::State;
use axum::response::Response;
use partita_core::account::Account;
use partita_core::id::CurrencyId;
use partita_core::report::ageing::{Aged, Ageing, By, Row as Aging, ageing};

use super::receivables_ageing::{bucket_cells, bucket_columns, open_items};
use super::{days_between, no_period, untied};
use crate::app::App;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{Nothing, ReadQuery};
use crate::report::{
    Basis, Cell, Column, Frame, Piece, Report, ReportJson, ReportQuery, Reporting, Row, Section, respond,
};
use crate::subledger;

/// What is left in must-zero accounts (clearing, disputed funds, cash in transit, refunds payable, suspense), by item
/// and by the days since it is there. An account in which nothing is left has no section.
#[utoipa::path(get, path = "/v1/books/{book}/reports/must-zero-ageing", tag = "reports",
    params(("book" = String, Path), ReportQuery, ReadQuery),
    responses((status = 200, content((ReportJson = "application/json"), (String = "text/csv"),
        (String = "text/plain"), (String = "text/html"))), (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>, path: PathArgs, query: Reporting<Nothing>) -> Result<Response, Problem> {
    let code = path.book()?;
    app.respond(query.fresh, move |app| {
        let basis = Basis::resolve(app, &code, &query.common)?;
        no_period(&basis)?;
        Ok(respond(&make(app, &basis)?, query.common.format))
    })
    .await
}

fn make(app: &App, basis: &Basis) -> Result<Report, Problem> {
    let columns = [
        Column::text("party", "Party"),
        Column::text("item", "Reference"),
        Column::date("since", "Since"),
        Column::number("days", "Days"),
        Column::text("currency", "Currency"),
    ];
    let columns = columns.into_iter().chain(bucket_columns()).collect();
    let header = basis.header("must-zero-ageing", "Must-zero ageing");
    let mut report = Report { frame: Frame { header, columns, has_sections: true }, pieces: vec![] };
    let accounts = app.view(|view| view.accounts(basis.names.book.id));
    for account in accounts.iter().filter(|account| account.must_zero) {
        let aged = age(app, basis, account)?;
        if aged.rows.is_empty() {
            continue;
        }
        let (name, title) = (account.code.to_string(), format!("{} ({})", account.name, account.code));
        report.pieces.push(Piece::Section(Section { name, title }));
        report.pieces.push(Piece::Rows(aged.rows.iter().map(|line| row(basis, line)).collect()));
        report.pieces.push(Piece::Totals(aged.totals.iter().map(|total| total_row(basis, total)).collect()));
    }
    report.pieces.push(Piece::End(vec![]));
    Ok(report)
}

fn age(app: &App, basis: &Basis, account: &Account) -> Result<Ageing, Problem> {
    let at = subledger::account_at(app, basis, account)?;
    let since = subledger::opened(app, basis, account, &at, &at.open)?;
    let items = at.open.iter().flat_map(|(place, _)| open_items(&since, place));
    ageing(items, basis.as_of, By::Item, &at.control).map_err(|error| untied(&basis.names, error.currency, &error))
}

fn row(basis: &Basis, line: &Aging) -> Row {
    let names = &*basis.names;
    let mut cells = vec![
        Cell::or_empty(line.party.as_ref()),
        Cell::or_empty(line.item.as_ref()),
        line.due.map_or(Cell::Empty, Cell::Date),
        line.due.map_or(Cell::Empty, |due| days_between(due, basis.as_of)),
        Cell::text(names.currency_code(line.currency)),
    ];
    cells.extend(bucket_cells(names, line.currency, line.aged));
    cells
}

fn total_row(basis: &Basis, (currency, aged): (&CurrencyId, &Aged)) -> Row {
    let names = &*basis.names;
    let mut cells =
        vec![Cell::text("Total"), Cell::Empty, Cell::Empty, Cell::Empty, Cell::text(names.currency_code(*currency))];
    cells.extend(bucket_cells(names, *currency, *aged));
    cells
}
