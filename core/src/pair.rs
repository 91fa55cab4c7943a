//! A transfer that is posted straight, without a plan: by far most of what a ledger is asked for.
//!
//! It does what planning and committing it would do, in fewer steps, or nothing: whatever is not accepted here, and
//! whatever is not of the plain kind, goes the long way, which also finds the reason of a refusal. A property test
//! holds the two ways against each other (`core/tests/pair.rs`).

use smallvec::smallvec;

use crate::account::ItemRule;
use crate::chain::{Link, PostingRef};
use crate::commit::{MAX_SUM, available, overdraws};
use crate::decision::Effects;
use crate::entry::{After, Entry, Line, Rule, Side};
use crate::id::{AccountId, BookId, CurrencyId, Position};
use crate::money::Amount;
use crate::operation::{AccountRef, Transfer};
use crate::planted::{Bug, planted};
use crate::resolve::find_currency;
use crate::state::{
    ControlKey, EntryRecord, Movement, MovementKey, Read, SubaccountChange, SubaccountKey, SubaccountTip, Write,
};
use crate::time::Date;

/// Where both lines go.
#[derive(Clone, Copy)]
struct Posting {
    book: BookId,
    position: Position,
    date: Date,
    amount: Amount,
    currency: CurrencyId,
}

/// One line, with its subaccount before and after it.
struct Posted {
    account: AccountId,
    side: Side,
    moved: Movement,
    key: SubaccountKey,
    tip: SubaccountTip,
    change: SubaccountChange,
    at: PostingRef,
}

impl Posting {
    /// `None` where the line is not plain, or not allowed.
    // Inlined, as is `write`: what they return is large, and is then not copied from place to place.
    #[inline(always)]
    fn line(&self, state: &impl Read, side: Side, number: u32, reference: &AccountRef) -> Option<Posted> {
        let account = state.posting_account(self.book, &reference.code, self.currency)?;
        if reference.item.is_some() || account.rules.items == ItemRule::Required {
            return None;
        }
        if account.by_party != reference.party.is_some() {
            return None;
        }
        let party = reference.party.clone();
        let key = SubaccountKey { book: self.book, account: account.id, party, currency: self.currency };
        let tip = state.subaccount_tip(&key);
        let moved = Movement::on(side, self.amount.minor());
        let mut sums = tip.sums;
        sums.add(moved);
        if account.rules.guarded {
            let (before, after) = (available(&tip.sums, account.rules.normal), available(&sums, account.rules.normal));
            if overdraws(before, after) {
                return None;
            }
        }
        let at = PostingRef { position: self.position, line: number };
        let greatest = tip.greatest_date.map_or(self.date, |greatest| greatest.max(self.date));
        let change =
            SubaccountChange { sums, greatest_date: Some(greatest), appended: smallvec![at], found: tip.found };
        Some(Posted { account: account.id, side, moved, key, tip, change, at })
    }

    /// Writes a line's balances.
    #[inline(always)]
    fn write(&self, state: &mut impl Write, posted: Posted) -> Line {
        let Posted { account, side, moved, key, tip, change, at } = posted;
        let control = ControlKey { book: self.book, account, currency: self.currency };
        let missed = planted(Bug::ControlMissesALine) && at.line % 2 == 1;
        state.add_to_control(control.clone(), if missed { Movement::default() } else { moved });
        state.add_to_movement(MovementKey { control, date: self.date }, moved);
        let shown = if planted(Bug::BalanceAfterOffByOne) { tip.sums } else { change.sums };
        let greatest_date = change.greatest_date.expect("a posting has a date");
        let party = key.party.clone();
        state.change_subaccount(key, change);
        let Link { ordinal, previous, jump } = tip.tip.link();
        let after = After { debits: shown.debits, credits: shown.credits, ordinal, greatest_date, previous, jump };
        Line { account, party, item: None, side, amount: self.amount, currency: self.currency, after }
    }
}

/// Posts `transfer` if it is plain and nothing is against it; otherwise changes nothing.
pub(crate) fn post(
    state: &mut impl Write,
    book: BookId,
    position: Position,
    today: Date,
    transfer: &Transfer,
) -> Option<Effects> {
    let Transfer { debit, credit, amount, currency, details } = transfer;
    let currency = find_currency(&*state, book, currency)?;
    let amount = amount.to_amount(currency.decimals)?;
    let date = details.effective_date.unwrap_or(today);
    let posting = Posting { book, position, date, amount, currency: currency.id };
    if !state.calendar(book).state_on(date).accepts(Rule::Transfer) {
        return None;
    }
    // The book's totals bound every other sum.
    let mut total = state.total(book, currency.id);
    total.add(Movement { debits: amount.minor(), credits: amount.minor() });
    if total.debits > MAX_SUM || total.credits > MAX_SUM {
        return None;
    }
    let debited = posting.line(&*state, Side::Debit, 0, debit)?;
    let credited = posting.line(&*state, Side::Credit, 1, credit)?;
    if debited.key == credited.key {
        return None;
    }

    // After this point it must succeed.
    let number = state.last_entry(book).next();
    let lines = vec![posting.write(state, debited), posting.write(state, credited)];
    state.put_entry_record(book, number, EntryRecord { position, index: 0, reversed_by: None });
    state.change_totals(book, number, &[(currency.id, total)]);
    let entry = Entry {
        number,
        rule: Rule::Transfer,
        effective_date: date,
        description: details.description.clone(),
        metadata: details.metadata.clone(),
        reverses: None,
        document: None,
        lines,
    };
    Some(Effects { entries: vec![entry], snapshots: vec![] })
}
