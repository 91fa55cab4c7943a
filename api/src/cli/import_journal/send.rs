//! Sending what a file asks for: batches in the file's order, each entry decided on its own.
//!
//! A row that was refused in an earlier run is tried again under a next key made of its own, since a refusal is final
//! for its key; a row that was posted is found under its key and not posted twice. Keys are tried in their order, and
//! the next only after the one before was refused for good, so that no row is ever posted under two.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::proposed::Proposed;
use crate::cli::client::{Client, ClientError, Problem};
use crate::cli::{BookArgs, CliError};

/// Entries of one request.
const BATCH: usize = 500;
/// Their size, well within what one body may have.
const BATCH_BYTES: usize = 4 << 20;

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Posted,
    /// In an earlier run.
    Before,
    /// Of a dry run: nothing was found against it.
    Acceptable,
    Refused {
        code: String,
        why: String,
    },
}

/// A server and a book to post to.
#[derive(Clone, Debug)]
pub struct Target {
    pub client: Client,
    pub book: BookArgs,
    pub patience: Duration,
}

/// A row on its way: its place in the list, and how often it was refused before.
type Pending = Vec<(usize, u32)>;

fn key(proposed: &Proposed, refused: u32) -> String {
    if refused == 0 { proposed.key.clone() } else { format!("{}-again{refused}", proposed.key) }
}

/// What is wrong with one element of a batch: its index, and the pointer from there on.
fn element(problem: &Problem) -> Option<usize> {
    let pointer = problem.fields.get("pointer")?.as_str()?.strip_prefix("/entries/")?;
    pointer.split('/').next()?.parse().ok()
}

impl Target {
    /// One write of its own, such as an account.
    pub async fn write(&self, path: &str, proposed: &Proposed) -> Result<Outcome, CliError> {
        let path = self.book.path(path);
        let body = Bytes::from(proposed.body.to_string());
        let mut refused = 0;
        loop {
            match self.client.post_for(self.patience, &path, &key(proposed, refused), body.clone()).await {
                Ok(answer) if answer.replayed => return Ok(Outcome::Before),
                Ok(_) => return Ok(Outcome::Posted),
                Err(ClientError::Refused(problem)) if problem.replayed => refused += 1,
                Err(ClientError::Refused(problem)) if matches!(problem.status, 400 | 409 | 422) => {
                    return Ok(Outcome::Refused { code: problem.code.clone(), why: problem.detail });
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// All entries; `done` is told of each as it is decided.
    pub async fn entries(
        &self,
        entries: &[Proposed],
        mut done: impl FnMut(&Proposed, Outcome),
    ) -> Result<(), CliError> {
        let mut next = 0;
        let mut sent = 0;
        while next < entries.len() {
            let mut pending = Pending::new();
            let mut bytes = 0;
            while let Some(entry) = entries.get(next).filter(|_| pending.len() < BATCH && bytes < BATCH_BYTES) {
                bytes += entry.body.to_string().len();
                pending.push((next, 0));
                next += 1;
            }
            while !pending.is_empty() {
                let (decided, left) = self.batch(entries, &pending).await.map_err(|source| CliError::Stopped {
                    done: sent,
                    all: entries.len(),
                    source,
                })?;
                sent += decided.len();
                for (index, outcome) in decided {
                    done(&entries[index], outcome);
                }
                pending = left;
            }
        }
        Ok(())
    }

    /// What was decided, and what is to be sent again.
    async fn batch(
        &self,
        entries: &[Proposed],
        pending: &Pending,
    ) -> Result<(Vec<(usize, Outcome)>, Pending), ClientError> {
        let keyed = |&(index, refused): &(usize, u32)| {
            let mut body = entries[index].body.clone();
            body["idempotency_key"] = key(&entries[index], refused).into();
            body
        };
        let body = json!({"entries": pending.iter().map(keyed).collect::<Vec<_>>()});
        let path = self.book.path("/entries:batch");
        // The items have their own keys; the request needs none.
        let first = key(&entries[pending[0].0], pending[0].1);
        match self.client.post_for(self.patience, &path, &first, Bytes::from(body.to_string())).await {
            Ok(answer) => Ok(sort(pending, &self.client.json(&path, &answer)?["results"])),
            // A malformed element refuses the whole request and nothing is decided: the rest is sent without it.
            Err(ClientError::Refused(problem)) if problem.status == 400 => match element(&problem) {
                Some(at) if at < pending.len() => {
                    let mut left = pending.clone();
                    let (index, _) = left.remove(at);
                    let outcome = Outcome::Refused { code: problem.code.clone(), why: problem.detail };
                    Ok((vec![(index, outcome)], left))
                }
                Some(_) | None => Err(ClientError::Refused(problem)),
            },
            Err(error) => Err(error),
        }
    }
}

fn sort(pending: &Pending, results: &Value) -> (Vec<(usize, Outcome)>, Pending) {
    let (mut decided, mut left) = (vec![], vec![]);
    for (&(index, refused), result) in pending.iter().zip(results.as_array().into_iter().flatten()) {
        let is_replay = result["status"] == "replayed";
        match result["code"].as_str() {
            None if is_replay => decided.push((index, Outcome::Before)),
            None => decided.push((index, Outcome::Posted)),
            Some(_) if is_replay => left.push((index, refused + 1)),
            Some(code) => {
                let why = result.as_object().into_iter().flatten();
                let why = why.filter(|(name, _)| !["status", "code", "position"].contains(&name.as_str()));
                let why = why.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ");
                decided.push((index, Outcome::Refused { code: code.to_owned(), why }));
            }
        }
    }
    (decided, left)
}
