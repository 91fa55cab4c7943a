//! Journal entries: post, read, list, reverse, and batches of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use partita_consensus::EncodedCommands;
use partita_core::entry::{DocumentRef, Entry, MAX_LINES, Rule, Side};
use partita_core::id::EntryNumber;
use partita_core::operation::{AccountRef, MAX_BATCH, ManualKind, Operation, PostEntry, ReverseEntry, WrittenLine};
use partita_core::state::Read as _;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::accounts::SideJson;
use super::{Decided, details};
use crate::app::App;
use crate::batch::{self, Batch, BatchJson, Item as BatchItem};
use crate::body::{Form, JsonBody, parse};
use crate::direct;
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Code, Problem, ProblemJson};
use crate::query::{List, ListJson, Nothing, PageQuery, Read, ReadQuery, bad_cursor, parameter};
use crate::stamp;
use crate::sums::WideSum;
use crate::values::{
    AccountCode, Amount, CurrencyCode, Day, Description, Item, Key, MetadataValue, Party, Word, at_most,
};
use crate::write::{IdempotencyHeader, IdempotencyKey, MaybeForm};

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ManualKindForm {
    Standard,
    Opening,
    Adjusting,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LineForm {
    pub account: AccountCode,
    /// Where the account is a control account.
    pub party: Option<Party>,
    pub item: Option<Item>,
    pub side: SideJson,
    pub amount: Amount,
    pub currency: CurrencyCode,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryForm {
    /// `standard` if left out.
    pub kind: Option<ManualKindForm>,
    /// The date of the request in the book's time zone if left out.
    pub effective_date: Option<Day>,
    pub description: Option<Description>,
    pub metadata: Option<MetadataValue>,
    /// They balance in every currency.
    #[serde(deserialize_with = "at_most::<_, _, MAX_LINES>")]
    #[schema(min_items = 2, max_items = 1000)]
    pub lines: Vec<LineForm>,
    /// In a batch that is not atomic: this entry's own key.
    pub idempotency_key: Option<Key>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EntriesForm {
    #[serde(deserialize_with = "at_most::<_, _, MAX_BATCH>")]
    #[schema(min_items = 1, max_items = 10000)]
    pub entries: Vec<EntryForm>,
    /// All or none, as one decision under the header's key.
    #[serde(default)]
    pub atomic: bool,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReverseForm {
    /// The date of the request if left out; never silently the original's.
    pub effective_date: Option<Day>,
    pub description: Option<Description>,
    pub metadata: Option<MetadataValue>,
}

impl EntryForm {
    pub(crate) fn entry(self) -> Result<PostEntry, Problem> {
        if self.lines.len() < 2 {
            return Err(Problem::malformed("lines: an entry has at least 2 lines").at("/lines"));
        }
        let lines: Vec<_> = self.lines.into_iter().map(LineForm::line).collect();
        check_balance(&lines)?;
        Ok(PostEntry {
            kind: match self.kind {
                None | Some(ManualKindForm::Standard) => ManualKind::Standard,
                Some(ManualKindForm::Opening) => ManualKind::Opening,
                Some(ManualKindForm::Adjusting) => ManualKind::Adjusting,
            },
            details: details(self.effective_date, self.description, self.metadata),
            lines,
        })
    }

    fn operation(self) -> Result<Operation, Problem> {
        batch::no_own_key(self.idempotency_key.as_ref())?;
        self.entry().map(Operation::PostEntry)
    }
}

impl LineForm {
    fn line(self) -> WrittenLine {
        WrittenLine {
            account: AccountRef {
                code: self.account.0,
                party: self.party.map(|party| party.0),
                item: self.item.map(|item| item.0),
            },
            side: self.side.side(),
            amount: self.amount.0,
            currency: self.currency.0,
        }
    }
}

/// Debits equal credits in every currency, as written; no currency's decimals are needed for that.
fn check_balance(lines: &[WrittenLine]) -> Result<(), Problem> {
    let mut sums: BTreeMap<&str, (WideSum, WideSum)> = BTreeMap::new();
    for line in lines {
        let (debits, credits) = sums.entry(line.currency.as_str()).or_default();
        match line.side {
            Side::Debit => debits.add(line.amount),
            Side::Credit => credits.add(line.amount),
        }
    }
    match sums.into_iter().find(|(_, (debits, credits))| debits != credits) {
        None => Ok(()),
        Some((currency, (debits, credits))) => {
            let detail = format!("lines: debits of {currency} {debits} differ from credits of {credits}");
            Err(Problem::new(Code::Unbalanced, detail)
                .at("/lines")
                .with("currency", currency)
                .with("debits", debits.to_string())
                .with("credits", credits.to_string()))
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Line)]
pub struct LineJson {
    pub account: String,
    pub party: Option<String>,
    pub item: Option<String>,
    pub side: SideJson,
    pub amount: String,
    pub currency: String,
    /// The balance of (account, party, currency) after this line, positive on the account's normal side.
    pub balance_after: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DocumentLink)]
pub struct DocumentLinkJson {
    /// hold, charge, payment, refund
    pub r#type: &'static str,
    pub id: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Entry)]
pub struct EntryJson {
    pub number: u64,
    pub position: u64,
    pub recorded_at: String,
    /// standard, transfer, hold_capture, charge, payment, refund, reversal, opening, adjusting
    pub kind: &'static str,
    /// The posting rule that made it.
    pub rule: &'static str,
    pub effective_date: String,
    pub description: String,
    pub metadata: BTreeMap<String, String>,
    pub idempotency_key: Option<String>,
    pub posted_by: Option<String>,
    pub reverses: Option<u64>,
    pub reversed_by: Option<u64>,
    /// The document whose operation posted it.
    pub document: Option<DocumentLinkJson>,
    pub lines: Vec<LineJson>,
}

/// Whose request an entry came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub decided: Decided,
    pub key: Option<&'a str>,
    pub actor: Option<&'a str>,
}

impl EntryJson {
    pub(crate) fn of(entry: &Entry, names: &Names, source: Source<'_>, reversed_by: Option<EntryNumber>) -> Self {
        let lines = entry.lines.iter().map(|line| {
            let account = names.account(line.account);
            LineJson {
                account: account.code.to_string(),
                party: line.party.as_ref().map(ToString::to_string),
                item: line.item.as_ref().map(ToString::to_string),
                side: SideJson::of(line.side),
                amount: names.money(line.amount.minor(), line.currency),
                currency: names.currency_code(line.currency),
                balance_after: names.money(line.balance_after(account.normal_side()), line.currency),
            }
        });
        Self {
            number: entry.number.0,
            position: source.decided.position.0,
            recorded_at: source.decided.recorded_at(),
            kind: kind(entry.rule),
            rule: rule(entry.rule),
            effective_date: entry.effective_date.to_string(),
            description: entry.description.clone(),
            metadata: entry.metadata.clone(),
            idempotency_key: source.key.map(ToOwned::to_owned),
            posted_by: source.actor.map(ToOwned::to_owned),
            reverses: entry.reverses.map(|number| number.0),
            reversed_by: reversed_by.map(|number| number.0),
            document: entry.document.as_ref().map(link),
            lines: lines.collect(),
        }
    }
}

pub(crate) fn link(document: &DocumentRef) -> DocumentLinkJson {
    let (r#type, id) = match document {
        DocumentRef::Hold(id) => ("hold", id),
        DocumentRef::Charge(id) => ("charge", id),
        DocumentRef::Payment(id) => ("payment", id),
        DocumentRef::Refund(id) => ("refund", id),
    };
    DocumentLinkJson { r#type, id: id.to_string() }
}

/// docs/api.md's kinds: what the entry is to finance.
pub(crate) fn kind(rule: Rule) -> &'static str {
    match rule {
        Rule::Standard => "standard",
        Rule::Opening => "opening",
        Rule::Adjusting => "adjusting",
        Rule::Transfer => "transfer",
        Rule::Reversal => "reversal",
        Rule::HoldCapture => "hold_capture",
        Rule::Charge | Rule::ChargeVoid => "charge",
        Rule::PaymentCapture
        | Rule::PaymentApply
        | Rule::PaymentUnapply
        | Rule::PaymentFee
        | Rule::PaymentFeeReturn => "payment",
        Rule::Refund | Rule::RefundSettle | Rule::RefundFail => "refund",
        Rule::Recognition => "recognition",
        Rule::Conversion => "conversion",
        Rule::Revaluation => "revaluation",
        Rule::Closing => "closing",
    }
}

/// The name of the posting rule's file.
pub(crate) fn rule(rule: Rule) -> &'static str {
    match rule {
        Rule::Standard => "standard",
        Rule::Opening => "opening",
        Rule::Adjusting => "adjusting",
        Rule::Transfer => "transfer",
        Rule::Reversal => "reversal",
        Rule::HoldCapture => "hold_capture",
        Rule::Charge => "charge",
        Rule::ChargeVoid => "charge_void",
        Rule::PaymentCapture => "payment_capture",
        Rule::PaymentApply => "payment_apply",
        Rule::PaymentUnapply => "payment_unapply",
        Rule::PaymentFee => "payment_fee",
        Rule::PaymentFeeReturn => "payment_fee_return",
        Rule::Refund => "refund",
        Rule::RefundSettle => "refund_settle",
        Rule::RefundFail => "refund_fail",
        Rule::Recognition => "recognise",
        Rule::Conversion => "convert",
        Rule::Revaluation => "revalue",
        Rule::Closing => "year_close",
    }
}

/// Post a balanced entry.
#[utoipa::path(post, path = "/v1/books/{book}/entries", tag = "entries",
    params(("book" = String, Path), IdempotencyHeader), request_body = EntryForm,
    responses((status = 201, body = EntryJson), (status = "default", body = ProblemJson)))]
