//! What the options of the financial reports mean: adjusting entries, other dates beside, fiscal years that are over,
//! contra and memo accounts; and what they refuse.

use serde_json::{Value, json};

use crate::support::Ledger;

fn entry(kind: &str, date: &str, debit: &str, credit: &str, amount: &str) -> Value {
    json!({"kind": kind, "effective_date": date, "lines": [
        {"account": debit, "side": "debit", "amount": amount, "currency": "USD"},
        {"account": credit, "side": "credit", "amount": amount, "currency": "USD"}]})
}

/// Two fiscal years: 100.00 earned in 2025; in 2026 40.00 earned, 5.00 given back, 15.00 spent, 3.00 of it adjusting.
async fn two_years() -> Ledger {
    let ledger = Ledger::with_book().await;
    let memo = json!({"code": "memo:seats", "name": "Seats sold", "class": "memo"});
    ledger.made("accounts", "memo", memo).await;
    for (key, kind, date, debit, credit, amount) in [
        ("a", "standard", "2025-06-30", "assets:bank", "revenue:subscription", "100.00"),
        ("b", "standard", "2026-01-10", "assets:bank", "revenue:subscription", "40.00"),
        ("c", "standard", "2026-01-20", "revenue:credits-and-refunds", "assets:bank", "5.00"),
        ("d", "standard", "2026-01-25", "expenses:processing-fees", "assets:bank", "12.00"),
        ("e", "adjusting", "2026-01-31", "expenses:processing-fees", "liabilities:accrued-fees", "3.00"),
        ("f", "adjusting", "2025-12-31", "expenses:bad-debt", "assets:allowance-for-credit-losses", "9.00"),
        ("g", "standard", "2026-02-03", "assets:bank", "revenue:usage", "1000.00"),
        ("h", "standard", "2026-01-05", "assets:bank", "memo:seats", "2.00"),
    ] {
        ledger.made("entries", key, entry(kind, date, debit, credit, amount)).await;
    }
    ledger
}

async fn report(ledger: &Ledger, path: &str) -> Value {
    ledger.get(&format!("/v1/books/acme/reports/{path}")).await.expect(200)
}

/// The amounts of a section by account or, without one, by kind of line.
fn amounts(section: &Value, member: &str) -> Vec<(String, String)> {
    let name = |row: &Value| row["account"].as_str().or(row["line"].as_str()).unwrap().to_owned();
    let rows = section["rows"].as_array().unwrap().iter();
    rows.map(|row| (name(row), row[member].as_str().unwrap().to_owned())).collect()
}

fn pairs(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|row| (row.0.to_owned(), row.1.to_owned())).collect()
}

#[tokio::test]
async fn statements_have_contras_below_zero_and_earnings_of_each_year() {
    let ledger = two_years().await;
    let sheet = report(&ledger, "balance-sheet?as_of=2026-01-31&compare_as_of=2025-12-31").await;
    let [assets, liabilities, equity] = [0, 1, 2].map(|index| sheet["sections"][index].clone());
    assert_eq!(
        amounts(&assets, "amount"),
        pairs(&[("assets:bank", "125.00"), ("assets:allowance-for-credit-losses", "-9.00")])
    );
    assert_eq!(
        amounts(&assets, "change"),
        pairs(&[("assets:bank", "25.00"), ("assets:allowance-for-credit-losses", "0.00")])
    );
    assert_eq!(amounts(&liabilities, "amount"), pairs(&[("liabilities:accrued-fees", "3.00")]));
    assert_eq!(
        amounts(&equity, "amount"),
        pairs(&[("earlier_earnings", "91.00"), ("current_earnings", "20.00"), ("against_memo", "2.00")])
    );
    assert_eq!(
        amounts(&equity, "compared"),
        pairs(&[("earlier_earnings", "0.00"), ("current_earnings", "91.00"), ("against_memo", "0.00")])
    );
    assert_eq!((&assets["totals"][0]["amount"], &sheet["totals"][0]["amount"]), (&json!("116.00"), &json!("116.00")));
    let unclosed = report(&ledger, "balance-sheet?as_of=2026-01-31&closing=none").await;
    assert_eq!(
        amounts(&unclosed["sections"][2], "amount"),
        pairs(&[("unclosed_earnings", "111.00"), ("against_memo", "2.00")])
    );
    let income = report(&ledger, "income-statement?as_of=2026-01-31&compare_as_of=2025-12-31").await;
    assert_eq!((&income["from"], &income["compare_from"]), (&json!("2026-01-01"), &json!("2025-01-01")));
    assert_eq!(
        amounts(&income["sections"][0], "amount"),
        pairs(&[("revenue:subscription", "40.00"), ("revenue:credits-and-refunds", "-5.00")])
    );
    assert_eq!(
        amounts(&income["sections"][1], "compared"),
        pairs(&[("expenses:processing-fees", "0.00"), ("expenses:bad-debt", "9.00")])
    );
    let net = &income["totals"][0];
    assert_eq!(
        (&net["amount"], &net["compared"], &net["change"]),
        (&json!("20.00"), &json!("91.00"), &json!("-71.00"))
    );
    let text = ledger.get("/v1/books/acme/reports/balance-sheet?as_of=2026-01-31&format=text").await.text;
    assert!(text.contains("(9.00)") && !text.contains("-9.00"), "{text}");
    ledger.close().await;
}

