//! A batch's answer, read by hand: what was posted becomes numbers in place, only refusals are looked into as JSON.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::amount::Amount;
use crate::error::{Error, Refusal, beginning};

/// What was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The entry's number in its book.
    pub number: u64,
    /// The decision's place in the journal.
    pub position: u64,
    /// Whether the key was decided before, with the same content: it is that decision, and posted once.
    pub is_replayed: bool,
    balances: Balances,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Balances {
    /// What a transfer has, without an allocation.
    Two([Amount; 2]),
    Many(Vec<Amount>),
}

impl Posted {
    pub(crate) fn two(number: u64, position: u64, balances: [Amount; 2]) -> Self {
        Self { number, position, is_replayed: false, balances: Balances::Two(balances) }
    }

    pub(crate) fn replayed(number: u64, position: u64) -> Self {
        Self { number, position, is_replayed: true, balances: Balances::Many(Vec::new()) }
    }

    /// The balances of each line's (account, party, currency) after it, in the lines' order: of a transfer the debited
    /// account's, then the credited one's. A replay does not have them.
    #[must_use]
    pub fn balances(&self) -> &[Amount] {
        match &self.balances {
            Balances::Two(two) => two,
            Balances::Many(many) => many,
        }
    }
}

/// Deeper than any answer is; what is not looked at may be anything.
const MAX_DEPTH: u32 = 64;

/// The answer is not what a batch is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotResults;

/// `{"results":[…]}`; `each` is given them in their order. How many there were.
pub(crate) fn read_results(body: &[u8], mut each: impl FnMut(Result<Posted, Error>)) -> Result<usize, NotResults> {
    let mut cursor = Cursor { body, at: 0, depth: 0 };
    let mut count = 0;
    cursor.members(|cursor, name| {
        if name != b"results" {
            return cursor.skip_value();
        }
        cursor.elements(|cursor| {
            each(cursor.result()?);
            count += 1;
            Ok(())
        })
    })?;
    cursor.space();
    if cursor.at == body.len() { Ok(count) } else { Err(NotResults) }
}

struct Cursor<'a> {
    body: &'a [u8],
    at: usize,
    depth: u32,
}

impl<'a> Cursor<'a> {
    fn space(&mut self) {
        while matches!(self.body.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Result<(), NotResults> {
        self.space();
        if self.body.get(self.at) != Some(&byte) {
            return Err(NotResults);
        }
        self.at += 1;
        Ok(())
    }

    fn peek(&mut self) -> Result<u8, NotResults> {
        self.space();
        self.body.get(self.at).copied().ok_or(NotResults)
    }

    /// The text between the quotes as it stands there, escapes and all.
    fn text(&mut self) -> Result<&'a [u8], NotResults> {
        self.take(b'"')?;
        let start = self.at;
        loop {
            match self.body.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
                None => return Err(NotResults),
            }
        }
        self.at += 1;
        self.body.get(start..self.at - 1).ok_or(NotResults)
    }

    fn number(&mut self) -> Result<u64, NotResults> {
        self.space();
        let start = self.at;
        let mut number: u64 = 0;
        while let Some(digit @ b'0'..=b'9') = self.body.get(self.at) {
            number =
                number.checked_mul(10).and_then(|ten| ten.checked_add(u64::from(digit - b'0'))).ok_or(NotResults)?;
            self.at += 1;
        }
        if self.at == start { Err(NotResults) } else { Ok(number) }
    }