pub async fn post(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: JsonBody,
) -> Result<Response, Problem> {
    let operation = body.take(|bytes| direct::or_parse(bytes, direct::entry)?.operation()).await?;
    app.write_in(path.book()?, key, operation).await
}

/// Post many entries: each on its own, or all as one decision.
#[utoipa::path(post, path = "/v1/books/{book}/entries:batch", tag = "entries",
    params(("book" = String, Path), IdempotencyHeader), request_body = EntriesForm,
    responses((status = 200, body = BatchJson), (status = "default", body = ProblemJson)))]
pub async fn post_batch(
    State(app): State<App>,
    path: PathArgs,
    key: Option<IdempotencyKey>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let book = path.book();
    let names = book.as_ref().ok().and_then(|book| app.directory().find(book));
    let batch = body.take(move |bytes| read_batch(bytes, names)).await?;
    app.write_batch(book?, key, batch, Form::Json).await
}

/// The commands at once where the body is plain and the book known.
fn read_batch(bytes: &[u8], names: Option<Arc<Names>>) -> Result<Batch, Problem> {
    if let Some(names) = names {
        let head = stamp::head(Some(&names));
        let mut commands = EncodedCommands::for_about(bytes.len() / 300);
        let read = direct::entries(bytes, |mut form| {
            let key = form.idempotency_key.take()?;
            commands.push(&head, key.0, Operation::PostEntry(form.entry().ok()?)).ok()
        });
        if read.is_some() {
            return Ok(Batch::Encoded(names, commands));
        }
    }
    let form: EntriesForm = parse(bytes)?;
    let items =
        form.entries.into_iter().map(|mut entry| BatchItem { key: entry.idempotency_key.take(), content: entry });
    batch::read("entries", form.atomic, items, EntryForm::entry, Operation::PostEntry, Operation::PostEntries)
}

