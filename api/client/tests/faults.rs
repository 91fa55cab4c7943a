//! The client against servers that do what they are told: refuse, break off, keep silent. What it asks again, where, and
//! what it says in the end.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::join_all;
use partita_client::{Amount, Client, Code, Config, Error, Failure, Transfer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BINARY: &str = "application/vnd.partita.transfers.v1";

#[derive(Clone, Copy, Debug)]
enum Act {
    /// 200, with a result for each item.
    Post,
    /// The same in the binary form.
    PostBinary,
    /// The same, to JSON; to anything else 415.
    PostJson,
    /// This status, with this code.
    Say(u16, &'static str),
    /// 200, and what is no answer.
    Garble,
    BreakOff,
    KeepSilent,
}

/// A server with a script; when it is at its end the last act is repeated.
struct Server {
    url: String,
    /// The keys of each request, in their order.
    seen: Arc<Mutex<Vec<Vec<String>>>>,
}

async fn server(script: &[Act]) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let script = Arc::new(Mutex::new(script.iter().copied().collect::<VecDeque<_>>()));
    let shared = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&shared)));
        }
    });
    Server { url, seen }
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<VecDeque<Act>>>, seen: Arc<Mutex<Vec<Vec<String>>>>) {
    while let Some(body) = request(&mut stream).await {
        let is_json = body[0] == b'{';
        let keys = if is_json { json_keys(&body) } else { binary_keys(&body) };
        seen.lock().unwrap().push(keys.clone());
        let act = {
            let mut script = script.lock().unwrap();
            if script.len() > 1 { script.pop_front().unwrap() } else { script[0] }
        };
        let (status, answer) = match act {
            Act::PostJson if !is_json => (415, r#"{"code":"unsupported_media_type"}"#.to_owned()),
            Act::PostBinary => {
                let count = u32::try_from(keys.len()).unwrap();
                let mut answer = vec![0];
                answer.extend_from_slice(&count.to_le_bytes());
                for number in 1..=u64::from(count) {
                    // Replayed: a status and two numbers.
                    answer.push(1);
                    answer.extend_from_slice(&number.to_le_bytes());
                    answer.extend_from_slice(&7_u64.to_le_bytes());
                }
                let head =
                    format!("HTTP/1.1 200 x\r\ncontent-type: {BINARY}\r\ncontent-length: {}\r\n\r\n", answer.len());
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(&answer).await.unwrap();
                continue;
            }
            Act::Post | Act::PostJson => {
                let result =
                    |number| format!(r#"{{"status":"posted","number":{number},"position":7,"balances":["1","2"]}}"#);
                let results: Vec<_> = (1..=keys.len()).map(result).collect();
                (200, format!(r#"{{"results":[{}]}}"#, results.join(",")))
            }
            Act::Say(status, code) => (status, format!(r#"{{"code":"{code}","detail":"as told","status":{status}}}"#)),
            Act::Garble => (200, r#"{"results":[]}"#.to_owned()),
            Act::BreakOff => return,
            Act::KeepSilent => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                return;
            }
        };
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all((head + &answer).as_bytes()).await.unwrap();
    }
}

fn json_keys(body: &[u8]) -> Vec<String> {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    let items = body["transfers"].as_array().unwrap();
    items.iter().map(|item| item["idempotency_key"].as_str().unwrap().to_owned()).collect()
}

/// Of items without details.
fn binary_keys(body: &[u8]) -> Vec<String> {
    let (head, mut rest) = body.split_at(5);
    let mut keys = Vec::new();
    while !rest.is_empty() {
        assert_eq!(rest[0], 0, "no details");
        let mut at = 1;
        let mut texts = Vec::new();
        for _text in 0..4 {
            let end = at + 1 + usize::from(rest[at]);
            texts.push(String::from_utf8(rest[at + 1..end].to_vec()).unwrap());
            at = end;
        }
        keys.push(texts.remove(0));
        rest = &rest[at + 1 + 16..];
    }
    assert_eq!(head[1..], u32::try_from(keys.len()).unwrap().to_le_bytes());
    keys
}

async fn request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let body = &bytes[end + 4..];
            if body.len() == length.parse::<usize>().unwrap() {
                let is_json = head.contains("content-type: application/json");
                assert_eq!(is_json, body[0] == b'{', "{head}");
                return Some(body.to_vec());
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn config(deadline_ms: u64) -> Config {
    let (deadline, attempt) = (Duration::from_millis(deadline_ms), Duration::from_millis(200));
    Config { deadline, attempt, ..Config::default() }
}

fn transfer() -> Transfer<'static> {
    Transfer::new("a", "b", Amount::new(1, 0), "USD")
}

#[tokio::test]
async fn what_does_not_serve_is_left_for_the_next_with_the_same_keys() {
    for act in [
        Act::Say(503, "no_leader"),
        Act::Say(503, "overloaded"),
        Act::Say(504, "outcome_unknown"),
        Act::Say(500, "internal"),
        Act::Say(429, "rate_limited"),
        Act::Say(408, "request_timeout"),
        Act::BreakOff,
        Act::KeepSilent,
    ] {
        let (bad, good) = (server(&[act]).await, server(&[Act::Post]).await);
        let book = Client::with(&format!("{},{}", bad.url, good.url), config(5_000)).unwrap().book("acme");
        assert_eq!(book.transfer(&transfer()).await.unwrap().number, 1, "{act:?}");
        let (bad, good) = (bad.seen.lock().unwrap().clone(), good.seen.lock().unwrap().clone());
        assert_eq!((bad.len(), &bad), (1, &good), "{act:?}");
    }
}

#[tokio::test]
async fn a_node_that_is_alone_is_asked_again() {
    let script =
        [Act::Say(503, "overloaded"), Act::BreakOff, Act::Say(504, "outcome_unknown"), Act::KeepSilent, Act::Post];
    let node = server(&script).await;
    let book = Client::with(&node.url, config(10_000)).unwrap().book("acme");
    assert_eq!(book.transfer(&transfer()).await.unwrap().number, 1);
    let seen = node.seen.lock().unwrap();
    assert_eq!(seen.len(), script.len());
    assert!(seen.iter().all(|keys| *keys == seen[0]));
}

#[tokio::test]
async fn at_the_deadline_it_says_what_is_known() {
    for (script, is_known) in [
        (&[Act::Say(503, "no_leader")][..], true),
        (&[Act::Say(504, "outcome_unknown")], false),
        (&[Act::Say(504, "outcome_unknown"), Act::Say(503, "no_leader")], false),
        (&[Act::BreakOff], false),
        (&[Act::KeepSilent], false),
        (&[Act::Garble], false),
        (&[Act::Say(504, "outcome_unknown"), Act::Say(404, "not_found")], false),
    ] {
        let node = server(script).await;
        let book = Client::with(&node.url, config(400)).unwrap().book("acme");
        let began = Instant::now();
        let error = book.transfer(&transfer()).await.unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(2), "{script:?}: after {:?}", began.elapsed());
        let seen = node.seen.lock().unwrap();
        match error {
            Error::OutcomeUnknown { key, .. } => assert!(!is_known && seen[0] == [key.clone()], "{script:?}: {key}"),
            Error::Unavailable { .. } => assert!(is_known, "{script:?}"),
            other => panic!("{script:?}: {other:?}"),
        }
    }
    // A port that nobody listens on.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let book = Client::with(&format!("http://{free}"), config(200)).unwrap().book("acme");
    match book.transfer(&transfer()).await {
        Err(Error::Unavailable { last }) => assert!(matches!(*last, Failure::Connect { .. }), "{last:?}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_binary_form_is_used_once_it_was_seen_and_left_where_it_is_not_taken() {
    let node = server(&[Act::PostBinary, Act::PostBinary, Act::PostJson]).await;
    let book = Client::with(&node.url, config(300)).unwrap().book("acme");
    // JSON answered in binary, then binary answered in binary.
    assert!(book.transfer(&transfer()).await.unwrap().is_replayed);
    assert!(book.transfer(&transfer()).await.unwrap().is_replayed);
    // An older node has taken the place of the one before: nothing is decided, and the next call is JSON again.
    match book.transfer(&transfer()).await {
        Err(Error::Unavailable { last }) => assert!(matches!(*last, Failure::Answered { status: 415, .. }), "{last:?}"),
        other => panic!("{other:?}"),
    }
    assert!(!book.transfer(&transfer()).await.unwrap().is_replayed);
    // With another node beside it that takes it, nobody notices.
    let (old, new) = (server(&[Act::PostBinary, Act::PostJson]).await, server(&[Act::PostBinary]).await);
    let book = Client::with(&format!("{},{}", old.url, new.url), config(5_000)).unwrap().book("acme");
    for _call in 0..3 {
        assert!(book.transfer(&transfer()).await.unwrap().is_replayed);
    }
    assert_eq!((old.seen.lock().unwrap().len(), new.seen.lock().unwrap().len()), (2, 2));
}

#[tokio::test]
async fn a_refusal_of_the_whole_request_is_everybodys() {
    let node = server(&[Act::Say(403, "forbidden")]).await;
    let book = Client::with(&node.url, config(5_000)).unwrap().book("acme");
    let calls = join_all((0..10).map(|_caller| {
        let book = book.clone();
        async move { book.transfer(&transfer()).await }
    }));
    for result in calls.await {
        match result {
            Err(Error::Refused(refusal)) => assert_eq!((&refusal.code, refusal.position), (&Code::Forbidden, None)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(node.seen.lock().unwrap().len(), 1);
}

#[test]
fn a_runtime_that_ends_leaves_no_caller_waiting() {
    let own = tokio::runtime::Runtime::new().unwrap();
    let other = tokio::runtime::Runtime::new().unwrap();
    let node = own.block_on(server(&[Act::KeepSilent]));
    let book = Client::with(&node.url, Config { requests: 1, ..Config::default() }).unwrap().book("acme");
    // The first call's runtime is the sender's.
    let (first, second) = (book.clone(), book.clone());
    other.spawn(async move { first.transfer(&transfer()).await });
    while node.seen.lock().unwrap().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let waiting = own.spawn(async move { second.transfer(&transfer()).await });
    std::thread::sleep(Duration::from_millis(50));
    other.shutdown_timeout(Duration::from_secs(5));
    let error = own.block_on(async { tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap() });
    match error {
        Err(Error::Unavailable { last }) => assert!(matches!(*last, Failure::Ended), "{last:?}"),
        other => panic!("{other:?}"),
    }
}
