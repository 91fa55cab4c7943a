//! Natural batching: what callers ask for while requests are under way is collected and goes together in the next one.
//!
//! A lane is one list of one book: its transfers or its entries. A caller writes its item into the open batch and waits
//! for its part of the answer; a few senders, each with a connection of its own, take batches and deliver them. Nobody
//! waits for company: with nothing under way a lone call is sent at once. With something under way a second request is
//! sent only when enough was collected for it, so that many callers make few, large requests that overlap.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Map;
use tokio::sync::Notify;

use crate::attempts::{Attempts, Line, Nodes};
use crate::batch::{Batch, Place};
use crate::binary;
use crate::connection::Request;
use crate::encoding::Encoding;
use crate::error::{Code, Error, Failure, Refusal};
use crate::items::Item;
use crate::key::Keys;
use crate::parse::{Posted, read_problem, said};

/// A batch that has been open for so long takes no more: its deadline is its first caller's.
const LONGEST_OPEN: Duration = Duration::from_secs(1);
/// With a request under way, fewer items than this do not make another one.
const LEAST_SECOND: usize = 64;
/// An item of so many bytes travels alone: it alone may be too large for the ledger.
const LARGE_ITEM: usize = 1 << 20;
/// How often a sender lets others run before it sends, as long as the batch grows by that.
const MOST_ROUNDS: usize = 256;

/// The bounds of a lane's requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub items: usize,
    pub bytes: usize,
    /// At one time.
    pub requests: usize,
    pub deadline: Duration,
}

/// Ends its senders when it is dropped, after what was asked for by then.
#[derive(Debug)]
pub(crate) struct Lane(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    nodes: Arc<Nodes>,
    path: String,
    /// Whether nodes are asked for binary answers; the first that gives one is sent binary batches from then on.
    may_be_binary: bool,
    bounds: Bounds,
    queue: Mutex<Queue>,
    wake: Notify,
}

#[derive(Debug)]
struct Queue {
    keys: Keys,
    /// Of the next batch that is opened.
    encoding: Encoding,
    open: Option<Batch>,
    sealed: VecDeque<Batch>,
    /// In open and sealed batches.
    waiting: usize,
    /// In requests under way.
    under_way: usize,
    requests: usize,
    senders: usize,
    idle: usize,
    /// Whether a sender was woken and has not looked yet.
    is_signalled: bool,
    /// Whether a sender lets others run before it takes the open batch.
    is_gathering: bool,
    is_closed: bool,
    /// The last batch's buffer, and how many items there were.
    spare: Vec<u8>,
    expected: usize,
}

/// What a sender is to do.
enum Turn {
    Send(Batch),
    /// The open batch, once it has stopped growing; so many items it has.
    Gather(usize),
    Sleep,
    End,
}

impl Lane {
    pub(crate) fn new(
        nodes: Arc<Nodes>,
        path: String,
        list: &'static str,
        may_be_binary: bool,
        bounds: Bounds,
    ) -> Self {
        let queue = Queue {
            keys: Keys::new(),
            encoding: Encoding::Json(list),
            open: None,
            sealed: VecDeque::new(),
            waiting: 0,
            under_way: 0,
            requests: 0,
            senders: 0,
            idle: 0,
            is_signalled: false,
            is_gathering: false,
            is_closed: false,
            spare: Vec::new(),
            expected: 0,
        };
        let (queue, wake) = (Mutex::new(queue), Notify::new());
        Self(Arc::new(Shared { nodes, path, may_be_binary, bounds, queue, wake }))
    }

