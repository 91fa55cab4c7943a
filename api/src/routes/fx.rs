//! Foreign currency: rates, conversions, the FX position at its rates, and its revaluation.

use axum::extract::State;
use axum::response::Response;
use partita_core::decision::{Decision, Outcome};
use partita_core::fx::{CannotValue, Rate, Valuation, Valued, value};
use partita_core::id::{CurrencyCode as CoreCurrencyCode, CurrencyId, Role as CoreRole};
use partita_core::operation::{Convert, Operation, RecordRate, Revalue};
use partita_core::resolve::find_currency;
use partita_core::state::Read as _;
use partita_core::time::Date;
use partita_storage::codec::keys::RateKey;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::entries::EntryJson;
use super::{Decided, details};
use crate::app::App;
use crate::body::JsonBody;
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{List, ListJson, Nothing, PageQuery, Read, ReadQuery, bad_cursor};
use crate::stamp::today;
use crate::values::{AccountRef, Amount, CurrencyCode, Day, Description, MetadataValue, Rate as RateValue, Word};
use crate::write::{IdempotencyHeader, IdempotencyKey};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateForm {
    pub base: CurrencyCode,
    /// The FX position is valued with rates whose quote is the book's functional currency.
    pub quote: CurrencyCode,
    /// Units of `quote` for one of `base`.
    pub rate: RateValue,
    /// It counts from this day until the next one's.
    pub date: Day,
    /// Who says so.
    pub source: Word,
}

impl RateForm {
    fn operation(self) -> Result<Operation, Problem> {
        if self.base.0 == self.quote.0 {
            return Err(Problem::malformed("quote: must be another currency than base").at("/quote"));
        }
        Ok(Operation::RecordRate(RecordRate {
            base: self.base.0,
            quote: self.quote.0,
            date: self.date.0,
            rate: self.rate.0,
            source: self.source.0,
        }))
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExchangeRate)]
pub struct RateJson {
    pub base: String,
    pub quote: String,
    pub rate: String,
    pub date: String,
    pub source: String,
    pub position: u64,
    pub recorded_at: String,
}

impl RateJson {
    pub(crate) fn of(rate: &Rate, names: &Names, decided: Decided) -> Self {
        Self {
            base: names.currency_code(rate.base),
            quote: names.currency_code(rate.quote),
            rate: rate.rate.to_string(),
            date: rate.date.to_string(),
            source: rate.source.clone(),
            position: decided.position.0,
            recorded_at: decided.recorded_at(),
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConversionForm {
    /// What is given away leaves it.
    pub from: AccountRef,
    pub amount: Amount,
    pub currency: CurrencyCode,
    /// What is received arrives here.
    pub to: AccountRef,
    /// Net of the fee.
    pub received: Amount,
    pub received_currency: CurrencyCode,
    /// In the currency received.
    pub fee: Option<Amount>,
    pub effective_date: Option<Day>,
    pub description: Option<Description>,
    pub metadata: Option<MetadataValue>,
}

impl ConversionForm {
    fn operation(self) -> Result<Operation, Problem> {
        if self.currency.0 == self.received_currency.0 {
            let detail = "received_currency: must be another currency than the one given";
            return Err(Problem::malformed(detail).at("/received_currency"));
        }
        Ok(Operation::Convert(Convert {
            from: self.from.0,
            amount: self.amount.0,
            currency: self.currency.0,
            to: self.to.0,
            received: self.received.0,
            received_currency: self.received_currency.0,
            fee: self.fee.map(|fee| fee.0),
            details: details(self.effective_date, self.description, self.metadata),
        }))
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevaluationForm {
    /// The date of the rates and of the entry.
    pub date: Day,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ValuedCurrency)]
pub struct ValuedJson {
    pub currency: String,
    /// Debits less credits of the FX position in it.
    pub balance: String,
    pub rate: String,
    pub rate_date: String,
    /// In the functional currency.
    pub value: String,
}

/// The FX position at the rates of a date.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FxPosition)]
pub struct ValuationJson {
    pub date: String,
    pub currency: String,
    pub currencies: Vec<ValuedJson>,
    /// The position's balance in the functional currency, debits less credits.
    pub functional: String,
    /// What is left of both together: zero after a revaluation at the same rates.
    pub difference: String,
    /// The entry that a revaluation posted; empty if nothing was left.
    pub entries: Vec<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<String>,
}

impl ValuationJson {
    fn new(valuation: &Valuation, names: &Names) -> Self {
        let functional = names.book.functional_currency;
        let valued = |valued: &Valued| ValuedJson {
            currency: names.currency_code(valued.currency),
            balance: names.money(valued.balance, valued.currency),
            rate: valued.rate.to_string(),
            rate_date: valued.rate_date.to_string(),
            value: names.money(valued.value, functional),
        };
        Self {
            date: valuation.date.to_string(),
            currency: names.currency_code(functional),
            currencies: valuation.currencies.iter().map(valued).collect(),
            functional: names.money(valuation.functional, functional),
            difference: names.money(valuation.difference, functional),
            entries: vec![],
            position: None,
            recorded_at: None,
        }
    }

    /// As the decision on a revaluation shows it.
    pub(crate) fn of(valuation: &Valuation, names: &Names, decision: &Decision) -> Self {
        let decided = Decided { position: decision.position, recorded_at: decision.recorded_at };
        Self {
            entries: posted(decision),
            position: Some(decided.position.0),
            recorded_at: Some(decided.recorded_at()),
            ..Self::new(valuation, names)
        }
    }
}

/// The numbers of a decision's entries.
pub(crate) fn posted(decision: &Decision) -> Vec<u64> {
    match &decision.outcome {
        Outcome::Accepted(effects) => effects.entries.iter().map(|entry| entry.number.0).collect(),
        Outcome::Refused(_) => vec![],
    }
}

/// Record a rate. One for the same pair and date replaces the one before; the journal keeps both.
#[utoipa::path(post, path = "/v1/books/{book}/rates", tag = "foreign currency",
    params(("book" = String, Path), IdempotencyHeader), request_body = RateForm,
    responses((status = 201, body = RateJson), (status = "default", body = ProblemJson)))]
pub async fn record(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: JsonBody,
) -> Result<Response, Problem> {
    let operation = body.read(RateForm::operation).await?;
    app.write_in(path.book()?, key, operation).await
}

/// The rates of a book, by pair and the newest date first.
#[utoipa::path(get, path = "/v1/books/{book}/rates", tag = "foreign currency",
    params(("book" = String, Path), ReadQuery, PageQuery),
    responses((status = 200, body = ListJson<RateJson>), (status = "default", body = ProblemJson)))]
