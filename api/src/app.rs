//! What every route works with: the node, the names, the memory for bodies; and how a read is made fresh enough.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use partita_core::decision::{Decision, Origin, Outcome};
use partita_core::id::{BookCode, BookId, Position};
use partita_core::planted::{Bug, planted};
use partita_core::state::EntryRecord;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::body::BodyBudget;
use crate::metrics::Stages;
use crate::names::{Directory, Names};
use crate::problem::{Code, POSITION, Problem};
use crate::query::{Consistency, Freshness};
use crate::report::Closings;
use crate::routes::Decided;
use crate::routes::entries::{EntryJson, Source};
use partita_consensus::{Node, ReadError};
use partita_storage::state::{Reader, StorageError, View};

/// How long a request may take before its caller gets an honest answer instead of the one it wants.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// Shared by all requests; cheap to clone.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
    reflected: Arc<Reflected>,
}

struct Inner {
    node: Node,
    directory: Directory,
    bodies: BodyBudget,
    closings: Closings,
    stages: Stages,
    stopping: watch::Sender<bool>,
}

/// Which position an answer reflects. Of one request; `App`s outside of one have one that nobody asks.
#[derive(Debug, Default)]
struct Reflected {
    last: AtomicU64,
    /// Zero: none. The state before the first decision is pinned by nobody.
    pinned: AtomicU64,
}

impl Reflected {
    fn seen(&self, position: Position) {
        self.last.store(position.0, Ordering::Relaxed);
    }

    fn pin(&self, position: Position) {
        self.pinned.store(position.0, Ordering::Relaxed);
    }

    fn position(&self) -> Position {
        match self.pinned.load(Ordering::Relaxed) {
            0 => Position(self.last.load(Ordering::Relaxed)),
            pinned => Position(pinned),
        }
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("node", &self.inner.node).finish_non_exhaustive()
    }
}

impl App {
    #[must_use]
    pub fn new(node: Node) -> Self {
        let directory = Directory::new(node.reader().clone());
        let (stopping, _nobody) = watch::channel(false);
        let inner = Inner {
            node,
            directory,
            bodies: BodyBudget::default(),
            closings: Closings::default(),
            stages: Stages::new(),
            stopping,
        };
        Self { inner: Arc::new(inner), reflected: Arc::default() }
    }

    #[must_use]
    pub fn node(&self) -> &Node {
        &self.inner.node
    }

    pub(crate) fn bodies(&self) -> &BodyBudget {
        &self.inner.bodies
    }

    pub(crate) fn stages(&self) -> &Stages {
        &self.inner.stages
    }

    pub(crate) fn closings(&self) -> &Closings {
        &self.inner.closings
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.inner.directory
    }

    pub(crate) fn reader(&self) -> &Reader {
        self.inner.node.reader()
    }

