//! Refunds: create, settle, fail.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::response::Response;
use partita_core::document::{Refund, RefundState, SettleMode};
use partita_core::id::DocumentId as CoreDocumentId;
use partita_core::operation::{CreateRefund, MAX_PARTS, MoveRefund, Operation, WrittenRefundPart};
use partita_core::state::Read as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::charges::DocumentFilter;
use super::{Decided, details, numbers};
use crate::app::App;
use crate::body::JsonBody;
use crate::documents;
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{List, ListJson, Nothing, PageQuery, Read, ReadQuery, bad_cursor};
use crate::sums::WideSum;
use crate::values::{Amount, Day, Description, DocumentId, MetadataValue, Word, some_at_most};
use crate::write::{IdempotencyHeader, IdempotencyKey, MaybeForm};

#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SettleMode)]
pub enum SettleJson {
    Automatic,
    Manual,
}

/// Part of a refund: of one charge's application, or of unapplied cash.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundPartForm {
    pub charge: Option<DocumentId>,
    pub unapplied: Option<bool>,
    pub amount: Amount,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundForm {
    pub id: DocumentId,
    pub payment: DocumentId,
    pub amount: Amount,
    /// `automatic` (both steps in one entry) if left out.
    pub settle: Option<SettleJson>,
    pub reason: Option<Word>,
    /// Unapplied cash first, then the newest application, if left out. Each source once; their sum is `amount`.
    #[serde(default, deserialize_with = "some_at_most::<_, _, MAX_PARTS>")]
    #[schema(min_items = 1, max_items = 100)]
    pub from: Option<Vec<RefundPartForm>>,
    pub effective_date: Option<Day>,
    pub description: Option<Description>,
    pub metadata: Option<MetadataValue>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveRefundForm {
    pub effective_date: Option<Day>,
    pub description: Option<Description>,
    pub metadata: Option<MetadataValue>,
}

impl RefundForm {
    fn operation(self) -> Result<Operation, Problem> {
        let from = match self.from {
            None => None,
            Some(parts) => Some(read_parts(parts, &self.amount)?),
        };
        Ok(Operation::CreateRefund(CreateRefund {
            id: self.id.0,
            payment: self.payment.0,
            amount: self.amount.0,
            settle: match self.settle {
                None | Some(SettleJson::Automatic) => SettleMode::Automatic,
                Some(SettleJson::Manual) => SettleMode::Manual,
            },
            reason: self.reason.map(|reason| reason.0).unwrap_or_default(),
            from,
            details: details(self.effective_date, self.description, self.metadata),
        }))
    }
}

fn read_parts(forms: Vec<RefundPartForm>, amount: &Amount) -> Result<Vec<WrittenRefundPart>, Problem> {
    if forms.is_empty() {
        return Err(Problem::malformed("from: must have at least 1 element, or be left out").at("/from"));
    }
    let mut sources = BTreeSet::new();
    let mut sum = WideSum::default();
    let mut parts = Vec::with_capacity(forms.len());
    for (index, form) in forms.into_iter().enumerate() {
        let refuse = |what: &str| Problem::malformed(format!("from[{index}]: {what}")).at(format!("/from/{index}"));
        let source = form.charge.as_ref().map(|charge| charge.0.clone());
        sum.add(form.amount.0);
        parts.push(match (form.charge, form.unapplied) {
            (Some(charge), None | Some(false)) => WrittenRefundPart::Charge { charge: charge.0, amount: form.amount.0 },
            (None, Some(true)) => WrittenRefundPart::Unapplied { amount: form.amount.0 },
            (Some(_), Some(true)) => return Err(refuse("has charge and unapplied; it must have one of them")),
            (None, None | Some(false)) => return Err(refuse("must have charge, or unapplied: true")),
        });
        if !sources.insert(source) {
            return Err(refuse("names a source for the second time"));
        }
    }
    let whole = WideSum::from(amount.0);
    if sum != whole {
        return Err(Problem::malformed(format!("from: its sum {sum} is not the amount {whole}")).at("/from"));
    }
    Ok(parts)
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RefundPart)]
pub struct RefundPartJson {
    pub charge: Option<String>,
    pub unapplied: bool,
    pub amount: String,
    /// What of the amount was tax.
    pub tax: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Refund)]
pub struct RefundJson {
    pub id: String,
    pub payment: String,
    pub customer: String,
    /// pending, succeeded, failed
    pub state: &'static str,
    pub currency: String,
    pub amount: String,
    pub settle: SettleJson,
    pub reason: String,
    pub from: Vec<RefundPartJson>,
    pub effective_date: String,
    pub description: String,
    pub metadata: BTreeMap<String, String>,
    pub entries: Vec<u64>,
    /// The last decision that changed it.
    pub position: u64,
    pub recorded_at: String,
}

pub(super) fn state(refund: &Refund) -> &'static str {
    match refund.state {
        RefundState::Pending => "pending",
        RefundState::Succeeded => "succeeded",
        RefundState::Failed => "failed",
    }
}

const STATES: [&str; 3] = ["pending", "succeeded", "failed"];