    fn members(
        &mut self,
        mut member: impl FnMut(&mut Self, &'a [u8]) -> Result<(), NotResults>,
    ) -> Result<(), NotResults> {
        self.take(b'{')?;
        if self.peek()? == b'}' {
            return self.take(b'}');
        }
        loop {
            let name = self.text()?;
            self.take(b':')?;
            member(self, name)?;
            match self.peek()? {
                b',' => self.take(b',')?,
                _ => return self.take(b'}'),
            }
        }
    }

    fn elements(&mut self, mut element: impl FnMut(&mut Self) -> Result<(), NotResults>) -> Result<(), NotResults> {
        self.take(b'[')?;
        if self.peek()? == b']' {
            return self.take(b']');
        }
        loop {
            element(self)?;
            match self.peek()? {
                b',' => self.take(b',')?,
                _ => return self.take(b']'),
            }
        }
    }

    fn skip_value(&mut self) -> Result<(), NotResults> {
        match self.peek()? {
            b'"' => self.text().map(|_text| ()),
            b'{' | b'[' if self.depth == MAX_DEPTH => Err(NotResults),
            open @ (b'{' | b'[') => {
                self.depth += 1;
                match open {
                    b'{' => self.members(|cursor, _name| cursor.skip_value())?,
                    _ => self.elements(Self::skip_value)?,
                }
                self.depth -= 1;
                Ok(())
            }
            _ => {
                let start = self.at;
                while matches!(self.body.get(self.at), Some(b'0'..=b'9' | b'a'..=b'z' | b'-' | b'+' | b'.' | b'E')) {
                    self.at += 1;
                }
                if self.at == start { Err(NotResults) } else { Ok(()) }
            }
        }
    }

    fn result(&mut self) -> Result<Result<Posted, Error>, NotResults> {
        self.space();
        let start = self.at;
        let (mut status, mut number, mut position) = (&b""[..], None, None);
        let mut balances = Balances::Many(Vec::new());
        let mut is_refused = false;
        self.members(|cursor, name| {
            match name {
                b"status" => status = cursor.text()?,
                b"number" => number = Some(cursor.number()?),
                b"position" => position = Some(cursor.number()?),
                b"balances" => balances = cursor.balances()?,
                b"code" => {
                    is_refused = true;
                    cursor.skip_value()?;
                }
                _ => cursor.skip_value()?,
            }
            Ok(())
        })?;
        let is_replayed = match status {
            b"posted" | b"rejected" => false,
            b"replayed" => true,
            _ => return Err(NotResults),
        };
        if is_refused {
            let object = &self.body[start..self.at];
            let mut fields: Map<String, Value> = serde_json::from_slice(object).map_err(|_no_json| NotResults)?;
            fields.remove("status");
            return Ok(Err(Error::Refused(Arc::new(Refusal::of(fields, is_replayed).ok_or(NotResults)?))));
        }
        match (number, position) {
            (Some(number), Some(position)) => Ok(Ok(Posted { number, position, is_replayed, balances })),
            _ => Err(NotResults),
        }
    }

    fn balances(&mut self) -> Result<Balances, NotResults> {
        let mut two = [Amount::new(0, 0); 2];
        let mut many = Vec::new();
        let mut count = 0;
        self.elements(|cursor| {
            let amount = Amount::read(cursor.text()?).ok_or(NotResults)?;
            if count < 2 {
                two[count] = amount;
            } else {
                if count == 2 {
                    many.extend(two);
                }
                many.push(amount);
            }
            count += 1;
            Ok(())
        })?;
        Ok(match count {
            2 => Balances::Two(two),
            0 | 1 => Balances::Many(two[..count].to_vec()),
            _ => Balances::Many(many),
        })
    }
}

/// A problem document, if it is one.
pub(crate) fn read_problem(body: &[u8], is_replayed: bool) -> Option<Refusal> {
    let mut fields: Map<String, Value> = serde_json::from_slice(body).ok()?;
    for known in ["type", "title", "status"] {
        fields.remove(known);
    }
    Refusal::of(fields, is_replayed)
}

/// What an answer says, in a line for people.
pub(crate) fn said(body: &[u8]) -> String {
    read_problem(body, false).map_or_else(|| beginning(body), |refusal| refusal.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::Code;

    fn all(body: &[u8]) -> Result<Vec<Result<Posted, Error>>, NotResults> {
        let mut results = Vec::new();
        let count = read_results(body, |result| results.push(result))?;
        assert_eq!(count, results.len());
        Ok(results)
    }

    #[test]
    fn every_kind_of_result_is_read() {
        let body = br#" {"extra":[{"a":"}\"]"},-1.5e3,null,true,[]],"results":[
            {"status":"posted","number":3,"position":7,"balances":["-1.00","2.50"]},
            {"status":"replayed","number":2,"position":5},
            {"status":"rejected","position":8,"code":"overdraft","available":"0.40","why":{"x":[1]}},
            {"status":"replayed","position":6,"code":"something_new"},
            {"status":"rejected","code":"idempotency_key_reused","decided_at":4},
            {"position":9,"number":4,"balances":["1","2","3"],"status":"posted","new":{"a":[1,2]}}]} "#;
        let results = all(body).unwrap();
        let posted = |index: usize| results[index].as_ref().unwrap().clone();
        let refusal = |index: usize| match results[index].clone() {
            Err(Error::Refused(refusal)) => refusal,
            other => panic!("{other:?} is no refusal"),
        };
        assert_eq!((posted(0).number, posted(0).position, posted(0).is_replayed), (3, 7, false));
        assert_eq!(posted(0).balances(), [Amount::new(-100, 2), Amount::new(250, 2)]);
        assert_eq!((posted(1).number, posted(1).position, posted(1).is_replayed), (2, 5, true));
        assert_eq!(posted(1).balances(), []);
        let overdraft = refusal(2);
        assert_eq!((&overdraft.code, overdraft.position, overdraft.is_replayed), (&Code::Overdraft, Some(8), false));
        assert_eq!(overdraft.text("available"), Some("0.40"));
        assert_eq!(Value::Object(overdraft.fields.clone()), json!({"available": "0.40", "why": {"x": [1]}}));
        assert_eq!((refusal(3).code.as_str(), refusal(3).is_replayed), ("something_new", true));
        assert_eq!((&refusal(4).code, refusal(4).position), (&Code::IdempotencyKeyReused, None));
        assert_eq!(posted(5).balances(), [1, 2, 3].map(|units| Amount::new(units, 0)));
        assert_eq!(results.len(), 6);
    }

    #[test]
    fn nothing_is_followed_to_any_depth() {
        let deep = format!("{{\"x\":{}", "[".repeat(1_000_000));
        assert_eq!(all(deep.as_bytes()).err(), Some(NotResults));
    }

    #[test]
    fn what_is_not_whole_is_no_answer() {
        let whole = br#"{"results":[{"status":"posted","number":3,"position":7,"balances":["1.00","2.00"]}]}"#;
        assert!(all(whole).is_ok());
        for end in 0..whole.len() {
            assert_eq!(all(&whole[..end]).err(), Some(NotResults), "{}", String::from_utf8_lossy(&whole[..end]));
        }
        for body in [
            &br#"{"results":[{"status":"odd","number":3,"position":7}]}"#[..],
            br#"{"results":[{"status":"posted","number":3}]}"#,
            br#"{"results":[{"status":"posted","number":-3,"position":7}]}"#,
            br#"{"results":[{"status":"posted","number":99999999999999999999,"position":7}]}"#,
            br#"{"results":[]} x"#,
            b"<html>",
        ] {
            assert_eq!(all(body).err(), Some(NotResults), "{}", String::from_utf8_lossy(body));
        }
        assert_eq!(all(b"{}").unwrap().len(), 0);
    }
}
