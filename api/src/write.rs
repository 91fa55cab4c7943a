//! The way of a write: key, book, stamp, proposal, answer.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use partita_core::decision::{Answer, Decision, Outcome};
use partita_core::id::{BookCode, Key, Position};
use partita_core::operation::Operation;
use partita_core::wellformed::Malformed;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use crate::answer::{self, Rendered, posted_entry};
use crate::app::{App, blocking, json, read_problem, unknown_book, with_position};
use crate::batch::{Batch, ResultJson};
use crate::body::{Form, JsonBody};
use crate::names::Names;
use crate::problem::{Code, Problem};
use crate::results::{BinaryResults, JsonResults, Results};
use crate::routes::charges::check_rate;
use crate::stamp;
use partita_consensus::{EncodedCommands, Shortage, SubmitError};

const KEY_HEADER: &str = "idempotency-key";
/// Space becomes free when somebody makes it.
const SHORT_OF_DISK_SECONDS: u32 = 10;
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Answers of a batch above these are written on a thread for blocking work, so that they hold up nobody else's request.
const MANY_ANSWERS: usize = 1_000;

/// The header of every single write.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "documents the header that IdempotencyKey is read from")]
pub struct IdempotencyHeader {
    /// 1 to 255 characters 0x21–0x7E, unique per book for the life of the journal. The same key with the same
    /// content gives the first answer again, with `Idempotent-Replayed: true`.
    #[param(rename = "Idempotency-Key", required = true, min_length = 1, max_length = 255)]
    idempotency_key: String,
}

/// The key of a single write.
#[derive(Clone, Debug)]
pub struct IdempotencyKey(pub Key);

impl IdempotencyKey {
    fn find(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(KEY_HEADER).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let refuse = |what: &str| Err(Problem::malformed(format!("the header Idempotency-Key {what}")));
        if values.next().is_some() {
            return refuse("stands there twice");
        }
        match Key::new(value.to_str().unwrap_or_default()) {
            Ok(key) => Ok(Some(Self(key))),
            Err(error) => refuse(&error.to_string()),
        }
    }
}

pub(crate) fn key_missing() -> Problem {
    let detail = "the header Idempotency-Key is missing: without it a retry could post twice";
    Problem::new(Code::IdempotencyKeyMissing, detail)
}

impl FromRequestParts<App> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Problem> {
        Self::find(&parts.headers)?.ok_or_else(key_missing)
    }
}

impl OptionalFromRequestParts<App> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Option<Self>, Problem> {
        Self::find(&parts.headers)
    }
}

/// The body of an action that needs nothing said; it may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmptyForm {}

/// A form that may be left out altogether.
#[derive(Debug)]
pub struct MaybeForm<Form> {
    body: Option<JsonBody>,
    form: std::marker::PhantomData<fn() -> Form>,
}

impl<Form> FromRequest<App> for MaybeForm<Form> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let headers = request.headers();
        let is_empty = match headers.get(header::CONTENT_LENGTH) {
            Some(length) => length == "0",
            // HTTP/2 needs no length: a body without one has a type.
            None => !headers.contains_key(header::TRANSFER_ENCODING) && !headers.contains_key(header::CONTENT_TYPE),
        };
        let body = if is_empty { None } else { Some(JsonBody::from_request(request, app).await?) };
        Ok(Self { body, form: std::marker::PhantomData })
    }
}

impl<Form: DeserializeOwned + Default + Send + 'static> MaybeForm<Form> {
    pub(crate) async fn read<T: Send + 'static>(
        self,
        convert: impl FnOnce(Form) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        match self.body {
            None => convert(Form::default()),
            Some(body) => body.read(convert).await,
        }
    }
}

impl App {
    /// A write in a book.
    pub(crate) async fn write_in(
        &self,
        book: BookCode,
        key: IdempotencyKey,
        operation: Operation,
    ) -> Result<Response, Problem> {
        let names = self.find_book(&book).await?;
        check_rate(&operation, &names)?;
        self.write(Some(&names), key, operation).await
    }

    /// A write in a book or, without one, in the cluster's own scope.
    pub(crate) async fn write(
        &self,
        names: Option<&Arc<Names>>,
        key: IdempotencyKey,
        operation: Operation,
    ) -> Result<Response, Problem> {
        self.write_as(Form::Json, names, key, operation).await
    }