#[tokio::test]
async fn earnings_are_those_of_the_book_s_own_fiscal_year() {
    let ledger = Ledger::start().await;
    let book = json!({"id": "acme", "name": "Acme Inc", "functional_currency": "USD", "chart": "saas",
        "fiscal_year_start": 7});
    ledger.post("/v1/books", "open", &book).await.expect(201);
    for (key, date, amount) in [("a", "2026-06-30", "10.00"), ("b", "2026-07-01", "1.00"), ("c", "2027-06-30", "0.50")]
    {
        ledger.made("entries", key, entry("standard", date, "assets:bank", "revenue:usage", amount)).await;
    }
    let income = report(&ledger, "income-statement?as_of=2027-06-30&compare_as_of=2026-06-30").await;
    assert_eq!((&income["from"], &income["compare_from"]), (&json!("2026-07-01"), &json!("2025-07-01")));
    let net = &income["totals"][0];
    assert_eq!((&net["amount"], &net["compared"]), (&json!("1.50"), &json!("10.00")));
    let sheet = report(&ledger, "balance-sheet?as_of=2027-06-30").await;
    assert_eq!(
        amounts(&sheet["sections"][2], "amount"),
        pairs(&[("earlier_earnings", "10.00"), ("current_earnings", "1.50")])
    );
    for date in ["0001-01-01", "9999-12-31"] {
        report(&ledger, &format!("balance-sheet?as_of={date}")).await;
        report(&ledger, &format!("trial-balance?as_of={date}&closing=virtual")).await;
    }
    ledger.close().await;
}

#[tokio::test]
async fn an_income_statement_is_the_same_before_and_after_its_year_is_closed() {
    let ledger = two_years().await;
    let statement = "income-statement?as_of=2026-01-31&compare_as_of=2025-12-31";
    let content = |mut report: Value| {
        for member in ["position", "last_entry", "head", "head_position"] {
            report.as_object_mut().unwrap().remove(member);
        }
        report
    };
    let before = content(report(&ledger, statement).await);
    for month in 1..=12 {
        let path = format!("periods/2025-{month:02}/soft-close");
        ledger.made(&path, &path, json!({})).await;
    }
    ledger.made("years/2025/close", "close", json!({})).await;
    assert_eq!(content(report(&ledger, statement).await), before);
    let sheet = report(&ledger, "balance-sheet?as_of=2026-01-31").await;
    assert_eq!(
        amounts(&sheet["sections"][2], "amount"),
        pairs(&[("equity:retained-earnings", "91.00"), ("current_earnings", "20.00"), ("against_memo", "2.00")])
    );
    // From one revenue to another: a second closing that leaves nothing for retained earnings.
    let moved = entry("adjusting", "2025-12-31", "revenue:subscription", "revenue:usage", "30.00");
    ledger.made("entries", "moved", moved).await;
    ledger.made("years/2025/close", "again", json!({})).await;
    let again = report(&ledger, statement).await;
    assert_eq!(
        amounts(&again["sections"][0], "compared"),
        pairs(&[
            ("revenue:subscription", "70.00"),
            ("revenue:usage", "30.00"),
            ("revenue:credits-and-refunds", "0.00")
        ])
    );
    assert_eq!(again["totals"], before["totals"]);
    // The first closing, reversed in the next year, is in neither year's statement.
    let entries = ledger.get("/v1/books/acme/entries?kind=closing").await.expect(200);
    let number = entries["data"][0]["number"].as_u64().unwrap();
    let path = format!("entries/{number}/reverse");
    ledger.made(&path, "reverse", json!({"effective_date": "2026-01-15"})).await;
    assert_eq!(report(&ledger, statement).await["totals"], before["totals"]);
    ledger.close().await;
}