/// Reverse an entry: its mirror image, once, dated today unless said otherwise.
#[utoipa::path(post, path = "/v1/books/{book}/entries/{number}/reverse", tag = "entries",
    params(("book" = String, Path), ("number" = u64, Path), IdempotencyHeader), request_body = ReverseForm,
    responses((status = 201, body = EntryJson), (status = "default", body = ProblemJson)))]
pub async fn reverse(
    State(app): State<App>,
    path: PathArgs,
    key: IdempotencyKey,
    body: MaybeForm<ReverseForm>,
) -> Result<Response, Problem> {
    let number = path.entry()?;
    let operation = body
        .read(move |form| {
            let details = details(form.effective_date, form.description, form.metadata);
            Ok(Operation::ReverseEntry(ReverseEntry { number, details }))
        })
        .await?;
    app.write_in(path.book()?, key, operation).await
}

/// One entry, by its number in the book.
#[utoipa::path(get, path = "/v1/books/{book}/entries/{number}", tag = "entries",
    params(("book" = String, Path), ("number" = u64, Path), ReadQuery),
    responses((status = 200, body = EntryJson), (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>, path: PathArgs, query: Read<Nothing>) -> Result<Response, Problem> {
    let number = path.entry()?;
    app.read_book(query.fresh, path.book()?, move |app, names| {
        let record = app.look(|view| view.entry_record(names.book.id, number));
        let record = record
            .ok_or_else(|| Problem::not_found(format!("there is no entry {number} in book {}", names.book.code)))?;
        Ok(app.decisions().entry(names, record))
    })
    .await
}

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EntryFilter {
    /// Entries after this number.
    #[param(value_type = Option<u64>)]
    pub after: Option<Word>,
    /// standard, transfer, hold_capture, charge, payment, refund, reversal, opening, adjusting
    #[param(value_type = Option<String>)]
    pub kind: Option<Word>,
    /// The first effective date.
    #[param(value_type = Option<String>)]
    pub from: Option<Day>,
    /// The last effective date.
    #[param(value_type = Option<String>)]
    pub to: Option<Day>,
}

const KINDS: [&str; 13] = [
    "standard",
    "transfer",
    "hold_capture",
    "charge",
    "payment",
    "refund",
    "reversal",
    "opening",
    "adjusting",
    "recognition",
    "conversion",
    "revaluation",
    "closing",
];

impl EntryFilter {
    fn check_kind(&self) -> Result<(), Problem> {
        match &self.kind {
            Some(kind) if !KINDS.contains(&kind.0.as_str()) => {
                Err(parameter("kind", &format!("must be one of {}", KINDS.join(", "))))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn takes(&self, entry: &EntryJson) -> bool {
        let day = |day: &Day| day.0.to_string();
        self.kind.as_ref().is_none_or(|wanted| wanted.0 == entry.kind)
            && self.from.as_ref().is_none_or(|from| entry.effective_date >= day(from))
            && self.to.as_ref().is_none_or(|to| entry.effective_date <= day(to))
    }
}

/// How many entries one request looks at to fill its page; a page of a filtered list may end early, with a cursor.
const MAX_SCANNED: usize = 20_000;

/// The journal of a book, by number.
#[utoipa::path(get, path = "/v1/books/{book}/entries", tag = "entries",
    params(("book" = String, Path), EntryFilter, ReadQuery, PageQuery),
    responses((status = 200, body = ListJson<EntryJson>), (status = "default", body = ProblemJson)))]
pub async fn list(State(app): State<App>, path: PathArgs, query: List<EntryFilter>) -> Result<Response, Problem> {
    let List { fresh, page, own } = query;
    own.check_kind()?;
    let number = |text: &str| text.parse().map(EntryNumber);
    let mut after = match (&page.cursor, &own.after) {
        (Some(cursor), _) => number(cursor).map_err(|_error| bad_cursor())?,
        (None, Some(after)) => number(&after.0).map_err(|_error| parameter("after", "must be an entry's number"))?,
        (None, None) => EntryNumber(0),
    };
    app.read_book(fresh, path.book()?, move |app, names| {
        let mut entries = vec![];
        let mut decisions = app.decisions();
        let mut scanned = 0;
        loop {
            let records = app.view(|view| view.entry_records(names.book.id, after, page.limit + 1));
            let Some(last) = records.last() else { break };
            after = last.0;
            scanned += records.len();
            let found = records.into_iter().map(|(_, record)| decisions.entry(names, record));
            entries.extend(found.filter(|entry| own.takes(entry)));
            if entries.len() > page.limit {
                break;
            }
            if scanned >= MAX_SCANNED {
                return Ok(ListJson { data: entries, next: Some(crate::query::cursor(&after.to_string())) });
            }
        }
        Ok(ListJson::of(entries, page.limit, |entry: &EntryJson| entry.number.to_string()))
    })
    .await
}
