//! Payments: authorise, capture, void, apply, unapply, fees.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::response::Response;
use partita_core::document::{CaptureMode, Payment, PaymentState, Source};
use partita_core::id::DocumentId as CoreDocumentId;
use partita_core::operation::{
    ApplyPayment, CapturePayment, CreatePayment, MAX_PARTS, Operation, PostPaymentFee, VoidPayment, WrittenApplication,
    WrittenSource,
};
use partita_core::state::Read as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::charges::DocumentFilter;
use super::{Decided, details, numbers, texts};
use crate::app::App;
use crate::body::JsonBody;
use crate::documents;
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{List, ListJson, Nothing, PageQuery, Read, ReadQuery, bad_cursor};
use crate::values::{
    AccountCode, Amount, CurrencyCode, Day, Description, DocumentId, Instant, MetadataValue, Party, at_most,
    format_instant, some_at_most,
};
use crate::write::{EmptyForm, IdempotencyHeader, IdempotencyKey, MaybeForm};

#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CaptureMode)]
pub enum CaptureJson {
    Automatic,
    Manual,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplicationForm {
    pub charge: DocumentId,
    pub amount: Amount,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentForm {
    pub id: DocumentId,
    pub customer: Party,
    /// Whose part of the clearing account the money arrives in; or `account`.
    pub processor: Option<Party>,
    /// An account without parties, such as the bank; or `processor`.
    pub account: Option<AccountCode>,
    pub amount: Amount,
    pub currency: CurrencyCode,
    /// `automatic` if left out.
    pub capture: Option<CaptureJson>,
    /// Each charge once. What is above its open amount becomes unapplied.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_PARTS>")]
    #[schema(max_items = 100)]
    pub apply: Vec<ApplicationForm>,
    /// With automatic capture only.
    pub fee: Option<Amount>,
    /// With manual capture only.
    pub expires_at: Option<Instant>,
    pub effective_date: Option<Day>,
    pub description: Option<Description>,
    pub metadata: Option<MetadataValue>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CapturePaymentForm {
    /// All that is still reserved if left out.
    pub amount: Option<Amount>,
    /// Whether the rest is released; true if left out.
    pub r#final: Option<bool>,
    /// What the payment's creation asked for if left out.
    #[serde(default, deserialize_with = "some_at_most::<_, _, MAX_PARTS>")]
    #[schema(max_items = 100)]
    pub apply: Option<Vec<ApplicationForm>>,
    pub fee: Option<Amount>,
    pub effective_date: Option<Day>,
    pub description: Option<Description>,
    pub metadata: Option<MetadataValue>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyForm {
    /// Each charge once.
    #[serde(deserialize_with = "at_most::<_, _, MAX_PARTS>")]
    #[schema(min_items = 1, max_items = 100)]
    pub apply: Vec<ApplicationForm>,
    pub effective_date: Option<Day>,
    pub description: Option<Description>,
    pub metadata: Option<MetadataValue>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeeForm {
    pub amount: Amount,
    /// Whether the processor gave it back.
    #[serde(default)]
    pub returned: bool,
    pub effective_date: Option<Day>,
    pub description: Option<Description>,
    pub metadata: Option<MetadataValue>,
}

/// Each charge once: twice the same one would be two answers to one question.
fn applications(forms: Vec<ApplicationForm>) -> Result<Vec<WrittenApplication>, Problem> {
    let mut charges = BTreeSet::new();
    for (index, form) in forms.iter().enumerate() {
        if !charges.insert(form.charge.0.as_str()) {
            let detail = format!("apply[{index}].charge: charge {} is named twice", form.charge.0);
            return Err(Problem::malformed(detail).at(format!("/apply/{index}/charge")));
        }
    }
    drop(charges);
    Ok(forms.into_iter().map(|form| WrittenApplication { charge: form.charge.0, amount: form.amount.0 }).collect())
}

impl PaymentForm {
    fn operation(self) -> Result<Operation, Problem> {
        let source = match (self.processor, self.account) {
            (Some(processor), None) => WrittenSource::Processor(processor.0),
            (None, Some(account)) => WrittenSource::Account(account.0),
            (Some(_), Some(_)) => {
                return Err(Problem::malformed("account: stands instead of processor, not beside it").at("/account"));
            }
            (None, None) => return Err(Problem::malformed("the body: must have processor or account")),
        };
        let capture = match self.capture {
            None | Some(CaptureJson::Automatic) => CaptureMode::Automatic,
            Some(CaptureJson::Manual) => CaptureMode::Manual,
        };
        match capture {
            CaptureMode::Automatic if self.expires_at.is_some() => {
                let detail = "expires_at: only a payment with manual capture expires";
                return Err(Problem::malformed(detail).at("/expires_at"));
            }
            CaptureMode::Manual if self.fee.is_some() => {
                let detail = "fee: with manual capture the fee is given when it is captured";
                return Err(Problem::malformed(detail).at("/fee"));
            }
            CaptureMode::Automatic | CaptureMode::Manual => {}
        }
        Ok(Operation::CreatePayment(CreatePayment {
            id: self.id.0,
            customer: self.customer.0,
            source,
            amount: self.amount.0,
            currency: self.currency.0,
            capture,
            apply: applications(self.apply)?,
            fee: self.fee.map(|fee| fee.0),
            expires_at: self.expires_at.map(|at| at.0),
            details: details(self.effective_date, self.description, self.metadata),
        }))
    }
}

impl ApplyForm {
    fn operation(self, id: CoreDocumentId) -> Result<ApplyPayment, Problem> {
        if self.apply.is_empty() {
            return Err(Problem::malformed("apply: must have at least 1 element").at("/apply"));
        }
        let details = details(self.effective_date, self.description, self.metadata);
        Ok(ApplyPayment { id, apply: applications(self.apply)?, details })
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Application)]
pub struct ApplicationJson {
    pub charge: String,
    /// What is applied now.
    pub amount: String,
    /// What refunds took of it.
    pub refunded: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Payment)]
pub struct PaymentJson {
    pub id: String,
    pub customer: String,
    /// authorised, partially_captured, captured, voided, expired
    pub state: &'static str,
    pub processor: Option<String>,
    /// The account that the money arrives in.
    pub account: String,
    pub currency: String,
    pub amount: String,
    pub capture: CaptureJson,
    pub captured: String,
    /// What is still reserved.
    pub pending: String,
    pub applied: String,
    /// The balance of its unapplied-cash item.
    pub unapplied: String,
    pub refunded: String,
    pub refundable: String,
    /// Processing fees, net of returned ones.
    pub fees: String,
    pub expires_at: Option<String>,
    pub effective_date: String,
    pub description: String,
    pub metadata: BTreeMap<String, String>,
    /// In the order of application.
    pub applications: Vec<ApplicationJson>,
    pub refunds: Vec<String>,
    pub entries: Vec<u64>,
    /// The last decision that changed it.
    pub position: u64,
    pub recorded_at: String,
}

pub(super) fn state(payment: &Payment) -> &'static str {
    match payment.state {
        PaymentState::Authorised => "authorised",
        PaymentState::PartiallyCaptured => "partially_captured",
        PaymentState::Captured => "captured",
        PaymentState::Voided => "voided",
        PaymentState::Expired => "expired",
    }
}

const STATES: [&str; 5] = ["authorised", "partially_captured", "captured", "voided", "expired"];

impl PaymentJson {
    pub(crate) fn of(payment: &Payment, unapplied: i128, names: &Names, decided: Decided) -> Self {
        let money = |minor| names.money(minor, payment.currency);
        let (account, processor) = match &payment.source {
            Source::Processor { account, processor } => (*account, Some(processor.to_string())),
            Source::Account(account) => (*account, None),
        };
        let applications = payment.applications.iter().map(|application| ApplicationJson {
            charge: application.charge.to_string(),
            amount: money(application.amount),
            refunded: money(application.refunded),
        });
        Self {
            id: payment.id.to_string(),
            customer: payment.customer.to_string(),
            state: state(payment),
            processor,
            account: names.account_code(account),
            currency: names.currency_code(payment.currency),
            amount: money(payment.amount.minor()),
            capture: match payment.capture {
                CaptureMode::Automatic => CaptureJson::Automatic,
                CaptureMode::Manual => CaptureJson::Manual,
            },
            captured: money(payment.captured),
            pending: money(payment.pending),
            applied: money(payment.applied()),
            unapplied: money(unapplied),
            refunded: money(payment.refunded),
            refundable: money(payment.refundable()),
            fees: money(payment.fees),
            expires_at: payment.expires_at.map(format_instant),
            effective_date: payment.effective_date.to_string(),
            description: payment.description.clone(),
            metadata: payment.metadata.clone(),
            applications: applications.collect(),
            refunds: texts(&payment.refunds),
            entries: numbers(&payment.entries),
            position: decided.position.0,
            recorded_at: decided.recorded_at(),
        }
    }
}

/// Record a payment: received at once, or authorised to be captured later.
#[utoipa::path(post, path = "/v1/books/{book}/payments", tag = "payments",
    params(("book" = String, Path), IdempotencyHeader), request_body = PaymentForm,
    responses((status = 201, body = PaymentJson), (status = "default", body = ProblemJson)))]
pub async fn create(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: JsonBody,
) -> Result<Response, Problem> {
    let operation = body.read(PaymentForm::operation).await?;
    app.write_in(path.book()?, key, operation).await
}

/// Capture an authorised payment, in whole or in part.
#[utoipa::path(post, path = "/v1/books/{book}/payments/{id}/capture", tag = "payments",
    params(("book" = String, Path), ("id" = String, Path), IdempotencyHeader), request_body = CapturePaymentForm,
    responses((status = 200, body = PaymentJson), (status = "default", body = ProblemJson)))]
