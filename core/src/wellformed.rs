//! What holds of every operation before it is proposed, whatever the state: the bounds that posting rules rely on.
//!
//! The edge refuses such requests with better words, field by field; this is the last gate, so that a gap there is
//! a refused request and not a state machine that stops on its own assertion.

use crate::document::CaptureMode;
use crate::entry::{MAX_DESCRIPTION, MAX_LINES, MAX_METADATA, Metadata, Side};
use crate::id::CurrencyCode;
use crate::money::{MAX_DECIMALS, WrittenAmount};
use crate::operation::{
    CreateCharge, CreatePayment, CreateRefund, Currencies, Details, MAX_BATCH, MAX_CHARGE_TAX_LINES, MAX_NAME,
    MAX_PARTS, MAX_TAX_LINES, MAX_WORD, OpenAccount, OpenBook, Operation, PostEntry, WrittenApplication, WrittenLine,
    WrittenRefundPart,
};
use crate::period::Month;

/// Why an operation cannot be proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// The scale that amounts are compared at here: the most fraction digits that one can have.
const SCALE: u32 = 20;

/// `Ok` if every posting rule's preconditions on the request itself hold.
pub fn check(operation: &Operation) -> Result<(), Malformed> {
    match operation {
        Operation::CloseAccount(_) | Operation::VoidHold(_) | Operation::VoidPayment(_) => Ok(()),
        Operation::OpenBook(open) => check_book(open),
        Operation::OpenFiscalBook(open) => {
            require(open.first_month != Month::JANUARY, "calendar years are opened without a first month")?;
            check_book(&open.book)
        }
        Operation::RegisterCurrency(register) => {
            require(register.decimals <= MAX_DECIMALS, "a currency has at most 18 decimals")
        }
        Operation::OpenAccount(open) => check_account(open),
        Operation::PostEntry(entry) => check_entry(entry),
        Operation::PostEntries(entries) => {
            require((1..=MAX_BATCH).contains(&entries.len()), "a batch has 1 to 10,000 elements")?;
            entries.iter().try_for_each(check_entry)
        }
        Operation::Transfer(transfer) => check_details(&transfer.details),
        Operation::Transfers(transfers) => {
            require((1..=MAX_BATCH).contains(&transfers.len()), "a batch has 1 to 10,000 elements")?;
            transfers.iter().try_for_each(|transfer| check_details(&transfer.details))
        }
        Operation::ReverseEntry(reverse) => check_details(&reverse.details),
        Operation::PlaceHold(place) => check_texts(&place.description, &place.metadata),
        Operation::CaptureHold(capture) => check_details(&capture.details),
        Operation::CreateCharge(charge) => check_charge(charge),
        Operation::VoidCharge(void) => check_details(&void.details),
        Operation::CreatePayment(payment) => check_payment(payment),
        Operation::CapturePayment(capture) => {
            check_parts(capture.apply.as_deref().unwrap_or_default())?;
            check_details(&capture.details)
        }
        Operation::ApplyPayment(apply) | Operation::UnapplyPayment(apply) => {
            require(!apply.apply.is_empty(), "at least one application is named")?;
            check_parts(&apply.apply)?;
            check_details(&apply.details)
        }
        Operation::PostPaymentFee(fee) => check_details(&fee.details),
        Operation::CreateRefund(refund) => check_refund(refund),
        Operation::SettleRefund(moved) | Operation::FailRefund(moved) => check_details(&moved.details),
        Operation::SoftClosePeriod(moved) => check_reason(&moved.reason),
        Operation::ClosePeriod(close) => {
            let in_order = close.accept.windows(2).all(|pair| pair[0] < pair[1]);
            require(in_order, "each kind of blocker is accepted once")?;
            check_reason(&close.reason)
        }
        Operation::ReopenPeriod(moved) => {
            require(!moved.reason.is_empty(), "a period is reopened for a reason")?;
            check_reason(&moved.reason)
        }
        Operation::Recognise(recognise) => check_texts("", &recognise.metadata),
        Operation::RecordRate(record) => {
            require(record.rate.mantissa() > 0, "a rate is greater than zero")?;
            require(record.base != record.quote, "a rate is between two currencies")?;
            check_length(&record.source, MAX_WORD)
        }
        Operation::Convert(convert) => {
            require(convert.currency != convert.received_currency, "a conversion is between two currencies")?;
            check_details(&convert.details)
        }
        Operation::Revalue(_) => Ok(()),
        Operation::CloseYear(close) => check_texts("", &close.metadata),
    }
}