    /// Ends the streams that would otherwise keep connections open for ever.
    pub fn stop_streams(&self) {
        self.inner.stopping.send_replace(true);
    }

    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.inner.stopping.subscribe()
    }

    pub(crate) fn deadline() -> Instant {
        Instant::now() + REQUEST_DEADLINE
    }

    /// Reads from the state between two raft entries. What cannot be read stops the node (ARCHITECTURE.md, invariants).
    pub(crate) fn view<T>(&self, read: impl FnOnce(&View<'_>) -> Result<T, StorageError>) -> T {
        self.look(read).unwrap_or_else(|error| stop(&chain(&error)))
    }

    /// The same for reads that cannot fail.
    pub(crate) fn look<T>(&self, read: impl FnOnce(&View<'_>) -> T) -> T {
        look(self.reader(), |view| {
            self.reflected.seen(view.position());
            read(view)
        })
    }

    /// The whole answer is as of this position, whatever is looked at after it.
    pub(crate) fn reflect(&self, position: Position) {
        self.reflected.pin(position);
    }

    /// The state's position now, which the whole answer is as of, though it is read in pieces while writes go on.
    pub(crate) fn pin(&self) -> Position {
        let head = self.look(|view| view.position());
        self.reflect(head);
        head
    }

    /// Reads the past, or all movements: for these the applier does not wait.
    pub(crate) fn past<T>(&self, read: impl FnOnce(&Reader) -> Result<T, StorageError>) -> T {
        read_or_stop(|| read(self.reader())).unwrap_or_else(|error| stop(&chain(&error)))
    }

    /// # Panics
    /// If there is no such book: ids come from decisions and tables only.
    pub(crate) fn names(&self, book: BookId) -> Arc<Names> {
        self.inner.directory.book(book).unwrap_or_else(|| panic!("book {book} is missing"))
    }

    pub(crate) fn moments(&self) -> Moments<'_> {
        Moments { app: self, known: HashMap::new() }
    }

    pub(crate) fn decisions(&self) -> Decisions<'_> {
        Decisions { app: self, last: None }
    }

    /// The decision at a position that something else refers to.
    pub(crate) fn decision(&self, position: Position) -> Decision {
        self.past(|reader| reader.decision(position))
            .unwrap_or_else(|| panic!("the journal has no decision {position}, though it is referred to"))
    }

    /// Waits until this node reflects what the caller asks for.
    pub(crate) async fn freshen(&self, fresh: Freshness, deadline: Instant) -> Result<(), Problem> {
        match fresh.consistency {
            Consistency::Linearizable => self.node().barrier(deadline).await.map_err(read_problem)?,
            Consistency::Local => self.node().wait_recovered(deadline).await.map_err(read_problem)?,
        }
        if let Some(position) = fresh.min_position {
            self.node().wait_position(position, deadline).await.map_err(read_problem)?;
        }
        Ok(())
    }

    /// Answers a read with what `find` finds, on a thread for blocking work.
    pub(crate) async fn read<T: Serialize>(
        &self,
        fresh: Freshness,
        find: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<Response, Problem> {
        self.respond(fresh, move |app| Ok(json(StatusCode::OK, &find(app)?))).await
    }

    /// The same within one book.
    pub(crate) async fn read_book<T: Serialize>(
        &self,
        fresh: Freshness,
        code: BookCode,
        find: impl FnOnce(&Self, &Arc<Names>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<Response, Problem> {
        self.read(fresh, move |app| {
            let names = app.directory().find(&code).ok_or_else(|| unknown_book(&code))?;
            find(app, &names)
        })
        .await
    }

    /// Runs `answer` when the state is fresh enough; the answer says which position it reflects: the one that it was
    /// made for ([`App::reflect`]), or else that of its last look at the state. What is looked at before, names and
    /// accounts, does not change what the answer says.
    pub(crate) async fn respond(
        &self,
        fresh: Freshness,
        answer: impl FnOnce(&Self) -> Result<Response, Problem> + Send + 'static,
    ) -> Result<Response, Problem> {
        self.freshen(fresh, Self::deadline()).await?;
        let app = Self { inner: Arc::clone(&self.inner), reflected: Arc::default() };
        let answered = blocking(move || {
            // For an answer that looks at nothing but the journal: what it shows is at least as new.
            let before = app.reader().position();
            app.reflected.seen(before);
            let response = answer(&app).unwrap_or_else(IntoResponse::into_response);
            let earlier = planted(Bug::ReadNamesEarlierPosition);
            with_position(response, if earlier { before } else { app.reflected.position() })
        });
        Ok(answered.await)
    }
}

/// Runs on a thread for blocking work; a panic there is a panic here.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

pub(crate) fn unknown_book(code: &BookCode) -> Problem {
    Problem::not_found(format!("there is no book {code}"))
}

pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let body = serde_json::to_vec(body).expect("our forms have texts for keys and no value that JSON lacks");
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

pub(crate) fn with_position(mut response: Response, position: Position) -> Response {
    response.headers_mut().insert(POSITION, HeaderValue::from(position.0));
    response
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err asks for")]
pub(crate) fn read_problem(error: ReadError) -> Problem {
    match error {
        ReadError::NoLeader => Problem::new(Code::NoLeader, "no leader is known; nothing was read"),
        ReadError::TimedOut => Problem::new(Code::NoLeader, "the leader did not confirm the read in time"),
        ReadError::ShuttingDown => Problem::new(Code::ShuttingDown, "this node is shutting down"),
        ReadError::PositionNotReached { wanted, reached } => {
            let detail = format!("min_position: {wanted} was not reached in time; this node is at {reached}");
            Problem::new(Code::PositionNotReached, detail).with("reached", reached.0)
        }
    }
}

/// Reads the state as the posting rules do. They have no error for what cannot be read: it panics, and the node stops.
pub(crate) fn look<T>(reader: &Reader, read: impl FnOnce(&View<'_>) -> T) -> T {
    read_or_stop(|| reader.read(read))
}

fn read_or_stop<T>(read: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
        stop(what.unwrap_or("a read panicked"))
    })
}

/// Stored state that cannot be read: nothing is answered from it any more.
fn stop(error: &str) -> ! {
    tracing::error!(error, "the stored state cannot be read: the node stops");
    std::process::abort()
}

/// An error and what caused it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// When decisions were recorded, each looked up once a request.
#[derive(Debug)]
pub(crate) struct Moments<'a> {
    app: &'a App,
    known: HashMap<Position, Decided>,
}

impl Moments<'_> {
    pub(crate) fn of(&mut self, position: Position) -> Decided {
        *self.known.entry(position).or_insert_with(|| {
            let recorded_at = self.app.decision(position).recorded_at;
            Decided { position, recorded_at }
        })
    }
}

/// Decisions read for their entries; neighbours often share one.
#[derive(Debug)]
pub(crate) struct Decisions<'a> {
    app: &'a App,
    last: Option<Decision>,
}

impl Decisions<'_> {
    /// The entry that `record` points to.
    pub(crate) fn entry(&mut self, names: &Names, record: EntryRecord) -> EntryJson {
        if self.last.as_ref().is_none_or(|last| last.position != record.position) {
            self.last = Some(self.app.decision(record.position));
        }
        let decision = self.last.as_ref().expect("read just now");
        let Outcome::Accepted(effects) = &decision.outcome else {
            panic!("decision {} refused, yet an entry record points to it", decision.position)
        };
        let index = usize::try_from(record.index).expect("an entry's index fits");
        let entry = effects.entries.get(index).unwrap_or_else(|| {
            panic!("decision {} has no entry {index}, yet an entry record points to it", decision.position)
        });
        EntryJson::of(entry, names, source(decision), record.reversed_by)
    }
}

/// Whose request a decision answered.
pub(crate) fn source(decision: &Decision) -> Source<'_> {
    let decided = Decided { position: decision.position, recorded_at: decision.recorded_at };
    match &decision.origin {
        Origin::Request { key, fingerprint: _, actor } => {
            Source { decided, key: Some(key.as_str()), actor: Some(actor.as_str()) }
        }
        Origin::Internal => Source { decided, key: None, actor: None },
    }
}
