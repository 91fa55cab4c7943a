//! What billing support and the controller read: statements, ageing, the roll-forward of deferred revenue, and why a
//! balance is what it is. Golden to the cent, and held against recomputations from the list of entries.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::Ledger;

/// The story of docs/rules.md's examples: an annual plan in advance, an overpayment, usage, refunds with tax, a wallet.
async fn story() -> Ledger {
    let ledger = Ledger::with_book().await;
    let tax = |amount: &str| json!([{"jurisdiction": "us-ca", "amount": amount}]);
    let year = json!({"from": "2026-01-01", "to": "2026-12-31"});
    let (bank, deferred) = ("assets:bank", "liabilities:deferred-revenue");
    let recognise = |amount: &str, date: &str| {
        json!({"effective_date": date, "description": "Recognition", "lines": [
            {"account": deferred, "party": "cus_1", "item": "in_1", "side": "debit", "amount": amount, "currency": "USD"},
            {"account": "revenue:subscription", "side": "credit", "amount": amount, "currency": "USD"}]})
    };
    for (key, path, body) in [
        (
            "c3",
            "charges",
            json!({"id": "in_3", "customer": "cus_2", "currency": "USD", "revenue": "revenue:subscription",
            "amount": "108.25", "tax": tax("8.25"), "due_date": "2025-12-31", "effective_date": "2025-12-01"}),
        ),
        (
            "c1",
            "charges",
            json!({"id": "in_1", "customer": "cus_1", "currency": "USD", "revenue": "revenue:subscription",
            "amount": "1299.00", "tax": tax("99.00"), "defer": year, "due_date": "2026-01-31",
            "effective_date": "2026-01-01"}),
        ),
        (
            "p2",
            "payments",
            json!({"id": "pay_2", "customer": "cus_2", "processor": "stripe", "amount": "108.25",
            "currency": "USD", "apply": [{"charge": "in_3", "amount": "108.25"}], "fee": "3.44",
            "effective_date": "2026-01-05"}),
        ),
        ("r1", "refunds", json!({"id": "re_1", "payment": "pay_2", "amount": "54.13", "effective_date": "2026-01-10"})),
        (
            "r2",
            "refunds",
            json!({"id": "re_2", "payment": "pay_2", "amount": "54.12", "settle": "manual",
            "effective_date": "2026-01-12"}),
        ),
        (
            "w",
            "transfers",
            json!({"debit": bank, "credit": "liabilities:customer-prepaid/cus_2", "amount": "100.00",
            "currency": "USD", "description": "Wallet top-up", "effective_date": "2026-01-15"}),
        ),
        (
            "p1",
            "payments",
            json!({"id": "pay_1", "customer": "cus_1", "account": bank, "amount": "1350.00",
            "currency": "USD", "apply": [{"charge": "in_1", "amount": "1350.00"}], "effective_date": "2026-01-20"}),
        ),
        ("j", "entries", recognise("101.92", "2026-01-31")),
        (
            "c2",
            "charges",
            json!({"id": "in_2", "customer": "cus_1", "currency": "USD", "revenue": "revenue:usage",
            "amount": "89.31", "tax": tax("6.81"), "due_date": "2026-03-02", "effective_date": "2026-02-01"}),
        ),
        (
            "a",
            "payments/pay_1/apply",
            json!({"apply": [{"charge": "in_2", "amount": "51.00"}],
            "effective_date": "2026-02-02"}),
        ),
        (
            "r3",
            "refunds",
            json!({"id": "re_3", "payment": "pay_1", "amount": "649.50",
            "from": [{"charge": "in_1", "amount": "649.50"}], "effective_date": "2026-02-10"}),
        ),
        ("f", "entries", recognise("42.47", "2026-02-28")),
    ] {
        ledger.made(path, key, body).await;
    }
    ledger
}

/// A report's JSON without what differs from run to run.
async fn report(ledger: &Ledger, name: &str, query: &str) -> Value {
    let mut body = ledger.get(&format!("/v1/books/acme/reports/{name}?{query}")).await.expect(200);
    let members = body.as_object_mut().unwrap();
    assert!(members.remove("head").unwrap().as_str().unwrap().starts_with("blake3:"));
    body
}

