//! Bounds of the posting rules that no ordinary scenario reaches, and the property of refunds over random charges.

#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

mod scenario;
mod support;

use proptest::prelude::*;
use scenario::Ledger;

/// The last line of the answer says what was decided.
fn refused(ledger: &mut Ledger, line: &str) -> String {
    let answer = ledger.run(line);
    answer.split_once("refused ").unwrap_or_else(|| panic!("not refused: {line}\n{answer}")).1.trim_end().to_owned()
}

fn accepted(ledger: &mut Ledger, line: &str) {
    let answer = ledger.run(line);
    assert!(!answer.contains("refused") && answer.starts_with('#'), "{line}\n{answer}");
}

#[test]
fn an_entry_has_at_most_1000_lines() {
    let mut ledger = Ledger::default();
    accepted(&mut ledger, "book acme USD saas");
    let line = |taxes: u32| {
        let taxes: String = (0..taxes).map(|number| format!("+j{number}:0.01")).collect();
        format!(" revenue=revenue:sales:1.00{taxes}")
    };
    // One line of receivable, 90 × (1 + 10) of revenue and tax; then 9 more, and one too many.
    let charge = |id: &str, rest: u32| format!("charge {id} cus_1 USD{}{}", line(10).repeat(90), line(rest));
    accepted(&mut ledger, &charge("in_1", 8));
    assert!(refused(&mut ledger, &charge("in_2", 9)).starts_with("document_full at Whole"));

    // Ten distinct jurisdictions, and the refund gathers tax by jurisdiction: four lines of settlement and two more.
    accepted(&mut ledger, "pay pay_1 cus_1 processor=stripe 91.00 USD apply=in_1:91.00");
    accepted(&mut ledger, "refund re_1 pay_1 91.00");
    assert_eq!(ledger.memory.journal.last().map(|decision| decision.position.0), Some(5));
}

#[test]
fn a_refund_that_could_not_fail_any_more_is_refused() {
    let mut ledger = Ledger::default();
    accepted(&mut ledger, "book acme USD saas");
    let mut asked = vec![];
    for charge in 0..100 {
        // 11 lines of a refund each: 1,100 in all.
        let taxes: String = (0..10).map(|number| format!("+j{charge}-{number}:0.10")).collect();
        accepted(&mut ledger, &format!("charge in_{charge} cus_1 USD revenue=revenue:sales:2.00{taxes}"));
        asked.push(format!("in_{charge}:2.00"));
    }
    accepted(&mut ledger, &format!("pay pay_1 cus_1 processor=stripe 200.00 USD apply={}", asked.join(",")));
    assert!(refused(&mut ledger, "refund re_1 pay_1 200.00").starts_with("document_full at Whole"));
    // 90 charges of 11 lines, refunds payable: 991 lines, and two of settlement.
    accepted(&mut ledger, "refund re_2 pay_1 180.00 manual");
    accepted(&mut ledger, "settle re_2");
    accepted(&mut ledger, "fail re_2");
}

#[test]
fn a_document_gathers_at_most_1000_entries() {
    let mut ledger = Ledger::default();
    accepted(&mut ledger, "book acme USD saas");
    accepted(&mut ledger, "charge in_1 cus_1 USD revenue=revenue:sales:10.00");
    accepted(&mut ledger, "pay pay_1 cus_1 processor=stripe 10.00 USD apply=in_1:10.00");
    for _ in 0..499 {
        accepted(&mut ledger, "unapply pay_1 in_1:1.00");
        accepted(&mut ledger, "apply pay_1 in_1:1.00");
    }
    // The charge's own entry makes it the first to be full.
    assert!(refused(&mut ledger, "unapply pay_1 in_1:1.00").starts_with("document_full at Whole"));
    accepted(&mut ledger, "fee pay_1 0.10");
    assert!(refused(&mut ledger, "fee pay_1 0.10").starts_with("document_full at Whole"));
}

