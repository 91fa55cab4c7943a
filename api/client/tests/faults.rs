//! The client against servers that do what they are told: refuse, break off, keep silent. What it asks again, where, and
//! what it says in the end.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::join_all;
use partita_client::{Amount, Client, Code, Config, Error, Failure, Transfer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone, Copy, Debug)]
enum Act {
    /// 200, with a result for each item.
    Post,
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
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let items = body["transfers"].as_array().unwrap();
        let keys: Vec<_> = items.iter().map(|item| item["idempotency_key"].as_str().unwrap().to_owned()).collect();
        seen.lock().unwrap().push(keys.clone());
        let act = {
            let mut script = script.lock().unwrap();
            if script.len() > 1 { script.pop_front().unwrap() } else { script[0] }
        };
        let (status, answer) = match act {
            Act::Post => {
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

async fn request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                return Some(body.as_bytes().to_vec());
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
