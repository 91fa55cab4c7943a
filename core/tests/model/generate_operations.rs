//! Which operation comes next, and what it asks for.

use std::collections::BTreeSet;

use partita_core::document::{
    CaptureMode, Charge, Deferral, HoldState, Payment, PaymentState, RefundState, SettleMode,
};
use partita_core::entry::Side;
use partita_core::id::{CurrencyCode, DocumentId, EntryNumber, Item};
use partita_core::money::WrittenAmount;
use partita_core::operation::{
    AccountRef, ApplyPayment, CaptureHold, CapturePayment, ClosePeriod, CloseYear, Convert, CreateCharge,
    CreatePayment, CreateRefund, ManualKind, MovePeriod, MoveRefund, Operation, PlaceHold, PostEntry, PostPaymentFee,
    Recognise, RecordRate, Revalue, ReverseEntry, Transfer, VoidCharge, VoidHold, VoidPayment, WrittenApplication,
    WrittenChargeLine, WrittenLine, WrittenRefundPart, WrittenSource, WrittenTax,
};
use partita_core::period::{FiscalYear, PeriodId};
use partita_core::recognition::RecognisedUpTo;
use partita_core::time::Date;
use rust_decimal::Decimal;

use super::arith::minor_units;
use super::generate::{Generator, written};
use super::ledger::{Shelf, on};
use super::payments::{open_amount, unapplied};
use super::periods::accepted;

impl Generator {
    pub(crate) fn operation(&mut self, shelf: &Shelf) -> Operation {
        // A book without a chart opens accounts first.
        if shelf.accounts.len() < 18 && self.random.chance(40) {
            return self.open_account(shelf);
        }
        if self.random.chance(2) {
            return self.period_operation(shelf);
        }
        if self.random.chance(4) {
            return self.finance_operation(shelf);
        }
        match self.random.below(1_000) {
            0..6 => self.register_currency(),
            6..12 => self.open_account(shelf),
            12..18 => self.close_account(shelf),
            18..100 => Operation::PostEntry(self.entry(shelf)),
            100..115 => Operation::PostEntries(self.several(|own| own.entry(shelf))),
            115..220 => Operation::Transfer(self.transfer(shelf)),
            220..240 => Operation::Transfers(self.several(|own| own.transfer(shelf))),
            240..275 => self.reverse(shelf),
            275..325 => self.place_hold(shelf),
            325..375 => self.capture_hold(shelf),
            375..390 => Operation::VoidHold(VoidHold { id: self.pending_hold(shelf) }),
            390..520 => self.create_charge(shelf),
            520..540 => self.void_charge(shelf),
            540..680 => self.create_payment(shelf),
            680..725 => self.capture_payment(shelf),
            725..735 => Operation::VoidPayment(VoidPayment { id: self.authorised_payment(shelf) }),
            735..785 => self.apply_payment(shelf),
            785..815 => self.unapply_payment(shelf),
            815..845 => self.payment_fee(shelf),
            845..930 => self.create_refund(shelf),
            930..965 => {
                let id = self.fitting_id(&shelf.refunds, |refund| refund.state == RefundState::Pending);
                Operation::SettleRefund(MoveRefund { id, details: self.details() })
            }
            _ => {
                let id = self.fitting_id(&shelf.refunds, |refund| refund.state != RefundState::Failed);
                Operation::FailRefund(MoveRefund { id, details: self.details() })
            }
        }
    }

    /// A day around today or the end of the month before.
    fn near(&mut self) -> Date {
        let today = self.today();
        match self.random.below(3) {
            0 => PeriodId::of(today).previous().unwrap().last_day(),
            1 => today,
            _ => Date::from_days(today.days() + i32::try_from(self.random.below(60)).unwrap() - 30).unwrap(),
        }
    }

