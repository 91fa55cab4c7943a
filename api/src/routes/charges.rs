//! Charges: what a customer owes, with its tax, deferral and rate.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use partita_core::document::{Charge, ChargeLine, Deferral};
use partita_core::id::DocumentId as CoreDocumentId;
use partita_core::operation::{
    CreateCharge, MAX_CHARGE_TAX_LINES, MAX_PARTS, MAX_TAX_LINES, Operation, VoidCharge, WrittenChargeLine, WrittenTax,
};
use partita_core::state::Read as _;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Decided, day_text, details, numbers, texts};
use crate::app::App;
use crate::body::JsonBody;
use crate::documents;
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Code, Problem, ProblemJson};
use crate::query::{List, ListJson, Nothing, PageQuery, Read, ReadQuery, bad_cursor, parameter};
use crate::sums::WideSum;
use crate::values::{
    AccountCode, Amount, CurrencyCode, Day, Description, DocumentId, MetadataValue, Party, Rate, Word, at_most,
    some_at_most,
};
use crate::write::{IdempotencyHeader, IdempotencyKey, MaybeForm};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaxForm {
    pub jurisdiction: Party,
    pub amount: Amount,
}

/// Both days are part of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeferForm {
    pub from: Day,
    pub to: Day,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChargeLineForm {
    /// The account that the net is credited to.
    pub revenue: AccountCode,
    /// Gross: tax included.
    pub amount: Amount,
    /// Their sum is at most the amount.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_TAX_LINES>")]
    #[schema(max_items = 10)]
    pub tax: Vec<TaxForm>,
    /// Revenue to be recognised over these days.
    pub defer: Option<DeferForm>,
}

/// A charge. One line may be written flat: `amount`, `revenue`, `tax` and `defer` on top instead of `lines`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChargeForm {
    pub id: DocumentId,
    pub customer: Party,
    pub currency: CurrencyCode,
    pub due_date: Option<Day>,
    /// Functional units per unit of `currency`; required when it is not the functional currency, refused when it is.
    pub rate: Option<Rate>,
    #[serde(default, deserialize_with = "some_at_most::<_, _, MAX_PARTS>")]
    #[schema(min_items = 1, max_items = 100)]
    pub lines: Option<Vec<ChargeLineForm>>,
    pub revenue: Option<AccountCode>,
    pub amount: Option<Amount>,
    #[serde(default, deserialize_with = "some_at_most::<_, _, MAX_TAX_LINES>")]
    #[schema(max_items = 10)]
    pub tax: Option<Vec<TaxForm>>,
    pub defer: Option<DeferForm>,
    pub effective_date: Option<Day>,
    pub description: Option<Description>,
    pub metadata: Option<MetadataValue>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VoidChargeForm {
    pub effective_date: Option<Day>,
    pub description: Option<Description>,
    pub metadata: Option<MetadataValue>,
}

impl ChargeLineForm {
    fn line(self) -> Result<WrittenChargeLine, Problem> {
        let tax: Vec<_> = self
            .tax
            .into_iter()
            .map(|tax| WrittenTax { jurisdiction: tax.jurisdiction.0, amount: tax.amount.0 })
            .collect();
        let total: WideSum = tax.iter().map(|tax| tax.amount).collect();
        let gross = WideSum::from(self.amount.0);
        if total > gross {
            let detail = format!("tax: its sum {total} is more than the gross amount {gross}");
            return Err(Problem::new(Code::TaxExceedsAmount, detail).at("/tax"));
        }
        let defer = match self.defer {
            Some(defer) if defer.from.0 > defer.to.0 => {
                return Err(Problem::malformed("defer: from must not be after to").at("/defer"));
            }
            Some(defer) => Some(Deferral { from: defer.from.0, to: defer.to.0 }),
            None => None,
        };
        Ok(WrittenChargeLine { revenue: self.revenue.0, amount: self.amount.0, tax, defer })
    }
}

impl ChargeForm {
    fn operation(mut self) -> Result<Operation, Problem> {
        let lines = self.take_lines()?;
        Ok(Operation::CreateCharge(CreateCharge {
            id: self.id.0,
            customer: self.customer.0,
            currency: self.currency.0,
            due_date: self.due_date.map(|day| day.0),
            rate: self.rate.map(|rate| rate.0),
            lines,
            details: details(self.effective_date, self.description, self.metadata),
        }))
    }

