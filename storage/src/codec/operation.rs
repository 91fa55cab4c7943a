//! Commands and the operations that callers ask for. A request's fingerprint is taken of an operation's bytes.

use partita_core::decision::Command;
use partita_core::entry::{MAX_LINES, Side};
use partita_core::money::{MAX_FRACTION_DIGITS, WrittenAmount};
use partita_core::operation::{
    AccountRef, ApplyPayment, CaptureHold, CapturePayment, Chart, ClosePeriod, CloseYear, Convert, CreateCharge,
    CreatePayment, CreateRefund, Currencies, Details, ManualKind, MovePeriod, MoveRefund, OpenAccount, OpenBook,
    OpenFiscalBook, Operation, PlaceHold, PostEntry, PostPaymentFee, Recognise, RecordRate, RegisterCurrency, Revalue,
    ReverseEntry, Transfer, VoidCharge, VoidHold, VoidPayment, WrittenApplication, WrittenChargeLine, WrittenLine,
    WrittenRefundPart, WrittenSource, WrittenTax,
};

use super::chart::{decimals, sorted};
use super::{CodecError, Reader, Stored, Writer};

stored_struct!(Details { effective_date, description, metadata });
stored_struct!(AccountRef { code, party, item });
stored_enum!(Chart { 0 => Saas, 1 => Empty });
stored_struct!(OpenBook { code, name, functional_currency, time_zone, chart });

impl Stored for RegisterCurrency {
    fn put(&self, writer: &mut Writer) {
        let Self { code, decimals } = self;
        code.put(writer);
        decimals.put(writer);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self { code: Stored::take(reader)?, decimals: decimals(reader)? })
    }
}

impl Stored for Currencies {
    fn put(&self, writer: &mut Writer) {
        match self {
            Self::Any => writer.byte(0),
            Self::Only(currencies) => {
                writer.byte(1);
                currencies.put(writer);
            }
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.byte()? {
            0 => Ok(Self::Any),
            1 => Ok(Self::Only(sorted(Stored::take(reader)?)?)),
            tag => Err(CodecError::Tag { what: "Currencies", tag }),
        }
    }
}

stored_struct!(OpenAccount { code, number, name, class, contra, party, items, currencies, overdraft, must_zero, role });

stored_enum!(ManualKind { 0 => Standard, 1 => Opening, 2 => Adjusting });
stored_struct!(WrittenLine { account, side, amount, currency });

/// Invariant 1: whatever decodes to a manual entry balances in every currency, as written.
impl Stored for PostEntry {
    fn put(&self, writer: &mut Writer) {
        let Self { kind, details, lines } = self;
        kind.put(writer);
        details.put(writer);
        lines.put(writer);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let entry = Self { kind: Stored::take(reader)?, details: Stored::take(reader)?, lines: Stored::take(reader)? };
        if (2..=MAX_LINES).contains(&entry.lines.len()) && balanced_as_written(&entry.lines) == Some(true) {
            Ok(entry)
        } else {
            Err(CodecError::Invalid { what: "a manual entry", rule: "2 to 1,000 lines, balanced in every currency" })
        }
    }
}

/// Sums whole units and fractions apart, since both together can pass 128 bits; `None` if whole units alone do.
fn balanced_as_written(lines: &[WrittenLine]) -> Option<bool> {
    let unit = 10i128.pow(u32::try_from(MAX_FRACTION_DIGITS).expect("20 digits"));
    let mut nets: Vec<(&str, i128, i128)> = Vec::with_capacity(2);
    for line in lines {
        let (whole, fraction) = split(line.amount, unit)?;
        let sign = match line.side {
            Side::Debit => 1,
            Side::Credit => -1,
        };
        let currency = line.currency.as_str();
        let index = nets.iter().position(|net| net.0 == currency).unwrap_or_else(|| {
            nets.push((currency, 0, 0));
            nets.len() - 1
        });
        let (_, wholes, fractions) = &mut nets[index];
        *wholes = wholes.checked_add(sign * whole)?;
        *fractions += sign * fraction;
    }
    Some(nets.iter().all(|(_, wholes, fractions)| fractions % unit == 0 && wholes + fractions / unit == 0))
}

fn split(amount: WrittenAmount, unit: i128) -> Option<(i128, i128)> {
    let (mantissa, scale) = amount.parts();
    let mantissa = i128::try_from(mantissa).ok()?;
    let divisor = 10i128.pow(u32::from(scale));
    Some((mantissa / divisor, mantissa % divisor * (unit / divisor)))
}

stored_struct!(Transfer { debit, credit, amount, currency, details });
stored_struct!(ReverseEntry { number, details });
stored_struct!(PlaceHold { id, debit, credit, amount, currency, expires_at, description, metadata });
stored_struct!(CaptureHold { id, amount, is_final, details });
stored_struct!(VoidHold { id });

stored_struct!(WrittenTax { jurisdiction, amount });
stored_struct!(WrittenChargeLine { revenue, amount, tax, defer });
stored_struct!(CreateCharge { id, customer, currency, due_date, rate, lines, details });
stored_struct!(VoidCharge { id, details });

stored_enum!(WrittenSource { 0 => Processor(party), 1 => Account(code) });
stored_struct!(WrittenApplication { charge, amount });
stored_struct!(CreatePayment { id, customer, source, amount, currency, capture, apply, fee, expires_at, details });
stored_struct!(CapturePayment { id, amount, is_final, apply, fee, details });
stored_struct!(VoidPayment { id });
stored_struct!(ApplyPayment { id, apply, details });
stored_struct!(PostPaymentFee { id, amount, returned, details });

stored_enum!(WrittenRefundPart { 0 => Unapplied { amount }, 1 => Charge { charge, amount } });
stored_struct!(CreateRefund { id, payment, amount, settle, reason, from, details });
stored_struct!(MoveRefund { id, details });

stored_struct!(OpenFiscalBook { book, first_month });
stored_struct!(MovePeriod { period, reason });
stored_struct!(ClosePeriod { period, accept, reason });
stored_struct!(Recognise { through, after, metadata });
stored_struct!(RecordRate { base, quote, date, rate, source });
stored_struct!(Convert { from, amount, currency, to, received, received_currency, fee, details });
stored_struct!(Revalue { date });
stored_struct!(CloseYear { year, metadata });

stored_enum!(Operation {
    0 => OpenBook(operation), 1 => RegisterCurrency(operation), 2 => OpenAccount(operation), 3 => CloseAccount(code),
    4 => PostEntry(operation), 5 => PostEntries(operations), 6 => Transfer(operation), 7 => Transfers(operations),
    8 => ReverseEntry(operation), 9 => PlaceHold(operation), 10 => CaptureHold(operation), 11 => VoidHold(operation),
    12 => CreateCharge(operation), 13 => VoidCharge(operation), 14 => CreatePayment(operation),
    15 => CapturePayment(operation), 16 => VoidPayment(operation), 17 => ApplyPayment(operation),
    18 => UnapplyPayment(operation), 19 => PostPaymentFee(operation), 20 => CreateRefund(operation),
    21 => SettleRefund(operation), 22 => FailRefund(operation), 23 => OpenFiscalBook(operation),
    24 => SoftClosePeriod(operation), 25 => ClosePeriod(operation), 26 => ReopenPeriod(operation),
    27 => Recognise(operation), 28 => RecordRate(operation), 29 => Convert(operation), 30 => Revalue(operation),
    31 => CloseYear(operation),
});

stored_struct!(Command { book, key, fingerprint, stamp, today, actor, operation });
