//! Charts, opening balances and journals come in from CSV and from beancount, and go out with the same balances; the same
//! file imported again posts nothing twice.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use partita_jepsen::HarnessError;
use partita_jepsen::books;
use partita_jepsen::command::{Ended, partita, repository};
use partita_jepsen::node::Node;
use partita_jepsen::programs::{self, Program, TrialBalance};
use serde_json::json;

struct Import<'a> {
    node: &'a Node,
    book: &'a str,
}

impl Import<'_> {
    async fn open_book(&self) -> Result<(), HarnessError> {
        let body = json!({"id": self.book, "name": self.book, "functional_currency": "USD", "chart": "empty"});
        self.node.client().create("/v1/books", &format!("open-{}", self.book), &body).await.map(drop)
    }

    async fn run(&self, command: &str, file: &Path, args: &[&str]) -> Result<Ended, HarnessError> {
        let name = file.to_string_lossy().into_owned();
        let fixed = [command, &name, "--url", self.node.url(), "--book", self.book];
        partita(fixed.iter().chain(args)).await
    }

    async fn export(&self, format: &str, directory: &Path) -> Result<PathBuf, HarnessError> {
        let file = directory.join(format!("{}.{format}", self.book));
        let name = file.to_string_lossy().into_owned();
        let args = ["export", "--url", self.node.url(), "--book", self.book, "--format", format, "--output", &name];
        let exported = partita(args).await?;
        assert!(exported.succeeded(), "{}", exported.said());
        Ok(file)
    }

    async fn entries(&self) -> Result<usize, HarnessError> {
        Ok(books::entries(&self.node.client(), self.book).await?.len())
    }
}

