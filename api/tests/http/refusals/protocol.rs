//! What HTTP refuses: headers, bounds, routes and parameters.

use axum::body::Body;
use axum::http::Request;

use super::{Undecided, entry, line};
use crate::support::Ledger;

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "a list to read from top to bottom")]
async fn what_http_refuses_leaves_no_trace() {
    let ledger = Ledger::with_book().await;
    let mut check = Undecided { ledger: &ledger, text: String::new(), count: 0 };
    let body = || entry(&[line("debit", "1.00"), line("credit", "1.00")]);
    let post = |path: &str| Request::post(path).header("content-type", "application/json");

    check.send("no key", post("/v1/books/acme/entries").body(Body::from(body())).unwrap()).await;
    check
        .send(
            "no key for an atomic batch",
            post("/v1/books/acme/entries:batch")
                .body(Body::from(format!(r#"{{"atomic":true,"entries":[{}]}}"#, body())))
                .unwrap(),
        )
        .await;
    check
        .send(
            "an empty key",
            post("/v1/books/acme/entries").header("idempotency-key", "").body(Body::from(body())).unwrap(),
        )
        .await;
    check
        .send(
            "a key of 256 characters",
            post("/v1/books/acme/entries").header("idempotency-key", "k".repeat(256)).body(Body::from(body())).unwrap(),
        )
        .await;
    check
        .send(
            "a key with a space",
            post("/v1/books/acme/entries").header("idempotency-key", "a b").body(Body::from(body())).unwrap(),
        )
        .await;
    check
        .send(
            "two keys",
            post("/v1/books/acme/entries")
                .header("idempotency-key", "a")
                .header("idempotency-key", "b")
                .body(Body::from(body()))
                .unwrap(),
        )
        .await;
    check
        .send(
            "an unknown book",
            post("/v1/books/nope/entries").header("idempotency-key", "a").body(Body::from(body())).unwrap(),
        )
        .await;
    check.send("a book that cannot be one", Request::get("/v1/books/NOPE").body(Body::empty()).unwrap()).await;
    check
        .send(
            "another content type",
            Request::post("/v1/books/acme/entries")
                .header("idempotency-key", "a")
                .header("content-type", "text/plain")
                .body(Body::from(body()))
                .unwrap(),
        )
        .await;
    check
        .send(
            "no content type",
            Request::post("/v1/books/acme/entries").header("idempotency-key", "a").body(Body::from(body())).unwrap(),
        )
        .await;
    let mut padded = body().into_bytes();
    padded.resize((16 << 20) + 1, b' ');
    check
        .send(
            "a body one byte above its bound",
            post("/v1/books/acme/entries").header("idempotency-key", "a").body(Body::from(padded.clone())).unwrap(),
        )
        .await;
    let announced =
        post("/v1/books/acme/entries").header("idempotency-key", "a").header("content-length", padded.len());
    check.send("announced one byte above its bound", announced.body(Body::empty()).unwrap()).await;
    check.send("an unknown route", Request::get("/v2").body(Body::empty()).unwrap()).await;
    check.send("another method", Request::delete("/v1/books/acme").body(Body::empty()).unwrap()).await;
    for (title, path) in [
        ("an unknown parameter", "/v1/books/acme?color=red"),
        ("a parameter twice", "/v1/books/acme?consistency=local&consistency=local"),
        ("another consistency", "/v1/books/acme?consistency=eventual"),
        ("a position that is none", "/v1/books/acme?min_position=-1"),
        ("a limit of zero", "/v1/books?limit=0"),
        ("a limit of 1,001", "/v1/books?limit=1001"),
        ("a cursor that is none", "/v1/books/acme/charges?cursor=%21"),
        ("a state that is none", "/v1/books/acme/charges?state=lost"),
        ("an unknown account", "/v1/books/acme/accounts/assets:gold"),
        ("an unknown entry", "/v1/books/acme/entries/99"),
        ("an entry that cannot be one", "/v1/books/acme/entries/first"),
        ("an unknown hold", "/v1/books/acme/holds/h_1"),
        ("an unknown charge", "/v1/books/acme/charges/in_1"),
        ("an unknown payment", "/v1/books/acme/payments/pay_1"),
        ("an unknown refund", "/v1/books/acme/refunds/re_1"),
        ("an unknown party", "/v1/books/acme/parties/cus_1"),
        ("an unknown key", "/v1/books/acme/keys/k"),
        ("a balance of a party where there are none", "/v1/books/acme/accounts/assets:bank/balance?party=cus_1"),
        ("postings of a party where there are none", "/v1/books/acme/accounts/assets:bank/postings?party=cus_1"),
        ("another list's cursor", "/v1/books/acme/accounts/assets:receivable/postings?cursor=aW5fMQ"),
        ("a date that is none", "/v1/books/acme/reports/trial-balance?as_of=tomorrow"),
        (
            "a period that ends before it begins",
            "/v1/books/acme/reports/trial-balance?as_of=2026-01-01&from=2026-01-02",
        ),
    ] {
        check.send(title, Request::get(path).body(Body::empty()).unwrap()).await;
    }
    assert_eq!(check.count, 36);
    // A body of exactly the bound is read.
    padded.truncate(16 << 20);
    ledger.post_text("/v1/books/acme/entries", "exactly", padded).await.expect(201);
    insta::assert_snapshot!(check.text);
    ledger.close().await;
}
