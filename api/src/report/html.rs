//! HTML: one page without anything from elsewhere, that prints well; what is below zero stands in parentheses.

use super::{Frame, Kind, Rendering, Row, Section};

const STYLE: &str = "\
body{font:10pt/1.35 system-ui,sans-serif;margin:2em;color:#111}\
h1{font-size:1.5em;margin:0}h2{font-size:1.1em;margin:1.4em 0 .3em}\
p{margin:.2em 0}footer{margin-top:1.5em;font-size:.8em;color:#555;overflow-wrap:anywhere}\
table{border-collapse:collapse;width:100%}\
th,td{padding:.15em .6em;text-align:left;vertical-align:top}\
th{border-bottom:1px solid #111}td{border-bottom:1px solid #e4e4e4}\
tfoot td{border-top:1px solid #111;border-bottom:none;font-weight:600}\
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\
@page{margin:15mm}\
@media print{body{margin:0;font-size:8.5pt}thead{display:table-header-group}tr{break-inside:avoid}}";

#[derive(Debug, Default)]
pub(super) struct Html {
    is_table_open: bool,
}

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn push_escaped(out: &mut Vec<u8>, text: &str) {
    for character in text.chars() {
        match character {
            '&' => push(out, "&amp;"),
            '<' => push(out, "&lt;"),
            '>' => push(out, "&gt;"),
            '"' => push(out, "&quot;"),
            '\'' => push(out, "&#39;"),
            other => push(out, other.encode_utf8(&mut [0; 4])),
        }
    }
}

fn push_element(out: &mut Vec<u8>, name: &str, text: &str) {
    push(out, &format!("<{name}>"));
    push_escaped(out, text);
    push(out, &format!("</{name}>\n"));
}

fn push_cell(out: &mut Vec<u8>, name: &str, kind: Kind, text: &str) {
    let class = match kind {
        Kind::Amount | Kind::Number => " class=\"n\"",
        Kind::Text | Kind::Date => "",
    };
    push(out, &format!("<{name}{class}>"));
    push_escaped(out, text);
    push(out, &format!("</{name}>"));
}

fn push_rows(frame: &Frame, rows: &[Row], out: &mut Vec<u8>) {
    for row in rows {
        push(out, "<tr>");
        for (column, cell) in frame.columns.iter().zip(row).filter(|(column, _)| column.is_printed) {
            push_cell(out, "td", column.kind, &cell.printed());
        }
        push(out, "</tr>\n");
    }
}

impl Html {
    fn open_table(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.is_table_open, true) {
            return;
        }
        push(out, "<table>\n<thead><tr>");
        for column in frame.columns.iter().filter(|column| column.is_printed) {
            push_cell(out, "th", column.kind, &column.heading);
        }
        push(out, "</tr></thead>\n<tbody>\n");
    }

    fn close_table(&mut self, frame: &Frame, totals: &[Row], out: &mut Vec<u8>) {
        if !totals.is_empty() {
            self.open_table(frame, out);
        }
        if !std::mem::replace(&mut self.is_table_open, false) {
            return;
        }
        push(out, "</tbody>\n");
        if !totals.is_empty() {
            push(out, "<tfoot>\n");
            push_rows(frame, totals, out);
            push(out, "</tfoot>\n");
        }
        push(out, "</table>\n");
    }
}

impl Rendering for Html {
    fn measure(&mut self, _frame: &Frame, _rows: &[Row]) {}

    fn open(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        let header = &frame.header;
        let title = format!("{} of {}", header.title, header.book);
        push(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        push_element(out, "title", &format!("{title}, {}", header.as_of));
        push(out, &format!("<style>{STYLE}</style>\n</head>\n<body>\n"));
        push_element(out, "h1", &title);
        push_element(out, "p", &header.scope());
    }

    fn open_section(&mut self, _frame: &Frame, section: &Section, out: &mut Vec<u8>) {
        push_element(out, "h2", &section.title);
    }

    fn rows(&mut self, frame: &Frame, rows: &[Row], out: &mut Vec<u8>) {
        self.open_table(frame, out);
        push_rows(frame, rows, out);
    }

    fn close_section(&mut self, frame: &Frame, totals: &[Row], out: &mut Vec<u8>) {
        self.close_table(frame, totals, out);
    }

    fn close(&mut self, frame: &Frame, totals: &[Row], out: &mut Vec<u8>) {
        if frame.has_sections && !totals.is_empty() {
            push_element(out, "h2", "Total");
        }
        self.close_table(frame, totals, out);
        push_element(out, "footer", &frame.header.source());
        push(out, "</body>\n</html>\n");
    }
}
