//! The routes as their users meet them: money through its life, batches, lists, looking back, the feed, the document.

use axum::body::Body;
use axum::http::Request;
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::{Duration, timeout};

use crate::support::Ledger;

fn charge(id: &str, customer: &str, amount: &str, date: &str) -> Value {
    json!({"id": id, "customer": customer, "currency": "USD", "revenue": "revenue:subscription", "amount": amount,
        "effective_date": date})
}

fn transfer(amount: &str, date: &str) -> Value {
    json!({"debit": "assets:bank", "credit": "liabilities:customer-prepaid/cus_1", "amount": amount, "currency": "USD",
        "effective_date": date})
}

#[tokio::test]
async fn a_charge_is_paid_and_refunded_to_the_cent() {
    let ledger = Ledger::with_book().await;
    let tax = json!([{"jurisdiction": "us-ca", "amount": "8.25"}]);
    let mut body = charge("in_1", "cus_1", "108.25", "2026-01-02");
    body["tax"] = tax;
    let made = ledger.made("charges", "c", body.clone()).await;
    assert_eq!(
        made,
        json!({"id": "in_1", "customer": "cus_1", "state": "open", "currency": "USD", "amount": "108.25", "tax": "8.25",
            "open": "108.25", "credited": "0.00", "due_date": null, "effective_date": "2026-01-02", "rate": null,
            "description": "", "metadata": {}, "lines": [{"revenue": "revenue:subscription", "amount": "108.25",
            "tax": [{"jurisdiction": "us-ca", "amount": "8.25", "refunded": "0.00"}], "defer": null}],
            "payments": [], "refunds": [], "entries": [1], "position": 2})
    );
    let paid = ledger
        .made("payments", "p", json!({"id": "pay_1", "customer": "cus_1", "processor": "stripe", "amount": "150.00",
            "currency": "USD", "apply": [{"charge": "in_1", "amount": "150.00"}], "fee": "3.44", "effective_date": "2026-01-03"}))
        .await;
    assert_eq!(
        (&paid["applied"], &paid["unapplied"], &paid["refundable"]),
        (&json!("108.25"), &json!("41.75"), &json!("150.00"))
    );
    let first = ledger
        .made(
            "refunds",
            "r1",
            json!({"id": "re_1", "payment": "pay_1", "amount": "54.13",
        "from": [{"charge": "in_1", "amount": "54.13"}], "effective_date": "2026-01-04"}),
        )
        .await;
    assert_eq!(first["from"], json!([{"charge": "in_1", "unapplied": false, "amount": "54.13", "tax": "4.13"}]));
    let second = ledger
        .made(
            "refunds",
            "r2",
            json!({"id": "re_2", "payment": "pay_1", "amount": "95.87",
        "settle": "manual", "effective_date": "2026-01-05"}),
        )
        .await;
    assert_eq!(second["state"], "pending");
    assert_eq!(
        second["from"],
        json!([{"charge": null, "unapplied": true, "amount": "41.75", "tax": "0.00"},
        {"charge": "in_1", "unapplied": false, "amount": "54.12", "tax": "4.12"}])
    );
    let settled = ledger.made("refunds/re_2/settle", "r2s", json!({})).await;
    assert_eq!(settled["state"], "succeeded");
    // What was decided then stays what is answered for its key.
    let replay = ledger.post("/v1/books/acme/charges", "c", &body).await;
    assert!(replay.replayed());
    assert_eq!(replay.position(), ledger.position());
    assert_eq!(replay.expect(201), made);
    let now = ledger.get("/v1/books/acme/charges/in_1").await.expect(200);
    assert_eq!((&now["state"], &now["open"], &now["credited"]), (&json!("paid"), &json!("0.00"), &json!("108.25")));
    let party = ledger.get("/v1/books/acme/parties/cus_1").await.expect(200);
    assert_eq!(party["items"], json!([]), "nothing is open");
    assert_eq!(party["charges"], json!([now]));
    assert_eq!(party["refunds"].as_array().unwrap().len(), 2);
    let trial = ledger.get("/v1/books/acme/reports/trial-balance?as_of=2026-01-03").await.expect(200);
    assert_eq!(trial["totals"][0]["debit"], "150.00");
    assert_eq!(trial["totals"][0]["debit"], trial["totals"][0]["credit"]);
    let failed = ledger.made("refunds/re_2/fail", "r2f", json!({})).await;
    assert_eq!(failed["state"], "failed");
    let payment = ledger.get("/v1/books/acme/payments/pay_1").await.expect(200);
    assert_eq!((&payment["refunded"], &payment["refundable"]), (&json!("54.13"), &json!("95.87")));
    ledger.close().await;
}

