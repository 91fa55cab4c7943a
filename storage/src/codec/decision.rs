//! Decisions and refusals, as the journal keeps them for ever.

use partita_core::decision::{Decision, Effects, Origin, Outcome};
use partita_core::operation::OperationKind;
use partita_core::rejection::{Existing, Field, Reason, Rejection};

stored_enum!(OperationKind {
    0 => OpenBook, 1 => RegisterCurrency, 2 => OpenAccount, 3 => CloseAccount, 4 => PostEntry, 5 => PostEntries,
    6 => Transfer, 7 => Transfers, 8 => ReverseEntry, 9 => PlaceHold, 10 => CaptureHold, 11 => VoidHold,
    12 => CreateCharge, 13 => VoidCharge, 14 => CreatePayment, 15 => CapturePayment, 16 => VoidPayment,
    17 => ApplyPayment, 18 => UnapplyPayment, 19 => PostPaymentFee, 20 => CreateRefund, 21 => SettleRefund,
    22 => FailRefund, 23 => ExpireHold, 24 => ExpirePayment, 25 => SoftClosePeriod, 26 => ClosePeriod,
    27 => ReopenPeriod, 28 => Recognise, 29 => RecordRate, 30 => Convert, 31 => Revalue, 32 => CloseYear,
});

stored_enum!(Field {
    0 => Whole, 1 => Id, 2 => Currency, 3 => FunctionalCurrency, 4 => Currencies, 5 => Amount, 6 => Fee, 7 => Rate,
    8 => Debit, 9 => Credit, 10 => Source, 11 => Payment, 12 => Role, 13 => Line(line), 14 => Tax(line, tax),
    15 => Apply(index), 16 => From(index), 17 => EffectiveDate, 18 => Base, 19 => Quote, 20 => Received,
    21 => ReceivedCurrency,
});

stored_enum!(Existing {
    0 => Book(code), 1 => Currency(code), 2 => Account(code), 3 => Hold(id), 4 => Charge(id), 5 => Payment(id),
    6 => Refund(id),
});

stored_enum!(Reason {
    0 => AlreadyExists { what, decided_at }, 1 => AlreadyReversed { by }, 2 => NotReversible, 3 => UnknownDocument,
    4 => ChargeNotOpen, 5 => PaymentNotOpen, 6 => HoldNotOpen, 7 => UnknownAccount { account },
    8 => AccountClosed { account }, 9 => AccountNotEmpty { account }, 10 => RoleMissing { role },
    11 => UnknownCurrency { currency }, 12 => CurrencyNotAllowed { account, currency },
    13 => TooManyDecimals { currency, decimals }, 14 => PartyRequired { account }, 15 => PartyNotAllowed { account },
    16 => ItemRequired { account }, 17 => ItemNotAllowed { account }, 18 => CustomerMismatch, 19 => CurrencyMismatch,
    20 => RateRequired, 21 => OverCapture { available, decimals }, 22 => OverApplication { available, decimals },
    23 => OverRefund { available, decimals }, 24 => Overdraft { account, available, decimals },
    25 => BalanceTooLarge { account }, 26 => DocumentFull, 27 => TooManyCurrencies,
    28 => PeriodClosed { period, state, date }, 29 => PeriodOutOfOrder { first }, 30 => PeriodState { state },
    31 => PeriodNotReady { blockers }, 32 => RateMissing { base, quote, date },
});

stored_struct!(Rejection { reason, field, index });

stored_enum!(Origin { 0 => Request { key, fingerprint, actor }, 1 => Internal });
stored_struct!(Effects { entries, snapshots });
stored_enum!(Outcome { 0 => Accepted(effects), 1 => Refused(rejection) });
stored_struct!(Decision { position, recorded_at, book, origin, operation, outcome });
