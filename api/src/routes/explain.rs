//! Why is this balance what it is? The postings that made it, newest first, each with its document and the balance
//! after it; from the newest or from any earlier position or instant.
//!
//! A subaccount's chain is entered in O(log n) reads. No chain leads through one item's postings alone or through all
//! parties of a control account: there the party's chain or the journal is read back until as much was met as the
//! balance says there is.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use partita_core::account::Account;
use partita_core::chain::PostingRef;
use partita_core::decision::Outcome;
use partita_core::document::Payment;
use partita_core::entry::{DocumentRef, Line, Side};
use partita_core::id::{CurrencyId, DocumentId, Position};
use partita_core::resolve;
use partita_core::state::{ControlKey, ItemKey, Movement, Read as _, SubaccountKey, Sums};
use partita_storage::state::{Order, Posting, View};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::accounts::{SideJson, find};
use super::entries::{kind, link, rule};
use super::{charges, holds, payments, refunds, texts};
use crate::app::App;
use crate::documents;
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Code, Problem, ProblemJson};
use crate::query::{List, PageQuery, ReadQuery, bad_cursor, cursor, parameter};
use crate::values::{CurrencyCode, Instant, Item, Party, format_instant};

/// Postings of a chain read at one time.
const CHUNK: usize = 200;
/// Postings that one request looks at; a page may end early, with a cursor.
const MAX_SCANNED: usize = 20_000;

/// Which balance, and from when back.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExplainQuery {
    /// Of a control account: whose part.
    #[param(value_type = Option<String>)]
    pub party: Option<Party>,
    /// What the lines settle; of a control account only with its party.
    #[param(value_type = Option<String>)]
    pub item: Option<Item>,
    /// Needed where the balance is in more than one currency.
    #[param(value_type = Option<String>)]
    pub currency: Option<CurrencyCode>,
    /// Begin with what was decided before this position.
    #[param(value_type = Option<u64>, minimum = 1)]
    pub before: Option<String>,
    /// Begin with what was decided at this position or before.
    #[param(value_type = Option<u64>, minimum = 1)]
    pub at: Option<String>,
    /// Begin with what was recorded at this instant or before.
    #[param(value_type = Option<String>)]
    pub known_at: Option<Instant>,
}

/// The document whose operation posted an entry, as it stands now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExplainedDocument)]
pub struct DocumentJson {
    /// `charge`, `payment`, `refund` or `hold`.
    pub r#type: &'static str,
    pub id: String,
    pub state: &'static str,
    pub amount: String,
    pub currency: String,
    /// Of a payment: the charges that it settles; of a refund: those whose money it gave back.
    pub charges: Vec<String>,
    /// Of a charge: what was ever applied to it; of a refund: its payment.
    pub payments: Vec<String>,
    pub refunds: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExplainedPosting)]
pub struct ExplainedJson {
    pub entry: u64,
    pub position: u64,
    pub recorded_at: String,
    pub kind: &'static str,
    pub rule: &'static str,
    pub effective_date: String,
    pub description: String,
    pub party: Option<String>,
    pub item: Option<String>,
    pub side: SideJson,
    pub amount: String,
    /// The balance that is explained, after this posting; positive on the account's normal side.
    pub balance_after: String,
    pub document: Option<DocumentJson>,
    /// The entry that this one is the mirror image of.
    pub reverses: Option<u64>,
    pub reversed_by: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Explanation)]
pub struct ExplanationJson {
    pub account: String,
    pub party: Option<String>,
    pub item: Option<String>,
    pub currency: String,
    /// The account's normal side.
    pub side: SideJson,
    /// The last decision that counts.
    pub position: u64,
    /// The balance before the first posting of this page is taken back; null if that is not known yet because the
    /// search goes on with the next page.
    pub balance: Option<String>,
    /// Newest first.
    pub data: Vec<ExplainedJson>,
    /// The cursor of the next page; null on the last.
    pub next: Option<String>,
}