/// A printed report without its last line, which has the head.
async fn printed(ledger: &Ledger, name: &str, query: &str) -> String {
    let answer = ledger.get(&format!("/v1/books/acme/reports/{name}?format=text&{query}")).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
    let (table, source) = answer.text.trim_end().rsplit_once('\n').unwrap();
    assert!(source.starts_with("Position "), "{source}");
    table.to_owned()
}

#[tokio::test]
async fn a_statement_shows_charges_payments_and_refunds_to_the_cent() {
    let ledger = story().await;
    insta::assert_snapshot!(printed(&ledger, "customer-statement", "customer=cus_1&as_of=2026-12-31").await);
    insta::assert_snapshot!(
        printed(&ledger, "customer-statement", "customer=cus_1&from=2026-02-01&as_of=2026-02-05").await
    );
    let whole = report(&ledger, "customer-statement", "customer=cus_2&as_of=2026-12-31").await;
    insta::assert_json_snapshot!(whole);
    assert_eq!(ledger.get("/v1/books/acme/reports/customer-statement?customer=nobody").await.status.as_u16(), 404);
    assert_eq!(ledger.get("/v1/books/acme/reports/customer-statement").await.status.as_u16(), 400);
    ledger.close().await;
}

#[tokio::test]
async fn receivables_are_aged_by_due_date_and_tie_to_the_control_account() {
    let ledger = story().await;
    let due = ["2026-06-30", "2026-06-29", "2026-05-30", "2026-04-30", "2026-03-31", "2026-03-01"];
    for (number, due) in (1..).zip(due) {
        ledger
            .made(
                "charges",
                &format!("d{number}"),
                json!({"id": format!("in_3{number}"), "customer": "cus_3",
                "currency": "USD", "revenue": "revenue:usage", "amount": format!("{number}0.00"), "due_date": due,
                "effective_date": "2026-02-15"}),
            )
            .await;
    }
    // Neither of them is due by its charge: one has no date, one is a manual entry.
    ledger
        .made(
            "charges",
            "u",
            json!({"id": "in_41", "customer": "cus_4", "currency": "USD", "revenue": "revenue:usage",
            "amount": "7.00", "effective_date": "2026-05-01"}),
        )
        .await;
    ledger
        .made(
            "transfers",
            "t",
            json!({"debit": "assets:receivable/cus_4/manual-1", "credit": "revenue:sales",
            "amount": "0.50", "currency": "USD", "effective_date": "2026-06-20"}),
        )
        .await;
    let at = ledger.get("/v1/books/acme/entries?limit=1000").await;
    let last: Value = serde_json::from_str(&at.text).unwrap();
    let known_at = last["data"].as_array().unwrap().last().unwrap()["recorded_at"].as_str().unwrap().to_owned();
    // What is dated later is not seen.
    ledger
        .made(
            "charges",
            "l",
            json!({"id": "in_42", "customer": "cus_4", "currency": "USD", "revenue": "revenue:usage",
            "amount": "1000.00", "due_date": "2026-08-01", "effective_date": "2026-07-01"}),
        )
        .await;
    let mut aged = report(&ledger, "receivables-ageing", "as_of=2026-06-30").await;
    let row = |customer: &str, buckets: [&str; 7]| {
        let [current, a, b, c, d, e, total] = buckets;
        json!({"customer": customer, "currency": "USD", "current": current, "days_1_to_30": a, "days_31_to_60": b,
            "days_61_to_90": c, "days_91_to_120": d, "over_120": e, "total": total})
    };
    assert_eq!(
        aged["rows"],
        json!([
            row("cus_1", ["0.00", "0.00", "0.00", "0.00", "38.31", "0.00", "38.31"]),
            row("cus_3", ["10.00", "20.00", "30.00", "40.00", "50.00", "60.00", "210.00"]),
            row("cus_4", ["0.00", "0.50", "7.00", "0.00", "0.00", "0.00", "7.50"]),
        ])
    );
    assert_eq!(aged["totals"], json!([row("Total", ["10.00", "20.50", "37.00", "40.00", "88.31", "60.00", "255.81"])]));
    let balance = ledger.get("/v1/books/acme/accounts/assets:receivable/balance?as_of=2026-06-30").await.expect(200);
    assert_eq!(balance["balances"][0]["balance"], "255.81");
    insta::assert_snapshot!(printed(&ledger, "receivables-ageing", "as_of=2026-06-30&by=item").await);
    let csv = ledger.get("/v1/books/acme/reports/receivables-ageing?as_of=2026-06-30&format=csv").await.text;
    let head = csv.split("blake3:").nth(1).unwrap().split(',').next().unwrap().trim().to_owned();
    insta::assert_snapshot!(csv.replace(&head, "HEAD"));

    // What comes later changes nothing of what was believed: payments, also backdated ones, and more charges.
    ledger
        .made("payments", "late", json!({"id": "pay_9", "customer": "cus_3", "account": "assets:bank", "amount": "100.00",
            "currency": "USD", "apply": [{"charge": "in_36", "amount": "60.00"}, {"charge": "in_31", "amount": "10.00"}],
            "effective_date": "2026-03-15"}))
        .await;
    let now = report(&ledger, "receivables-ageing", "as_of=2026-06-30").await;
    assert_eq!(now["totals"][0]["total"], "185.81");
    let mut believed = report(&ledger, "receivables-ageing", &format!("as_of=2026-06-30&known_at={known_at}")).await;
    assert_eq!(believed["final"], true);
    for (report, members) in [(&mut aged, ["known_at", "final"]), (&mut believed, ["known_at", "final"])] {
        for member in members.into_iter().chain(["position", "last_entry", "head_position"]) {
            report.as_object_mut().unwrap().remove(member);
        }
    }
    assert_eq!(believed, aged);
    let refused = ledger.get("/v1/books/acme/reports/receivables-ageing?from=2026-01-01&as_of=2026-06-30").await;
    assert_eq!(refused.status.as_u16(), 400, "{}", refused.text);
    ledger.close().await;
}

