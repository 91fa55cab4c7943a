//! Currencies and their exponents: ISO 4217's, frozen here, and those that a book registers.
//!
//! The table is part of the replicated rules: a library update must never change how many decimals an
//! amount has, or replicas would disagree. A test holds it against the `iso_currency` crate.

use crate::id::{CurrencyCode, CurrencyId, Position};

/// A currency as one book knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Currency {
    pub id: CurrencyId,
    pub code: CurrencyCode,
    /// Digits after the decimal point of its minor unit, 0 to 18.
    pub decimals: u8,
    /// The decision that registered it; the first position of all (0) for ISO 4217.
    pub decided: Position,
}

/// Currencies that a book registers are numbered from here, above every ISO numeric code.
pub const FIRST_REGISTERED: u16 = 1000;
/// The most currencies that a book registers; its running totals have a row for each.
pub const MAX_REGISTERED: u16 = 1000;

/// ISO 4217: code, numeric code, exponent. Precious metals and test codes have no minor unit and are left out.
#[rustfmt::skip]
pub const ISO_4217: &[(&str, u16, u8)] = &[
    ("AED", 784, 2), ("AFN", 971, 2), ("ALL", 8, 2), ("AMD", 51, 2), ("AOA", 973, 2), ("ARS", 32, 2), ("AUD", 36, 2),
    ("AWG", 533, 2), ("AZN", 944, 2), ("BAM", 977, 2), ("BBD", 52, 2), ("BDT", 50, 2), ("BGN", 975, 2),
    ("BHD", 48, 3), ("BIF", 108, 0), ("BMD", 60, 2), ("BND", 96, 2), ("BOB", 68, 2), ("BOV", 984, 2), ("BRL", 986, 2),
    ("BSD", 44, 2), ("BTN", 64, 2), ("BWP", 72, 2), ("BYN", 933, 2), ("BZD", 84, 2), ("CAD", 124, 2), ("CDF", 976, 2),
    ("CHE", 947, 2), ("CHF", 756, 2), ("CHW", 948, 2), ("CLF", 990, 4), ("CLP", 152, 0), ("CNY", 156, 2),
    ("COP", 170, 2), ("COU", 970, 2), ("CRC", 188, 2), ("CUC", 931, 2), ("CUP", 192, 2), ("CVE", 132, 2),
    ("CZK", 203, 2), ("DJF", 262, 0), ("DKK", 208, 2), ("DOP", 214, 2), ("DZD", 12, 2), ("EGP", 818, 2),
    ("ERN", 232, 2), ("ETB", 230, 2), ("EUR", 978, 2), ("FJD", 242, 2), ("FKP", 238, 2), ("GBP", 826, 2),
    ("GEL", 981, 2), ("GHS", 936, 2), ("GIP", 292, 2), ("GMD", 270, 2), ("GNF", 324, 0), ("GTQ", 320, 2),
    ("GYD", 328, 2), ("HKD", 344, 2), ("HNL", 340, 2), ("HRK", 191, 2), ("HTG", 332, 2), ("HUF", 348, 2),
    ("IDR", 360, 2), ("ILS", 376, 2), ("INR", 356, 2), ("IQD", 368, 3), ("IRR", 364, 2), ("ISK", 352, 0),
    ("JMD", 388, 2), ("JOD", 400, 3), ("JPY", 392, 0), ("KES", 404, 2), ("KGS", 417, 2), ("KHR", 116, 2),
    ("KMF", 174, 0), ("KPW", 408, 2), ("KRW", 410, 0), ("KWD", 414, 3), ("KYD", 136, 2), ("KZT", 398, 2),
    ("LAK", 418, 2), ("LBP", 422, 2), ("LKR", 144, 2), ("LRD", 430, 2), ("LSL", 426, 2), ("LYD", 434, 3),
    ("MAD", 504, 2), ("MDL", 498, 2), ("MGA", 969, 2), ("MKD", 807, 2), ("MMK", 104, 2), ("MNT", 496, 2),
    ("MOP", 446, 2), ("MRU", 929, 2), ("MUR", 480, 2), ("MVR", 462, 2), ("MWK", 454, 2), ("MXN", 484, 2),
    ("MXV", 979, 2), ("MYR", 458, 2), ("MZN", 943, 2), ("NAD", 516, 2), ("NGN", 566, 2), ("NIO", 558, 2),
    ("NOK", 578, 2), ("NPR", 524, 2), ("NZD", 554, 2), ("OMR", 512, 3), ("PAB", 590, 2), ("PEN", 604, 2),
    ("PGK", 598, 2), ("PHP", 608, 2), ("PKR", 586, 2), ("PLN", 985, 2), ("PYG", 600, 0), ("QAR", 634, 2),
    ("RON", 946, 2), ("RSD", 941, 2), ("RUB", 643, 2), ("RWF", 646, 0), ("SAR", 682, 2), ("SBD", 90, 2),
    ("SCR", 690, 2), ("SDG", 938, 2), ("SEK", 752, 2), ("SGD", 702, 2), ("SHP", 654, 2), ("SLE", 925, 2),
    ("SLL", 694, 2), ("SOS", 706, 2), ("SRD", 968, 2), ("SSP", 728, 2), ("STN", 930, 2), ("SVC", 222, 2),
    ("SYP", 760, 2), ("SZL", 748, 2), ("THB", 764, 2), ("TJS", 972, 2), ("TMT", 934, 2), ("TND", 788, 3),
    ("TOP", 776, 2), ("TRY", 949, 2), ("TTD", 780, 2), ("TWD", 901, 2), ("TZS", 834, 2), ("UAH", 980, 2),
    ("UGX", 800, 0), ("USD", 840, 2), ("USN", 997, 2), ("UYI", 940, 0), ("UYU", 858, 2), ("UYW", 927, 4),
    ("UZS", 860, 2), ("VED", 926, 2), ("VES", 928, 2), ("VND", 704, 0), ("VUV", 548, 0), ("WST", 882, 2),
    ("XAD", 396, 2), ("XAF", 950, 0), ("XCD", 951, 2), ("XCG", 532, 2), ("XOF", 952, 0), ("XPF", 953, 0),
    ("YER", 886, 2), ("ZAR", 710, 2), ("ZMW", 967, 2), ("ZWG", 924, 2), ("ZWL", 932, 2),
];

