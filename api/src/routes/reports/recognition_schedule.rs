//! The recognition schedule: what of deferred revenue is due by the end of each month to come.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use partita_core::account::Account;
use partita_core::id::{CurrencyId, DocumentId};
use partita_core::recognition::deferred_lines;
use partita_core::resolve::role;
use partita_core::schedule::{self, DeferredLine, Instalment};
use partita_core::state::Read as _;
use partita_core::time::Date;

use super::{accounts_of_role, no_period, untied};
use crate::app::App;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{Nothing, ReadQuery, parameter};
use crate::report::{Basis, Cell, Column, Frame, Piece, Report, ReportJson, ReportQuery, Reporting, Row, respond};
use crate::subledger::{self, Place};

/// The recognition schedule: what is due of the deferred items that are open now, month by month. What was due before is
/// in the first month; what no charge deferred has no schedule and stands in a row without a month.
#[utoipa::path(get, path = "/v1/books/{book}/reports/recognition-schedule", tag = "reports",
    params(("book" = String, Path), ReportQuery, ReadQuery),
    responses((status = 200, content((ReportJson = "application/json"), (String = "text/csv"),
        (String = "text/plain"), (String = "text/html"))), (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>, path: PathArgs, query: Reporting<Nothing>) -> Result<Response, Problem> {
    let code = path.book()?;
    app.respond(query.fresh, move |app| {
        let basis = Basis::resolve(app, &code, &query.common)?;
        no_period(&basis)?;
        if basis.known_at.is_some() {
            return Err(parameter("known_at", "is not known: the schedule is of what is deferred now"));
        }
        Ok(respond(&make(app, &basis)?, query.common.format))
    })
    .await
}

/// What is due by the end of each month, `None`: never, as nothing says when.
type Months = BTreeMap<(CurrencyId, Option<Date>), (i128, u64)>;

fn make(app: &App, basis: &Basis) -> Result<Report, Problem> {
    let names = &*basis.names;
    let mut months = Months::new();
    // What was recognised is known as of now only, and so is what is left: entries that are dated later included.
    let now = Basis { as_of: Date::MAX, ..basis.clone() };
    for account in accounts_of_role(app, names, role::DEFERRED_REVENUE)? {
        let at = subledger::account_at(app, &now, &account)?;
        let mut sums: BTreeMap<CurrencyId, i128> = BTreeMap::new();
        for (place, balance) in &at.open {
            *sums.entry(place.currency).or_default() += balance;
            add(app, basis, &account, place, *balance, &mut months);
        }
        for (currency, control) in &at.control {
            let items = sums.get(currency).copied().unwrap_or(0);
            if items != *control {
                let why = format!("deferred items come to {items}, the account to {control}");
                return Err(untied(names, *currency, &why));
            }
        }
    }
    let columns = vec![
        Column::date("through", "Through"),
        Column::number("charges", "Charges"),
        Column::text("currency", "Currency"),
        Column::amount("due", "Due"),
        Column::amount("remaining", "Remaining"),
    ];
    let mut left: BTreeMap<CurrencyId, i128> = BTreeMap::new();
    for ((currency, _), (amount, _)) in &months {
        *left.entry(*currency).or_default() += amount;
    }
    let totals = left.iter().map(|(currency, all)| -> Row {
        let amount = |minor| Cell::amount(names, *currency, minor);
        vec![Cell::Empty, Cell::Empty, Cell::text(names.currency_code(*currency)), amount(*all), amount(0)]
    });
    let totals = totals.collect();
    // What has a month comes before what has none.
    let mut rows: Vec<_> = months.into_iter().collect();
    rows.sort_by_key(|((currency, month), _)| (*currency, month.is_none(), *month));
    let rows = rows.into_iter().map(|((currency, month), (amount, charges))| {
        let rest = left.entry(currency).or_default();
        *rest -= amount;
        vec![
            month.map_or(Cell::Empty, Cell::Date),
            Cell::Number(charges),
            Cell::text(names.currency_code(currency)),
            Cell::amount(names, currency, amount),
            Cell::amount(names, currency, *rest),
        ]
    });
    let header = basis.header("recognition-schedule", "Recognition schedule");
    let pieces = vec![Piece::Rows(rows.collect()), Piece::End(totals)];
    Ok(Report { frame: Frame { header, columns, has_sections: false }, pieces })
}

fn add(app: &App, basis: &Basis, account: &Account, place: &Place, balance: i128, months: &mut Months) {
    let mut left = balance;
    for Instalment { through, amount } in instalments(app, basis, account, place, balance) {
        let month = months.entry((place.currency, Some(through))).or_default();
        *month = (month.0 + amount, month.1 + 1);
        left -= amount;
    }
    if left != 0 {
        let never = months.entry((place.currency, None)).or_default();
        *never = (never.0 + left, never.1 + 1);
    }
}

/// The item's charge, if it deferred it, with what was recognised of it.
fn instalments(app: &App, basis: &Basis, account: &Account, place: &Place, balance: i128) -> Vec<Instalment> {
    let book = basis.names.book.id;
    let lines = app.look(|view| -> Option<Vec<DeferredLine>> {
        let charge = view.charge(book, &DocumentId::new(place.item.as_ref()?.as_str()).ok()?)?;
        let is_its = charge.deferred == Some(account.id) && Some(&charge.customer) == place.party.as_ref();
        let recognised = view.recognised(book, &charge.id);
        let lines = deferred_lines(&charge, recognised.as_ref()).into_iter().map(|(_, line)| line);
        is_its.then(|| lines.collect())
    });
    let first = basis.as_of.next().unwrap_or(basis.as_of);
    match lines {
        Some(lines) if balance > 0 => schedule::by_month(&lines, balance, first),
        Some(_) | None => vec![],
    }
}
