//! What could not be decided, and what nobody knows: how the caller is told.

use axum::response::IntoResponse as _;
use partita_api::write::submit_problem;
use partita_consensus::SubmitError;
use serde_json::{Value, json};

/// Nothing was decided, or nobody knows: the caller is told which, and when to try again.
#[test]
fn what_could_not_be_decided_says_when_to_try_again() {
    let retry = std::time::Duration::from_millis(2_500);
    for (error, status, retry_after, code, title, detail) in [
        (
            SubmitError::NoLeader,
            503,
            Some("1"),
            "no_leader",
            "The cluster has no leader at the moment",
            "no leader is known; nothing was proposed",
        ),
        (
            SubmitError::Overloaded { retry_after: retry },
            503,
            Some("2"),
            "overloaded",
            "The server is overloaded",
            "too much is waiting; nothing was proposed",
        ),
        (
            SubmitError::ShuttingDown,
            503,
            Some("1"),
            "shutting_down",
            "The server is shutting down",
            "this node is shutting down; nothing was proposed",
        ),
        (
            SubmitError::OutcomeUnknown,
            504,
            None,
            "outcome_unknown",
            "The outcome is unknown",
            "it is not known whether this was decided; send it again with the same key",
        ),
    ] {
        let problem = submit_problem(error);
        let expected = json!({"type": format!("/errors/{code}"), "title": title, "status": status, "detail": detail, "code": code});
        assert_eq!(Value::Object(problem.body()), expected);
        let response = problem.into_response();
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.headers().get("retry-after").map(|value| value.to_str().unwrap()), retry_after, "{code}");
    }
}