#[track_caller]
fn said(ended: &Ended, succeeded: bool, parts: &[&str]) {
    let text = ended.said();
    assert_eq!(ended.succeeded(), succeeded, "{text}");
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

/// What a book opened from the file calls an account.
fn by_name(rows: TrialBalance, names: &BTreeMap<String, String>) -> TrialBalance {
    let named = |((code, currency), number)| Some(((names.get(&code)?.clone(), currency), number));
    rows.into_iter().filter_map(named).collect()
}

/// Imports a ledger that was not made for Partita, exports the book, and holds bean-query's balances of both files
/// against each other, in units: what was paid for what is not the ledger's.
async fn there_and_back(node: &Node, book: &str, original: &Path, directory: &Path) -> Result<Ended, HarnessError> {
    let import = Import { node, book };
    import.open_book().await?;
    let dry = import.run("import-journal", original, &["--format", "beancount", "--dry-run"]).await?;
    assert_eq!(import.entries().await?, 0, "a dry run posts nothing");
    let imported = import.run("import-journal", original, &["--format", "beancount"]).await?;
    assert_eq!(dry.succeeded(), imported.succeeded(), "{}\n{}", dry.said(), imported.said());
    let posted = import.entries().await?;
    assert!(posted > 0);

    let exported = import.export("beancount", directory).await?;
    let accounts = books::list(&node.client(), &format!("/v1/books/{book}/accounts")).await?;
    let text = |account: &serde_json::Value, field: &str| account[field].as_str().expect("a text").to_owned();
    let names = accounts.iter().map(|account| (text(account, "code"), text(account, "name"))).collect();
    let ours = by_name(Program::Beancount.trial_balance(&exported)?, &names);
    let query = "SELECT account, currency, str(sum(number)) AS total GROUP BY account, currency";
    let theirs = programs::bean_query(original, query)?;
    let exchanges = "Exchanges of one currency for another";
    let without_exchanges: TrialBalance = ours.into_iter().filter(|((account, _), _)| account != exchanges).collect();
    assert_eq!(without_exchanges, theirs, "{}", original.display());

    let again = import.run("import-journal", original, &["--format", "beancount"]).await?;
    said(&again, imported.succeeded(), &[&format!("entries: 0 posted, {posted} already before")]);
    assert_eq!(import.entries().await?, posted, "nothing is posted twice");
    Ok(imported)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_was_not_made_for_us_keeps_its_balances() -> Result<(), HarnessError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = Node::start(&directory.path().join("node"), &[]).await?;
    // Beancount's own example of a private person's books, with shares, as its generator makes it.
    let generated = directory.path().join("example.beancount");
    let name = generated.to_string_lossy().into_owned();
    let dates = ["--date-begin", "2024-01-01", "--date-end", "2025-12-31", "--date-birth", "1990-04-01"];
    let made = programs::run("bean-example", ["--seed", "42", "-o", &name].into_iter().chain(dates))?;
    assert!(made.status.success(), "{}", programs::said(&made));
    let imported = there_and_back(&node, "generated", &generated, directory.path()).await?;
    said(&imported, true, &["price", "the file's own balances:", ", 0 refused"]);

    // Where Debian's documentation is installed, the examples in it too.
    let examples = Path::new("/usr/share/doc/beancount/examples");
    for (book, file) in [
        ("debian", "example.beancount"),
        ("starter", "simple/starter.beancount"),
        ("vesting", "vesting/vesting.beancount"),
    ] {
        let file = examples.join(file);
        if file.exists() {
            let imported = there_and_back(&node, book, &file, directory.path()).await?;
            said(&imported, true, &[", 0 refused"]);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_exports_come_back_as_they_went_out() -> Result<(), HarnessError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = Node::start(&directory.path().join("node"), &[]).await?;
    let quarter = repository("examples/quarter.json").to_string_lossy().into_owned();
    let posted = partita(["post", &quarter, "--url", node.url(), "--book", "quarter", "--create-book"]).await?;
    assert!(posted.succeeded(), "{}", posted.said());
    let original = Import { node: &node, book: "quarter" };

    let back = Import { node: &node, book: "from-beancount" };
    back.open_book().await?;
    let ledger = original.export("beancount", directory.path()).await?;
    let imported = back.run("import-journal", &ledger, &["--format", "beancount"]).await?;
    said(&imported, true, &["entries: 45 posted, 0 already before, 0 refused", "hold"]);
    let rows = |file: PathBuf| Program::Beancount.trial_balance(&file);
    assert_eq!(rows(back.export("beancount", directory.path()).await?)?, rows(ledger)?);
    let chart = async |book: &str| {
        let mut accounts = books::list(&node.client(), &format!("/v1/books/{book}/accounts")).await?;
        for account in &mut accounts {
            let fields = account.as_object_mut().expect("an object");
            fields.retain(|name, _| !["position", "recorded_at"].contains(&name.as_str()));
        }
        Ok::<_, HarnessError>(accounts)
    };
    assert_eq!(chart("from-beancount").await?, chart("quarter").await?, "the chart came along");

    // A table has no chart: the book has it already.
    let table = original.export("csv", directory.path()).await?;
    let again = Import { node: &node, book: "from-csv" };
    again.open_book().await?;
    let accounts = fs::read_to_string(&quarter).expect("the example is part of the repository");
    let accounts: serde_json::Value = serde_json::from_str(&accounts).expect("JSON");
    for account in accounts["accounts"].as_array().expect("accounts") {
        let key = account["code"].as_str().expect("a code");
        node.client().create("/v1/books/from-csv/accounts", key, account).await?;
    }
    let imported = again.run("import-journal", &table, &["--format", "csv"]).await?;
    said(&imported, true, &["entries: 45 posted, 0 already before, 0 refused", "the file's own balances:"]);
    let of = |file: PathBuf| Program::Hledger.trial_balance(&file);
    let (ours, theirs) =
        (again.export("hledger", directory.path()).await?, original.export("hledger", directory.path()).await?);
    assert_eq!(of(ours)?, of(theirs)?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_reported_and_can_be_put_right() -> Result<(), HarnessError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = Node::start(&directory.path().join("node"), &[]).await?;
    let import = Import { node: &node, book: "acme" };
    import.open_book().await?;
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("the directory takes files");
        path
    };
    let chart = write(
        "chart.csv",
        "code,name,class,party,items,currencies,contra\n\
         assets:bank,Bank,asset,,,USD EUR,\n\
         assets:receivable,Receivable,asset,customer,required,,false\n\
         Assets:Bad,Bad,asset,,,,\n\
         revenue:sales,Sales,revenue,,,USD,\n\
         revenue:odd,Odd,income,,,,\n",
    );
    let openings = write(
        "openings.csv",
        "account,party,item,currency,debit,credit\n\
         assets:bank,,,USD,1000.00,\n\
         assets:receivable,cus_1,in_1,USD,108.25,\n\
         assets:receivable,,,USD,1.00,\n",
    );
    let report = directory.path().join("report.csv");
    let report_name = report.to_string_lossy().into_owned();
    let opening = openings.to_string_lossy().into_owned();
    let args = ["--openings", &opening, "--date", "2025-12-31", "--report", &report_name];
    let refusals = ["refused with malformed: 2", "refused with party_required: 1", "openings.csv:4"];
    let dry = import.run("import-chart", &chart, &[&args[..], &["--dry-run"]].concat()).await?;
    let acceptable = [
        "a dry run",
        "accounts: 4 acceptable, 0 there already, 2 refused",
        "entries: 2 acceptable, 0 there already, 1 refused",
    ];
    said(&dry, false, &[&refusals[..], &acceptable].concat());
    assert_eq!(import.entries().await?, 0);
    let imported = import.run("import-chart", &chart, &args).await?;
    said(
        &imported,
        false,
        &[&refusals[..], &["accounts: 4 posted, 0 already before, 2 refused", "entries: 2 posted"]].concat(),
    );
    let listed = fs::read_to_string(&report).expect("the report was written");
    assert_eq!(listed.lines().filter(|line| line.contains(",refused,")).count(), 3, "{listed}");

    // The journal: one entry refused for an account that is missing, one malformed, one with too many decimals.
    let journal = write(
        "journal.csv",
        "entry,date,description,account,party,item,currency,debit,credit\n\
         1,2026-01-02,Sale,assets:bank,,,USD,10.00,\n\
         1,2026-01-02,Sale,revenue:sales,,,USD,,10.00\n\
         2,2026-01-02,Sale,assets:bank,,,USD,10.00,\n\
         2,2026-01-02,Sale,revenue:sales,,,USD,,10.00\n\
         3,2026-01-03,Fee,expenses:fees,,,USD,1.00,\n\
         3,2026-01-03,Fee,assets:bank,,,USD,,1.00\n\
         4,2026-01-03,Odd,assets:bank,,,USD,1.00,\n\
         4,2026-01-03,Odd,revenue:sales,,,USD,,2.00\n\
         5,2026-01-03,Fine,assets:bank,,,USD,0.001,\n\
         5,2026-01-03,Fine,revenue:sales,,,USD,,0.001\n\
         6,2026-01-04,Paid,assets:bank,,,USD,108.25,\n\
         6,2026-01-04,Paid,assets:receivable,cus_1,in_1,USD,,108.25\n",
    );
    let expected =
        ["unbalanced", "too_many_decimals", "unknown_account", "journal.csv:6", "journal.csv:8", "journal.csv:10"];
    let format = ["--format", "csv"];
    said(&import.run("import-journal", &journal, &["--format", "csv", "--dry-run"]).await?, false, &expected);
    let before = import.entries().await?;
    let imported = import.run("import-journal", &journal, &format).await?;
    said(&imported, false, &[&expected[..], &["entries: 3 posted, 0 already before, 3 refused"]].concat());

    // The account is opened, and the file corrected and longer: only what was missing is posted.
    let fees = json!({"code": "expenses:fees", "name": "Fees", "class": "expense"});
    node.client().create("/v1/books/acme/accounts", "fees", &fees).await?;
    let text = fs::read_to_string(&journal).expect("it was written");
    let (heading, rows) = text.split_once('\n').expect("a heading");
    let inserted = "0,2026-01-01,First,assets:bank,,,USD,5.00,\n0,2026-01-01,First,revenue:sales,,,USD,,5.00\n";
    let corrected = rows.replace(",2.00\n", ",1.00\n").replace("0.001", "0.01");
    let journal = write("journal.csv", &format!("{heading}\n{inserted}{corrected}"));
    let imported = import.run("import-journal", &journal, &format).await?;
    said(&imported, true, &["entries: 4 posted, 3 already before, 0 refused"]);
    assert_eq!(import.entries().await?, before + 7);
    let imported = import.run("import-journal", &journal, &format).await?;
    said(&imported, true, &["entries: 0 posted, 7 already before, 0 refused"]);
    assert_eq!(import.entries().await?, before + 7);
    Ok(())
}

/// Each with what becomes of it.
const ODDITIES: &str = r#"option "name_income" "Revenue"
plugin "beancount.plugins.auto_accounts"
2026-01-01 open Assets:Bank
2026-01-01 open Assets:BANK
2026-01-01 open Assets:Shares
2026-01-01 open Equity:Opening
2026-01-01 open Revenue:Sales
2026-01-01 note Assets:Bank "opened"
2026-01-02 pad Assets:Bank Equity:Opening
2026-01-03 balance Assets:Bank  100.00 USD
2026-01-04 * "Payee" "Sale; with | signs" #tag ^link
  ref: "r1"
  Assets:Bank   50.00 USD
  Revenue:Sales
2026-01-05 ! "Shares, lots to match"
  Assets:Shares  -1 VHT {}
  Assets:Bank   10.00 USD
2026-01-05 * "A label"
  Assets:Shares  1 VHT {10.00 USD, "first"}
  Assets:Bank
2026-01-06 * "Shares"
  Assets:Shares  2 VHT {10.00 USD, 2026-01-06}
  Assets:Bank
2026-01-07 * "To an account that is not there"
  Assets:Nowhere  1.00 USD
  Assets:Bank
2026-01-08 balance Assets:Bank  130.00 USD
2026-01-08 balance Assets:Bank  131.00 USD
2026-01-09 price VHT  11.00 USD
what is this
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_beancount_has_and_we_do_not_is_told() -> Result<(), HarnessError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = Node::start(&directory.path().join("node"), &[]).await?;
    let import = Import { node: &node, book: "odd" };
    import.open_book().await?;
    let file = directory.path().join("odd.beancount");
    fs::write(&file, ODDITIES).expect("the directory takes files");
    let imported = import.run("import-journal", &file, &["--format", "beancount"]).await?;
    said(
        &imported,
        false,
        &[
            "left out: 1 × note",
            "left out: 1 × plugin (not run)",
            "left out: 1 × price",
            "the file's own balances: 2 hold",
            "its code assets:bank is that of Assets:Bank",
            "it does not say at which cost: lots are not matched",
            "odd.beancount:18: not understood from its line 2",
            "the account Assets:Nowhere is not opened in the file",
            "Assets:Bank has 130.00 USD then, not 131.00",
            "\"what is this\" is not understood",
            "currencies: 1 posted",
            "entries: 3 posted, 0 already before, 0 refused",
        ],
    );
    let entries = books::entries(&node.client(), "odd").await?;
    let lines = |entry: &serde_json::Value| -> Vec<String> {
        let text = |line: &serde_json::Value, field: &str| line[field].as_str().expect("a text").to_owned();
        let shown = |line| {
            format!(
                "{} {} {} {}",
                text(line, "account"),
                text(line, "side"),
                text(line, "amount"),
                text(line, "currency")
            )
        };
        entry["lines"].as_array().expect("lines").iter().map(shown).collect()
    };
    assert_eq!(lines(&entries[0]), ["assets:bank debit 100.00 USD", "equity:opening credit 100.00 USD"]);
    assert_eq!(entries[1]["description"], "Sale; with | signs");
    assert_eq!(entries[1]["metadata"], json!({"links": "link", "payee": "Payee", "ref": "r1", "tags": "tag"}));
    assert_eq!(
        lines(&entries[2]),
        [
            "assets:shares debit 2 VHT",
            "assets:bank credit 20.00 USD",
            "equity:conversions debit 20.00 USD",
            "equity:conversions credit 2 VHT",
        ]
    );
    assert_eq!(entries[2]["metadata"], json!({"exchange-1": "Assets:Shares 2 VHT {10.00 USD, 2026-01-06}"}));
    Ok(())
}