/// Why a balance is what it is.
#[utoipa::path(get, path = "/v1/books/{book}/accounts/{code}/explain", tag = "accounts",
    params(("book" = String, Path), ("code" = String, Path), ExplainQuery, ReadQuery, PageQuery),
    responses((status = 200, body = ExplanationJson), (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>, path: PathArgs, query: List<ExplainQuery>) -> Result<Response, Problem> {
    let code = path.account()?;
    let List { fresh, page, own } = query;
    app.read_book(fresh, path.book()?, move |app, names| {
        let account = find(app, names, &code)?;
        let wanted = Wanted::resolve(app, names, account, own)?;
        let place = match &page.cursor {
            Some(text) => Place::read(text).ok_or_else(bad_cursor)?,
            None => wanted.start(app),
        };
        explain(app, names, &wanted, place, page.limit)
    })
    .await
}

/// What is asked for, resolved.
struct Wanted {
    account: Arc<Account>,
    party: Option<partita_core::id::Party>,
    item: Option<partita_core::id::Item>,
    currency: CurrencyId,
    key: SubaccountKey,
    /// The last decision that counts.
    position: Position,
}

/// Where a walk goes on.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The last decision that counts.
    position: Position,
    /// Where a walk that has looked at nothing yet begins: the moment that `left` is of.
    head: Position,
    /// The last posting that was looked at: its place, and in a chain its ordinal.
    after: Option<(PostingRef, u64)>,
    /// What is left to be met of an item or of a whole control account.
    left: Option<Movement>,
}

impl Place {
    fn write(&self) -> String {
        let (reference, ordinal) = self.after.expect("a page that goes on has looked at something");
        let left = self.left.map_or_else(String::new, |left| format!(".{}.{}", left.debits, left.credits));
        cursor(&format!("{}.{}.{}.{ordinal}{left}", self.position, reference.position, reference.line))
    }

    fn read(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('.').collect();
        let left = match parts[..] {
            [_, _, _, _] => None,
            [_, _, _, _, debits, credits] => {
                Some(Movement { debits: debits.parse().ok()?, credits: credits.parse().ok()? })
            }
            _ => return None,
        };
        let number = |index: usize| parts[index].parse::<u64>().ok();
        let reference = PostingRef { position: Position(number(1)?), line: parts[2].parse().ok()? };
        let position = Position(number(0)?);
        Some(Self { position, head: position, after: Some((reference, number(3)?)), left })
    }
}

fn position(name: &str, text: Option<&String>) -> Result<Option<Position>, Problem> {
    let number = text.map(|text| text.parse().ok().filter(|number| *number > 0));
    match number {
        None => Ok(None),
        Some(Some(number)) => Ok(Some(Position(number))),
        Some(None) => Err(parameter(name, "must be a position, a whole number above zero")),
    }
}

impl Wanted {
    fn resolve(app: &App, names: &Names, account: Arc<Account>, query: ExplainQuery) -> Result<Self, Problem> {
        if query.party.is_some() && account.party.is_none() {
            let what = format!("account {} is no control account: it has no parties", account.code);
            return Err(parameter("party", &what));
        }
        if query.item.is_some() && query.party.is_none() && account.party.is_some() {
            return Err(parameter("item", "needs its party"));
        }
        let (before, at) = (position("before", query.before.as_ref())?, position("at", query.at.as_ref())?);
        let head = app.pin();
        let known = query.known_at.as_ref().map(|instant| app.past(|reader| reader.position_at(instant.0)));
        let position = match (before, at, known) {
            (None, None, None) => head,
            (Some(before), None, None) => Position(before.0 - 1).min(head),
            (None, Some(position), None) | (None, None, Some(position)) => position.min(head),
            _ => return Err(parameter("at", "only one of before, at and known_at can be given")),
        };
        let (party, item) = (query.party.map(|party| party.0), query.item.map(|item| item.0));
        let currency = match query.currency {
            Some(code) => {
                let found = app.look(|view| resolve::find_currency(view, names.book.id, &code.0));
                let unknown = || parameter("currency", &format!("{} is not known in this book", code.0));
                found.ok_or_else(unknown)?.id
            }
            None => only_currency(app, names, &account, party.as_ref())?,
        };
        let key = SubaccountKey { book: names.book.id, account: account.id, party: party.clone(), currency };
        Ok(Self { account, party, item, currency, key, position })
    }

    /// Whether the balance is a whole chain's, so that each posting carries it.
    fn is_chain(&self) -> bool {
        self.item.is_none() && !self.is_control()
    }

    /// A control account as a whole: only the journal leads through all of its parties.
    fn is_control(&self) -> bool {
        self.account.party.is_some() && self.party.is_none()
    }

