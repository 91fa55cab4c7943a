//! JSON, an object a line, each with its `type`: first the export itself and the chart, then the opening balances, the
//! entries in the forms of the API, the closing balances, and a line that says that it is the last.

use serde::Serialize;

use super::Notation;
use super::slice::{Balance, Export};
use crate::app::App;
use crate::routes::accounts::{AccountJson, SideJson};
use crate::routes::entries::EntryJson;

pub(crate) struct Lines;

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Export {
        book: &'a str,
        name: &'a str,
        functional_currency: String,
        after_entry: u64,
        from: Option<String>,
        to: Option<String>,
        position: u64,
        last_entry: u64,
        head: String,
    },
    Currency {
        code: &'a str,
        decimals: u8,
    },
    Account(AccountJson),
    Opening(BalanceJson<'a>),
    Entry(&'a EntryJson),
    Balance(BalanceJson<'a>),
    End {
        entries: u64,
    },
}

/// Everything ever posted to an account in a currency, and what remains on the account's normal side.
#[derive(Serialize)]
struct BalanceJson<'a> {
    account: &'a str,
    currency: &'a str,
    debits: String,
    credits: String,
    side: SideJson,
    balance: String,
}

fn write(out: &mut String, line: &Line<'_>) {
    out.push_str(&serde_json::to_string(line).expect("a line's form is JSON"));
    out.push('\n');
}

fn balance_json<'a>(export: &Export, balance: &'a Balance) -> BalanceJson<'a> {
    use partita_core::entry::Side;
    let money = |minor| export.money(minor, &balance.currency);
    let normal = balance.account.normal_side();
    BalanceJson {
        account: balance.account.code.as_str(),
        currency: balance.currency.code.as_str(),
        debits: money(balance.sums.debits),
        credits: money(balance.sums.credits),
        side: SideJson::of(normal),
        balance: money(match normal {
            Side::Debit => balance.net(),
            Side::Credit => -balance.net(),
        }),
    }
}

impl Notation for Lines {
    fn head(&self, app: &App, export: &Export, out: &mut String) {
        let book = &export.names.book;
        let day = |day: Option<partita_core::time::Date>| day.map(|day| day.to_string());
        let line = Line::Export {
            book: book.code.as_str(),
            name: &book.name,
            functional_currency: export.names.currency_code(book.functional_currency),
            after_entry: export.slice.after_entry.0,
            from: day(export.slice.from),
            to: day(export.slice.to),
            position: export.position.0,
            last_entry: export.last_entry.0,
            head: export.head_text(),
        };
        write(out, &line);
        for currency in &export.currencies {
            write(out, &Line::Currency { code: currency.code.as_str(), decimals: currency.decimals });
        }
        let mut moments = app.moments();
        for account in &export.accounts {
            write(out, &Line::Account(AccountJson::of(account, &export.names, moments.of(account.decided))));
        }
        for balance in &export.opening {
            write(out, &Line::Opening(balance_json(export, balance)));
        }
    }

    fn entry(&self, _export: &Export, entry: &EntryJson, out: &mut String) {
        write(out, &Line::Entry(entry));
    }

    fn end(&self, export: &Export, entries: u64, out: &mut String) {
        for balance in &export.closing {
            write(out, &Line::Balance(balance_json(export, balance)));
        }
        write(out, &Line::End { entries });
    }
}