    /// Must be called on a Tokio runtime.
    pub(crate) async fn call(&self, item: &impl Item) -> Result<Posted, Error> {
        let place = self.0.push(item)?;
        place.await
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.wake.notify_waiters();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Each change of the queue is whole before anything in it can panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(self: &Arc<Self>, item: &impl Item) -> Result<Place, Error> {
        let mut queue = self.lock();
        let place = queue.write(item, &self.bounds)?;
        if queue.is_signalled || !queue.has_work() {
            return Ok(place);
        }
        if queue.idle > 0 {
            queue.is_signalled = true;
            drop(queue);
            self.wake.notify_one();
        } else if queue.senders < self.bounds.requests {
            queue.senders += 1;
            drop(queue);
            tokio::spawn(Sender(Arc::clone(self)).run());
        }
        Ok(place)
    }

    /// The next batch; `None` when the lane was closed and nothing is left.
    async fn take(&self) -> Option<Batch> {
        loop {
            let turn = self.lock().turn();
            match turn {
                Turn::Send(batch) => {
                    self.wake_another();
                    return Some(batch);
                }
                Turn::Gather(had) => {
                    let gathering = Until(self, |queue| queue.is_gathering = false);
                    self.gather(had).await;
                    drop(gathering);
                    let batch = self.lock().pop();
                    if batch.is_some() {
                        self.wake_another();
                        return batch;
                    }
                }
                Turn::End => return None,
                Turn::Sleep => {
                    let idle = Until(self, |queue| queue.idle -= 1);
                    let woken = self.wake.notified();
                    // A lane that was closed in between woke nobody who came later.
                    if !self.lock().is_closed {
                        woken.await;
                    }
                    drop(idle);
                }
            }
        }
    }

    /// Callers that were woken together ask together: they are let run first, as long as they do.
    async fn gather(&self, mut had: usize) {
        for _round in 0..MOST_ROUNDS {
            tokio::task::yield_now().await;
            let queue = self.lock();
            let has = queue.open.as_ref().map_or(0, Batch::len);
            if !queue.sealed.is_empty() || has == had {
                return;
            }
            had = has;
        }
    }

    /// Who takes a batch sees to it that the next is taken too.
    fn wake_another(&self) {
        let mut queue = self.lock();
        if queue.idle > 0 && !queue.is_signalled && queue.has_work() {
            queue.is_signalled = true;
            drop(queue);
            self.wake.notify_one();
        }
    }
}

/// Undoes a mark in the queue, also when what it stands for ends in the middle.
struct Until<'a>(&'a Shared, fn(&mut Queue));

impl Drop for Until<'_> {
    fn drop(&mut self) {
        (self.1)(&mut self.0.lock());
    }
}

impl Queue {
    /// Writes the item into the open batch, or a new one.
    fn write(&mut self, item: &impl Item, bounds: &Bounds) -> Result<Place, Error> {
        if self.open.as_ref().is_some_and(|open| open.opened.elapsed() > LONGEST_OPEN) {
            self.seal();
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Batch::open(self.encoding, mem::take(&mut self.spare), self.expected),
        };
        let before = open.bytes();
        let pushed = match item.own_key() {
            Some(key) => open.push(item, key.as_bytes()),
            None => open.push(item, &self.keys.next().text()),
        };
        let place = match pushed {
            Ok(place) => place,
            Err(why) => {
                if open.len() > 0 {
                    self.open = Some(open);
                }
                return Err(malformed(why));
            }
        };
        let is_large = open.bytes() - before > LARGE_ITEM;
        if is_large && open.len() > 1 {
            let alone = open.split_last(self.expected);
            self.open = Some(open);
            self.seal();
            open = alone;
        }
        self.waiting += 1;
        let (items, bytes) = (open.len(), open.bytes());
        self.open = Some(open);
        // As many as make all requests that may be under way equally large.
        let share = (self.waiting + self.under_way).div_ceil(bounds.requests).max(LEAST_SECOND).min(bounds.items);
        if items >= share || bytes >= bounds.bytes || is_large {
            self.seal();
        }
        Ok(place)
    }

    fn seal(&mut self) {
        self.sealed.extend(self.open.take());
    }

    fn has_work(&self) -> bool {
        let takes_open = !self.is_gathering && (self.requests == 0 || self.is_closed);
        !self.sealed.is_empty() || (self.open.is_some() && takes_open)
    }