pub async fn rates(State(app): State<App>, path: PathArgs, query: List<Nothing>) -> Result<Response, Problem> {
    let List { fresh, page, own: _ } = query;
    let after = page.cursor.as_deref().map(rate_cursor).transpose()?;
    app.read_book(fresh, path.book()?, move |app, names| {
        let book = names.book.id;
        let found = app.view(|view| {
            let id = |code: &CoreCurrencyCode| find_currency(view, book, code).map(|currency| currency.id);
            let after = after.as_ref().and_then(|(base, quote, date)| {
                Some(RateKey { book, base: id(base)?, quote: id(quote)?, date: *date })
            });
            view.rates(book, after.as_ref(), page.limit + 1)
        });
        let mut moments = app.moments();
        let shown = found.iter().map(|rate| RateJson::of(rate, names, moments.of(rate.decided))).collect();
        Ok(ListJson::of(shown, page.limit, |rate: &RateJson| format!("{}/{}/{}", rate.base, rate.quote, rate.date)))
    })
    .await
}

fn rate_cursor(text: &str) -> Result<(CoreCurrencyCode, CoreCurrencyCode, Date), Problem> {
    let mut parts = text.split('/');
    let mut code = || CoreCurrencyCode::new(parts.next().unwrap_or_default()).map_err(|_error| bad_cursor());
    let (base, quote) = (code()?, code()?);
    Ok((base, quote, parts.next().and_then(Date::parse).ok_or_else(bad_cursor)?))
}

/// Convert money into another currency.
#[utoipa::path(post, path = "/v1/books/{book}/conversions", tag = "foreign currency",
    params(("book" = String, Path), IdempotencyHeader), request_body = ConversionForm,
    responses((status = 201, body = EntryJson), (status = "default", body = ProblemJson)))]
pub async fn convert(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: JsonBody,
) -> Result<Response, Problem> {
    let operation = body.read(ConversionForm::operation).await?;
    app.write_in(path.book()?, key, operation).await
}

/// Revalue the FX position: what is left of it at a date's rates goes to unrealised gains and losses.
#[utoipa::path(post, path = "/v1/books/{book}/revaluations", tag = "foreign currency",
    params(("book" = String, Path), IdempotencyHeader), request_body = RevaluationForm,
    responses((status = 200, body = ValuationJson), (status = "default", body = ProblemJson)))]
pub async fn revalue(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: JsonBody,
) -> Result<Response, Problem> {
    let operation = body.read(|form: RevaluationForm| Ok(Operation::Revalue(Revalue { date: form.date.0 }))).await?;
    app.write_in(path.book()?, key, operation).await
}

/// Which date the position is valued at.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PositionQuery {
    /// Of the balances and of the rates; today in the book's time zone if left out.
    #[param(value_type = Option<String>)]
    pub date: Option<Day>,
}

/// The FX position at the rates of a date: what a revaluation would find. 404 where a rate is missing.
#[utoipa::path(get, path = "/v1/books/{book}/fx-position", tag = "foreign currency",
    params(("book" = String, Path), PositionQuery, ReadQuery),
    responses((status = 200, body = ValuationJson), (status = "default", body = ProblemJson)))]
pub async fn position(State(app): State<App>, path: PathArgs, query: Read<PositionQuery>) -> Result<Response, Problem> {
    app.read_book(query.fresh, path.book()?, move |app, names| {
        let date = query.own.date.map_or_else(|| today(names), |date| date.0);
        let valuation = valued_at(app, names, date)?;
        Ok(ValuationJson::new(&valuation, names))
    })
    .await
}

fn valued_at(app: &App, names: &Names, date: Date) -> Result<Valuation, Problem> {
    let role = CoreRole::new(partita_core::resolve::role::FX_POSITION).expect("the rules' roles are roles");
    let found = app.look(|view| {
        let position = view.account_by_role(names.book.id, &role)?;
        Some(value(view, names.book.id, names.book.functional_currency, &position, date))
    });
    let missing = |currency: CurrencyId| {
        let (base, quote) = (names.currency_code(currency), names.currency_code(names.book.functional_currency));
        Problem::not_found(format!("there is no rate of {base} in {quote} up to {date}"))
    };
    match found {
        None => Err(Problem::not_found(format!("no open account of book {} has the role {role}", names.book.code))),
        Some(Ok(valuation)) => Ok(valuation),
        Some(Err(CannotValue::RateMissing(currency))) => Err(missing(currency)),
        Some(Err(CannotValue::TooLarge)) => Err(Problem::not_found("the value passes the greatest amount")),
    }
}
