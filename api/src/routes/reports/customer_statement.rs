//! A customer's statement: opening, each entry that touched what they owe or what is theirs, closing; streamed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use partita_core::account::Account;
use partita_core::chain::PostingRef;
use partita_core::document::RefundPart;
use partita_core::entry::{DocumentRef, Entry};
use partita_core::id::{AccountId, CurrencyId, EntryNumber};
use partita_core::report::statement::{Balances, Part, Row as Line, Statement};
use partita_core::state::{Read as _, SubaccountKey};
use partita_storage::state::{Order, Posting};
use serde::Deserialize;
use utoipa::IntoParams;

use super::untied;
use crate::app::App;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::ReadQuery;
use crate::report::{Basis, Cell, Column, Frame, Piece, ReportJson, ReportQuery, Reporting, Row, stream};
use crate::routes::entries;
use crate::values::Party;

/// Postings of one chain read at one time, and rows of one piece.
const PAGE: usize = 200;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StatementQuery {
    /// Whose statement.
    #[param(value_type = String)]
    pub customer: Party,
}

/// A customer's statement: what they owe (receivable) less what is theirs (unapplied cash, wallet, credit, refunds
/// payable), entry by entry in the order of the journal, with the balances after each.
#[utoipa::path(get, path = "/v1/books/{book}/reports/customer-statement", tag = "reports",
    params(("book" = String, Path), ReportQuery, StatementQuery, ReadQuery),
    responses((status = 200, content((ReportJson = "application/json"), (String = "text/csv"),
        (String = "text/plain"), (String = "text/html"))), (status = "default", body = ProblemJson)))]
pub async fn get(
    State(app): State<App>,
    path: PathArgs,
    query: Reporting<StatementQuery>,
) -> Result<Response, Problem> {
    let code = path.book()?;
    app.respond(query.fresh, move |app| {
        let basis = Basis::resolve(app, &code, &query.common)?;
        let customer = query.own.customer.0;
        let mut header = basis.header("customer-statement", format!("Statement of {customer}"));
        header.options.push(("customer", customer.to_string()));
        let frame = Frame { header, columns: columns(), has_sections: false };
        let mut making = Making::begin(app, basis, customer)?;
        Ok(stream(app, frame, query.common.format, move |app| making.advance(app)))
    })
    .await
}

fn columns() -> Vec<Column> {
    vec![
        Column::date("date", "Date"),
        Column::number("entry", "Entry"),
        Column::text("kind", "Kind"),
        Column::text("document", "Document"),
        Column::text("links", "Links"),
        Column::text("description", "Description"),
        Column::text("currency", "Currency"),
        Column::amount("debit", "Debit"),
        Column::amount("credit", "Credit"),
        Column::amount("balance", "Balance"),
        Column::amount("receivable", "Receivable"),
        Column::amount("unapplied", "Unapplied"),
        Column::amount("wallet", "Wallet"),
        Column::amount("customer_credit", "Credit").unprinted(),
        Column::amount("refunds_payable", "Refunds payable").unprinted(),
    ]
}

/// One subaccount's postings, oldest first.
struct Chain {
    key: SubaccountKey,
    part: Part,
    waiting: VecDeque<Posting>,
    read_to: u64,
    exhausted: bool,
}

impl Chain {
    fn fill(&mut self, app: &App, basis: &Basis) {
        if !self.waiting.is_empty() || self.exhausted {
            return;
        }
        let page = app.past(|reader| reader.postings(&self.key, Order::Oldest, Some(self.read_to), PAGE));
        self.exhausted = page.len() < PAGE;
        for posting in page {
            self.read_to = posting.line.after.ordinal;
            if posting.reference.position > basis.position {
                self.exhausted = true;
                return;
            }
            self.waiting.push_back(posting);
        }
    }

    fn next_at(&self) -> Option<PostingRef> {
        self.waiting.front().map(|posting| posting.reference)
    }
}

struct Making {
    basis: Basis,
    chains: Vec<Chain>,
    statement: Statement,
    /// The opening balances, until they are given out with the first entries.
    opening: Vec<Row>,
    sums: BTreeMap<CurrencyId, (i128, i128)>,
    last: EntryNumber,
}

impl Making {
    fn begin(app: &App, basis: Basis, customer: partita_core::id::Party) -> Result<Self, Problem> {
        let book = basis.names.book.id;
        let accounts: Vec<(Arc<Account>, Part)> = app
            .view(|view| view.accounts(book))
            .into_iter()
            .filter_map(|account| Part::of(&account).map(|part| (account, part)))
            .collect();
        let mut chains = vec![];
        for (account, part) in &accounts {
            let found = app.view(|view| view.subaccounts_of(book, account.id, Some(&customer)));
            let chain = |key| Chain { key, part: *part, waiting: VecDeque::new(), read_to: 0, exhausted: false };
            chains.extend(found.into_iter().map(|(key, _)| chain(key)));
        }
        if chains.is_empty() {
            return Err(Problem::not_found(format!("nothing of {customer} is in book {}", basis.names.book.code)));
        }
        let mut opening: BTreeMap<CurrencyId, Balances> = BTreeMap::new();
        for chain in &mut chains {
            let balances = opening.entry(chain.key.currency).or_default();
            let Some(from) = basis.from else { continue };
            chain.read_to = app.past(|reader| reader.ordinal_before(&chain.key, from));
            let before = from.previous();
            let sums =
                before.map(|day| app.past(|reader| reader.balance_at(&chain.key, Some(day), Some(basis.position))));
            let sums = sums.unwrap_or_default();
            balances.add(chain.part, sums.debits - sums.credits);
        }
        let parts: BTreeMap<AccountId, Part> = accounts.iter().map(|(account, part)| (account.id, *part)).collect();
        let rows = opening.iter().map(|(currency, balances)| {
            let mut row = balance_row(&basis, *currency, *balances, "Opening balance");
            row[0] = basis.from.map_or(Cell::Empty, Cell::Date);
            row
        });
        let opening_rows = rows.collect();
        let statement = Statement::new(customer, parts, opening);
        let (sums, last) = (BTreeMap::new(), EntryNumber(0));
        Ok(Self { basis, chains, statement, opening: opening_rows, sums, last })
    }

