//! One keep-alive HTTP/1.1 connection with as little between the caller and the socket as can be: a request is one
//! gathered write, an answer is read into a buffer that is used again.
//!
//! It speaks what a Partita node and the proxies before one speak: bodies with a length, in chunks, or until the end.
//! Requests may be sent one after the other before the first is answered; answers come in their order.

use std::io::{self, IoSlice};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MAX_HEADERS: usize = 64;
const MAX_HEAD_BYTES: usize = 64 << 10;
/// A node's longest answer to a batch is below 2 MiB; whole ledgers are streamed, and not to here.
const MAX_BODY_BYTES: usize = 256 << 20;
const READ_BYTES: usize = 64 << 10;

/// A connection to one node.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    host: String,
    /// What came in; an answer that was handed out lies before `consumed`.
    buffer: Vec<u8>,
    consumed: usize,
    /// A body that came in chunks, put together.
    unchunked: Vec<u8>,
    head: Vec<u8>,
    last: Option<Answered>,
    is_reusable: bool,
}

/// The last answer, and where its body lies.
#[derive(Debug)]
struct Answered {
    head: Head,
    body_start: usize,
    body_end: usize,
}

/// A request without its body.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: &'a str,
    /// With its query, encoded.
    pub path: &'a str,
    /// Of a single write.
    pub key: Option<&'a str>,
    pub content_type: Option<&'a str>,
    /// What is asked for; a node that does not give it says so with another content type.
    pub accept: Option<&'a str>,
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    pub status: u16,
    pub content_type: &'a [u8],
    /// Whether it is the first answer to this key, given again.
    pub is_replayed: bool,
    /// Which position of the journal it reflects.
    pub position: Option<u64>,
    pub retry_after_seconds: Option<u32>,
    pub body: &'a [u8],
}

/// Where the parts of an answer lie.
#[derive(Debug)]
struct Head {
    status: u16,
    length: usize,
    body: BodyLength,
    content_type: (usize, usize),
    is_replayed: bool,
    position: Option<u64>,
    retry_after_seconds: Option<u32>,
    closes: bool,
}

#[derive(Clone, Copy, Debug)]
enum BodyLength {
    Known(usize),
    Chunked,
    UntilTheEnd,
}

