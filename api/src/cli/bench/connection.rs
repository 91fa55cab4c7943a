//! One keep-alive HTTP/1.1 connection, as thin as hyper allows: the client must not be what is measured.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("no connection to {address}")]
    Connect {
        address: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the exchange broke off")]
    Exchange(#[from] hyper::Error),
    #[error("not a request that HTTP can carry")]
    Request(#[from] hyper::http::Error),
}

/// A write, made beforehand.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// Of a single write; a batch's items have their own.
    pub key: Option<String>,
    pub body: Bytes,
}

#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    address: String,
    path: String,
}

impl Connection {
    pub(super) async fn open(url: &str, path: String) -> Result<Self, ConnectionError> {
        let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let connect = |source| ConnectionError::Connect { address: address.clone(), source };
        let stream = TcpStream::connect(&address).await.map_err(connect)?;
        stream.set_nodelay(true).map_err(connect)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // Whoever waits for an answer on this connection gets the error; it is told there.
            drop(connection.await);
        });
        Ok(Self { sender, address, path })
    }

    pub(super) async fn post(&mut self, prepared: Prepared) -> Result<(StatusCode, Bytes), ConnectionError> {
        let mut request =
            Request::post(&self.path).header(HOST, &self.address).header(CONTENT_TYPE, "application/json");
        if let Some(key) = &prepared.key {
            request = request.header("idempotency-key", key);
        }
        self.sender.ready().await?;
        let response = self.sender.send_request(request.body(Full::new(prepared.body))?).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}
