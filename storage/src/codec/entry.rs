//! Entries, their postings and the chain pointers of a subaccount.

use partita_core::chain::{Chain, PostingRef};
use partita_core::entry::{After, DocumentRef, Entry, Line, MAX_LINES, Rule, Side};

use super::{CodecError, Reader, Stored, Writer};

stored_enum!(Side { 0 => Debit, 1 => Credit });

stored_enum!(Rule {
    0 => Standard, 1 => Opening, 2 => Adjusting, 3 => Transfer, 4 => Reversal, 5 => HoldCapture, 6 => Charge,
    7 => ChargeVoid, 8 => PaymentCapture, 9 => PaymentApply, 10 => PaymentUnapply, 11 => PaymentFee,
    12 => PaymentFeeReturn, 13 => Refund, 14 => RefundSettle, 15 => RefundFail, 16 => Recognition,
    17 => Conversion, 18 => Revaluation, 19 => Closing,
});

stored_enum!(DocumentRef { 0 => Hold(id), 1 => Charge(id), 2 => Payment(id), 3 => Refund(id) });

stored_struct!(PostingRef { position, line });
stored_struct!(After { debits, credits, ordinal, greatest_date, previous, jump });
stored_struct!(Line { account, party, item, side, amount, currency, after });

/// Invariant 1: whatever decodes to an entry balances in every currency.
impl Stored for Entry {
    fn put(&self, writer: &mut Writer) {
        let Self { number, rule, effective_date, description, metadata, reverses, document, lines } = self;
        number.put(writer);
        rule.put(writer);
        effective_date.put(writer);
        description.put(writer);
        metadata.put(writer);
        reverses.put(writer);
        document.put(writer);
        lines.put(writer);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let entry = Self {
            number: Stored::take(reader)?,
            rule: Stored::take(reader)?,
            effective_date: Stored::take(reader)?,
            description: Stored::take(reader)?,
            metadata: Stored::take(reader)?,
            reverses: Stored::take(reader)?,
            document: Stored::take(reader)?,
            lines: Stored::take(reader)?,
        };
        if balanced(&entry.lines) {
            Ok(entry)
        } else {
            Err(CodecError::Invalid { what: "an entry", rule: "2 to 1,000 lines, balanced in every currency" })
        }
    }
}

fn balanced(lines: &[Line]) -> bool {
    if !(2..=MAX_LINES).contains(&lines.len()) {
        return false;
    }
    let mut nets: Vec<(_, i128)> = Vec::with_capacity(2);
    for line in lines {
        let signed = match line.side {
            Side::Debit => line.amount.minor(),
            Side::Credit => -line.amount.minor(),
        };
        match nets.iter_mut().find(|(currency, _)| *currency == line.currency) {
            Some((_, net)) => match net.checked_add(signed) {
                Some(sum) => *net = sum,
                None => return false,
            },
            None => nets.push((line.currency, signed)),
        }
    }
    nets.iter().all(|(_, net)| *net == 0)
}

impl Stored for Chain {
    fn put(&self, writer: &mut Writer) {
        self.postings().put(writer);
        writer.length(self.roots().len());
        for root in self.roots() {
            root.put(writer);
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (postings, roots) = (u64::take(reader)?, Vec::take(reader)?);
        Self::from_parts(postings, roots)
            .ok_or(CodecError::Invalid { what: "a chain", rule: "as many roots as its postings have trees" })
    }
}