pub async fn capture(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: MaybeForm<CapturePaymentForm>,
) -> Result<Response, Problem> {
    let id = path.document()?;
    let operation = body
        .read(move |form| {
            Ok(Operation::CapturePayment(CapturePayment {
                id,
                amount: form.amount.map(|amount| amount.0),
                is_final: form.r#final.unwrap_or(true),
                apply: form.apply.map(applications).transpose()?,
                fee: form.fee.map(|fee| fee.0),
                details: details(form.effective_date, form.description, form.metadata),
            }))
        })
        .await?;
    app.write_in(path.book()?, key, operation).await
}

/// Release what an authorisation still reserves.
#[utoipa::path(post, path = "/v1/books/{book}/payments/{id}/void", tag = "payments",
    params(("book" = String, Path), ("id" = String, Path), IdempotencyHeader), request_body = EmptyForm,
    responses((status = 200, body = PaymentJson), (status = "default", body = ProblemJson)))]
pub async fn void(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: MaybeForm<EmptyForm>,
) -> Result<Response, Problem> {
    let id = path.document()?;
    body.read(|_empty| Ok(())).await?;
    app.write_in(path.book()?, key, Operation::VoidPayment(VoidPayment { id })).await
}

/// Apply unapplied cash to charges.
#[utoipa::path(post, path = "/v1/books/{book}/payments/{id}/apply", tag = "payments",
    params(("book" = String, Path), ("id" = String, Path), IdempotencyHeader), request_body = ApplyForm,
    responses((status = 200, body = PaymentJson), (status = "default", body = ProblemJson)))]
