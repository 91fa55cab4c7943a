//! Recognition, rates, conversions, revaluation and year close over HTTP.

use serde_json::json;

use crate::support::Ledger;

/// More charges than one command recognises.
const CHARGES: usize = 260;

#[tokio::test]
async fn a_recognition_of_many_charges_takes_several_commands_and_is_one_request() {
    let ledger = Ledger::with_book().await;
    for number in 0..CHARGES {
        let body = json!({"id": format!("in_{number:04}"), "customer": "cus_1", "currency": "USD", "revenue": "revenue:subscription",
            "amount": "365.00", "effective_date": "2026-01-01", "defer": {"from": "2026-01-01", "to": "2026-12-31"}});
        ledger.made("charges", &format!("c{number}"), body).await;
    }
    let before = ledger.position();
    let request = json!({"through": "2026-01-31"});
    let first = ledger.post("/v1/books/acme/recognitions", "r1", &request).await;
    let body = first.clone().expect(200);
    assert_eq!(body["charges"], CHARGES);
    assert_eq!(body["amount"], "8060.00");
    assert_eq!(body["commands"], 2);
    assert_eq!(ledger.position(), before + 2, "one decision a command");
    // The same request is the same commands again; another one finds nothing that is due.
    let again = ledger.post("/v1/books/acme/recognitions", "r1", &request).await;
    assert_eq!((again.status, &again.text, again.replayed()), (first.status, &first.text, true));
    assert_eq!(ledger.position(), before + 2);
    let other = ledger.post("/v1/books/acme/recognitions", "r1", &json!({"through": "2026-02-28"})).await;
    assert_eq!(other.expect(422)["code"], "idempotency_key_reused");
    let nothing = ledger.post("/v1/books/acme/recognitions", "r2", &request).await.expect(200);
    assert_eq!([&nothing["charges"], &nothing["amount"]], [&json!(0), &json!("0.00")]);

    let recognised = ledger.get("/v1/books/acme/charges/in_0259/recognised").await.expect(200);
    assert_eq!([&recognised["deferred"], &recognised["recognised"]], ["365.00", "31.00"]);
    assert_eq!(recognised["through"], "2026-01-31");
    let entry = format!("/v1/books/acme/entries/{}", recognised["last_entry"]);
    let entry = ledger.get(&entry).await.expect(200);
    assert_eq!(
        [&entry["kind"], &entry["effective_date"], &entry["document"]["id"]],
        ["recognition", "2026-01-31", "in_0259"]
    );
    let known = ledger.get("/v1/books/acme/keys/r1").await.expect(200);
    assert_eq!([&known["operation"], &known["answer"]["charges"]], [&json!("recognise"), &json!(250)]);
    assert_eq!(
        ledger.post("/v1/books/acme/charges/in_0001/void", "v1", &json!({})).await.expect(422)["code"],
        "charge_not_open"
    );
    ledger.close().await;
}

#[tokio::test]
async fn euros_are_converted_and_revalued_and_a_year_is_closed() {
    let ledger = Ledger::with_book().await;
    ledger
        .made("charges", "c1", json!({"id": "in_1", "customer": "cus_1", "currency": "EUR", "rate": "1.10", "revenue": "revenue:subscription",
            "amount": "120.00", "tax": [{"jurisdiction": "de", "amount": "20.00"}], "effective_date": "2025-12-01"}))
        .await;
    assert_eq!(ledger.get("/v1/books/acme/fx-position?date=2025-12-31").await.expect(404)["code"], "not_found");
    let missing = ledger.post("/v1/books/acme/revaluations", "v0", &json!({"date": "2025-12-31"})).await.expect(422);
    assert_eq!([&missing["code"], &missing["base"], &missing["quote"]], ["rate_missing", "EUR", "USD"]);
    let rate =
        |rate: &str, date: &str| json!({"base": "EUR", "quote": "USD", "rate": rate, "date": date, "source": "ECB"});
    assert_eq!(ledger.made("rates", "x1", rate("1.12", "2025-12-30")).await["rate"], "1.12");
    ledger.made("rates", "x2", rate("1.15", "2026-01-05")).await;
    let page = ledger.get("/v1/books/acme/rates?limit=1").await.expect(200);
    assert_eq!(page["data"][0]["date"], "2026-01-05");
    let next = page["next"].as_str().unwrap();
    let page = ledger.get(&format!("/v1/books/acme/rates?limit=1&cursor={next}")).await.expect(200);
    assert_eq!([&page["data"][0]["date"], &page["next"]], [&json!("2025-12-30"), &json!(null)]);

    let position = ledger.get("/v1/books/acme/fx-position?date=2025-12-31").await.expect(200);
    assert_eq!([&position["functional"], &position["difference"]], ["110.00", "-2.00"]);
    assert_eq!(position["currencies"][0]["value"], "-112.00");
    let revalued = ledger.made("revaluations", "v1", json!({"date": "2025-12-31"})).await;
    assert_eq!(revalued["entries"], json!([2]));
    let position = ledger.get("/v1/books/acme/fx-position?date=2025-12-31").await.expect(200);
    assert_eq!(position["difference"], "0.00");

    let convert = json!({"from": "assets:bank", "amount": "120.00", "currency": "EUR", "to": "assets:bank", "received": "134.24",
        "received_currency": "USD", "fee": "1.36", "effective_date": "2026-01-06"});
    let entry = ledger.post("/v1/books/acme/conversions", "k1", &convert).await.expect(201);
    assert_eq!(entry["kind"], "conversion");
    let same = json!({"from": "assets:bank", "amount": "1.00", "currency": "EUR", "to": "assets:bank", "received": "1.00", "received_currency": "EUR"});
    assert_eq!(
        ledger.post("/v1/books/acme/conversions", "k2", &same).await.expect(400)["pointer"],
        "/received_currency"
    );
    let fine = json!({"from": "assets:bank", "amount": "1.00", "currency": "EUR", "to": "assets:bank", "received": "1.001", "received_currency": "USD"});
    assert_eq!(ledger.post("/v1/books/acme/conversions", "k3", &fine).await.expect(422)["pointer"], "/received");

    let open = ledger.post("/v1/books/acme/years/2025/close", "y0", &json!({})).await.expect(422);
    assert_eq!([&open["code"], &open["period"]], ["period_out_of_order", "2025-12"]);
    ledger.made("periods/2025-12/soft-close", "s1", json!({})).await;
    let closed = ledger.made("years/2025/close", "y1", json!({})).await;
    assert_eq!(closed["earnings"], json!([{"currency": "USD", "amount": "112.00"}]));
    assert_eq!(closed["as_of"], "2025-12-31");
    let retained = ledger.get("/v1/books/acme/accounts/equity:retained-earnings/balance").await.expect(200);
    assert_eq!(retained["balances"][0]["balance"], "112.00");
    assert_eq!(ledger.get("/v1/books/acme/periods/2025-12").await.expect(200)["fiscal_year"], 2025);
    let closing = ledger.get("/v1/books/acme/entries?kind=closing").await.expect(200);
    assert_eq!(closing["data"].as_array().unwrap().len(), 1);
    assert_eq!(ledger.get("/v1/books/acme/years/2025").await.expect(404)["code"], "not_found");
    ledger.close().await;
}