#[test]
fn a_payment_settles_at_most_1000_charges() {
    let mut ledger = Ledger::default();
    accepted(&mut ledger, "book acme USD saas");
    accepted(&mut ledger, "pay pay_1 cus_1 processor=stripe 2000.00 USD");
    let apply = |charges: &[String]| format!("apply pay_1 {}", charges.join(","));
    for round in 0..10 {
        let ids: Vec<String> = (0..100).map(|number| format!("in_{}", round * 100 + number)).collect();
        for id in &ids {
            accepted(&mut ledger, &format!("charge {id} cus_1 USD revenue=revenue:sales:1.00"));
        }
        accepted(&mut ledger, &apply(&ids.iter().map(|id| format!("{id}:1.00")).collect::<Vec<_>>()));
    }
    accepted(&mut ledger, "charge in_1000 cus_1 USD revenue=revenue:sales:1.00");
    assert!(refused(&mut ledger, "apply pay_1 in_1000:1.00").starts_with("document_full at Whole"));
    // What is not applied is refunded first; then the newest charges.
    accepted(&mut ledger, "refund re_1 pay_1 1090.00");
    assert!(refused(&mut ledger, "refund re_2 pay_1 910.01").starts_with("over_refund at Amount"));
    accepted(&mut ledger, "refund re_2 pay_1 910.00");
}

#[test]
fn sums_beyond_128_bits_are_refused() {
    let mut ledger = Ledger::default();
    accepted(&mut ledger, "book acme USD saas");
    accepted(&mut ledger, "currency WEI 18");
    let side =
        |side: &str, place: &str| format!(" {side} {place} 999999999999999999.999999999999999999 WEI").repeat(200);
    let entry = format!("entry{}{}", side("dr", "assets:bank"), side("cr", "equity:capital"));
    assert!(refused(&mut ledger, &entry).starts_with("balance_too_large at Line(170)"));

    // 42 times the greatest amount passes a quarter of what an integer of 128 bits holds.
    for _ in 0..42 {
        accepted(&mut ledger, "transfer assets:bank equity:capital 999999999999999999.999999999999999999 WEI");
    }
    let rest = refused(&mut ledger, "transfer assets:bank equity:capital 999999999999999999.999999999999999999 WEI");
    assert!(rest.starts_with("balance_too_large at Debit"), "{rest}");

    let rest = refused(&mut ledger, "pay pay_1 cus_1 account=assets:bank 999999999999999999 WEI");
    assert!(rest.starts_with("balance_too_large at Source"), "{rest}");
    // A rate that makes the functional value too large, summed over lines that are not.
    let line = " revenue=revenue:sales:500000000000000000";
    let rest = refused(&mut ledger, &format!("charge in_1 cus_1 EUR rate=1600000000000000000{}", line.repeat(3)));
    assert!(rest.starts_with("balance_too_large at Line(2)"), "{rest}");
}

/// Cents as `1.05`.
fn money(minor: i64) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}

#[derive(Clone, Debug)]
struct RandomLine {
    net: i64,
    tax: Vec<i64>,
    deferred: bool,
}

fn random_line() -> impl Strategy<Value = RandomLine> {
    (0i64..400, prop::collection::vec(1i64..60, 0..4), any::<bool>())
        .prop_filter("an amount is above zero", |(net, tax, _)| *net > 0 || !tax.is_empty())
        .prop_map(|(net, tax, deferred)| RandomLine { net, tax, deferred })
}

/// One refund of up to so many cents; whether it is settled later; whether it fails in the end.
type RandomRefund = (i64, bool, bool);

