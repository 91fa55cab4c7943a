//! The balance sheet and the income statement, each with another date or period beside it where asked.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use partita_core::id::CurrencyId;
use partita_core::report::financial_statements::{
    LineOf, Part, Span, StatementLine, balance_sheet as make_balance_sheet, income_statement as make_income_statement,
};
use partita_core::report::year_close::without;
use partita_core::time::Date;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{ClosingForm, out_of_balance};
use crate::app::App;
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{ReadQuery, parameter};
use crate::report::{
    Basis, Cell, Column, Frame, Header, Piece, Report, ReportJson, ReportQuery, Reporting, Row, Section, respond,
};
use crate::values::Day;

/// What stands beside the balance sheet, and how years that are over are shown.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BalanceSheetQuery {
    /// Another date, to compare.
    #[param(value_type = Option<String>)]
    pub compare_as_of: Option<Day>,
    /// `virtual` (default): earnings of the fiscal year of `as_of` and of years before it stand in lines of their
    /// own. `none`: all that is not closed stands in one line.
    #[param(inline)]
    pub closing: Option<ClosingForm>,
}

/// What stands beside the income statement.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct IncomeStatementQuery {
    /// The last day of another period, to compare.
    #[param(value_type = Option<String>)]
    pub compare_as_of: Option<Day>,
    /// Its first day; the first day of its fiscal year if left out.
    #[param(value_type = Option<String>)]
    pub compare_from: Option<Day>,
}

/// The balance sheet: what is owned, owed and left, with earnings that are not closed yet.
#[utoipa::path(get, path = "/v1/books/{book}/reports/balance-sheet", tag = "reports",
    params(("book" = String, Path), ReportQuery, BalanceSheetQuery, ReadQuery),
    responses((status = 200, content((ReportJson = "application/json"), (String = "text/csv"),
        (String = "text/plain"), (String = "text/html"))), (status = "default", body = ProblemJson)))]
pub async fn balance_sheet(
    State(app): State<App>,
    path: PathArgs,
    query: Reporting<BalanceSheetQuery>,
) -> Result<Response, Problem> {
    let code = path.book()?;
    app.respond(query.fresh, move |app| {
        if query.common.from.is_some() {
            return Err(parameter("from", "is not of a balance sheet, which stands at one date"));
        }
        let basis = Basis::resolve(app, &code, &query.common)?;
        Ok(respond(&balance_sheet_of(app, &basis, &query.own)?, query.common.format))
    })
    .await
}

fn balance_sheet_of(app: &App, basis: &Basis, query: &BalanceSheetQuery) -> Result<Report, Problem> {
    let dates: Vec<Date> = std::iter::once(basis.as_of).chain(query.compare_as_of.as_ref().map(|day| day.0)).collect();
    let year_start = |date| basis.fiscal_year(date).0;
    let cuts = dates.iter().flat_map(|date| [Some(*date), year_start(*date).previous()]).flatten();
    let posted = basis.posted(app, cuts)?;
    let accounts = basis.accounts(app);
    let years: Option<&dyn Fn(Date) -> Date> =
        if query.closing == Some(ClosingForm::None) { None } else { Some(&year_start) };
    let made = make_balance_sheet(accounts.iter().map(|account| &**account), &posted, &dates, years)
        .map_err(|error| out_of_balance(&basis.names, error))?;
    let shown = Shown { names: &basis.names, columns: dates.len() };
    let mut pieces = vec![];
    shown.part(&mut pieces, "assets", "Assets", &made.assets);
    shown.part(&mut pieces, "liabilities", "Liabilities", &made.liabilities);
    shown.part(&mut pieces, "equity", "Equity", &made.equity);
    pieces.push(Piece::End(shown.totals("Total liabilities and equity", &made.totals)));
    let mut header = basis.header("balance-sheet", "Balance sheet");
    header.options.extend(query.compare_as_of.as_ref().map(|day| ("compare_as_of", day.0.to_string())));
    if query.closing == Some(ClosingForm::None) {
        header.options.push(("closing", "none".to_owned()));
    }
    let headings = dates.iter().map(ToString::to_string).collect();
    Ok(shown.report(header, headings, pieces))
}

/// The income statement: revenue less expense over the period, by default since the fiscal year began.
#[utoipa::path(get, path = "/v1/books/{book}/reports/income-statement", tag = "reports",
    params(("book" = String, Path), ReportQuery, IncomeStatementQuery, ReadQuery),
    responses((status = 200, content((ReportJson = "application/json"), (String = "text/csv"),
        (String = "text/plain"), (String = "text/html"))), (status = "default", body = ProblemJson)))]
pub async fn income_statement(
    State(app): State<App>,
    path: PathArgs,
    query: Reporting<IncomeStatementQuery>,
) -> Result<Response, Problem> {
    let code = path.book()?;
    app.respond(query.fresh, move |app| {
        let mut basis = Basis::resolve(app, &code, &query.common)?;
        basis.from = basis.from.or_else(|| Some(basis.fiscal_year(basis.as_of).0));
        Ok(respond(&income_statement_of(app, &basis, &query.own)?, query.common.format))
    })
    .await
}

