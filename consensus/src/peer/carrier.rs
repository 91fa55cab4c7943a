//! What carries the streams between nodes: TCP, or whatever a simulator puts in its place.

use std::fmt;
use std::io;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// A stream in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub type BoxStream = Box<dyn Stream>;

/// Calls other nodes.
pub trait Carrier: fmt::Debug + Send + Sync + 'static {
    /// `address`: host and port, as members name it.
    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<BoxStream>>;
}

/// Is called by other nodes.
pub trait Door: fmt::Debug + Send + 'static {
    /// The next caller, and what is known of where it calls from. May be dropped and called again.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, String)>>;
}

pub(super) async fn connect_tcp(address: &str) -> io::Result<BoxStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

impl Door for TcpListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, String)>> {
        Box::pin(async {
            let (stream, from) = TcpListener::accept(self).await?;
            // A stream that is broken already fails when it is used; the door is not.
            let _broken = stream.set_nodelay(true);
            let stream: BoxStream = Box::new(stream);
            Ok((stream, from.to_string()))
        })
    }
}
