//! The server over real sockets: slow callers are cut off, requests under way are answered at shutdown.

use std::net::SocketAddr;

use partita_api::serve::accept;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, timeout};

use crate::support::Ledger;

struct Served {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

async fn serve(ledger: &Ledger) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, told) = watch::channel(false);
    let app = ledger.app.clone();
    let task = tokio::spawn(async move { accept(&app, &listener, told, Duration::from_secs(2)).await });
    Served { address, stop, task }
}

async fn talk(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![];
    timeout(Duration::from_secs(60), stream.read_to_end(&mut answer))
        .await
        .expect("the connection ends in time")
        .unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn slow_callers_are_cut_off() {
    let ledger = Ledger::with_book().await;
    let served = serve(&ledger).await;
    let position = ledger.position();
    let slow_head = "POST /v1/books/acme/entries HTTP/1.1\r\nhost: x\r\n";
    let slow_body = "POST /v1/books/acme/entries HTTP/1.1\r\nhost: x\r\nconnection: close\r\nidempotency-key: k\r\n\
        content-type: application/json\r\ncontent-length: 100\r\n\r\n{\"lines\":[";
    let began = Instant::now();
    let (head, body) = tokio::join!(talk(served.address, slow_head), talk(served.address, slow_body));
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    assert!(!head.contains(" 200 ") && !head.contains(" 201 "), "{head}");
    assert!(body.starts_with("HTTP/1.1 408 "), "{body}");
    assert!(body.contains("\"code\":\"request_timeout\""), "{body}");
    assert_eq!(ledger.position(), position);
    served.stop.send_replace(true);
    timeout(Duration::from_secs(15), served.task).await.expect("the server ends in time").unwrap();
    ledger.close().await;
}

#[tokio::test]
async fn shutdown_ends_streams_and_idle_connections() {
    let ledger = Ledger::with_book().await;
    let served = serve(&ledger).await;
    let feed = tokio::spawn(talk(served.address, "GET /v1/journal?follow=true HTTP/1.1\r\nhost: x\r\n\r\n"));
    let idle = TcpStream::connect(served.address).await.unwrap();
    // Until the first decision came the stream is not there yet.
    let answered = talk(served.address, "GET /v1/books/acme HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answered.starts_with("HTTP/1.1 200 "), "{answered}");
    served.stop.send_replace(true);
    timeout(Duration::from_secs(15), served.task).await.expect("the server ends in time").unwrap();
    drop(idle);
    ledger.app.node().shutdown(Instant::now() + Duration::from_secs(10)).await;
    let feed = timeout(Duration::from_secs(15), feed).await.expect("the feed ends in time").unwrap();
    assert!(feed.is_empty() || feed.contains("open_book"), "{feed}");
    let refused =
        ledger.post("/v1/books", "late", &serde_json::json!({"id": "late", "functional_currency": "USD"})).await;
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.expect(503)["code"], "shutting_down");
    ledger.close().await;
}
