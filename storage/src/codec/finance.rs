//! Rates, the valued FX position, and what was recognised of charges.

use partita_core::fx::{Rate, Valuation, Valued};
use partita_core::recognition::{Recognised, RecognisedUpTo, RecognitionRun};

stored_struct!(Rate { base, quote, date, rate, source, decided });
stored_struct!(Valued { currency, balance, rate, rate_date, value });
stored_struct!(Valuation { date, currencies, functional, difference });
stored_struct!(Recognised { charge, customer, lines, through, last_entry, decided });
stored_struct!(RecognisedUpTo { customer, item });
stored_struct!(RecognitionRun { through, charges, amount, next });