    fn finance_operation(&mut self, shelf: &Shelf) -> Operation {
        let metadata = self.details().metadata;
        match self.random.below(10) {
            0..4 => {
                let after = self.random.chance(15).then(|| RecognisedUpTo {
                    customer: Some(self.customer()),
                    item: Item::from(&self.known_id(&shelf.charges)),
                });
                Operation::Recognise(Recognise { through: self.near(), after, metadata })
            }
            4..6 => {
                let quote = shelf.currency_code(shelf.book.functional_currency);
                let base =
                    CurrencyCode::new(self.random.word(&["USD", "EUR", "JPY", "KWD", "CLF", "ETH", "XXQ"])).unwrap();
                let quote = if base == quote { CurrencyCode::new("GBP").unwrap() } else { quote };
                let mantissa = i64::try_from(1 + self.random.below(3_000_000)).unwrap();
                let rate = Decimal::new(mantissa, 1 + u32::try_from(self.random.below(6)).unwrap()).normalize();
                Operation::RecordRate(RecordRate { base, quote, date: self.near(), rate, source: "ECB".to_owned() })
            }
            6..8 => self.convert(shelf),
            8 => Operation::Revalue(Revalue { date: self.near() }),
            _ => {
                let year = FiscalYear::new(*self.random.pick(&[2025, 2025, 2026])).unwrap();
                Operation::CloseYear(CloseYear { year, metadata })
            }
        }
    }

    fn convert(&mut self, shelf: &Shelf) -> Operation {
        let (from, to) = (self.place(shelf), self.place(shelf));
        let functional = shelf.currency_code(shelf.book.functional_currency);
        let foreign = CurrencyCode::new(self.random.word(&["USD", "EUR", "JPY", "USDC", "XXQ"])).unwrap();
        let foreign = if foreign == functional { CurrencyCode::new("GBP").unwrap() } else { foreign };
        let (currency, received_currency) =
            if self.random.chance(70) { (foreign, functional) } else { (functional, foreign) };
        let amount = self.amount(Self::stands(shelf, &from, &currency), Self::decimals(shelf, &currency));
        let received = self.amount(None, Self::decimals(shelf, &received_currency));
        let fee = self.random.chance(30).then(|| self.amount(Some(100), Self::decimals(shelf, &received_currency)));
        let details = self.details();
        Operation::Convert(Convert { from, amount, currency, to, received, received_currency, fee, details })
    }

    /// Months before the current one are closed in turn, and reopened once all of them are.
    fn period_operation(&mut self, shelf: &Shelf) -> Operation {
        let current = PeriodId::of(self.today());
        let odd = self.random.chance(15).then(|| {
            let months = u32::try_from(self.random.below(5)).unwrap();
            PeriodId::from_months(current.months() - 3 + months).unwrap()
        });
        let reason = if self.random.chance(50) { String::new() } else { "month-end".to_owned() };
        let calendar = &shelf.calendar;
        let to_soft_close = shelf.first_open().filter(|period| *period < current);
        let to_close = calendar.closed_through.and_then(PeriodId::next).filter(|period| *period < current);
        match self.random.below(10) {
            0..4 => {
                let period = odd.or(to_soft_close).unwrap_or(current.previous().unwrap());
                Operation::SoftClosePeriod(MovePeriod { period, reason })
            }
            4..8 => {
                let period = odd.or(to_close).unwrap_or(current.previous().unwrap());
                let bits = if self.random.chance(70) { 7 } else { self.random.below(8) };
                Operation::ClosePeriod(ClosePeriod { period, accept: accepted(bits), reason })
            }
            _ => {
                let last = if self.random.chance(50) { calendar.closed_through } else { calendar.soft_closed_through };
                let period = odd.or(last).unwrap_or(current);
                Operation::ReopenPeriod(MovePeriod { period, reason: "a late invoice".to_owned() })
            }
        }
    }

    fn several<T>(&mut self, make: impl Fn(&mut Self) -> T) -> Vec<T> {
        let count = 1 + self.random.below(5);
        (0..count).map(|_| make(self)).collect()
    }

    /// What stands in a place on its normal side: an aim for amounts.
    fn stands(shelf: &Shelf, place: &AccountRef, code: &CurrencyCode) -> Option<i128> {
        let (account, currency) = (shelf.account_by_code(&place.code)?, shelf.currency(code)?);
        let money = match &place.item {
            Some(item) => shelf.item(&(account.id, place.party.clone(), item.clone(), currency.id)),
            None => shelf.subaccount(&(account.id, place.party.clone(), currency.id)),
        };
        Some(on(account.normal_side(), money))
    }