    fn take_lines(&mut self) -> Result<Vec<WrittenChargeLine>, Problem> {
        let flat = (self.revenue.take(), self.amount.take(), self.tax.take(), self.defer.take());
        let Some(lines) = self.lines.take() else {
            let (Some(revenue), Some(amount), tax, defer) = flat else {
                let detail = "the body: must have lines, or amount and revenue of a single line";
                return Err(Problem::malformed(detail));
            };
            return Ok(vec![ChargeLineForm { revenue, amount, tax: tax.unwrap_or_default(), defer }.line()?]);
        };
        if flat.0.is_some() || flat.1.is_some() || flat.2.is_some() || flat.3.is_some() {
            let detail = "lines: stands instead of revenue, amount, tax and defer, not beside them";
            return Err(Problem::malformed(detail).at("/lines"));
        }
        if lines.is_empty() {
            return Err(Problem::malformed("lines: must have at least 1 element").at("/lines"));
        }
        let tax_lines: usize = lines.iter().map(|line| line.tax.len()).sum();
        if tax_lines > MAX_CHARGE_TAX_LINES {
            let detail = format!("lines: must have at most {MAX_CHARGE_TAX_LINES} tax lines together, not {tax_lines}");
            return Err(Problem::malformed(detail).at("/lines"));
        }
        let read = lines.into_iter().enumerate();
        read.map(|(index, line)| line.line().map_err(|problem| problem.under(&format!("/lines/{index}")))).collect()
    }
}

/// A rate only says something where two currencies are involved.
pub(crate) fn check_rate(operation: &Operation, names: &Names) -> Result<(), Problem> {
    if let Operation::CreateCharge(charge) = operation {
        let functional = names.currency(names.book.functional_currency).code;
        if charge.rate.is_some() && charge.currency == functional {
            let detail = format!("rate: a charge in the book's functional currency {functional} has none");
            return Err(Problem::malformed(detail).at("/rate"));
        }
    }
    Ok(())
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tax)]
pub struct TaxJson {
    pub jurisdiction: String,
    pub amount: String,
    pub refunded: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Deferral)]
pub struct DeferJson {
    pub from: String,
    pub to: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChargeLine)]
pub struct ChargeLineJson {
    pub revenue: String,
    pub amount: String,
    pub tax: Vec<TaxJson>,
    pub defer: Option<DeferJson>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Charge)]
pub struct ChargeJson {
    pub id: String,
    pub customer: String,
    /// open, paid (nothing is open any more), voided
    pub state: &'static str,
    pub currency: String,
    /// Gross of all lines.
    pub amount: String,
    pub tax: String,
    /// What the customer still owes of it: the balance of its receivable item.
    pub open: String,
    /// What refunds gave back of it.
    pub credited: String,
    pub due_date: Option<String>,
    pub effective_date: String,
    pub rate: Option<String>,
    pub description: String,
    pub metadata: BTreeMap<String, String>,
    pub lines: Vec<ChargeLineJson>,
    /// Payments that were ever applied to it.
    pub payments: Vec<String>,
    pub refunds: Vec<String>,
    pub entries: Vec<u64>,
    /// The last decision that changed it.
    pub position: u64,
    pub recorded_at: String,
}

pub(super) fn state(charge: &Charge, open: i128) -> &'static str {
    if charge.voided {
        "voided"
    } else if open == 0 {
        "paid"
    } else {
        "open"
    }
}

const STATES: [&str; 3] = ["open", "paid", "voided"];

impl ChargeJson {
    pub(crate) fn of(charge: &Charge, open: i128, names: &Names, decided: Decided) -> Self {
        let money = |minor| names.money(minor, charge.currency);
        Self {
            id: charge.id.to_string(),
            customer: charge.customer.to_string(),
            state: state(charge, open),
            currency: names.currency_code(charge.currency),
            amount: money(charge.amount.minor()),
            tax: money(charge.tax()),
            open: money(open),
            credited: money(charge.credited),
            due_date: day_text(charge.due_date),
            effective_date: charge.effective_date.to_string(),
            rate: charge.rate.map(|rate| rate.to_string()),
            description: charge.description.clone(),
            metadata: charge.metadata.clone(),
            lines: charge.lines.iter().map(|line| line_json(line, charge, names)).collect(),
            payments: texts(&charge.payments),
            refunds: texts(&charge.refunds),
            entries: numbers(&charge.entries),
            position: decided.position.0,
            recorded_at: decided.recorded_at(),
        }
    }
}

