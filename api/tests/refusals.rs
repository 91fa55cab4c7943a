//! Every refusal of the API: the whole problem, and that nothing changed. The snapshots are the list to read.

mod support;

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::Request;
use axum::response::IntoResponse as _;
use partita_api::write::submit_problem;
use partita_consensus::SubmitError;
use serde_json::{Value, json};
use support::{Answer, Ledger};

/// One refusal as the snapshot shows it.
fn show(text: &mut String, title: &str, request: &str, answer: &Answer) {
    let body = serde_json::to_string_pretty(&answer.body()).unwrap();
    writeln!(
        text,
        "## {title}\n{request}\n→ {} {}\n{body}\n",
        answer.status.as_u16(),
        answer.headers["content-type"].to_str().unwrap()
    )
    .unwrap();
}

fn shortened(body: &str) -> String {
    if body.len() <= 300 { body.to_owned() } else { format!("{}… ({} bytes)", &body[..120], body.len()) }
}

/// What is refused before the proposal leaves no trace: no position, the same head.
struct Undecided<'a> {
    ledger: &'a Ledger,
    text: String,
    count: usize,
}

impl Undecided<'_> {
    async fn check(&mut self, title: &str, path: &str, body: impl Into<String>) {
        let body = body.into();
        let (position, head) = (self.ledger.position(), self.ledger.head().await);
        let answer = self.ledger.post_text(path, "undecided", body.clone()).await;
        show(&mut self.text, title, &format!("POST {path} {}", shortened(&body)), &answer);
        self.unchanged(title, &answer, position, &head).await;
    }

    async fn send(&mut self, title: &str, request: Request<Body>) {
        let (position, head) = (self.ledger.position(), self.ledger.head().await);
        let line = format!("{} {}", request.method(), request.uri());
        let answer = self.ledger.send(request).await;
        show(&mut self.text, title, &line, &answer);
        self.unchanged(title, &answer, position, &head).await;
    }

    async fn unchanged(&mut self, title: &str, answer: &Answer, position: u64, head: &str) {
        assert!(answer.status.is_client_error(), "{title}: {}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{title}");
        assert_eq!(answer.position(), position, "{title}: the header");
        assert_eq!(self.ledger.position(), position, "{title}: a position was taken");
        assert_eq!(self.ledger.head().await, head, "{title}: the head moved");
        self.count += 1;
    }
}

fn line(side: &str, amount: &str) -> Value {
    json!({"account": "assets:bank", "side": side, "amount": amount, "currency": "USD"})
}

fn entry(lines: &[Value]) -> String {
    json!({ "lines": lines }).to_string()
}

