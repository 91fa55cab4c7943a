//! The `saas` chart once more, typed from the domain document, not from the ledger's own table.

use partita_core::account::{Account, Class, CurrencyRule, ItemRule, Overdraft};
use partita_core::id::{AccountCode, AccountId, CurrencyId, PartyKind, Position, Role};

/// Letters: `-` contra, `C` customer, `P` processor, `J` jurisdiction, `o` optional items, `r` required items,
/// `F` functional currency only, `f` overdraft forbidden, `z` must be zero.
#[rustfmt::skip]
const SAAS: &[(&str, &str, &str, char, &str, &str)] = &[
    ("assets:bank", "1010", "Bank", 'a', "", "bank"),
    ("assets:processor-clearing", "1110", "Processor clearing", 'a', "Poz", "processor_clearing"),
    ("assets:disputed-funds", "1130", "Disputed funds", 'a', "Crz", "disputed_funds"),
    ("assets:cash-in-transit", "1190", "Cash in transit", 'a', "oz", "cash_in_transit"),
    ("assets:receivable", "1200", "Accounts receivable", 'a', "Cr", "receivable"),
    ("assets:unbilled-receivable", "1210", "Unbilled receivable", 'a', "Co", "unbilled_receivable"),
    ("assets:allowance-for-credit-losses", "1290", "Allowance for credit losses", 'a', "-", "allowance"),
    ("assets:input-tax", "1300", "Input tax", 'a', "J", "input_tax"),
    ("assets:fx-position", "1990", "FX position", 'a', "", "fx_position"),
    ("liabilities:accrued-fees", "2110", "Accrued fees", 'l', "", "accrued_fees"),
    ("liabilities:deferred-revenue", "2200", "Deferred revenue", 'l', "Crf", "deferred_revenue"),
    ("liabilities:customer-prepaid", "2210", "Customer prepaid (wallet)", 'l', "Cf", "customer_prepaid"),
    ("liabilities:unapplied-cash", "2220", "Unapplied cash", 'l', "Crf", "unapplied_cash"),
    ("liabilities:customer-credit", "2230", "Customer credit", 'l', "Cf", "customer_credit"),
    ("liabilities:refunds-payable", "2240", "Refunds payable", 'l', "Crfz", "refunds_payable"),
    ("liabilities:tax-payable", "2300", "Tax payable", 'l', "J", "tax_payable"),
    ("liabilities:dispute-reserve", "2410", "Dispute reserve", 'l', "", "dispute_reserve"),
    ("liabilities:suspense", "2900", "Suspense", 'l', "oz", "suspense"),
    ("equity:capital", "3000", "Capital", 'q', "", "capital"),
    ("equity:retained-earnings", "3100", "Retained earnings", 'q', "F", "retained_earnings"),
    ("revenue:subscription", "4000", "Subscription revenue", 'r', "F", "subscription"),
    ("revenue:sales", "4010", "Sales", 'r', "F", "sales"),
    ("revenue:usage", "4100", "Usage revenue", 'r', "F", "usage"),
    ("revenue:breakage", "4300", "Breakage", 'r', "F", "breakage"),
    ("revenue:credits-and-refunds", "4910", "Credits and refunds", 'r', "-F", "credits_and_refunds"),
    ("revenue:discounts", "4920", "Discounts", 'r', "-F", "discounts"),
    ("expenses:processing-fees", "5100", "Processing fees", 'x', "F", "processing_fees"),
    ("expenses:dispute-fees", "5110", "Dispute fees", 'x', "F", "dispute_fees"),
    ("expenses:bad-debt", "6500", "Bad debt", 'x', "F", "bad_debt"),
    ("expenses:chargeback-loss", "6510", "Chargeback loss", 'x', "F", "chargeback_loss"),
    ("revenue:fx-realised", "7100", "FX gains and losses, realised", 'r', "F", "fx_realised"),
    ("revenue:fx-unrealised", "7110", "FX gains and losses, unrealised", 'r', "F", "fx_unrealised"),
    ("expenses:rounding", "7200", "Rounding", 'x', "F", "rounding"),
];

/// The chart's accounts as a book with this functional currency opens them, numbered from 1 in this order.
pub(crate) fn saas(functional: CurrencyId, decided: Position) -> Vec<Account> {
    let accounts = SAAS.iter().zip(1..).map(|((code, number, name, class, letters, role), id)| {
        let has = |letter| letters.contains(letter);
        let party = [('C', "customer"), ('P', "processor"), ('J', "jurisdiction")].into_iter().find(|pair| has(pair.0));
        Account {
            id: AccountId(id),
            code: AccountCode::new(code).unwrap(),
            number: Some((*number).to_owned()),
            name: (*name).to_owned(),
            class: match class {
                'a' => Class::Asset,
                'l' => Class::Liability,
                'q' => Class::Equity,
                'r' => Class::Revenue,
                _ => Class::Expense,
            },
            contra: has('-'),
            party: party.map(|pair| PartyKind::new(pair.1).unwrap()),
            items: match (has('o'), has('r')) {
                (true, _) => ItemRule::Optional,
                (false, true) => ItemRule::Required,
                (false, false) => ItemRule::None,
            },
            currencies: if has('F') { CurrencyRule::Only(vec![functional]) } else { CurrencyRule::Any },
            overdraft: if has('f') { Overdraft::Forbid } else { Overdraft::Allow },
            must_zero: has('z'),
            role: Some(Role::new(role).unwrap()),
            closed: false,
            decided,
        }
    });
    accounts.collect()
}
