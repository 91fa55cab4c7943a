//! The chart of accounts that ships (`saas`, docs/rules.md, chart). A test of the api crate holds it against
//! `examples/chart-saas.json`.

use crate::account::{Account, Class, CurrencyRule, ItemRule, Overdraft};
use crate::id::{AccountCode, AccountId, CurrencyId, PartyKind, Position, Role};

struct Row {
    code: &'static str,
    number: &'static str,
    name: &'static str,
    class: Class,
    contra: bool,
    party: Option<&'static str>,
    items: ItemRule,
    functional_only: bool,
    overdraft: Overdraft,
    must_zero: bool,
    role: Option<&'static str>,
}

#[rustfmt::skip]
const SAAS: &[Row] = &[
    Row { code: "assets:bank", number: "1010", name: "Bank", class: Class::Asset, contra: false, party: None, items: ItemRule::None, functional_only: false, overdraft: Overdraft::Allow, must_zero: false, role: Some("bank") },
    Row { code: "assets:processor-clearing", number: "1110", name: "Processor clearing", class: Class::Asset, contra: false, party: Some("processor"), items: ItemRule::Optional, functional_only: false, overdraft: Overdraft::Allow, must_zero: true, role: Some("processor_clearing") },
    Row { code: "assets:disputed-funds", number: "1130", name: "Disputed funds", class: Class::Asset, contra: false, party: Some("customer"), items: ItemRule::Required, functional_only: false, overdraft: Overdraft::Allow, must_zero: true, role: Some("disputed_funds") },
    Row { code: "assets:cash-in-transit", number: "1190", name: "Cash in transit", class: Class::Asset, contra: false, party: None, items: ItemRule::Optional, functional_only: false, overdraft: Overdraft::Allow, must_zero: true, role: Some("cash_in_transit") },
    Row { code: "assets:receivable", number: "1200", name: "Accounts receivable", class: Class::Asset, contra: false, party: Some("customer"), items: ItemRule::Required, functional_only: false, overdraft: Overdraft::Allow, must_zero: false, role: Some("receivable") },
    Row { code: "assets:unbilled-receivable", number: "1210", name: "Unbilled receivable", class: Class::Asset, contra: false, party: Some("customer"), items: ItemRule::Optional, functional_only: false, overdraft: Overdraft::Allow, must_zero: false, role: Some("unbilled_receivable") },
    Row { code: "assets:allowance-for-credit-losses", number: "1290", name: "Allowance for credit losses", class: Class::Asset, contra: true, party: None, items: ItemRule::None, functional_only: false, overdraft: Overdraft::Allow, must_zero: false, role: Some("allowance") },
    Row { code: "assets:input-tax", number: "1300", name: "Input tax", class: Class::Asset, contra: false, party: Some("jurisdiction"), items: ItemRule::None, functional_only: false, overdraft: Overdraft::Allow, must_zero: false, role: Some("input_tax") },
    Row { code: "assets:fx-position", number: "1990", name: "FX position", class: Class::Asset, contra: false, party: None, items: ItemRule::None, functional_only: false, overdraft: Overdraft::Allow, must_zero: false, role: Some("fx_position") },
    Row { code: "liabilities:accrued-fees", number: "2110", name: "Accrued fees", class: Class::Liability, contra: false, party: None, items: ItemRule::None, functional_only: false, overdraft: Overdraft::Allow, must_zero: false, role: Some("accrued_fees") },
    Row { code: "liabilities:deferred-revenue", number: "2200", name: "Deferred revenue", class: Class::Liability, contra: false, party: Some("customer"), items: ItemRule::Required, functional_only: false, overdraft: Overdraft::Forbid, must_zero: false, role: Some("deferred_revenue") },
    Row { code: "liabilities:customer-prepaid", number: "2210", name: "Customer prepaid (wallet)", class: Class::Liability, contra: false, party: Some("customer"), items: ItemRule::None, functional_only: false, overdraft: Overdraft::Forbid, must_zero: false, role: Some("customer_prepaid") },
    Row { code: "liabilities:unapplied-cash", number: "2220", name: "Unapplied cash", class: Class::Liability, contra: false, party: Some("customer"), items: ItemRule::Required, functional_only: false, overdraft: Overdraft::Forbid, must_zero: false, role: Some("unapplied_cash") },
    Row { code: "liabilities:customer-credit", number: "2230", name: "Customer credit", class: Class::Liability, contra: false, party: Some("customer"), items: ItemRule::None, functional_only: false, overdraft: Overdraft::Forbid, must_zero: false, role: Some("customer_credit") },
    Row { code: "liabilities:refunds-payable", number: "2240", name: "Refunds payable", class: Class::Liability, contra: false, party: Some("customer"), items: ItemRule::Required, functional_only: false, overdraft: Overdraft::Forbid, must_zero: true, role: Some("refunds_payable") },
    Row { code: "liabilities:tax-payable", number: "2300", name: "Tax payable", class: Class::Liability, contra: false, party: Some("jurisdiction"), items: ItemRule::None, functional_only: false, overdraft: Overdraft::Allow, must_zero: false, role: Some("tax_payable") },
    Row { code: "liabilities:dispute-reserve", number: "2410", name: "Dispute reserve", class: Class::Liability, contra: false, party: None, items: ItemRule::None, functional_only: false, overdraft: Overdraft::Allow, must_zero: false, role: Some("dispute_reserve") },
    Row { code: "liabilities:suspense", number: "2900", name: "Suspense", class: Class::Liability, contra: false, party: None, items: ItemRule::Optional, functional_only: false, overdraft: Overdraft::Allow, must_zero: true, role: Some("suspense") },
    Row { code: "equity:capital", number: "3000", name: "Capital", class: Class::Equity, contra: false, party: None, items: ItemRule::None, functional_only: false, overdraft: Overdraft::Allow, must_zero: false, role: Some("capital") },
    Row { code: "equity:retained-earnings", number: "3100", name: "Retained earnings", class: Class::Equity, contra: false, party: None, items: ItemRule::None, functional_only: true, overdraft: Overdraft::Allow, must_zero: false, role: Some("retained_earnings") },
    Row { code: "revenue:subscription", number: "4000", name: "Subscription revenue", class: Class::Revenue, contra: false, party: None, items: ItemRule::None, functional_only: true, overdraft: Overdraft::Allow, must_zero: false, role: Some("subscription") },
    Row { code: "revenue:sales", number: "4010", name: "Sales", class: Class::Revenue, contra: false, party: None, items: ItemRule::None, functional_only: true, overdraft: Overdraft::Allow, must_zero: false, role: Some("sales") },
    Row { code: "revenue:usage", number: "4100", name: "Usage revenue", class: Class::Revenue, contra: false, party: None, items: ItemRule::None, functional_only: true, overdraft: Overdraft::Allow, must_zero: false, role: Some("usage") },
    Row { code: "revenue:breakage", number: "4300", name: "Breakage", class: Class::Revenue, contra: false, party: None, items: ItemRule::None, functional_only: true, overdraft: Overdraft::Allow, must_zero: false, role: Some("breakage") },
    Row { code: "revenue:credits-and-refunds", number: "4910", name: "Credits and refunds", class: Class::Revenue, contra: true, party: None, items: ItemRule::None, functional_only: true, overdraft: Overdraft::Allow, must_zero: false, role: Some("credits_and_refunds") },
    Row { code: "revenue:discounts", number: "4920", name: "Discounts", class: Class::Revenue, contra: true, party: None, items: ItemRule::None, functional_only: true, overdraft: Overdraft::Allow, must_zero: false, role: Some("discounts") },
    Row { code: "expenses:processing-fees", number: "5100", name: "Processing fees", class: Class::Expense, contra: false, party: None, items: ItemRule::None, functional_only: true, overdraft: Overdraft::Allow, must_zero: false, role: Some("processing_fees") },
    Row { code: "expenses:dispute-fees", number: "5110", name: "Dispute fees", class: Class::Expense, contra: false, party: None, items: ItemRule::None, functional_only: true, overdraft: Overdraft::Allow, must_zero: false, role: Some("dispute_fees") },
    Row { code: "expenses:bad-debt", number: "6500", name: "Bad debt", class: Class::Expense, contra: false, party: None, items: ItemRule::None, functional_only: true, overdraft: Overdraft::Allow, must_zero: false, role: Some("bad_debt") },
    Row { code: "expenses:chargeback-loss", number: "6510", name: "Chargeback loss", class: Class::Expense, contra: false, party: None, items: ItemRule::None, functional_only: true, overdraft: Overdraft::Allow, must_zero: false, role: Some("chargeback_loss") },
    Row { code: "revenue:fx-realised", number: "7100", name: "FX gains and losses, realised", class: Class::Revenue, contra: false, party: None, items: ItemRule::None, functional_only: true, overdraft: Overdraft::Allow, must_zero: false, role: Some("fx_realised") },
    Row { code: "revenue:fx-unrealised", number: "7110", name: "FX gains and losses, unrealised", class: Class::Revenue, contra: false, party: None, items: ItemRule::None, functional_only: true, overdraft: Overdraft::Allow, must_zero: false, role: Some("fx_unrealised") },
    Row { code: "expenses:rounding", number: "7200", name: "Rounding", class: Class::Expense, contra: false, party: None, items: ItemRule::None, functional_only: true, overdraft: Overdraft::Allow, must_zero: false, role: Some("rounding") },
];

/// The accounts of the `saas` chart, numbered from 1, for a book with this functional currency.
#[must_use]
pub fn saas(functional: CurrencyId, decided: Position) -> Vec<Account> {
    let account = |(id, row): (u32, &Row)| Account {
        id: AccountId(id),
        code: AccountCode::new(row.code).expect("the chart's codes are account codes"),
        number: Some(row.number.to_owned()),
        name: row.name.to_owned(),
        class: row.class,
        contra: row.contra,
        party: row.party.map(|kind| PartyKind::new(kind).expect("the chart's party kinds are party kinds")),
        items: row.items,
        currencies: if row.functional_only { CurrencyRule::Only(vec![functional]) } else { CurrencyRule::Any },
        overdraft: row.overdraft,
        must_zero: row.must_zero,
        role: row.role.map(|role| Role::new(role).expect("the chart's roles are roles")),
        closed: false,
        decided,
    };
    (1..).zip(SAAS).map(account).collect()
}
