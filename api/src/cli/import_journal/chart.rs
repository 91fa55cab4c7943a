//! The chart and the currencies of the book that is posted to, for what can be told without posting.

use std::collections::HashMap;

use partita_core::currency;
use partita_core::id::CurrencyCode;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::proposed::{Proposed, Refusal};
use super::send::Target;
use crate::cli::CliError;
use crate::problem::Problem;
use crate::routes::accounts::AccountForm;
use crate::routes::entries::EntryForm;
use crate::values::FAULT_MARK;

/// Accounts by code, in the API's form, and the decimals of registered currencies.
#[derive(Debug, Default)]
pub struct Chart {
    accounts: HashMap<String, Value>,
    currencies: HashMap<String, u64>,
}

impl Chart {
    pub async fn read(target: &Target) -> Result<Self, CliError> {
        let mut chart = Self::default();
        let mut cursor: Option<String> = None;
        loop {
            let query = [("limit", Some("1000")), ("cursor", cursor.as_deref())];
            let page = target.client.get_json(&target.book.path("/accounts"), &query).await?;
            for account in page["data"].as_array().into_iter().flatten() {
                chart.open(account);
            }
            match page["next"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        let currencies = target.client.get_json(&target.book.path("/currencies"), &[]).await?;
        for currency in currencies["data"].as_array().into_iter().flatten() {
            if let (Some(code), Some(decimals)) = (currency["code"].as_str(), currency["decimals"].as_u64()) {
                chart.currencies.insert(code.to_owned(), decimals);
            }
        }
        Ok(chart)
    }

    /// As if it were open.
    pub fn open(&mut self, account: &Value) {
        let code = account["code"].as_str().unwrap_or_default().to_owned();
        self.accounts.insert(code, account.clone());
    }

    pub fn register(&mut self, code: &str, decimals: u8) {
        self.currencies.insert(code.to_owned(), u64::from(decimals));
    }

    pub fn account(&self, code: &str) -> Option<&Value> {
        self.accounts.get(code)
    }

    pub fn decimals(&self, code: &str) -> Option<u64> {
        let iso = || currency::iso_by_code(&CurrencyCode::new(code).ok()?);
        self.currencies.get(code).copied().or_else(|| iso().map(|currency| u64::from(currency.decimals)))
    }

    /// Why an account would be refused; `None`: nothing is known against it.
    pub fn account_objection(&self, proposed: &Proposed) -> Option<Refusal> {
        let form: AccountForm = match read(proposed) {
            Ok(form) => form,
            Err(refusal) => return Some(refusal),
        };
        if let Err(problem) = form.operation() {
            return Some(of_problem(proposed, &problem));
        }
        let mut currencies = proposed.body["currencies"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let unknown = currencies.find(|code| self.decimals(code).is_none())?;
        Some(refusal(proposed, "unknown_currency", format!("{unknown} is not known in this book")))
    }

    /// Why an entry would be refused whatever the balances are; `None`: nothing of the kind.
    pub fn objection(&self, proposed: &Proposed) -> Option<Refusal> {
        let form: EntryForm = match read(proposed) {
            Ok(form) => form,
            Err(refusal) => return Some(refusal),
        };
        if let Err(problem) = form.entry() {
            return Some(of_problem(proposed, &problem));
        }
        let mut lines = proposed.body["lines"].as_array().into_iter().flatten();
        let (code, why) = lines.find_map(|line| self.line(line).err())?;
        Some(refusal(proposed, code, why))
    }

    /// In the order in which the ledger looks at a line.
    fn line(&self, line: &Value) -> Result<(), (&'static str, String)> {
        let text = |name: &str| line[name].as_str().unwrap_or_default();
        let (code, currency) = (text("account"), text("currency"));
        let Some(account) = self.account(code) else {
            return Err(("unknown_account", format!("there is no account {code}")));
        };
        if account["closed"] == true {
            return Err(("account_closed", format!("{code} is closed")));
        }
        let Some(decimals) = self.decimals(currency) else {
            return Err(("unknown_currency", format!("{currency} is not known in this book")));
        };
        if account["currencies"].as_array().is_some_and(|codes| !codes.iter().any(|code| code == currency)) {
            return Err(("currency_not_allowed", format!("{code} takes no {currency}")));
        }
        let used = text("amount").split_once('.').map_or(0, |(_, fraction)| fraction.trim_end_matches('0').len());
        if u64::try_from(used).is_ok_and(|used| used > decimals) {
            return Err(("too_many_decimals", format!("{} has more decimals than {currency}", text("amount"))));
        }
        match (account["party"].is_string(), line["party"].is_string()) {
            (true, false) => return Err(("party_required", format!("{code} is divided by party"))),
            (false, true) => return Err(("party_not_allowed", format!("{code} is not divided by party"))),
            (true, true) | (false, false) => {}
        }
        match (account["items"].as_str().unwrap_or("none"), line["item"].is_string()) {
            ("required", false) => Err(("item_required", format!("{code} needs an item"))),
            ("none", true) => Err(("item_not_allowed", format!("{code} takes no items"))),
            _ => Ok(()),
        }
    }
}

fn refusal(proposed: &Proposed, code: &str, why: String) -> Refusal {
    Refusal { place: proposed.place.clone(), code: code.to_owned(), why }
}

fn of_problem(proposed: &Proposed, problem: &Problem) -> Refusal {
    let detail = problem.body()["detail"].as_str().unwrap_or_default().to_owned();
    refusal(proposed, problem.code(), detail)
}

/// The form as the server reads it.
fn read<Form: DeserializeOwned>(proposed: &Proposed) -> Result<Form, Refusal> {
    serde_json::from_value(proposed.body.clone()).map_err(|error: serde_json::Error| {
        // A value that refuses itself says so between marks: its code, then why.
        let text = error.to_string();
        let mut parts = text.split(FAULT_MARK).skip(1);
        let (code, why) = (parts.next().unwrap_or("malformed"), parts.next().unwrap_or(&text));
        refusal(proposed, code, why.to_owned())
    })
}
