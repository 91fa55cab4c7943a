//! Periods over HTTP: closing in order, dry runs, refusals, seals that hold, reopening.

use serde_json::json;

use crate::support::Ledger;

const MARCH: &str = "/v1/books/acme/periods/2026-03";

async fn with_march() -> Ledger {
    let ledger = Ledger::with_book().await;
    ledger
        .made("charges", "c1", json!({"id": "in_1", "customer": "cus_1", "currency": "USD", "revenue": "revenue:sales", "amount": "100.00", "effective_date": "2026-03-05"}))
        .await;
    ledger
        .made("payments", "p1", json!({"id": "pay_1", "customer": "cus_1", "account": "assets:bank", "amount": "120.00", "currency": "USD", "apply": [{"charge": "in_1", "amount": "100.00"}], "effective_date": "2026-03-09"}))
        .await;
    ledger
}

#[tokio::test]
async fn a_month_is_closed_in_order_and_its_seal_holds() {
    let ledger = with_march().await;
    let post = async |act: &str, key: &str, body| ledger.post(&format!("{MARCH}/{act}"), key, &body).await;
    let open = ledger.get(MARCH).await.expect(200);
    assert_eq!(open["state"], "open");
    assert_eq!([&open["from"], &open["to"]], ["2026-03-01", "2026-03-31"]);
    assert_eq!(open["fiscal_year"], 2026);

    // A dry run is a read: no key, no position, and it says what stands in the way.
    let before = ledger.position();
    let dry = ledger.post_without_key(&format!("{MARCH}/close"), &json!({"dry_run": true})).await.expect(200);
    assert_eq!(dry["ready"], false);
    let kinds: Vec<&str> =
        dry["blockers"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["period_state", "unapplied_cash"]);
    assert_eq!(dry["blockers"][1]["balance"], "20.00");
    assert_eq!(ledger.position(), before);
    assert_eq!(
        ledger.post_without_key(&format!("{MARCH}/close"), &json!({})).await.expect(400)["code"],
        "idempotency_key_missing"
    );

    let soft = post("soft-close", "s1", json!({})).await.expect(200);
    assert_eq!(soft["state"], "soft_closed");
    let refused = post("close", "x1", json!({})).await.expect(422);
    assert_eq!(refused["code"], "period_not_ready");
    assert_eq!(refused["blockers"][0]["kind"], "unapplied_cash");
    let accepting = json!({"accept": ["unapplied_cash"], "dry_run": true});
    assert_eq!(ledger.post_without_key(&format!("{MARCH}/close"), &accepting).await.expect(200)["ready"], true);

    let closed = post("close", "x2", json!({"accept": ["unapplied_cash"]})).await;
    let again = post("close", "x2", json!({"accept": ["unapplied_cash"]})).await;
    assert!(again.replayed() && again.text == closed.text);
    let closed = closed.expect(200);
    let seal = &closed["seal"];
    assert_eq!(seal["as_of"], "2026-03-31");
    assert_eq!(seal["journal_position"], closed["position"].as_u64().unwrap() - 1);
    // The hash is of a text that anybody can make of the balances shown.
    let mut text = "partita trial balance 1\nbook acme\nas of 2026-03-31\n".to_owned();
    for row in seal["balances"].as_array().unwrap() {
        let member = |name: &str| row[name].as_str().unwrap().to_owned();
        text += &format!("{} {} {} {}\n", member("account"), member("currency"), member("debits"), member("credits"));
    }
    assert_eq!(seal["hash"], format!("blake3:{}", blake3::hash(text.as_bytes()).to_hex()));

    let transfer = json!({"debit": "assets:bank", "credit": "equity:capital", "amount": "1.00", "currency": "USD", "effective_date": "2026-03-31"});
    let refused = ledger.post("/v1/books/acme/transfers", "t1", &transfer).await.expect(422);
    assert_eq!(refused["code"], "period_closed");
    assert_eq!([&refused["period"], &refused["state"], &refused["date"]], ["2026-03", "closed", "2026-03-31"]);
    assert_eq!(refused["pointer"], "/effective_date");
    let batch = json!({"atomic": true, "transfers": [{"debit": "assets:bank", "credit": "equity:capital", "amount": "1.00", "currency": "USD", "effective_date": "2026-04-01"}, transfer]});
    let refused = ledger.post("/v1/books/acme/transfers:batch", "t2", &batch).await.expect(422);
    assert_eq!(refused["pointer"], "/transfers/1/effective_date");

    ledger.made("transfers", "t3", json!({"debit": "assets:bank", "credit": "equity:capital", "amount": "1.00", "currency": "USD", "effective_date": "2026-04-01"})).await;
    let read = ledger.get(MARCH).await.expect(200);
    assert_eq!(read["seal"]["holds"], true);
    assert_eq!(read["accepted"], json!(["unapplied_cash"]));

    assert_eq!(post("reopen", "r1", json!({})).await.expect(400)["code"], "malformed");
    let reopened = post("reopen", "r2", json!({"reason": "A late invoice"})).await.expect(200);
    assert_eq!(reopened["state"], "soft_closed");
    assert_eq!([&reopened["reopened"], &reopened["reason"]], [&json!(1), &json!("A late invoice")]);
    assert_eq!(post("reopen", "r2", json!({"reason": "Another"})).await.expect(422)["code"], "idempotency_key_reused");

    let listed = ledger.get("/v1/books/acme/periods?limit=1000").await.expect(200);
    let march = listed["data"].as_array().unwrap().iter().find(|period| period["period"] == "2026-03").unwrap();
    assert_eq!(march["state"], "soft_closed");
    assert_eq!(listed["data"].as_array().unwrap().last().unwrap()["period"], "2026-03");
    ledger.close().await;
}

#[tokio::test]
async fn fiscal_years_begin_with_any_month() {
    let ledger = Ledger::start().await;
    let book = |start| json!({"id": "acme", "functional_currency": "GBP", "fiscal_year_start": start});
    assert_eq!(ledger.post("/v1/books", "b0", &book(13)).await.expect(400)["pointer"], "/fiscal_year_start");
    assert_eq!(ledger.post("/v1/books", "b1", &book(4)).await.expect(201)["fiscal_year_start"], 4);
    assert_eq!(ledger.get("/v1/books/acme").await.expect(200)["fiscal_year_start"], 4);
    let exists = ledger.post("/v1/books", "b2", &book(4)).await.expect(409);
    assert_eq!(exists["existing"]["fiscal_year_start"], 4);
    for (period, year) in [("2026-03", 2026), ("2026-04", 2027)] {
        assert_eq!(ledger.get(&format!("/v1/books/acme/periods/{period}")).await.expect(200)["fiscal_year"], year);
    }
    assert_eq!(ledger.get("/v1/books/acme/periods/2026-13").await.expect(404)["code"], "not_found");
    ledger.close().await;
}
