//! What was decided for an idempotency key.

use axum::extract::State;
use axum::response::Response;
use partita_core::id::{BookId, Key};
use partita_core::state::Read as _;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::{self, Body, Rendered};
use crate::app::App;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{Nothing, Read, ReadQuery};
use crate::values::format_instant;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyDecision)]
pub struct KeyJson {
    pub position: u64,
    pub recorded_at: String,
    /// The first answer's.
    pub status: u16,
    /// The operation's name, such as create_charge.
    pub operation: &'static str,
    /// The first answer's body.
    #[schema(value_type = Object)]
    pub answer: Body,
}

fn decided(app: &App, scope: BookId, key: &Key) -> Result<KeyJson, Problem> {
    let record = app.look(|view| view.key(scope, key)).ok_or_else(|| {
        let detail = format!("nothing was decided for the key {key} so far; that does not prove that nothing will be");
        Problem::not_found(detail)
    })?;
    let decision = app.decision(record.position);
    let Rendered { status, body } = answer::render(app, &decision);
    Ok(KeyJson {
        position: decision.position.0,
        recorded_at: format_instant(decision.recorded_at),
        status: status.as_u16(),
        operation: answer::operation_name(decision.operation),
        answer: body,
    })
}

/// What was decided for a key of a book. 404 does not prove that nothing will be: after outcome_unknown send it again.
#[utoipa::path(get, path = "/v1/books/{book}/keys/{key}", tag = "keys",
    params(("book" = String, Path), ("key" = String, Path), ReadQuery),
    responses((status = 200, body = KeyJson), (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>, path: PathArgs, query: Read<Nothing>) -> Result<Response, Problem> {
    let key = path.key()?;
    app.read_book(query.fresh, path.book()?, move |app, names| decided(app, names.book.id, &key)).await
}

/// The same for the keys of `POST /v1/books`, which belong to no book.
#[utoipa::path(get, path = "/v1/keys/{key}", tag = "keys",
    params(("key" = String, Path), ReadQuery),
    responses((status = 200, body = KeyJson), (status = "default", body = ProblemJson)))]
pub async fn get_cluster(State(app): State<App>, path: PathArgs, query: Read<Nothing>) -> Result<Response, Problem> {
    let key = path.key()?;
    app.read(query.fresh, move |app| decided(app, BookId::CLUSTER, &key)).await
}