/// The codes as numbers, in the same order: every line asks for one.
static ISO_CODES: [u32; ISO_4217.len()] = {
    let mut codes = [0; ISO_4217.len()];
    let mut index = 0;
    while index < codes.len() {
        let [first, second, third] = *ISO_4217[index].0.as_bytes() else { panic!("ISO codes have three letters") };
        codes[index] = as_number([first, second, third]);
        index += 1;
    }
    codes
};

const fn as_number([first, second, third]: [u8; 3]) -> u32 {
    u32::from_be_bytes([0, first, second, third])
}

/// The ISO 4217 currency of this code.
#[must_use]
pub fn iso_by_code(code: &CurrencyCode) -> Option<Currency> {
    let letters: [u8; 3] = code.as_str().as_bytes().try_into().ok()?;
    let index = ISO_CODES.binary_search(&as_number(letters)).ok()?;
    let (_, number, decimals) = ISO_4217[index];
    Some(Currency { id: CurrencyId(number), code: code.clone(), decimals, decided: Position(0) })
}

/// The ISO 4217 currency of this numeric code.
#[must_use]
pub fn iso_by_id(id: CurrencyId) -> Option<Currency> {
    let (code, number, decimals) = *ISO_4217.iter().find(|row| row.1 == id.0)?;
    let code = CurrencyCode::new(code).expect("ISO codes are currency codes");
    Some(Currency { id: CurrencyId(number), code, decimals, decided: Position(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frozen_table_is_sorted_and_without_duplicates() {
        assert!(ISO_4217.windows(2).all(|pair| pair[0].0 < pair[1].0));
        let mut numbers: Vec<u16> = ISO_4217.iter().map(|row| row.1).collect();
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(numbers.iter().all(|number| *number < FIRST_REGISTERED));
        for (code, number, decimals) in ISO_4217 {
            let found = iso_by_code(&CurrencyCode::new(code).unwrap()).unwrap();
            assert_eq!((found.id.0, found.decimals), (*number, *decimals), "{code}");
        }
    }

    #[test]
    fn the_frozen_table_agrees_with_the_library() {
        let mut compared = 0;
        for (code, number, decimals) in ISO_4217 {
            if let Some(currency) = iso_currency::Currency::from_code(code) {
                assert_eq!(currency.numeric(), *number, "{code}");
                if let Some(exponent) = currency.exponent() {
                    assert_eq!(exponent, u16::from(*decimals), "{code}");
                }
                compared += 1;
            }
        }
        assert!(compared > 150, "only {compared} currencies compared");
    }

    #[test]
    fn exponents_differ() {
        let decimals = |code| iso_by_code(&CurrencyCode::new(code).unwrap()).unwrap().decimals;
        assert_eq!([decimals("JPY"), decimals("USD"), decimals("KWD"), decimals("CLF")], [0, 2, 3, 4]);
        assert_eq!(iso_by_code(&CurrencyCode::new("ETH").unwrap()), None);
    }
}
