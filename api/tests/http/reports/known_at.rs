//! What was believed at an instant about a date is the same whenever it is asked for again, however much is posted
//! meanwhile, and it is what the journal's feed adds up to.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::Ledger;

const BATCH: usize = 500;
const BATCHES: usize = 22;

/// SplitMix64: a seed is all a failure needs to be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ mixed >> 31) % u64::try_from(end).unwrap()).unwrap()
    }
}

/// Asked first when the journal had reached `known_at`, and again as it grows.
struct Asked {
    path: String,
    first: Value,
    times: usize,
}

/// What a line of the feed posted: instant, date, whether it adjusts, (account, class) and cents, debits positive.
struct Posted {
    recorded_at: String,
    date: String,
    number: u64,
    lines: Vec<(String, i64)>,
}

fn date(dice: &mut Dice) -> String {
    // Three years; about half of the entries are dated before those that came earlier.
    let (year, month, day) = (2024 + dice.below(3), 1 + dice.below(12), 1 + dice.below(28));
    format!("{year}-{month:02}-{day:02}")
}

const ACCOUNTS: [&str; 8] = [
    "assets:bank",
    "liabilities:customer-credit",
    "revenue:sales",
    "revenue:discounts",
    "expenses:processing-fees",
    "equity:capital",
    "assets:unbilled-receivable",
    "liabilities:accrued-fees",
];

fn entry(dice: &mut Dice, key: usize) -> Value {
    let debit = dice.below(ACCOUNTS.len());
    let credit = (debit + 1 + dice.below(ACCOUNTS.len() - 1)) % ACCOUNTS.len();
    let kind = ["standard", "standard", "adjusting", "opening"][dice.below(4)];
    let amount = format!("{}.{:02}", 1 + dice.below(900), dice.below(100));
    let party = format!("cus_{}", dice.below(20));
    let line = |account: &str, side: &str| {
        let mut line = json!({"account": account, "side": side, "amount": amount, "currency": "USD"});
        if account.contains("customer") || account.contains("unbilled") {
            line["party"] = json!(party);
        }
        line
    };
    json!({"idempotency_key": format!("e{key}"), "kind": kind, "effective_date": date(dice),
        "lines": [line(ACCOUNTS[debit], "debit"), line(ACCOUNTS[credit], "credit")]})
}

async fn post(ledger: &Ledger, dice: &mut Dice, batch: usize) {
    let entries: Vec<Value> = (0..BATCH).map(|index| entry(dice, batch * BATCH + index)).collect();
    let answer = ledger.post("/v1/books/acme/entries:batch", "ignored", &json!({"entries": entries})).await.expect(200);
    let posted = answer["results"].as_array().unwrap().iter().filter(|result| result["status"] == "posted").count();
    // What would overdraw a customer's credit is refused.
    assert!(posted > BATCH / 2, "{posted} posted");
}

/// Every entry so far, from the feed.
async fn feed(ledger: &Ledger, after: u64) -> (Vec<Posted>, u64) {
    let text = ledger.get(&format!("/v1/journal?after_position={after}")).await.text;
    let (mut posted, mut last) = (vec![], after);
    for line in text.lines() {
        let decision: Value = serde_json::from_str(line).unwrap();
        last = decision["position"].as_u64().unwrap();
        for entry in decision["entries"].as_array().unwrap() {
            let cents = |line: &Value| {
                let cents: i64 = line["amount"].as_str().unwrap().replace('.', "").parse().unwrap();
                if line["side"] == "debit" { cents } else { -cents }
            };
            let lines = entry["lines"].as_array().unwrap().iter();
            posted.push(Posted {
                recorded_at: decision["recorded_at"].as_str().unwrap().to_owned(),
                date: entry["effective_date"].as_str().unwrap().to_owned(),
                number: entry["number"].as_u64().unwrap(),
                lines: lines.map(|line| (line["account"].as_str().unwrap().to_owned(), cents(line))).collect(),
            });
        }
    }
    (posted, last)
}

/// Without what says when and from which journal it was read.
fn content(text: &str) -> Value {
    let mut report: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    for member in ["head", "head_position"] {
        assert!(report.as_object_mut().unwrap().remove(member).is_some());
    }
    report
}

async fn ask(ledger: &Ledger, path: &str) -> Value {
    let answer = ledger.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    content(&answer.text)
}

fn cents(value: &Value) -> i64 {
    value.as_str().map_or(0, |text| text.replace('.', "").parse().unwrap())
}