    fn start(&self, app: &App) -> Place {
        if self.is_chain() {
            return Place { position: self.position, head: self.position, after: None, left: None };
        }
        let SubaccountKey { book, account, party, currency } = self.key.clone();
        let (head, sums): (Position, Sums) = app.look(|view| {
            let sums = match &self.item {
                Some(item) => view.item(&ItemKey { book, account, party, item: item.clone(), currency }),
                None => view.control(&ControlKey { book, account, currency }),
            };
            (view.position(), sums)
        });
        let left = Movement { debits: sums.debits, credits: sums.credits };
        Place { position: self.position, head, after: None, left: Some(left) }
    }

    /// What is looked at next, newest first; nothing at the end.
    fn postings(&self, app: &App, place: &Place) -> Vec<Posting> {
        if self.is_control() {
            return self.journal(app, place);
        }
        app.past(|reader| match place.after {
            Some((_, ordinal)) => reader.postings(&self.key, Order::Newest, Some(ordinal), CHUNK),
            None => reader.postings_until(&self.key, place.head, CHUNK),
        })
    }

    /// A control account's lines, block by block.
    fn journal(&self, app: &App, place: &Place) -> Vec<Posting> {
        let after = place.after.map(|(reference, _)| reference);
        let mut until = after.map_or(place.head, |after| after.position);
        loop {
            let decisions = app.past(|reader| reader.decisions_back(until));
            let Some(oldest) = decisions.last() else { return vec![] };
            until = Position(oldest.position.0 - 1);
            let mut found = vec![];
            for decision in decisions.iter().filter(|decision| decision.book == self.key.book) {
                let Outcome::Accepted(effects) = &decision.outcome else { continue };
                let lines = effects.entries.iter().flat_map(|entry| entry.lines.iter().map(move |line| (entry, line)));
                let lines: Vec<_> = (0..).zip(lines).collect();
                for (number, (entry, line)) in lines.into_iter().rev() {
                    let reference = PostingRef { position: decision.position, line: number };
                    let is_behind = after.is_none_or(|after| reference < after);
                    if is_behind && line.account == self.account.id && line.currency == self.currency {
                        let (line, entry, recorded_at) = (line.clone(), entry.clone(), decision.recorded_at);
                        found.push(Posting { reference, line, entry, recorded_at });
                    }
                }
            }
            if !found.is_empty() {
                return found;
            }
        }
    }

    fn takes(&self, line: &Line) -> bool {
        self.item.is_none() || line.item == self.item
    }
}

/// The one currency that the account, or the party's part of it, has ever had a posting in.
fn only_currency(
    app: &App,
    names: &Names,
    account: &Account,
    party: Option<&partita_core::id::Party>,
) -> Result<CurrencyId, Problem> {
    let book = names.book.id;
    let all: Vec<CurrencyId> = if account.party.is_some() && party.is_none() {
        app.look(|view| view.controls_of(book, account.id)).into_iter().map(|(currency, _)| currency).collect()
    } else {
        let found = app.view(|view| view.subaccounts_of(book, account.id, party));
        found.into_iter().map(|(key, _)| key.currency).collect()
    };
    match all[..] {
        [] => Ok(names.book.functional_currency),
        [only] => Ok(only),
        _ => {
            let codes: Vec<String> = all.iter().map(|currency| names.currency_code(*currency)).collect();
            Err(parameter("currency", &format!("must be one of {}", codes.join(", "))))
        }
    }
}

fn explain(
    app: &App,
    names: &Names,
    wanted: &Wanted,
    mut place: Place,
    limit: usize,
) -> Result<ExplanationJson, Problem> {
    let side = wanted.account.normal_side();
    let signed = |sums: Movement| match side {
        Side::Debit => sums.debits - sums.credits,
        Side::Credit => sums.credits - sums.debits,
    };
    let (mut data, mut scanned, mut balance) = (vec![], 0, None);
    let next = 'page: loop {
        if place.left == Some(Movement::default()) {
            balance = balance.or(Some(0));
            break None;
        }
        let postings = wanted.postings(app, &place);
        if postings.is_empty() {
            if place.left.is_some() {
                let detail = format!("the postings of account {} do not come to its balance", wanted.account.code);
                return Err(Problem::new(Code::OutOfBalance, detail));
            }
            balance = balance.or(Some(0));
            break None;
        }
        for posting in postings {
            if data.len() == limit || scanned == MAX_SCANNED {
                break 'page Some(place.write());
            }
            scanned += 1;
            place.after = Some((posting.reference, posting.line.after.ordinal));
            if !wanted.takes(&posting.line) {
                continue;
            }
            let after = place.left.map_or_else(|| posting.line.balance_after(side), signed);
            if let Some(left) = &mut place.left {
                match posting.line.side {
                    Side::Debit => left.debits -= posting.line.amount.minor(),
                    Side::Credit => left.credits -= posting.line.amount.minor(),
                }
            }
            if posting.reference.position <= place.position {
                balance = balance.or(Some(after));
                data.push(explained(app, names, &posting, names.money(after, wanted.currency)));
            }
            if place.left == Some(Movement::default()) {
                break;
            }
        }
    };
    Ok(ExplanationJson {
        account: wanted.account.code.to_string(),
        party: wanted.party.as_ref().map(ToString::to_string),
        item: wanted.item.as_ref().map(ToString::to_string),
        currency: names.currency_code(wanted.currency),
        side: SideJson::of(side),
        position: place.position.0,
        balance: balance.map(|minor| names.money(minor, wanted.currency)),
        data,
        next,
    })
}

