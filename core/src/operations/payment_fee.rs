//! Processing fees of a payment, charged or returned: debit processing fees, credit the payment's source.
//!
//! Refusals, in order: `unknown_document`; the source account, the fee account and the amount; `over_application`
//! if more is returned than was charged; `document_full`; the balances.

use crate::currency::Currency;
use crate::entry::{DocumentRef, Rule};
use crate::money::{Amount, WrittenAmount};
use crate::operation::{Details, PostPaymentFee};
use crate::place::{Lines, Place};
use crate::plan::{Change, Context, Plan, PlannedEntry};
use crate::rejection::{Field, Reason, Rejection};
use crate::resolve::{currency_allowed, list_entry, role};
use crate::state::Read;

use super::payment::source_place;

pub fn plan<S: Read>(context: &Context<'_, S>, post: &PostPaymentFee) -> Result<Plan, Rejection> {
    let mut payment = context.payment(&post.id, Field::Whole)?;
    let source = source_place(context, &payment, Field::Source)?;
    let currency = context.currency_of(payment.currency);
    let mut fee = fee(context, post.amount, &currency, Field::Amount)?;
    let mut rule = Rule::PaymentFee;
    if post.returned {
        if fee.minor > payment.fees {
            let reason = Reason::OverApplication { available: payment.fees, decimals: currency.decimals };
            return Err(Rejection::new(reason, Field::Amount));
        }
        fee.minor = -fee.minor;
        rule = Rule::PaymentFeeReturn;
    }
    payment.fees += fee.minor;
    list_entry(&mut payment.entries, context.first_entry)?;
    let document = DocumentRef::Payment(payment.id.clone());
    let entry = fee.entry(context, rule, &source, &post.details, document)?;
    Ok(Plan { entries: vec![entry], changes: vec![Change::Payment(payment)], ..Plan::default() })
}

/// A fee and the account that bears it.
#[derive(Debug)]
pub(super) struct Fee {
    expense: Place,
    /// Below zero: returned.
    minor: i128,
}

/// Finds the account and reads the amount; `field` is where the amount stands.
pub(super) fn fee<S: Read>(
    context: &Context<'_, S>,
    written: WrittenAmount,
    currency: &Currency,
    field: Field,
) -> Result<Fee, Rejection> {
    let account = context.role(role::PROCESSING_FEES)?;
    currency_allowed(&account, currency, field)?;
    let amount: Amount = context.amount(written, currency, field)?;
    let expense = Place::new(&account, None, None, currency, (Field::Role, field))?;
    Ok(Fee { expense, minor: amount.minor() })
}

impl Fee {
    pub(super) fn place(&self) -> &Place {
        &self.expense
    }

    pub(super) fn minor(&self) -> i128 {
        self.minor
    }

    pub(super) fn entry<S: Read>(
        &self,
        context: &Context<'_, S>,
        rule: Rule,
        source: &Place,
        details: &Details,
        document: DocumentRef,
    ) -> Result<PlannedEntry, Rejection> {
        let mut lines = Lines::default();
        lines.debit(&self.expense, self.minor);
        lines.credit(source, self.minor);
        lines.into_entry(context, rule, details, document)
    }
}
