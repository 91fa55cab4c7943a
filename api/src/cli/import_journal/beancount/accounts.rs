//! Beancount's accounts as accounts of a chart.
//!
//! An account whose `open` says its `code` (an export of ours does) gets it, with all else that is said there. Another
//! gets its name in lower case for a code, the class's word in place of the root, and keeps its name as its name.

use std::collections::{BTreeMap, HashMap};

use beancount_parser::{DirectiveContent, Open, metadata};
use partita_core::id::AccountCode;
use serde_json::{Value, json};

use super::decimal::Exact;
use super::source::Source;
use crate::cli::import_journal::proposed::{Journal, Keys, Proposed};

/// Option, default root, class, and the word that codes of the class begin with.
const ROOTS: [(&str, &str, &str, &str); 5] = [
    ("name_assets", "Assets", "asset", "assets"),
    ("name_liabilities", "Liabilities", "liability", "liabilities"),
    ("name_equity", "Equity", "equity", "equity"),
    ("name_income", "Income", "revenue", "revenue"),
    ("name_expenses", "Expenses", "expense", "expenses"),
];

#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// By beancount's name.
    codes: HashMap<String, String>,
    /// By code.
    names: HashMap<String, String>,
    pub(super) proposed: Vec<Proposed>,
}

impl Accounts {
    pub(super) fn read(source: &Source, keys: &mut Keys, journal: &mut Journal) -> Self {
        let roots: Vec<_> = ROOTS
            .iter()
            .map(|(option, root, class, word)| (source.option(option).unwrap_or(root), *class, *word))
            .collect();
        let mut accounts = Self::default();
        for block in &source.blocks {
            let DirectiveContent::Open(open) = &block.directive.content else { continue };
            let key = keys.key(&block.text);
            match body(open, &block.directive.metadata, &roots) {
                Ok(body) => {
                    accounts.put(open.account.as_str(), Proposed { place: block.place.clone(), key, body }, journal)
                }
                Err(why) => journal.refuse(&block.place, "malformed", why),
            }
        }
        accounts
    }

    fn put(&mut self, name: &str, proposed: Proposed, journal: &mut Journal) {
        let code = proposed.body["code"].as_str().expect("every body has a code").to_owned();
        if let Some(other) = self.names.get(&code) {
            return journal.refuse(&proposed.place, "already_exists", format!("its code {code} is that of {other}"));
        }
        self.names.insert(code.clone(), name.to_owned());
        self.codes.insert(name.to_owned(), code);
        self.proposed.push(proposed);
    }

    pub(super) fn code(&self, name: &str) -> Result<&str, String> {
        self.codes.get(name).map(String::as_str).ok_or_else(|| format!("the account {name} is not opened in the file"))
    }

    pub(super) fn has_code(&self, code: &str) -> bool {
        self.names.contains_key(code)
    }
}

/// The account as the API takes it.
fn body(open: &Open, metadata: &metadata::Map<Exact>, roots: &[(&str, &str, &str)]) -> Result<Value, String> {
    let said: BTreeMap<&str, &str> =
        metadata.iter().filter_map(|(name, value)| value.as_string().map(|text| (name.as_ref(), text))).collect();
    // Anyone may call something a name or a number; only an export of ours says both of these.
    let is_ours = said.contains_key("code") && said.contains_key("class");
    let said = if is_ours { said } else { BTreeMap::new() };
    let name = open.account.as_str();
    let (root, rest) =
        name.split_once(':').ok_or_else(|| format!("the account {name} has no component but its root"))?;
    let (_, class, word) = roots
        .iter()
        .find(|(own, ..)| *own == root)
        .ok_or_else(|| format!("the root {root} of the account {name} is none of the file's"))?;
    let derived = format!("{word}:{}", rest.to_lowercase());
    let code = said.get("code").copied().unwrap_or(&derived);
    AccountCode::new(code).map_err(|error| format!("the code {code:?} of the account {name} {error}"))?;
    let mut body =
        json!({"code": code, "class": said.get("class").unwrap_or(class), "name": said.get("name").unwrap_or(&name)});
    for (theirs, ours) in
        [("number", "number"), ("party", "party"), ("items", "items"), ("overdraft", "overdraft"), ("role", "role")]
    {
        if let Some(text) = said.get(theirs) {
            body[ours] = (*text).into();
        }
    }
    for (theirs, ours) in [("contra", "contra"), ("must-zero", "must_zero")] {
        if said.get(theirs) == Some(&"true") {
            body[ours] = true.into();
        }
    }
    if !open.currencies.is_empty() {
        let mut currencies: Vec<_> = open.currencies.iter().map(ToString::to_string).collect();
        currencies.sort();
        body["currencies"] = currencies.into();
    }
    Ok(body)
}
