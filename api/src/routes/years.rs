//! Closing fiscal years: earnings to retained earnings.

use axum::extract::State;
use axum::response::Response;
use partita_core::decision::Decision;
use partita_core::operation::{CloseYear, Operation};
use partita_core::period::YearClose;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fx::posted;
use super::{Decided, metadata_pairs};
use crate::app::App;
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::values::MetadataValue;
use crate::write::{IdempotencyHeader, IdempotencyKey, MaybeForm};

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct YearCloseForm {
    pub metadata: Option<MetadataValue>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Earnings)]
pub struct EarningsJson {
    pub currency: String,
    /// Revenue less expenses.
    pub amount: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = YearClose)]
pub struct YearCloseJson {
    /// Named by the calendar year that it ends in.
    pub year: u16,
    /// The year's last day, which the entries are dated on.
    pub as_of: String,
    /// What went to retained earnings; empty if there was nothing to close.
    pub earnings: Vec<EarningsJson>,
    pub entries: Vec<u64>,
    pub position: u64,
    pub recorded_at: String,
}

impl YearCloseJson {
    pub(crate) fn of(closed: &YearClose, names: &Names, decision: &Decision) -> Self {
        let decided = Decided { position: decision.position, recorded_at: decision.recorded_at };
        let earnings = closed.earnings.iter().map(|(currency, amount)| EarningsJson {
            currency: names.currency_code(*currency),
            amount: names.money(*amount, *currency),
        });
        Self {
            year: closed.year.number(),
            as_of: closed.as_of.to_string(),
            earnings: earnings.collect(),
            entries: posted(decision),
            position: decided.position.0,
            recorded_at: decided.recorded_at(),
        }
    }
}

/// Post a fiscal year's revenue and expenses to retained earnings. All of its periods are soft-closed, the last one not
/// closed; what comes to them later is posted by another closing.
#[utoipa::path(post, path = "/v1/books/{book}/years/{year}/close", tag = "periods",
    params(("book" = String, Path), ("year" = u16, Path), IdempotencyHeader), request_body = YearCloseForm,
    responses((status = 200, body = YearCloseJson), (status = "default", body = ProblemJson)))]
pub async fn close(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: MaybeForm<YearCloseForm>,
) -> Result<Response, Problem> {
    let year = path.year()?;
    let metadata = body.read(|form| Ok(metadata_pairs(form.metadata))).await?;
    app.write_in(path.book()?, key, Operation::CloseYear(CloseYear { year, metadata })).await
}
