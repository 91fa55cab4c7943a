//! Reports: the quarter in every format, what each report's options mean, and that the past never changes.

mod known_at;
mod quarter;
mod statements;

pub(crate) use quarter::settled;