    /// The same; the answer of a batch of transfers may be wanted in its binary form.
    async fn write_as(
        &self,
        form: Form,
        names: Option<&Arc<Names>>,
        IdempotencyKey(key): IdempotencyKey,
        operation: Operation,
    ) -> Result<Response, Problem> {
        let deadline = Self::deadline();
        let command = one(names.map(|names| &**names), key, operation)?;
        let answers = self.submit(command, deadline).await?;
        let answer = answers.into_iter().next().expect("one answer a command");
        let app = self.clone();
        match answer {
            // No table is read for it but names, which are kept: it need not leave this thread.
            Answer::Decided(decision) => {
                let began = std::time::Instant::now();
                let response = respond(&app, form, &decision, false);
                self.stages().answer.record(began.elapsed().as_secs_f64());
                Ok(response)
            }
            Answer::Replayed { position } => {
                Ok(blocking(move || respond(&app, form, &app.decision(position), true)).await)
            }
            Answer::KeyReused { position } => {
                let reused = key_reused(position).into_response();
                Ok(with_position(reused, self.reader().position()))
            }
        }
    }

    /// One command of a request that may take several: its decision, and whether it had been decided before.
    pub(crate) async fn decide(
        &self,
        names: &Arc<Names>,
        key: Key,
        operation: Operation,
        deadline: Instant,
    ) -> Result<(Arc<Decision>, bool), Problem> {
        let answers = self.submit(one(Some(names), key, operation)?, deadline).await?;
        match answers.into_iter().next().expect("one answer a command") {
            Answer::Decided(decision) => Ok((decision, false)),
            Answer::Replayed { position } => {
                let app = self.clone();
                Ok((Arc::new(blocking(move || app.decision(position)).await), true))
            }
            Answer::KeyReused { position } => Err(key_reused(position)),
        }
    }

    /// Many writes in a book, each with its own key, or one of many entries.
    pub(crate) async fn write_batch(
        &self,
        book: BookCode,
        key: Option<IdempotencyKey>,
        batch: Batch,
        form: Form,
    ) -> Result<Response, Problem> {
        let (names, commands) = match batch {
            Batch::Encoded(names, commands) => (names, commands),
            Batch::Atomic(operation) => {
                let names = self.find_book(&book).await?;
                return self.write_as(form, Some(&names), key.ok_or_else(key_missing)?, *operation).await;
            }
            Batch::Each(items) => {
                let names = self.find_book(&book).await?;
                let book = Arc::clone(&names);
                let commands = blocking(move || {
                    let head = stamp::head(Some(&book));
                    let mut commands = EncodedCommands::for_about(items.len());
                    items
                        .into_iter()
                        .try_for_each(|(key, operation)| commands.push(&head, key, operation))
                        .map(|()| commands)
                });
                (names, commands.await.map_err(malformed)?)
            }
        };
        let answers = self.submit(commands, Self::deadline()).await?;
        let is_plain = |answer: &Answer| matches!(answer, Answer::Decided(_));
        if answers.len() <= MANY_ANSWERS && answers.iter().all(is_plain) {
            return Ok(results(self, form, &names, &answers));
        }
        let app = self.clone();
        Ok(blocking(move || results(&app, form, &names, &answers)).await)
    }

    /// Unknown here may still be known to the cluster: only after a barrier it is not found.
    pub(crate) async fn find_book(&self, code: &BookCode) -> Result<Arc<Names>, Problem> {
        if let Some(names) = self.directory().find(code) {
            return Ok(names);
        }
        self.node().barrier(Self::deadline()).await.map_err(read_problem)?;
        self.directory().find(code).ok_or_else(|| unknown_book(code))
    }

    async fn submit(&self, commands: EncodedCommands, deadline: Instant) -> Result<Vec<Answer>, Problem> {
        self.stages().commands.record(u32::try_from(commands.len()).unwrap_or(u32::MAX));
        self.node().submit_encoded(commands, deadline).await.map_err(submit_problem)
    }
}

/// The command of a single write.
fn one(names: Option<&Names>, key: Key, operation: Operation) -> Result<EncodedCommands, Problem> {
    let mut command = EncodedCommands::for_about(1);
    command.push(&stamp::head(names), key, operation).map_err(malformed)?;
    Ok(command)
}

pub(crate) fn malformed(malformed: Malformed) -> Problem {
    submit_problem(SubmitError::Malformed(malformed))
}

