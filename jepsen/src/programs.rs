//! Other people's accounting programs (hledger, ledger, beancount), run on an export: whether they accept it, and the
//! trial balance that they compute from it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use rust_decimal::Decimal;

use crate::HarnessError;

/// By (account code, currency): debits less credits, without trailing zeros; balances of zero are left out.
pub type TrialBalance = BTreeMap<(String, String), String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Hledger,
    Ledger,
    Beancount,
}

pub const ALL: [Program; 3] = [Program::Hledger, Program::Ledger, Program::Beancount];

impl Program {
    /// What `partita export --format` calls its notation.
    #[must_use]
    pub fn format(self) -> &'static str {
        match self {
            Self::Hledger => "hledger",
            Self::Ledger => "ledger",
            Self::Beancount => "beancount",
        }
    }

    /// Reads the file at its strictest, every assertion included.
    pub fn check(self, file: &Path) -> Result<Output, HarnessError> {
        match self {
            Self::Hledger => run("hledger", ["-f", &text(file), "check", "--strict"]),
            Self::Ledger => run("ledger", ["-f", &text(file), "--strict", "--pedantic", "accounts"]),
            Self::Beancount => run("bean-check", ["--no-cache", &text(file)]),
        }
    }

    /// Its trial balance of a file that it accepts.
    ///
    /// # Panics
    /// If it refuses the file or prints what cannot be read.
    pub fn trial_balance(self, file: &Path) -> Result<TrialBalance, HarnessError> {
        let checked = self.check(file)?;
        assert!(checked.status.success(), "{self:?} refuses {}: {}", file.display(), said(&checked));
        match self {
            Self::Hledger => hledger(file),
            Self::Ledger => ledger(file),
            Self::Beancount => beancount(file),
        }
    }
}

fn hledger(file: &Path) -> Result<TrialBalance, HarnessError> {
    let args = ["-f", &text(file), "balance", "--flat", "--empty", "--no-total", "--layout", "bare", "-O", "csv"];
    let output = success(run("hledger", args)?);
    let mut rows = TrialBalance::new();
    for record in csv::Reader::from_reader(output.as_bytes()).records() {
        let record = record.expect("hledger prints CSV");
        put(&mut rows, &record[0], record[1].trim_matches('"'), &record[2]);
    }
    Ok(rows)
}

/// An account's own balance, not that of the accounts below it too, which is what ledger shows by itself.
fn ledger(file: &Path) -> Result<TrialBalance, HarnessError> {
    let args =
        ["--strict", "--pedantic", "balance", "--flat", "--empty", "--balance-format", "%(account)\t%(amount)\n"];
    let output = success(run("ledger", ["-f", &text(file)].into_iter().chain(args))?);
    let mut rows = TrialBalance::new();
    let (mut account, mut total) = (String::new(), vec![]);
    for line in output.lines() {
        // An account in several currencies takes several lines.
        let amount = match line.split_once('\t') {
            Some((name, amount)) => {
                account = name.to_owned();
                amount
            }
            None => line,
        };
        if account.is_empty() {
            total.push(amount.trim());
            continue;
        }
        match amount.trim().split_once(' ') {
            Some((number, currency)) => put(&mut rows, &account, currency.trim_matches('"'), number),
            None => assert_eq!(amount.trim(), "0", "{account}"),
        }
    }
    // Ledger takes a transaction in two commodities for an exchange: only its total tells.
    assert_eq!(total, ["0"], "ledger's total of {}", file.display());
    Ok(rows)
}

fn beancount(file: &Path) -> Result<TrialBalance, HarnessError> {
    // As a text: bean-query cuts the exponents of small numbers off.
    let query = "SELECT getitem(open_meta(account), 'code') AS code, currency, str(sum(number)) AS total GROUP BY code, currency";
    bean_query(file, query)
}

/// Three columns: account, currency, number.
pub fn bean_query(file: &Path, query: &str) -> Result<TrialBalance, HarnessError> {
    let output = success(run("bean-query", ["-q", "-f", "csv", &text(file), query])?);
    let mut rows = TrialBalance::new();
    for record in csv::Reader::from_reader(output.as_bytes()).records() {
        let record = record.expect("bean-query prints CSV");
        let number = record[2].trim();
        let number = number.strip_prefix("Decimal('").and_then(|rest| rest.strip_suffix("')")).unwrap_or(number);
        put(&mut rows, record[0].trim(), record[1].trim(), number);
    }
    Ok(rows)
}

fn put(rows: &mut TrialBalance, account: &str, currency: &str, number: &str) {
    let number = normal(number);
    if number != "0" {
        let before = rows.insert((account.to_owned(), currency.to_owned()), number);
        assert_eq!(before, None, "{account} {currency} stands there twice");
    }
}

/// `-5.00` is `-5`, `0.00` is `0`, `1E-3` (so does Python print small numbers) is `0.001`.
///
/// # Panics
/// If it is no decimal number.
#[must_use]
pub fn normal(number: &str) -> String {
    if number.contains('E') {
        let number = Decimal::from_scientific(number).expect("a number with an exponent");
        return number.normalize().to_string();
    }
    let digits = number.strip_prefix('-').unwrap_or(number);
    assert!(
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'),
        "{number:?} is no number"
    );
    let kept = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
    if kept == "-0" { "0".to_owned() } else { kept.to_owned() }
}

/// Runs a program to its end, with a locale in which text is UTF-8.
///
/// # Errors
/// If it is not installed.
pub fn run<'a>(program: &str, args: impl IntoIterator<Item = &'a str>) -> Result<Output, HarnessError> {
    let output = Command::new(program).args(args).env("LC_ALL", "C.UTF-8").env("HOME", "/nonexistent").output();
    output.map_err(|source| HarnessError::File {
        path: program.into(),
        what: "cannot be run (scripts/setup.sh --tests installs it)",
        source,
    })
}

#[must_use]
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

fn success(output: Output) -> String {
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).expect("the locale is UTF-8")
}

fn text(path: &Path) -> String {
    path.to_str().expect("test directories have plain names").to_owned()
}
