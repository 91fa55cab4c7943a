//! JSON: the header's members, then `rows` and `totals`, or `sections` of them. Amounts are strings, as everywhere.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Cell, Column, Frame, Header, Rendering, Row, Section};

#[derive(Debug, Default)]
pub(super) struct Json {
    /// Whether something stands before in the list that is open.
    has_section: bool,
    has_row: bool,
}

/// A row as an object, in the order of the columns.
struct Object<'a> {
    columns: &'a [Column],
    row: &'a Row,
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.columns.len()))?;
        for (column, cell) in self.columns.iter().zip(self.row) {
            match cell {
                Cell::Number(number) => map.serialize_entry(column.name, number)?,
                Cell::Empty | Cell::Text(_) | Cell::Date(_) | Cell::Amount(_) => {
                    map.serialize_entry(column.name, &cell.value())?;
                }
            }
        }
        map.end()
    }
}

impl Serialize for Header {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("report", self.report)?;
        map.serialize_entry("title", &self.title)?;
        map.serialize_entry("book", &self.book)?;
        map.serialize_entry("as_of", &self.as_of.to_string())?;
        map.serialize_entry("from", &self.from.map(|from| from.to_string()))?;
        map.serialize_entry("known_at", &self.known_at())?;
        map.serialize_entry("final", &self.is_final)?;
        for (name, value) in &self.options {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("position", &self.position.0)?;
        map.serialize_entry("last_entry", &self.last_entry.0)?;
        map.serialize_entry("head", &self.head())?;
        map.serialize_entry("head_position", &self.head_position.0)?;
        map.end()
    }
}

fn write(value: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("texts and numbers are JSON, and memory takes what is written");
}

fn list(frame: &Frame, rows: &[Row], has_row: &mut bool, out: &mut Vec<u8>) {
    for row in rows {
        if std::mem::replace(has_row, true) {
            out.push(b',');
        }
        write(&Object { columns: &frame.columns, row }, out);
    }
}

fn totals(frame: &Frame, rows: &[Row], out: &mut Vec<u8>) {
    out.extend_from_slice(b"],\"totals\":[");
    list(frame, rows, &mut false, out);
    out.push(b']');
}

impl Rendering for Json {
    fn measure(&mut self, _frame: &Frame, _rows: &[Row]) {}

    fn open(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        write(&frame.header, out);
        // The object goes on.
        out.pop();
        let lists: &[u8] = if frame.has_sections { b",\"sections\":[" } else { b",\"rows\":[" };
        out.extend_from_slice(lists);
    }

    fn open_section(&mut self, _frame: &Frame, section: &Section, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_section, true) {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"name\":");
        write(&section.name, out);
        out.extend_from_slice(b",\"title\":");
        write(&section.title, out);
        out.extend_from_slice(b",\"rows\":[");
        self.has_row = false;
    }

    fn rows(&mut self, frame: &Frame, rows: &[Row], out: &mut Vec<u8>) {
        list(frame, rows, &mut self.has_row, out);
    }

    fn close_section(&mut self, frame: &Frame, rows: &[Row], out: &mut Vec<u8>) {
        totals(frame, rows, out);
        out.push(b'}');
    }

    fn close(&mut self, frame: &Frame, rows: &[Row], out: &mut Vec<u8>) {
        totals(frame, rows, out);
        out.push(b'}');
    }
}