fn charge(lines: &[RandomLine], foreign: bool) -> (String, i64) {
    let mut gross = 0;
    let mut text = format!("charge in_1 cus_1 {}", if foreign { "EUR rate=1.0937" } else { "USD" });
    for line in lines {
        let amount = line.net + line.tax.iter().sum::<i64>();
        gross += amount;
        text.push_str(&format!(" revenue=revenue:sales:{}", money(amount)));
        for (number, tax) in line.tax.iter().enumerate() {
            text.push_str(&format!("+j{number}:{}", money(*tax)));
        }
        if line.deferred {
            text.push_str("@2026-01-01..2026-12-31");
        }
    }
    (text, gross)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// Whatever was refunded in whatever parts, failed and refunded again: what is left in the end is exactly nothing.
    #[test]
    fn refunds_of_a_charge_end_at_exactly_its_tax_and_gross(
        lines in prop::collection::vec(random_line(), 1..5),
        foreign in any::<bool>(),
        refunds in prop::collection::vec((1i64..300, any::<bool>(), prop::bool::weighted(0.3)), 0..12),
    ) {
        let mut ledger = Ledger::default();
        accepted(&mut ledger, "book acme USD saas");
        let (text, gross) = charge(&lines, foreign);
        accepted(&mut ledger, &text);
        let currency = if foreign { "EUR" } else { "USD" };
        let gross_text = money(gross);
        accepted(&mut ledger, &format!("pay pay_1 cus_1 processor=stripe {gross_text} {currency} apply=in_1:{gross_text}"));
        refund_all(&mut ledger, gross, &refunds);

        let charge = ledger.memory.charges.values().next().unwrap();
        prop_assert_eq!(charge.credited, charge.amount.minor());
        for line in &charge.lines {
            for tax in &line.tax {
                prop_assert_eq!(tax.refunded, tax.amount.minor());
            }
        }
        let functional: i128 = charge.lines.iter().map(|line| line.functional_net).sum();
        prop_assert_eq!(charge.credited_functional_net, functional);
        // Revenue and credits are left, in equal amounts less what was deferred; all else is zero.
        for (key, sums) in &ledger.memory.controls {
            let account = &ledger.memory.accounts[&(key.book, key.account)];
            let statement = ["revenue:sales", "revenue:credits-and-refunds"].contains(&account.code.as_str());
            prop_assert!(statement || sums.debits == sums.credits, "{} is not zero: {:?}", account.code, sums);
        }
    }
}

/// Refunds as the list says, lets some fail afterwards, then refunds all that is left.
fn refund_all(ledger: &mut Ledger, gross: i64, refunds: &[RandomRefund]) {
    let mut left = gross;
    let mut failing = vec![];
    for (number, (amount, manual, fails)) in refunds.iter().enumerate() {
        let amount = *amount.min(&left);
        if amount == 0 {
            break;
        }
        let manual_word = if *manual { " manual" } else { "" };
        accepted(ledger, &format!("refund re_{number} pay_1 {}{manual_word}", money(amount)));
        left -= amount;
        if *manual && number % 2 == 0 {
            accepted(ledger, &format!("settle re_{number}"));
        }
        if *fails {
            failing.push((number, amount));
        } else if *manual && number % 2 == 1 {
            accepted(ledger, &format!("settle re_{number}"));
        }
        if failing.len() == 2 {
            let (number, amount) = failing.remove(0);
            accepted(ledger, &format!("fail re_{number}"));
            left += amount;
        }
    }
    for (number, amount) in failing {
        accepted(ledger, &format!("fail re_{number}"));
        left += amount;
    }
    if left > 0 {
        accepted(ledger, &format!("refund re_last pay_1 {}", money(left)));
    }
}

#[test]
fn a_book_has_at_most_1000_currencies_of_its_own() {
    let mut ledger = Ledger::default();
    accepted(&mut ledger, "book acme USD saas");
    for number in 0..1_000 {
        accepted(&mut ledger, &format!("currency T{number:04} 2"));
    }
    assert!(refused(&mut ledger, "currency ONEMORE 2").starts_with("too_many_currencies at Whole"));
    // What is registered already is refused as that.
    assert!(refused(&mut ledger, "currency T0999 2").starts_with("already_exists"));
    accepted(&mut ledger, "book other USD saas");
}