fn check_book(open: &OpenBook) -> Result<(), Malformed> {
    check_length(&open.name, MAX_NAME)?;
    check_length(&open.time_zone, MAX_WORD)
}

fn check_reason(reason: &str) -> Result<(), Malformed> {
    require(reason.chars().count() <= MAX_DESCRIPTION, "a reason has at most 500 characters")
}

fn require(holds: bool, rule: &'static str) -> Result<(), Malformed> {
    if holds { Ok(()) } else { Err(Malformed(rule)) }
}

fn check_length(text: &str, most: usize) -> Result<(), Malformed> {
    require(text.chars().count() <= most, "a name has at most 200 characters; a number, time zone or reason 64")
}

fn check_account(open: &OpenAccount) -> Result<(), Malformed> {
    check_length(&open.name, MAX_NAME)?;
    check_length(open.number.as_deref().unwrap_or_default(), MAX_WORD)?;
    match &open.currencies {
        Currencies::Any => Ok(()),
        Currencies::Only(codes) => {
            require(
                !codes.is_empty() && codes.windows(2).all(|pair| pair[0] < pair[1]),
                "an account's currencies are one or more, each once",
            )?;
            require(codes.len() <= MAX_PARTS, "an account names at most 100 currencies")
        }
    }
}

fn check_details(details: &Details) -> Result<(), Malformed> {
    check_texts(&details.description, &details.metadata)
}

fn check_texts(description: &str, metadata: &Metadata) -> Result<(), Malformed> {
    let (pairs, longest_name, longest_value) = MAX_METADATA;
    require(description.chars().count() <= MAX_DESCRIPTION, "a description has at most 500 characters")?;
    let bounded = |(name, value): (&String, &String)| {
        name.chars().count() <= longest_name && value.chars().count() <= longest_value
    };
    require(
        metadata.len() <= pairs && metadata.iter().all(bounded),
        "metadata has at most 50 pairs of 40 and 500 characters",
    )
}

fn check_entry(entry: &PostEntry) -> Result<(), Malformed> {
    require((2..=MAX_LINES).contains(&entry.lines.len()), "an entry has 2 to 1,000 lines")?;
    require(balances(&entry.lines), "an entry balances in every currency")?;
    check_details(&entry.details)
}

/// Whether debits equal credits in every currency, as written. A difference that does not fit 128 bits is one.
fn balances(lines: &[WrittenLine]) -> bool {
    let mut currencies: Vec<&CurrencyCode> = lines.iter().map(|line| &line.currency).collect();
    currencies.sort_unstable();
    currencies.dedup();
    currencies.into_iter().all(|currency| {
        let of_currency = lines.iter().filter(|line| line.currency == *currency);
        let of_side = |side| of_currency.clone().filter(move |line| line.side == side).map(|line| line.amount);
        Sum::of(of_side(Side::Debit)) == Sum::of(of_side(Side::Credit))
    })
}

fn check_charge(charge: &CreateCharge) -> Result<(), Malformed> {
    require((1..=MAX_PARTS).contains(&charge.lines.len()), "a charge has 1 to 100 lines")?;
    for line in &charge.lines {
        require(line.tax.len() <= MAX_TAX_LINES, "a charge's line has at most 10 tax lines")?;
        let tax = Sum::of(line.tax.iter().map(|tax| tax.amount));
        require(tax <= Sum::of([line.amount]), "a line's tax is at most its amount")?;
        require(line.defer.is_none_or(|defer| defer.from <= defer.to), "a deferral's days are in order")?;
    }
    let tax_lines: usize = charge.lines.iter().map(|line| line.tax.len()).sum();
    require(tax_lines <= MAX_CHARGE_TAX_LINES, "a charge has at most 200 tax lines")?;
    require(charge.rate.is_none_or(|rate| rate.mantissa() > 0), "a rate is greater than zero")?;
    check_details(&charge.details)
}

fn check_payment(payment: &CreatePayment) -> Result<(), Malformed> {
    match payment.capture {
        CaptureMode::Automatic => require(payment.expires_at.is_none(), "only an authorisation expires")?,
        CaptureMode::Manual => require(payment.fee.is_none(), "a fee comes with the capture")?,
    }
    check_parts(&payment.apply)?;
    check_details(&payment.details)
}

fn check_parts(apply: &[WrittenApplication]) -> Result<(), Malformed> {
    require(apply.len() <= MAX_PARTS, "a request names at most 100 applications")
}

