//! What the routes of charges, payments and refunds share: live item balances, and pages of filtered lists.

use partita_core::document::{Charge, Payment};
use partita_core::entry::Side;
use partita_core::id::{AccountId, CurrencyId, DocumentId, Item, Party};
use partita_core::state::{ItemKey, Read};

use crate::names::Names;
use crate::problem::Problem;
use crate::query::{ListJson, cursor};

/// Documents that one request looks at to fill its page; a page of a filtered list may end early, with a cursor.
const MAX_SCANNED: usize = 20_000;

/// What is open of a charge: the balance of its receivable item.
pub(crate) fn open(view: &impl Read, names: &Names, charge: &Charge) -> i128 {
    item_balance(view, names, charge.receivable, &charge.customer, &charge.id, charge.currency)
}

/// What is unapplied of a payment: the balance of its unapplied-cash item.
pub(crate) fn unapplied(view: &impl Read, names: &Names, payment: &Payment) -> i128 {
    item_balance(view, names, payment.unapplied, &payment.customer, &payment.id, payment.currency)
}

fn item_balance(
    view: &impl Read,
    names: &Names,
    account: AccountId,
    customer: &Party,
    document: &DocumentId,
    currency: CurrencyId,
) -> i128 {
    let book = names.book.id;
    let key = ItemKey { book, account, party: Some(customer.clone()), item: Item::from(document), currency };
    let sums = view.item(&key);
    // Not through the names: they might have to read, and a view is held here already.
    match view.account(book, account).map(|account| account.normal_side()) {
        Some(Side::Credit) => sums.credits - sums.debits,
        Some(Side::Debit) | None => sums.debits - sums.credits,
    }
}

/// Fills a page: `fetch` gives the next documents after an id, each with what is shown of it unless it is filtered out.
pub(crate) fn collect<T>(
    limit: usize,
    mut after: Option<DocumentId>,
    mut fetch: impl FnMut(Option<&DocumentId>, usize) -> Vec<(DocumentId, Option<T>)>,
) -> Result<ListJson<T>, Problem> {
    let mut data: Vec<T> = vec![];
    let mut last_shown: Option<DocumentId> = None;
    let mut scanned = 0;
    loop {
        let found = fetch(after.as_ref(), limit + 1);
        let Some((last, _)) = found.last() else { return Ok(ListJson { data, next: None }) };
        let (last, all) = (last.clone(), found.len() <= limit);
        scanned += found.len();
        for (id, shown) in found {
            let Some(shown) = shown else { continue };
            if data.len() == limit {
                return Ok(ListJson { data, next: last_shown.map(|id| cursor(id.as_str())) });
            }
            data.push(shown);
            last_shown = Some(id);
        }
        if all {
            return Ok(ListJson { data, next: None });
        }
        if scanned >= MAX_SCANNED {
            return Ok(ListJson { data, next: Some(cursor(last.as_str())) });
        }
        after = Some(last);
    }
}
