//! Postings: an account's lines with the balance after each, in the journal's order.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use partita_core::chain::PostingRef;
use partita_core::id::CurrencyId;
use partita_core::resolve;
use partita_core::state::{Read as _, SubaccountKey};
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

/// Postings that one request looks at; a page of a filtered list may end early, with a cursor.
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
    /// Of a control account: whose part. Required there, as each part has its own order and balance.
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
    fn takes(&self, posting: &Posting) -> bool {
        let date = posting.entry.effective_date;
        self.from.as_ref().is_none_or(|from| date >= from.0)
            && self.to.as_ref().is_none_or(|to| date <= to.0)
            && self.item.as_ref().is_none_or(|item| posting.line.item.as_ref() == Some(&item.0))
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
    fn of(posting: &Posting, names: &Names) -> Self {
        let Posting { reference, line, entry, recorded_at } = posting;
        let account = names.account(line.account);
        Self {
            entry: entry.number.0,
            position: reference.position.0,
            recorded_at: format_instant(*recorded_at),
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
    let start = match &page.cursor {
        None => Ordinals::new(),
        Some(text) => read_cursor(text).ok_or_else(bad_cursor)?,
    };
    app.read_book(fresh, path.book()?, move |app, names| {
        let account = find(app, names, &code)?;
        match (&account.party, &own.party) {
            (Some(kind), None) => {
                return Err(parameter("party", &format!("account {code} is a control account: name the {kind}")));
            }
            (None, Some(_)) => {
                return Err(parameter("party", &format!("account {code} is no control account: it has no parties")));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        let currencies = match &own.currency {
            None => app.look(|view| view.controls_of(names.book.id, account.id)).into_iter().map(|own| own.0).collect(),
            Some(code) => {
                let currency = app.look(|view| resolve::find_currency(view, names.book.id, &code.0));
                let unknown = || parameter("currency", &format!("{} is not known in this book", code.0));
                vec![currency.ok_or_else(unknown)?.id]
            }
        };
        let party = own.party.as_ref().map(|party| party.0.clone());
        let key = |currency| SubaccountKey { book: names.book.id, account: account.id, party: party.clone(), currency };
        let chains = currencies.into_iter().map(|currency| Chain::new(key(currency), start.get(&currency).copied()));
        Ok(merge(app, names, chains.collect(), &own, page.limit))
    })
    .await
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

    fn fill(&mut self, app: &App, newest: bool) {
        if !self.waiting.is_empty() || self.exhausted {
            return;
        }
        let order = if newest { Order::Newest } else { Order::Oldest };
        let postings = app.past(|reader| reader.postings(&self.key, order, self.read_to, 200));
        match postings.last() {
            None => self.exhausted = true,
            Some(last) => self.read_to = Some(last.line.after.ordinal),
        }
        self.waiting.extend(postings);
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
    let newest = match query.order {
        None | Some(OrderForm::Newest) => true,
        Some(OrderForm::Oldest) => false,
    };
    let mut data = vec![];
    let mut scanned = 0;
    loop {
        chains.iter_mut().for_each(|chain| chain.fill(app, newest));
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
        if query.takes(&posting) {
            data.push(PostingJson::of(&posting, names));
        }
    }
}
