//! Fiscal calendars, periods, their seals, and closed years.

use partita_core::period::{
    Blocker, BlockerKind, Calendar, Digest, FiscalYear, JournalHead, Month, Period, PeriodId, PeriodState, Seal,
    SealedBalance, YearClose,
};

use super::{CodecError, Reader, Stored, Writer};

impl Stored for Month {
    fn put(&self, writer: &mut Writer) {
        writer.byte(self.number());
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Self::new(reader.byte()?).ok_or(CodecError::Invalid { what: "a month", rule: "1 to 12" })
    }
}

/// Months since January of year 1.
impl Stored for PeriodId {
    fn put(&self, writer: &mut Writer) {
        self.months().put(writer);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Self::from_months(u32::take(reader)?)
            .ok_or(CodecError::Invalid { what: "a period", rule: "in the years 1 to 9999" })
    }
}

impl Stored for Digest {
    fn put(&self, writer: &mut Writer) {
        self.0.put(writer);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Stored::take(reader).map(Self)
    }
}

stored_enum!(PeriodState { 0 => Open, 1 => SoftClosed, 2 => Closed });
stored_struct!(Calendar { first_month, soft_closed_through, closed_through, decided });
stored_enum!(BlockerKind { 0 => MustZero, 1 => UnappliedCash, 2 => FxPosition });
stored_enum!(Blocker {
    0 => MustZero { account, currency, balance, decimals }, 1 => UnappliedCash { account, currency, balance, decimals },
    2 => FxPosition { account, currency, balance, decimals }, 3 => RateMissing { account, currency },
});
stored_struct!(SealedBalance { account, currency, debits, credits });
stored_struct!(JournalHead { position, hash });
stored_struct!(Seal { as_of, journal, last_entry, balances, hash });
stored_struct!(Period { id, state, seal, accepted, reopened, reason, decided });
stored_struct!(YearClose { year, as_of, earnings });

impl Stored for FiscalYear {
    fn put(&self, writer: &mut Writer) {
        self.number().put(writer);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Self::new(u16::take(reader)?).ok_or(CodecError::Invalid { what: "a fiscal year", rule: "2 to 9999" })
    }
}
