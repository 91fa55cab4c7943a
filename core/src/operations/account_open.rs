//! Adding an account to a book's chart.

use crate::account::{Account, CurrencyRule};
use crate::id::AccountId;
use crate::operation::{Currencies, OpenAccount};
use crate::plan::{Change, Context, Plan};
use crate::rejection::{Existing, Field, Reason, Rejection};
use crate::state::Read;

pub fn plan<S: Read>(context: &Context<'_, S>, open: &OpenAccount) -> Result<Plan, Rejection> {
    if let Some(account) = context.state.account_by_code(context.book.id, &open.code) {
        let what = Existing::Account(open.code.clone());
        return Err(Rejection::new(Reason::AlreadyExists { what, decided_at: account.decided }, Field::Id));
    }
    let currencies = match &open.currencies {
        Currencies::Any => CurrencyRule::Any,
        Currencies::Only(codes) => {
            let ids: Result<Vec<_>, _> = codes
                .iter()
                .map(|code| context.currency(code, Field::Currencies).map(|currency| currency.id))
                .collect();
            let mut ids = ids?;
            ids.sort_unstable();
            CurrencyRule::Only(ids)
        }
    };
    let account = Account {
        id: AccountId(context.state.totals(context.book.id).last_account.0 + 1),
        code: open.code.clone(),
        number: open.number.clone(),
        name: open.name.clone(),
        class: open.class,
        contra: open.contra,
        party: open.party.clone(),
        items: open.items,
        currencies,
        overdraft: open.overdraft,
        must_zero: open.must_zero,
        role: open.role.clone(),
        closed: false,
        decided: context.position,
    };
    Ok(Plan { changes: vec![Change::Account(account)], ..Plan::default() })
}
