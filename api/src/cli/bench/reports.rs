//! `partita bench-reports`: what each report costs on a book of any size, in time and in the server's memory.
//!
//! The book is the same for the same sizes: invoices and payments of many customers over three years, a tenth of them
//! dated back, with payouts, fees and adjusting entries. The server is a process of the bench's own; its memory is the
//! kernel's account of its peak while a report is made, less what it had before.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use partita_client::connection::Connection;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::CliError;
use super::super::client::{Client, ClientError};
use super::super::output::{self, Format, print_line};
use super::BenchError;
use super::drive::{host, write_request};
use super::server::Server;

const EXAMPLES: &str = "\
Examples:
  partita bench-reports                                                  200,000 entries, a small run
  partita bench-reports --entries 10000000 --customers 100000 --runs 5   the long form
  partita bench-reports --only known --format json";

/// Invoices, as many payments, a payout and a fee: what comes again and again.
const GROUP: usize = 20;
const INVOICES: usize = 9;
/// Every so many invoices one stays open.
const OPEN_EVERY: usize = 50;
const GROUPS_PER_BATCH: usize = 100;
const BOOK: &str = "bench";
/// The first day, and how many days the book covers.
const FIRST_DAY: &str = "2024-01-01";
const DAYS: usize = 3 * 365;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BenchReports {
    /// Entries of the book, rounded up to whole batches of 2,000
    #[arg(long, default_value_t = 200_000, value_name = "N")]
    entries: usize,
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    customers: u32,
    /// How often each report is made; the time is their median, the memory their greatest
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Only reports whose names contain it
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Where the temporary data directory is made
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Handed to the server as it is, once per use
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    serve_arg: Vec<String>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// One report as it was asked for.
#[derive(Debug)]
struct Asked {
    name: &'static str,
    path: String,
}

/// What it cost.
#[derive(Debug)]
struct Measured {
    name: &'static str,
    times: Vec<Duration>,
    bytes: usize,
    /// The greatest memory of the process beyond what it had before; absent where the kernel does not say.
    memory_bytes: Option<u64>,
}

/// Instants at which a part of the book was known.
#[derive(Debug)]
struct Known {
    early: String,
    half: String,
    late: String,
}

impl BenchReports {
    pub(crate) async fn run(&self) -> Result<ExitCode, CliError> {
        let mut server = Server::start(self.serve_arg.clone(), &self.dir).await?;
        let started = Instant::now();
        let client = Client::new(server.url())?;
        let known = self.load(&client, server.url()).await?;
        let loading = started.elapsed();
        let mut measured = vec![];
        for asked in self.reports(&known) {
            measured.push(self.measure(&client, &server, &asked).await?);
        }
        let resident = server.resident_bytes();
        server.stop().await?;
        self.print(&measured, loading, resident)?;
        Ok(ExitCode::SUCCESS)
    }

    fn batches(&self) -> usize {
        self.entries.div_ceil(GROUP * GROUPS_PER_BATCH).max(20)
    }

    /// Fills the book; the instants after a twentieth, half and nineteen twentieths of it.
    async fn load(&self, client: &Client, url: &str) -> Result<Known, BenchError> {
        let book =
            json!({"id": BOOK, "name": "Bench", "functional_currency": "USD", "time_zone": "UTC", "chart": "saas"});
        let patience = Duration::from_secs(10);
        client.post_for(patience, "/v1/books", &Uuid::now_v7().to_string(), Bytes::from(book.to_string())).await?;
        let failed = |source| BenchError::Connection { load: "the book".to_owned(), source };
        let mut connection = Connection::open(host(url)).await.map_err(failed)?;
        let path = format!("/v1/books/{BOOK}/entries:batch");
        let batches = self.batches();
        let mut instants = vec![];
        for batch in 0..batches {
            let body = self.batch(batch, batches);
            let request = write_request(&path, None, "application/json");
            let response = connection.exchange(&request, body.as_bytes()).await.map_err(failed)?;
            let status = response.status;
            let answer: Value = serde_json::from_slice(response.body).unwrap_or(Value::Null);
            let is_posted = |result: &Value| result["status"] == "posted";
            let results = answer["results"].as_array().map_or(&[][..], Vec::as_slice);
            if results.len() != GROUP * GROUPS_PER_BATCH || !results.iter().all(is_posted) {
                let refused = results.iter().find(|result| !is_posted(result)).unwrap_or(&answer).to_string();
                return Err(BenchError::NotPosted {
                    load: "the book".to_owned(),
                    answer: format!("{status} {refused}"),
                });
            }
            if [batches / 20, batches / 2, batches - batches / 20].contains(&(batch + 1)) {
                let number = (batch + 1) * GROUP * GROUPS_PER_BATCH;
                let entry = client.get_json(&format!("/v1/books/{BOOK}/entries/{number}"), &[]).await?;
                instants.push(entry["recorded_at"].as_str().unwrap_or_default().to_owned());
            }
        }
        match <[String; 3]>::try_from(instants) {
            Ok([early, half, late]) => Ok(Known { early, half, late }),
            Err(instants) => unreachable!("three batches were picked, not {}", instants.len()),
        }
    }

    fn batch(&self, batch: usize, batches: usize) -> String {
        let mut body = String::from("{\"entries\":[");
        for group in batch * GROUPS_PER_BATCH..(batch + 1) * GROUPS_PER_BATCH {
            let day = group * DAYS / (batches * GROUPS_PER_BATCH);
            for place in 0..GROUP {
                body.push_str(if body.ends_with('[') { "" } else { "," });
                // A tenth is dated back, by up to two months.
                let back = if (group + place).is_multiple_of(10) { (group * 7 + place) % 60 } else { 0 };
                self.push_entry(&mut body, group, place, day.saturating_sub(back));
            }
        }
        body.push_str("]}");
        body
    }

    fn push_entry(&self, body: &mut String, group: usize, place: usize, day: usize) {
        let customers = usize::try_from(self.customers).expect("it was bounded");
        let kind = if group.is_multiple_of(100) && place + 1 == GROUP { "adjusting" } else { "standard" };
        let key = Uuid::now_v7();
        let date = date(day);
        write!(body, "{{\"idempotency_key\":\"{key}\",\"kind\":\"{kind}\",\"effective_date\":\"{date}\",\"lines\":[")
            .expect("a string takes what is written");
        let receivable = |invoice: usize| {
            format!("assets:receivable\",\"party\":\"cus_{}\",\"item\":\"in_{invoice}", invoice % customers)
        };
        let clearing = "assets:processor-clearing\",\"party\":\"stripe";
        let cents = |invoice: usize| 1_000 + invoice * 7_919 % 90_000;
        let (debit, credit, amount) = match place {
            invoice if invoice < INVOICES => {
                let invoice = group * INVOICES + invoice;
                (receivable(invoice), "revenue:subscription".to_owned(), cents(invoice))
            }
            payment if payment < 2 * INVOICES => {
                let invoice = group * INVOICES + payment - INVOICES;
                let paid = if invoice.is_multiple_of(OPEN_EVERY) { cents(invoice) / 2 } else { cents(invoice) };
                (clearing.to_owned(), receivable(invoice), paid)
            }
            payout if payout == 2 * INVOICES => ("assets:bank".to_owned(), clearing.to_owned(), 100_000),
            _ => ("expenses:processing-fees".to_owned(), clearing.to_owned(), 3_000),
        };
        for (index, (account, side)) in [(debit, "debit"), (credit, "credit")].into_iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(
                body,
                "{comma}{{\"account\":\"{account}\",\"side\":\"{side}\",\"amount\":\"{}.{:02}\",\"currency\":\"USD\"}}",
                amount / 100,
                amount % 100
            )
            .expect("a string takes what is written");
        }
        body.push_str("]}");
    }

    fn reports(&self, known: &Known) -> Vec<Asked> {
        let Known { early, half, late } = known;
        let all = [
            ("trial balance, present", "trial-balance?as_of=2027-12-31".to_owned()),
            ("trial balance, a month", "trial-balance?from=2026-06-01&as_of=2026-06-30".to_owned()),
            ("trial balance, adjusted", "trial-balance?from=2026-01-01&as_of=2026-12-31&adjusted=true".to_owned()),
            ("trial balance, known at 95%", format!("trial-balance?as_of=2026-06-30&known_at={late}")),
            ("trial balance, known at 50%", format!("trial-balance?as_of=2025-06-30&known_at={half}")),
            ("trial balance, known at 5%", format!("trial-balance?as_of=2024-03-31&known_at={early}")),
            ("balance sheet", "balance-sheet?as_of=2026-12-31&compare_as_of=2025-12-31".to_owned()),
            ("income statement", "income-statement?as_of=2026-12-31&compare_as_of=2025-12-31".to_owned()),
            (
                "general ledger, bank, a month",
                "general-ledger?account=assets:bank&from=2026-06-01&as_of=2026-06-30&format=csv".to_owned(),
            ),
            ("general ledger, bank", "general-ledger?account=assets:bank&as_of=2027-12-31&format=csv".to_owned()),
            ("customer statement", "customer-statement?customer=cus_1&as_of=2027-12-31".to_owned()),
            ("receivables ageing", "receivables-ageing?as_of=2027-12-31".to_owned()),
            ("receivables ageing, known at 95%", format!("receivables-ageing?as_of=2026-06-30&known_at={late}")),
            ("must-zero ageing", "must-zero-ageing?as_of=2027-12-31".to_owned()),
            ("deferred revenue", "deferred-revenue?as_of=2027-12-31".to_owned()),
            ("journal, a month", "journal?from=2026-06-01&as_of=2026-06-30&format=csv".to_owned()),
            ("journal", "journal?as_of=2027-12-31&format=csv".to_owned()),
        ];
        let only = self.only.as_deref().unwrap_or("");
        let asked = all.into_iter().filter(|(name, _)| name.contains(only));
        asked.map(|(name, path)| Asked { name, path: format!("/v1/books/{BOOK}/reports/{path}") }).collect()
    }

    async fn measure(&self, client: &Client, server: &Server, asked: &Asked) -> Result<Measured, BenchError> {
        if self.format == Format::Table {
            // Nobody is served worse when the progress cannot be shown.
            drop(print_line(&format!("{} …", asked.name)));
        }
        let mut measured = Measured { name: asked.name, times: vec![], bytes: 0, memory_bytes: None };
        for _run in 0..self.runs {
            let before = server.reset_peak();
            let started = Instant::now();
            measured.bytes = read(client, &asked.path).await?;
            measured.times.push(started.elapsed());
            let grown = before.zip(server.peak_bytes()).map(|(before, peak)| peak.saturating_sub(before));
            measured.memory_bytes = measured.memory_bytes.max(grown);
        }
        measured.times.sort_unstable();
        Ok(measured)
    }

    fn print(&self, measured: &[Measured], loading: Duration, resident: Option<u64>) -> Result<(), CliError> {
        let entries = self.batches() * GROUP * GROUPS_PER_BATCH;
        let mebibytes = |bytes: Option<u64>| bytes.map(|bytes| bytes.div_ceil(1 << 20));
        if self.format == Format::Json {
            let reports = measured.iter().map(|measured| {
                json!({"report": measured.name, "median_ms": median(measured).as_secs_f64() * 1e3,
                    "bytes": measured.bytes, "memory_bytes": measured.memory_bytes})
            });
            let document = json!({"entries": entries, "customers": self.customers, "runs": self.runs,
                "load_seconds": loading.as_secs_f64(), "resident_bytes": resident, "reports": reports.collect::<Vec<_>>()});
            output::print_json(&document)?;
            return Ok(());
        }
        let headings = ["Report", ">Median ms", ">Answer bytes", ">Memory MiB"];
        let rows: Vec<Vec<String>> = measured
            .iter()
            .map(|measured| {
                vec![
                    measured.name.to_owned(),
                    format!("{:.1}", median(measured).as_secs_f64() * 1e3),
                    measured.bytes.to_string(),
                    mebibytes(measured.memory_bytes).map_or_else(String::new, |bytes| bytes.to_string()),
                ]
            })
            .collect();
        match self.format {
            Format::Csv => output::print(&output::csv(&headings, &rows))?,
            Format::Table | Format::Json => {
                output::print(&output::table(&headings, &rows))?;
                print_line(&format!(
                    "{entries} entries of {} customers, loaded in {:.1} s; {} runs each; the server has {} MiB",
                    self.customers,
                    loading.as_secs_f64(),
                    self.runs,
                    mebibytes(resident).map_or_else(|| "unknown".to_owned(), |bytes| bytes.to_string()),
                ))?;
            }
        }
        Ok(())
    }
}

/// How long the answer is; every piece of it is taken.
async fn read(client: &Client, path: &str) -> Result<usize, ClientError> {
    let mut report = client.download(path, &[]).await?;
    let mut bytes = 0;
    while let Some(piece) = report.piece().await? {
        bytes += piece.len();
    }
    Ok(bytes)
}

fn median(measured: &Measured) -> Duration {
    measured.times.get(measured.times.len() / 2).copied().unwrap_or_default()
}

fn date(day: usize) -> String {
    let first: jiff::civil::Date = FIRST_DAY.parse().expect("a date");
    let days = i64::try_from(day).expect("a few years");
    first.saturating_add(jiff::Span::new().days(days)).to_string()
}
