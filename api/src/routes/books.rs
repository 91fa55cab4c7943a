//! Books: open one, list them, read one.

use axum::extract::State;
use axum::response::Response;
use partita_core::account::Book;
use partita_core::id::BookCode as CoreBookCode;
use partita_core::operation::{Chart, OpenBook, OpenFiscalBook, Operation};
use partita_core::period::Month;
use partita_core::state::Read as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Decided;
use crate::app::App;
use crate::body::JsonBody;
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{List, ListJson, Nothing, PageQuery, Read, ReadQuery, bad_cursor};
use crate::values::{BookCode, CurrencyCode, Name, TimeZone};
use crate::write::{IdempotencyHeader, IdempotencyKey};

/// The chart of accounts that a book starts with.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Chart)]
pub enum ChartForm {
    /// The chart that ships: accounts for charges, payments, refunds, wallets, disputes.
    Saas,
    Empty,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BookForm {
    pub id: BookCode,
    /// The id if left out.
    pub name: Option<Name>,
    pub functional_currency: CurrencyCode,
    /// Where "today" is taken from; UTC if left out.
    pub time_zone: Option<TimeZone>,
    /// `empty` if left out.
    pub chart: Option<ChartForm>,
    /// The month that fiscal years begin with, 1 to 12; 1 if left out.
    #[schema(minimum = 1, maximum = 12)]
    pub fiscal_year_start: Option<u8>,
}

impl BookForm {
    fn operation(self) -> Result<Operation, Problem> {
        let name = self.name.map_or_else(|| self.id.0.to_string(), |name| name.0);
        let chart = match self.chart {
            Some(ChartForm::Saas) => Chart::Saas,
            Some(ChartForm::Empty) | None => Chart::Empty,
        };
        let first_month = match self.fiscal_year_start {
            None => Month::JANUARY,
            Some(number) => Month::new(number).ok_or_else(|| {
                Problem::malformed("fiscal_year_start: must be a month, 1 to 12").at("/fiscal_year_start")
            })?,
        };
        let book = OpenBook {
            code: self.id.0,
            name,
            functional_currency: self.functional_currency.0,
            time_zone: self.time_zone.map_or_else(|| "UTC".to_owned(), |zone| zone.0),
            chart,
        };
        if first_month == Month::JANUARY {
            Ok(Operation::OpenBook(book))
        } else {
            Ok(Operation::OpenFiscalBook(OpenFiscalBook { book, first_month }))
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Book)]
pub struct BookJson {
    pub id: String,
    pub name: String,
    pub functional_currency: String,
    pub time_zone: String,
    /// The month that fiscal years begin with.
    pub fiscal_year_start: u8,
    pub position: u64,
    pub recorded_at: String,
}

impl BookJson {
    pub(crate) fn of(book: &Book, first_month: Month, names: &Names, decided: Decided) -> Self {
        Self {
            id: book.code.to_string(),
            name: book.name.clone(),
            functional_currency: names.currency_code(book.functional_currency),
            time_zone: book.time_zone.clone(),
            fiscal_year_start: first_month.number(),
            position: decided.position.0,
            recorded_at: decided.recorded_at(),
        }
    }
}

/// Open a book.
#[utoipa::path(post, path = "/v1/books", tag = "books", params(IdempotencyHeader), request_body = BookForm,
    responses((status = 201, body = BookJson), (status = "default", body = ProblemJson)))]
pub async fn open(State(app): State<App>, key: IdempotencyKey, body: JsonBody) -> Result<Response, Problem> {
    let operation = body.read(BookForm::operation).await?;
    app.write(None, key, operation).await
}

/// All books, by id.
#[utoipa::path(get, path = "/v1/books", tag = "books", params(ReadQuery, PageQuery),
    responses((status = 200, body = ListJson<BookJson>), (status = "default", body = ProblemJson)))]
pub async fn list(State(app): State<App>, query: List<Nothing>) -> Result<Response, Problem> {
    let after = query.page.cursor.as_deref().map(CoreBookCode::new).transpose().map_err(|_error| bad_cursor())?;
    let limit = query.page.limit;
    app.read(query.fresh, move |app| {
        let books = app.view(|view| view.books(after.as_ref(), limit + 1));
        let mut moments = app.moments();
        let mut shown = Vec::with_capacity(books.len());
        for book in &books {
            let names = app.names(book.id);
            let first_month = app.look(|view| view.calendar(book.id)).first_month;
            shown.push(BookJson::of(book, first_month, &names, moments.of(book.decided)));
        }
        Ok(ListJson::of(shown, limit, |book: &BookJson| book.id.clone()))
    })
    .await
}

/// One book.
#[utoipa::path(get, path = "/v1/books/{book}", tag = "books", params(("book" = String, Path), ReadQuery),
    responses((status = 200, body = BookJson), (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>, path: PathArgs, query: Read<Nothing>) -> Result<Response, Problem> {
    let code = path.book()?;
    app.read_book(query.fresh, code, |app, names| {
        let first_month = app.look(|view| view.calendar(names.book.id)).first_month;
        Ok(BookJson::of(&names.book, first_month, names, app.moments().of(names.book.decided)))
    })
    .await
}
