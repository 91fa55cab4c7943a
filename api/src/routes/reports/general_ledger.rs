//! The general ledger: per account and currency its lines in the order of the journal, with a running balance; streamed.
//!
//! Each account is a pass of its own through the journal, that reads only blocks whose footers name it: memory holds a
//! step of one pass, however long the ledger is. The trial balance is made first; every account must end at its row.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use partita_core::account::Account;
use partita_core::decision::Outcome;
use partita_core::entry::{Entry, Line, Side};
use partita_core::id::{CurrencyId, Position};
use partita_core::report::on_side;
use partita_core::report::trial_balance::{Columns, Scope, trial_balance};
use partita_core::state::Movement;
use partita_core::time::Timestamp;
use partita_storage::state::EntriesOf;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{document, out_of_balance, unequal};
use crate::app::App;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::ReadQuery;
use crate::report::{
    Basis, Cell, Column, Frame, Piece, ReportJson, ReportQuery, Reporting, Row, STEP_BYTES, Section, stream,
};
use crate::routes::{accounts, entries};
use crate::values::{AccountCode, format_instant};

/// Which part of the general ledger.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GeneralLedgerQuery {
    /// One account; all of them if left out.
    #[param(value_type = Option<String>)]
    pub account: Option<AccountCode>,
}

/// The general ledger: every line of every account, with the balance after it.
#[utoipa::path(get, path = "/v1/books/{book}/reports/general-ledger", tag = "reports",
    params(("book" = String, Path), ReportQuery, GeneralLedgerQuery, ReadQuery),
    responses((status = 200, content((ReportJson = "application/json"), (String = "text/csv"),
        (String = "text/plain"), (String = "text/html"))), (status = "default", body = ProblemJson)))]
pub async fn get(
    State(app): State<App>,
    path: PathArgs,
    query: Reporting<GeneralLedgerQuery>,
) -> Result<Response, Problem> {
    let code = path.book()?;
    app.respond(query.fresh, move |app| {
        let basis = Basis::resolve(app, &code, &query.common)?;
        let mut header = basis.header("general-ledger", "General ledger");
        if let Some(account) = &query.own.account {
            header.options.push(("account", account.0.to_string()));
        }
        let ledgers = ledgers(app, &basis, query.own.account.as_ref())?;
        let frame = Frame { header, columns: columns(), has_sections: true };
        let mut reading = Reading { basis, current: None, waiting: ledgers };
        Ok(stream(app, frame, query.common.format, move |app| reading.advance(app)))
    })
    .await
}

fn columns() -> Vec<Column> {
    vec![
        Column::text("account", "Account").unprinted(),
        Column::text("currency", "Currency").unprinted(),
        Column::date("date", "Date").room(10),
        Column::number("entry", "Entry").room(8),
        Column::text("kind", "Kind").unprinted(),
        Column::text("description", "Description").room(34),
        Column::text("document", "Document").room(14),
        Column::text("party", "Party").room(10),
        Column::text("item", "Item").room(10),
        Column::number("reverses", "Reverses").unprinted(),
        Column::text("recorded_at", "Recorded at").unprinted(),
        Column::amount("debit", "Debit").room(12),
        Column::amount("credit", "Credit").room(12),
        Column::amount("balance", "Balance").room(12),
    ]
}

/// One account in one currency, as the trial balance says.
struct Ledger {
    account: Arc<Account>,
    currency: CurrencyId,
    /// Debits less credits.
    opening: i128,
    closing: i128,
    movement: Movement,
}

fn ledgers(app: &App, basis: &Basis, only: Option<&AccountCode>) -> Result<VecDeque<Ledger>, Problem> {
    let names = &*basis.names;
    let only = only.map(|code| accounts::find(app, names, &code.0)).transpose()?;
    let posted = basis.posted(app, [basis.before(), Some(basis.as_of)].into_iter().flatten())?;
    let accounts = basis.accounts(app);
    let scope = Scope::new(basis.from, basis.as_of);
    let balances = trial_balance(accounts.iter().map(|account| &**account), posted, &scope)
        .map_err(|error| out_of_balance(names, error))?;
    let net = |columns: Columns| columns.debit.unwrap_or(0) - columns.credit.unwrap_or(0);
    let rows = balances.rows.iter().filter(|row| only.as_ref().is_none_or(|only| only.id == row.account.id));
    Ok(rows
        .map(|row| Ledger {
            account: names.account(row.account.id),
            currency: row.currency,
            opening: net(row.opening),
            closing: net(row.closing),
            movement: Movement { debits: row.debits, credits: row.credits },
        })
        .collect())
}

/// A reader's place: accounts that are still to come, and one that is under way.
struct Reading {
    basis: Basis,
    current: Option<Pass>,
    waiting: VecDeque<Ledger>,
}

