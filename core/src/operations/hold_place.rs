//! Placing a hold: a transfer that is reserved, not posted.

use crate::document::{Endpoint, Hold, HoldState};
use crate::entry::Side;
use crate::operation::PlaceHold;
use crate::plan::{Change, Context, Plan, PlannedLine, Reservation};
use crate::rejection::{Existing, Field, Reason, Rejection};
use crate::state::Read;

pub fn plan<S: Read>(context: &Context<'_, S>, place: &PlaceHold) -> Result<Plan, Rejection> {
    if let Some(hold) = context.state.hold(context.book.id, &place.id) {
        let reason = Reason::AlreadyExists { what: Existing::Hold(hold.id), decided_at: hold.decided };
        return Err(Rejection::new(reason, Field::Id));
    }
    let line = |reference, side, field| {
        context.written_line(reference, side, place.amount, &place.currency, (field, Field::Currency, Field::Amount))
    };
    let debit = line(&place.debit, Side::Debit, Field::Debit)?;
    let credit = line(&place.credit, Side::Credit, Field::Credit)?;
    let amount = debit.line.amount;
    let hold = Hold {
        id: place.id.clone(),
        debit: endpoint(&debit),
        credit: endpoint(&credit),
        currency: debit.line.currency,
        amount,
        captured: 0,
        pending: amount.minor(),
        state: HoldState::Pending,
        expires_at: place.expires_at,
        description: place.description.clone(),
        metadata: place.metadata.clone(),
        entries: vec![],
        decided: context.position,
    };
    Ok(Plan {
        reservations: reservations(&hold, amount.minor()).into(),
        changes: vec![Change::Hold(hold)],
        ..Plan::default()
    })
}

fn endpoint(planned: &PlannedLine) -> Endpoint {
    let line = &planned.line;
    Endpoint { account: line.account, party: line.party.clone(), item: line.item.clone() }
}

/// Both sides of a hold's pending amount, rising or falling by `delta`.
pub(super) fn reservations(hold: &Hold, delta: i128) -> [Reservation; 2] {
    [(&hold.debit, Side::Debit, Field::Debit), (&hold.credit, Side::Credit, Field::Credit)].map(
        |(endpoint, side, field)| Reservation {
            account: endpoint.account,
            party: endpoint.party.clone(),
            item: endpoint.item.clone(),
            currency: hold.currency,
            side,
            delta,
            field,
        },
    )
}
