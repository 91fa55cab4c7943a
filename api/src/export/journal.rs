//! hledger's and ledger's journals, which differ in how they declare and in how they write tags.
//!
//! Both take debits as positive and credits as negative amounts. Every posting has its amount: neither program is to
//! fill one in. Both read balance assertions in the order of the file within one date, so the last transaction of the
//! file, dated as the last entry, asserts the balances.

use std::fmt::Write as _;

use partita_core::account::{Account, Class};
use partita_core::time::Date;

use super::Notation;
use super::names::journal as account_name;
use super::slice::{Balance, Export, Unsuitable};
use super::text::{comment_words, commodity, pairs, tag_value, words};
use crate::app::App;
use crate::routes::accounts::{ClassJson, SideJson};
use crate::routes::entries::{EntryJson, LineJson};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Hledger,
    Ledger,
}

pub(crate) struct Journal {
    program: Program,
}

const TAGS: [&str; 14] = [
    "class",
    "code",
    "number",
    "type",
    "rule",
    "document",
    "reverses",
    "key",
    "posted-by",
    "position",
    "recorded-at",
    "metadata",
    "party",
    "item",
];

impl Journal {
    pub(crate) fn new(program: Program, export: &Export) -> Result<Self, Unsuitable> {
        // Boost's calendar, which ledger uses, begins in 1400.
        let earliest = Date::parse("1400-01-01").expect("it is a date");
        match (program, export.earliest()) {
            (Program::Ledger, Some(date)) if date < earliest => {
                Err(Unsuitable::TooEarly { program: "ledger", earliest, date })
            }
            (Program::Ledger | Program::Hledger, _) => Ok(Self { program }),
        }
    }

    fn comment(out: &mut String, indent: &str, text: &str) {
        writeln!(out, "{indent}; {text}").expect("a string takes what is written");
    }

    /// One line of tags for hledger; a line per tag for ledger, whose tag's value goes to the end of the line.
    fn tags(&self, out: &mut String, tags: &[(&str, String)]) {
        if tags.is_empty() {
            return;
        }
        match self.program {
            Program::Hledger => {
                let tags: Vec<_> = tags.iter().map(|(name, value)| format!("{name}:{value}")).collect();
                Self::comment(out, "    ", &tags.join(", "));
            }
            Program::Ledger => {
                for (name, value) in tags {
                    Self::comment(out, "    ", &format!("{name}: {value}"));
                }
            }
        }
    }

    fn declare_account(&self, out: &mut String, account: &Account) {
        let name = account_name(account.code.as_str());
        let mut tags = vec![("class", ClassJson::of(account.class).as_str().to_owned())];
        if name != account.code.as_str() {
            tags.push(("code", account.code.to_string()));
        }
        tags.extend(account.number.as_deref().map(|number| ("number", tag_value(number))));
        writeln!(out, "account {name}").expect("a string takes what is written");
        match self.program {
            Program::Hledger => {
                tags.extend(hledger_type(account.class).map(|kind| ("type", kind.to_owned())));
                self.tags(out, &tags);
                Self::comment(out, "    ", &comment_words(&account.name));
            }
            // Ledger has no tags on accounts.
            Program::Ledger => {
                let tags: Vec<_> = tags.into_iter().map(|(name, value)| format!("{name} {value}")).collect();
                let note = format!("{} ({})", comment_words(&account.name), tags.join(", "));
                writeln!(out, "    note {note}").expect("a string takes what is written");
            }
        }
    }

    fn transaction(out: &mut String, date: &str, code: &str, description: &str) {
        writeln!(out, "\n{date} * ({code}) {description}").expect("a string takes what is written");
    }

    fn posting(out: &mut String, account: &str, amount: &str, currency: &str) {
        let name = account_name(account);
        // Never fewer than the two spaces that end an account's name.
        writeln!(out, "    {name:<44}  {amount:>14} {}", commodity(currency)).expect("a string takes what is written");
    }

