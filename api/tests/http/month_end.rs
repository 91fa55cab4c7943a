//! A month's end as finance runs it: bill, collect, refund, recognise, revalue, a dry run of the close, what it lists put
//! right, the close, a late entry that is refused, its reversal in the next month, a reopening with a reason, the second
//! close; with every report before the close, after it, and after the second. The same story on the core alone, with
//! every decision, is `core/testdata/month_end.txt`.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::reports::settled;
use crate::support::Ledger;

const JANUARY: &str = "/v1/books/acme/periods/2026-01";
const REPORTS: [&str; 10] = [
    "trial-balance?from=2026-01-01&as_of=2026-01-31&adjusted=true",
    "balance-sheet?as_of=2026-01-31",
    "income-statement?from=2026-01-01&as_of=2026-01-31",
    "receivables-ageing?as_of=2026-01-31&by=item",
    "must-zero-ageing?as_of=2026-01-31",
    "deferred-revenue?from=2026-01-01&as_of=2026-01-31",
    "customer-statement?customer=cus_1&from=2026-01-01&as_of=2026-01-31",
    "customer-statement?customer=cus_2&from=2026-01-01&as_of=2026-01-31",
    "general-ledger?from=2026-01-01&as_of=2026-01-31",
    "journal?from=2026-01-01&as_of=2026-01-31",
];

/// Every report as text, one after the other.
async fn reports(ledger: &Ledger) -> String {
    let mut all = String::new();
    for report in REPORTS {
        let answer = ledger.get(&format!("/v1/books/acme/reports/{report}&format=text")).await;
        assert_eq!(answer.status, 200, "{report}: {}", answer.text);
        writeln!(all, "## {report}\n\n{}", settled(&answer.text)).unwrap();
    }
    all
}

fn charge(id: &str, customer: &str, amount: &str, tax: (&str, &str), revenue: &str) -> Value {
    json!({"id": id, "customer": customer, "currency": "USD", "revenue": revenue, "amount": amount,
        "tax": [{"jurisdiction": tax.0, "amount": tax.1}], "effective_date": "2026-01-05"})
}

/// Up to the last day of January.
async fn trade(ledger: &Ledger) {
    let mut annual = charge("in_1", "cus_1", "1299.00", ("us-ca", "99.00"), "revenue:subscription");
    annual["defer"] = json!({"from": "2026-01-01", "to": "2026-12-31"});
    ledger.made("charges", "c1", annual).await;
    ledger.made("charges", "c2", charge("in_2", "cus_1", "89.31", ("us-ca", "6.81"), "revenue:usage")).await;
    let mut euros = charge("in_3", "cus_2", "120.00", ("de", "20.00"), "revenue:subscription");
    euros["currency"] = json!("EUR");
    euros["rate"] = json!("1.10");
    ledger.made("charges", "c3", euros).await;
    let on_the_12th = "2026-01-12";
    let bank = json!({"id": "pay_1", "customer": "cus_1", "account": "assets:bank", "amount": "1350.00",
        "currency": "USD", "apply": [{"charge": "in_1", "amount": "1299.00"}], "effective_date": on_the_12th});
    ledger.made("payments", "p1", bank).await;
    let apply = json!({"apply": [{"charge": "in_2", "amount": "51.00"}], "effective_date": on_the_12th});
    ledger.made("payments/pay_1/apply", "p2", apply).await;
    let card = json!({"id": "pay_2", "customer": "cus_1", "processor": "stripe", "amount": "38.31", "currency": "USD",
        "apply": [{"charge": "in_2", "amount": "38.31"}], "fee": "1.41", "effective_date": on_the_12th});
    ledger.made("payments", "p3", card).await;
    let card = json!({"id": "pay_3", "customer": "cus_2", "processor": "stripe", "amount": "120.00", "currency": "EUR",
        "apply": [{"charge": "in_3", "amount": "120.00"}], "effective_date": on_the_12th});
    ledger.made("payments", "p4", card).await;
    let refund = json!({"id": "re_1", "payment": "pay_2", "amount": "10.00", "settle": "manual",
        "effective_date": "2026-01-20"});
    ledger.made("refunds", "r1", refund).await;
    let payout = json!({"debit": "assets:bank", "credit": "assets:processor-clearing/stripe/pay_2", "amount": "36.90",
        "currency": "USD", "effective_date": "2026-01-30"});
    ledger.made("transfers", "t1", payout).await;
    let convert = json!({"from": "assets:processor-clearing/stripe/pay_3", "amount": "120.00", "currency": "EUR",
        "to": "assets:bank", "received": "134.24", "received_currency": "USD", "fee": "1.36",
        "effective_date": "2026-01-30"});
    ledger.made("conversions", "x1", convert).await;
}

