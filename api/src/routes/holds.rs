//! Holds: pending entries of two lines, captured, voided or expired.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use partita_core::document::{Endpoint, Hold, HoldState};
use partita_core::id::DocumentId as CoreDocumentId;
use partita_core::operation::{CaptureHold, Operation, PlaceHold, VoidHold};
use partita_core::state::Read as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Decided, description_text, details, metadata_pairs, numbers};
use crate::app::App;
use crate::body::JsonBody;
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{List, ListJson, Nothing, PageQuery, Read, ReadQuery, bad_cursor};
use crate::values::{
    AccountRef, Amount, CurrencyCode, Day, Description, DocumentId, Instant, MetadataValue, format_instant,
};
use crate::write::{EmptyForm, IdempotencyHeader, IdempotencyKey, MaybeForm};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldForm {
    pub id: DocumentId,
    pub debit: AccountRef,
    pub credit: AccountRef,
    pub amount: Amount,
    pub currency: CurrencyCode,
    /// Left out: it never expires.
    pub expires_at: Option<Instant>,
    pub description: Option<Description>,
    pub metadata: Option<MetadataValue>,
}

impl HoldForm {
    fn operation(self) -> Result<Operation, Problem> {
        Ok(Operation::PlaceHold(PlaceHold {
            id: self.id.0,
            debit: self.debit.0,
            credit: self.credit.0,
            amount: self.amount.0,
            currency: self.currency.0,
            expires_at: self.expires_at.map(|at| at.0),
            description: description_text(self.description),
            metadata: metadata_pairs(self.metadata),
        }))
    }
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CaptureHoldForm {
    /// All that is still reserved if left out.
    pub amount: Option<Amount>,
    /// Whether the rest is released; true if left out.
    pub r#final: Option<bool>,
    pub effective_date: Option<Day>,
    pub description: Option<Description>,
    pub metadata: Option<MetadataValue>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hold)]
pub struct HoldJson {
    pub id: String,
    /// pending, partially_captured, captured, voided, expired
    pub state: &'static str,
    pub debit: String,
    pub credit: String,
    pub amount: String,
    pub currency: String,
    pub captured: String,
    /// What is still reserved.
    pub pending: String,
    pub expires_at: Option<String>,
    pub description: String,
    pub metadata: BTreeMap<String, String>,
    /// Numbers of the entries that its captures posted.
    pub entries: Vec<u64>,
    pub position: u64,
    pub recorded_at: String,
}

pub(super) fn state(hold: &Hold) -> &'static str {
    match hold.state {
        HoldState::Pending => "pending",
        HoldState::PartiallyCaptured => "partially_captured",
        HoldState::Captured => "captured",
        HoldState::Voided => "voided",
        HoldState::Expired => "expired",
    }
}

impl HoldJson {
    pub(crate) fn of(hold: &Hold, names: &Names, decided: Decided) -> Self {
        let money = |minor| names.money(minor, hold.currency);
        Self {
            id: hold.id.to_string(),
            state: state(hold),
            debit: endpoint(&hold.debit, names),
            credit: endpoint(&hold.credit, names),
            amount: money(hold.amount.minor()),
            currency: names.currency_code(hold.currency),
            captured: money(hold.captured),
            pending: money(hold.pending),
            expires_at: hold.expires_at.map(format_instant),
            description: hold.description.clone(),
            metadata: hold.metadata.clone(),
            entries: numbers(&hold.entries),
            position: decided.position.0,
            recorded_at: decided.recorded_at(),
        }
    }
}

/// `code`, `code/party` or `code/party/item`.
fn endpoint(endpoint: &Endpoint, names: &Names) -> String {
    let mut text = names.account_code(endpoint.account);
    if let Some(party) = &endpoint.party {
        text.push_str(&format!("/{party}"));
    }
    if let Some(item) = &endpoint.item {
        text.push_str(&format!("/{item}"));
    }
    text
}

/// Place a hold.
#[utoipa::path(post, path = "/v1/books/{book}/holds", tag = "holds",
    params(("book" = String, Path), IdempotencyHeader), request_body = HoldForm,
    responses((status = 201, body = HoldJson), (status = "default", body = ProblemJson)))]
pub async fn place(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: JsonBody,
) -> Result<Response, Problem> {
    let operation = body.read(HoldForm::operation).await?;
    app.write_in(path.book()?, key, operation).await
}

/// Capture a hold, in whole or in part.
#[utoipa::path(post, path = "/v1/books/{book}/holds/{id}/capture", tag = "holds",
    params(("book" = String, Path), ("id" = String, Path), IdempotencyHeader), request_body = CaptureHoldForm,
    responses((status = 200, body = HoldJson), (status = "default", body = ProblemJson)))]
pub async fn capture(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: MaybeForm<CaptureHoldForm>,
) -> Result<Response, Problem> {
    let id = path.document()?;
    let operation = body
        .read(move |form| {
            Ok(Operation::CaptureHold(CaptureHold {
                id,
                amount: form.amount.map(|amount| amount.0),
                is_final: form.r#final.unwrap_or(true),
                details: details(form.effective_date, form.description, form.metadata),
            }))
        })
        .await?;
    app.write_in(path.book()?, key, operation).await
}

/// Release what a hold still reserves.
#[utoipa::path(post, path = "/v1/books/{book}/holds/{id}/void", tag = "holds",
    params(("book" = String, Path), ("id" = String, Path), IdempotencyHeader), request_body = EmptyForm,
    responses((status = 200, body = HoldJson), (status = "default", body = ProblemJson)))]
pub async fn void(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: MaybeForm<EmptyForm>,
) -> Result<Response, Problem> {
    let id = path.document()?;
    body.read(|_empty| Ok(())).await?;
    app.write_in(path.book()?, key, Operation::VoidHold(VoidHold { id })).await
}

/// One hold.
#[utoipa::path(get, path = "/v1/books/{book}/holds/{id}", tag = "holds",
    params(("book" = String, Path), ("id" = String, Path), ReadQuery),
    responses((status = 200, body = HoldJson), (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>, path: PathArgs, query: Read<Nothing>) -> Result<Response, Problem> {
    let id = path.document()?;
    app.read_book(query.fresh, path.book()?, move |app, names| {
        let hold = app
            .look(|view| view.hold(names.book.id, &id))
            .ok_or_else(|| Problem::not_found(format!("there is no hold {id} in book {}", names.book.code)))?;
        Ok(HoldJson::of(&hold, names, app.moments().of(hold.decided)))
    })
    .await
}

/// All holds of a book, by id.
#[utoipa::path(get, path = "/v1/books/{book}/holds", tag = "holds",
    params(("book" = String, Path), ReadQuery, PageQuery),
    responses((status = 200, body = ListJson<HoldJson>), (status = "default", body = ProblemJson)))]
pub async fn list(State(app): State<App>, path: PathArgs, query: List<Nothing>) -> Result<Response, Problem> {
    let List { fresh, page, own: _ } = query;
    let after = page.cursor.as_deref().map(CoreDocumentId::new).transpose().map_err(|_error| bad_cursor())?;
    app.read_book(fresh, path.book()?, move |app, names| {
        let holds = app.view(|view| view.holds(names.book.id, after.as_ref(), page.limit + 1));
        let mut moments = app.moments();
        let shown = holds.iter().map(|hold| HoldJson::of(hold, names, moments.of(hold.decided))).collect();
        Ok(ListJson::of(shown, page.limit, |hold: &HoldJson| hold.id.clone()))
    })
    .await
}