struct Pass {
    ledger: Ledger,
    next: Position,
    /// Debits less credits so far.
    balance: i128,
    movement: Movement,
}

impl Reading {
    fn advance(&mut self, app: &App) -> Result<Vec<Piece>, Problem> {
        match (self.current.take(), self.waiting.pop_front()) {
            (None, None) => Ok(vec![Piece::End(vec![])]),
            (None, Some(ledger)) => {
                let pass = Pass { balance: ledger.opening, movement: Movement::default(), next: Position(1), ledger };
                let pieces = pass.open(&self.basis);
                self.current = Some(pass);
                Ok(pieces)
            }
            (Some(mut pass), waiting) => {
                if let Some(waiting) = waiting {
                    self.waiting.push_front(waiting);
                }
                if pass.next > self.basis.position {
                    return Ok(vec![pass.close(&self.basis)?]);
                }
                let rows = pass.step(app, &self.basis);
                self.current = Some(pass);
                Ok(if rows.is_empty() { vec![] } else { vec![Piece::Rows(rows)] })
            }
        }
    }
}

impl Pass {
    fn open(&self, basis: &Basis) -> Vec<Piece> {
        let Ledger { account, currency, .. } = &self.ledger;
        let currency = basis.names.currency_code(*currency);
        let number = account.number.as_ref().map_or_else(String::new, |number| format!("{number} "));
        let section = Section {
            name: format!("{} {currency}", account.code),
            title: format!("{number}{} ({}), {currency}", account.name, account.code),
        };
        let opening = basis.from.map(|from| {
            let mut row = self.row(basis);
            row[2] = Cell::Date(from);
            row[5] = Cell::text("Opening balance");
            Piece::Rows(vec![row])
        });
        std::iter::once(Piece::Section(section)).chain(opening).collect()
    }

    /// A row with nothing but the account and the balance.
    fn row(&self, basis: &Basis) -> Row {
        let Ledger { account, currency, .. } = &self.ledger;
        let mut row = vec![Cell::Empty; 14];
        row[0] = Cell::text(&account.code);
        row[1] = Cell::text(basis.names.currency_code(*currency));
        row[13] = Cell::amount(&basis.names, *currency, on_side(self.balance, account.normal_side()));
        row
    }

    fn step(&mut self, app: &App, basis: &Basis) -> Vec<Row> {
        let control = (self.ledger.account.id, self.ledger.currency);
        let of = EntriesOf {
            book: basis.names.book.id,
            control: Some(control),
            from: basis.from,
            until: Some(basis.as_of),
            operations: &[],
        };
        let step = app.past(|reader| reader.entries(&of, self.next, basis.position, STEP_BYTES));
        self.next = step.next;
        let mut rows = vec![];
        for decision in &step.decisions {
            let Outcome::Accepted(effects) = &decision.outcome else { continue };
            for entry in effects.entries.iter().filter(|entry| basis.holds(entry.effective_date)) {
                for line in entry.lines.iter().filter(|line| (line.account, line.currency) == control) {
                    rows.push(self.line(basis, entry, line, decision.recorded_at));
                }
            }
        }
        rows
    }

    fn line(&mut self, basis: &Basis, entry: &Entry, line: &Line, recorded_at: Timestamp) -> Row {
        let minor = line.amount.minor();
        let amount = Cell::amount(&basis.names, line.currency, minor);
        let (debit, credit) = match line.side {
            Side::Debit => {
                self.balance += minor;
                self.movement.debits += minor;
                (amount, Cell::Empty)
            }
            Side::Credit => {
                self.balance -= minor;
                self.movement.credits += minor;
                (Cell::Empty, amount)
            }
        };
        let mut row = self.row(basis);
        row[2] = Cell::Date(entry.effective_date);
        row[3] = Cell::Number(entry.number.0);
        row[4] = Cell::text(entries::kind(entry.rule));
        row[5] = Cell::text(&entry.description);
        row[6] = document(entry);
        row[7] = Cell::or_empty(line.party.as_ref());
        row[8] = Cell::or_empty(line.item.as_ref());
        row[9] = entry.reverses.map_or(Cell::Empty, |number| Cell::Number(number.0));
        row[10] = Cell::text(format_instant(recorded_at));
        row[11] = debit;
        row[12] = credit;
        row
    }

    /// The account's last row, once its lines were found to end where the trial balance does.
    fn close(&self, basis: &Basis) -> Result<Piece, Problem> {
        let Ledger { currency, closing, movement, .. } = &self.ledger;
        if (self.balance, &self.movement) != (*closing, movement) {
            return Err(unequal(&basis.names, *currency));
        }
        let mut row = self.row(basis);
        row[5] = Cell::text("Closing balance");
        row[11] = Cell::amount(&basis.names, *currency, movement.debits);
        row[12] = Cell::amount(&basis.names, *currency, movement.credits);
        Ok(Piece::Totals(vec![row]))
    }
}
