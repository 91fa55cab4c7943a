//! A fixed rate: when each request is to begin, whether or not the ones before it are answered (an open loop). Latency
//! counts from there, so that a server that stalls is charged for everybody who would have come meanwhile (coordinated
//! omission).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// How often what is due is let go: a sleeping thread costs nothing, and a timer of the runtime has a millisecond.
const TICK: Duration = Duration::from_micros(100);

#[derive(Debug)]
pub(super) struct Pace {
    begin: Instant,
    /// Seconds between two requests.
    interval: f64,
    due: Semaphore,
    taken: AtomicU64,
    is_over: AtomicBool,
}

/// Ends the pace, and with it the clients that wait for it.
#[derive(Debug)]
pub(super) struct Ticking {
    pace: Arc<Pace>,
}

impl Pace {
    /// `rate` requests a second, from `begin` on until `end`.
    pub(super) fn start(rate: f64, begin: Instant, end: Instant) -> Ticking {
        let due = Semaphore::new(0);
        let pace = Self { begin, interval: 1.0 / rate, due, taken: AtomicU64::new(0), is_over: AtomicBool::new(false) };
        let pace = Arc::new(pace);
        let ticking = Arc::clone(&pace);
        std::thread::spawn(move || ticking.tick(end));
        Ticking { pace }
    }

    fn tick(&self, end: Instant) {
        let mut released = 0;
        loop {
            let now = Instant::now();
            if self.is_over.load(Ordering::Relaxed) || now >= end {
                self.due.close();
                return;
            }
            while self.intended(released) <= now {
                self.due.add_permits(1);
                released += 1;
            }
            std::thread::sleep(TICK);
        }
    }

    fn intended(&self, index: u64) -> Instant {
        // Far beyond any run an f64 counts whole requests exactly.
        #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "there is no From; exact below 2^53")]
        let seconds = self.interval * index as f64;
        self.begin + Duration::from_secs_f64(seconds)
    }

    /// Waits until a request is due, and says since when it is; `None` at the end.
    pub(super) async fn next(&self) -> Option<Instant> {
        self.due.acquire().await.ok()?.forget();
        Some(self.intended(self.taken.fetch_add(1, Ordering::Relaxed)))
    }
}

impl Ticking {
    pub(super) fn pace(&self) -> Arc<Pace> {
        Arc::clone(&self.pace)
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.pace.is_over.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_are_due_at_their_times_however_late_they_are_taken() {
        let begin = Instant::now();
        let ticking = Pace::start(1_000.0, begin, begin + Duration::from_secs(2));
        let pace = ticking.pace();
        let mut before = None;
        for index in 0_u32..50 {
            let intended = pace.next().await.unwrap();
            assert!(Instant::now() >= intended);
            assert_eq!(intended, begin + Duration::from_secs_f64(f64::from(index) / 1_000.0));
            assert!(Some(intended) > before);
            before = Some(intended);
            if index == 10 {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        drop(ticking);
        while pace.next().await.is_some() {}
    }
}