    fn line(&self, out: &mut String, line: &LineJson) {
        let amount = match line.side {
            SideJson::Debit => line.amount.clone(),
            SideJson::Credit => format!("-{}", line.amount),
        };
        Self::posting(out, &line.account, &amount, &line.currency);
        let party = line.party.as_deref().map(|party| ("party", tag_value(party)));
        let item = line.item.as_deref().map(|item| ("item", tag_value(item)));
        self.tags(out, &party.into_iter().chain(item).collect::<Vec<_>>());
    }
}

/// hledger's account types; memo accounts have none.
fn hledger_type(class: Class) -> Option<&'static str> {
    match class {
        Class::Asset => Some("A"),
        Class::Liability => Some("L"),
        Class::Equity => Some("E"),
        Class::Revenue => Some("R"),
        Class::Expense => Some("X"),
        Class::Memo => None,
    }
}

fn entry_tags(entry: &EntryJson) -> Vec<(&'static str, String)> {
    let mut tags = vec![("rule", entry.rule.to_owned())];
    tags.extend(entry.document.as_ref().map(|link| ("document", format!("{}/{}", link.r#type, tag_value(&link.id)))));
    tags.extend(entry.reverses.map(|number| ("reverses", number.to_string())));
    tags.extend(entry.idempotency_key.as_deref().map(|key| ("key", tag_value(key))));
    tags.extend(entry.posted_by.as_deref().map(|actor| ("posted-by", tag_value(actor))));
    if !entry.metadata.is_empty() {
        tags.push(("metadata", pairs(&entry.metadata)));
    }
    tags.push(("position", entry.position.to_string()));
    tags.push(("recorded-at", tag_value(&entry.recorded_at)));
    tags
}

impl Notation for Journal {
    fn head(&self, _app: &App, export: &Export, out: &mut String) {
        for line in export.says() {
            Self::comment(out, "", &line);
        }
        out.push('\n');
        for currency in &export.currencies {
            // Bare: a format would make the programs round what they compare to its decimals.
            writeln!(out, "commodity {}", commodity(currency.code.as_str())).expect("a string takes what is written");
        }
        for tag in TAGS {
            writeln!(out, "tag {tag}").expect("a string takes what is written");
        }
        for account in &export.accounts {
            self.declare_account(out, account);
        }
        let opening: Vec<_> = export.opening.iter().filter(|balance| balance.net() != 0).collect();
        if let (Some(date), false) = (export.opening_date, opening.is_empty()) {
            Self::transaction(out, &date.to_string(), "opening", "Opening balances");
            for balance in opening {
                let amount = export.money(balance.net(), &balance.currency);
                Self::posting(out, balance.account.code.as_str(), &amount, balance.currency.code.as_str());
            }
        }
    }

    fn entry(&self, _export: &Export, entry: &EntryJson, out: &mut String) {
        let description = words(&entry.description);
        // Without words ledger would write "<Unspecified payee>".
        let description = if description.is_empty() { entry.rule } else { &description };
        Self::transaction(out, &entry.effective_date, &entry.number.to_string(), description);
        self.tags(out, &entry_tags(entry));
        for line in &entry.lines {
            self.line(out, line);
        }
    }

    fn end(&self, export: &Export, entries: u64, out: &mut String) {
        if let Some(date) = export.latest() {
            Self::transaction(out, &date.to_string(), "closing", "Closing balances");
            for Balance { account, currency, sums } in &export.closing {
                let code = commodity(currency.code.as_str());
                let zero = export.money(0, currency);
                let balance = export.money(sums.debits - sums.credits, currency);
                let asserted = format!("{code} = {balance} {code}");
                let name = account_name(account.code.as_str());
                writeln!(out, "    {name:<44}  {zero:>14} {asserted}").expect("a string takes what is written");
            }
        }
        out.push('\n');
        Self::comment(out, "", &format!("The end: {entries} entries"));
    }
}
