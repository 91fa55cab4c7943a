//! Postings: an account's lines with the balance after each, in the journal's order.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use partita_core::chain::PostingRef;
use partita_core::decision::{Decision, Outcome};
use partita_core::entry::{Entry, Line};
use partita_core::id::{AccountId, CurrencyId, Position};
use partita_core::resolve;
use partita_core::state::{Read as _, SubaccountKey};
use partita_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::accounts::{SideJson, find};
use super::entries::{kind, rule};
use crate::app::App;
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{List, ListJson, PageQuery, ReadQuery, bad_cursor, cursor, parameter};
use crate::values::{CurrencyCode, Day, Item, Party, format_instant};
use partita_storage::state::{Order, Posting};

/// Decisions read at one time when the journal is searched.
const CHUNK: u64 = 200;
/// Postings, or decisions, that one request looks at; a page of a filtered list may end early, with a cursor.
const MAX_SCANNED: usize = 20_000;

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderForm {
    Newest,
    Oldest,
}

/// Which postings.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PostingQuery {
    /// Of a control account: whose part. Without it the journal is searched, as no chain leads through all parts.
    #[param(value_type = Option<String>)]
    pub party: Option<Party>,
    #[param(value_type = Option<String>)]
    pub item: Option<Item>,
    #[param(value_type = Option<String>)]
    pub currency: Option<CurrencyCode>,
    /// The first effective date.
    #[param(value_type = Option<String>)]
    pub from: Option<Day>,
    /// The last effective date.
    #[param(value_type = Option<String>)]
    pub to: Option<Day>,
    /// `newest` (default) or `oldest` first, in the order of the journal.
    #[param(inline)]
    pub order: Option<OrderForm>,
}

impl PostingQuery {
    fn newest(&self) -> bool {
        match self.order {
            None | Some(OrderForm::Newest) => true,
            Some(OrderForm::Oldest) => false,
        }
    }

    fn takes(&self, line: &Line, entry: &Entry) -> bool {
        let date = entry.effective_date;
        self.from.as_ref().is_none_or(|from| date >= from.0)
            && self.to.as_ref().is_none_or(|to| date <= to.0)
            && self.item.as_ref().is_none_or(|item| line.item.as_ref() == Some(&item.0))
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Posting)]
pub struct PostingJson {
    pub entry: u64,
    pub position: u64,
    pub recorded_at: String,
    pub kind: &'static str,
    pub rule: &'static str,
    pub effective_date: String,
    pub description: String,
    pub metadata: BTreeMap<String, String>,
    pub account: String,
    pub party: Option<String>,
    pub item: Option<String>,
    pub side: SideJson,
    pub amount: String,
    pub currency: String,
    /// The balance of (account, party, currency) after it, positive on the account's normal side.
    pub balance_after: String,
}

impl PostingJson {
    fn of(reference: PostingRef, line: &Line, entry: &Entry, recorded_at: Timestamp, names: &Names) -> Self {
        let account = names.account(line.account);
        Self {
            entry: entry.number.0,
            position: reference.position.0,
            recorded_at: format_instant(recorded_at),
            kind: kind(entry.rule),
            rule: rule(entry.rule),
            effective_date: entry.effective_date.to_string(),
            description: entry.description.clone(),
            metadata: entry.metadata.clone(),
            account: account.code.to_string(),
            party: line.party.as_ref().map(ToString::to_string),
            item: line.item.as_ref().map(ToString::to_string),
            side: SideJson::of(line.side),
            amount: names.money(line.amount.minor(), line.currency),
            currency: names.currency_code(line.currency),
            balance_after: names.money(line.balance_after(account.normal_side()), line.currency),
        }
    }
}

/// Where each currency's chain goes on: the ordinal of the last posting that was looked at.
type Ordinals = BTreeMap<CurrencyId, u64>;

fn read_cursor(text: &str) -> Option<Ordinals> {
    text.split(',')
        .map(|pair| {
            let (currency, ordinal) = pair.split_once(':')?;
            Some((CurrencyId(currency.parse().ok()?), ordinal.parse().ok()?))
        })
        .collect()
}

