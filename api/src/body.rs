//! Request bodies: how much is read and for how long, and how JSON becomes a form, with a pointer to what is wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use metrics::Histogram;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::app::{App, blocking};
use crate::binary;
use crate::problem::{Code, Problem};
use crate::values::FAULT_MARK;

const JSON: &str = "application/json";
/// The most bytes of a request's body (docs/api.md).
pub const MAX_BODY: usize = 16 << 20;
/// How long a caller may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);
/// Bodies above this are parsed on a thread for blocking work, so that they hold up nobody else's request.
const LARGE_BODY: usize = 128 << 10;
/// What all bodies together may take in memory at one time, counted in blocks of 4 KiB: 256 MiB.
const BODY_BLOCKS: u32 = 65_536;
const BLOCK: usize = 4_096;

/// Bounds what the bodies of all requests take together.
#[derive(Clone, Debug)]
pub struct BodyBudget(Arc<Semaphore>);

impl Default for BodyBudget {
    fn default() -> Self {
        let blocks = usize::try_from(BODY_BLOCKS).expect("65,536 fits");
        Self(Arc::new(Semaphore::new(blocks)))
    }
}

impl BodyBudget {
    fn take(&self, blocks: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let blocks = u32::try_from(blocks).expect("a body has at most 4,096 blocks");
        Arc::clone(&self.0).try_acquire_many_owned(blocks).map_err(|_full| {
            Problem::new(Code::Overloaded, "the bodies of other requests fill the memory set aside for them")
        })
    }
}

/// A body that was read in full, with the room that it takes.
#[derive(Debug)]
struct Received {
    bytes: Bytes,
    parse: Histogram,
    _room: OwnedSemaphorePermit,
}

/// A JSON body.
#[derive(Debug)]
pub struct JsonBody(Received);

/// How a batch of transfers, or the answer to one, is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Json,
    Binary,
}

/// The body of a batch of transfers, in either form, and the form that its answer is wanted in.
#[derive(Debug)]
pub struct TransfersBody {
    received: Received,
    pub form: Form,
    pub answer: Form,
}

impl FromRequest<App> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        if !is_type(content_type(request.headers()), JSON) {
            let detail = "the header Content-Type must be application/json";
            return Err(Problem::new(Code::UnsupportedMediaType, detail));
        }
        Received::from_request(request, app).await.map(Self)
    }
}

impl FromRequest<App> for TransfersBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let content_type = content_type(request.headers());
        let form = if is_type(content_type, JSON) {
            Form::Json
        } else if is_type(content_type, binary::MEDIA_TYPE) {
            Form::Binary
        } else {
            let detail = format!("the header Content-Type must be {JSON} or {}", binary::MEDIA_TYPE);
            return Err(Problem::new(Code::UnsupportedMediaType, detail));
        };
        let mut accepted = request.headers().get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let takes_binary = accepted.any(|value| value.split(',').any(|range| is_type(range, binary::MEDIA_TYPE)));
        let answer = if takes_binary { Form::Binary } else { Form::Json };
        Ok(Self { received: Received::from_request(request, app).await?, form, answer })
    }
}

impl FromRequest<App> for Received {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let announced = announced_length(request.headers())?;
        let (bytes, room) = tokio::time::timeout(BODY_TIMEOUT, read(request.into_body(), announced, app.bodies()))
            .await
            .map_err(|_elapsed| {
                let seconds = BODY_TIMEOUT.as_secs();
                Problem::new(Code::RequestTimeout, format!("the body did not come within {seconds} seconds"))
            })??;
        Ok(Self { bytes, parse: app.stages().parse.clone(), _room: room })
    }
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// Whether it is that media type, whatever its parameters.
fn is_type(value: &str, media_type: &str) -> bool {
    value.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(media_type)
}

fn too_large() -> Problem {
    Problem::new(Code::TooLarge, format!("a body has at most {MAX_BODY} bytes (16 MiB)")).with("limit", MAX_BODY)
}

/// 0 where nothing is said of it.
fn announced_length(headers: &HeaderMap) -> Result<usize, Problem> {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else { return Ok(0) };
    let length: u64 = value
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Problem::malformed("the header Content-Length must be a number"))?;
    usize::try_from(length).ok().filter(|length| *length <= MAX_BODY).ok_or_else(too_large)
}

