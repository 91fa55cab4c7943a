//! A backup: the state of this node as files, in one stream. `partita backup` writes it to a directory and checks it.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use partita_consensus::ExportError;
use partita_consensus::backup::BackupStream;

use crate::app::{App, chain, with_position};
use crate::problem::{Code, Problem, ProblemJson};
use crate::query::{Consistency, Nothing, Read, ReadQuery};

/// The state as files: what `partita backup` writes. Linearizable unless asked otherwise: it has everything that was
/// acknowledged before the request. With `consistency=local` any node gives what it has, without a leader, too.
#[utoipa::path(get, path = "/v1/cluster/backup", tag = "operations", params(ReadQuery),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream",
        description = "The length of the manifest (u32, little-endian), the manifest, the files in its order."),
        (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>, query: Read<Nothing>) -> Result<Response, Problem> {
    // A node that lost its cluster for good is read as it is.
    if query.fresh.consistency == Consistency::Linearizable || query.fresh.min_position.is_some() {
        app.freshen(query.fresh, App::deadline()).await?;
    }
    let exported = app.node().export().await.map_err(|error| export_problem(&error))?;
    let backup = BackupStream::new(exported);
    let (position, length) = (backup.position(), backup.bytes());
    let stopping = app.stopping();
    let pieces = stream::unfold((backup, stopping), |(mut backup, stopping)| async move {
        if *stopping.borrow() {
            return None;
        }
        let piece = backup.next().await?;
        if let Err(error) = &piece {
            tracing::warn!(error = chain(error), "a backup ends early");
        }
        Some((piece, (backup, stopping)))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_LENGTH, HeaderValue::from(length)),
    ];
    Ok(with_position((headers, Body::from_stream(pieces)).into_response(), position))
}

fn export_problem(error: &ExportError) -> Problem {
    match error {
        ExportError::ShuttingDown => Problem::new(Code::ShuttingDown, "this node is shutting down"),
        ExportError::Checkpoint(_) => {
            let said = chain(error);
            tracing::warn!(error = said, "no checkpoint was made for a backup");
            Problem::new(Code::Overloaded, said)
        }
    }
}