#[tokio::test]
async fn a_trial_balance_shows_what_adjusting_entries_changed_and_closes_years_virtually() {
    let ledger = two_years().await;
    let row = |report: &Value, account: &str| {
        report["rows"].as_array().unwrap().iter().find(|row| row["account"] == account).cloned().unwrap()
    };
    let adjusted = report(&ledger, "trial-balance?from=2026-01-01&as_of=2026-01-31&adjusted=true").await;
    let fees = row(&adjusted, "expenses:processing-fees");
    assert_eq!(
        (&fees["unadjusted_debit"], &fees["adjustment_debits"], &fees["adjustment_credits"], &fees["debit"]),
        (&json!("12.00"), &json!("3.00"), &json!("0.00"), &json!("15.00"))
    );
    // Adjusted in the year before: part of what was brought forward.
    let bad_debt = row(&adjusted, "expenses:bad-debt");
    assert_eq!((&bad_debt["opening_debit"], &bad_debt["adjustment_debits"]), (&json!("9.00"), &json!("0.00")));
    assert_eq!(adjusted["totals"][0]["adjustment_debits"], "3.00");

    let closed = report(&ledger, "trial-balance?from=2025-07-01&as_of=2026-01-31&closing=virtual").await;
    let revenue = row(&closed, "revenue:subscription");
    assert_eq!(
        (&revenue["opening_credit"], &revenue["debits"], &revenue["credits"], &revenue["credit"]),
        (&json!("100.00"), &json!("100.00"), &json!("40.00"), &json!("40.00"))
    );
    let retained = row(&closed, "equity:retained-earnings");
    assert_eq!(
        (&retained["debits"], &retained["credits"], &retained["credit"]),
        (&json!("9.00"), &json!("100.00"), &json!("91.00"))
    );
    let opened = report(&ledger, "trial-balance?from=2026-01-01&as_of=2026-01-31&closing=virtual").await;
    assert_eq!(row(&opened, "revenue:subscription")["opening_credit"], "0.00");
    assert_eq!(row(&opened, "equity:retained-earnings")["opening_credit"], "91.00");

    let beside = report(&ledger, "trial-balance?as_of=2026-01-31&compare_as_of=2026-02-28").await;
    let bank = row(&beside, "assets:bank");
    assert_eq!((&bank["debit"], &bank["compared_debit"]), (&json!("125.00"), &json!("1125.00")));
    assert_eq!(row(&beside, "revenue:usage")["credit"], "0.00", "an account that only the other date has");
    ledger.close().await;
}

#[tokio::test]
async fn a_general_ledger_runs_from_the_opening_to_the_trial_balance() {
    let ledger = two_years().await;
    let bank = report(&ledger, "general-ledger?account=assets:bank&from=2026-01-10&as_of=2026-01-31").await;
    let section = &bank["sections"][0];
    let rows: Vec<_> = section["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["entry"].clone(), row["debit"].clone(), row["credit"].clone(), row["balance"].clone()))
        .collect();
    assert_eq!(
        rows,
        [
            (Value::Null, Value::Null, Value::Null, json!("102.00")),
            (json!(2), json!("40.00"), Value::Null, json!("142.00")),
            (json!(3), Value::Null, json!("5.00"), json!("137.00")),
            (json!(4), Value::Null, json!("12.00"), json!("125.00")),
        ]
    );
    let total = &section["totals"][0];
    assert_eq!(
        (&total["debit"], &total["credit"], &total["balance"]),
        (&json!("40.00"), &json!("17.00"), &json!("125.00"))
    );
    let all = report(&ledger, "general-ledger?as_of=2026-12-31").await;
    let names: Vec<_> = all["sections"].as_array().unwrap().iter().map(|section| section["name"].clone()).collect();
    assert_eq!(names.len(), 9);
    assert!(names.is_sorted_by_key(ToString::to_string), "{names:?}");
    for (path, code) in [
        ("general-ledger?account=assets:nothing", "not_found"),
        ("balance-sheet?from=2026-01-01", "malformed"),
        ("income-statement?compare_from=2026-01-01", "malformed"),
        ("trial-balance?adjusted=perhaps", "malformed"),
        ("trial-balance?format=pdf", "malformed"),
        ("trial-balance?closing=virtual&compare_as_of=2025-01-01", "malformed"),
        ("trial-balance?from=1000-01-01&as_of=3000-01-01&closing=virtual", "malformed"),
        ("journal?account=assets:bank", "unknown_field"),
        ("journal?from=2026-02-01&as_of=2026-01-01", "malformed"),
    ] {
        let answer = ledger.get(&format!("/v1/books/acme/reports/{path}")).await;
        let body: Value = serde_json::from_str(&answer.text).unwrap();
        assert_eq!(body["code"], code, "{path}: {body}");
    }
    ledger.close().await;
}