/// Memory is taken as the body comes, not as it is announced: announcing costs a caller nothing.
async fn read(body: Body, announced: usize, budget: &BodyBudget) -> Result<(Bytes, OwnedSemaphorePermit), Problem> {
    let mut room = budget.take(1)?;
    // A small body comes in one piece, and stays where it is.
    let mut only = Bytes::new();
    let mut all = BytesMut::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_error| Problem::malformed("the body broke off"))?;
        let length = only.len() + all.len() + chunk.len();
        if length > MAX_BODY {
            return Err(too_large());
        }
        let more = length.div_ceil(BLOCK).saturating_sub(room.num_permits());
        room.merge(budget.take(more)?);
        if only.is_empty() && all.is_empty() {
            only = chunk;
        } else {
            if all.is_empty() {
                // Addresses only: pages become memory when bytes come.
                all.reserve(announced.max(length));
            }
            all.extend_from_slice(&std::mem::take(&mut only));
            all.extend_from_slice(&chunk);
        }
    }
    Ok((if all.is_empty() { only } else { all.freeze() }, room))
}

impl JsonBody {
    /// Reads the form and turns it into what `convert` makes of it.
    pub async fn read<Form, T>(
        self,
        convert: impl FnOnce(Form) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem>
    where
        Form: DeserializeOwned + Send + 'static,
        T: Send + 'static,
    {
        self.0.take(|bytes| convert(parse(bytes)?)).await
    }

    /// Turns the bytes into what `convert` makes of them.
    pub(crate) async fn take<T: Send + 'static>(
        self,
        convert: impl FnOnce(&[u8]) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.0.take(convert).await
    }
}

impl TransfersBody {
    /// Turns the bytes, which are of the form that was announced, into what `convert` makes of them.
    pub(crate) async fn take<T: Send + 'static>(
        self,
        convert: impl FnOnce(&[u8]) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.received.take(convert).await
    }
}

impl Received {
    async fn take<T: Send + 'static>(
        self,
        convert: impl FnOnce(&[u8]) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let is_large = self.bytes.len() > LARGE_BODY;
        let timed = move || {
            let began = Instant::now();
            let converted = convert(&self.bytes);
            self.parse.record(began.elapsed().as_secs_f64());
            converted
        };
        if is_large { blocking(timed).await } else { timed() }
    }
}

/// Reads a form; what is wrong is looked for a second time with its path, so that what is right costs nothing more.
pub fn parse<Form: DeserializeOwned>(bytes: &[u8]) -> Result<Form, Problem> {
    match serde_json::from_slice(bytes) {
        Ok(form) => Ok(form),
        Err(first) => {
            let mut deserializer = serde_json::Deserializer::from_slice(bytes);
            let located: Result<Form, _> = serde_path_to_error::deserialize(&mut deserializer);
            match located {
                // Trailing bytes: only the first reading looks for them.
                Ok(_form) => Err(explain(&first, None)),
                Err(located) => {
                    let pointer = pointer(located.path());
                    Err(explain(located.inner(), Some(pointer)))
                }
            }
        }
    }
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// Makes a problem of serde's error. Our own values' faults carry their code, the rest is told apart by its text.
fn explain(error: &serde_json::Error, pointer: Option<String>) -> Problem {
    if !error.is_data() {
        let at = format!("line {}, column {}", error.line(), error.column());
        let what = if error.is_eof() { "the body ends inside the JSON" } else { "the body is not JSON" };
        return Problem::malformed(format!("{what} ({at})"));
    }
    let text = error.to_string();
    let pointer = pointer.unwrap_or_default();
    let (code, what) = match text.strip_prefix(FAULT_MARK).and_then(|rest| rest.split_once(FAULT_MARK)) {
        Some((code, rest)) => (fault_code(code), rest.split(FAULT_MARK).next().unwrap_or(rest).to_owned()),
        None => {
            let end = text.rfind(" at line ").unwrap_or(text.len());
            let what = printable(&text[..end]);
            (if what.starts_with("unknown field") { Code::UnknownField } else { Code::Malformed }, what)
        }
    };
    let name = field_name(&pointer);
    let detail = if code == Code::UnknownField { what } else { format!("{name}: {what}") };
    let problem = Problem::new(code, detail);
    if pointer.is_empty() { problem } else { problem.at(pointer) }
}

/// The only codes that values give their faults.
fn fault_code(code: &str) -> Code {
    match code {
        "amount_not_positive" => Code::AmountNotPositive,
        "amount_too_large" => Code::AmountTooLarge,
        _ => Code::Malformed,
    }
}

/// How a detail names the value: `lines[3].amount`.
pub(crate) fn field_name(pointer: &str) -> String {
    if pointer.is_empty() {
        return "the body".to_owned();
    }
    let mut name = String::new();
    for segment in pointer.split('/').skip(1) {
        if !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit()) {
            name.push_str(&format!("[{segment}]"));
        } else {
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(&printable(&segment.replace("~1", "/").replace("~0", "~")));
        }
    }
    name
}

/// Texts of a request go back to it without their control characters and at a bounded length.
fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(300).collect()
}