pub async fn apply(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: JsonBody,
) -> Result<Response, Problem> {
    let id = path.document()?;
    let operation = body.read(move |form: ApplyForm| form.operation(id).map(Operation::ApplyPayment)).await?;
    app.write_in(path.book()?, key, operation).await
}

/// Take applications back: the cash becomes unapplied.
#[utoipa::path(post, path = "/v1/books/{book}/payments/{id}/unapply", tag = "payments",
    params(("book" = String, Path), ("id" = String, Path), IdempotencyHeader), request_body = ApplyForm,
    responses((status = 200, body = PaymentJson), (status = "default", body = ProblemJson)))]
pub async fn unapply(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: JsonBody,
) -> Result<Response, Problem> {
    let id = path.document()?;
    let operation = body.read(move |form: ApplyForm| form.operation(id).map(Operation::UnapplyPayment)).await?;
    app.write_in(path.book()?, key, operation).await
}

/// Record a processing fee, or its return.
#[utoipa::path(post, path = "/v1/books/{book}/payments/{id}/fees", tag = "payments",
    params(("book" = String, Path), ("id" = String, Path), IdempotencyHeader), request_body = FeeForm,
    responses((status = 200, body = PaymentJson), (status = "default", body = ProblemJson)))]
pub async fn fees(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: JsonBody,
) -> Result<Response, Problem> {
    let id = path.document()?;
    let operation = body
        .read(move |form: FeeForm| {
            let details = details(form.effective_date, form.description, form.metadata);
            let (amount, returned) = (form.amount.0, form.returned);
            Ok(Operation::PostPaymentFee(PostPaymentFee { id, amount, returned, details }))
        })
        .await?;
    app.write_in(path.book()?, key, operation).await
}

