//! Reports: the trial balance, as JSON, CSV or text.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use partita_core::entry::Side;
use partita_core::id::{AccountId, CurrencyId, Position};
use partita_core::report::trial_balance::{Columns, Posted, Row, Total, TrialBalance, trial_balance};
use partita_core::state::Movement;
use partita_core::time::Date;
use partita_storage::state::MovementsOf;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::accounts::ClassJson;
use crate::app::{App, json, unknown_book};
use crate::history::{self, Since};
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{Read, ReadQuery, parameter};
use crate::values::{Day, Instant, format_instant};
use crate::write;

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FormatForm {
    Json,
    Csv,
    Text,
}

/// Which trial balance.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TrialBalanceQuery {
    /// The last effective date; today in the book's time zone if left out.
    #[param(value_type = Option<String>)]
    pub as_of: Option<Day>,
    /// The first day of the period; what is before is the opening. Since inception if left out.
    #[param(value_type = Option<String>)]
    pub from: Option<Day>,
    /// What was recorded at this instant or before.
    #[param(value_type = Option<String>)]
    pub known_at: Option<Instant>,
    /// `json` if left out.
    #[param(inline)]
    pub format: Option<FormatForm>,
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
    pub debit: Option<String>,
    pub credit: Option<String>,
}

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

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrialBalance)]
pub struct TrialBalanceJson {
    pub book: String,
    pub as_of: String,
    pub from: Option<String>,
    pub known_at: Option<String>,
    /// The last decision that counts.
    pub position: u64,
    /// The last entry of the book.
    pub last_entry: u64,
    /// The head of the hash tree over all decisions, when the report was made.
    pub head: String,
    pub rows: Vec<RowJson>,
    pub totals: Vec<TotalJson>,
}

fn text(format: FormatForm, report: &TrialBalanceJson) -> Response {
    match format {
        FormatForm::Json => json(StatusCode::OK, report),
        FormatForm::Csv => typed("text/csv; charset=utf-8; header=present", csv(report)),
        FormatForm::Text => typed("text/plain; charset=utf-8", plain(report)),
    }
}

fn typed(content_type: &'static str, body: String) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))], body).into_response()
}

/// The trial balance: a row per account and currency.
#[utoipa::path(get, path = "/v1/books/{book}/reports/trial-balance", tag = "reports",
    params(("book" = String, Path), TrialBalanceQuery, ReadQuery),
    responses((status = 200, content((TrialBalanceJson = "application/json"), (String = "text/csv"), (String = "text/plain"))),
        (status = "default", body = ProblemJson)))]
pub async fn trial(
    State(app): State<App>,
    path: PathArgs,
    query: Read<TrialBalanceQuery>,
) -> Result<Response, Problem> {
    let code = path.book()?;
    app.respond(query.fresh, move |app| {
        let names = app.directory().find(&code).ok_or_else(|| unknown_book(&code))?;
        let as_of = query.own.as_of.as_ref().map_or_else(|| write::today(&names), |day| day.0);
        let from = query.own.from.as_ref().map(|day| day.0);
        if from.is_some_and(|from| from > as_of) {
            return Err(parameter("from", "must not be after as_of"));
        }
        let report = make(app, &names, as_of, from, query.own.known_at.as_ref())?;
        Ok(text(query.own.format.unwrap_or(FormatForm::Json), &report))
    })
    .await
}

fn make(
    app: &App,
    names: &Names,
    as_of: Date,
    from: Option<Date>,
    known_at: Option<&Instant>,
) -> Result<TrialBalanceJson, Problem> {
    use partita_core::state::Read as _;
    let book = names.book.id;
    let ((position, head, totals, accounts), movements) = app.past(|reader| {
        reader.read_with_movements(MovementsOf::Book(book), |view| {
            Ok((view.position(), view.head_hash(), view.totals(book), view.accounts(book)?))
        })
    });
    let known = match known_at {
        None => position,
        Some(instant) => app.past(|reader| reader.position_at(instant.0)).min(position),
    };
    let mut posted: BTreeMap<(AccountId, CurrencyId, Date), Movement> = movements
        .into_iter()
        .map(|(key, movement)| ((key.control.account, key.control.currency, key.date), movement))
        .collect();
    let last_entry = take_back(app, &mut posted, Since { book, after: known, until: position }, totals.last_entry.0)?;
    let posted =
        posted.into_iter().map(|((account, currency, date), movement)| Posted { account, currency, date, movement });
    let report =
        trial_balance(accounts.iter().map(|account| &**account), posted, from, as_of).unwrap_or_else(|error| {
            // It fails loudly (docs/rules.md, reports): the ledger's own data are wrong, nothing more is served.
            panic!("book {}: {error}", names.book.code)
        });
    Ok(shown(names, &report, &Frame { as_of, from, known_at, known, last_entry, head }))
}

/// Takes out of the movements what was decided after the position that counts; the last entry that is left.
fn take_back(
    app: &App,
    posted: &mut BTreeMap<(AccountId, CurrencyId, Date), Movement>,
    since: Since,
    last_entry: u64,
) -> Result<u64, Problem> {
    if since.after == since.until {
        return Ok(last_entry);
    }
    history::each_line(app, since, |date, line| {
        let movement = posted.entry((line.account, line.currency, date)).or_default();
        match line.side {
            Side::Debit => movement.debits -= line.amount.minor(),
            Side::Credit => movement.credits -= line.amount.minor(),
        }
    })?;
    posted.retain(|_, movement| *movement != Movement::default());
    Ok(last_entry - history::count_entries(app, since)?)
}

