//! A journal as a beancount ledger: its accounts, its transactions, and whether they arrive at its own balances.
//!
//! docs/export.md says what has no place in the ledger and what becomes of it.

mod accounts;
mod balances;
pub mod booking;
pub mod decimal;
pub mod source;

use std::collections::BTreeMap;
use std::path::Path;

use beancount_parser::{DirectiveContent, Posting, PostingPrice, Transaction, metadata};
use partita_core::currency;
use partita_core::id::CurrencyCode;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::proposed::{Journal, Keys, Proposed};
use crate::cli::CliError;
use accounts::Accounts;
use balances::Balances;
use booking::{Leg, Tolerance, Unbookable, book, exact};
use decimal::Exact;
use source::{Block, Source};

/// The account that exchanges go through, unless another is named.
pub const CONVERSIONS: &str = "equity:conversions";

/// What stands in the file at one date, in the order in which beancount looks at it.
#[derive(Debug)]
struct Event<'a> {
    date: String,
    block: &'a Block,
    what: What,
}

#[derive(Debug)]
enum What {
    /// Booked; by raw account name.
    Transaction(Vec<(String, Leg)>),
    Pad {
        account: String,
        source: String,
    },
    Balance {
        account: String,
        amount: Decimal,
        currency: String,
        tolerance: Decimal,
    },
}

/// Reads a ledger with all that it includes.
pub fn read(path: &Path, keys: &mut Keys, conversions: &str) -> Result<Journal, CliError> {
    let mut journal = Journal::default();
    let source = Source::read(path, &mut journal)?;
    let mut accounts = Accounts::read(&source, keys, &mut journal);
    let mut events = events(&source, &mut journal);
    events.sort_by(|a, b| (&a.date, a.order()).cmp(&(&b.date, b.order())));

    let mut balances = Balances::default();
    let pads = balances.pads(&events);
    let mut exchanged = false;
    for (index, event) in events.iter().enumerate() {
        let legs = match &event.what {
            What::Transaction(legs) => vec![(None, legs.clone())],
            What::Pad { .. } => pads.get(&index).cloned().unwrap_or_default(),
            What::Balance { account, amount, currency, tolerance } => {
                balances.hold(event.block, account, (*amount, currency, *tolerance), &mut journal);
                continue;
            }
        };
        for (currency, legs) in legs {
            let content = currency
                .map_or_else(|| event.block.text.clone(), |currency| format!("{} {currency}", event.block.text));
            let key = keys.key(&content);
            match proposed(event, &legs, &accounts, conversions) {
                Ok(body) => {
                    balances.add(&legs);
                    exchanged |= legs.iter().any(|(_, leg)| leg.posting.is_none());
                    note_currencies(&legs, &mut journal);
                    journal.entries.push(Proposed { place: event.block.place.clone(), key, body });
                }
                Err(why) => journal.refuse(&event.block.place, "unknown_account", why),
            }
        }
    }
    journal.accounts.append(&mut accounts.proposed);
    if exchanged && !accounts.has_code(conversions) {
        let body = json!({"code": conversions, "name": "Exchanges of one currency for another", "class": "equity"});
        let key = keys.key(&body.to_string());
        journal.accounts.push(Proposed { place: path.display().to_string(), key, body });
    }
    Ok(journal)
}

impl Event<'_> {
    /// On one day beancount asserts balances before anything else.
    fn order(&self) -> u8 {
        match self.what {
            What::Balance { .. } => 0,
            What::Transaction(_) | What::Pad { .. } => 1,
        }
    }
}

fn events<'a>(source: &'a Source, journal: &mut Journal) -> Vec<Event<'a>> {
    let tolerance = Tolerance::of(source);
    let mut events = vec![];
    for block in &source.blocks {
        let date = block.directive.date;
        let date = format!("{:04}-{:02}-{:02}", date.year, date.month, date.day);
        let what = match &block.directive.content {
            DirectiveContent::Transaction(transaction) => match book(transaction, &tolerance) {
                Err(Unbookable::Nothing) => {
                    journal.leave_out("transaction that moves nothing");
                    continue;
                }
                Ok(legs) => What::Transaction(legs.into_iter().map(|leg| (account(transaction, &leg), leg)).collect()),
                Err(why) => {
                    journal.refuse(&block.place, why.code(), why.to_string());
                    continue;
                }
            },
            DirectiveContent::Pad(pad) => {
                What::Pad { account: pad.account.to_string(), source: pad.source_account.to_string() }
            }
            DirectiveContent::Balance(balance) => {
                let amount = match exact(balance.amount.value) {
                    Ok(amount) => amount,
                    Err(why) => {
                        journal.refuse(&block.place, why.code(), why.to_string());
                        continue;
                    }
                };
                // Twice what a transaction is allowed.
                let inferred = Decimal::new(2, amount.scale()).checked_mul(tolerance.multiplier).unwrap_or_default();
                let inferred = if amount.scale() == 0 { Decimal::ZERO } else { inferred };
                let tolerance = balance.tolerance.and_then(|tolerance| tolerance.0).unwrap_or(inferred);
                let (account, currency) = (balance.account.to_string(), balance.amount.currency.to_string());
                What::Balance { account, amount, currency, tolerance }
            }
            // Read already, or left out.
            DirectiveContent::Price(_)
            | DirectiveContent::Open(_)
            | DirectiveContent::Close(_)
            | DirectiveContent::Commodity(_)
            | DirectiveContent::Event(_)
            | _ => continue,
        };
        events.push(Event { date, block, what });
    }
    events
}