impl RefundJson {
    pub(crate) fn of(refund: &Refund, names: &Names, decided: Decided) -> Self {
        let money = |minor| names.money(minor, refund.currency);
        let unapplied = (refund.unapplied > 0).then(|| RefundPartJson {
            charge: None,
            unapplied: true,
            amount: money(refund.unapplied),
            tax: money(0),
        });
        let charges = refund.parts.iter().map(|part| RefundPartJson {
            charge: Some(part.charge.to_string()),
            unapplied: false,
            amount: money(part.amount.minor()),
            tax: money(part.tax.iter().flatten().sum()),
        });
        Self {
            id: refund.id.to_string(),
            payment: refund.payment.to_string(),
            customer: refund.customer.to_string(),
            state: state(refund),
            currency: names.currency_code(refund.currency),
            amount: money(refund.amount.minor()),
            settle: match refund.settle {
                SettleMode::Automatic => SettleJson::Automatic,
                SettleMode::Manual => SettleJson::Manual,
            },
            reason: refund.reason.clone(),
            from: unapplied.into_iter().chain(charges).collect(),
            effective_date: refund.effective_date.to_string(),
            description: refund.description.clone(),
            metadata: refund.metadata.clone(),
            entries: numbers(&refund.entries),
            position: decided.position.0,
            recorded_at: decided.recorded_at(),
        }
    }
}

/// Refund a payment, in whole or in part.
#[utoipa::path(post, path = "/v1/books/{book}/refunds", tag = "refunds",
    params(("book" = String, Path), IdempotencyHeader), request_body = RefundForm,
    responses((status = 201, body = RefundJson), (status = "default", body = ProblemJson)))]
pub async fn create(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: JsonBody,
) -> Result<Response, Problem> {
    let operation = body.read(RefundForm::operation).await?;
    app.write_in(path.book()?, key, operation).await
}

/// Settle a refund: its cash step.
#[utoipa::path(post, path = "/v1/books/{book}/refunds/{id}/settle", tag = "refunds",
    params(("book" = String, Path), ("id" = String, Path), IdempotencyHeader), request_body = MoveRefundForm,
    responses((status = 200, body = RefundJson), (status = "default", body = ProblemJson)))]
pub async fn settle(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: MaybeForm<MoveRefundForm>,
) -> Result<Response, Problem> {
    let id = path.document()?;
    let operation = body.read(move |form| Ok(Operation::SettleRefund(form.operation(id)))).await?;
    app.write_in(path.book()?, key, operation).await
}

/// Fail a refund: what it posted is mirrored, what is refundable is restored.
#[utoipa::path(post, path = "/v1/books/{book}/refunds/{id}/fail", tag = "refunds",
    params(("book" = String, Path), ("id" = String, Path), IdempotencyHeader), request_body = MoveRefundForm,
    responses((status = 200, body = RefundJson), (status = "default", body = ProblemJson)))]
pub async fn fail(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: MaybeForm<MoveRefundForm>,
) -> Result<Response, Problem> {
    let id = path.document()?;
    let operation = body.read(move |form| Ok(Operation::FailRefund(form.operation(id)))).await?;
    app.write_in(path.book()?, key, operation).await
}

impl MoveRefundForm {
    fn operation(self, id: CoreDocumentId) -> MoveRefund {
        MoveRefund { id, details: details(self.effective_date, self.description, self.metadata) }
    }
}

/// One refund.
#[utoipa::path(get, path = "/v1/books/{book}/refunds/{id}", tag = "refunds",
    params(("book" = String, Path), ("id" = String, Path), ReadQuery),
    responses((status = 200, body = RefundJson), (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>, path: PathArgs, query: Read<Nothing>) -> Result<Response, Problem> {
    let id = path.document()?;
    app.read_book(query.fresh, path.book()?, move |app, names| {
        let refund = app
            .look(|view| view.refund(names.book.id, &id))
            .ok_or_else(|| Problem::not_found(format!("there is no refund {id} in book {}", names.book.code)))?;
        Ok(RefundJson::of(&refund, names, app.moments().of(refund.decided)))
    })
    .await
}

/// The refunds of a book, by id.
#[utoipa::path(get, path = "/v1/books/{book}/refunds", tag = "refunds",
    params(("book" = String, Path), DocumentFilter, ReadQuery, PageQuery),
    responses((status = 200, body = ListJson<RefundJson>), (status = "default", body = ProblemJson)))]
pub async fn list(State(app): State<App>, path: PathArgs, query: List<DocumentFilter>) -> Result<Response, Problem> {
    let List { fresh, page, own } = query;
    own.check(&STATES)?;
    let after = page.cursor.as_deref().map(CoreDocumentId::new).transpose().map_err(|_error| bad_cursor())?;
    app.read_book(fresh, path.book()?, move |app, names| {
        let mut moments = app.moments();
        documents::collect(page.limit, after, |after, limit| {
            let customer = own.customer.as_ref().map(|party| &party.0);
            let refunds = app.view(|view| view.refunds(names.book.id, customer, after, limit));
            let shown = refunds.into_iter().map(|refund| {
                let takes = own.takes(state(&refund));
                let json = takes.then(|| RefundJson::of(&refund, names, moments.of(refund.decided)));
                (refund.id, json)
            });
            shown.collect()
        })
    })
    .await
}
