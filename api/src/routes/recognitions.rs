//! Recognising deferred revenue: one request, as many commands as the deferred items need.
//!
//! Each command is one decision under a key of its own, made from the request's key and from where the command goes
//! on. So a request that is sent again, after an answer or without one, gives the same decisions again and goes on
//! where the first one stopped.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use partita_core::decision::{Decision, Outcome};
use partita_core::document::Snapshot;
use partita_core::id::Key;
use partita_core::operation::{Operation, Recognise};
use partita_core::recognition::{Recognised, RecognisedUpTo, RecognitionRun, deferred_lines};
use partita_core::state::Read as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Decided, metadata_pairs};
use crate::answer::refused;
use crate::app::App;
use crate::body::JsonBody;
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{Nothing, Read, ReadQuery};
use crate::values::{Day, MetadataValue};
use crate::write::{IdempotencyHeader, IdempotencyKey, answered};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecognitionForm {
    /// What is due by the end of this day is recognised; it is the entries' date.
    pub through: Day,
    pub metadata: Option<MetadataValue>,
}

/// What a request, or one command of it, recognised.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecognitionRun)]
pub struct RecognitionRunJson {
    pub through: String,
    /// How many charges something was recognised of: an entry each.
    pub charges: u64,
    /// In the functional currency.
    pub amount: String,
    pub currency: String,
    /// How many commands, each a decision, it took.
    pub commands: u64,
    /// The last one's.
    pub position: u64,
    pub recorded_at: String,
}

impl RecognitionRunJson {
    pub(crate) fn of(run: &RecognitionRun, names: &Names, decided: Decided) -> Self {
        Self {
            through: run.through.to_string(),
            charges: run.charges.into(),
            amount: names.money(run.amount, names.book.functional_currency),
            currency: names.currency_code(names.book.functional_currency),
            commands: 1,
            position: decided.position.0,
            recorded_at: decided.recorded_at(),
        }
    }
}

/// What was recognised of one charge so far.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Recognised)]
pub struct RecognisedJson {
    pub charge: String,
    pub customer: String,
    /// What was put off when it was charged, in the functional currency. Not part of a decision on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deferred: Option<String>,
    pub recognised: String,
    pub currency: String,
    /// The last day that something was recognised through; null if nothing was.
    pub through: Option<String>,
    pub last_entry: Option<u64>,
}

impl RecognisedJson {
    pub(crate) fn of(recognised: &Recognised, deferred: Option<i128>, names: &Names) -> Self {
        let money = |minor| names.money(minor, names.book.functional_currency);
        Self {
            charge: recognised.charge.to_string(),
            customer: recognised.customer.to_string(),
            deferred: deferred.map(money),
            recognised: money(recognised.total()),
            currency: names.currency_code(names.book.functional_currency),
            through: Some(recognised.through.to_string()),
            last_entry: Some(recognised.last_entry.0),
        }
    }
}

/// Recognise what is due of all deferred revenue by the end of a day.
#[utoipa::path(post, path = "/v1/books/{book}/recognitions", tag = "recognition",
    params(("book" = String, Path), IdempotencyHeader), request_body = RecognitionForm,
    responses((status = 200, body = RecognitionRunJson), (status = "default", body = ProblemJson)))]
pub async fn post(
    State(app): State<App>,
    path: PathArgs,
    IdempotencyKey(key): IdempotencyKey,
    body: JsonBody,
) -> Result<Response, Problem> {
    let (through, metadata) =
        body.read(|form: RecognitionForm| Ok((form.through.0, metadata_pairs(form.metadata)))).await?;
    let names = app.find_book(&path.book()?).await?;
    let deadline = App::deadline();
    let mut after: Option<RecognisedUpTo> = None;
    let (mut charges, mut amount, mut commands) = (0u64, 0i128, 0u64);
    let mut all_replayed = true;
    loop {
        let command_key = after.as_ref().map_or_else(|| key.clone(), |after| key_behind(&key, after));
        let operation = Operation::Recognise(Recognise { through, after, metadata: metadata.clone() });
        let (decision, replayed) = app.decide(&names, command_key, operation, deadline).await?;
        all_replayed &= replayed;
        let run = match &decision.outcome {
            // What earlier commands recognised stays; a new key goes on from there.
            Outcome::Refused(rejection) => return Ok(refused(&app, &decision, rejection).into_response()),
            Outcome::Accepted(effects) => {
                effects.snapshots.iter().find_map(run_of).expect("a recognition says how far it got")
            }
        };
        charges += u64::from(run.charges);
        amount += run.amount;
        commands += 1;
        match run.next.clone() {
            Some(next) => after = Some(next),
            None => {
                let total = RecognitionRun { amount, ..run.clone() };
                return Ok(finished(&app, &names, &decision, &total, (charges, commands), all_replayed));
            }
        }
    }
}

fn finished(
    app: &App,
    names: &Arc<Names>,
    decision: &Decision,
    total: &RecognitionRun,
    (charges, commands): (u64, u64),
    replayed: bool,
) -> Response {
    let decided = Decided { position: decision.position, recorded_at: decision.recorded_at };
    let shown = RecognitionRunJson { charges, commands, ..RecognitionRunJson::of(total, names, decided) };
    answered(app, decision, &shown, replayed)
}

fn run_of(snapshot: &Snapshot) -> Option<RecognitionRun> {
    if let Snapshot::RecognitionRun(run) = snapshot { Some(run.clone()) } else { None }
}

/// The key of the command that goes on behind an item: the same whenever the same request is sent again.
fn key_behind(key: &Key, after: &RecognisedUpTo) -> Key {
    let mut hasher = blake3::Hasher::new();
    for text in [key.as_str(), after.customer.as_ref().map_or("", |party| party.as_str()), after.item.as_str()] {
        hasher.update(text.as_bytes());
        // No part has one.
        hasher.update(&[0]);
    }
    let text = format!("recognise:{}", hasher.finalize().to_hex());
    Key::new(&text).expect("hexadecimal digits are a key")
}

/// What was recognised of one charge.
#[utoipa::path(get, path = "/v1/books/{book}/charges/{id}/recognised", tag = "recognition",
    params(("book" = String, Path), ("id" = String, Path), ReadQuery),
    responses((status = 200, body = RecognisedJson), (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>, path: PathArgs, query: Read<Nothing>) -> Result<Response, Problem> {
    let id = path.document()?;
    app.read_book(query.fresh, path.book()?, move |app, names| {
        let found = app.look(|view| {
            let charge = view.charge(names.book.id, &id)?;
            let recognised = view.recognised(names.book.id, &id);
            Some((charge, recognised))
        });
        let (charge, recognised) =
            found.ok_or_else(|| Problem::not_found(format!("there is no charge {id} in book {}", names.book.code)))?;
        let deferred = deferred_lines(&charge, recognised.as_ref()).iter().map(|(_, line)| line.total).sum();
        let money = |minor| names.money(minor, names.book.functional_currency);
        Ok(match recognised {
            Some(recognised) => RecognisedJson::of(&recognised, Some(deferred), names),
            None => RecognisedJson {
                charge: charge.id.to_string(),
                customer: charge.customer.to_string(),
                deferred: Some(money(deferred)),
                recognised: money(0),
                currency: names.currency_code(names.book.functional_currency),
                through: None,
                last_entry: None,
            },
        })
    })
    .await
}
