//! What a run exercised: operations by outcome. A check that exercised nothing must fail.

use std::collections::BTreeMap;
use std::fmt::Write;

use partita_core::decision::{Decision, Effects, Outcome};
use partita_core::document::{Snapshot, TaxLine};
use partita_core::operation::OperationKind;
use partita_core::period::PeriodState;

use super::decide::{Predicted, Prediction};

#[derive(Clone, Debug, Default)]
pub(crate) struct Coverage {
    pub(crate) counts: BTreeMap<(String, &'static str), u64>,
    pub(crate) commands: u64,
    pub(crate) compared: u64,
}

impl Coverage {
    pub(crate) fn note(&mut self, kind: OperationKind, prediction: &Prediction) {
        self.commands += 1;
        for expired in &prediction.expired {
            *self.counts.entry((format!("{:?}", expired.operation), "accepted")).or_default() += 1;
        }
        let what = match &prediction.answer {
            Predicted::Replayed(_) => "replayed",
            Predicted::KeyReused(_) => "key_reused",
            Predicted::Decided(decision) => match &decision.outcome {
                Outcome::Accepted(_) => "accepted",
                Outcome::Refused(rejection) => rejection.reason.code(),
            },
        };
        *self.counts.entry((format!("{kind:?}"), what)).or_default() += 1;
        if let Predicted::Decided(Decision { outcome: Outcome::Accepted(effects), .. }) = &prediction.answer {
            for what in special(effects) {
                *self.counts.entry((format!("{kind:?}"), what)).or_default() += 1;
            }
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.commands += other.commands;
        self.compared += other.compared;
        for (key, count) in other.counts {
            *self.counts.entry(key).or_default() += count;
        }
    }

    pub(crate) fn count(&self, operation: &str, what: &str) -> u64 {
        self.counts.iter().filter(|((name, kind), _)| name == operation && *kind == what).map(|(_, count)| count).sum()
    }

    pub(crate) fn table(&self) -> String {
        let mut table = format!("{} commands, {} values compared\n", self.commands, self.compared);
        let mut last = "";
        for ((operation, what), count) in &self.counts {
            if operation != last {
                write!(table, "\n{operation:16}").unwrap();
                last = operation;
            }
            write!(table, " {what} {count},").unwrap();
        }
        table
    }

    /// What should have happened and did not.
    pub(crate) fn missing(&self) -> Vec<String> {
        let mut missing = vec![];
        for (operation, outcomes) in EXPECTED {
            for what in outcomes.split_whitespace() {
                if self.count(operation, what) == 0 {
                    missing.push(format!("{operation} {what}"));
                }
            }
        }
        missing
    }
}

/// The guards of docs/rules.md, rule 6, as far as one document shows them.
fn assert_guards(snapshot: &Snapshot) {
    match snapshot {
        Snapshot::Hold(hold) => {
            assert!(hold.captured >= 0 && hold.pending >= 0, "{hold:?}");
            assert!(hold.captured + hold.pending <= hold.amount.minor(), "{hold:?}");
        }
        Snapshot::Charge { charge, .. } => {
            assert!(charge.credited >= 0 && charge.credited <= charge.amount.minor(), "{charge:?}");
            let within = |tax: &TaxLine| (0..=tax.amount.minor()).contains(&tax.refunded);
            assert!(charge.lines.iter().flat_map(|line| &line.tax).all(within), "Σ refunded tax ≤ tax: {charge:?}");
        }
        Snapshot::Payment { payment, .. } => {
            assert!(payment.captured >= 0 && payment.pending >= 0, "{payment:?}");
            assert!(payment.captured + payment.pending <= payment.amount.minor(), "captured ≤ authorised: {payment:?}");
            assert!(payment.refunded >= 0 && payment.refunded <= payment.captured, "Σ refunds ≤ captured: {payment:?}");
            assert!(payment.fees >= 0, "{payment:?}");
            let mut taken = payment.refunded_unapplied;
            for application in &payment.applications {
                assert!(application.refunded >= 0 && application.refunded <= application.amount, "{payment:?}");
                taken += application.refunded;
            }
            assert_eq!(taken, payment.refunded, "{payment:?}");
        }
        Snapshot::Refund(refund) => {
            let parts: i128 = refund.parts.iter().map(|part| part.amount.minor()).sum();
            assert_eq!(parts + refund.unapplied, refund.amount.minor(), "{refund:?}");
        }
        Snapshot::Period(period) => {
            assert_eq!(period.seal.is_some(), period.state == PeriodState::Closed, "{period:?}");
        }
        Snapshot::Recognised(recognised) => {
            assert!(recognised.lines.iter().all(|line| *line >= 0), "{recognised:?}");
        }
        Snapshot::Book(_)
        | Snapshot::Currency(_)
        | Snapshot::Account(_)
        | Snapshot::Calendar(_)
        | Snapshot::Rate(_)
        | Snapshot::RecognitionRun(_)
        | Snapshot::Valuation(_)
        | Snapshot::YearClose(_) => {}
    }
}

/// What makes an accepted decision worth counting on its own.
fn special(effects: &Effects) -> Vec<&'static str> {
    let mut found = vec![];
    for snapshot in &effects.snapshots {
        assert_guards(snapshot);
        match snapshot {
            Snapshot::Charge { charge, .. } => {
                let taxes = || charge.lines.iter().flat_map(|line| &line.tax);
                if charge.credited == charge.amount.minor() {
                    found.push("credited_in_full");
                    assert!(taxes().all(|tax| tax.refunded == tax.amount.minor()), "rule 11: {charge:?}");
                }
                if charge.rate.is_some() {
                    found.push("foreign");
                }
                if charge.deferred.is_some() {
                    found.push("deferred");
                }
            }
            Snapshot::Refund(refund) => {
                if refund.parts.len() > 1 {
                    found.push("several_parts");
                }
                for part in &refund.parts {
                    let taxes = || part.tax.iter().flatten();
                    assert!(taxes().all(|tax| *tax >= 0), "{refund:?}");
                    if taxes().sum::<i128>() > part.amount.minor() {
                        found.push("tax_above_part");
                    }
                }
            }
            Snapshot::Payment { payment, .. } => {
                if payment.applications.len() > 1 {
                    found.push("several_applications");
                }
            }
            Snapshot::Period(period) => {
                if !period.accepted.is_empty() {
                    found.push("accepts_blockers");
                }
                if period.state == PeriodState::Closed && period.reopened > 0 {
                    found.push("again");
                }
            }
            Snapshot::Hold(_)
            | Snapshot::Book(_)
            | Snapshot::Currency(_)
            | Snapshot::Account(_)
            | Snapshot::Calendar(_)
            | Snapshot::Rate(_) => {}
            Snapshot::Recognised(recognised) => {
                found.push("recognised");
                if recognised.lines.iter().filter(|line| **line > 0).count() > 1 {
                    found.push("several_lines");
                }
            }
            Snapshot::RecognitionRun(run) => {
                if run.charges == 0 {
                    found.push("nothing_due");
                }
            }
            Snapshot::Valuation(valuation) => {
                if valuation.currencies.len() > 1 {
                    found.push("several_currencies");
                }
                found.push(if valuation.difference == 0 { "nothing_left" } else { "revalued" });
            }
            Snapshot::YearClose(closed) => {
                found.push(if closed.earnings.is_empty() { "nothing_to_close" } else { "closed" });
            }
        }
    }
    if effects.entries.len() > 1 {
        found.push("several_entries");
    }
    found
}

/// Everything that each operation can come to.
#[rustfmt::skip]
const EXPECTED: &[(&str, &str)] = &[
    ("OpenBook", "accepted replayed key_reused already_exists unknown_currency"),
    ("RegisterCurrency", "accepted replayed key_reused already_exists"),
    ("OpenAccount", "accepted replayed key_reused already_exists unknown_currency"),
    ("CloseAccount", "accepted replayed key_reused unknown_account account_closed account_not_empty"),
    ("PostEntry", "accepted replayed key_reused unknown_account account_closed unknown_currency currency_not_allowed \
        too_many_decimals party_required party_not_allowed item_required item_not_allowed overdraft balance_too_large"),
    ("PostEntries", "accepted replayed key_reused unknown_account unknown_currency currency_not_allowed \
        too_many_decimals party_required party_not_allowed item_required item_not_allowed overdraft"),
    ("Transfer", "accepted replayed key_reused unknown_account account_closed unknown_currency currency_not_allowed \
        too_many_decimals party_required party_not_allowed item_required item_not_allowed overdraft"),
    ("Transfers", "accepted replayed key_reused unknown_account unknown_currency currency_not_allowed \
        too_many_decimals party_required party_not_allowed item_required item_not_allowed overdraft"),
    ("ReverseEntry", "accepted replayed key_reused unknown_document already_reversed not_reversible overdraft"),
    ("PlaceHold", "accepted replayed key_reused already_exists unknown_account account_closed unknown_currency \
        currency_not_allowed too_many_decimals party_required party_not_allowed item_required item_not_allowed overdraft"),
    ("CaptureHold", "accepted replayed key_reused unknown_document hold_not_open too_many_decimals over_capture"),
    ("VoidHold", "accepted replayed key_reused unknown_document hold_not_open"),
    ("ExpireHold", "accepted"),
    ("CreateCharge", "accepted replayed key_reused already_exists role_missing unknown_account account_closed \
        unknown_currency currency_not_allowed too_many_decimals party_required item_required rate_required foreign deferred"),
    ("VoidCharge", "accepted replayed key_reused unknown_document charge_not_open"),
    ("CreatePayment", "accepted replayed key_reused already_exists role_missing unknown_account unknown_currency \
        currency_not_allowed too_many_decimals party_required unknown_document customer_mismatch currency_mismatch"),
    ("CapturePayment", "accepted replayed key_reused unknown_document payment_not_open too_many_decimals over_capture \
        customer_mismatch currency_mismatch currency_not_allowed"),
    ("VoidPayment", "accepted replayed key_reused unknown_document payment_not_open"),
    ("ExpirePayment", "accepted"),
    ("ApplyPayment", "accepted replayed key_reused unknown_document payment_not_open customer_mismatch \
        currency_mismatch charge_not_open over_application too_many_decimals"),
    ("UnapplyPayment", "accepted replayed key_reused unknown_document over_application too_many_decimals"),
    ("PostPaymentFee", "accepted replayed key_reused unknown_document currency_not_allowed \
        too_many_decimals over_application"),
    ("CreateRefund", "accepted replayed key_reused already_exists unknown_document over_refund \
        too_many_decimals several_parts foreign deferred credited_in_full tax_above_part"),
    ("SettleRefund", "accepted replayed key_reused unknown_document payment_not_open"),
    ("FailRefund", "accepted replayed key_reused unknown_document payment_not_open period_closed"),
    ("SoftClosePeriod", "accepted replayed key_reused period_out_of_order period_state"),
    ("ClosePeriod", "accepted replayed key_reused period_out_of_order period_state period_not_ready accepts_blockers again"),
    ("ReopenPeriod", "accepted replayed key_reused period_out_of_order period_state"),
    ("Recognise", "accepted replayed key_reused role_missing period_closed recognised several_lines nothing_due \
        several_entries"),
    ("RecordRate", "accepted replayed key_reused unknown_currency"),
    ("Convert", "accepted replayed key_reused unknown_account unknown_currency currency_not_allowed too_many_decimals \
        party_required period_closed"),
    ("Revalue", "accepted replayed role_missing rate_missing period_closed revalued nothing_left"),
    ("CloseYear", "accepted replayed period_out_of_order closed"),
    ("PostEntry", "period_closed"),
    ("PostEntries", "period_closed"),
    ("Transfer", "period_closed"),
    ("Transfers", "period_closed"),
    ("ReverseEntry", "period_closed"),
    ("CaptureHold", "period_closed"),
    ("CreateCharge", "period_closed"),
    ("VoidCharge", "period_closed"),
    ("CreatePayment", "period_closed"),
    ("CapturePayment", "period_closed"),
    ("ApplyPayment", "period_closed"),
    ("UnapplyPayment", "period_closed"),
    ("PostPaymentFee", "period_closed"),
    ("CreateRefund", "period_closed"),
    ("SettleRefund", "period_closed"),
];