fn write_cursor(ordinals: &Ordinals) -> String {
    let pairs: Vec<_> = ordinals.iter().map(|(currency, ordinal)| format!("{currency}:{ordinal}")).collect();
    cursor(&pairs.join(","))
}

/// The postings of an account or of a party's part of it.
#[utoipa::path(get, path = "/v1/books/{book}/accounts/{code}/postings", tag = "accounts",
    params(("book" = String, Path), ("code" = String, Path), PostingQuery, ReadQuery, PageQuery),
    responses((status = 200, body = ListJson<PostingJson>), (status = "default", body = ProblemJson)))]
pub async fn list(State(app): State<App>, path: PathArgs, query: List<PostingQuery>) -> Result<Response, Problem> {
    let code = path.account()?;
    let List { fresh, page, own } = query;
    app.read_book(fresh, path.book()?, move |app, names| {
        let account = find(app, names, &code)?;
        if account.party.is_none() && own.party.is_some() {
            return Err(parameter("party", &format!("account {code} is no control account: it has no parties")));
        }
        let wanted = own.currency.as_ref().map(|code| currency(app, names, code)).transpose()?;
        if account.party.is_some() && own.party.is_none() {
            let start = page.cursor.as_deref().map(read_place).transpose()?;
            return Ok(scan(
                app,
                names,
                &Scan { account: account.id, currency: wanted, query: &own },
                start,
                page.limit,
            ));
        }
        let start = page.cursor.as_deref().map(|text| read_cursor(text).ok_or_else(bad_cursor)).transpose()?;
        let start = start.unwrap_or_default();
        let currencies = match wanted {
            None => app.look(|view| view.controls_of(names.book.id, account.id)).into_iter().map(|own| own.0).collect(),
            Some(currency) => vec![currency],
        };
        let party = own.party.as_ref().map(|party| party.0.clone());
        let key = |currency| SubaccountKey { book: names.book.id, account: account.id, party: party.clone(), currency };
        let chains = currencies.into_iter().map(|currency| Chain::new(key(currency), start.get(&currency).copied()));
        Ok(merge(app, names, chains.collect(), &own, page.limit))
    })
    .await
}

fn currency(app: &App, names: &Names, code: &CurrencyCode) -> Result<CurrencyId, Problem> {
    let currency = app.look(|view| resolve::find_currency(view, names.book.id, &code.0));
    let unknown = || parameter("currency", &format!("{} is not known in this book", code.0));
    Ok(currency.ok_or_else(unknown)?.id)
}

/// What a control account's postings are looked for by: no chain leads through all of its parties.
struct Scan<'a> {
    account: AccountId,
    currency: Option<CurrencyId>,
    query: &'a PostingQuery,
}

fn read_place(text: &str) -> Result<PostingRef, Problem> {
    let (position, line) = text.split_once('.').ok_or_else(bad_cursor)?;
    let position = Position(position.parse().map_err(|_error| bad_cursor())?);
    Ok(PostingRef { position, line: line.parse().map_err(|_error| bad_cursor())? })
}

/// Goes through the journal, decision by decision, from either end.
fn scan(app: &App, names: &Names, scan: &Scan<'_>, start: Option<PostingRef>, limit: usize) -> ListJson<PostingJson> {
    let newest = scan.query.newest();
    let as_of = app.pin();
    let head = as_of.0;
    let mut next = start.map_or(if newest { head } else { 1 }, |start| start.position.0);
    let mut data = vec![];
    let (mut last, mut scanned) = (start, 0);
    while (1..=head).contains(&next) {
        let from = if newest { next.saturating_sub(CHUNK - 1).max(1) } else { next };
        let until = if newest { next } else { head.min(next + CHUNK - 1) };
        let count = usize::try_from(until - from + 1).expect("a chunk is small");
        let mut decisions = app.past(|reader| reader.decisions(Position(from), count, usize::MAX));
        if newest {
            decisions.reverse();
        }
        next = if newest { from - 1 } else { until + 1 };
        for decision in &decisions {
            for (at, line, entry) in lines(decision, names, newest) {
                let is_behind = start.is_none_or(|start| if newest { at < start } else { at > start });
                if !is_behind || !scan.takes(line, entry) {
                    continue;
                }
                if data.len() == limit {
                    return ListJson { data, next: last.map(write_place) };
                }
                data.push(PostingJson::of(at, line, entry, decision.recorded_at, names));
                last = Some(at);
            }
            scanned += 1;
            if scanned == MAX_SCANNED {
                // The whole decision was looked at.
                let line = if newest { 0 } else { u32::MAX };
                let place = PostingRef { position: decision.position, line };
                return ListJson { data, next: Some(write_place(place)) };
            }
        }
    }
    ListJson { data, next: None }
}