    fn entry(&mut self, shelf: &Shelf) -> PostEntry {
        let kind = *self.random.pick(&[
            ManualKind::Standard,
            ManualKind::Standard,
            ManualKind::Opening,
            ManualKind::Adjusting,
        ]);
        let mut lines = vec![];
        if self.random.rarely(200) {
            self.huge_lines(shelf, &mut lines);
        }
        let groups = if self.random.chance(15) { 2 } else { 1 };
        for _ in 0..groups {
            let currency = self.currency(shelf);
            let decimals = Self::decimals(shelf, &currency);
            let side = if self.random.chance(50) { Side::Debit } else { Side::Credit };
            let other = if side == Side::Debit { Side::Credit } else { Side::Debit };
            let place = self.place(shelf);
            let total = self.amount(Self::stands(shelf, &place, &currency), decimals);
            lines.push(WrittenLine { account: place, side, amount: total, currency: currency.clone() });
            let mut left = minor_units(total, decimals).unwrap_or(0);
            let parts = i128::try_from(self.random.below(3)).unwrap();
            for _ in 0..parts.min(left - 1) {
                let part = self.random.between(1, left.min(1 << 60)).min(left - 1).max(1);
                if part < left {
                    let amount = written(part, decimals);
                    lines.push(WrittenLine {
                        account: self.place(shelf),
                        side: other,
                        amount,
                        currency: currency.clone(),
                    });
                    left -= part;
                }
            }
            let amount = if left > 0 { written(left, decimals) } else { total };
            lines.push(WrittenLine { account: self.place(shelf), side: other, amount, currency });
        }
        PostEntry { kind, details: self.details(), lines }
    }

    /// Up to four hundred lines of the greatest amount: sums beyond every bound.
    fn huge_lines(&mut self, shelf: &Shelf, lines: &mut Vec<WrittenLine>) {
        let currency = CurrencyCode::new(self.random.word(&["ETH", "USD"])).unwrap();
        let amount = WrittenAmount::parse("999999999999999999").unwrap();
        let (debit, credit) = (self.place(shelf), self.place(shelf));
        let count = *self.random.pick(&[20, 60, 200]);
        for (account, side) in [(debit, Side::Debit), (credit, Side::Credit)] {
            let line = WrittenLine { account, side, amount, currency: currency.clone() };
            lines.extend(std::iter::repeat_n(line, count));
        }
    }

    fn transfer(&mut self, shelf: &Shelf) -> Transfer {
        let (debit, credit) = (self.place(shelf), self.place(shelf));
        let currency = self.currency(shelf);
        let aimed = if self.random.chance(50) { &debit } else { &credit };
        let amount = self.amount(Self::stands(shelf, aimed, &currency), Self::decimals(shelf, &currency));
        Transfer { debit, credit, amount, currency, details: self.details() }
    }

    fn reverse(&mut self, shelf: &Shelf) -> Operation {
        let newest = shelf.entries.len();
        let number = if self.random.chance(70) {
            newest.saturating_sub(self.random.below(20))
        } else {
            self.random.below(newest + 2)
        };
        let number = EntryNumber(u64::try_from(number).unwrap());
        Operation::ReverseEntry(ReverseEntry { number, details: self.details() })
    }

    fn place_hold(&mut self, shelf: &Shelf) -> Operation {
        let transfer = self.transfer(shelf);
        Operation::PlaceHold(PlaceHold {
            id: self.new_id(),
            debit: transfer.debit,
            credit: transfer.credit,
            amount: transfer.amount,
            currency: transfer.currency,
            expires_at: self.expiry(),
            description: transfer.details.description,
            metadata: transfer.details.metadata,
        })
    }

    fn pending_hold(&mut self, shelf: &Shelf) -> DocumentId {
        self.fitting_id(&shelf.holds, |hold| matches!(hold.state, HoldState::Pending | HoldState::PartiallyCaptured))
    }

