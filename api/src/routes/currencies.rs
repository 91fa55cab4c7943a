//! Currencies that a book registers beside those of ISO 4217.

use axum::extract::State;
use axum::response::Response;
use partita_core::currency::Currency;
use partita_core::money::MAX_DECIMALS;
use partita_core::operation::{Operation, RegisterCurrency};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::body::JsonBody;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{ListJson, Nothing, Read, ReadQuery};
use crate::values::CurrencyCode;
use crate::write::{IdempotencyHeader, IdempotencyKey};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CurrencyForm {
    pub code: CurrencyCode,
    /// Digits after the decimal point, 0 to 18.
    #[schema(minimum = 0, maximum = 18)]
    pub decimals: u64,
}

impl CurrencyForm {
    fn operation(self) -> Result<Operation, Problem> {
        let decimals =
            u8::try_from(self.decimals).ok().filter(|decimals| *decimals <= MAX_DECIMALS).ok_or_else(|| {
                Problem::malformed(format!("decimals: must be a number from 0 to {MAX_DECIMALS}")).at("/decimals")
            })?;
        Ok(Operation::RegisterCurrency(RegisterCurrency { code: self.code.0, decimals }))
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Currency)]
pub struct CurrencyJson {
    pub code: String,
    pub decimals: u8,
    /// The decision that registered it; 0 for those of ISO 4217, which every book knows.
    pub position: u64,
}

impl CurrencyJson {
    pub(crate) fn of(currency: &Currency) -> Self {
        Self { code: currency.code.to_string(), decimals: currency.decimals, position: currency.decided.0 }
    }
}

/// Register a currency.
#[utoipa::path(post, path = "/v1/books/{book}/currencies", tag = "currencies",
    params(("book" = String, Path), IdempotencyHeader), request_body = CurrencyForm,
    responses((status = 201, body = CurrencyJson), (status = "default", body = ProblemJson)))]
pub async fn register(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: JsonBody,
) -> Result<Response, Problem> {
    let operation = body.read(CurrencyForm::operation).await?;
    app.write_in(path.book()?, key, operation).await
}

/// The currencies that the book registered; those of ISO 4217 are known without that.
#[utoipa::path(get, path = "/v1/books/{book}/currencies", tag = "currencies",
    params(("book" = String, Path), ReadQuery),
    responses((status = 200, body = ListJson<CurrencyJson>), (status = "default", body = ProblemJson)))]
pub async fn list(State(app): State<App>, path: PathArgs, query: Read<Nothing>) -> Result<Response, Problem> {
    app.read_book(query.fresh, path.book()?, |app, names| {
        let currencies = app.view(|view| view.currencies(names.book.id));
        Ok(ListJson { data: currencies.iter().map(CurrencyJson::of).collect(), next: None })
    })
    .await
}