fn account(transaction: &Transaction<Exact>, leg: &Leg) -> String {
    leg.posting.map(|index| transaction.postings[index].account.to_string()).unwrap_or_default()
}

/// The entry as the API takes it.
fn proposed(
    event: &Event<'_>,
    legs: &[(String, Leg)],
    accounts: &Accounts,
    conversions: &str,
) -> Result<Value, String> {
    let transaction = event.block.directive.content.as_transaction();
    let mut lines = vec![];
    for (name, leg) in legs {
        let code = if leg.posting.is_none() { conversions } else { accounts.code(name)? };
        let side = if leg.amount.is_sign_negative() { "credit" } else { "debit" };
        let amount = leg.amount.abs().normalize().to_string();
        let mut line = json!({"account": code, "side": side, "amount": amount, "currency": leg.currency});
        let posting = leg.posting.zip(transaction).map(|(index, transaction)| &transaction.postings[index]);
        for (name, value) in posting.iter().flat_map(|posting| &posting.metadata) {
            if let ("party" | "item", metadata::Value::String(value)) = (name.as_ref(), value) {
                line[name.as_ref()] = value.as_str().into();
            }
        }
        lines.push(line);
    }
    let (description, metadata) = match transaction {
        None => ("Padding".to_owned(), Map::new()),
        Some(transaction) => (description(transaction), metadata_of(event.block, transaction)),
    };
    Ok(json!({"effective_date": event.date, "description": description, "metadata": metadata, "lines": lines}))
}

/// The narration on one line, or the payee where there is none.
fn description(transaction: &Transaction<Exact>) -> String {
    let narration = transaction.narration.as_deref().filter(|text| !text.is_empty());
    one_line(narration.or(transaction.payee.as_deref()).unwrap_or_default())
}

fn one_line(text: &str) -> String {
    text.split(|letter: char| letter.is_control()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// What of a transaction is neither lines nor description: payee, flag, tags, links, its metadata, and what was paid
/// for what.
fn metadata_of(block: &Block, transaction: &Transaction<Exact>) -> Map<String, Value> {
    let mut pairs = BTreeMap::new();
    for (name, value) in &block.directive.metadata {
        let value = match value {
            metadata::Value::String(text) => one_line(text),
            metadata::Value::Number(number) => number.0.map(|number| number.to_string()).unwrap_or_default(),
            metadata::Value::Currency(currency) => currency.to_string(),
            _ => continue,
        };
        pairs.insert(name.as_ref().to_owned(), value);
    }
    if let Some(payee) = transaction.payee.as_deref().filter(|payee| !payee.is_empty()) {
        pairs.insert("payee".to_owned(), one_line(payee));
    }
    if let Some(flag) = transaction.flag.filter(|flag| *flag != '*') {
        pairs.insert("flag".to_owned(), flag.to_string());
    }
    let mut tags: Vec<_> = transaction.tags.iter().map(ToString::to_string).chain(block.tags.iter().cloned()).collect();
    let mut links: Vec<_> = transaction.links.iter().map(ToString::to_string).collect();
    for (name, values) in [("tags", &mut tags), ("links", &mut links)] {
        values.sort();
        values.dedup();
        if !values.is_empty() {
            pairs.insert(name.to_owned(), values.join(" "));
        }
    }
    let exchanges = transaction.postings.iter().filter_map(exchange).zip(1..);
    pairs.extend(exchanges.map(|(text, number)| (format!("exchange-{number}"), text)));
    pairs.retain(|_, value| !value.is_empty());
    pairs.into_iter().map(|(name, value)| (name, value.into())).collect()
}

/// A posting's cost and price as beancount writes them, which no line has a place for.
fn exchange(posting: &Posting<Exact>) -> Option<String> {
    let amount = |amount: &beancount_parser::Amount<Exact>| {
        format!("{} {}", amount.value.0.unwrap_or_default(), amount.currency)
    };
    let mut text = format!("{} {}", posting.account, amount(posting.amount.as_ref()?));
    let plain = text.len();
    if let Some(cost) = &posting.cost {
        let date = cost.date.map(|date| format!("{:04}-{:02}-{:02}", date.year, date.month, date.day));
        let parts: Vec<_> = cost.amount.as_ref().map(amount).into_iter().chain(date).collect();
        text.push_str(&format!(" {{{}}}", parts.join(", ")));
    }
    match &posting.price {
        None => {}
        Some(PostingPrice::Unit(price)) => text.push_str(&format!(" @ {}", amount(price))),
        Some(PostingPrice::Total(price)) => text.push_str(&format!(" @@ {}", amount(price))),
    }
    (text.len() > plain).then_some(text)
}

/// A commodity that ISO 4217 does not have is registered with as many decimals as the file uses.
fn note_currencies(legs: &[(String, Leg)], journal: &mut Journal) {
    for (_, leg) in legs {
        if CurrencyCode::new(&leg.currency).is_ok_and(|code| currency::iso_by_code(&code).is_some()) {
            continue;
        }
        let used = u8::try_from(leg.amount.normalize().scale()).unwrap_or(u8::MAX);
        let decimals = journal.currencies.entry(leg.currency.clone()).or_default();
        *decimals = used.max(*decimals);
    }
}