    fn capture_hold(&mut self, shelf: &Shelf) -> Operation {
        let id = self.pending_hold(shelf);
        let hold = shelf.holds.get(&id);
        let decimals = hold.map_or(2, |hold| shelf.decimals(hold.currency));
        let amount = self.random.chance(70).then(|| self.amount(hold.map(|hold| hold.pending), decimals));
        Operation::CaptureHold(CaptureHold { id, amount, is_final: self.random.chance(50), details: self.details() })
    }

    fn create_charge(&mut self, shelf: &Shelf) -> Operation {
        let currency = self.currency(shelf);
        let decimals = Self::decimals(shelf, &currency);
        let foreign = currency != shelf.currency_code(shelf.book.functional_currency);
        let count = if self.random.chance(75) { 1 } else { 1 + self.random.below(4) };
        let lines = (0..count).map(|_| self.charge_line(shelf, decimals)).collect();
        let rate = (foreign && !self.random.chance(6)).then(|| {
            let (mantissa, scale) = *self.random.pick(&[(11, 1), (9_137, 4), (1, 6), (150_123_456_789, 9), (7, 0)]);
            Decimal::new(mantissa, scale)
        });
        Operation::CreateCharge(CreateCharge {
            id: self.new_id(),
            customer: self.customer(),
            currency,
            due_date: self.random.chance(40).then(|| Date::parse("2026-12-31").unwrap()),
            rate,
            lines,
            details: self.details(),
        })
    }

    fn charge_line(&mut self, shelf: &Shelf, decimals: u8) -> WrittenChargeLine {
        let usual = ["revenue:subscription", "revenue:sales"];
        let revenue = shelf.accounts.iter().find(|account| account.code.as_str() == self.random.word(&usual));
        let revenue = match revenue {
            Some(account) if self.random.chance(92) => account.code.clone(),
            Some(_) | None => self.place(shelf).code,
        };
        // A tenth is so small that roundings are as large as what is rounded.
        let tiny = self.random.chance(10);
        let amount = if tiny {
            written(self.random.between(2, 12), decimals)
        } else if self.random.chance(20) {
            written(self.random.between(1, 40), decimals)
        } else {
            self.amount(None, decimals)
        };
        let mut left = minor_units(amount, decimals).unwrap_or(0);
        let mut tax = vec![];
        let count = [0, 0, 1, 1, 1, 2, 3][self.random.below(7)];
        for _ in 0..if tiny { 4 } else { count } {
            let most = if tiny || self.random.chance(15) { left } else { left / 3 };
            if most > 0 {
                let part = self.random.between(1, most.min(1 << 60));
                left -= part;
                let finer = format!("0.{}5", "0".repeat(usize::from(decimals)));
                let too_fine = self.random.rarely(100);
                let amount = if too_fine { WrittenAmount::parse(&finer).unwrap() } else { written(part, decimals) };
                tax.push(WrittenTax { jurisdiction: self.jurisdiction(), amount });
            }
        }
        let defer = self
            .random
            .chance(15)
            .then(|| Deferral { from: Date::parse("2026-01-01").unwrap(), to: Date::parse("2026-12-31").unwrap() });
        WrittenChargeLine { revenue, amount, tax, defer }
    }

    fn void_charge(&mut self, shelf: &Shelf) -> Operation {
        let id = self.fitting_id(&shelf.charges, |charge| open_amount(shelf, charge) == charge.amount.minor());
        Operation::VoidCharge(VoidCharge { id, details: self.details() })
    }

    /// A charge that is still open, of this customer and currency if any is.
    fn open_charge(&mut self, shelf: &Shelf, like: Option<&Payment>) -> DocumentId {
        self.fitting_id(&shelf.charges, |charge| {
            open_amount(shelf, charge) > 0
                && like.is_none_or(|payment| payment.customer == charge.customer && payment.currency == charge.currency)
        })
    }