#[tokio::test]
async fn what_must_be_zero_is_listed_by_reference() {
    let ledger = story().await;
    ledger
        .made(
            "transfers",
            "s1",
            json!({"debit": "assets:bank", "credit": "liabilities:suspense", "amount": "5.00",
            "currency": "USD", "effective_date": "2026-02-01"}),
        )
        .await;
    ledger
        .made(
            "transfers",
            "s2",
            json!({"debit": "assets:cash-in-transit",
            "credit": "assets:processor-clearing/stripe/pay_2", "amount": "1.00", "currency": "USD",
            "effective_date": "2026-03-01"}),
        )
        .await;
    insta::assert_snapshot!(printed(&ledger, "must-zero-ageing", "as_of=2026-04-30").await);
    insta::assert_snapshot!(printed(&ledger, "must-zero-ageing", "as_of=2026-01-11").await);
    let nothing = report(&ledger, "must-zero-ageing", "as_of=2025-12-31").await;
    assert_eq!(nothing["sections"], json!([]));
    ledger.close().await;
}

#[tokio::test]
async fn deferred_revenue_rolls_forward_to_its_account() {
    let ledger = story().await;
    insta::assert_snapshot!(printed(&ledger, "deferred-revenue", "as_of=2026-03-31").await);
    let quarter = report(&ledger, "deferred-revenue", "from=2026-02-01&as_of=2026-02-15").await;
    assert_eq!(
        quarter["rows"],
        json!([{"account": "liabilities:deferred-revenue", "through": "2026-02-15", "currency": "USD",
            "opening": "1098.08", "billed": "0.00", "recognised": "0.00", "credited": "600.00", "adjusted": "0.00",
            "closing": "498.08"}])
    );
    let all = report(&ledger, "deferred-revenue", "as_of=2026-12-31").await;
    assert_eq!(
        all["totals"],
        json!([{"account": "liabilities:deferred-revenue", "through": "2026-12-31", "currency": "USD",
            "opening": "0.00", "billed": "1200.00", "recognised": "144.39", "credited": "600.00", "adjusted": "0.00",
            "closing": "455.61"}])
    );
    let balance = ledger.get("/v1/books/acme/accounts/liabilities:deferred-revenue/balance").await.expect(200);
    assert_eq!(balance["balances"][0]["balance"], "455.61");
    ledger.close().await;
}

