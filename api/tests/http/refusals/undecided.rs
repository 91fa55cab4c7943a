//! What could not be decided, and what nobody knows: how the caller is told.

use axum::body::{Body, Bytes};
use axum::http::Request;
use axum::response::IntoResponse as _;
use futures::stream::{self, StreamExt as _};
use partita_api::write::submit_problem;
use partita_consensus::{Shortage, SubmitError};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant};

use crate::support::Ledger;

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
            SubmitError::ShortOfDisk(Shortage { free_bytes: 700 << 20, needed_bytes: 1_088 << 20 }),
            503,
            Some("10"),
            "overloaded",
            "The server is overloaded",
            "the disk is short: 700 MiB are free, 1088 MiB are needed; nothing was proposed",
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

#[tokio::test]
async fn a_node_that_stops_says_so_and_decides_nothing() {
    let ledger = Ledger::with_book().await;
    let transfer = json!({"debit": "assets:bank", "credit": "equity:capital", "amount": "1.00", "currency": "USD"});
    let before = ledger.position();
    ledger.app.node().shutdown(Instant::now() + Duration::from_secs(60)).await;
    let answer = ledger.post("/v1/books/acme/transfers", "late", &transfer).await;
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(
        answer.expect(503),
        json!({"type": "/errors/shutting_down", "title": "The server is shutting down", "status": 503,
            "detail": "this node is shutting down; nothing was proposed", "code": "shutting_down"})
    );
    assert_eq!(ledger.position(), before);
}

/// Sixteen bodies of the greatest size that never end fill the memory for bodies; the next caller is told at once.
#[tokio::test]
async fn bodies_beyond_the_memory_for_them_are_refused() {
    let ledger = Ledger::with_book().await;
    let (before, head) = (ledger.position(), ledger.head().await);
    let (taken, mut all_taken) = mpsc::channel::<()>(16);
    let mut held = vec![];
    for n in 0..16 {
        // The end of a body is asked for only when all of it was taken.
        let taken = taken.clone();
        let end = stream::once(async move {
            taken.send(()).await.expect("the test waits for it");
            std::future::pending::<Result<Bytes, std::io::Error>>().await
        });
        let body = stream::iter([Ok(Bytes::from(vec![b' '; 16 << 20]))]).chain(end);
        let request = Request::post("/v1/books/acme/transfers")
            .header("content-type", "application/json")
            .header("idempotency-key", format!("held-{n}"))
            .body(Body::from_stream(body))
            .expect("a request");
        let routes = ledger.routes.clone();
        held.push(tokio::spawn(tower::ServiceExt::oneshot(routes, request)));
    }
    for _ in 0..16 {
        all_taken.recv().await.expect("each body is taken");
    }
    let transfer = json!({"debit": "assets:bank", "credit": "equity:capital", "amount": "1.00", "currency": "USD"});
    let answer = ledger.post("/v1/books/acme/transfers", "k", &transfer).await;
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(
        answer.expect(503),
        json!({"type": "/errors/overloaded", "title": "The server is overloaded", "status": 503, "code": "overloaded",
            "detail": "the bodies of other requests fill the memory set aside for them"})
    );
    assert_eq!((ledger.position(), ledger.head().await), (before, head));
    for request in held {
        request.abort();
        assert!(request.await.expect_err("it was ended").is_cancelled());
    }
    ledger.post("/v1/books/acme/transfers", "k", &transfer).await.expect(201);
    ledger.close().await;
}