    fn application(
        &mut self,
        shelf: &Shelf,
        charge: DocumentId,
        aim: Option<i128>,
        decimals: u8,
    ) -> WrittenApplication {
        let open = shelf.charges.get(&charge).map(|charge| open_amount(shelf, charge));
        let aim = match (open, aim) {
            (Some(open), Some(aim)) => Some(open.min(aim)),
            (open, aim) => open.or(aim),
        };
        WrittenApplication { charge, amount: self.amount(aim, decimals) }
    }

    fn create_payment(&mut self, shelf: &Shelf) -> Operation {
        let target = self.open_charge(shelf, None);
        let charge = shelf.charges.get(&target);
        let follows = |own: &mut Self| charge.filter(|_| !own.random.chance(4));
        let customer = follows(self).map_or_else(|| self.customer(), |charge: &Charge| charge.customer.clone());
        let currency =
            follows(self).map(|charge| shelf.currency_code(charge.currency)).unwrap_or_else(|| self.currency(shelf));
        let decimals = Self::decimals(shelf, &currency);
        let amount = self.amount(charge.map(|charge| open_amount(shelf, charge)), decimals);
        let minor = minor_units(amount, decimals);
        let mut apply = vec![];
        if self.random.chance(75) {
            apply.push(self.application(shelf, target, minor, decimals));
        }
        if self.random.chance(15) {
            let other = self.open_charge(shelf, None);
            apply.push(self.application(shelf, other, None, decimals));
        }
        let mut seen = BTreeSet::new();
        apply.retain(|part| seen.insert(part.charge.clone()));
        let source = match self.random.below(10) {
            0..7 => WrittenSource::Processor(self.processor()),
            7..9 if shelf.accounts.iter().any(|account| account.code.as_str() == "assets:bank") => {
                WrittenSource::Account(partita_core::id::AccountCode::new("assets:bank").unwrap())
            }
            _ => WrittenSource::Account(self.place(shelf).code),
        };
        let manual = self.random.chance(45);
        let pays_fee = !manual && self.random.chance(20);
        Operation::CreatePayment(CreatePayment {
            id: self.new_id(),
            customer,
            source,
            amount,
            currency,
            capture: if manual { CaptureMode::Manual } else { CaptureMode::Automatic },
            apply,
            fee: pays_fee.then(|| self.amount(Some(30), decimals)),
            expires_at: if manual { self.expiry() } else { None },
            details: self.details(),
        })
    }

    fn authorised_payment(&mut self, shelf: &Shelf) -> DocumentId {
        let open =
            |payment: &Payment| matches!(payment.state, PaymentState::Authorised | PaymentState::PartiallyCaptured);
        self.fitting_id(&shelf.payments, open)
    }

    fn applications(&mut self, shelf: &Shelf, payment: Option<&Payment>, aim: Option<i128>) -> Vec<WrittenApplication> {
        let decimals = payment.map_or(2, |payment| shelf.decimals(payment.currency));
        let count = 1 + usize::from(self.random.chance(20));
        let mut apply = vec![];
        for _ in 0..count {
            let charge = self.open_charge(shelf, payment);
            apply.push(self.application(shelf, charge, aim, decimals));
        }
        let mut seen = BTreeSet::new();
        apply.retain(|part| seen.insert(part.charge.clone()));
        apply
    }

    fn capture_payment(&mut self, shelf: &Shelf) -> Operation {
        let id = self.authorised_payment(shelf);
        let payment = shelf.payments.get(&id);
        let decimals = payment.map_or(2, |payment| shelf.decimals(payment.currency));
        let amount = self.random.chance(70).then(|| self.amount(payment.map(|payment| payment.pending), decimals));
        let apply = self.random.chance(40).then(|| self.applications(shelf, payment, None));
        Operation::CapturePayment(CapturePayment {
            id,
            amount,
            is_final: self.random.chance(50),
            apply,
            fee: self.random.chance(20).then(|| self.amount(Some(30), decimals)),
            details: self.details(),
        })
    }