fn write_place(place: PostingRef) -> String {
    cursor(&format!("{}.{}", place.position, place.line))
}

/// A decision's lines in this book, counted through its entries.
fn lines<'a>(decision: &'a Decision, names: &Names, newest: bool) -> Vec<(PostingRef, &'a Line, &'a Entry)> {
    let Outcome::Accepted(effects) = &decision.outcome else { return vec![] };
    if decision.book != names.book.id {
        return vec![];
    }
    let all = effects.entries.iter().flat_map(|entry| entry.lines.iter().map(move |line| (line, entry)));
    let mut lines: Vec<_> = (0..)
        .zip(all)
        .map(|(number, (line, entry))| (PostingRef { position: decision.position, line: number }, line, entry))
        .collect();
    if newest {
        lines.reverse();
    }
    lines
}

impl Scan<'_> {
    fn takes(&self, line: &Line, entry: &Entry) -> bool {
        line.account == self.account
            && self.currency.is_none_or(|currency| line.currency == currency)
            && self.query.takes(line, entry)
    }
}

/// One currency's postings, read in pieces.
struct Chain {
    key: SubaccountKey,
    /// The last posting that was looked at.
    after: Option<u64>,
    waiting: std::collections::VecDeque<Posting>,
    read_to: Option<u64>,
    exhausted: bool,
}

impl Chain {
    fn new(key: SubaccountKey, after: Option<u64>) -> Self {
        Self { key, after, waiting: std::collections::VecDeque::new(), read_to: after, exhausted: false }
    }

    /// Takes none that was decided after `as_of`: pieces are read one after the other, while writes go on.
    fn fill(&mut self, app: &App, newest: bool, as_of: Position) {
        let order = if newest { Order::Newest } else { Order::Oldest };
        while self.waiting.is_empty() && !self.exhausted {
            let postings = app.past(|reader| reader.postings(&self.key, order, self.read_to, 200));
            match postings.last() {
                None => self.exhausted = true,
                Some(last) => {
                    self.read_to = Some(last.line.after.ordinal);
                    self.exhausted = !newest && last.reference.position > as_of;
                }
            }
            self.waiting.extend(postings.into_iter().filter(|posting| posting.reference.position <= as_of));
        }
    }

    fn next_at(&self) -> Option<PostingRef> {
        self.waiting.front().map(|posting| posting.reference)
    }
}

/// Merges the chains into the journal's order and fills a page.
fn merge(
    app: &App,
    names: &Names,
    mut chains: Vec<Chain>,
    query: &PostingQuery,
    limit: usize,
) -> ListJson<PostingJson> {
    let newest = query.newest();
    let as_of = app.pin();
    let mut data = vec![];
    let mut scanned = 0;
    loop {
        chains.iter_mut().for_each(|chain| chain.fill(app, newest, as_of));
        let ready = chains.iter_mut().filter(|chain| !chain.waiting.is_empty());
        let next =
            if newest { ready.max_by_key(|chain| chain.next_at()) } else { ready.min_by_key(|chain| chain.next_at()) };
        let Some(chain) = next else { return ListJson { data, next: None } };
        if data.len() == limit || scanned == MAX_SCANNED {
            let ordinals = chains.iter().filter_map(|chain| Some((chain.key.currency, chain.after?))).collect();
            return ListJson { data, next: Some(write_cursor(&ordinals)) };
        }
        let posting = chain.waiting.pop_front().expect("it is not empty");
        chain.after = Some(posting.line.after.ordinal);
        scanned += 1;
        let Posting { reference, line, entry, recorded_at } = &posting;
        if query.takes(line, entry) {
            data.push(PostingJson::of(*reference, line, entry, *recorded_at, names));
        }
    }
}