impl Connection {
    /// `host:port`.
    pub async fn open(host: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            host: host.to_owned(),
            buffer: Vec::new(),
            consumed: 0,
            unchunked: Vec::new(),
            head: Vec::new(),
            last: None,
            is_reusable: true,
        })
    }

    /// Whether another request may be sent on it.
    #[must_use]
    pub fn is_reusable(&self) -> bool {
        self.is_reusable
    }

    /// Writes the request's head into `out`, for callers that send many at once.
    pub fn write_head(&self, request: &Request<'_>, body_bytes: usize, out: &mut Vec<u8>) {
        write_head(&self.host, request, body_bytes, out);
    }

    pub async fn exchange(&mut self, request: &Request<'_>, body: &[u8]) -> io::Result<Response<'_>> {
        self.send(request, body).await?;
        self.receive().await
    }

    pub async fn send(&mut self, request: &Request<'_>, body: &[u8]) -> io::Result<()> {
        // Whoever gives up in the middle leaves an answer behind that is not the next request's.
        self.is_reusable = false;
        self.last = None;
        let mut head = std::mem::take(&mut self.head);
        head.clear();
        write_head(&self.host, request, body.len(), &mut head);
        let sent = self.write_both(&head, body).await;
        self.head = head;
        sent
    }

    /// Sends requests, heads and bodies, that were put together beforehand.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.is_reusable = false;
        self.last = None;
        self.stream.write_all(bytes).await
    }

    async fn write_both(&mut self, head: &[u8], body: &[u8]) -> io::Result<()> {
        let mut sent = 0;
        while sent < head.len() {
            let parts = [IoSlice::new(&head[sent..]), IoSlice::new(body)];
            match self.stream.write_vectored(&parts).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                more => sent += more,
            }
        }
        self.stream.write_all(&body[sent - head.len()..]).await
    }

    /// The next answer. It lies in the connection's buffer until the next one is asked for.
    pub async fn receive(&mut self) -> io::Result<Response<'_>> {
        // Unless this one is read to its end there is no next one.
        self.is_reusable = false;
        self.last = None;
        if self.consumed == self.buffer.len() {
            self.buffer.clear();
        } else {
            self.buffer.drain(..self.consumed);
        }
        self.consumed = 0;
        let head = loop {
            match read_head(&self.buffer)? {
                // 100 Continue and the like come before the answer.
                Some(head) if head.status < 200 => {
                    self.buffer.drain(..head.length);
                }
                Some(head) => break head,
                None if self.buffer.len() > MAX_HEAD_BYTES => return Err(malformed("the head is too long")),
                None => self.read_more(READ_BYTES).await?,
            }
        };
        let (body_start, body_end) = self.read_body(&head).await?;
        self.is_reusable = !head.closes;
        let answered = self.last.insert(Answered { head, body_start, body_end });
        Ok(answered.response(&self.buffer, &self.unchunked))
    }

    /// The last answer again, as long as nothing was sent after it.
    pub(crate) fn last(&self) -> Option<Response<'_>> {
        self.last.as_ref().map(|answered| answered.response(&self.buffer, &self.unchunked))
    }

    /// Reads until the body is there, and says where it lies.
    async fn read_body(&mut self, head: &Head) -> io::Result<(usize, usize)> {
        let start = head.length;
        match head.body {
            BodyLength::Known(length) => {
                let end = start + length;
                while self.buffer.len() < end {
                    self.read_more(end - self.buffer.len()).await?;
                }
                self.consumed = end;
                Ok((start, end))
            }
            BodyLength::Chunked => {
                self.unchunked.clear();
                let mut at = start;
                while let Some(next) = self.read_chunk(at).await? {
                    at = next;
                }
                Ok((start, start))
            }
            BodyLength::UntilTheEnd => {
                loop {
                    self.buffer.reserve(READ_BYTES);
                    if self.stream.read_buf(&mut self.buffer).await? == 0 {
                        break;
                    }
                    check_length(self.buffer.len())?;
                }
                self.consumed = self.buffer.len();
                Ok((start, self.buffer.len()))
            }
        }
    }

    /// Takes the chunk that begins at `at`; where the next begins, unless it was the last.
    async fn read_chunk(&mut self, at: usize) -> io::Result<Option<usize>> {
        let (head, length) = loop {
            match httparse::parse_chunk_size(&self.buffer[at..]) {
                Ok(httparse::Status::Complete((head, length))) => break (head, length),
                Ok(httparse::Status::Partial) => self.read_more(READ_BYTES).await?,
                Err(_invalid) => return Err(malformed("a chunk has no length")),
            }
        };
        let start = at + head;
        let length = usize::try_from(length).map_err(|_too_long| malformed("the body is too long"))?;
        check_length(self.unchunked.len().saturating_add(length))?;
        if length > 0 {
            // With the line's end behind it.
            let next = start + length + 2;
            while self.buffer.len() < next {
                self.read_more(next - self.buffer.len()).await?;
            }
            self.unchunked.extend_from_slice(&self.buffer[start..start + length]);
            return Ok(Some(next));
        }
        // Trailers end with an empty line.
        let mut line = start;
        loop {
            let Some(end) = self.buffer[line..].windows(2).position(|two| two == b"\r\n") else {
                self.read_more(READ_BYTES).await?;
                continue;
            };
            if end == 0 {
                self.consumed = line + 2;
                return Ok(None);
            }
            line += end + 2;
        }
    }

    async fn read_more(&mut self, wanted: usize) -> io::Result<()> {
        self.buffer.reserve(wanted.max(READ_BYTES));
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

impl Answered {
    fn response<'a>(&self, buffer: &'a [u8], unchunked: &'a [u8]) -> Response<'a> {
        let head = &self.head;
        let (type_start, type_end) = head.content_type;
        let body = match head.body {
            BodyLength::Chunked => unchunked,
            BodyLength::Known(_) | BodyLength::UntilTheEnd => &buffer[self.body_start..self.body_end],
        };
        Response {
            status: head.status,
            content_type: &buffer[type_start..type_end],
            is_replayed: head.is_replayed,
            position: head.position,
            retry_after_seconds: head.retry_after_seconds,
            body,
        }
    }
}

fn write_head(host: &str, request: &Request<'_>, body_bytes: usize, out: &mut Vec<u8>) {
    for part in [request.method, " ", request.path, " HTTP/1.1\r\nhost: ", host] {
        out.extend_from_slice(part.as_bytes());
    }
    for (name, value) in [
        ("\r\nidempotency-key: ", request.key),
        ("\r\ncontent-type: ", request.content_type),
        ("\r\naccept: ", request.accept),
    ] {
        if let Some(value) = value {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(value.as_bytes());
        }
    }
    if request.content_type.is_some() {
        out.extend_from_slice(format!("\r\ncontent-length: {body_bytes}").as_bytes());
    }
    out.extend_from_slice(b"\r\n\r\n");
}

/// The head, once all of it is there.
fn read_head(buffer: &[u8]) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(buffer) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    };
    let status = response.code.unwrap_or(0);
    let mut head = Head {
        status,
        length,
        body: if matches!(status, 100..=199 | 204 | 304) { BodyLength::Known(0) } else { BodyLength::UntilTheEnd },
        content_type: (0, 0),
        is_replayed: false,
        position: None,
        retry_after_seconds: None,
        closes: response.version != Some(1),
    };
    let has_body = matches!(head.body, BodyLength::UntilTheEnd);
    for header in response.headers.iter() {
        let text = || std::str::from_utf8(header.value).unwrap_or_default().trim();
        let name = header.name;
        if name.eq_ignore_ascii_case("content-length") && has_body {
            let length: usize = text().parse().map_err(|_no_number| malformed("the length is no number"))?;
            check_length(length)?;
            // Chunks win (RFC 9112, section 6.3).
            if !matches!(head.body, BodyLength::Chunked) {
                head.body = BodyLength::Known(length);
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") && has_body {
            head.body = BodyLength::Chunked;
        } else if name.eq_ignore_ascii_case("content-type") {
            head.content_type = place(buffer, header.value);
        } else if name.eq_ignore_ascii_case("connection") {
            head.closes |= text().eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("partita-position") {
            head.position = text().parse().ok();
        } else if name.eq_ignore_ascii_case("idempotent-replayed") {
            head.is_replayed = text().eq_ignore_ascii_case("true");
        } else if name.eq_ignore_ascii_case("retry-after") {
            head.retry_after_seconds = text().parse().ok();
        }
    }
    head.closes |= matches!(head.body, BodyLength::UntilTheEnd);
    Ok(Some(head))
}

/// Where a part of the buffer lies in it.
fn place(buffer: &[u8], part: &[u8]) -> (usize, usize) {
    let start = part.as_ptr().addr() - buffer.as_ptr().addr();
    (start, start + part.len())
}

fn check_length(length: usize) -> io::Result<()> {
    if length <= MAX_BODY_BYTES { Ok(()) } else { Err(malformed("the body is too long")) }
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;

    /// Answers every connection with `answer`, in pieces of `piece` bytes, and closes it.
    async fn answering(answer: &'static str, piece: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1_024];
            assert_ne!(stream.read(&mut request).await.unwrap(), 0);
            for piece in answer.as_bytes().chunks(piece) {
                stream.write_all(piece).await.unwrap();
                tokio::time::sleep(Duration::from_micros(50)).await;
            }
        });
        host
    }

    const GET: Request<'_> = Request { method: "GET", path: "/", key: None, content_type: None, accept: None };

    #[tokio::test]
    async fn bodies_of_every_kind_are_read_whole_however_they_come() {
        let known = "HTTP/1.1 503 Busy\r\nContent-Length: 5\r\nRetry-After: 7\r\nContent-Type: a/b\r\n\r\nhello";
        let chunked = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\nretry-after: 7\r\ncontent-type: a/b\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: t\r\n\r\n";
        let ended = "HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-type: a/b\r\n\r\nhello";
        for (answer, is_reusable) in [(known, true), (chunked, true), (ended, false)] {
            for piece in [1, 3, 1_000] {
                let mut connection = Connection::open(&answering(answer, piece).await).await.unwrap();
                let response = connection.exchange(&GET, b"").await.unwrap();
                let seen = (response.status, response.retry_after_seconds, response.content_type, response.body);
                assert_eq!(seen, (503, Some(7), &b"a/b"[..], &b"hello"[..]), "{answer} in pieces of {piece}");
                assert_eq!(connection.is_reusable(), is_reusable, "{answer}");
            }
        }
    }

    #[tokio::test]
    async fn answers_that_came_together_are_told_apart() {
        let two = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nPartita-Position: 9\r\n\r\naHTTP/1.1 201 Created\r\ncontent-length: 2\r\nIdempotent-Replayed: true\r\n\r\nbc";
        let mut connection = Connection::open(&answering(two, 10_000).await).await.unwrap();
        connection.send_raw(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n").await.unwrap();
        let first = connection.receive().await.unwrap();
        assert_eq!((first.status, first.position, first.is_replayed, first.body), (200, Some(9), false, &b"a"[..]));
        let second = connection.receive().await.unwrap();
        assert_eq!((second.status, second.position, second.is_replayed, second.body), (201, None, true, &b"bc"[..]));
        assert_eq!(connection.receive().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(!connection.is_reusable());
    }

    #[tokio::test]
    async fn what_breaks_off_or_is_no_http_is_an_error() {
        for (answer, kind) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello", io::ErrorKind::UnexpectedEof),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel", io::ErrorKind::UnexpectedEof),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", io::ErrorKind::InvalidData),
            ("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", io::ErrorKind::InvalidData),
            ("220 smtp ready\r\n", io::ErrorKind::InvalidData),
        ] {
            let mut connection = Connection::open(&answering(answer, 4).await).await.unwrap();
            assert_eq!(connection.exchange(&GET, b"").await.unwrap_err().kind(), kind, "{answer}");
            assert!(!connection.is_reusable());
        }
    }
}
