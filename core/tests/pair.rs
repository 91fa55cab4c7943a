//! A single transfer is posted straight, an atomic batch of one by way of a plan: both must lead to the same state and
//! the same decision, whatever the transfer and whatever came before it.

#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

mod scenario;
mod support;

use partita_core::decision::{Origin, Outcome};
use partita_core::id::Fingerprint;
use partita_core::operation::OperationKind;
use proptest::prelude::*;
use proptest::sample::select;
use scenario::Ledger;
use support::memory::Memory;

const CHART: [&str; 12] = [
    "book acme USD empty",
    "currency PTS 0",
    "account cash asset",
    "account suspense asset must-zero",
    "account euros asset currencies=EUR",
    "account wallets liability party=customer forbid",
    "account credit liability party=customer",
    "account receivable asset party=customer items=required",
    "account notes liability party=customer items=optional forbid",
    "account stats memo",
    "account gone expense",
    "close gone",
];
const PLACES: [&str; 18] = [
    "cash",
    "suspense",
    "euros",
    "wallets/cus_1",
    "wallets/cus_2",
    "wallets",
    "credit/cus_1",
    "credit/cus_2",
    "receivable/cus_1/in_1",
    "receivable/cus_1",
    "notes/cus_1",
    "notes/cus_1/n_1",
    "stats",
    "gone",
    "nowhere",
    "cash/cus_1",
    "cash",
    "wallets/cus_1",
];
const AMOUNTS: [&str; 8] = ["1.00", "2.50", "100", "0.01", "0.001", "7", "999999999999999999.99", "3.000"];
const CURRENCIES: [&str; 6] = ["USD", "USD", "USD", "EUR", "PTS", "XYZ"];
const DATES: [&str; 5] = ["", "", " date=2026-01-31", " date=2025-12-31", " date=2026-02-15"];

fn lines() -> impl Strategy<Value = Vec<String>> {
    let transfer =
        (select(&PLACES[..]), select(&PLACES[..]), select(&AMOUNTS[..]), select(&CURRENCIES[..]), select(&DATES[..]))
            .prop_map(|(debit, credit, amount, currency, date)| {
                format!("transfer {debit} {credit} {amount} {currency}{date}")
            });
    let other = prop_oneof![
        (0..9u8, 1..6u8).prop_map(|(id, amount)| format!("hold h_{id} wallets/cus_1 cash {amount}.00 USD")),
        (0..9u8).prop_map(|id| format!("void-hold h_{id}")),
        Just("entry dr cash 5.00 USD cr wallets/cus_1 5.00 USD".to_owned()),
        Just("soft-close 2025-12".to_owned()),
        Just("today 2026-02-01".to_owned()),
    ];
    prop::collection::vec(prop_oneof![6 => transfer, 1 => other], 1..60)
}

/// Without what says how a transfer was asked for.
fn comparable(memory: &Memory) -> Memory {
    let mut memory = memory.clone();
    memory.journal_hash = [0; 32];
    for record in memory.keys.values_mut() {
        record.fingerprint = Fingerprint([0; 16]);
    }
    for decision in &mut memory.journal {
        if let Origin::Request { fingerprint, .. } = &mut decision.origin {
            *fingerprint = Fingerprint([0; 16]);
        }
        if decision.operation == OperationKind::Transfers {
            decision.operation = OperationKind::Transfer;
        }
        if let Outcome::Refused(rejection) = &mut decision.outcome {
            rejection.index = None;
        }
    }
    memory
}

proptest! {
    #[test]
    fn a_transfer_is_the_same_either_way(lines in lines()) {
        let (mut alone, mut together) = (Ledger::default(), Ledger::default());
        together.together = true;
        for line in CHART.iter().copied().chain(lines.iter().map(String::as_str)) {
            alone.run(line);
            together.run(line);
            // Both whole would fill screens: the shortest lines that lead to it say more.
            prop_assert!(comparable(&alone.memory) == comparable(&together.memory), "they differ after {line}");
        }
    }
}

#[test]
fn the_transfers_above_are_accepted_and_refused() {
    let mut ledger = Ledger::default();
    CHART.iter().for_each(|line| drop(ledger.run(line)));
    let mut outcomes = [0, 0];
    for (debit, credit) in PLACES.iter().flat_map(|debit| PLACES.iter().map(move |credit| (debit, credit))) {
        let is_refused = ledger.run(&format!("transfer {debit} {credit} 1.00 USD")).contains("refused");
        outcomes[usize::from(is_refused)] += 1;
    }
    assert!(outcomes[0] > 50 && outcomes[1] > 50, "{outcomes:?}");
}