/// One payment, with what is unapplied of it now.
#[utoipa::path(get, path = "/v1/books/{book}/payments/{id}", tag = "payments",
    params(("book" = String, Path), ("id" = String, Path), ReadQuery),
    responses((status = 200, body = PaymentJson), (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>, path: PathArgs, query: Read<Nothing>) -> Result<Response, Problem> {
    let id = path.document()?;
    app.read_book(query.fresh, path.book()?, move |app, names| {
        let found = app.look(|view| {
            let payment = view.payment(names.book.id, &id)?;
            let unapplied = documents::unapplied(view, names, &payment);
            Some((payment, unapplied))
        });
        let (payment, unapplied) =
            found.ok_or_else(|| Problem::not_found(format!("there is no payment {id} in book {}", names.book.code)))?;
        Ok(PaymentJson::of(&payment, unapplied, names, app.moments().of(payment.decided)))
    })
    .await
}

/// The payments of a book, by id.
#[utoipa::path(get, path = "/v1/books/{book}/payments", tag = "payments",
    params(("book" = String, Path), DocumentFilter, ReadQuery, PageQuery),
    responses((status = 200, body = ListJson<PaymentJson>), (status = "default", body = ProblemJson)))]
pub async fn list(State(app): State<App>, path: PathArgs, query: List<DocumentFilter>) -> Result<Response, Problem> {
    let List { fresh, page, own } = query;
    own.check(&STATES)?;
    let after = page.cursor.as_deref().map(CoreDocumentId::new).transpose().map_err(|_error| bad_cursor())?;
    app.read_book(fresh, path.book()?, move |app, names| {
        let mut moments = app.moments();
        documents::collect(page.limit, after, |after, limit| {
            let payments = app.view(|view| {
                let customer = own.customer.as_ref().map(|party| &party.0);
                let payments = view.payments(names.book.id, customer, after, limit)?;
                Ok(payments
                    .into_iter()
                    .map(|payment| {
                        let unapplied = documents::unapplied(view, names, &payment);
                        (payment, unapplied)
                    })
                    .collect::<Vec<_>>())
            });
            let shown = payments.into_iter().map(|(payment, unapplied)| {
                let takes = own.takes(state(&payment));
                let json = takes.then(|| PaymentJson::of(&payment, unapplied, names, moments.of(payment.decided)));
                (payment.id, json)
            });
            shown.collect()
        })
    })
    .await
}
