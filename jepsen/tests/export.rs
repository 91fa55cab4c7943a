//! hledger, ledger and beancount recompute what a book's export says: each accepts every assertion, and its own trial
//! balance is the ledger's, row by row, in every currency.
//!
//! `PARTITA_EXPORT_ROWS` says how many of the demo's purchases (69,659 is all of them), `PARTITA_SEED` repeats a run.
//! The programs are Debian's; `scripts/setup.sh --tests` installs them.

use std::fs;
use std::path::{Path, PathBuf};

use partita_jepsen::HarnessError;
use partita_jepsen::client::Client;
use partita_jepsen::command::{partita, repository};
use partita_jepsen::every_operation;
use partita_jepsen::node::Node;
use partita_jepsen::programs::{self, Program, TrialBalance};
use rand::Rng;
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// After every date of every test.
const LAST_DAY: &str = "9999-12-31";
/// The part of the demo book that hledger and beancount read; the whole would take them minutes.
const SLICE_ENTRIES: u64 = 10_000;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

struct Book<'a> {
    node: &'a Node,
    id: &'static str,
    directory: &'a Path,
}

impl Book<'_> {
    async fn export(&self, format: &str, args: &[&str]) -> Result<PathBuf, HarnessError> {
        let file = self.directory.join(format!("{}.{format}", self.id));
        let name = file.to_string_lossy().into_owned();
        let fixed = ["export", "--url", self.node.url(), "--book", self.id, "--format", format, "--output", &name];
        let exported = partita(fixed.iter().chain(args)).await?;
        assert!(exported.succeeded(), "{format} {args:?}: {}", exported.said());
        Ok(file)
    }

    /// The ledger's own trial balance, in the form of the programs'.
    async fn trial_balance(&self, as_of: &str) -> Result<TrialBalance, HarnessError> {
        let report =
            self.node.client().read(&format!("/v1/books/{}/reports/trial-balance?as_of={as_of}", self.id)).await?;
        let mut rows = TrialBalance::new();
        for row in report["rows"].as_array().expect("rows") {
            let text = |name: &str| row[name].as_str().unwrap_or("").to_owned();
            let number = match (row["debit"].as_str(), row["credit"].as_str()) {
                (Some(debit), None) => debit.to_owned(),
                (None, Some(credit)) => format!("-{credit}"),
                sides => panic!("a balance stands on one side: {sides:?}"),
            };
            let number = programs::normal(&number);
            if number != "0" {
                rows.insert((text("account"), text("currency")), number);
            }
        }
        Ok(rows)
    }

    /// What a program computes from an export is what the ledger says as of `as_of`.
    async fn agrees(&self, program: Program, args: &[&str], as_of: &str) -> Result<(), HarnessError> {
        let file = self.export(program.format(), args).await?;
        let theirs = program.trial_balance(&file)?;
        let ours = self.trial_balance(as_of).await?;
        assert!(!ours.is_empty(), "there is nothing to compare");
        let ours = ours.into_iter().map(|((account, currency), number)| {
            let account = if program == Program::Beancount { account } else { named(&account) };
            ((account, currency), number)
        });
        assert_eq!(theirs, ours.collect(), "{program:?} {args:?}");
        Ok(())
    }
}

/// The code as hledger and ledger see it (docs/export.md).
fn named(code: &str) -> String {
    code.split(':').map(|component| if component.is_empty() { "XX" } else { component }).collect::<Vec<_>>().join(":")
}

async fn quarter(node: &Node) -> Result<(), HarnessError> {
    let file = repository("examples/quarter.json").to_string_lossy().into_owned();
    let posted = partita(["post", &file, "--url", node.url(), "--book", "quarter", "--create-book"]).await?;
    assert!(posted.succeeded(), "{}", posted.said());
    Ok(())
}

