//! The trial balance: a row per account and currency, with opening, movement and closing; on demand what adjusting
//! entries changed, the balances of another date, and fiscal years that are over as if they were closed.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use partita_core::account::Account;
use partita_core::entry::{Rule, Side};
use partita_core::id::{CurrencyId, Role};
use partita_core::operation::OperationKind;
use partita_core::report::Posted;
use partita_core::report::trial_balance::{Row as Line, Scope, Total, TrialBalance, trial_balance};
use partita_core::report::year_close::virtually_closed;
use partita_core::state::{Movement, Read as _};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{ClosingForm, out_of_balance};
use crate::app::App;
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{ReadQuery, parameter};
use crate::report::{Basis, Cell, Column, Frame, Header, Piece, Report, ReportQuery, Reporting, Row, respond};
use crate::routes::accounts::ClassJson;
use crate::values::Day;

/// The operations that post adjusting entries.
const MANUAL: &[OperationKind] = &[OperationKind::PostEntry, OperationKind::PostEntries];

/// Dates that a virtual close asks about at most, two for each fiscal year.
const MAX_CUTS: usize = 400;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdjustedForm {
    True,
    False,
}

/// What more the trial balance shows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TrialBalanceQuery {
    /// `true`: also the balances without the period's entries of kind `adjusting`, and what those posted. The
    /// journal is gone through for them.
    #[param(inline)]
    pub adjusted: Option<AdjustedForm>,
    /// Another date, whose balances stand beside.
    #[param(value_type = Option<String>)]
    pub compare_as_of: Option<Day>,
    /// `none` (default), or `virtual`: revenue and expense of fiscal years that are over stand in retained earnings.
    #[param(inline)]
    pub closing: Option<ClosingForm>,
}

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
    /// With `adjusted`: the balance without the period's adjusting entries.
    #[schema(required = false)]
    pub unadjusted_debit: Option<String>,
    #[schema(required = false)]
    pub unadjusted_credit: Option<String>,
    /// With `adjusted`: what those posted.
    #[schema(required = false)]
    pub adjustment_debits: Option<String>,
    #[schema(required = false)]
    pub adjustment_credits: Option<String>,
    pub debit: Option<String>,
    pub credit: Option<String>,
    /// With `compare_as_of`: the balance of that date.
    #[schema(required = false)]
    pub compared_debit: Option<String>,
    #[schema(required = false)]
    pub compared_credit: Option<String>,
}

/// A row's members, summed per currency; those that name an account are null.
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
    params(("book" = String, Path), ReportQuery, TrialBalanceQuery, ReadQuery),
    responses((status = 200, content((TrialBalanceJson = "application/json"), (String = "text/csv"),
        (String = "text/plain"), (String = "text/html"))), (status = "default", body = ProblemJson)))]
pub async fn get(
    State(app): State<App>,
    path: PathArgs,
    query: Reporting<TrialBalanceQuery>,
) -> Result<Response, Problem> {
    let code = path.book()?;
    app.respond(query.fresh, move |app| {
        let basis = Basis::resolve(app, &code, &query.common)?;
        Ok(respond(&make(app, &basis, &query.own)?, query.common.format))
    })
    .await
}

fn make(app: &App, basis: &Basis, query: &TrialBalanceQuery) -> Result<Report, Problem> {
    let accounts = basis.accounts(app);
    let compared = query.compare_as_of.as_ref().map(|day| day.0);
    let asked = [basis.before(), Some(basis.as_of), compared];
    let mut cuts: Vec<_> = asked.into_iter().flatten().collect();
    let posted = match query.closing {
        None | Some(ClosingForm::None) => basis.posted(app, cuts)?,
        Some(ClosingForm::Virtual) if compared.is_some() => {
            // The years that are over at one date are not those that are over at the other.
            return Err(parameter("compare_as_of", "cannot stand beside closing=virtual"));
        }
        Some(ClosingForm::Virtual) => {
            let retained = retained_earnings(app, basis)?;
            // Every year that ends between the first date and the last closes by itself.
            let (first, last) = (cuts.iter().min().copied(), cuts.iter().max().copied());
            let mut year = first.map(|date| basis.fiscal_year(date));
            while let Some((start, end)) = year.filter(|(start, _)| Some(*start) <= last) {
                if cuts.len() > MAX_CUTS {
                    return Err(parameter("from", "closing=virtual goes through too many fiscal years"));
                }
                cuts.extend(start.previous());
                cuts.extend(Some(end).filter(|end| Some(*end) < last));
                year = end.next().map(|date| basis.fiscal_year(date));
            }
            let posted = basis.posted(app, cuts)?;
            let chart = accounts.iter().map(|account| &**account);
            virtually_closed(chart, posted, retained.id, basis.as_of, |date| basis.fiscal_year(date))
        }
    };
    let adjusting = if query.adjusted == Some(AdjustedForm::True) { adjusting(app, basis)? } else { vec![] };
    let scope = Scope { from: basis.from, as_of: basis.as_of, adjusting: &adjusting, compared };
    let chart = accounts.iter().map(|account| &**account);
    let made = trial_balance(chart, posted, &scope).map_err(|error| out_of_balance(&basis.names, error))?;
    Ok(shown(basis, query, &made))
}

fn retained_earnings(app: &App, basis: &Basis) -> Result<Arc<Account>, Problem> {
    let role = Role::new("retained_earnings").expect("a word is a role");
    app.look(|view| view.account_by_role(basis.names.book.id, &role))
        .ok_or_else(|| parameter("closing", "virtual needs an account with the role retained_earnings"))
}

