//! The journal listing: every line of every entry, in the order of their numbers, streamed.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use partita_core::decision::Outcome;
use partita_core::entry::{Entry, Line, Side};
use partita_core::id::{CurrencyId, Position};
use partita_core::state::Movement;
use partita_core::time::Timestamp;
use partita_storage::state::EntriesOf;

use crate::app::App;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{Nothing, ReadQuery};
use crate::report::{Basis, Cell, Column, Frame, Piece, ReportJson, ReportQuery, Reporting, Row, STEP_BYTES, stream};
use crate::routes::entries;
use crate::values::format_instant;

/// The journal listing: the lines of all entries by number, with effective dates from `from` to `as_of`.
#[utoipa::path(get, path = "/v1/books/{book}/reports/journal", tag = "reports",
    params(("book" = String, Path), ReportQuery, ReadQuery),
    responses((status = 200, content((ReportJson = "application/json"), (String = "text/csv"),
        (String = "text/plain"), (String = "text/html"))), (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>, path: PathArgs, query: Reporting<Nothing>) -> Result<Response, Problem> {
    let code = path.book()?;
    app.respond(query.fresh, move |app| {
        let basis = Basis::resolve(app, &code, &query.common)?;
        let columns = columns();
        let frame = Frame { header: basis.header("journal", "Journal"), columns, has_sections: false };
        let mut listing = Listing { basis, next: Position(1), totals: BTreeMap::new() };
        Ok(stream(app, frame, query.common.format, move |app| listing.advance(app)))
    })
    .await
}

fn columns() -> Vec<Column> {
    vec![
        Column::number("entry", "Entry").room(8),
        Column::date("date", "Date").room(10),
        Column::text("kind", "Kind").room(10),
        Column::text("description", "Description").room(34),
        Column::text("document", "Document").room(14),
        Column::number("reverses", "Reverses").unprinted(),
        Column::text("recorded_at", "Recorded at").unprinted(),
        Column::text("account", "Account").room(28),
        Column::text("party", "Party").room(10),
        Column::text("item", "Item").room(10),
        Column::amount("debit", "Debit").room(12),
        Column::amount("credit", "Credit").room(12),
        Column::text("currency", "Currency"),
    ]
}

/// A reader's place in the journal.
struct Listing {
    basis: Basis,
    next: Position,
    totals: BTreeMap<CurrencyId, Movement>,
}

impl Listing {
    fn advance(&mut self, app: &App) -> Result<Vec<Piece>, Problem> {
        let basis = &self.basis;
        if self.next > basis.position {
            return Ok(vec![Piece::End(self.end()?)]);
        }
        let of = EntriesOf {
            book: basis.names.book.id,
            control: None,
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
                for line in &entry.lines {
                    let total = self.totals.entry(line.currency).or_default();
                    match line.side {
                        Side::Debit => total.debits += line.amount.minor(),
                        Side::Credit => total.credits += line.amount.minor(),
                    }
                    rows.push(row(basis, entry, line, decision.recorded_at));
                }
            }
        }
        Ok(if rows.is_empty() { vec![] } else { vec![Piece::Rows(rows)] })
    }

    /// The totals, once debits and credits were found equal.
    fn end(&self) -> Result<Vec<Row>, Problem> {
        let names = &*self.basis.names;
        let mut rows = vec![];
        for (currency, total) in &self.totals {
            if total.debits != total.credits {
                return Err(super::unequal(names, *currency));
            }
            let mut row = vec![Cell::Empty; columns().len()];
            row[3] = Cell::text("Total");
            row[10] = Cell::amount(names, *currency, total.debits);
            row[11] = Cell::amount(names, *currency, total.credits);
            row[12] = Cell::text(names.currency_code(*currency));
            rows.push(row);
        }
        Ok(rows)
    }
}

fn row(basis: &Basis, entry: &Entry, line: &Line, recorded_at: Timestamp) -> Row {
    let names = &*basis.names;
    let amount = Cell::amount(names, line.currency, line.amount.minor());
    let (debit, credit) = match line.side {
        Side::Debit => (amount, Cell::Empty),
        Side::Credit => (Cell::Empty, amount),
    };
    vec![
        Cell::Number(entry.number.0),
        Cell::Date(entry.effective_date),
        Cell::text(entries::kind(entry.rule)),
        Cell::text(&entry.description),
        super::document(entry),
        entry.reverses.map_or(Cell::Empty, |number| Cell::Number(number.0)),
        Cell::text(format_instant(recorded_at)),
        Cell::text(names.account_code(line.account)),
        Cell::or_empty(line.party.as_ref()),
        Cell::or_empty(line.item.as_ref()),
        debit,
        credit,
        Cell::text(names.currency_code(line.currency)),
    ]
}
