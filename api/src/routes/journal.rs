//! The feed: every decision in order, one JSON object a line, of all books.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use partita_core::decision::{Decision, Outcome};
use partita_core::document::Snapshot;
use partita_core::id::Position;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::entries::EntryJson;
use crate::answer::{self, DocumentJson};
use crate::app::{App, blocking, source, with_position};
use crate::problem::{Problem, ProblemJson};
use crate::query::{Read, ReadQuery, parameter};
use crate::values::{Word, format_instant};

/// Decisions read at one time.
const CHUNK: usize = 500;
const CHUNK_BYTES: usize = 512 << 10;
/// An empty line is sent when nothing was decided for this long, so that neither side takes the other for dead.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Where the feed begins and ends.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FeedQuery {
    /// Decisions after this position; from the first if left out.
    #[param(value_type = Option<u64>)]
    pub after_position: Option<Word>,
    /// `true`: go on with new decisions as they come; an empty line every ten seconds without one.
    #[param(value_type = Option<bool>)]
    pub follow: Option<Word>,
    /// End after this many decisions.
    #[param(value_type = Option<u64>)]
    pub limit: Option<Word>,
}

/// A document as a decision left it, with its kind.
#[derive(Debug, Serialize, ToSchema)]
pub struct FeedDocumentJson {
    /// book, currency, account, hold, charge, payment, refund
    pub r#type: &'static str,
    #[schema(value_type = Object)]
    pub document: DocumentJson,
}

/// One line of the feed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Decision)]
pub struct DecisionJson {
    pub position: u64,
    pub recorded_at: String,
    /// Null: the cluster's own, such as opening a book.
    pub book: Option<String>,
    /// Null: the ledger's own decision, such as an expiry.
    pub idempotency_key: Option<String>,
    pub posted_by: Option<String>,
    pub operation: &'static str,
    /// accepted or refused
    pub outcome: &'static str,
    /// Of what was accepted: the entries that it posted.
    pub entries: Vec<EntryJson>,
    /// Of what was accepted: every document that it changed, as it left them.
    pub documents: Vec<FeedDocumentJson>,
    /// Of what was refused: the problem.
    #[schema(value_type = Option<ProblemJson>)]
    pub problem: Option<serde_json::Map<String, serde_json::Value>>,
}

fn document_type(snapshot: &Snapshot) -> &'static str {
    match snapshot {
        Snapshot::Hold(_) => "hold",
        Snapshot::Charge { .. } => "charge",
        Snapshot::Payment { .. } => "payment",
        Snapshot::Refund(_) => "refund",
        Snapshot::Book(_) => "book",
        Snapshot::Currency(_) => "currency",
        Snapshot::Account(_) => "account",
        Snapshot::Calendar(_) => "calendar",
        Snapshot::Period(_) => "period",
        Snapshot::Rate(_) => "rate",
        Snapshot::Recognised(_) => "recognised",
        Snapshot::RecognitionRun(_) => "recognition_run",
        Snapshot::Valuation(_) => "fx_position",
        Snapshot::YearClose(_) => "year_close",
    }
}

fn line(app: &App, decision: &Decision) -> DecisionJson {
    let names = app.directory().book(decision.book);
    let whose = source(decision);
    let (outcome, entries, documents, problem) = match &decision.outcome {
        Outcome::Accepted(effects) => {
            let entries = effects.entries.iter().map(|entry| {
                let names = names.as_ref().expect("entries belong to a book");
                EntryJson::of(entry, names, whose, None)
            });
            let documents = effects.snapshots.iter().map(|snapshot| FeedDocumentJson {
                r#type: document_type(snapshot),
                document: answer::document(app, decision, snapshot),
            });
            ("accepted", entries.collect(), documents.collect(), None)
        }
        Outcome::Refused(rejection) => {
            ("refused", vec![], vec![], Some(answer::refused(app, decision, rejection).body()))
        }
    };
    DecisionJson {
        position: decision.position.0,
        recorded_at: format_instant(decision.recorded_at),
        book: names.as_ref().map(|names| names.book.code.to_string()),
        idempotency_key: whose.key.map(ToOwned::to_owned),
        posted_by: whose.actor.map(ToOwned::to_owned),
        operation: answer::operation_name(decision.operation),
        outcome,
        entries,
        documents,
        problem,
    }
}

/// A reader's place in the feed.
struct Feed {
    app: App,
    next: Position,
    follow: bool,
    left: u64,
    stopping: tokio::sync::watch::Receiver<bool>,
}

impl Feed {
    /// The next lines; `None` at the end.
    async fn lines(&mut self) -> Option<Bytes> {
        loop {
            if self.left == 0 || *self.stopping.borrow() {
                return None;
            }
            let (app, next) = (self.app.clone(), self.next);
            let limit = usize::try_from(self.left).unwrap_or(CHUNK).min(CHUNK);
            let read = blocking(move || {
                let decisions = app.past(|reader| reader.decisions(next, limit, CHUNK_BYTES));
                let mut lines = vec![];
                for decision in &decisions {
                    serde_json::to_writer(&mut lines, &line(&app, decision)).expect("a decision's form is JSON");
                    lines.push(b'\n');
                }
                (decisions.last().map(|last| last.position), decisions.len(), lines)
            });
            if let (Some(last), count, lines) = read.await {
                self.next = last.next();
                self.left = self.left.saturating_sub(u64::try_from(count).expect("a chunk's size fits"));
                return Some(lines.into());
            }
            if !self.follow {
                return None;
            }
            let node = self.app.node();
            tokio::select! {
                arrived = node.wait_position(self.next, Instant::now() + HEARTBEAT) => {
                    if arrived.is_err() {
                        return Some(Bytes::from_static(b"\n"));
                    }
                }
                _stop = self.stopping.wait_for(|stopping| *stopping) => return None,
            }
        }
    }
}

fn number(name: &str, text: Option<&Word>) -> Result<Option<u64>, Problem> {
    text.map(|text| text.0.parse().map_err(|_error| parameter(name, "must be a whole number"))).transpose()
}

/// Every decision in order, of all books, as NDJSON.
#[utoipa::path(get, path = "/v1/journal", tag = "journal", params(FeedQuery, ReadQuery),
    responses((status = 200, body = DecisionJson, content_type = "application/x-ndjson",
        description = "One decision a line; empty lines are heartbeats."), (status = "default", body = ProblemJson)))]
pub async fn feed(State(app): State<App>, query: Read<FeedQuery>) -> Result<Response, Problem> {
    let after = number("after_position", query.own.after_position.as_ref())?.unwrap_or(0);
    let left = number("limit", query.own.limit.as_ref())?.unwrap_or(u64::MAX);
    let follow = match query.own.follow.as_ref().map(|follow| follow.0.as_str()) {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(parameter("follow", "must be true or false")),
    };
    let next = after.checked_add(1).ok_or_else(|| parameter("after_position", "is too large"))?;
    app.freshen(query.fresh, App::deadline()).await?;
    let position = app.reader().position();
    // Without follow the feed ends where the journal ended when it was asked for.
    let left = if follow { left } else { left.min(position.0.saturating_sub(after)) };
    let feed = Feed { stopping: app.stopping(), app, next: Position(next), follow, left };
    let lines = stream::unfold(feed, |mut feed| async move {
        let lines = feed.lines().await?;
        Some((Ok::<_, Infallible>(lines), feed))
    });
    let content_type = HeaderValue::from_static("application/x-ndjson");
    let response = ([(header::CONTENT_TYPE, content_type)], Body::from_stream(lines)).into_response();
    Ok(with_position(response, position))
}