/// What the period's adjusting entries posted.
fn adjusting(app: &App, basis: &Basis) -> Result<Vec<Posted>, Problem> {
    let mut sums = std::collections::BTreeMap::<_, Movement>::new();
    basis.each_entry(app, MANUAL, |entry| {
        if entry.rule == Rule::Adjusting {
            for line in &entry.lines {
                let sum = sums.entry((line.account, line.currency)).or_default();
                match line.side {
                    Side::Debit => sum.debits += line.amount.minor(),
                    Side::Credit => sum.credits += line.amount.minor(),
                }
            }
        }
    })?;
    let posted = |((account, currency), movement)| Posted { account, currency, date: basis.as_of, movement };
    Ok(sums.into_iter().map(posted).collect())
}

/// Which columns are there.
struct Shape {
    has_opening: bool,
    is_adjusted: bool,
    is_compared: bool,
}

fn shown(basis: &Basis, query: &TrialBalanceQuery, made: &TrialBalance<'_>) -> Report {
    let names = &*basis.names;
    let shape = Shape {
        has_opening: basis.from.is_some(),
        is_adjusted: query.adjusted == Some(AdjustedForm::True),
        is_compared: query.compare_as_of.is_some(),
    };
    let rows = made.rows.iter().map(|line| row(names, &shape, line)).collect();
    let totals = made.totals.iter().map(|(currency, sums)| total(names, &shape, *currency, sums)).collect();
    let columns = columns(&shape, query);
    Report {
        frame: Frame { header: header(basis, query), columns, has_sections: false },
        pieces: vec![Piece::Rows(rows), Piece::End(totals)],
    }
}

fn header(basis: &Basis, query: &TrialBalanceQuery) -> Header {
    let mut header = basis.header("trial-balance", "Trial balance");
    if let Some(day) = &query.compare_as_of {
        header.options.push(("compare_as_of", day.0.to_string()));
    }
    if query.closing == Some(ClosingForm::Virtual) {
        header.options.push(("closing", "virtual".to_owned()));
    }
    header
}

fn columns(shape: &Shape, query: &TrialBalanceQuery) -> Vec<Column> {
    let mut columns = vec![
        Column::text("account", "Account"),
        Column::text("number", "Number"),
        Column::text("name", "Name"),
        Column::text("class", "Class").unprinted(),
        Column::text("currency", "Currency"),
        Column::amount("opening_debit", "Opening debit").printed_if(shape.has_opening),
        Column::amount("opening_credit", "Opening credit").printed_if(shape.has_opening),
        Column::amount("debits", "Debits"),
        Column::amount("credits", "Credits"),
    ];
    if shape.is_adjusted {
        columns.push(Column::amount("unadjusted_debit", "Unadjusted debit"));
        columns.push(Column::amount("unadjusted_credit", "Unadjusted credit"));
        columns.push(Column::amount("adjustment_debits", "Adjustment debits"));
        columns.push(Column::amount("adjustment_credits", "Adjustment credits"));
    }
    let adjusted = if shape.is_adjusted { ["Adjusted debit", "Adjusted credit"] } else { ["Debit", "Credit"] };
    columns.push(Column::amount("debit", adjusted[0]));
    columns.push(Column::amount("credit", adjusted[1]));
    if let Some(day) = &query.compare_as_of {
        columns.push(Column::amount("compared_debit", format!("{} debit", day.0)));
        columns.push(Column::amount("compared_credit", format!("{} credit", day.0)));
    }
    columns
}

fn row(names: &Names, shape: &Shape, line: &Line<'_>) -> Row {
    let money = |minor| Cell::some_amount(names, line.currency, minor);
    let mut row = vec![
        Cell::text(&line.account.code),
        Cell::or_empty(line.account.number.as_ref()),
        Cell::text(&line.account.name),
        Cell::text(ClassJson::of(line.account.class).as_str()),
        Cell::text(names.currency_code(line.currency)),
        money(line.opening.debit),
        money(line.opening.credit),
        money(Some(line.debits)),
        money(Some(line.credits)),
    ];
    if shape.is_adjusted {
        row.push(money(line.unadjusted.debit));
        row.push(money(line.unadjusted.credit));
        row.push(money(Some(line.adjustments.debits)));
        row.push(money(Some(line.adjustments.credits)));
    }
    row.push(money(line.closing.debit));
    row.push(money(line.closing.credit));
    if shape.is_compared {
        row.push(money(line.compared.debit));
        row.push(money(line.compared.credit));
    }
    row
}

fn total(names: &Names, shape: &Shape, currency: CurrencyId, total: &Total) -> Row {
    let money = |minor| Cell::amount(names, currency, minor);
    let mut row = vec![
        Cell::Empty,
        Cell::Empty,
        Cell::text("Total"),
        Cell::Empty,
        Cell::text(names.currency_code(currency)),
        money(total.opening_debit),
        money(total.opening_credit),
        money(total.debits),
        money(total.credits),
    ];
    if shape.is_adjusted {
        row.push(money(total.unadjusted_debit));
        row.push(money(total.unadjusted_credit));
        row.push(money(total.adjustments.debits));
        row.push(money(total.adjustments.credits));
    }
    row.push(money(total.debit));
    row.push(money(total.credit));
    if shape.is_compared {
        row.push(money(total.compared_debit));
        row.push(money(total.compared_credit));
    }
    row
}
