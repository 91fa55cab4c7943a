//! Planting: which bug the environment names, and what those of a node do that is more than a condition
//! ([`partita_core::planted`]).

use std::time::Duration;

use openraft::storage::IOFlushed;
use partita_core::planted::{Bug, ChoiceError, choose, planted};
use partita_storage::engine::TableEngine;
use partita_storage::state::{Checkpointer, Sealed};

use crate::appender::LogRequest;

/// The environment's variable with the name of the bug; unset or empty: none.
const VARIABLE: &str = "PARTITA_PLANTED_BUG";
/// Long enough for a fault to fall into.
const SYNCED_LATER: Duration = Duration::from_millis(50);
const WRITTEN_LATER: Duration = Duration::from_millis(500);

/// Plants the bug that the environment names, if it names one. Called first of all.
pub fn plant() -> Result<Option<Bug>, ChoiceError> {
    match std::env::var(VARIABLE) {
        Ok(name) if !name.is_empty() => choose(&name).map(Some),
        Ok(_) | Err(_) => Ok(None),
    }
}

/// [`Bug::AcknowledgeBeforeSync`].
pub(crate) async fn acknowledge_early(requests: &mut [LogRequest]) {
    if !planted(Bug::AcknowledgeBeforeSync) {
        return;
    }
    for request in requests {
        if let LogRequest::Append { callback, .. } = request {
            std::mem::replace(callback, IOFlushed::noop()).io_completed(Ok(()));
        }
    }
    tokio::time::sleep(SYNCED_LATER).await;
}

/// [`Bug::EntryAppliedTwice`].
pub(crate) async fn balances_first<E: TableEngine>(checkpointer: &Checkpointer<E>, sealed: &Sealed) {
    if planted(Bug::EntryAppliedTwice) {
        checkpointer.write_balances_first(sealed).expect("the store takes what is planted");
        tokio::time::sleep(WRITTEN_LATER).await;
    }
}
