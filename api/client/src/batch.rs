//! One request on its way: its body, who waits for which part of its answer, and how each of them is told.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use crate::attempts::GaveUp;
use crate::encoding::Encoding;
use crate::error::{Error, Failure, Refusal};
use crate::items::Item;
use crate::parse::{NotResults, Posted};

/// What every caller of one request shares with its sender.
#[derive(Debug)]
struct Calls {
    slots: Mutex<Vec<Slot>>,
}

#[derive(Debug)]
enum Slot {
    Waiting(Option<Waker>),
    Done(Result<Posted, Error>),
    Taken,
}

/// A caller's place in a request: resolves to what became of its item.
#[derive(Debug)]
pub(crate) struct Place {
    calls: Arc<Calls>,
    slot: usize,
}

/// Items that go in one request. Whoever drops it tells those who still wait that nothing is known.
#[derive(Debug)]
pub(crate) struct Batch {
    calls: Arc<Calls>,
    encoding: Encoding,
    body: Vec<u8>,
    items: Vec<ItemPlace>,
    /// When its first item came.
    pub opened: Instant,
    was_closed: bool,
}

#[derive(Clone, Copy, Debug)]
struct ItemPlace {
    /// Where it begins in the body.
    start: usize,
    slot: usize,
}

impl Calls {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Slot>> {
        // Nothing panics while it is held but what leaves the slots as they are.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Future for Place {
    type Output = Result<Posted, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slots = self.calls.lock();
        let slot = &mut slots[self.slot];
        match slot {
            Slot::Waiting(Some(waker)) => {
                waker.clone_from(context.waker());
                Poll::Pending
            }
            Slot::Waiting(empty) => {
                *empty = Some(context.waker().clone());
                Poll::Pending
            }
            Slot::Done(_) => match std::mem::replace(slot, Slot::Taken) {
                Slot::Done(result) => Poll::Ready(result),
                Slot::Waiting(_) | Slot::Taken => unreachable!("it was done a line before, under the same lock"),
            },
            Slot::Taken => panic!("a call that is over was polled again"),
        }
    }
}

impl Batch {
    /// `body` is a buffer that may have been used before.
    pub(crate) fn open(encoding: Encoding, mut body: Vec<u8>, expected: usize) -> Self {
        body.clear();
        encoding.open(&mut body);
        Self {
            calls: Arc::new(Calls { slots: Mutex::new(Vec::with_capacity(expected)) }),
            encoding,
            body,
            items: Vec::with_capacity(expected),
            opened: Instant::now(),
            was_closed: false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.body.len()
    }

    /// # Errors
    /// What the format cannot hold, and why; the batch is as it was.
    pub(crate) fn push(&mut self, item: &impl Item, key: &[u8]) -> Result<Place, &'static str> {
        let before = self.body.len();
        self.encoding.separate(self.items.len(), &mut self.body);
        let start = self.body.len();
        if let Err(why) = self.encoding.write(item, key, &mut self.body) {
            self.body.truncate(before);
            return Err(why);
        }
        let mut slots = self.calls.lock();
        let slot = slots.len();
        slots.push(Slot::Waiting(None));
        drop(slots);
        self.items.push(ItemPlace { start, slot });
        Ok(Place { calls: Arc::clone(&self.calls), slot })
    }

    /// The last item in a batch of its own.
    pub(crate) fn split_last(&mut self, expected: usize) -> Self {
        let mut alone = Self::open(self.encoding, Vec::new(), expected);
        if let Some(item) = self.items.pop() {
            let start = alone.body.len();
            alone.body.extend_from_slice(&self.body[item.start..]);
            self.body.truncate(item.start - self.encoding.separator(self.items.len()));
            // Its caller looks for it among these.
            alone.calls = Arc::clone(&self.calls);
            alone.items.push(ItemPlace { start, slot: item.slot });
        }
        alone
    }

    /// The whole body, once nothing is added any more.
    pub(crate) fn close(&mut self) {
        self.was_closed = true;
        self.encoding.close(self.items.len(), &mut self.body);
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The buffer, for the next one.
    pub(crate) fn take_body(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.body)
    }

    /// Gives every caller its part of the answer; `wakers` is empty before and after, and only kept for its memory. If the
    /// answer is none, nobody is told anything.
    pub(crate) fn answer(
        &mut self,
        content_type: &[u8],
        answer: &[u8],
        wakers: &mut Vec<Waker>,
    ) -> Result<(), NotResults> {
        let mut results = Vec::with_capacity(self.items.len());
        let count = Encoding::read_results(content_type, answer, |result| results.push(result))?;
        if count != self.items.len() {
            return Err(NotResults);
        }
        let mut slots = self.calls.lock();
        for (item, result) in self.items.drain(..).zip(results) {
            finish(&mut slots[item.slot], result, wakers);
        }
        drop(slots);
        wakers.drain(..).for_each(Waker::wake);
        Ok(())
    }

    /// One item was refused before anything was decided; the rest can be sent without it.
    pub(crate) fn refuse(&mut self, index: usize, refusal: Refusal) {
        let item = self.items.remove(index);
        let next = self.items.get(index).map(|next| next.start);
        let removed = self.encoding.remove(item.start, next, index, &mut self.body);
        for after in &mut self.items[index..] {
            after.start -= removed;
        }
        self.encoding.recount(self.items.len(), &mut self.body);
        let mut wakers = Vec::new();
        finish(&mut self.calls.lock()[item.slot], Err(Error::Refused(Arc::new(refusal))), &mut wakers);
        wakers.drain(..).for_each(Waker::wake);
    }

    /// One answer for everybody who still waits.
    pub(crate) fn refuse_all(&mut self, refusal: Refusal) {
        let refusal = Arc::new(refusal);
        self.end(|_key| Error::Refused(Arc::clone(&refusal)));
    }

    pub(crate) fn give_up(&mut self, gave_up: &GaveUp) {
        let last = &gave_up.last;
        if gave_up.is_uncertain {
            self.end(|key| Error::OutcomeUnknown { key, last: Arc::clone(last) });
        } else {
            self.end(|_key| Error::Unavailable { last: Arc::clone(last) });
        }
    }

    fn end(&mut self, error: impl Fn(String) -> Error) {
        let mut wakers = Vec::new();
        let mut slots = self.calls.lock();
        for item in self.items.drain(..) {
            let key = self.encoding.key_of(self.body.get(item.start..).unwrap_or_default());
            finish(&mut slots[item.slot], Err(error(key)), &mut wakers);
        }
        drop(slots);
        wakers.drain(..).for_each(Waker::wake);
    }
}

fn finish(slot: &mut Slot, result: Result<Posted, Error>, wakers: &mut Vec<Waker>) {
    if let Slot::Waiting(waker) = std::mem::replace(slot, Slot::Done(result)) {
        wakers.extend(waker);
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // Its sender ended in the middle, with the runtime that it ran on. What it had sent by then is not known.
        if !self.items.is_empty() {
            self.give_up(&GaveUp { is_uncertain: self.was_closed, last: Arc::new(Failure::Ended) });
        }
    }
}