/// What a report says about itself.
struct Frame<'a> {
    as_of: Date,
    from: Option<Date>,
    known_at: Option<&'a Instant>,
    known: Position,
    last_entry: u64,
    head: [u8; 32],
}

fn shown(names: &Names, report: &TrialBalance<'_>, frame: &Frame<'_>) -> TrialBalanceJson {
    TrialBalanceJson {
        book: names.book.code.to_string(),
        as_of: frame.as_of.to_string(),
        from: frame.from.map(|day| day.to_string()),
        known_at: frame.known_at.map(|instant| format_instant(instant.0)),
        position: frame.known.0,
        last_entry: frame.last_entry,
        head: format!("blake3:{}", hex(&frame.head)),
        rows: report.rows.iter().map(|row| row_json(names, row)).collect(),
        totals: report.totals.iter().map(|(currency, total)| total_json(names, *currency, total)).collect(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn row_json(names: &Names, row: &Row<'_>) -> RowJson {
    let money = |minor| names.money(minor, row.currency);
    let Columns { debit: opening_debit, credit: opening_credit } = row.opening;
    RowJson {
        account: row.account.code.to_string(),
        number: row.account.number.clone(),
        name: row.account.name.clone(),
        class: ClassJson::of(row.account.class),
        currency: names.currency_code(row.currency),
        opening_debit: opening_debit.map(money),
        opening_credit: opening_credit.map(money),
        debits: money(row.debits),
        credits: money(row.credits),
        debit: row.closing.debit.map(money),
        credit: row.closing.credit.map(money),
    }
}

fn total_json(names: &Names, currency: CurrencyId, total: &Total) -> TotalJson {
    let money = |minor| names.money(minor, currency);
    TotalJson {
        currency: names.currency_code(currency),
        opening_debit: money(total.opening_debit),
        opening_credit: money(total.opening_credit),
        debits: money(total.debits),
        credits: money(total.credits),
        debit: money(total.debit),
        credit: money(total.credit),
    }
}

/// RFC 4180; what the report says about itself stands in columns of every row, so that rows can be filtered freely.
fn csv(report: &TrialBalanceJson) -> String {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(vec![]);
    let header = [
        "account",
        "number",
        "name",
        "class",
        "currency",
        "opening_debit",
        "opening_credit",
        "debits",
        "credits",
        "debit",
        "credit",
        "book",
        "as_of",
        "from",
        "known_at",
        "last_entry",
        "head",
    ];
    writer.write_record(header).expect("memory takes what is written");
    for row in &report.rows {
        let or_empty = |value: &Option<String>| value.clone().unwrap_or_default();
        let record = [
            cell(&row.account),
            cell(&or_empty(&row.number)),
            cell(&row.name),
            row.class.as_str().to_owned(),
            row.currency.clone(),
            or_empty(&row.opening_debit),
            or_empty(&row.opening_credit),
            row.debits.clone(),
            row.credits.clone(),
            or_empty(&row.debit),
            or_empty(&row.credit),
            report.book.clone(),
            report.as_of.clone(),
            or_empty(&report.from),
            or_empty(&report.known_at),
            report.last_entry.to_string(),
            report.head.clone(),
        ];
        writer.write_record(record).expect("memory takes what is written");
    }
    let bytes = writer.into_inner().expect("memory takes what is written");
    String::from_utf8(bytes).expect("texts are UTF-8")
}

/// A text that a spreadsheet would take for a formula is prefixed (docs/rules.md, reports).
fn cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text.to_owned() }
}

fn plain(report: &TrialBalanceJson) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["Number", "Account", "Currency", "Opening", "Debits", "Credits", "Debit", "Credit"]);
    let signed = |debit: &Option<String>, credit: &Option<String>| match (debit, credit) {
        (Some(debit), _) => debit.clone(),
        (None, Some(credit)) if credit.starts_with('0') && !credit.contains(|digit| ('1'..='9').contains(&digit)) => {
            credit.clone()
        }
        (None, Some(credit)) => format!("({credit})"),
        (None, None) => String::new(),
    };
    for row in &report.rows {
        table.add_row([
            row.number.clone().unwrap_or_default(),
            row.account.clone(),
            row.currency.clone(),
            signed(&row.opening_debit, &row.opening_credit),
            row.debits.clone(),
            row.credits.clone(),
            row.debit.clone().unwrap_or_default(),
            row.credit.clone().unwrap_or_default(),
        ]);
    }
    for total in &report.totals {
        table.add_row([
            String::new(),
            "Total".to_owned(),
            total.currency.clone(),
            total.opening_debit.clone(),
            total.debits.clone(),
            total.credits.clone(),
            total.debit.clone(),
            total.credit.clone(),
        ]);
    }
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(comfy_table::CellAlignment::Right);
    }
    let from = report.from.as_ref().map_or_else(String::new, |from| format!(" from {from}"));
    let known = report.known_at.as_ref().map_or_else(String::new, |known| format!(", known at {known}"));
    format!(
        "Trial balance of {}{from} as of {}{known}\n\n{table}\n\nPosition {}, last entry {}, head {}\n",
        report.book, report.as_of, report.position, report.last_entry, report.head
    )
}
