//! `partita import`: purchases from a CSV file, each a charge and a card payment captured on the same day.
//!
//! Ids and idempotency keys come from the row number, so the file can be loaded again from its start after any
//! interruption: what was decided before comes back as a replay. Many rows are in flight at once, so rows may be
//! *numbered* in another order each time; what each row posts does not depend on the others.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::client::{Client, ClientError};
use super::output::print_line;
use super::{BookArgs, CliError};

const EXAMPLES: &str = "\
Examples:
  partita import examples/cdnow.csv --book demo --create-book
  partita import examples/cdnow.csv --book demo --retry-for 60       rides out a restart of the server
  partita import examples/cdnow.csv --book demo --url http://a:7070,http://b:7070    goes on with another node

The file's columns are customer, date, quantity and amount_usd. Row 7 becomes charge in_000007 (revenue: sales, no tax)
and payment pay_000007, captured the same day and applied to it. Run again, it posts nothing twice.

Exit code: 0 if every row was posted, or refused for an amount of zero; 1 otherwise.";

/// Between two plain progress lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Import {
    #[command(flatten)]
    book: BookArgs,
    /// The CSV file
    file: PathBuf,
    /// Open the book first (nothing happens if it is there)
    #[arg(long)]
    create_book: bool,
    /// Chart of the book that is opened
    #[arg(long, value_name = "saas|empty", default_value = "saas")]
    chart: String,
    /// Currency of the amounts, and functional currency of the book that is opened
    #[arg(long, value_name = "CODE", default_value = "USD")]
    currency: String,
    /// Revenue account of the charges
    #[arg(long, value_name = "ACCOUNT", default_value = "revenue:sales")]
    revenue: String,
    /// Processor that the payments clear through
    #[arg(long, value_name = "NAME", default_value = "stripe")]
    processor: String,
    /// Beginning of the idempotency keys [default: the file's name]
    #[arg(long, value_name = "PREFIX")]
    key_prefix: Option<String>,
    /// Rows in flight at once
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=4096))]
    concurrency: u16,
    /// Only the first N rows
    #[arg(long, value_name = "N")]
    rows: Option<usize>,
    /// Go on with the same keys for this long while the server is away or overloaded
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    retry_for: u64,
}

#[derive(Debug, Deserialize)]
struct Row {
    customer: String,
    date: String,
    quantity: String,
    amount_usd: String,
}

/// What became of a row.
#[derive(Debug)]
enum Outcome {
    Posted { replayed: bool },
    Refused { code: String, detail: String, amount_is_zero: bool },
    Failed(ClientError),
}

#[derive(Debug, Default)]
struct Tally {
    posted: usize,
    replayed: usize,
    refused: BTreeMap<String, Refused>,
    unexpected: usize,
}

/// The rows refused with one code.
#[derive(Debug)]
struct Refused {
    count: usize,
    first_row: usize,
    /// What the server said of that row.
    detail: String,
}

/// What every worker shares.
#[derive(Debug)]
struct Work {
    client: Client,
    rows: Vec<Row>,
    next: AtomicUsize,
    stopped: AtomicBool,
    patience: Duration,
    prefix: String,
    book: BookArgs,
    currency: String,
    revenue: String,
    processor: String,
}

impl Import {
    pub(super) async fn run(&self) -> Result<ExitCode, CliError> {
        let mut rows = read(&self.file)?;
        rows.truncate(self.rows.unwrap_or(usize::MAX));
        let all = rows.len();
        let client = self.book.client()?;
        let patience = Duration::from_secs(self.retry_for);
        if self.create_book {
            self.open_book(&client, patience).await?;
        }
        let prefix = self.key_prefix.clone().unwrap_or_else(|| stem(&self.file));
        let work = Arc::new(Work {
            client,
            rows,
            next: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            patience,
            prefix,
            book: self.book.clone(),
            currency: self.currency.clone(),
            revenue: self.revenue.clone(),
            processor: self.processor.clone(),
        });
        let started = Instant::now();
        let (tally, failure) = load(&work, usize::from(self.concurrency)).await?;
        report(&tally, all, started.elapsed())?;
        match failure {
            Some(source) => Err(CliError::Stopped { done: tally.done(), all, source }),
            None if tally.unexpected > 0 => Ok(ExitCode::FAILURE),
            None => Ok(ExitCode::SUCCESS),
        }
    }