/// The greatest entry number of a book.
async fn last_entry(client: &Client, book: &str) -> Result<u64, HarnessError> {
    let report = client.read(&format!("/v1/books/{book}/reports/trial-balance?as_of={LAST_DAY}")).await?;
    Ok(report["last_entry"].as_u64().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_three_programs_agree_on_the_quarter_whole_and_in_parts() -> Result<(), HarnessError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = Node::start(&directory.path().join("node"), &[]).await?;
    quarter(&node).await?;
    let book = Book { node: &node, id: "quarter", directory: directory.path() };
    let february = ["--from", "2026-02-01", "--to", "2026-02-28"];
    for program in programs::ALL {
        book.agrees(program, &[], LAST_DAY).await?;
        book.agrees(program, &february, "2026-02-28").await?;
        book.agrees(program, &["--to", "2026-01-31"], "2026-01-31").await?;
        book.agrees(program, &["--after-entry", "30"], LAST_DAY).await?;
        book.agrees(program, &["--after-entry", "45"], LAST_DAY).await?;
        book.agrees(program, &["--after-entry", "20", "--from", "2026-03-01"], LAST_DAY).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_three_programs_agree_on_a_book_of_all_operations() -> Result<(), HarnessError> {
    let seed = from_environment("PARTITA_SEED").unwrap_or_else(|| rand::rng().random());
    let requests = from_environment("PARTITA_EXPORT_REQUESTS").unwrap_or(700);
    eprintln!("PARTITA_SEED={seed} PARTITA_EXPORT_REQUESTS={requests}");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = Node::start(&directory.path().join("node"), &[]).await?;
    let requests = usize::try_from(requests).expect("a size");
    let accepted = every_operation::fill(&node.client(), "every", seed, requests).await?;
    eprintln!("{accepted:?}");

    let book = Book { node: &node, id: "every", directory: directory.path() };
    let middle = (last_entry(&node.client(), "every").await? / 2).to_string();
    for program in programs::ALL {
        book.agrees(program, &[], LAST_DAY).await?;
        book.agrees(program, &["--from", "2025-03-01", "--to", "2026-06-30"], "2026-06-30").await?;
        book.agrees(program, &["--after-entry", &middle], LAST_DAY).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_programs_agree_on_the_demo_book() -> Result<(), HarnessError> {
    let rows = from_environment("PARTITA_EXPORT_ROWS").unwrap_or(1_500).to_string();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = Node::start(&directory.path().join("node"), &[]).await?;
    let purchases = repository("examples/cdnow.csv").to_string_lossy().into_owned();
    let args = ["import", &purchases, "--url", node.url(), "--book", "demo", "--create-book", "--rows", &rows];
    let imported = partita(args).await?;
    assert!(imported.succeeded(), "{}", imported.said());

    let book = Book { node: &node, id: "demo", directory: directory.path() };
    book.agrees(Program::Ledger, &[], LAST_DAY).await?;
    let last = last_entry(&node.client(), "demo").await?;
    let after = last.saturating_sub(SLICE_ENTRIES.min(last / 3)).to_string();
    for program in [Program::Hledger, Program::Beancount] {
        book.agrees(program, &["--after-entry", &after], LAST_DAY).await?;
    }
    Ok(())
}

/// Of a file: every change of one amount that a program must not accept.
fn tampered(text: &str) -> Vec<(&'static str, String)> {
    let posting = text.lines().find(|line| line.starts_with("  ") && line.ends_with(" 108.25 USD")).expect("a posting");
    // Of the bank, which has a balance.
    let is_asserted = |line: &&str| line.contains("1397.30");
    let asserted = text.lines().rfind(is_asserted).expect("an assertion of the bank's balance");
    let change = |line: &str, from: &str, to: &str| text.replacen(line, &line.replace(from, to), 1);
    vec![
        ("an amount, by a cent", change(posting, "108.25", "108.26")),
        ("an amount, by less than half a cent", change(posting, "108.25", "108.254")),
        // An exchange to hledger without --strict and to ledger at its strictest: there the balances tell.
        ("a currency", change(posting, "108.25 USD", "108.25 EUR")),
        ("a balance, by a cent", change(asserted, "1397.30", "1397.31")),
        ("a balance, by less than half a cent", change(asserted, "1397.30", "1397.304")),
        (
            "an account that is not declared",
            text.replace(" assets:bank  ", " assets:bnak  ").replace(" Assets:Bank  ", " Assets:Bnak  "),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_was_tampered_with_is_refused_by_each_program() -> Result<(), HarnessError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = Node::start(&directory.path().join("node"), &[]).await?;
    quarter(&node).await?;
    let book = Book { node: &node, id: "quarter", directory: directory.path() };
    for program in programs::ALL {
        let text = fs::read_to_string(book.export(program.format(), &[]).await?).expect("it was written");
        let changed = directory.path().join("tampered");
        for (what, tampered) in tampered(&text) {
            assert_ne!(tampered, text, "{program:?}: {what}");
            fs::write(&changed, tampered).expect("the directory takes files");
            let output = program.check(&changed)?;
            assert!(!output.status.success(), "{program:?} accepts {what}");
        }
    }
    Ok(())
}

/// Debits and credits of each account and currency, as (account, currency) → net.
fn sums<'a>(lines: impl Iterator<Item = (&'a str, &'a str, bool, &'a str)>) -> TrialBalance {
    let mut sums = std::collections::BTreeMap::<_, Decimal>::new();
    for (account, currency, is_debit, amount) in lines {
        let amount: Decimal = amount.parse().expect("an amount");
        *sums.entry((account.to_owned(), currency.to_owned())).or_default() += if is_debit { amount } else { -amount };
    }
    let rows = sums.into_iter().map(|(key, net)| (key, programs::normal(&net.normalize().to_string())));
    rows.filter(|(_, net)| net != "0").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_and_jsonl_hold_every_entry_and_the_same_balances() -> Result<(), HarnessError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = Node::start(&directory.path().join("node"), &[]).await?;
    quarter(&node).await?;
    let book = Book { node: &node, id: "quarter", directory: directory.path() };
    let ours = book.trial_balance(LAST_DAY).await?;

    let mut reader = csv::Reader::from_path(book.export("csv", &[]).await?).expect("it was written");
    let rows: Vec<std::collections::HashMap<String, String>> =
        reader.deserialize().collect::<Result<_, _>>().expect("every row has every column");
    for record in ["line", "balance"] {
        let amounts = rows.iter().filter(|row| row["record"] == record).map(|row| {
            let is_debit = row["credit"].is_empty();
            let amount = if is_debit { &row["debit"] } else { &row["credit"] };
            (row["account"].as_str(), row["currency"].as_str(), is_debit, amount.as_str())
        });
        assert_eq!(sums(amounts), ours, "{record}");
    }

    let text = fs::read_to_string(book.export("jsonl", &["--after-entry", "40"]).await?).expect("it was written");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).collect::<Vec<_>>();
    let entries: Vec<_> = of("entry").iter().map(|entry| entry["number"].as_u64().expect("a number")).collect();
    assert_eq!(entries, [41, 42, 43, 44, 45]);
    assert_eq!(lines.last().expect("a last line")["entries"], 5);
    let balances = of("balance");
    let closing = balances.iter().map(|row| {
        let is_debit = row["side"] == "debit";
        let text = |name: &str| row[name].as_str().expect("a text");
        (text("account"), text("currency"), is_debit, text("balance"))
    });
    assert_eq!(sums(closing), ours);
    let opening = of("opening");
    let both = opening.iter().flat_map(|row| {
        let text = |name: &str| row[name].as_str().expect("a text");
        [
            (text("account"), text("currency"), true, text("debits")),
            (text("account"), text("currency"), false, text("credits")),
        ]
    });
    let listed = of("entry");
    let lines = listed.iter().flat_map(|entry| entry["lines"].as_array().expect("lines")).map(|line| {
        let text = |name: &str| line[name].as_str().expect("a text");
        (text("account"), text("currency"), line["side"] == "debit", text("amount"))
    });
    assert_eq!(sums(both.chain(lines)), ours, "opening and entries together");
    Ok(())
}

/// A book with one entry, which moves `amount` between two accounts.
async fn book_of_one_entry(
    client: &Client,
    book: &str,
    date: &str,
    (currency, decimals, amount): (&str, u8, &str),
) -> Result<(), HarnessError> {
    let opened = json!({"id": book, "name": book, "functional_currency": "USD", "chart": "saas"});
    client.create("/v1/books", book, &opened).await?;
    let registered = json!({"code": currency, "decimals": decimals});
    client.create(&format!("/v1/books/{book}/currencies"), "currency", &registered).await?;
    let line =
        |account: &str, side: &str| json!({"account": account, "side": side, "amount": amount, "currency": currency});
    let entry =
        json!({"effective_date": date, "lines": [line("assets:bank", "debit"), line("assets:fx-position", "credit")]});
    client.create(&format!("/v1/books/{book}/entries"), "entry", &entry).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_format_cannot_hold_is_refused_and_leaves_no_file() -> Result<(), HarnessError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = Node::start(&directory.path().join("node"), &[]).await?;
    for (id, date, money, refusing) in [
        ("early", "1399-12-31", ("COIN", 2, "1.00"), vec![Program::Ledger]),
        ("late", "9999-12-31", ("COIN", 2, "1.00"), vec![Program::Beancount]),
        ("word", "2026-01-01", ("TRUE", 2, "1.00"), vec![Program::Beancount]),
        ("fine", "2026-01-01", ("GWEI", 18, "9999999999.000000000000000001"), vec![Program::Beancount]),
        ("just", "2026-01-01", ("GWEI", 18, "4999999999.999999999999999999"), vec![]),
    ] {
        book_of_one_entry(&node.client(), id, date, money).await?;
        let book = Book { node: &node, id, directory: directory.path() };
        for program in programs::ALL {
            if !refusing.contains(&program) {
                book.agrees(program, &[], LAST_DAY).await?;
                continue;
            }
            let file = directory.path().join("refused");
            let name = file.to_string_lossy().into_owned();
            let args = ["export", "--url", node.url(), "--book", id, "--format", program.format(), "--output", &name];
            let ended = partita(args).await?;
            assert!(!ended.succeeded() && ended.said().contains("not_representable"), "{id}: {}", ended.said());
            assert!(!file.exists() && !directory.path().join("refused.partial").exists(), "{id} {program:?}");
        }
    }
    Ok(())
}