fn adjusting(date: &str, debit: &str, credit: &str, amount: &str) -> Value {
    let line = |account: &str, side: &str| {
        let mut parts = account.split('/');
        let mut line = json!({"account": parts.next(), "side": side, "amount": amount, "currency": "USD"});
        for (name, part) in ["party", "item"].into_iter().zip(parts) {
            line[name] = json!(part);
        }
        line
    };
    json!({"kind": "adjusting", "effective_date": date, "lines": [line(debit, "debit"), line(credit, "credit")]})
}

async fn blockers(ledger: &Ledger) -> Value {
    let dry = ledger.post_without_key(&format!("{JANUARY}/close"), &json!({"dry_run": true})).await.expect(200);
    dry["blockers"].clone()
}

#[tokio::test]
async fn a_month_is_closed_reopened_and_closed_again() {
    let ledger = Ledger::with_book().await;
    let act = async |act: &str, key: &str, body: Value| ledger.post(&format!("{JANUARY}/{act}"), key, &body).await;
    trade(&ledger).await;
    let recognised = ledger.made("recognitions", "rec1", json!({"through": "2026-01-31"})).await;
    assert_eq!(recognised["amount"], "101.92");
    let rate = json!({"base": "EUR", "quote": "USD", "rate": "1.12", "date": "2026-01-30", "source": "ECB"});
    ledger.made("rates", "rate1", rate).await;
    ledger.made("revaluations", "rev1", json!({"date": "2026-01-31"})).await;
    insta::assert_snapshot!("before", reports(&ledger).await, "");

    // The dry run lists the refund that was never paid out; the business pays it while the month is still its own.
    act("soft-close", "s1", json!({})).await.expect(200);
    let found = blockers(&ledger).await;
    assert_eq!([&found[0]["kind"], &found[0]["account"]], ["must_zero", "liabilities:refunds-payable"], "{found}");
    assert_eq!(act("close", "close1", json!({})).await.expect(422)["code"], "period_not_ready");
    act("reopen", "o1", json!({"reason": "A refund of January was not settled"})).await.expect(200);
    ledger.made("refunds/re_1/settle", "r2", json!({"effective_date": "2026-01-31"})).await;
    act("soft-close", "s2", json!({})).await.expect(200);
    let found = blockers(&ledger).await;
    assert_eq!(found[0]["account"], "assets:processor-clearing", "{found}");
    let taken = adjusting("2026-01-31", "assets:processor-clearing/stripe/pay_2", "assets:bank", "10.00");
    ledger.made("entries", "e1", taken).await;
    assert_eq!(blockers(&ledger).await, json!([]));
    let first = act("close", "close2", json!({})).await;
    let closed_at: Value = serde_json::from_str(&first.text).unwrap();
    let closed_at = closed_at["recorded_at"].as_str().unwrap().to_owned();
    let first = first.expect(200);
    let trial = "/v1/books/acme/reports/trial-balance?from=2026-01-01&as_of=2026-01-31";
    let as_closed = ledger.get(trial).await.expect(200);
    insta::assert_snapshot!("closed", reports(&ledger).await, "");

    // Too late; and the adjustment is reversed in the next month, not in its own.
    let late = adjusting("2026-01-31", "expenses:processing-fees", "assets:bank", "15.00");
    let refused = ledger.post("/v1/books/acme/entries", "e2", &late).await.expect(422);
    assert_eq!([&refused["code"], &refused["period"], &refused["state"]], ["period_closed", "2026-01", "closed"]);
    let number = ledger.get("/v1/books/acme/keys/e1").await.expect(200)["answer"]["number"].clone();
    let reverse = format!("entries/{number}/reverse");
    let back = json!({"effective_date": "2026-01-31"});
    let refused = ledger.post(&format!("/v1/books/acme/{reverse}"), "v1", &back).await.expect(422);
    assert_eq!(refused["code"], "period_closed");
    ledger.made(&reverse, "v2", json!({"effective_date": "2026-02-03"})).await;
    let sealed = ledger.get(JANUARY).await.expect(200);
    assert_eq!([&sealed["seal"]["holds"], &sealed["seal"]["hash"]], [&json!(true), &first["seal"]["hash"]]);

    // January again, for a reason.
    act("reopen", "o2", json!({"reason": "The auditor found a fee"})).await.expect(200);
    ledger.made("entries", "e3", late).await;
    let second = act("close", "close3", json!({})).await.expect(200);
    assert_ne!(second["seal"]["hash"], first["seal"]["hash"]);
    insta::assert_snapshot!("closed_again", reports(&ledger).await, "");

    // What was known when it was closed first is what the reports said then.
    let then = ledger.get(&format!("{trial}&known_at={closed_at}")).await.expect(200);
    assert_eq!((&then["rows"], &then["totals"]), (&as_closed["rows"], &as_closed["totals"]));
    assert_eq!([&then["position"], &then["final"]], [&first["position"], &json!(true)]);
    let now = ledger.get(trial).await.expect(200);
    assert_ne!(now["rows"], as_closed["rows"]);
    ledger.close().await;
}
