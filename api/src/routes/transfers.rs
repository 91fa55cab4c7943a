//! Transfers: entries of two lines, singly and in batches.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use partita_consensus::EncodedCommands;
use partita_core::operation::{MAX_BATCH, Operation, Transfer};
use serde::Deserialize;
use utoipa::ToSchema;

use super::details;
use super::entries::EntryJson;
use crate::app::App;
use crate::batch::{self, Batch, BatchJson, Item as BatchItem};
use crate::binary::Transfers;
use crate::body::{Form, JsonBody, TransfersBody, parse};
use crate::direct;
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::stamp;
use crate::values::{AccountRef, Amount, CurrencyCode, Day, Description, Key, MetadataValue, at_most};
use crate::write::{IdempotencyHeader, IdempotencyKey, malformed};

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
    let operation = body.take(|bytes| direct::or_parse(bytes, direct::transfer)?.operation()).await?;
    app.write_in(path.book()?, key, operation).await
}

/// Many transfers: each on its own, or all as one decision. The binary forms of the body and of the answer are in
/// docs/api.md; each is for itself.
#[utoipa::path(post, path = "/v1/books/{book}/transfers:batch", tag = "transfers",
    params(("book" = String, Path), IdempotencyHeader),
    request_body(content((TransfersForm = "application/json"), (Vec<u8> = "application/vnd.partita.transfers.v1"))),
    responses(
        (status = 200, content((BatchJson = "application/json"), (Vec<u8> = "application/vnd.partita.transfers.v1"))),
        (status = "default", body = ProblemJson)))]
pub async fn post_batch(
    State(app): State<App>,
    path: PathArgs,
    key: Option<IdempotencyKey>,
    body: TransfersBody,
) -> Result<Response, Problem> {
    let book = path.book();
    let names = book.as_ref().ok().and_then(|book| app.directory().find(book));
    let (form, answer) = (body.form, body.answer);
    let batch = body.take(move |bytes| match form {
        Form::Json => read_batch(bytes, names),
        Form::Binary => read_binary(bytes, names),
    });
    let batch = batch.await?;
    app.write_batch(book?, key, batch, answer).await
}

/// The commands at once where the body is plain and the book known.
pub(crate) fn read_batch(bytes: &[u8], names: Option<Arc<Names>>) -> Result<Batch, Problem> {
    if let Some(names) = names {
        let head = stamp::head(Some(&names));
        let mut commands = EncodedCommands::for_about(bytes.len() / 150);
        let read = direct::transfers(bytes, |mut form| {
            let key = form.idempotency_key.take()?;
            commands.push(&head, key.0, Operation::Transfer(form.transfer().ok()?)).ok()
        });
        if read.is_some() {
            return Ok(Batch::Encoded(names, commands));
        }
    }
    batch_of(parse(bytes)?)
}

pub(crate) fn batch_of(form: TransfersForm) -> Result<Batch, Problem> {
    let items = form.transfers.into_iter().map(item);
    batch::read("transfers", form.atomic, items, TransferForm::transfer, Operation::Transfer, Operation::Transfers)
}

pub(crate) fn read_binary(bytes: &[u8], names: Option<Arc<Names>>) -> Result<Batch, Problem> {
    let transfers = Transfers::new(bytes)?;
    match names {
        Some(names) if !transfers.atomic => {
            let head = stamp::head(Some(&names));
            let mut commands = EncodedCommands::for_about(transfers.total());
            for (index, form) in transfers.enumerate() {
                let mut form = form?;
                let key = form.idempotency_key.take();
                let key = key.ok_or_else(|| batch::key_missing("transfers", index))?;
                let transfer = Operation::Transfer(form.transfer()?);
                commands.push(&head, key.0, transfer).map_err(malformed)?;
            }
            Ok(Batch::Encoded(names, commands))
        }
        Some(_) | None => {
            let atomic = transfers.atomic;
            batch_of(TransfersForm { transfers: transfers.collect::<Result<_, _>>()?, atomic })
        }
    }
}

fn item(mut form: TransferForm) -> BatchItem<TransferForm> {
    BatchItem { key: form.idempotency_key.take(), content: form }
}