/// The trial balance, from the feed alone.
fn check_trial_balance(report: &Value, known_at: &str, posted: &[Posted]) {
    let (from, as_of) = (report["from"].as_str().unwrap(), report["as_of"].as_str().unwrap());
    let known: Vec<&Posted> = posted.iter().filter(|entry| instant(&entry.recorded_at) <= instant(known_at)).collect();
    assert_eq!(report["last_entry"], known.iter().map(|entry| entry.number).max().unwrap_or(0));
    // Opening, debits, credits by account.
    let mut sums: BTreeMap<&str, (i64, i64, i64)> = BTreeMap::new();
    for entry in known.iter().filter(|entry| entry.date.as_str() <= as_of) {
        for (account, cents) in &entry.lines {
            let sum = sums.entry(account).or_default();
            match (entry.date.as_str() < from, *cents > 0) {
                (true, _) => sum.0 += cents,
                (false, true) => sum.1 += cents,
                (false, false) => sum.2 -= cents,
            }
        }
    }
    let found: BTreeMap<&str, (i64, i64, i64)> = report["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let opening = cents(&row["opening_debit"]) - cents(&row["opening_credit"]);
            let (debits, credits) = (cents(&row["debits"]), cents(&row["credits"]));
            assert_eq!(cents(&row["debit"]) - cents(&row["credit"]), opening + debits - credits);
            (row["account"].as_str().unwrap(), (opening, debits, credits))
        })
        .collect();
    assert_eq!(found, sums, "from {from} to {as_of}, known at {known_at}");
}

/// Net income since the fiscal year began and assets, from the feed alone.
fn check_statements(sheet: &Value, income: &Value, known_at: &str, posted: &[Posted]) {
    let as_of = sheet["as_of"].as_str().unwrap();
    let year = &as_of[..4];
    let (mut assets, mut net) = (0, 0);
    for entry in
        posted.iter().filter(|entry| instant(&entry.recorded_at) <= instant(known_at) && entry.date.as_str() <= as_of)
    {
        for (account, cents) in &entry.lines {
            if account.starts_with("assets") {
                assets += cents;
            }
            if (account.starts_with("revenue") || account.starts_with("expenses")) && entry.date.starts_with(year) {
                net -= cents;
            }
        }
    }
    assert_eq!(cents(&sheet["totals"][0]["amount"]), assets, "as of {as_of}, known at {known_at}");
    assert_eq!(cents(&income["totals"][0]["amount"]), net, "as of {as_of}, known at {known_at}");
}

fn instant(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}

#[tokio::test]
async fn reports_of_the_past_never_change_and_are_what_the_feed_adds_up_to() {
    let ledger = Ledger::with_book().await;
    let mut dice = Dice(23);
    let mut asked: Vec<Asked> = vec![];
    let (mut posted, mut last): (Vec<Posted>, u64) = (vec![], 0);
    for batch in 0..BATCHES {
        post(&ledger, &mut dice, batch).await;
        let (more, position) = feed(&ledger, last).await;
        posted.extend(more);
        last = position;
        // Two instants of the past, one of them recent; two dates.
        for newest in [posted.len(), (posted.len() / 10).max(1)] {
            let known_at = posted[posted.len() - 1 - dice.below(newest)].recorded_at.clone();
            let (a, b) = (date(&mut dice), date(&mut dice));
            let (from, as_of) = if a < b { (a, b) } else { (b, a) };
            let query = format!("as_of={as_of}&known_at={known_at}");
            let trial = format!("/v1/books/acme/reports/trial-balance?{query}&from={from}&adjusted=true");
            let sheet = format!("/v1/books/acme/reports/balance-sheet?{query}&compare_as_of={from}");
            let income = format!("/v1/books/acme/reports/income-statement?{query}");
            let firsts = [ask(&ledger, &trial).await, ask(&ledger, &sheet).await, ask(&ledger, &income).await];
            check_trial_balance(&firsts[0], &known_at, &posted);
            check_statements(&firsts[1], &firsts[2], &known_at, &posted);
            for (path, first) in [trial, sheet, income].into_iter().zip(firsts) {
                assert_eq!(first["final"], true);
                asked.push(Asked { path, first, times: 0 });
            }
            if batch % 8 == 0 {
                let month = &as_of[..7];
                for name in ["journal", "general-ledger"] {
                    let path = format!("/v1/books/acme/reports/{name}?from={month}-01&{query}");
                    let path = path.replace(&format!("as_of={as_of}"), &format!("as_of={month}-28"));
                    let first = ask(&ledger, &path).await;
                    asked.push(Asked { path, first, times: 0 });
                }
            }
        }
        for _ in 0..6 {
            let index = dice.below(asked.len());
            let Asked { path, first, times } = &mut asked[index];
            assert_eq!(&ask(&ledger, path).await, first, "{path}");
            *times += 1;
        }
    }
    assert!(posted.len() >= 10_000, "only {} entries", posted.len());
    let backdated = posted.windows(2).filter(|pair| pair[1].date < pair[0].date).count();
    assert!(backdated > 4_000, "only {backdated} backdated");
    for Asked { path, first, times } in &mut asked {
        if *times == 0 {
            assert_eq!(&ask(&ledger, path).await, first, "{path}");
        }
    }
    ledger.close().await;
}