    fn advance(&mut self, app: &App) -> Result<Vec<Piece>, Problem> {
        let mut rows = std::mem::take(&mut self.opening);
        while rows.len() < PAGE {
            self.chains.iter_mut().for_each(|chain| chain.fill(app, &self.basis));
            let waiting = self.chains.iter_mut().filter(|chain| !chain.waiting.is_empty());
            let Some(chain) = waiting.min_by_key(|chain| chain.next_at()) else {
                let end = self.end(app)?;
                return Ok(vec![Piece::Rows(rows), Piece::End(end)]);
            };
            let posting = chain.waiting.pop_front().expect("it is not empty");
            let entry = &posting.entry;
            let is_in_time = self.basis.from.is_none_or(|from| from <= entry.effective_date)
                && entry.effective_date <= self.basis.as_of;
            // Its other lines come from other chains, one after the other.
            if !is_in_time || entry.number <= self.last {
                continue;
            }
            self.last = entry.number;
            for line in self.statement.take(entry) {
                let sum = self.sums.entry(line.currency).or_default();
                *sum = (sum.0 + line.debits, sum.1 + line.credits);
                rows.push(entry_row(app, &self.basis, entry, &line));
            }
        }
        Ok(vec![Piece::Rows(rows)])
    }

    /// The closing balances, once the subaccounts were found to say the same.
    fn end(&self, app: &App) -> Result<Vec<Row>, Problem> {
        let mut counted: BTreeMap<CurrencyId, Balances> = BTreeMap::new();
        for chain in &self.chains {
            let (as_of, known) = (Some(self.basis.as_of), Some(self.basis.position));
            let sums = app.past(|reader| reader.balance_at(&chain.key, as_of, known));
            counted.entry(chain.key.currency).or_default().add(chain.part, sums.debits - sums.credits);
        }
        let closing = self.statement.closing().iter().map(|(currency, balances)| {
            let counted = counted.get(currency).copied().unwrap_or_default();
            if counted != *balances {
                let why = format!("the statement closes at {balances:?}, the subaccounts at {counted:?}");
                return Err(untied(&self.basis.names, *currency, &why));
            }
            let mut row = balance_row(&self.basis, *currency, *balances, "Closing balance");
            let (debits, credits) = self.sums.get(currency).copied().unwrap_or_default();
            row[7] = Cell::amount(&self.basis.names, *currency, debits);
            row[8] = Cell::amount(&self.basis.names, *currency, credits);
            Ok(row)
        });
        closing.collect()
    }
}

fn balance_cells(basis: &Basis, currency: CurrencyId, after: Balances) -> impl Iterator<Item = Cell> {
    let Balances { receivable, unapplied, wallet, credit, refunds_payable } = after;
    let amounts = [after.balance(), receivable, unapplied, wallet, credit, refunds_payable];
    amounts.map(|minor| Cell::amount(&basis.names, currency, minor)).into_iter()
}

fn balance_row(basis: &Basis, currency: CurrencyId, balances: Balances, what: &str) -> Row {
    let mut row = vec![Cell::Empty, Cell::Empty, Cell::Empty, Cell::Empty, Cell::Empty, Cell::text(what)];
    row.extend([Cell::text(basis.names.currency_code(currency)), Cell::Empty, Cell::Empty]);
    row.extend(balance_cells(basis, currency, balances));
    row
}

fn entry_row(app: &App, basis: &Basis, entry: &Entry, line: &Line) -> Row {
    let names = &*basis.names;
    let document = entry.document.as_ref().map(entries::link);
    let links = links(app, basis, entry, line).join(", ");
    let mut row = vec![
        Cell::Date(entry.effective_date),
        Cell::Number(entry.number.0),
        Cell::text(entries::kind(entry.rule)),
        Cell::or_empty(document.map(|link| format!("{} {}", link.r#type, link.id))),
        if links.is_empty() { Cell::Empty } else { Cell::Text(links) },
        Cell::text(&entry.description),
        Cell::text(names.currency_code(line.currency)),
        Cell::amount(names, line.currency, line.debits),
        Cell::amount(names, line.currency, line.credits),
    ];
    row.extend(balance_cells(basis, line.currency, line.after));
    row
}

/// What the entry's document is about beside itself: the charges that a payment settles, a refund's payment and charges.
fn links(app: &App, basis: &Basis, entry: &Entry, line: &Line) -> Vec<String> {
    let mut links: Vec<String> = vec![];
    let own = match &entry.document {
        Some(DocumentRef::Charge(id) | DocumentRef::Payment(id) | DocumentRef::Hold(id)) => Some(id.to_string()),
        Some(DocumentRef::Refund(id)) => {
            if let Some(refund) = app.look(|view| view.refund(basis.names.book.id, id)) {
                links.push(refund.payment.to_string());
                links.extend(refund.parts.iter().map(|RefundPart { charge, .. }| charge.to_string()));
            }
            Some(id.to_string())
        }
        None => None,
    };
    links.extend(line.items.iter().map(ToString::to_string));
    let mut seen: Vec<String> = own.into_iter().collect();
    links.retain(|link| {
        let is_new = !seen.contains(link);
        seen.push(link.clone());
        is_new
    });
    links
}
