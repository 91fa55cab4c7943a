//! Each rendering of one small report that has everything which could go wrong in it.

use partita_core::id::{EntryNumber, Position};
use partita_core::money::Formatted;
use partita_core::time::{Date, Timestamp};

use super::respond::render;
use super::{Cell, Column, FormatForm, Frame, Header, Piece, Report, Section};

fn sample(has_sections: bool) -> Report {
    let date = |text: &str| Date::parse(text).unwrap();
    let header = Header {
        report: "sample",
        title: "Sample".to_owned(),
        book: "acme".to_owned(),
        as_of: date("2026-03-31"),
        from: Some(date("2026-01-01")),
        known_at: Some(Timestamp(1_775_000_000_000_000_000)),
        is_final: true,
        position: Position(7),
        last_entry: EntryNumber(5),
        head: [0xAB; 32],
        head_position: Position(9),
        options: vec![("customer", "=1+1".to_owned())],
    };
    let columns = vec![
        Column::date("date", "Date"),
        Column::number("entry", "Entry"),
        Column::text("name", "Name"),
        Column::text("code", "Code").unprinted(),
        Column::text("currency", "Currency"),
        Column::amount("amount", "Amount"),
    ];
    let amount = |minor, decimals| Cell::Amount(Formatted { minor, decimals });
    let row = |day: &str, entry, name: &str, currency: &str, amount: Cell| {
        vec![
            Cell::Date(date(day)),
            Cell::Number(entry),
            Cell::text(name),
            Cell::text("c"),
            Cell::text(currency),
            amount,
        ]
    };
    let total = |currency: &str, amount: Cell| {
        vec![Cell::Empty, Cell::Empty, Cell::text("Total"), Cell::Empty, Cell::text(currency), amount]
    };
    let first = vec![
        row("2026-01-02", 1, "=SUM(A1), \"quoted\" <b>&</b>", "USD", amount(123_456, 2)),
        row("2026-01-03", 2, "-1 'dash'", "USD", amount(-5_000, 2)),
    ];
    let second = vec![row("2026-01-04", 30, "Münze 日本", "JPY", amount(120, 0)), {
        let mut row = row("2026-01-05", 31, "nothing", "JPY", Cell::Empty);
        row[0] = Cell::Empty;
        row
    }];
    let section = |name: &str, title: &str| Piece::Section(Section { name: name.to_owned(), title: title.to_owned() });
    let pieces = if has_sections {
        vec![
            section("usd", "In <dollars>"),
            Piece::Rows(first),
            Piece::Totals(vec![total("USD", amount(118_456, 2))]),
            section("empty", "Nothing here"),
            Piece::Totals(vec![]),
            section("jpy", "In yen"),
            Piece::Rows(second),
            Piece::Totals(vec![]),
            Piece::End(vec![total("USD", amount(118_456, 2)), total("JPY", amount(120, 0))]),
        ]
    } else {
        vec![Piece::Rows(first), Piece::Rows(second), Piece::End(vec![total("USD", amount(118_456, 2))])]
    };
    Report { frame: Frame { header, columns, has_sections }, pieces }
}

fn rendered(format: FormatForm, has_sections: bool) -> String {
    String::from_utf8(render(&sample(has_sections), format)).unwrap()
}

#[test]
fn json_is_one_object_whose_rows_have_a_member_for_each_column() {
    let flat: serde_json::Value = serde_json::from_str(&rendered(FormatForm::Json, false)).unwrap();
    assert_eq!(flat["rows"].as_array().unwrap().len(), 4);
    assert_eq!(flat["rows"][1]["amount"], "-50.00");
    assert_eq!(flat["rows"][3]["amount"], serde_json::Value::Null);
    insta::assert_snapshot!(rendered(FormatForm::Json, true));
}

#[test]
fn csv_is_read_back_as_it_was_meant() {
    for has_sections in [false, true] {
        let text = rendered(FormatForm::Csv, has_sections);
        let mut reader = ::csv::Reader::from_reader(text.as_bytes());
        let records: Vec<_> = reader.records().map(|record| record.unwrap()).collect();
        assert_eq!(records.len(), 4);
        assert!(text.lines().all(|line| line.is_empty() || text.contains("\r\n")));
    }
    insta::assert_snapshot!(rendered(FormatForm::Csv, true));
}

#[test]
fn text_is_a_table() {
    insta::assert_snapshot!("text_in_sections", rendered(FormatForm::Text, true));
    insta::assert_snapshot!("text_in_one_list", rendered(FormatForm::Text, false));
}

#[test]
fn html_is_one_escaped_page() {
    let page = rendered(FormatForm::Html, true);
    assert!(!page.contains("<b>") && !page.contains("http") && !page.contains("<script"), "{page}");
    insta::assert_snapshot!(page);
}
