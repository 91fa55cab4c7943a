//! Everything of one party: subaccounts, open items, documents.

use axum::extract::State;
use axum::response::Response;
use partita_core::account::ItemRule;
use partita_core::id::Party;
use partita_core::state::Sums;
use serde::Serialize;
use utoipa::ToSchema;

use super::accounts::SideJson;
use super::balances::BalanceJson;
use super::charges::ChargeJson;
use super::payments::PaymentJson;
use super::refunds::RefundJson;
use crate::app::App;
use crate::documents;
use crate::names::Names;
use crate::path::PathArgs;
use crate::problem::{Problem, ProblemJson};
use crate::query::{Nothing, Read, ReadQuery};

/// Items and documents of each kind that are shown; `more` says when there are others.
const SHOWN: usize = 1_000;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PartySubaccount)]
pub struct SubaccountJson {
    pub account: String,
    pub side: SideJson,
    #[serde(flatten)]
    pub balance: BalanceJson,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenItem)]
pub struct OpenItemJson {
    pub account: String,
    pub item: String,
    pub side: SideJson,
    #[serde(flatten)]
    pub balance: BalanceJson,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Party)]
pub struct PartyJson {
    pub party: String,
    pub subaccounts: Vec<SubaccountJson>,
    /// Items with a balance or with pending amounts.
    pub items: Vec<OpenItemJson>,
    pub charges: Vec<ChargeJson>,
    pub payments: Vec<PaymentJson>,
    pub refunds: Vec<RefundJson>,
    /// Whether there are more items or documents than are shown: the lists have them all.
    pub more: bool,
}

/// Everything of one party.
#[utoipa::path(get, path = "/v1/books/{book}/parties/{party}", tag = "parties",
    params(("book" = String, Path), ("party" = String, Path), ReadQuery),
    responses((status = 200, body = PartyJson), (status = "default", body = ProblemJson)))]
pub async fn get(State(app): State<App>, path: PathArgs, query: Read<Nothing>) -> Result<Response, Problem> {
    let party = path.party()?;
    app.read_book(query.fresh, path.book()?, move |app, names| {
        let mut shown = PartyJson {
            party: party.to_string(),
            subaccounts: vec![],
            items: vec![],
            charges: vec![],
            payments: vec![],
            refunds: vec![],
            more: false,
        };
        subaccounts(app, names, &party, &mut shown);
        documents_of(app, names, &party, &mut shown);
        let is_empty = shown.subaccounts.is_empty() && shown.charges.is_empty() && shown.payments.is_empty();
        if is_empty {
            return Err(Problem::not_found(format!("nothing of {party} is in book {}", names.book.code)));
        }
        Ok(shown)
    })
    .await
}

fn subaccounts(app: &App, names: &Names, party: &Party, shown: &mut PartyJson) {
    let book = names.book.id;
    let accounts = app.view(|view| view.accounts(book));
    for account in accounts.iter().filter(|account| account.party.is_some()) {
        let side = account.normal_side();
        let code = account.code.to_string();
        let parts = app.view(|view| view.subaccounts_of(book, account.id, Some(party)));
        for (key, subaccount) in &parts {
            let balance = BalanceJson::now(subaccount.sums, key.currency, side, names);
            shown.subaccounts.push(SubaccountJson { account: code.clone(), side: SideJson::of(side), balance });
        }
        match account.items {
            ItemRule::None => continue,
            ItemRule::Optional | ItemRule::Required if parts.is_empty() => continue,
            ItemRule::Optional | ItemRule::Required => {}
        }
        let mut after = None;
        loop {
            let items = app.view(|view| view.items(book, account.id, Some(party), after.as_ref(), SHOWN));
            let Some((last, _)) = items.last() else { break };
            after = Some(last.clone());
            for (key, sums) in items.iter().filter(|(_, sums)| is_open(sums)) {
                if shown.items.len() == SHOWN {
                    shown.more = true;
                    return;
                }
                let balance = BalanceJson::now(*sums, key.currency, side, names);
                let (account, item) = (code.clone(), key.item.to_string());
                shown.items.push(OpenItemJson { account, item, side: SideJson::of(side), balance });
            }
        }
    }
}

fn is_open(sums: &Sums) -> bool {
    sums.debits != sums.credits || sums.pending_debits != 0 || sums.pending_credits != 0
}

fn documents_of(app: &App, names: &Names, party: &Party, shown: &mut PartyJson) {
    let book = names.book.id;
    let mut moments = app.moments();
    let charges = app.view(|view| {
        let charges = view.charges(book, Some(party), None, SHOWN + 1)?;
        Ok(charges.into_iter().map(|charge| (documents::open(view, names, &charge), charge)).collect::<Vec<_>>())
    });
    let payments = app.view(|view| {
        let payments = view.payments(book, Some(party), None, SHOWN + 1)?;
        let unapplied = |payment: &_| documents::unapplied(view, names, payment);
        Ok(payments.into_iter().map(|payment| (unapplied(&payment), payment)).collect::<Vec<_>>())
    });
    let refunds = app.view(|view| view.refunds(book, Some(party), None, SHOWN + 1));
    shown.more |= charges.len() > SHOWN || payments.len() > SHOWN || refunds.len() > SHOWN;
    for (open, charge) in charges.iter().take(SHOWN) {
        shown.charges.push(ChargeJson::of(charge, *open, names, moments.of(charge.decided)));
    }
    for (unapplied, payment) in payments.iter().take(SHOWN) {
        shown.payments.push(PaymentJson::of(payment, *unapplied, names, moments.of(payment.decided)));
    }
    for refund in refunds.iter().take(SHOWN) {
        shown.refunds.push(RefundJson::of(refund, names, moments.of(refund.decided)));
    }
}