    async fn open_book(&self, client: &Client, patience: Duration) -> Result<(), CliError> {
        let id = &self.book.book;
        let body = json!({
            "id": id, "name": id, "functional_currency": self.currency, "time_zone": "UTC", "chart": self.chart,
        });
        match client.post_for(patience, "/v1/books", &format!("open-book-{id}"), Bytes::from(body.to_string())).await {
            Ok(_) => Ok(()),
            Err(ClientError::Refused(problem))
                if matches!(problem.code.as_str(), "already_exists" | "idempotency_key_reused") =>
            {
                print_line(&format!("The book {id} is there already: loading into it."))?;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Tally {
    fn done(&self) -> usize {
        self.posted + self.refused_rows()
    }

    fn refused_rows(&self) -> usize {
        self.refused.values().map(|refused| refused.count).sum()
    }

    /// `number` is the row's. A failure is handed back: it ends the import.
    fn count(&mut self, number: usize, outcome: Outcome) -> Option<ClientError> {
        match outcome {
            Outcome::Posted { replayed } => {
                self.posted += 1;
                self.replayed += usize::from(replayed);
                None
            }
            Outcome::Refused { code, detail, amount_is_zero } => {
                self.unexpected += usize::from(!amount_is_zero);
                let refused = self.refused.entry(code).or_insert(Refused {
                    count: 0,
                    first_row: usize::MAX,
                    detail: String::new(),
                });
                refused.count += 1;
                if number < refused.first_row {
                    refused.first_row = number;
                    refused.detail = detail;
                }
                None
            }
            Outcome::Failed(error) => Some(error),
        }
    }
}

impl Work {
    async fn worker(self: Arc<Self>, outcomes: mpsc::UnboundedSender<(usize, Outcome)>) {
        while !self.stopped.load(Ordering::Relaxed) {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(row) = self.rows.get(index) else { return };
            let outcome = self.post(index + 1, row).await;
            if matches!(outcome, Outcome::Failed(_)) {
                self.stopped.store(true, Ordering::Relaxed);
            }
            if outcomes.send((index + 1, outcome)).is_err() {
                return;
            }
        }
    }

    /// The payment goes out only after its charge is decided, so that it always finds it.
    async fn post(&self, number: usize, row: &Row) -> Outcome {
        let charge = json!({
            "id": format!("in_{number:06}"), "customer": row.customer, "currency": self.currency,
            "effective_date": row.date, "due_date": row.date, "revenue": self.revenue, "amount": row.amount_usd,
            "metadata": {"quantity": row.quantity},
        });
        let payment = json!({
            "id": format!("pay_{number:06}"), "customer": row.customer, "processor": self.processor,
            "currency": self.currency, "effective_date": row.date, "amount": row.amount_usd, "capture": "automatic",
            "apply": [{"charge": format!("in_{number:06}"), "amount": row.amount_usd}],
        });
        let mut replayed = true;
        for (kind, path, body) in [("charge", "/charges", charge), ("payment", "/payments", payment)] {
            let key = format!("{}-{number:06}-{kind}", self.prefix);
            let path = self.book.path(path);
            match self.client.post_for(self.patience, &path, &key, Bytes::from(body.to_string())).await {
                Ok(answer) => replayed &= answer.replayed,
                Err(ClientError::Refused(problem)) if problem.status < 500 && !is_of_the_caller(problem.status) => {
                    let amount_is_zero = !row.amount_usd.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
                    return Outcome::Refused { code: problem.code.clone(), detail: problem.detail, amount_is_zero };
                }
                Err(error) => return Outcome::Failed(error),
            }
        }
        Outcome::Posted { replayed }
    }
}

/// Refusals that are about who is asking or where, so that no other row would fare better.
fn is_of_the_caller(status: u16) -> bool {
    matches!(status, 401 | 403 | 404 | 405 | 415 | 429)
}

/// Runs the workers until the rows are done or one of them fails for good.
async fn load(work: &Arc<Work>, concurrency: usize) -> Result<(Tally, Option<ClientError>), CliError> {
    let (sender, mut outcomes) = mpsc::unbounded_channel();
    for _ in 0..concurrency {
        tokio::spawn(Arc::clone(work).worker(sender.clone()));
    }
    drop(sender);
    let bar = progress_bar(work.rows.len());
    let (mut tally, mut failure, mut last_line) = (Tally::default(), None, Instant::now());
    while let Some((number, outcome)) = outcomes.recv().await {
        if let Some(error) = tally.count(number, outcome) {
            failure.get_or_insert(error);
        }
        bar.inc(1);
        if bar.is_hidden() && last_line.elapsed() > LINE_INTERVAL {
            last_line = Instant::now();
            print_line(&format!("{} of {} rows", tally.done(), work.rows.len()))?;
        }
    }
    bar.finish_and_clear();
    Ok((tally, failure))
}

fn progress_bar(rows: usize) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(10)
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} rows  {per_sec}  {eta} left")
        .expect("the template is a constant that parses");
    ProgressBar::with_draw_target(Some(u64::try_from(rows).unwrap_or(u64::MAX)), target).with_style(style)
}

fn report(tally: &Tally, all: usize, took: Duration) -> Result<(), CliError> {
    let seconds = took.as_secs_f64();
    let per_second = f64::from(u32::try_from(tally.done()).unwrap_or(u32::MAX)) / seconds.max(0.001);
    print_line(&format!("{} of {all} rows posted, {} of them already before", tally.posted, tally.replayed))?;
    print_line(&format!("{} rows refused", tally.refused_rows()))?;
    for (code, Refused { count, first_row, detail }) in &tally.refused {
        print_line(&format!("  {count} {code} (first in row {first_row}: {detail})"))?;
    }
    print_line(&format!("in {seconds:.1} s: {per_second:.0} rows/s, a charge and a payment each"))?;
    Ok(())
}

fn read(path: &Path) -> Result<Vec<Row>, CliError> {
    let file = std::fs::File::open(path).map_err(|source| CliError::Read { path: path.to_owned(), source })?;
    let mut rows = Vec::new();
    for (index, row) in csv::Reader::from_reader(std::io::BufReader::new(file)).into_deserialize().enumerate() {
        // The heading is line 1.
        let line = u64::try_from(index).unwrap_or(u64::MAX).saturating_add(2);
        let row: Row =
            row.map_err(|error: csv::Error| CliError::Row { path: path.to_owned(), line, why: error.to_string() })?;
        rows.push(row);
    }
    Ok(rows)
}

/// The file's name without its ending, as far as a key can hold it.
fn stem(path: &Path) -> String {
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.chars().filter(char::is_ascii_graphic).take(200).collect()
}