fn check_refund(refund: &CreateRefund) -> Result<(), Malformed> {
    check_details(&refund.details)?;
    check_length(&refund.reason, MAX_WORD)?;
    let Some(parts) = &refund.from else { return Ok(()) };
    require((1..=MAX_PARTS).contains(&parts.len()), "a refund has 1 to 100 parts")?;
    let source = |part: &WrittenRefundPart| match part {
        WrittenRefundPart::Unapplied { .. } => None,
        WrittenRefundPart::Charge { charge, .. } => Some(charge.clone()),
    };
    let amount = |part: &WrittenRefundPart| match part {
        WrittenRefundPart::Unapplied { amount } | WrittenRefundPart::Charge { amount, .. } => *amount,
    };
    let mut sources: Vec<_> = parts.iter().map(source).collect();
    sources.sort_unstable();
    require(sources.windows(2).all(|pair| pair[0] != pair[1]), "a refund names each source once")?;
    require(Sum::of(parts.iter().map(amount)) == Sum::of([refund.amount]), "a refund's parts add up to its amount")
}

/// An exact sum of at most 10,000 written amounts: whole units and 10^-20ths, so that neither part overflows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Sum {
    units: u128,
    fraction: u128,
}

impl Sum {
    fn of(amounts: impl IntoIterator<Item = WrittenAmount>) -> Self {
        let one = 10u128.pow(SCALE);
        amounts.into_iter().fold(Self::default(), |sum, amount| {
            let (mantissa, scale) = amount.parts();
            let unit = 10u128.pow(u32::from(scale));
            let fraction = sum.fraction + mantissa % unit * 10u128.pow(SCALE - u32::from(scale));
            Self { units: sum.units + mantissa / unit + fraction / one, fraction: fraction % one }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::SettleMode;
    use crate::entry::MAX_LINES;
    use crate::id::{AccountCode, DocumentId};
    use crate::operation::{AccountRef, ManualKind};

    fn line(side: Side, amount: &str, currency: &str) -> WrittenLine {
        let account = AccountRef { code: AccountCode::new("assets:bank").unwrap(), party: None, item: None };
        let amount = WrittenAmount::parse(amount).unwrap();
        WrittenLine { account, side, amount, currency: CurrencyCode::new(currency).unwrap() }
    }

    fn entry(lines: Vec<WrittenLine>) -> Operation {
        Operation::PostEntry(PostEntry { kind: ManualKind::Standard, details: Details::default(), lines })
    }

    #[test]
    fn entries_balance_in_every_currency_at_any_scale() {
        let balanced = |lines| check(&entry(lines)) == Ok(());
        assert!(balanced(vec![line(Side::Debit, "1.5", "USD"), line(Side::Credit, "1.50", "USD")]));
        assert!(!balanced(vec![line(Side::Debit, "1.5", "USD"), line(Side::Credit, "1.5", "EUR")]));
        let greatest = "999999999999999999.99999999999999999999";
        let mut lines = vec![];
        for _ in 0..MAX_LINES / 2 {
            lines.push(line(Side::Debit, greatest, "ETH"));
            lines.push(line(Side::Credit, greatest, "ETH"));
        }
        assert!(balanced(lines.clone()));
        lines[0] = line(Side::Debit, "999999999999999999.99999999999999999998", "ETH");
        assert!(!balanced(lines));
    }

    #[test]
    fn a_refund_names_each_source_once_and_adds_up() {
        let amount = |text| WrittenAmount::parse(text).unwrap();
        let charge =
            |id, text| WrittenRefundPart::Charge { charge: DocumentId::new(id).unwrap(), amount: amount(text) };
        let refund = |parts| {
            Operation::CreateRefund(CreateRefund {
                id: DocumentId::new("re_1").unwrap(),
                payment: DocumentId::new("pay_1").unwrap(),
                amount: amount("3"),
                settle: SettleMode::Manual,
                reason: String::new(),
                from: Some(parts),
                details: Details::default(),
            })
        };
        assert_eq!(check(&refund(vec![charge("a", "1"), charge("b", "2.00")])), Ok(()));
        assert_eq!(
            check(&refund(vec![charge("a", "1"), charge("a", "2")])),
            Err(Malformed("a refund names each source once"))
        );
        assert_eq!(check(&refund(vec![charge("a", "1")])), Err(Malformed("a refund's parts add up to its amount")));
        assert!(check(&refund(vec![])).is_err());
    }
}
