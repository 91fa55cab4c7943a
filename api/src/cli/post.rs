//! `partita post`: journal entries from a file, one after the other, in the file's order.
//!
//! The file holds one entry, a list of entries, one entry per line (NDJSON), or a document with `entries` and, if it
//! likes, `book` and `accounts`, like `examples/quarter.json`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};

use super::client::{Answer, Client, ClientError};
use super::output::{Format, csv, print, print_json, table, text};
use super::{BookArgs, CliError};

const EXAMPLES: &str = r#"Examples:
  partita post --book quarter --create-book examples/quarter.json
  partita post --book acme entries.ndjson
  echo '{"lines":[{"account":"assets:bank","side":"debit","amount":"1.00","currency":"USD"},
    {"account":"equity:capital","side":"credit","amount":"1.00","currency":"USD"}]}' | partita post --book acme --key k1 -

Every entry needs an idempotency key: its own "idempotency_key", or --key, which is the key of a single entry and the
beginning of the keys of several (KEY-0001, KEY-0002, …). So the same command can be run again: what was posted already
comes back as a replay. Stops at the first refusal; what came before it stays posted."#;

const HEADINGS: [&str; 6] = ["Key", ">Number", ">Position", "Date", "Description", "Replayed"];

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Post {
    #[command(flatten)]
    book: BookArgs,
    /// The file; - is standard input
    file: PathBuf,
    /// Key of the entry, or beginning of the keys, where entries have none of their own
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Open the book first, with an empty chart (or --chart)
    #[arg(long)]
    create_book: bool,
    /// Chart of the book that is opened
    #[arg(long, value_name = "saas|empty", default_value = "empty")]
    chart: String,
    /// Functional currency of the book that is opened [default: the file's, else USD]
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// Go on with the same keys for this long while the server is away or overloaded
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    retry_for: u64,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// What a file asks for, in order.
#[derive(Debug, Default)]
struct Document {
    book: Option<Value>,
    accounts: Vec<Value>,
    entries: Vec<Value>,
}

impl Post {
    pub(super) async fn run(&self) -> Result<ExitCode, CliError> {
        let document = parse(&self.file, &read(&self.file)?)?;
        let client = self.book.client()?;
        if self.create_book {
            self.open_book(&client, &document).await?;
        }
        for account in &document.accounts {
            let key = format!("{}-account-{}", self.book.book, text(account, "code"));
            self.send(&client, "/accounts", &key, account).await?;
        }
        let mut answers = Vec::new();
        let alone = document.entries.len() == 1;
        for (index, entry) in document.entries.iter().enumerate() {
            let (key, body) = self.keyed(entry, index, alone)?;
            let answer = match self.send(&client, "/entries", &key, &body).await {
                Ok(answer) => answer,
                Err(error) => {
                    self.show(&answers)?;
                    return Err(error);
                }
            };
            let mut shown = client.json("/entries", &answer)?;
            shown["replayed"] = answer.replayed.into();
            answers.push(shown);
        }
        self.show(&answers)?;
        Ok(ExitCode::SUCCESS)
    }

    async fn open_book(&self, client: &Client, document: &Document) -> Result<(), CliError> {
        let wanted = document.book.as_ref().unwrap_or(&Value::Null);
        let or = |field: &str, default: &str| wanted[field].as_str().unwrap_or(default).to_owned();
        let body = json!({
            "id": self.book.book,
            "name": or("name", &self.book.book),
            "functional_currency": self.currency.clone().unwrap_or_else(|| or("functional_currency", "USD")),
            "time_zone": or("time_zone", "UTC"),
            "chart": self.chart,
        });
        let key = format!("open-book-{}", self.book.book);
        let patience = Duration::from_secs(self.retry_for);
        client.post_for(patience, "/v1/books", &key, Bytes::from(body.to_string())).await?;
        Ok(())
    }

    async fn send(&self, client: &Client, path: &str, key: &str, body: &Value) -> Result<Answer, CliError> {
        let patience = Duration::from_secs(self.retry_for);
        let path = self.book.path(path);
        match client.post_for(patience, &path, key, Bytes::from(body.to_string())).await {
            Ok(answer) => Ok(answer),
            Err(ClientError::Refused(problem)) => Err(CliError::Usage { what: format!("{key}: {problem}") }),
            Err(error) => Err(error.into()),
        }
    }

    /// The entry's key, and the entry as the server takes it: `event` belongs into the metadata.
    fn keyed(&self, entry: &Value, index: usize, alone: bool) -> Result<(String, Value), CliError> {
        let mut body = entry.clone();
        let fields = body.as_object_mut().ok_or_else(|| CliError::Usage {
            what: format!("{}: entry {} is not an object", self.file.display(), index + 1),
        })?;
        let own = fields.remove("idempotency_key");
        if let Some(event) = fields.remove("event") {
            let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
            metadata["event"] = event;
        }
        let key = match (own.as_ref().and_then(Value::as_str), &self.key) {
            (Some(own), _) => own.to_owned(),
            (None, Some(key)) if alone => key.clone(),
            (None, Some(key)) => format!("{key}-{:04}", index + 1),
            (None, None) => {
                let what = format!(
                    "{}: entry {} has no \"idempotency_key\"; give it one, or say --key",
                    self.file.display(),
                    index + 1
                );
                return Err(CliError::Usage { what });
            }
        };
        Ok((key, body))
    }

    fn show(&self, answers: &[Value]) -> Result<(), CliError> {
        let fields = ["idempotency_key", "number", "position", "effective_date", "description", "replayed"];
        let row = |answer: &Value| fields.iter().map(|field| text(answer, field)).collect::<Vec<_>>();
        let rows: Vec<_> = answers.iter().map(row).collect();
        match self.format {
            Format::Json => print_json(&Value::from(answers.to_vec()))?,
            Format::Csv => print(&csv(&HEADINGS, &rows))?,
            Format::Table => print(&table(&HEADINGS, &rows))?,
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<String, CliError> {
    let failed = |source| CliError::Read { path: path.to_owned(), source };
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map_err(failed)?;
        return Ok(text);
    }
    std::fs::read_to_string(path).map_err(failed)
}

fn parse(path: &Path, content: &str) -> Result<Document, CliError> {
    let mut document = Document::default();
    for value in serde_json::Deserializer::from_str(content).into_iter::<Value>() {
        match value.map_err(|source| CliError::Json { path: path.to_owned(), source })? {
            Value::Array(entries) => document.entries.extend(entries),
            Value::Object(mut fields) if fields.contains_key("entries") => {
                document.book = fields.remove("book");
                document.accounts.extend(list(fields.remove("accounts")));
                document.entries.extend(list(fields.remove("entries")));
            }
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
                document.entries.push(other);
            }
        }
    }
    if document.entries.is_empty() {
        return Err(CliError::Usage { what: format!("{}: no entries in it", path.display()) });
    }
    Ok(document)
}

fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(list)) => list,
        None | Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(content: &str) -> Vec<Value> {
        parse(Path::new("x"), content).expect("it is well formed").entries
    }

    #[test]
    fn one_entry_a_list_lines_or_a_document() {
        let two = [json!({"lines": []}), json!({"lines": [], "description": "b"})];
        assert_eq!(entries(r#"{"lines": []}"#), two[..1]);
        assert_eq!(entries(r#"[{"lines": []}, {"lines": [], "description": "b"}]"#), two);
        assert_eq!(entries("{\"lines\": []}\n{\"lines\": [], \"description\": \"b\"}\n"), two);
        let document =
            parse(Path::new("x"), r#"{"book": {"id": "q"}, "accounts": [{"code": "a"}], "entries": [{"lines": []}]}"#);
        let document = document.expect("it is well formed");
        assert_eq!(document.accounts, [json!({"code": "a"})]);
        assert_eq!(document.book, Some(json!({"id": "q"})));
        assert_eq!(document.entries, two[..1]);
    }
}