/// Why commands have no answer, as their caller is told.
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err asks for")]
pub fn submit_problem(error: SubmitError) -> Problem {
    match error {
        SubmitError::NoLeader => Problem::new(Code::NoLeader, "no leader is known; nothing was proposed"),
        SubmitError::Overloaded { retry_after } => {
            let seconds = u32::try_from(retry_after.as_secs()).unwrap_or(u32::MAX).max(1);
            Problem::new(Code::Overloaded, "too much is waiting; nothing was proposed").retry_after(seconds)
        }
        SubmitError::ShortOfDisk(Shortage { free_bytes, needed_bytes }) => {
            let mebibytes = |bytes: u64| bytes >> 20;
            let detail = format!(
                "the disk is short: {} MiB are free, {} MiB are needed; nothing was proposed",
                mebibytes(free_bytes),
                mebibytes(needed_bytes)
            );
            Problem::new(Code::Overloaded, detail).retry_after(SHORT_OF_DISK_SECONDS)
        }
        SubmitError::ShuttingDown => {
            Problem::new(Code::ShuttingDown, "this node is shutting down; nothing was proposed")
        }
        SubmitError::Malformed(malformed) => Problem::malformed(malformed.to_string()),
        SubmitError::OutcomeUnknown => {
            let detail = "it is not known whether this was decided; send it again with the same key";
            Problem::new(Code::OutcomeUnknown, detail)
        }
    }
}

fn respond(app: &App, form: Form, decision: &Decision, replayed: bool) -> Response {
    let reflects = if replayed { app.reader().position() } else { decision.position };
    let mut is_problem = false;
    let mut response = match (form, &decision.outcome) {
        (Form::Binary, Outcome::Accepted(effects)) => {
            let names = app.names(decision.book);
            let decided = Some((decision.position, decision.recorded_at));
            let mut results = BinaryResults::new(&names, effects.entries.len(), decided);
            effects.entries.iter().for_each(|entry| results.posted(entry, decision.position));
            written(results)
        }
        (Form::Json, _) | (Form::Binary, Outcome::Refused(_)) => {
            let Rendered { status, body } = answer::render(app, decision);
            is_problem = status.is_client_error();
            json(status, &body)
        }
    };
    let headers = response.headers_mut();
    if is_problem {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    }
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    with_position(response, reflects)
}

/// The answer to a request that took several commands; `decision` is the last one's.
pub(crate) fn answered(app: &App, decision: &Decision, body: &impl serde::Serialize, replayed: bool) -> Response {
    let reflects = if replayed { app.reader().position() } else { decision.position };
    let mut response = json(StatusCode::OK, body);
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    with_position(response, reflects)
}

fn key_reused(position: Position) -> Problem {
    let detail = format!("the idempotency key was used before, for a request with other content (position {position})");
    Problem::new(Code::IdempotencyKeyReused, detail).with("decided_at", position.0)
}

/// What became of the items of a batch.
fn results(app: &App, form: Form, names: &Names, answers: &[Answer]) -> Response {
    match form {
        Form::Json => results_as::<JsonResults<'_>>(app, names, answers),
        Form::Binary => results_as::<BinaryResults<'_>>(app, names, answers),
    }
}

fn results_as<'a, R: Results<'a>>(app: &App, names: &'a Names, answers: &[Answer]) -> Response {
    let position = app.node().position();
    let began = std::time::Instant::now();
    let mut results = R::new(names, answers.len(), None);
    for answer in answers {
        match answer {
            Answer::Decided(decision) => match posted_entry(decision) {
                Some(entry) => results.posted(entry, decision.position),
                None => results.other(&answer::result(app, decision, false)),
            },
            Answer::Replayed { position } => results.other(&answer::result(app, &app.decision(*position), true)),
            Answer::KeyReused { position } => {
                let problem = key_reused(*position);
                results.other(&ResultJson {
                    status: "rejected",
                    code: Some(problem.code()),
                    fields: problem.fields().clone(),
                    ..ResultJson::default()
                });
            }
        }
    }
    let response = with_position(written(results), position);
    app.stages().answer.record(began.elapsed().as_secs_f64());
    response
}

fn written<'a, R: Results<'a>>(results: R) -> Response {
    (StatusCode::OK, [(header::CONTENT_TYPE, R::CONTENT_TYPE)], results.finish()).into_response()
}
