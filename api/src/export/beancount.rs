//! Beancount's ledger.
//!
//! Unlike the other two programs it allows tolerances unless told otherwise, computes with 28 significant digits,
//! asserts a balance at the start of a day, and takes the accounts below an account into its balance.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use partita_core::account::{Account, CurrencyRule, ItemRule, Overdraft};
use partita_core::time::Date;

use super::Notation;
use super::names::beancount as account_name;
use super::slice::{Balance, Export, Unsuitable};
use super::text::{pairs, quoted, tag_value, words};
use crate::app::App;
use crate::routes::accounts::{ClassJson, SideJson};
use crate::routes::entries::EntryJson;

/// Python's default decimal context, in which beancount adds.
const DIGITS: u32 = 28;
/// Words of beancount's own that have the form of a currency.
const RESERVED: [&str; 3] = ["TRUE", "FALSE", "NULL"];

pub(crate) struct Beancount {
    /// The day after the last: asserted there, a balance includes the last day.
    asserted: Option<Date>,
}

impl Beancount {
    pub(crate) fn new(export: &Export) -> Result<Self, Unsuitable> {
        for currency in &export.currencies {
            if RESERVED.contains(&currency.code.as_str()) {
                return Err(Unsuitable::ReservedCurrency { code: currency.code.to_string() });
            }
            // No sum that beancount can arrive at is greater than everything that was ever posted.
            let moved: i128 = export
                .closing
                .iter()
                .filter(|balance| balance.currency.id == currency.id)
                .map(|balance| balance.sums.debits + balance.sums.credits)
                .sum();
            if moved >= 10i128.pow(DIGITS) {
                return Err(Unsuitable::TooManyDigits { currency: currency.code.to_string(), digits: DIGITS });
            }
        }
        let next = |date: Date| Date::from_days(date.days() + 1).ok_or(Unsuitable::NoDayAfter { date });
        Ok(Self { asserted: export.latest().map(next).transpose()? })
    }

    fn name(account: &Account) -> String {
        account_name(account.code.as_str(), account.class)
    }

    fn open(export: &Export, account: &Account, date: Date, out: &mut String) {
        let currencies = match &account.currencies {
            CurrencyRule::Any => String::new(),
            CurrencyRule::Only(ids) => {
                let codes: Vec<_> = ids.iter().map(|id| export.names.currency_code(*id)).collect();
                format!(" {}", codes.join(","))
            }
        };
        writeln!(out, "{date} open {}{currencies}", Self::name(account)).expect("a string takes what is written");
        let mut metadata = |name: &str, value: &str| Self::metadata(out, "  ", name, value);
        metadata("code", account.code.as_str());
        metadata("class", ClassJson::of(account.class).as_str());
        if account.contra {
            metadata("contra", "true");
        }
        if let Some(number) = &account.number {
            metadata("number", number);
        }
        metadata("name", &account.name);
        if let Some(kind) = &account.party {
            metadata("party", kind.as_str());
        }
        match account.items {
            ItemRule::None => {}
            ItemRule::Optional => metadata("items", "optional"),
            ItemRule::Required => metadata("items", "required"),
        }
        match account.overdraft {
            Overdraft::Allow => {}
            Overdraft::Forbid => metadata("overdraft", "forbid"),
        }
        if account.must_zero {
            metadata("must-zero", "true");
        }
        if let Some(role) = &account.role {
            metadata("role", role.as_str());
        }
    }

    fn metadata(out: &mut String, indent: &str, name: &str, value: &str) {
        writeln!(out, "{indent}{name}: {}", quoted(&words(value))).expect("a string takes what is written");
    }

    fn posting(out: &mut String, account: &Account, amount: &str, currency: &str) {
        writeln!(out, "  {:<46}  {amount:>14} {currency}", Self::name(account))
            .expect("a string takes what is written");
    }
}

/// Balances by currency and account name, so that an account stands right before those below it.
struct Tree(BTreeMap<(String, String), i128>);

impl Tree {
    fn of(export: &Export) -> Self {
        let balance =
            |balance: &Balance| ((balance.currency.code.to_string(), Beancount::name(&balance.account)), balance.net());
        Self(export.closing.iter().map(balance).collect())
    }