fn income_statement_of(app: &App, basis: &Basis, query: &IncomeStatementQuery) -> Result<Report, Problem> {
    let mut spans = vec![Span { from: basis.from, to: basis.as_of }];
    let mut header = basis.header("income-statement", "Income statement");
    match (&query.compare_from, &query.compare_as_of) {
        (None, None) => {}
        (Some(_), None) => return Err(parameter("compare_from", "needs compare_as_of")),
        (from, Some(to)) => {
            let from = from.as_ref().map_or_else(|| basis.fiscal_year(to.0).0, |from| from.0);
            if from > to.0 {
                return Err(parameter("compare_from", "must not be after compare_as_of"));
            }
            header.options.push(("compare_from", from.to_string()));
            header.options.push(("compare_as_of", to.0.to_string()));
            spans.push(Span { from: Some(from), to: to.0 });
        }
    }
    let cuts = spans.iter().flat_map(|span| [Some(span.to), span.from.and_then(Date::previous)]).flatten();
    let mut posted = basis.posted(app, cuts)?;
    posted.extend(without(&basis.closings(app)?));
    let accounts = basis.accounts(app);
    let made = make_income_statement(accounts.iter().map(|account| &**account), &posted, &spans);
    let shown = Shown { names: &basis.names, columns: spans.len() };
    let mut pieces = vec![];
    shown.part(&mut pieces, "revenue", "Revenue", &made.revenue);
    shown.part(&mut pieces, "expenses", "Expenses", &made.expenses);
    pieces.push(Piece::End(shown.totals("Net income", &made.net_income)));
    let heading = |span: &Span| match span.from {
        Some(from) => format!("{from} to {}", span.to),
        None => format!("to {}", span.to),
    };
    Ok(shown.report(header, spans.iter().map(heading).collect(), pieces))
}

/// How both statements are laid out: an amount, and where another column stands beside it, the change.
struct Shown<'a> {
    names: &'a Names,
    columns: usize,
}

impl Shown<'_> {
    fn report(&self, header: Header, headings: Vec<String>, pieces: Vec<Piece>) -> Report {
        let mut columns = vec![
            Column::text("line", "Line").unprinted(),
            Column::text("account", "Account"),
            Column::text("number", "Number"),
            Column::text("name", "Name"),
            Column::text("currency", "Currency"),
        ];
        let mut headings = headings.into_iter();
        columns.extend(headings.next().map(|heading| Column::amount("amount", heading)));
        if let Some(heading) = headings.next() {
            columns.push(Column::amount("compared", heading));
            columns.push(Column::amount("change", "Change"));
        }
        Report { frame: Frame { header, columns, has_sections: true }, pieces }
    }

    fn part(&self, pieces: &mut Vec<Piece>, name: &str, title: &str, part: &Part<'_>) {
        pieces.push(Piece::Section(Section { name: name.to_owned(), title: title.to_owned() }));
        pieces.push(Piece::Rows(part.lines.iter().map(|line| self.line(line)).collect()));
        pieces.push(Piece::Totals(self.totals(&format!("Total {}", title.to_lowercase()), &part.totals)));
    }

    fn line(&self, line: &StatementLine<'_>) -> Row {
        let virtually = |kind: &str, name: &str| [Cell::text(kind), Cell::Empty, Cell::Empty, Cell::text(name)];
        let [kind, account, number, name] = match line.of {
            LineOf::Account(account) => [
                Cell::text("account"),
                Cell::text(&account.code),
                Cell::or_empty(account.number.as_ref()),
                Cell::text(&account.name),
            ],
            LineOf::CurrentEarnings => virtually("current_earnings", "Current-year earnings"),
            LineOf::EarlierEarnings => virtually("earlier_earnings", "Earnings of earlier years, not closed"),
            LineOf::UnclosedEarnings => virtually("unclosed_earnings", "Earnings not closed"),
            LineOf::AgainstMemo => virtually("against_memo", "Posted against memo accounts"),
        };
        let mut row = vec![kind, account, number, name, Cell::text(self.names.currency_code(line.currency))];
        self.push_amounts(&mut row, line.currency, &line.amounts);
        row
    }

    fn totals(&self, label: &str, totals: &BTreeMap<CurrencyId, Vec<i128>>) -> Vec<Row> {
        let total = |(currency, amounts): (&CurrencyId, &Vec<i128>)| {
            let mut row = vec![
                Cell::text("total"),
                Cell::Empty,
                Cell::Empty,
                Cell::text(label),
                Cell::text(self.names.currency_code(*currency)),
            ];
            self.push_amounts(&mut row, *currency, amounts);
            row
        };
        totals.iter().map(total).collect()
    }

    fn push_amounts(&self, row: &mut Row, currency: CurrencyId, amounts: &[i128]) {
        debug_assert_eq!(amounts.len(), self.columns, "an amount per column");
        row.extend(amounts.iter().map(|amount| Cell::amount(self.names, currency, *amount)));
        if let [amount, compared] = amounts {
            row.push(Cell::amount(self.names, currency, amount - compared));
        }
    }
}