    fn apply_payment(&mut self, shelf: &Shelf) -> Operation {
        let id = self.fitting_id(&shelf.payments, |payment| unapplied(shelf, payment) > 0);
        let payment = shelf.payments.get(&id);
        let apply = self.applications(shelf, payment, payment.map(|payment| unapplied(shelf, payment)));
        Operation::ApplyPayment(ApplyPayment { id, apply, details: self.details() })
    }

    fn unapply_payment(&mut self, shelf: &Shelf) -> Operation {
        let id = self.fitting_id(&shelf.payments, |payment| !payment.applications.is_empty());
        let mut apply = vec![];
        if let Some(payment) = shelf.payments.get(&id) {
            let decimals = shelf.decimals(payment.currency);
            for application in payment.applications.clone() {
                if apply.is_empty() || self.random.chance(50) {
                    let amount = self.amount(Some(application.amount - application.refunded), decimals);
                    apply.push(WrittenApplication { charge: application.charge, amount });
                }
            }
        }
        if apply.is_empty() {
            apply.push(WrittenApplication { charge: self.known_id(&shelf.charges), amount: self.amount(None, 2) });
        }
        Operation::UnapplyPayment(ApplyPayment { id, apply, details: self.details() })
    }

    fn payment_fee(&mut self, shelf: &Shelf) -> Operation {
        let id = self.fitting_id(&shelf.payments, |payment| payment.captured > 0);
        let payment = shelf.payments.get(&id);
        let decimals = payment.map_or(2, |payment| shelf.decimals(payment.currency));
        let returned = self.random.chance(40);
        let aim = payment.map(|payment| payment.fees).filter(|fees| returned && *fees > 0).unwrap_or(30);
        Operation::PostPaymentFee(PostPaymentFee {
            id,
            amount: self.amount(Some(aim), decimals),
            returned,
            details: self.details(),
        })
    }

    fn create_refund(&mut self, shelf: &Shelf) -> Operation {
        let id = self.fitting_id(&shelf.payments, |payment| payment.captured > payment.refunded);
        let payment = shelf.payments.get(&id);
        let decimals = payment.map_or(2, |payment| shelf.decimals(payment.currency));
        let mut amount = self.amount(payment.map(|payment| payment.captured - payment.refunded), decimals);
        let mut from = None;
        if let Some(payment) = payment.filter(|_| self.random.chance(50)) {
            let parts = self.refund_parts(shelf, payment);
            let total = parts.iter().try_fold(0i128, |total, part| {
                let (WrittenRefundPart::Unapplied { amount } | WrittenRefundPart::Charge { amount, .. }) = part;
                Some(total + minor_units(*amount, decimals)?)
            });
            if let Some(total) = total.filter(|total| *total > 0 && *total < 10i128.pow(18 + u32::from(decimals))) {
                amount = written(total, decimals);
                from = Some(parts);
            }
        }
        let settle = if self.random.chance(50) { SettleMode::Automatic } else { SettleMode::Manual };
        let reason = "requested_by_customer".to_owned();
        Operation::CreateRefund(CreateRefund {
            id: self.new_id(),
            payment: id,
            amount,
            settle,
            reason,
            from,
            details: self.details(),
        })
    }

    fn refund_parts(&mut self, shelf: &Shelf, payment: &Payment) -> Vec<WrittenRefundPart> {
        let decimals = shelf.decimals(payment.currency);
        let mut parts = vec![];
        let cash = unapplied(shelf, payment);
        if cash > 0 && self.random.chance(60) {
            parts.push(WrittenRefundPart::Unapplied { amount: self.amount(Some(cash), decimals) });
        }
        for application in &payment.applications {
            if self.random.chance(70) {
                let amount = self.amount(Some(application.amount - application.refunded), decimals);
                parts.push(WrittenRefundPart::Charge { charge: application.charge.clone(), amount });
            }
        }
        if self.random.chance(5) {
            let charge = self.known_id(&shelf.charges);
            let named = |part: &WrittenRefundPart| matches!(part, WrittenRefundPart::Charge { charge: other, .. } if *other == charge);
            if !parts.iter().any(named) {
                parts.push(WrittenRefundPart::Charge { charge, amount: self.amount(None, decimals) });
            }
        }
        parts
    }
}
