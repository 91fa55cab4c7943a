//! Text scenarios: see `support/`.

mod support;