fn line_json(line: &ChargeLine, charge: &Charge, names: &Names) -> ChargeLineJson {
    let money = |minor| names.money(minor, charge.currency);
    let tax = line.tax.iter().map(|tax| TaxJson {
        jurisdiction: tax.jurisdiction.to_string(),
        amount: money(tax.amount.minor()),
        refunded: money(tax.refunded),
    });
    ChargeLineJson {
        revenue: names.account_code(line.revenue),
        amount: money(line.amount.minor()),
        tax: tax.collect(),
        defer: line.defer.map(|defer| DeferJson { from: defer.from.to_string(), to: defer.to.to_string() }),
    }
}

/// Which documents of a kind.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DocumentFilter {
    #[param(value_type = Option<String>)]
    pub customer: Option<Party>,
    #[param(value_type = Option<String>)]
    pub state: Option<Word>,
}

impl DocumentFilter {
    pub(super) fn check(&self, states: &[&str]) -> Result<(), Problem> {
        match &self.state {
            Some(state) if !states.contains(&state.0.as_str()) => {
                Err(parameter("state", &format!("must be one of {}", states.join(", "))))
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn takes(&self, state: &str) -> bool {
        self.state.as_ref().is_none_or(|wanted| wanted.0 == state)
    }
}

/// Charge a customer.
#[utoipa::path(post, path = "/v1/books/{book}/charges", tag = "charges",
    params(("book" = String, Path), IdempotencyHeader), request_body = ChargeForm,
    responses((status = 201, body = ChargeJson), (status = "default", body = ProblemJson)))]
pub async fn create(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: JsonBody,
) -> Result<Response, Problem> {
    let operation = body.read(ChargeForm::operation).await?;
    app.write_in(path.book()?, key, operation).await
}

/// Void a charge that nothing was applied to, credited or recognised of.
#[utoipa::path(post, path = "/v1/books/{book}/charges/{id}/void", tag = "charges",
    params(("book" = String, Path), ("id" = String, Path), IdempotencyHeader), request_body = VoidChargeForm,
    responses((status = 200, body = ChargeJson), (status = "default", body = ProblemJson)))]
pub async fn void(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: MaybeForm<VoidChargeForm>,
) -> Result<Response, Problem> {
    let id = path.document()?;
    let operation = body
        .read(move |form| {
            let details = details(form.effective_date, form.description, form.metadata);
            Ok(Operation::VoidCharge(VoidCharge { id, details }))
        })
        .await?;
    app.write_in(path.book()?, key, operation).await
}

/// One charge, with what is open of it now.
#[utoipa::path(get, path = "/v1/books/{book}/charges/{id}", tag = "charges",
    params(("book" = String, Path), ("id" = String, Path), ReadQuery),
    responses((status = 200, body = ChargeJson), (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>, path: PathArgs, query: Read<Nothing>) -> Result<Response, Problem> {
    let id = path.document()?;
    app.read_book(query.fresh, path.book()?, move |app, names| {
        let found = app.look(|view| {
            let charge = view.charge(names.book.id, &id)?;
            let open = documents::open(view, names, &charge);
            Some((charge, open))
        });
        let (charge, open) =
            found.ok_or_else(|| Problem::not_found(format!("there is no charge {id} in book {}", names.book.code)))?;
        Ok(ChargeJson::of(&charge, open, names, app.moments().of(charge.decided)))
    })
    .await
}

/// The charges of a book, by id.
#[utoipa::path(get, path = "/v1/books/{book}/charges", tag = "charges",
    params(("book" = String, Path), DocumentFilter, ReadQuery, PageQuery),
    responses((status = 200, body = ListJson<ChargeJson>), (status = "default", body = ProblemJson)))]
pub async fn list(State(app): State<App>, path: PathArgs, query: List<DocumentFilter>) -> Result<Response, Problem> {
    let List { fresh, page, own } = query;
    own.check(&STATES)?;
    let after = page.cursor.as_deref().map(CoreDocumentId::new).transpose().map_err(|_error| bad_cursor())?;
    app.read_book(fresh, path.book()?, move |app, names| {
        let mut moments = app.moments();
        documents::collect(page.limit, after, |after, limit| {
            let charges = app.view(|view| {
                let customer = own.customer.as_ref().map(|party| &party.0);
                let charges = view.charges(names.book.id, customer, after, limit)?;
                Ok(charges
                    .into_iter()
                    .map(|charge| {
                        let open = documents::open(view, names, &charge);
                        (charge, open)
                    })
                    .collect::<Vec<_>>())
            });
            let shown = charges.into_iter().map(|(charge, open)| {
                let takes = own.takes(state(&charge, open));
                let json = takes.then(|| ChargeJson::of(&charge, open, names, moments.of(charge.decided)));
                (charge.id, json)
            });
            shown.collect()
        })
    })
    .await
}