    fn turn(&mut self) -> Turn {
        self.is_signalled = false;
        if !self.sealed.is_empty()
            && let Some(batch) = self.pop()
        {
            return Turn::Send(batch);
        }
        if self.has_work() {
            self.is_gathering = true;
            return Turn::Gather(self.open.as_ref().map_or(0, Batch::len));
        }
        if self.is_closed {
            return Turn::End;
        }
        self.idle += 1;
        Turn::Sleep
    }

    fn pop(&mut self) -> Option<Batch> {
        let batch = self.sealed.pop_front().or_else(|| self.open.take())?;
        self.waiting -= batch.len();
        self.under_way += batch.len();
        self.requests += 1;
        Some(batch)
    }
}

/// One of a lane's senders; gone with the runtime that it runs on.
struct Sender(Arc<Shared>);

impl Drop for Sender {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.senders -= 1;
        queue.is_signalled = false;
        let others = queue.senders > 0;
        // With the last of them its runtime goes: nobody would send what waits.
        let left = if others { None } else { Some((queue.open.take(), mem::take(&mut queue.sealed))) };
        if !others {
            queue.waiting = 0;
        }
        drop(queue);
        drop(left);
        if others {
            self.0.wake.notify_one();
        }
    }
}

impl Sender {
    async fn run(self) {
        let mut line = Line::default();
        let mut wakers = Vec::new();
        while let Some(batch) = self.0.take().await {
            let mut under_way = UnderWay { shared: &self.0, count: batch.len(), batch };
            under_way.batch.close();
            self.deliver(&mut line, &mut under_way.batch, &mut wakers).await;
        }
    }

    async fn deliver(&self, line: &mut Line, batch: &mut Batch, wakers: &mut Vec<std::task::Waker>) {
        let Shared { nodes, path, bounds, may_be_binary, .. } = &*self.0;
        let mut attempts = Attempts::new(batch.opened + bounds.deadline);
        let content_type = Some(batch.encoding().content_type());
        let accept = may_be_binary.then_some(binary::CONTENT_TYPE);
        let request = Request { method: "POST", path, key: None, content_type, accept };
        while batch.len() > 0 {
            let response = match attempts.exchange(nodes, line, &request, batch.body()).await {
                Ok(response) => response,
                Err(gave_up) => {
                    if gave_up.is_unsupported() {
                        self.0.lock().encoding = Encoding::Json(batch.encoding().list());
                    }
                    return batch.give_up(&gave_up);
                }
            };
            if response.status == 200 {
                if *may_be_binary && binary::is_type(response.content_type) {
                    self.0.lock().encoding = Encoding::BinaryTransfers;
                }
                if batch.answer(response.content_type, response.body, wakers).is_err() {
                    return batch.give_up(&attempts.unreadable(response.status, response.body));
                }
                return;
            }
            let Some(refusal) = read_problem(response.body, response.is_replayed) else {
                return batch.give_up(&attempts.unreadable(response.status, response.body));
            };
            // A malformed item refuses all, and nothing is decided: the others are sent without it.
            let element = batch.encoding().element(refusal.fields.get("pointer")).filter(|_| response.status == 400);
            match element {
                Some(element) if element < batch.len() => batch.refuse(element, refusal),
                Some(_) | None if attempts.is_uncertain() => {
                    let (status, said) = (response.status, said(response.body));
                    let node = "the ledger".to_owned();
                    return batch.give_up(&attempts.gave_up(Failure::Answered { node, status, said }));
                }
                Some(_) | None => return batch.refuse_all(refusal),
            }
        }
    }
}

/// A batch that a sender took, until it is over, however that comes about.
struct UnderWay<'a> {
    shared: &'a Shared,
    count: usize,
    batch: Batch,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.requests -= 1;
        queue.under_way -= self.count;
        queue.expected = self.count;
        // Who still waits reads its key from it.
        if self.batch.len() == 0 {
            queue.spare = self.batch.take_body();
        }
    }
}

fn malformed(why: &str) -> Error {
    Error::Refused(Arc::new(Refusal {
        code: Code::Malformed,
        detail: why.to_owned(),
        position: None,
        is_replayed: false,
        fields: Map::new(),
    }))
}
