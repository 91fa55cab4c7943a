//! What the planted bugs of a state do that is more than a condition ([`partita_core::planted`]).

use partita_core::planted::{Bug, planted};

use super::error::StorageError;
use super::working::WorkingSet;
use crate::engine::{KeyRange, TableEngine};

/// [`Bug::RefundTotalsNotRestored`].
pub(super) fn forget_refund_totals<E: TableEngine>(working: &mut WorkingSet<E>) -> Result<(), StorageError> {
    if !planted(Bug::RefundTotalsNotRestored) {
        return Ok(());
    }
    for (key, mut payment) in working.payments.scan(&*working.engine, &KeyRange::all(), usize::MAX)? {
        payment.refunded = 0;
        payment.refunded_unapplied = 0;
        payment.applications.iter_mut().for_each(|application| application.refunded = 0);
        working.payments.put(&key, Some(payment), 0);
    }
    for (key, mut charge) in working.charges.scan(&*working.engine, &KeyRange::all(), usize::MAX)? {
        charge.credited = 0;
        charge.credited_functional_net = 0;
        charge.lines.iter_mut().flat_map(|line| &mut line.tax).for_each(|tax| tax.refunded = 0);
        working.charges.put(&key, Some(charge), 0);
    }
    Ok(())
}