#[tokio::test]
async fn holds_and_authorisations_are_captured_in_parts() {
    let ledger = Ledger::with_book().await;
    ledger
        .made(
            "holds",
            "h",
            json!({"id": "h_1", "debit": "assets:bank", "credit": "liabilities:customer-prepaid/cus_1",
        "amount": "10.00", "currency": "USD", "expires_at": "2200-01-01T00:00:00Z"}),
        )
        .await;
    let balance =
        ledger.get("/v1/books/acme/accounts/liabilities:customer-prepaid/balance?party=cus_1").await.expect(200);
    assert_eq!(
        balance,
        json!({"account": "liabilities:customer-prepaid", "party": "cus_1", "item": null, "side": "credit",
        "as_of": null, "known_at": null, "balances": [{"currency": "USD", "debits": "0.00", "credits": "0.00",
        "balance": "0.00", "pending_debits": "0.00", "pending_credits": "10.00", "held": "0.00", "available": "0.00"}]})
    );
    let part = ledger.made("holds/h_1/capture", "h1", json!({"amount": "4.00", "final": false})).await;
    assert_eq!(
        (&part["state"], &part["captured"], &part["pending"]),
        (&json!("partially_captured"), &json!("4.00"), &json!("6.00"))
    );
    let request = Request::post("/v1/books/acme/holds/h_1/void").header("idempotency-key", "hv");
    let voided = ledger.send(request.body(Body::empty()).unwrap()).await.expect(200);
    assert_eq!(
        (&voided["state"], &voided["pending"], &voided["entries"]),
        (&json!("captured"), &json!("0.00"), &json!([1]))
    );

    let payment = json!({"id": "pay_1", "customer": "cus_1", "processor": "stripe", "amount": "20.00", "currency": "USD",
        "capture": "manual", "expires_at": "2200-01-01T00:00:00Z"});
    assert_eq!(ledger.made("payments", "p", payment).await["state"], "authorised");
    let clearing = "/v1/books/acme/accounts/assets:processor-clearing/balance";
    assert_eq!(ledger.get(clearing).await.expect(200)["balances"][0]["pending_debits"], "20.00");
    let captured = ledger.made("payments/pay_1/capture", "pc", json!({"amount": "15.00", "fee": "0.50"})).await;
    assert_eq!(
        (&captured["state"], &captured["captured"], &captured["fees"]),
        (&json!("captured"), &json!("15.00"), &json!("0.50"))
    );
    ledger.made("charges", "c", charge("in_1", "cus_1", "10.00", "2026-01-01")).await;
    let apply = json!({"apply": [{"charge": "in_1", "amount": "10.00"}]});
    assert_eq!(ledger.made("payments/pay_1/apply", "pa", apply.clone()).await["unapplied"], "5.00");
    assert_eq!(ledger.made("payments/pay_1/unapply", "pu", apply).await["unapplied"], "15.00");
    assert_eq!(
        ledger.made("payments/pay_1/fees", "pf", json!({"amount": "0.20", "returned": true})).await["fees"],
        "0.30"
    );
    let listed = ledger.get("/v1/books/acme/payments?customer=cus_1&state=captured").await.expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    ledger.close().await;
}