    /// An account's balance with those below it, as beancount understands a balance.
    fn inclusive(&self, currency: &str, name: &str) -> i128 {
        let key = |name: String| (currency.to_owned(), name);
        let own = self.0.get(&key(name.to_owned())).copied().unwrap_or(0);
        // `;` follows `:`.
        let below = self.0.range(key(format!("{name}:"))..key(format!("{name};")));
        own + below.map(|(_, net)| net).sum::<i128>()
    }
}

impl Notation for Beancount {
    fn head(&self, _app: &App, export: &Export, out: &mut String) {
        for line in export.says() {
            writeln!(out, "; {line}").expect("a string takes what is written");
        }
        let mut option = |name: &str, value: &str| {
            writeln!(out, "option {} {}", quoted(name), quoted(value)).expect("a string takes what is written");
        };
        option("title", &words(&export.names.book.name));
        option("operating_currency", &export.names.currency_code(export.names.book.functional_currency));
        option("name_income", "Revenue");
        // Not a thousandth is tolerated, neither in a transaction nor in an assertion.
        option("inferred_tolerance_multiplier", "0");
        out.push('\n');
        let date = export.earliest().unwrap_or(Date::from_days(0).expect("the epoch is a date"));
        for currency in &export.currencies {
            writeln!(out, "{date} commodity {}", currency.code).expect("a string takes what is written");
            Self::metadata(out, "  ", "decimals", &currency.decimals.to_string());
        }
        for account in &export.accounts {
            Self::open(export, account, date, out);
        }
        let opening: Vec<_> = export.opening.iter().filter(|balance| balance.net() != 0).collect();
        if let (Some(date), false) = (export.opening_date, opening.is_empty()) {
            writeln!(out, "\n{date} * \"Opening balances\"").expect("a string takes what is written");
            for balance in opening {
                let amount = export.money(balance.net(), &balance.currency);
                Self::posting(out, &balance.account, &amount, balance.currency.code.as_str());
            }
        }
    }

    fn entry(&self, export: &Export, entry: &EntryJson, out: &mut String) {
        let description = words(&entry.description);
        let description = if description.is_empty() { entry.rule } else { &description };
        writeln!(out, "\n{} * {}", entry.effective_date, quoted(description)).expect("a string takes what is written");
        let mut metadata = |name: &str, value: &str| Self::metadata(out, "  ", name, value);
        metadata("entry", &entry.number.to_string());
        metadata("rule", entry.rule);
        if let Some(link) = &entry.document {
            metadata("document", &format!("{}/{}", link.r#type, link.id));
        }
        if let Some(number) = entry.reverses {
            metadata("reverses", &number.to_string());
        }
        if let Some(key) = &entry.idempotency_key {
            // As a tag's value, because a key may hold what `words` takes out.
            metadata("key", &tag_value(key));
        }
        if let Some(actor) = &entry.posted_by {
            metadata("posted-by", actor);
        }
        if !entry.metadata.is_empty() {
            metadata("metadata", &pairs(&entry.metadata));
        }
        metadata("position", &entry.position.to_string());
        metadata("recorded-at", &entry.recorded_at);
        for line in &entry.lines {
            let amount = match line.side {
                SideJson::Debit => line.amount.clone(),
                SideJson::Credit => format!("-{}", line.amount),
            };
            let account = export.account(&line.account);
            Self::posting(out, account, &amount, &line.currency);
            for (name, value) in [("party", &line.party), ("item", &line.item)] {
                if let Some(value) = value {
                    Self::metadata(out, "    ", name, value);
                }
            }
        }
    }

    fn end(&self, export: &Export, entries: u64, out: &mut String) {
        out.push('\n');
        if let Some(date) = self.asserted {
            let tree = Tree::of(export);
            for balance in &export.closing {
                let (name, code) = (Self::name(&balance.account), &balance.currency.code);
                let amount = export.money(tree.inclusive(code.as_str(), &name), &balance.currency);
                writeln!(out, "{date} balance {name:<46}  {amount:>14} {code}")
                    .expect("a string takes what is written");
            }
        }
        writeln!(out, "\n; The end: {entries} entries").expect("a string takes what is written");
    }
}
