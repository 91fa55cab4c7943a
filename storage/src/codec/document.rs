//! Holds, charges, payments, refunds, and the snapshots that decisions keep of them.

use partita_core::document::{
    Application, CaptureMode, Charge, ChargeLine, Deferral, Endpoint, Hold, HoldState, Payment, PaymentState, Refund,
    RefundPart, RefundState, SettleMode, Snapshot, Source, TaxLine,
};

stored_struct!(Endpoint { account, party, item });
stored_enum!(HoldState { 0 => Pending, 1 => PartiallyCaptured, 2 => Captured, 3 => Voided, 4 => Expired });
stored_struct!(Hold {
    id,
    debit,
    credit,
    currency,
    amount,
    captured,
    pending,
    state,
    expires_at,
    description,
    metadata,
    entries,
    decided,
});

stored_struct!(TaxLine { jurisdiction, amount, refunded });
stored_struct!(Deferral { from, to });
stored_struct!(ChargeLine { revenue, amount, tax, defer, functional_net });
stored_struct!(Charge {
    id,
    customer,
    receivable,
    deferred,
    currency,
    due_date,
    rate,
    lines,
    amount,
    voided,
    credited,
    credited_functional_net,
    description,
    metadata,
    effective_date,
    payments,
    refunds,
    entries,
    decided,
});

stored_enum!(CaptureMode { 0 => Automatic, 1 => Manual });
stored_enum!(PaymentState { 0 => Authorised, 1 => PartiallyCaptured, 2 => Captured, 3 => Voided, 4 => Expired });
stored_enum!(Source { 0 => Processor { account, processor }, 1 => Account(account) });
stored_struct!(Application { charge, amount, refunded });
stored_struct!(Payment {
    id,
    customer,
    source,
    unapplied,
    currency,
    amount,
    capture,
    state,
    captured,
    pending,
    expires_at,
    requested,
    applications,
    refunded,
    refunded_unapplied,
    fees,
    description,
    metadata,
    effective_date,
    refunds,
    entries,
    decided,
});

stored_enum!(SettleMode { 0 => Automatic, 1 => Manual });
stored_enum!(RefundState { 0 => Pending, 1 => Succeeded, 2 => Failed });
stored_struct!(RefundPart { charge, amount, tax, functional_net });
stored_struct!(Refund {
    id,
    payment,
    customer,
    currency,
    amount,
    payable,
    settle,
    state,
    reason,
    unapplied,
    parts,
    description,
    metadata,
    effective_date,
    entries,
    decided,
});

stored_enum!(Snapshot {
    0 => Hold(hold), 1 => Charge { charge, open }, 2 => Payment { payment, unapplied }, 3 => Refund(refund),
    4 => Book(book), 5 => Currency(currency), 6 => Account(account), 7 => Calendar(calendar), 8 => Period(period),
    9 => Rate(rate), 10 => Recognised(recognised), 11 => RecognitionRun(run), 12 => Valuation(valuation),
    13 => YearClose(closed),
});
