//! What makes a load honest: every answer says *posted*, and the ledger's own sum is what was acknowledged.

use hyper::StatusCode;
use memchr::memchr_iter;

use super::super::client::Client;
use super::body::BINARY_TYPE;
use super::{BenchError, Load};

/// A posted transfer in a binary answer: status, number, position, decimals, two balances.
const BINARY_RESULT: usize = 1 + 8 + 8 + 1 + 16 + 16;

/// Whether a batch's answer says that all `size` items were posted. As cheap as it can be without trusting anything: a
/// result of any other status begins otherwise.
pub(super) fn is_all_posted(content_type: &[u8], body: &[u8], size: usize) -> bool {
    if content_type.eq_ignore_ascii_case(BINARY_TYPE.as_bytes()) {
        let (head, results) = body.split_at_checked(5).unwrap_or((&[], &[]));
        return head.first() == Some(&0)
            && results.len() == size * BINARY_RESULT
            && results.chunks_exact(BINARY_RESULT).all(|result| result[0] == 0);
    }
    let mut objects = memchr_iter(b'{', body);
    let posted = |start: usize| body[start..].starts_with(b"{\"status\":\"posted\"");
    let is_list = objects.next() == Some(0) && body.starts_with(b"{\"results\":[");
    let mut count = 0;
    let all_posted = objects.all(|start| {
        count += 1;
        posted(start)
    });
    is_list && all_posted && count == size
}

pub(super) fn is_created(status: u16) -> bool {
    status == StatusCode::CREATED.as_u16()
}

/// Whether so many balances were shown.
pub(super) fn are_balances(status: u16, body: &[u8], count: usize) -> bool {
    const SHOWN: &[u8] = b"\"balance\":\"";
    let shown = memchr_iter(b'"', body).filter(|start| body[*start..].starts_with(SHOWN));
    status == StatusCode::OK.as_u16() && shown.count() == count
}

/// The ledger's own sum must be what was acknowledged: nothing lost, nothing twice. Every write is of 1.00.
pub(super) async fn total(load: &Load, client: &Client, book: &str, acknowledged: u64) -> Result<(), BenchError> {
    let report = client.get_json(&format!("/v1/books/{book}/reports/trial-balance"), &[]).await?;
    let total = report["totals"][0]["debits"].as_str().unwrap_or("nothing").to_owned();
    if total == format!("{acknowledged}.00") {
        return Ok(());
    }
    Err(BenchError::WrongTotal { load: load.name.clone(), acknowledged, total })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_balances_must_be_shown_as_were_asked_for() {
        let two =
            br#"{"data":[{"balances":[{"currency":"USD","balance":"1.00"}]},{"balances":[{"balance":"-2.00"}]}]}"#;
        assert!(are_balances(200, two, 2));
        assert!(!are_balances(200, two, 1) && !are_balances(200, two, 3) && !are_balances(503, two, 2));
    }

    #[test]
    fn an_answer_that_does_not_say_posted_of_all_is_found_out() {
        let posted = r#"{"status":"posted","number":1,"position":2,"balances":["1.00","2.00"]}"#;
        let answer = |results: &[&str]| format!(r#"{{"results":[{}]}}"#, results.join(","));
        let is_all = |answer: &str, size| is_all_posted(b"application/json", answer.as_bytes(), size);
        assert!(is_all(&answer(&[posted, posted]), 2));
        assert!(!is_all(&answer(&[posted, posted]), 3));
        assert!(!is_all(&answer(&[posted, posted]), 1));
        assert!(!is_all(&answer(&[posted, r#"{"status":"rejected","position":3,"code":"overdraft"}"#]), 2));
        assert!(!is_all(&answer(&[posted, r#"{"status":"replayed","number":1,"position":2}"#]), 2));
        assert!(!is_all(r#"{"code":"malformed"}"#, 1));
        assert!(!is_all("", 0));

        let mut binary = vec![0, 2, 0, 0, 0];
        binary.resize(5 + 2 * BINARY_RESULT, 0);
        assert!(is_all_posted(BINARY_TYPE.as_bytes(), &binary, 2));
        assert!(!is_all_posted(BINARY_TYPE.as_bytes(), &binary, 1));
        binary[5 + BINARY_RESULT] = 2;
        assert!(!is_all_posted(BINARY_TYPE.as_bytes(), &binary, 2));
        assert!(!is_all_posted(BINARY_TYPE.as_bytes(), b"", 0));
    }
}