#[tokio::test]
async fn a_year_in_advance_is_scheduled_and_recognised_to_the_cent() {
    let ledger = Ledger::with_book().await;
    ledger
        .made("charges", "c", json!({"id": "in_1", "customer": "cus_1", "currency": "USD",
            "revenue": "revenue:subscription", "amount": "1299.00", "tax": [{"jurisdiction": "us-ca", "amount": "99.00"}],
            "defer": {"from": "2026-01-01", "to": "2026-12-31"}, "effective_date": "2026-01-01"}))
        .await;
    let schedule = |report: Value| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or("never").to_owned();
        let rows = report["rows"].as_array().unwrap();
        rows.iter().map(|row| (text(&row["through"]), text(&row["due"]))).collect()
    };
    let year: Vec<(String, String)> = [
        ("2026-01-31", "101.92"),
        ("2026-02-28", "92.05"),
        ("2026-03-31", "101.92"),
        ("2026-04-30", "98.63"),
        ("2026-05-31", "101.92"),
        ("2026-06-30", "98.63"),
        ("2026-07-31", "101.92"),
        ("2026-08-31", "101.91"),
        ("2026-09-30", "98.63"),
        ("2026-10-31", "101.92"),
        ("2026-11-30", "98.63"),
        ("2026-12-31", "101.92"),
    ]
    .map(|(through, due)| (through.to_owned(), due.to_owned()))
    .into();
    let planned = report(&ledger, "recognition-schedule", "as_of=2026-01-01").await;
    assert_eq!(planned["totals"][0]["due"], "1200.00");
    assert_eq!(planned["rows"][0]["remaining"], "1098.08");
    assert_eq!(schedule(planned), year);
    // Month by month what is posted is what was planned.
    for (number, (through, due)) in year.iter().enumerate() {
        ledger.made("recognitions", &format!("r{number}"), json!({"through": through})).await;
        let month = report(&ledger, "deferred-revenue", &format!("from={}-01&as_of={through}", &through[..7])).await;
        assert_eq!(month["rows"][0]["recognised"], due.as_str(), "{through}");
        let left = report(&ledger, "recognition-schedule", &format!("as_of={through}")).await;
        assert_eq!(schedule(left), year[number + 1..], "{through}");
    }
    let all = report(&ledger, "deferred-revenue", "as_of=2026-12-31").await;
    assert_eq!((&all["totals"][0]["recognised"], &all["totals"][0]["closing"]), (&json!("1200.00"), &json!("0.00")));
    ledger.close().await;
}

