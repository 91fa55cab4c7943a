//! What the README tells a newcomer to type works as it says.

use std::fs;
use std::process::Command;

use partita_jepsen::HarnessError;
use partita_jepsen::command::{partita, repository};
use partita_jepsen::node::Node;

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).expect("the file is part of the repository")
}

#[test]
fn the_readme_shows_the_script_that_is_tested() {
    let script = read("examples/curl.sh");
    let lines: Vec<_> =
        script.lines().filter(|line| line.starts_with("curl") || line.starts_with("export BOOKS=")).collect();
    assert_eq!(lines.len(), 10, "{script}");
    let readme = read("README.md");
    for line in lines {
        assert!(readme.lines().any(|shown| shown == line), "the README lacks: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_lines_of_curl_charge_pay_refund_and_read_the_balance() -> Result<(), HarnessError> {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no curl on this machine");
        return Ok(());
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = Node::start(&directory.path().join("node"), &[]).await?;
    let books = format!("{}/v1/books", node.url());
    let script = repository("examples/curl.sh");
    let ended = tokio::task::spawn_blocking(move || Command::new("bash").arg(script).env("BOOKS", books).output());
    let output = ended.await.expect("waiting does not panic").expect("bash is there");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));

    let receivable =
        partita(["balance", "--url", node.url(), "--book", "acme", "assets:receivable/cus_1", "--format", "csv"]);
    let receivable = receivable.await?.said();
    assert!(receivable.contains("USD,108.25,108.25,0.00,"), "{receivable}");
    let refund = node.client().read("/v1/books/acme/refunds/re_1").await?;
    assert_eq!((refund["state"].as_str(), refund["amount"].as_str()), (Some("succeeded"), Some("54.13")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn post_takes_the_quarter_and_the_commands_agree() -> Result<(), HarnessError> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = Node::start(&directory.path().join("node"), &[]).await?;
    let file = repository("examples/quarter.json").to_string_lossy().into_owned();
    for round in ["first", "again"] {
        let posted =
            partita(["post", &file, "--url", node.url(), "--book", "quarter", "--create-book", "--format", "csv"])
                .await?;
        assert!(posted.succeeded(), "{round}: {}", posted.said());
        let said = posted.said();
        let marked =
            said.lines().filter(|line| line.ends_with(if round == "again" { ",true" } else { ",false" })).count();
        assert_eq!(marked, 45, "{round}: {said}");
    }
    let report = partita(["trial-balance", "--url", node.url(), "--book", "quarter", "--as-of", "2026-03-31"]).await?;
    assert!(report.succeeded() && report.said().contains("2402.83"), "{}", report.said());
    for (name, format, shown) in [
        ("trial-balance", "text", "2402.83"),
        ("balance-sheet", "csv", "equity,current_earnings,,,Current-year earnings,USD,515.13"),
        ("income-statement", "html", "515.13"),
        ("general-ledger", "json", "\"balance\":\"1397.30\""),
        ("journal", "text", "Breakage"),
    ] {
        let args =
            ["report", name, "--url", node.url(), "--book", "quarter", "--as-of", "2026-03-31", "--format", format];
        let report = partita(args).await?;
        assert!(report.succeeded() && report.said().contains(shown), "{name}: {}", report.said());
    }
    let none = partita(["report", "horoscope", "--url", node.url(), "--book", "quarter"]).await?;
    assert!(!none.succeeded() && none.said().contains("not_found"), "{}", none.said());
    let bank = partita(["balance", "--url", node.url(), "--book", "quarter", "assets:bank"]).await?;
    assert!(bank.succeeded() && bank.said().contains("1397.30"), "{}", bank.said());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_accounting_primers_story_runs_twice_and_balances() -> Result<(), HarnessError> {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no curl on this machine");
        return Ok(());
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let node = Node::start(&directory.path().join("node"), &[]).await?;
    for round in ["first", "again"] {
        let books = format!("{}/v1/books", node.url());
        let script = repository("examples/accounting.sh");
        let ended = tokio::task::spawn_blocking(move || Command::new("bash").arg(script).env("BOOKS", books).output());
        let output = ended.await.expect("waiting does not panic").expect("bash is there");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{round}: {said}{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(
            said.matches("\"status\":4").count(),
            1,
            "{round}: only the reversal of a charge is refused: {said}"
        );
        assert!(said.contains("\"code\":\"not_reversible\""), "{round}: {said}");
        let report = partita(["trial-balance", "--url", node.url(), "--book", "primer", "--format", "csv"]).await?;
        assert!(report.succeeded(), "{round}: {}", report.said());
        assert_eq!(said.matches("1497.55").count(), 2, "{round}: the totals of the trial balance: {said}");
        for figure in ["1350.00", "26.90", "105.05", "1200.00"] {
            assert!(report.said().contains(figure), "{round}: no {figure} in {}", report.said());
        }
    }
    Ok(())
}
