//! Reads beside writes: whatever is read in pieces, the whole answer is of the one position that its header names.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::{Answer, Ledger};

const ACCOUNT: &str = "/v1/books/acme/accounts/assets:bank";
/// Answers that are compared, each with the book at its position.
const READS: usize = 400;

fn units(amount: &Value) -> u64 {
    amount.as_str().unwrap().split('.').next().unwrap().parse().unwrap()
}

fn sum_of(balances: &Value) -> u64 {
    balances.as_array().unwrap().iter().map(|balance| units(&balance["balance"])).sum()
}

/// The largest position of the page's postings, and the largest balances after them, summed over the currencies.
fn newest(answer: &Answer) -> (u64, u64) {
    let body = answer.body();
    let postings = body["data"].as_array().unwrap();
    let position = postings.iter().map(|posting| posting["position"].as_u64().unwrap()).max().unwrap();
    let of = |currency| {
        let own = postings.iter().filter(move |posting| posting["currency"] == currency);
        own.map(|posting| units(&posting["balance_after"])).max().unwrap()
    };
    (position, of("USD") + of("EUR"))
}

/// The account gets one unit with each decision after the book was opened, in one currency after the other: its balances at a
/// position are known, and an answer that has one currency from before a decision and the other from after it is found.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_is_of_the_position_that_it_names() {
    let ledger = Ledger::with_book().await;
    let start = ledger.position();
    let write = async |number: u64| {
        let currency = if number.is_multiple_of(2) { "USD" } else { "EUR" };
        let transfer = json!({"debit": "assets:bank", "credit": "liabilities:customer-prepaid/cus_1", "amount": "1.00",
            "currency": currency, "effective_date": "2026-01-01"});
        ledger.post("/v1/books/acme/transfers", &format!("t{number}"), &transfer).await.expect(201);
    };
    for number in 0..4 {
        write(number).await;
    }
    let done = AtomicBool::new(false);
    let writer = async {
        let mut number = 4;
        while !done.load(Ordering::Relaxed) {
            write(number).await;
            number += 1;
        }
        number
    };
    let reader = async {
        for round in 0..READS / 4 {
            let total = |answer: &Answer| answer.position() - start;
            for query in ["?as_of=2026-12-31", "?known_at=2100-01-01T00:00:00Z"] {
                let balances = ledger.get(&format!("{ACCOUNT}/balance{query}")).await;
                assert_eq!(sum_of(&balances.body()["balances"]), total(&balances), "{query}, round {round}");
            }
            let page = ledger.get(&format!("{ACCOUNT}/postings?limit=10")).await;
            assert_eq!(newest(&page), (page.position(), total(&page)), "round {round}");
            let why = ledger.get(&format!("{ACCOUNT}/explain?currency=USD&known_at=2100-01-01T00:00:00Z")).await;
            assert_eq!(why.body()["position"], why.position(), "round {round}");
            assert_eq!(units(&why.body()["balance"]), total(&why).div_ceil(2), "round {round}");
        }
        done.store(true, Ordering::Relaxed);
    };
    let (written, ()) = tokio::join!(writer, reader);
    assert!(written > 20, "only {written} were written beside {READS} reads");
    ledger.close().await;
}
