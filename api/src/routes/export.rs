//! The export of a book: its entries in another program's notation, streamed.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use partita_core::id::EntryNumber;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::app::{App, unknown_book};
use crate::export::Format;
use crate::export::slice::{Export, Slice};
use crate::export::stream::stream;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{Read, ReadQuery, parameter};
use crate::values::{Day, Word};

/// Which entries, written how.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// `hledger`, `ledger`, `beancount`, `csv` or `jsonl`.
    #[param(inline, required = true)]
    pub format: Option<Format>,
    /// The first effective date; what is before it goes into the opening balances. Any if left out.
    #[param(value_type = Option<String>)]
    pub from: Option<Day>,
    /// The last effective date; what is after it is left out altogether. Any if left out.
    #[param(value_type = Option<String>)]
    pub to: Option<Day>,
    /// Entries after this number; those up to it go into the opening balances.
    #[param(value_type = Option<u64>)]
    pub after_entry: Option<Word>,
}

/// A book in a notation that hledger, ledger, beancount or a spreadsheet reads, with balances at its end.
///
/// It is the book as it was at `Partita-Position`. A body that breaks off is no export: read it to its end.
#[utoipa::path(get, path = "/v1/books/{book}/export", tag = "reports",
    params(("book" = String, Path), ExportQuery, ReadQuery),
    responses((status = 200, content((String = "text/plain"), (String = "text/csv"), (String = "application/x-ndjson"))),
        (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>, path: PathArgs, query: Read<ExportQuery>) -> Result<Response, Problem> {
    let code = path.book()?;
    let own = query.own;
    let after_entry = match own.after_entry {
        None => 0,
        Some(text) => text.0.parse().map_err(|_error| parameter("after_entry", "must be a whole number"))?,
    };
    let slice =
        Slice { after_entry: EntryNumber(after_entry), from: own.from.map(|day| day.0), to: own.to.map(|day| day.0) };
    let format = own.format.ok_or_else(|| parameter("format", "is missing"))?;
    app.respond(query.fresh, move |app| {
        let names = app.directory().find(&code).ok_or_else(|| unknown_book(&code))?;
        let export = Export::take(app, &names, slice)?;
        app.reflect(export.position);
        let notation = format.notation(&export)?;
        let content_type = HeaderValue::from_static(format.content_type());
        let body = Body::from_stream(stream(app.clone(), export, notation));
        Ok(([(header::CONTENT_TYPE, content_type)], body).into_response())
    })
    .await
}
