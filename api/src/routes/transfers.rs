//! Transfers: entries of two lines, singly and in batches.

use axum::extract::State;
use axum::response::Response;
use partita_core::operation::{MAX_BATCH, Operation, Transfer};
use serde::Deserialize;
use utoipa::ToSchema;

use super::details;
use super::entries::EntryJson;
use crate::app::App;
use crate::batch::{self, BatchJson, Item as BatchItem};
use crate::body::JsonBody;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::values::{AccountRef, Amount, CurrencyCode, Day, Description, Key, MetadataValue, at_most};
use crate::write::{IdempotencyHeader, IdempotencyKey};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferForm {
    pub debit: AccountRef,
    pub credit: AccountRef,
    pub amount: Amount,
    pub currency: CurrencyCode,
    /// The date of the request in the book's time zone if left out.
    pub effective_date: Option<Day>,
    pub description: Option<Description>,
    pub metadata: Option<MetadataValue>,
    /// In a batch that is not atomic: this transfer's own key.
    pub idempotency_key: Option<Key>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransfersForm {
    #[serde(deserialize_with = "at_most::<_, _, MAX_BATCH>")]
    #[schema(min_items = 1, max_items = 10000)]
    pub transfers: Vec<TransferForm>,
    /// All or none, as one decision under the header's key.
    #[serde(default)]
    pub atomic: bool,
}

impl TransferForm {
    #[expect(clippy::unnecessary_wraps, reason = "the same shape as every other form's conversion")]
    fn transfer(self) -> Result<Transfer, Problem> {
        Ok(Transfer {
            debit: self.debit.0,
            credit: self.credit.0,
            amount: self.amount.0,
            currency: self.currency.0,
            details: details(self.effective_date, self.description, self.metadata),
        })
    }

    fn operation(self) -> Result<Operation, Problem> {
        batch::no_own_key(self.idempotency_key.as_ref())?;
        self.transfer().map(Operation::Transfer)
    }
}

/// Move an amount from one account to another. The answer is the entry, so both balances after it.
#[utoipa::path(post, path = "/v1/books/{book}/transfers", tag = "transfers",
    params(("book" = String, Path), IdempotencyHeader), request_body = TransferForm,
    responses((status = 201, body = EntryJson), (status = "default", body = ProblemJson)))]
pub async fn post(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: JsonBody,
) -> Result<Response, Problem> {
    let operation = body.read(TransferForm::operation).await?;
    app.write_in(path.book()?, key, operation).await
}

/// Many transfers: each on its own, or all as one decision.
#[utoipa::path(post, path = "/v1/books/{book}/transfers:batch", tag = "transfers",
    params(("book" = String, Path), IdempotencyHeader), request_body = TransfersForm,
    responses((status = 200, body = BatchJson), (status = "default", body = ProblemJson)))]
pub async fn post_batch(
    State(app): State<App>,
    path: PathArgs,
    key: Option<IdempotencyKey>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let batch = body
        .read(|form: TransfersForm| {
            let items = form
                .transfers
                .into_iter()
                .map(|mut transfer| BatchItem { key: transfer.idempotency_key.take(), content: transfer });
            let (one, all) = (Operation::Transfer, Operation::Transfers);
            batch::read("transfers", form.atomic, items, TransferForm::transfer, one, all)
        })
        .await?;
    app.write_batch(path.book()?, key, batch).await
}
