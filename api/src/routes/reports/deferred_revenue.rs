//! The roll-forward of deferred revenue: opening + billed − recognised − credited = closing, month by month.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use partita_core::account::Account;
use partita_core::entry::Side;
use partita_core::id::CurrencyId;
use partita_core::report::deferred::{Flow, RollForward, Row as Month, Standing};
use partita_core::resolve::role;
use partita_core::state::Movement;
use partita_core::time::Date;

use super::{accounts_of_role, untied};
use crate::app::App;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{Nothing, ReadQuery};
use crate::report::{Basis, Cell, Column, Frame, Piece, Report, ReportJson, ReportQuery, Reporting, Row, respond};
use crate::subledger::{self, Back};

/// Deferred revenue's roll-forward: a row per month and currency; it closes at the account's balance.
#[utoipa::path(get, path = "/v1/books/{book}/reports/deferred-revenue", tag = "reports",
    params(("book" = String, Path), ReportQuery, ReadQuery),
    responses((status = 200, content((ReportJson = "application/json"), (String = "text/csv"),
        (String = "text/plain"), (String = "text/html"))), (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>, path: PathArgs, query: Reporting<Nothing>) -> Result<Response, Problem> {
    let code = path.book()?;
    app.respond(query.fresh, move |app| {
        let basis = Basis::resolve(app, &code, &query.common)?;
        let (mut rows, mut totals) = (vec![], vec![]);
        for account in accounts_of_role(app, &basis.names, role::DEFERRED_REVENUE)? {
            let (months, total) = roll_forward(app, &basis, &account)?;
            rows.extend(months.iter().map(|month| month_row(&basis, &account, month)));
            totals.extend(total.iter().map(|(currency, flow)| total_row(&basis, &account, *currency, *flow)));
        }
        let report = Report {
            frame: Frame {
                header: basis.header("deferred-revenue", "Deferred revenue roll-forward"),
                columns: columns(),
                has_sections: false,
            },
            pieces: vec![Piece::Rows(rows), Piece::End(totals)],
        };
        Ok(respond(&report, query.common.format))
    })
    .await
}

fn columns() -> Vec<Column> {
    vec![
        Column::text("account", "Account"),
        Column::date("through", "Through"),
        Column::text("currency", "Currency"),
        Column::amount("opening", "Opening"),
        Column::amount("billed", "Billed"),
        Column::amount("recognised", "Recognised"),
        Column::amount("credited", "Credited"),
        Column::amount("adjusted", "Adjusted"),
        Column::amount("closing", "Closing"),
    ]
}

type Flows = (Vec<Month>, BTreeMap<CurrencyId, Flow>);

fn roll_forward(app: &App, basis: &Basis, account: &Arc<Account>) -> Result<Flows, Problem> {
    let (names, book) = (&basis.names, basis.names.book.id);
    let (until, days) = app.view(|view| Ok((view.position(), subledger::daily(view, book, account.id)?)));
    let is_before = |date: Date| basis.from.is_some_and(|from| date < from);
    let is_within = |date: Date| !is_before(date) && date <= basis.as_of;
    let mut opening = subledger::sum_days(&days, is_before);
    let mut closing = subledger::sum_days(&days, |date| date <= basis.as_of);
    let mut roll = RollForward::new(account.id);
    let wanted = subledger::sum_days(&days, is_within);
    let back = Back { book, account: account.id, until, after: basis.position, wanted };
    subledger::each_entry_back(app, back, is_within, |position, entry| {
        let date = entry.effective_date;
        if position <= basis.position {
            if is_within(date) {
                roll.take(entry, |id| Standing::of(&names.account(id)));
            }
            return;
        }
        for line in entry.lines.iter().filter(|line| line.account == account.id) {
            if is_before(date) {
                take_out(opening.entry(line.currency).or_default(), line.side, line.amount.minor());
            }
            if date <= basis.as_of {
                take_out(closing.entry(line.currency).or_default(), line.side, line.amount.minor());
            }
        }
    })?;
    let made = roll.finish(&opening, &closing, basis.as_of);
    made.map_err(|error| untied(names, error.currency, &error))
}

fn take_out(sum: &mut Movement, side: Side, minor: i128) {
    match side {
        Side::Debit => sum.debits -= minor,
        Side::Credit => sum.credits -= minor,
    }
}

fn flow_cells(basis: &Basis, currency: CurrencyId, flow: Flow) -> impl Iterator<Item = Cell> {
    let Flow { opening, billed, recognised, credited, adjusted } = flow;
    let amounts = [opening, billed, recognised, credited, adjusted, flow.closing()];
    amounts.map(|minor| Cell::amount(&basis.names, currency, minor)).into_iter()
}

fn month_row(basis: &Basis, account: &Account, month: &Month) -> Row {
    let mut row = vec![
        Cell::text(&account.code),
        Cell::Date(month.through),
        Cell::text(basis.names.currency_code(month.currency)),
    ];
    row.extend(flow_cells(basis, month.currency, month.flow));
    row
}

fn total_row(basis: &Basis, account: &Account, currency: CurrencyId, flow: Flow) -> Row {
    let mut row =
        vec![Cell::text(&account.code), Cell::Date(basis.as_of), Cell::text(basis.names.currency_code(currency))];
    row.extend(flow_cells(basis, currency, flow));
    row
}