fn explained(app: &App, names: &Names, posting: &Posting, balance_after: String) -> ExplainedJson {
    let Posting { reference, line, entry, recorded_at } = posting;
    let book = names.book.id;
    let document = entry.document.as_ref().and_then(|document| document_json(app, names, document));
    let record = app.look(|view| view.entry_record(book, entry.number));
    ExplainedJson {
        entry: entry.number.0,
        position: reference.position.0,
        recorded_at: format_instant(*recorded_at),
        kind: kind(entry.rule),
        rule: rule(entry.rule),
        effective_date: entry.effective_date.to_string(),
        description: entry.description.clone(),
        party: line.party.as_ref().map(ToString::to_string),
        item: line.item.as_ref().map(ToString::to_string),
        side: SideJson::of(line.side),
        amount: names.money(line.amount.minor(), line.currency),
        balance_after,
        document,
        reverses: entry.reverses.map(|number| number.0),
        reversed_by: record.and_then(|record| record.reversed_by).map(|number| number.0),
    }
}

/// What a document comes to, and what it is linked to.
struct Summary {
    state: &'static str,
    amount: i128,
    currency: CurrencyId,
    charges: Vec<String>,
    payments: Vec<String>,
    refunds: Vec<String>,
}

fn document_json(app: &App, names: &Names, document: &DocumentRef) -> Option<DocumentJson> {
    let Summary { state, amount, currency, charges, payments, refunds } =
        app.look(|view| summary(view, names, document))?;
    let id = link(document);
    Some(DocumentJson {
        r#type: id.r#type,
        id: id.id,
        state,
        amount: names.money(amount, currency),
        currency: names.currency_code(currency),
        charges,
        payments,
        refunds,
    })
}

fn applied(payment: &Payment) -> Vec<DocumentId> {
    payment.applications.iter().map(|application| application.charge.clone()).collect()
}

fn summary(view: &View<'_>, names: &Names, document: &DocumentRef) -> Option<Summary> {
    let book = names.book.id;
    Some(match document {
        DocumentRef::Charge(id) => {
            let charge = view.charge(book, id)?;
            Summary {
                state: charges::state(&charge, documents::open(view, names, &charge)),
                amount: charge.amount.minor(),
                currency: charge.currency,
                charges: vec![],
                payments: texts(&charge.payments),
                refunds: texts(&charge.refunds),
            }
        }
        DocumentRef::Payment(id) => {
            let payment = view.payment(book, id)?;
            Summary {
                state: payments::state(&payment),
                amount: payment.amount.minor(),
                currency: payment.currency,
                charges: texts(&applied(&payment)),
                payments: vec![],
                refunds: texts(&payment.refunds),
            }
        }
        DocumentRef::Refund(id) => {
            let refund = view.refund(book, id)?;
            Summary {
                state: refunds::state(&refund),
                amount: refund.amount.minor(),
                currency: refund.currency,
                charges: refund.parts.iter().map(|part| part.charge.to_string()).collect(),
                payments: vec![refund.payment.to_string()],
                refunds: vec![],
            }
        }
        DocumentRef::Hold(id) => {
            let hold = view.hold(book, id)?;
            Summary {
                state: holds::state(&hold),
                amount: hold.amount.minor(),
                currency: hold.currency,
                charges: vec![],
                payments: vec![],
                refunds: vec![],
            }
        }
    })
}