#[tokio::test]
async fn what_is_malformed_leaves_no_trace() {
    let ledger = Ledger::with_book().await;
    let mut check = Undecided { ledger: &ledger, text: String::new(), count: 0 };
    let entries = "/v1/books/acme/entries";
    let good = [line("debit", "1.00"), line("credit", "1.00")];

    check.check("truncated JSON", entries, r#"{"lines":[{"account":"assets:bank","#).await;
    check.check("not JSON", entries, "lines=1").await;
    check.check("trailing bytes", entries, format!("{} x", entry(&good))).await;
    check.check("duplicate field", entries, r#"{"description":"a","description":"b","lines":[]}"#).await;
    check.check("duplicate metadata", entries, r#"{"metadata":{"a":"1","a":"2"},"lines":[]}"#).await;
    check.check("unknown field", entries, r#"{"lines":[],"linez":[]}"#).await;
    check.check("unknown field of a line", entries, r#"{"lines":[{"account":"assets:bank","sign":1}]}"#).await;
    check.check("missing field", entries, r#"{"lines":[{"account":"assets:bank"}]}"#).await;
    check
        .check(
            "a number as an amount",
            entries,
            entry(&[
                good[0].clone(),
                json!({"account": "assets:bank", "side": "credit", "amount": 1.00, "currency": "USD"}),
            ]),
        )
        .await;
    check.check("no amount", entries, entry(&[line("debit", "1,00"), good[1].clone()])).await;
    check.check("an amount of zero", entries, entry(&[line("debit", "0.00"), good[1].clone()])).await;
    check.check("a negative amount", entries, entry(&[good[0].clone(), line("credit", "-1.00")])).await;
    check
        .check(
            "an amount of 40 digits",
            entries,
            entry(&[line("debit", "1234567890123456789012345678901234567890"), good[1].clone()]),
        )
        .await;
    check
        .check(
            "an amount that would overflow",
            entries,
            entry(&[line("debit", "1000000000000000000"), good[1].clone()]),
        )
        .await;
    check
        .check("an amount of 21 decimals", entries, entry(&[line("debit", "0.123456789012345678901"), good[1].clone()]))
        .await;
    check.check("unbalanced", entries, entry(&[line("debit", "1.00"), line("credit", "0.99")])).await;
    check.check("one line", entries, entry(&good[..1])).await;
    check.check("1,001 lines", entries, entry(&vec![line("debit", "1.00"); 1_001])).await;
    check
        .check(
            "an account that cannot be one",
            entries,
            entry(&[
                good[0].clone(),
                json!({"account": "Assets Bank", "side": "credit", "amount": "1.00", "currency": "USD"}),
            ]),
        )
        .await;
    check.check("a side that is none", entries, entry(&[line("left", "1.00")])).await;
    check.check("a date that is none", entries, r#"{"effective_date":"2026-02-30","lines":[]}"#).await;
    check.check("a control character", entries, r#"{"description":"a\u0007b","lines":[]}"#).await;
    check.check("a control character in metadata", entries, r#"{"metadata":{"a":"b\u0000"},"lines":[]}"#).await;
    check
        .check(
            "a description of 501 characters",
            entries,
            json!({"description": "é".repeat(501), "lines": []}).to_string(),
        )
        .await;
    let pairs: serde_json::Map<_, _> = (0..51).map(|n| (format!("n{n}"), json!("v"))).collect();
    check.check("51 metadata pairs", entries, json!({"metadata": pairs, "lines": []}).to_string()).await;
    check
        .check(
            "a metadata name of 41 characters",
            entries,
            json!({"metadata": {"n".repeat(41): "v"}, "lines": []}).to_string(),
        )
        .await;
    check
        .check(
            "a metadata value of 501 characters",
            entries,
            json!({"metadata": {"n": "v".repeat(501)}, "lines": []}).to_string(),
        )
        .await;

    let charges = "/v1/books/acme/charges";
    let charge = |more: Value| {
        let mut body = json!({"id": "in_1", "customer": "cus_1", "currency": "USD", "revenue": "revenue:subscription", "amount": "10.00"});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body.to_string()
    };
    check
        .check("tax exceeds amount", charges, charge(json!({"tax": [{"jurisdiction": "us-ca", "amount": "10.01"}]})))
        .await;
    check.check("tax exceeds a line's amount", charges, json!({"id": "in_1", "customer": "cus_1", "currency": "USD", "lines": [{"revenue": "revenue:usage", "amount": "1.00", "tax": [{"jurisdiction": "a", "amount": "0.60"}, {"jurisdiction": "b", "amount": "0.41"}]}]}).to_string()).await;
    check.check("lines and flat", charges, charge(json!({"lines": []}))).await;
    check
        .check(
            "neither lines nor flat",
            charges,
            json!({"id": "in_1", "customer": "cus_1", "currency": "USD"}).to_string(),
        )
        .await;
    check.check("101 lines of a charge", charges, json!({"id": "in_1", "customer": "cus_1", "currency": "USD", "lines": vec![json!({"revenue": "revenue:usage", "amount": "1.00"}); 101]}).to_string()).await;
    check
        .check(
            "a deferral that ends before it begins",
            charges,
            charge(json!({"defer": {"from": "2026-02-01", "to": "2026-01-31"}})),
        )
        .await;
    check.check("a rate in the functional currency", charges, charge(json!({"rate": "1.10"}))).await;
    check.check("a rate of zero", charges, charge(json!({"currency": "EUR", "rate": "0.0"}))).await;
    check
        .check(
            "a rate of 29 digits",
            charges,
            charge(json!({"currency": "EUR", "rate": "1.2345678901234567890123456789"})),
        )
        .await;
    check.check("a customer that cannot be one", charges, charge(json!({"customer": "a b"}))).await;

    let payments = "/v1/books/acme/payments";
    let payment = |more: Value| {
        let mut body =
            json!({"id": "pay_1", "customer": "cus_1", "processor": "stripe", "amount": "10.00", "currency": "USD"});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body.to_string()
    };
    check.check("processor and account", payments, payment(json!({"account": "assets:bank"}))).await;
    check.check("neither processor nor account", payments, payment(json!({"processor": null}))).await;
    check.check("a fee with manual capture", payments, payment(json!({"capture": "manual", "fee": "0.30"}))).await;
    check
        .check("automatic capture that expires", payments, payment(json!({"expires_at": "2027-01-01T00:00:00Z"})))
        .await;
    check
        .check(
            "an instant without its zone",
            payments,
            payment(json!({"capture": "manual", "expires_at": "2027-01-01T00:00:00"})),
        )
        .await;
    check
        .check(
            "one charge twice",
            payments,
            payment(json!({"apply": [{"charge": "in_1", "amount": "1.00"}, {"charge": "in_1", "amount": "2.00"}]})),
        )
        .await;
    check.check("nothing to apply", "/v1/books/acme/payments/pay_1/apply", r#"{"apply":[]}"#).await;

    let refunds = "/v1/books/acme/refunds";
    let refund = |from: Value| json!({"id": "re_1", "payment": "pay_1", "amount": "10.00", "from": from}).to_string();
    check.check("parts that are not the sum", refunds, refund(json!([{"unapplied": true, "amount": "9.99"}]))).await;
    check
        .check(
            "a source twice",
            refunds,
            refund(json!([{"charge": "in_1", "amount": "5.00"}, {"charge": "in_1", "amount": "5.00"}])),
        )
        .await;
    check.check("a part of nothing", refunds, refund(json!([{"amount": "10.00"}]))).await;

    check
        .check(
            "a time zone that is none",
            "/v1/books",
            r#"{"id":"b","functional_currency":"USD","time_zone":"Mars/Olympus"}"#,
        )
        .await;
    check.check("19 decimals", "/v1/books/acme/currencies", r#"{"code":"WEI","decimals":19}"#).await;
    check
        .check("no currencies", "/v1/books/acme/accounts", r#"{"code":"a","name":"A","class":"asset","currencies":[]}"#)
        .await;

    let batch = "/v1/books/acme/transfers:batch";
    let transfer = json!({"idempotency_key": "k", "debit": "assets:bank", "credit": "assets:input-tax/x", "amount": "1.00", "currency": "USD"});
    check.check("10,001 items", batch, json!({"transfers": vec![transfer.clone(); 10_001]}).to_string()).await;
    check.check("no items", batch, r#"{"transfers":[]}"#).await;
    let mut bad = transfer.clone();
    bad["amount"] = json!("0");
    check.check("a malformed item", batch, json!({"transfers": [transfer.clone(), bad]}).to_string()).await;
    let mut keyless = transfer.clone();
    keyless.as_object_mut().unwrap().remove("idempotency_key");
    check
        .check("an item without its key", batch, json!({"transfers": [transfer.clone(), keyless.clone()]}).to_string())
        .await;
    check
        .check(
            "an atomic batch's item with a key",
            batch,
            json!({"atomic": true, "transfers": [transfer.clone()]}).to_string(),
        )
        .await;
    check.check("a single transfer with a key inside", "/v1/books/acme/transfers", transfer.to_string()).await;
    let mut four = keyless;
    four["debit"] = json!("assets:bank/a/b/c");
    check.check("an account of four parts", "/v1/books/acme/transfers", four.to_string()).await;

    assert_eq!(check.count, 57);
    insta::assert_snapshot!(check.text);
    ledger.close().await;
}

#[tokio::test]
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

/// What the state machine refuses takes a position and changes nothing else; its key is settled for ever.
struct Decided<'a> {
    ledger: &'a Ledger,
    text: String,
    codes: std::collections::BTreeSet<String>,
}

impl Decided<'_> {
    async fn check(&mut self, code: &str, path: &str, body: Value) {
        let key = format!("refused-{}", self.codes.len());
        let path = format!("/v1/books/acme/{path}");
        let (before, digest) = (self.ledger.position(), self.ledger.digest().await);
        let answer = self.ledger.post(&path, &key, &body).await;
        show(&mut self.text, code, &format!("POST {path} {}", shortened(&body.to_string())), &answer);
        let problem = answer.body();
        assert_eq!(problem["code"], code, "{}", answer.text);
        assert_eq!(problem["status"], answer.status.as_u16());
        assert_eq!(problem["position"], before + 1, "it takes the next position");
        assert_eq!(answer.position(), before + 1);
        assert_eq!(self.ledger.digest().await, digest, "{code}: something changed");

        let again = self.ledger.post(&path, &key, &body).await;
        assert_eq!((again.status, &again.text), (answer.status, &answer.text), "a replay is the first answer");
        assert!(again.replayed() && !answer.replayed());
        assert_eq!(self.ledger.position(), before + 1, "a replay takes no position");
        let known = self.ledger.get(&format!("/v1/books/acme/keys/{key}")).await.expect(200);
        assert_eq!(known["answer"], problem);
        assert_eq!(known["status"], problem["status"]);
        self.codes.insert(code.to_owned());
    }
}

async fn furnish(ledger: &Ledger) {
    let charge = |id: &str, customer: &str, currency: &str, amount: &str| {
        let mut body = json!({"id": id, "customer": customer, "currency": currency, "revenue": "revenue:subscription", "amount": amount, "effective_date": "2026-01-01"});
        if currency != "USD" {
            body["rate"] = json!("1.10");
        }
        body
    };
    ledger.made("charges", "in_1", charge("in_1", "cus_1", "USD", "100.00")).await;
    ledger.made("charges", "in_2", charge("in_2", "cus_2", "USD", "100.00")).await;
    ledger.made("charges", "in_3", charge("in_3", "cus_1", "EUR", "100.00")).await;
    ledger.made("charges", "in_4", charge("in_4", "cus_1", "USD", "5.00")).await;
    ledger.made("charges/in_4/void", "in_4v", json!({})).await;
    ledger.made("payments", "pay_1", json!({"id": "pay_1", "customer": "cus_1", "processor": "stripe", "amount": "60.00", "currency": "USD", "apply": [{"charge": "in_1", "amount": "40.00"}], "effective_date": "2026-01-02"})).await;
    ledger.made("payments", "pay_2", json!({"id": "pay_2", "customer": "cus_1", "processor": "stripe", "amount": "20.00", "currency": "USD", "capture": "manual"})).await;
    ledger.made("payments", "pay_3", json!({"id": "pay_3", "customer": "cus_1", "processor": "stripe", "amount": "20.00", "currency": "USD", "capture": "manual"})).await;
    ledger.made("payments/pay_3/void", "pay_3v", json!({})).await;
    ledger
        .made(
            "refunds",
            "re_1",
            json!({"id": "re_1", "payment": "pay_1", "amount": "1.00", "effective_date": "2026-01-03"}),
        )
        .await;
    ledger.made("holds", "h_1", json!({"id": "h_1", "debit": "assets:bank", "credit": "liabilities:customer-prepaid/cus_1", "amount": "5.00", "currency": "USD"})).await;
    ledger.made("holds/h_1/void", "h_1v", json!({})).await;
    ledger
        .made(
            "accounts",
            "petty",
            json!({"code": "assets:petty-cash", "name": "Petty cash", "class": "asset", "overdraft": "forbid"}),
        )
        .await;
    ledger.made("accounts", "old", json!({"code": "assets:old", "name": "Old", "class": "asset"})).await;
    ledger.made("accounts/assets:old/close", "oldc", json!({})).await;
    let transfer = ledger
        .made(
            "transfers",
            "t_1",
            json!({"debit": "assets:petty-cash", "credit": "assets:bank", "amount": "0.40", "currency": "USD"}),
        )
        .await;
    ledger.made(&format!("entries/{}/reverse", transfer["number"]), "t_1r", json!({})).await;
    ledger
        .made(
            "transfers",
            "t_2",
            json!({"debit": "assets:petty-cash", "credit": "assets:bank", "amount": "0.40", "currency": "USD"}),
        )
        .await;
}

#[tokio::test]
async fn what_the_state_machine_refuses_is_final_and_changes_nothing() {
    let ledger = Ledger::with_book().await;
    furnish(&ledger).await;
    let mut check = Decided { ledger: &ledger, text: String::new(), codes: std::collections::BTreeSet::new() };
    let transfer = |debit: &str, credit: &str, amount: &str, currency: &str| json!({"debit": debit, "credit": credit, "amount": amount, "currency": currency});

    check
        .check(
            "already_exists",
            "charges",
            json!({"id": "in_1", "customer": "cus_9", "currency": "USD", "revenue": "revenue:usage", "amount": "1.00"}),
        )
        .await;
    for (kind, body) in [
        (
            "payments",
            json!({"id": "pay_1", "customer": "cus_9", "account": "assets:bank", "currency": "USD", "amount": "1.00"}),
        ),
        ("refunds", json!({"id": "re_1", "payment": "pay_1", "amount": "0.01"})),
        (
            "holds",
            json!({"id": "h_1", "debit": "assets:bank", "credit": "assets:bank", "amount": "1.00", "currency": "USD"}),
        ),
        ("accounts", json!({"code": "assets:bank", "name": "Bank", "class": "asset"})),
        ("currencies", json!({"code": "EUR", "decimals": 2})),
    ] {
        let answer = ledger.post(&format!("/v1/books/acme/{kind}"), &format!("again-{kind}"), &body).await;
        show(&mut check.text, "already_exists", &format!("POST {kind}"), &answer);
        assert_eq!(answer.expect(409)["code"], "already_exists", "{kind}");
    }
    let first_transfer = ledger.get("/v1/books/acme/keys/t_1").await.expect(200)["answer"]["number"].clone();
    check.check("already_reversed", &format!("entries/{first_transfer}/reverse"), json!({})).await;
    check.check("not_reversible", "entries/1/reverse", json!({})).await;
    check.check("too_many_decimals", "transfers", transfer("assets:bank", "assets:petty-cash", "0.001", "USD")).await;
    check.check("unknown_account", "transfers", transfer("assets:bank", "assets:gold", "1.00", "USD")).await;
    check.check("unknown_currency", "transfers", transfer("assets:bank", "assets:petty-cash", "1.00", "XXY")).await;
    check.check("account_closed", "transfers", transfer("assets:bank", "assets:old", "1.00", "USD")).await;
    check.check("account_not_empty", "accounts/assets:petty-cash/close", json!({})).await;
    check
        .check("party_required", "transfers", transfer("assets:bank", "liabilities:customer-prepaid", "1.00", "USD"))
        .await;
    check
        .check("party_not_allowed", "transfers", transfer("assets:bank/cus_1", "assets:petty-cash", "1.00", "USD"))
        .await;
    check.check("item_required", "transfers", transfer("assets:bank", "assets:receivable/cus_1", "1.00", "USD")).await;
    check
        .check(
            "item_not_allowed",
            "entries",
            json!({"lines": [
        {"account": "assets:bank", "item": "x", "side": "debit", "amount": "1.00", "currency": "USD"},
        {"account": "assets:petty-cash", "side": "credit", "amount": "1.00", "currency": "USD"}]}),
        )
        .await;
    check
        .check("currency_not_allowed", "transfers", transfer("assets:bank", "revenue:subscription", "1.00", "EUR"))
        .await;
    check.check("overdraft", "transfers", transfer("assets:bank", "assets:petty-cash", "0.41", "USD")).await;
    check
        .check(
            "rate_required",
            "charges",
            json!({"id": "in_9", "customer": "cus_1", "currency": "EUR", "revenue": "revenue:usage", "amount": "1.00"}),
        )
        .await;
    check
        .check("unknown_document", "payments/pay_9/apply", json!({"apply": [{"charge": "in_1", "amount": "1.00"}]}))
        .await;
    check
        .check("customer_mismatch", "payments/pay_1/apply", json!({"apply": [{"charge": "in_2", "amount": "1.00"}]}))
        .await;
    check
        .check("currency_mismatch", "payments/pay_1/apply", json!({"apply": [{"charge": "in_3", "amount": "1.00"}]}))
        .await;
    check.check("charge_not_open", "charges/in_4/void", json!({})).await;
    check.check("payment_not_open", "payments/pay_3/capture", json!({})).await;
    check.check("hold_not_open", "holds/h_1/capture", json!({})).await;
    check.check("over_capture", "payments/pay_2/capture", json!({"amount": "20.01"})).await;
    check
        .check("over_application", "payments/pay_1/apply", json!({"apply": [{"charge": "in_1", "amount": "20.01"}]}))
        .await;
    check.check("over_refund", "refunds", json!({"id": "re_9", "payment": "pay_1", "amount": "59.01"})).await;
    let atomic = json!({"atomic": true, "transfers": [transfer("assets:petty-cash", "assets:bank", "1.00", "USD"), transfer("assets:bank", "assets:petty-cash", "9.00", "USD")]});
    check.check("overdraft", "transfers:batch", atomic).await;

    let empty = json!({"id": "bare", "functional_currency": "USD", "chart": "empty"});
    ledger.post("/v1/books", "bare", &empty).await.expect(201);
    let charge =
        json!({"id": "in_1", "customer": "cus_1", "currency": "USD", "revenue": "revenue:usage", "amount": "1.00"});
    let answer = ledger.post("/v1/books/bare/charges", "bare", &charge).await;
    show(&mut check.text, "role_missing", "POST /v1/books/bare/charges", &answer);
    assert_eq!(answer.expect(422)["code"], "role_missing");

    let listed = [
        "already_exists",
        "already_reversed",
        "too_many_decimals",
        "unknown_account",
        "unknown_currency",
        "account_closed",
        "party_required",
        "party_not_allowed",
        "item_required",
        "item_not_allowed",
        "currency_not_allowed",
        "overdraft",
        "not_reversible",
        "rate_required",
        "unknown_document",
        "customer_mismatch",
        "currency_mismatch",
        "charge_not_open",
        "payment_not_open",
        "hold_not_open",
        "over_capture",
        "over_application",
        "over_refund",
    ];
    for code in listed {
        assert!(check.codes.contains(code), "{code} was not tried");
    }
    insta::assert_snapshot!(check.text);
    ledger.close().await;
}

#[tokio::test]
async fn a_reused_key_takes_no_position() {
    let ledger = Ledger::with_book().await;
    let transfer = |amount: &str| json!({"debit": "assets:bank", "credit": "liabilities:customer-prepaid/cus_1", "amount": amount, "currency": "USD"});
    let first = ledger.post("/v1/books/acme/transfers", "k", &transfer("1.0")).await;
    let same = ledger.post("/v1/books/acme/transfers", "k", &transfer("1.00")).await;
    assert_eq!((same.status, &same.text, same.replayed()), (first.status, &first.text, true), "1.0 is 1.00");
    let (digest, head) = (ledger.digest().await, ledger.head().await);
    let other = ledger.post("/v1/books/acme/transfers", "k", &transfer("2.00")).await;
    assert_eq!(other.position(), first.position());
    assert_eq!(
        other.expect(422),
        json!({"type": "/errors/idempotency_key_reused", "title": "The idempotency key was used for another request",
            "status": 422, "code": "idempotency_key_reused", "decided_at": first.position(),
            "detail": "the idempotency key was used before, for a request with other content (position 2)"})
    );
    assert_eq!((ledger.digest().await, ledger.head().await), (digest, head));
    let batch = json!({"transfers": [{"idempotency_key": "k", "debit": "assets:bank", "credit": "liabilities:customer-prepaid/cus_1", "amount": "1", "currency": "USD"},
        {"idempotency_key": "k", "debit": "assets:bank", "credit": "liabilities:customer-prepaid/cus_1", "amount": "3", "currency": "USD"}]});
    let answer = ledger.post("/v1/books/acme/transfers:batch", "ignored", &batch).await.expect(200);
    assert_eq!(
        answer,
        json!({"results": [{"status": "replayed", "number": 1, "position": 2}, {"status": "rejected", "code": "idempotency_key_reused", "decided_at": 2}]})
    );
    ledger.close().await;
}

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