#[tokio::test]
async fn batches_decide_each_on_its_own_or_all_as_one() {
    let ledger = Ledger::with_book().await;
    let keyed = |key: &str, amount: &str| {
        let mut item = transfer(amount, "2026-01-01");
        item["idempotency_key"] = json!(key);
        item
    };
    let mut bad = keyed("c", "1.00");
    bad["debit"] = json!("assets:gold");
    let batch = json!({"transfers": [keyed("a", "1.00"), bad.clone(), keyed("a", "1.0"), keyed("b", "2.00")]});
    let answer = ledger.post("/v1/books/acme/transfers:batch", "ignored", &batch).await;
    assert_eq!(answer.position(), 4);
    assert_eq!(
        answer.expect(200),
        json!({"results": [
        {"status": "posted", "number": 1, "position": 2, "balances": ["1.00", "1.00"]},
        {"status": "rejected", "position": 3, "code": "unknown_account", "account": "assets:gold"},
        {"status": "replayed", "number": 1, "position": 2},
        {"status": "posted", "number": 2, "position": 4, "balances": ["3.00", "3.00"]}]})
    );
    // A single item equals the same item in a batch.
    let single = ledger.post("/v1/books/acme/transfers", "b", &transfer("2.00", "2026-01-01")).await;
    assert!(single.replayed());
    let again = ledger.post("/v1/books/acme/transfers:batch", "ignored", &json!({"transfers": [bad]})).await;
    assert_eq!(
        again.expect(200),
        json!({"results": [
        {"status": "replayed", "position": 3, "code": "unknown_account", "account": "assets:gold"}]})
    );

    let entry = |amount: &str| {
        json!({"lines": [
        {"account": "assets:bank", "side": "debit", "amount": amount, "currency": "USD"},
        {"account": "assets:input-tax", "party": "us-ca", "side": "credit", "amount": amount, "currency": "USD"}]})
    };
    let atomic = json!({"atomic": true, "entries": [entry("1.00"), entry("2.00")]});
    let one = ledger.post("/v1/books/acme/entries:batch", "atomic", &atomic).await;
    let expected = json!({"position": 5, "results": [
        {"status": "posted", "number": 3, "position": 5, "balances": ["4.00", "-1.00"]},
        {"status": "posted", "number": 4, "position": 5, "balances": ["6.00", "-3.00"]}]});
    assert_eq!(one.clone().expect(200), expected);
    let replay = ledger.post("/v1/books/acme/entries:batch", "atomic", &atomic).await;
    assert!(replay.replayed());
    assert_eq!(replay.text, one.text);
    let reversal = ledger.made("entries/4/reverse", "rev", json!({"effective_date": "2026-02-01"})).await;
    assert_eq!(
        (&reversal["kind"], &reversal["reverses"], &reversal["number"]),
        (&json!("reversal"), &json!(4), &json!(5))
    );
    assert_eq!(ledger.get("/v1/books/acme/entries/4").await.expect(200)["reversed_by"], 5);
    ledger.close().await;
}