#[tokio::test]
async fn a_balance_is_explained_by_its_postings_and_their_documents() {
    let ledger = story().await;
    let explain = |query: &str| format!("/v1/books/acme/accounts/{query}");
    let receivable = ledger.get(&explain("assets:receivable/explain?party=cus_1")).await.expect(200);
    insta::assert_json_snapshot!(receivable);
    let item = ledger.get(&explain("assets:receivable/explain?party=cus_1&item=in_1")).await.expect(200);
    let after = |explained: &Value| -> Vec<String> {
        let data = explained["data"].as_array().unwrap();
        data.iter().map(|posting| posting["balance_after"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((&item["balance"], after(&item)), (&json!("0.00"), vec!["0.00".to_owned(), "1299.00".to_owned()]));

    // Page by page it is the same, for a chain, an item and a whole control account.
    for query in [
        "assets:bank/explain?currency=USD",
        "assets:receivable/explain?currency=USD",
        "assets:receivable/explain?party=cus_1&item=in_2",
        "assets:processor-clearing/explain?party=stripe&item=pay_2",
    ] {
        let whole = ledger.get(&explain(query)).await.expect(200);
        assert_eq!(whole["next"], Value::Null);
        let data = whole["data"].as_array().unwrap();
        assert!(data.len() > 1, "{query}");
        let (mut paged, mut cursor) = (vec![], String::new());
        loop {
            let page = ledger.get(&format!("{}&limit=1{cursor}", explain(query))).await.expect(200);
            paged.extend(page["data"].as_array().unwrap().clone());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(&paged, data, "{query}");
        // From any earlier position on it is what stood there then.
        for (index, posting) in data.iter().enumerate() {
            let at = posting["position"].as_u64().unwrap();
            let then = ledger.get(&format!("{}&at={at}", explain(query))).await.expect(200);
            let first = data.iter().position(|posting| posting["position"].as_u64().unwrap() <= at).unwrap();
            assert_eq!(then["data"].as_array().unwrap()[..], data[first..], "{query} at {at}");
            assert_eq!(then["balance"], data[first]["balance_after"]);
            let before = ledger.get(&format!("{}&before={at}", explain(query))).await.expect(200);
            let rest = data.iter().position(|posting| posting["position"].as_u64().unwrap() < at).unwrap_or(data.len());
            assert_eq!(before["data"].as_array().unwrap()[..], data[rest..], "{query} before {at} ({index})");
        }
    }
    let text = ledger.get(&explain("assets:receivable/explain?party=cus_1")).await.text;
    let times: Value = serde_json::from_str(&text).unwrap();
    let oldest = times["data"].as_array().unwrap().last().unwrap()["recorded_at"].as_str().unwrap();
    let known =
        ledger.get(&explain(&format!("assets:receivable/explain?party=cus_1&known_at={oldest}"))).await.expect(200);
    assert_eq!(known["data"].as_array().unwrap().len(), 1);

    for (query, status) in [
        ("assets:bank/explain?party=cus_1", 400),
        ("assets:receivable/explain?item=in_1", 400),
        ("assets:receivable/explain?party=cus_1&at=0", 400),
        ("assets:receivable/explain?party=cus_1&at=3&before=3", 400),
        ("assets:receivable/explain?party=cus_1&cursor=AAAA", 400),
        ("assets:nowhere/explain", 404),
    ] {
        assert_eq!(ledger.get(&explain(query)).await.status.as_u16(), status, "{query}");
    }
    let nothing = ledger.get(&explain("assets:receivable/explain?party=nobody")).await.expect(200);
    assert_eq!((&nothing["balance"], &nothing["data"]), (&json!("0.00"), &json!([])));
    ledger.close().await;
}

/// SplitMix64: a seed is all a failure needs to be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) % end
    }
}

/// A line as the list of entries shows it.
struct Posted {
    position: u64,
    recorded_at: String,
    date: String,
    account: String,
    place: (String, String),
    cents: i128,
}

fn cents(text: &str) -> i128 {
    text.replace('.', "").parse().unwrap()
}

fn dollars(cents: i128) -> String {
    format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100)
}

async fn posted(ledger: &Ledger) -> Vec<Posted> {
    let mut all = vec![];
    let mut cursor = String::new();
    loop {
        let page = ledger.get(&format!("/v1/books/acme/entries?limit=1000{cursor}")).await;
        let page: Value = serde_json::from_str(&page.text).unwrap();
        for entry in page["data"].as_array().unwrap() {
            for line in entry["lines"].as_array().unwrap() {
                let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
                let sign = if line["side"] == "debit" { 1 } else { -1 };
                all.push(Posted {
                    position: entry["position"].as_u64().unwrap(),
                    recorded_at: entry["recorded_at"].as_str().unwrap().to_owned(),
                    date: entry["effective_date"].as_str().unwrap().to_owned(),
                    account: text("account"),
                    place: (text("party"), text("item")),
                    cents: sign * cents(&text("amount")),
                });
            }
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// What is open of an account and since when, from the entries alone: (party, item) → (cents, date).
fn open(posted: &[Posted], account: &str, as_of: &str, known: u64) -> BTreeMap<(String, String), (i128, String)> {
    let mut open: BTreeMap<(String, String), (i128, String)> = BTreeMap::new();
    for line in posted {
        if line.account != account || line.date.as_str() > as_of || line.position > known {
            continue;
        }
        let (sum, since) = open.entry(line.place.clone()).or_default();
        if (*sum + line.cents).signum() != sum.signum() {
            since.clone_from(&line.date);
        }
        *sum += line.cents;
    }
    open.retain(|_, (sum, _)| *sum != 0);
    open
}

/// What names no item is settled first in, first out: the newest of it is left. Its cents by days: up to 30, 60, … 120, more.
fn first_in_first_out(posted: &[Posted], account: &str, party: &str, all: i128, as_of: &str, known: u64) -> [i128; 6] {
    let day = |text: &str| text.parse::<jiff::civil::Date>().unwrap();
    let (mut rest, mut buckets) = (all, [0; 6]);
    for line in posted.iter().rev() {
        let counts = line.account == account && line.date.as_str() <= as_of && line.position <= known;
        let is_its = line.place == (party.to_owned(), String::new()) && line.cents.signum() == all.signum();
        if counts && is_its && rest != 0 {
            let part = if rest.abs() < line.cents.abs() { rest } else { line.cents };
            let days = (day(as_of) - day(&line.date)).get_days();
            buckets[usize::try_from((days + 29) / 30).unwrap().min(5)] += part;
            rest -= part;
        }
    }
    assert_eq!(rest, 0);
    buckets
}

#[tokio::test]
async fn open_items_of_any_past_are_what_the_entries_say() {
    let ledger = Ledger::with_book().await;
    let mut dice = Dice(5);
    let day = |dice: &mut Dice| format!("2026-{:02}-{:02}", 1 + dice.below(8), 1 + dice.below(28));
    for batch in 0..8 {
        let mut entries = vec![];
        for number in 0..60 {
            let (party, item) = (format!("cus_{}", dice.below(4)), format!("i-{}", dice.below(6)));
            let (debit, credit) = match dice.below(5) {
                // A receivable item only ever rises here: it must not go below zero at any time.
                0 => (
                    json!({"account": "assets:receivable", "party": party, "item": item}),
                    json!({"account": "revenue:sales"}),
                ),
                1 => (json!({"account": "assets:bank"}), json!({"account": "liabilities:suspense"})),
                2 => (json!({"account": "assets:bank"}), json!({"account": "liabilities:suspense", "item": item})),
                3 => (json!({"account": "liabilities:suspense", "item": item}), json!({"account": "assets:bank"})),
                _ => (
                    json!({"account": "assets:processor-clearing", "party": "stripe", "item": item}),
                    json!({"account": "assets:processor-clearing", "party": "adyen"}),
                ),
            };
            let amount = dollars(i128::from(1 + dice.below(3)));
            let line = |place: &Value, side: &str| {
                let mut line = place.clone();
                let members = line.as_object_mut().unwrap();
                members.insert("side".to_owned(), json!(side));
                members.insert("amount".to_owned(), json!(amount));
                members.insert("currency".to_owned(), json!("USD"));
                line
            };
            entries.push(json!({"idempotency_key": format!("k-{batch}-{number}"), "effective_date": day(&mut dice),
                "lines": [line(&debit, "debit"), line(&credit, "credit")]}));
        }
        let answer = ledger.post("/v1/books/acme/entries:batch", "ignored", &json!({"entries": entries})).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
    }
    let posted = posted(&ledger).await;
    assert!(posted.len() > 900, "{} lines", posted.len());
    let mut seen = 0;
    for _ in 0..25 {
        let as_of = day(&mut dice);
        let known = usize::try_from(dice.below(u64::try_from(posted.len()).unwrap())).unwrap();
        let (known, query) = match dice.below(4) {
            0 => (u64::MAX, format!("as_of={as_of}")),
            _ => (posted[known].position, format!("as_of={as_of}&known_at={}", posted[known].recorded_at)),
        };
        let aged = report(&ledger, "receivables-ageing", &format!("{query}&by=item")).await;
        let expected: Vec<Value> = open(&posted, "assets:receivable", &as_of, known)
            .into_iter()
            .map(|((party, item), (sum, since))| json!([party, item, since, dollars(sum)]))
            .collect();
        let shown = |row: &Value, fields: [&str; 4]| json!(fields.map(|field| row[field].clone()));
        let found: Vec<Value> = aged["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| shown(row, ["customer", "item", "due_date", "total"]))
            .collect();
        assert_eq!(found, expected, "{query}");
        seen += found.len();
        let left = report(&ledger, "must-zero-ageing", &query).await;
        for (account, sign) in [("assets:processor-clearing", 1), ("liabilities:suspense", -1)] {
            let rows = left["sections"].as_array().unwrap().iter().find(|section| section["name"] == account);
            let found: Vec<Value> = rows
                .map(|section| section["rows"].as_array().unwrap().clone())
                .unwrap_or_default()
                .iter()
                .map(|row| {
                    let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
                    if row["item"].is_null() {
                        let buckets =
                            ["current", "days_1_to_30", "days_31_to_60", "days_61_to_90", "days_91_to_120", "over_120"];
                        return json!([text("party"), buckets.map(text), text("total")]);
                    }
                    json!([text("party"), text("item"), text("since"), text("total")])
                })
                .collect();
            let expected: Vec<Value> = open(&posted, account, &as_of, known)
                .into_iter()
                .map(|((party, item), (sum, since))| {
                    if item.is_empty() {
                        let buckets = first_in_first_out(&posted, account, &party, sum, &as_of, known);
                        return json!([party, buckets.map(|cents| dollars(sign * cents)), dollars(sign * sum)]);
                    }
                    json!([party, item, since, dollars(sign * sum)])
                })
                .collect();
            assert_eq!(found, expected, "{account} {query}");
            seen += found.len();
        }
    }
    assert!(seen > 300, "only {seen} open items");
    ledger.close().await;
}