#[tokio::test]
async fn lists_go_on_where_they_stopped() {
    let ledger = Ledger::with_book().await;
    for number in 0..7 {
        let customer = if number % 2 == 0 { "even" } else { "odd" };
        let body = charge(&format!("in_{number}"), customer, "1.00", "2026-01-01");
        ledger.made("charges", &format!("k{number}"), body).await;
    }
    for (query, expected) in [
        ("charges?limit=2", vec!["in_0", "in_1", "in_2", "in_3", "in_4", "in_5", "in_6"]),
        ("charges?limit=1&customer=even", vec!["in_0", "in_2", "in_4", "in_6"]),
        ("charges?limit=3&customer=odd&state=open", vec!["in_1", "in_3", "in_5"]),
        ("charges?limit=3&state=paid", vec![]),
    ] {
        let (mut found, mut next) = (vec![], String::new());
        for _page in 0..20 {
            let page = ledger.get(&format!("/v1/books/acme/{query}{next}")).await.expect(200);
            found.extend(
                page["data"].as_array().unwrap().iter().map(|document| document["id"].as_str().unwrap().to_owned()),
            );
            match page["next"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(found, expected, "{query}");
    }
    let page = ledger
        .get("/v1/books/acme/entries?after=2&limit=3&kind=charge&from=2026-01-01&to=2026-01-01")
        .await
        .expect(200);
    let numbers: Vec<_> =
        page["data"].as_array().unwrap().iter().map(|entry| entry["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [3, 4, 5]);
    assert!(page["next"].is_string());
    let accounts = ledger.get("/v1/books/acme/accounts?class=equity").await.expect(200);
    assert!(accounts["data"].as_array().unwrap().iter().all(|account| account["class"] == "equity"));
    assert!(!accounts["data"].as_array().unwrap().is_empty());
    assert_eq!(ledger.get("/v1/books").await.expect(200)["data"][0]["id"], "acme");
    ledger.close().await;
}

#[tokio::test]
async fn balances_are_known_as_of_dates_and_instants() {
    let ledger = Ledger::with_book().await;
    ledger.made("transfers", "a", transfer("1.00", "2026-01-01")).await;
    let second = ledger.post("/v1/books/acme/transfers", "b", &transfer("2.00", "2026-03-01")).await;
    let known: Value = serde_json::from_str(&second.text).unwrap();
    let known = known["recorded_at"].as_str().unwrap();
    // Later, but effective earlier.
    ledger.made("transfers", "c", transfer("4.00", "2026-02-01")).await;
    let balance = |account: &'static str, query: String| {
        let ledger = &ledger;
        async move {
            let path = format!("/v1/books/acme/accounts/{account}/balance?{query}");
            ledger.get(&path).await.expect(200)["balances"][0]["balance"].clone()
        }
    };
    let prepaid = "liabilities:customer-prepaid";
    for (query, expected) in [
        (String::new(), "7.00"),
        ("as_of=2026-02-15".to_owned(), "5.00"),
        ("as_of=2026-01-31".to_owned(), "1.00"),
        (format!("known_at={known}"), "3.00"),
        (format!("known_at={known}&as_of=2026-02-15"), "1.00"),
    ] {
        for (account, party) in [("assets:bank", ""), (prepaid, ""), (prepaid, "&party=cus_1")] {
            assert_eq!(
                balance(account, format!("{query}{party}").trim_start_matches('&').to_owned()).await,
                expected,
                "{account} {query}{party}"
            );
        }
    }
    let trial = ledger
        .get(&format!("/v1/books/acme/reports/trial-balance?as_of=2026-02-15&from=2026-02-01&known_at={known}"))
        .await
        .expect(200);
    assert_eq!((&trial["position"], &trial["last_entry"]), (&json!(3), &json!(2)));
    assert_eq!(
        trial["rows"],
        json!([
        {"account": "assets:bank", "number": "1010", "name": "Bank", "class": "asset", "currency": "USD", "opening_debit": "1.00",
         "opening_credit": null, "debits": "0.00", "credits": "0.00", "debit": "1.00", "credit": null},
        {"account": prepaid, "number": "2210", "name": "Customer prepaid (wallet)", "class": "liability", "currency": "USD", "opening_debit": null,
         "opening_credit": "1.00", "debits": "0.00", "credits": "0.00", "debit": null, "credit": "1.00"}])
    );
    let newest = ledger.get("/v1/books/acme/accounts/assets:bank/postings?limit=2").await.expect(200);
    let shown: Vec<_> = newest["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|posting| (posting["amount"].clone(), posting["balance_after"].clone()))
        .collect();
    assert_eq!(shown, [(json!("4.00"), json!("7.00")), (json!("2.00"), json!("3.00"))]);
    let cursor = newest["next"].as_str().unwrap();
    let rest =
        ledger.get(&format!("/v1/books/acme/accounts/assets:bank/postings?limit=2&cursor={cursor}")).await.expect(200);
    assert_eq!(
        (rest["data"].as_array().unwrap().len(), &rest["data"][0]["amount"], &rest["next"]),
        (1, &json!("1.00"), &Value::Null)
    );
    let oldest = ledger
        .get(&format!("/v1/books/acme/accounts/{prepaid}/postings?party=cus_1&order=oldest&to=2026-02-01"))
        .await
        .expect(200);
    let amounts: Vec<_> =
        oldest["data"].as_array().unwrap().iter().map(|posting| posting["amount"].as_str().unwrap()).collect();
    assert_eq!(amounts, ["1.00", "4.00"]);
    // A control account's, through all of its parties.
    let mut body = transfer("8.00", "2026-03-01");
    body["credit"] = json!("liabilities:customer-prepaid/cus_2");
    ledger.made("transfers", "d", body).await;
    for (order, expected) in
        [("newest", ["8.00", "4.00", "2.00", "1.00"]), ("oldest", ["1.00", "2.00", "4.00", "8.00"])]
    {
        let (mut found, mut next) = (vec![], String::new());
        for _page in 0..5 {
            let path = format!("/v1/books/acme/accounts/{prepaid}/postings?order={order}&limit=3{next}");
            let page = ledger.get(&path).await.expect(200);
            found.extend(
                page["data"].as_array().unwrap().iter().map(|posting| posting["amount"].as_str().unwrap().to_owned()),
            );
            match page["next"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(found, expected, "{order}");
    }
    for format in ["csv", "text"] {
        let report =
            ledger.get(&format!("/v1/books/acme/reports/trial-balance?as_of=2026-12-31&format={format}")).await;
        assert!(report.text.contains("assets:bank") && report.text.contains("15.00"), "{}", report.text);
    }
    ledger.close().await;
}

#[tokio::test]
async fn the_feed_has_every_decision_in_order_and_follows() {
    let ledger = Ledger::with_book().await;
    ledger.made("charges", "c", charge("in_1", "cus_1", "1.00", "2026-01-01")).await;
    ledger.post("/v1/books/acme/charges", "d", &charge("in_1", "cus_1", "1.00", "2026-01-01")).await.expect(409);
    let feed = ledger.get("/v1/journal").await;
    let lines: Vec<Value> = feed.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown: Vec<_> = lines
        .iter()
        .map(|line| {
            (line["position"].as_u64().unwrap(), line["operation"].as_str().unwrap(), line["outcome"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        shown,
        [(1, "open_book", "accepted"), (2, "create_charge", "accepted"), (3, "create_charge", "refused")]
    );
    assert_eq!(lines[1]["entries"][0]["lines"].as_array().unwrap().len(), 2);
    assert_eq!(lines[1]["documents"][0]["document"]["id"], "in_1");
    assert_eq!(lines[2]["problem"]["code"], "already_exists");
    assert_eq!(lines[2]["idempotency_key"], "d");
    assert!(
        lines[0]["documents"].as_array().unwrap().len() > 20,
        "the chart belongs to the decision that opened the book"
    );

    let request = Request::get("/v1/journal?after_position=3&follow=true&limit=2").body(Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(ledger.routes.clone(), request).await.unwrap();
    let mut stream = response.into_body().into_data_stream();
    for (position, key) in [(4, "e"), (5, "f")] {
        ledger.made("transfers", key, transfer("1.00", "2026-01-01")).await;
        let chunk = timeout(Duration::from_secs(30), stream.next()).await.expect("a line in time").unwrap().unwrap();
        let line: Value = serde_json::from_slice(&chunk).unwrap();
        assert_eq!((line["position"].clone(), line["idempotency_key"].clone()), (json!(position), json!(key)));
    }
    assert!(timeout(Duration::from_secs(30), stream.next()).await.expect("the end in time").is_none());
    let limited = ledger.get("/v1/journal?after_position=1&limit=1").await;
    assert_eq!(limited.text.lines().count(), 1);
    assert_eq!(ledger.get("/v1/journal?after_position=99").await.text, "");
    ledger.close().await;
}

#[tokio::test]
async fn reads_wait_for_the_position_that_they_are_asked_for() {
    let ledger = Ledger::with_book().await;
    let written = ledger.post("/v1/books/acme/transfers", "a", &transfer("1.00", "2026-01-01")).await;
    for consistency in ["local", "linearizable"] {
        let path = format!("/v1/books/acme?consistency={consistency}&min_position={}", written.position());
        assert!(ledger.get(&path).await.position() >= written.position());
    }
    let late = ledger.get("/v1/books/acme?min_position=1000").await;
    assert_eq!(late.headers["retry-after"], "1");
    let problem = late.expect(503);
    assert_eq!((&problem["code"], &problem["reached"]), (&json!("position_not_reached"), &json!(2)));
    ledger.close().await;
}

/// Two requests with one key at the same time: one is decided, the other gets its answer or is refused as reused.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_key_is_decided_once_however_many_ask() {
    let ledger = Ledger::with_book().await;
    let (mut conflicts, mut replays) = (0, 0);
    for round in 0..50 {
        let key = format!("k{round}");
        let (one, two) = (transfer("1.00", "2026-01-01"), transfer("2.00", "2026-01-01"));
        let (a, b, c) = tokio::join!(
            ledger.post("/v1/books/acme/transfers", &key, &one),
            ledger.post("/v1/books/acme/transfers", &key, &two),
            ledger.post("/v1/books/acme/transfers", &key, &one),
        );
        let decided: Vec<_> =
            [&a, &b, &c].into_iter().filter(|answer| answer.status == 201 && !answer.replayed()).collect();
        assert_eq!(decided.len(), 1, "round {round}: {a:?} {b:?} {c:?}");
        for answer in [&a, &b, &c] {
            if answer.status == 201 {
                assert_eq!(answer.text, decided[0].text);
                replays += usize::from(answer.replayed());
            } else {
                assert_eq!(answer.body()["code"], "idempotency_key_reused");
                conflicts += 1;
            }
        }
        assert_eq!(ledger.position(), round + 2, "one decision a round");
    }
    assert!(conflicts >= 50, "{conflicts} conflicts, {replays} replays");
    ledger.close().await;
}

#[tokio::test]
async fn the_document_describes_every_route() {
    let ledger = Ledger::start().await;
    let document = ledger.get("/openapi.json").await;
    assert_eq!(document.headers["content-type"], "application/json");
    let document: Value = serde_json::from_str(&document.text).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut routes = vec![];
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            routes.push(format!("{} {path}", method.to_uppercase()));
            assert!(
                operation["summary"].as_str().is_some_and(|text| !text.is_empty()),
                "{method} {path} says what it does"
            );
            // What changes the cluster is no decision of the ledger, and a question is none.
            let needs_key = method == "post" && !path.starts_with("/v1/cluster") && !path.ends_with(":query");
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            assert_eq!(
                parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key"),
                needs_key,
                "{method} {path}"
            );
        }
    }
    routes.sort();
    insta::assert_snapshot!(routes.join("\n"));
    let mut count = 0;
    check_references(&document, &document, &mut count);
    assert!(count > 100, "only {count} references");
    let page = ledger.get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("swagger"), "{}", page.text);
    ledger.close().await;
}

/// Every `$ref` leads somewhere.
fn check_references(document: &Value, value: &Value, count: &mut usize) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
                *count += 1;
            }
            members.values().for_each(|member| check_references(document, member, count));
        }
        Value::Array(elements) => elements.iter().for_each(|element| check_references(document, element, count)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn health_and_metrics_answer() {
    partita_api::metrics::install();
    let ledger = Ledger::with_book().await;
    assert_eq!(ledger.get("/livez").await.expect(200), json!({"status": "live"}));
    assert_eq!(ledger.get("/readyz").await.expect(200), json!({"status": "ready"}));
    ledger.made("transfers", "a", transfer("1.00", "2026-01-01")).await;
    let metrics = ledger.get("/metrics").await;
    for name in [
        "partita_http_requests_total{route=\"/v1/books/{book}/transfers\",method=\"POST\",status=\"201\"}",
        "partita_http_request_seconds_bucket",
        "partita_request_commands_bucket",
        "partita_proposal_commands_bucket",
        "partita_log_sync_seconds_bucket",
        "partita_applied_position",
        "partita_queue_commands",
    ] {
        assert!(metrics.text.contains(name), "{name} is missing from\n{}", metrics.text);
    }
    ledger.close().await;
}

#[tokio::test]
async fn keys_of_the_cluster_are_looked_up_without_a_book() {
    let ledger = Ledger::with_book().await;
    let known = ledger.get("/v1/keys/open").await.expect(200);
    assert_eq!(
        (&known["operation"], &known["status"], &known["answer"]["id"]),
        (&json!("open_book"), &json!(201), &json!("acme"))
    );
    assert_eq!(
        ledger.get("/v1/books/acme/keys/open").await.expect(404)["code"],
        "not_found",
        "keys belong to their scope"
    );
    let currency = ledger.made("currencies", "usdc", json!({"code": "USDC", "decimals": 6})).await;
    assert_eq!(currency, json!({"code": "USDC", "decimals": 6, "position": 2}));
    let mut body = transfer("0.000001", "2026-01-01");
    body["currency"] = json!("USDC");
    assert_eq!(ledger.made("transfers", "t", body).await["lines"][0]["balance_after"], "0.000001");
    ledger.close().await;
}

/// Two writers and a reader: every balance is exactly the one after the position that its answer names.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_read_names_the_very_position_that_it_shows() {
    let ledger = Ledger::with_book().await;
    let first = ledger.position();
    let reading = async {
        let mut seen = vec![];
        loop {
            let balance = ledger.get("/v1/books/acme/accounts/equity:capital/balance").await;
            let position = balance.position();
            let body = balance.expect(200);
            let cents = |amount: &Value| amount.as_str().unwrap().replace('.', "").parse::<u64>().unwrap();
            if let Some(found) = body["balances"].get(0) {
                seen.push((position, cents(&found["balance"])));
            }
            let whole = ledger.get("/v1/books/acme/reports/trial-balance").await;
            let position = whole.position();
            if let Some(total) = whole.expect(200)["totals"].get(0) {
                seen.push((position, cents(&total["credit"])));
            }
            if position == first + 400 {
                return seen;
            }
        }
    };
    let writing = |writer: &'static str| {
        let ledger = &ledger;
        async move {
            for n in 0..200 {
                let body =
                    json!({"debit": "assets:bank", "credit": "equity:capital", "amount": "0.01", "currency": "USD"});
                ledger.made("transfers", &format!("{writer}-{n}"), body).await;
            }
        }
    };
    let (seen, (), ()) = tokio::join!(reading, writing("a"), writing("b"));
    assert!(seen.len() > 20, "{} reads are too few", seen.len());
    // Each transfer is one cent and one position.
    for (position, cents) in seen {
        assert_eq!(cents, position - first, "as of position {position}");
    }
    ledger.close().await;
}
