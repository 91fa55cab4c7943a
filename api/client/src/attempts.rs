//! One request sent until it is answered: on another node where one does not serve, with its key as it was, and never
//! beyond its deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::connection::{Connection, Request, Response};
use crate::error::Failure;
use crate::parse::said;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The nodes of one ledger. Whoever finds that one does not serve turns all to the next.
#[derive(Debug)]
pub(crate) struct Nodes {
    /// `host:port`.
    hosts: Vec<String>,
    current: AtomicUsize,
    /// How long one attempt may take before another node is asked.
    attempt: Duration,
}

impl Nodes {
    pub(crate) fn new(hosts: Vec<String>, attempt: Duration) -> Self {
        Self { hosts, current: AtomicUsize::new(0), attempt }
    }

    fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }

    fn turn_from(&self, node: usize) {
        let next = (node + 1) % self.hosts.len();
        // Nobody has to turn where somebody did already.
        let _turned = self.current.compare_exchange(node, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// A connection that is kept, and to which node.
#[derive(Debug, Default)]
pub(crate) struct Line(Option<(usize, Connection)>);

/// What is known of one request after the attempts so far.
#[derive(Debug)]
pub(crate) struct Attempts {
    pub deadline: Instant,
    /// Whether one of them may have been decided without our knowing.
    is_uncertain: bool,
    failed: usize,
    pause: Duration,
}

/// No answer came before the deadline.
#[derive(Clone, Debug)]
pub(crate) struct GaveUp {
    /// Whether an attempt may have been decided.
    pub is_uncertain: bool,
    pub last: Arc<Failure>,
}

impl GaveUp {
    /// Whether no node takes the body's form.
    pub(crate) fn is_unsupported(&self) -> bool {
        matches!(*self.last, Failure::Answered { status: 415, .. })
    }
}

/// What a status means to a request that may be sent again.
enum Meaning {
    Answer,
    /// Nothing was decided by this attempt; a later one may be.
    NotNow,
    /// It may have been decided.
    Unknown,
}

fn meaning(status: u16) -> Meaning {
    match status {
        // A body that came too slowly, a form that this node does not know yet, a caller that asks too often, a node that
        // does not serve.
        408 | 415 | 429 | 503 => Meaning::NotNow,
        500.. => Meaning::Unknown,
        _ => Meaning::Answer,
    }
}

impl Attempts {
    pub(crate) fn new(deadline: Instant) -> Self {
        Self { deadline, is_uncertain: false, failed: 0, pause: FIRST_PAUSE }
    }

    /// Sends until there is an answer: a success, or a refusal that sending again does not change.
    pub(crate) async fn exchange<'a>(
        &mut self,
        nodes: &Nodes,
        line: &'a mut Line,
        request: &Request<'_>,
        body: &[u8],
    ) -> Result<Response<'a>, GaveUp> {
        if Instant::now() >= self.deadline {
            return Err(self.gave_up(Failure::NotSent));
        }
        loop {
            let was_kept = line.0.is_some();
            let failure = match self.attempt(nodes, line, request, body).await {
                Ok(()) => break,
                Err(failure) => failure,
            };
            self.failed += 1;
            // A node may close a connection that nothing was sent on for a while: that says nothing about the node.
            let is_stale = was_kept && self.failed == 1 && matches!(failure.0, Failure::Exchange { .. });
            if !is_stale {
                self.wait(nodes, failure).await?;
            }
        }
        let answer = line.0.as_ref().and_then(|(_, connection)| connection.last());
        Ok(answer.expect("an attempt that was answered keeps its connection and the answer in it"))
    }

    /// One attempt. The answer stays in the connection.
    async fn attempt(
        &mut self,
        nodes: &Nodes,
        line: &mut Line,
        request: &Request<'_>,
        body: &[u8],
    ) -> Result<(), (Failure, Option<Duration>)> {
        let node = nodes.current();
        let host = &nodes.hosts[node];
        let until = self.deadline.min(Instant::now() + nodes.attempt);
        let kept = line.0.take().filter(|(to, connection)| *to == node && connection.is_reusable());
        let mut connection = match kept {
            Some((_, connection)) => connection,
            None => match timeout_at(until.min(Instant::now() + CONNECT_TIMEOUT), Connection::open(host)).await {
                Ok(Ok(connection)) => connection,
                Ok(Err(source)) => {
                    nodes.turn_from(node);
                    return Err((Failure::Connect { node: host.clone(), source }, None));
                }
                Err(_elapsed) => {
                    nodes.turn_from(node);
                    return Err((Failure::Late { node: host.clone() }, None));
                }
            },
        };
        let exchanged = timeout_at(until, connection.exchange(request, body)).await;
        let failure = match exchanged {
            Ok(Ok(response)) => match meaning(response.status) {
                Meaning::Answer => {
                    line.0 = Some((node, connection));
                    return Ok(());
                }
                not_answered @ (Meaning::NotNow | Meaning::Unknown) => {
                    self.is_uncertain |= matches!(not_answered, Meaning::Unknown);
                    let pause = response.retry_after_seconds.map(|seconds| Duration::from_secs(seconds.into()));
                    let (status, said) = (response.status, said(response.body));
                    line.0 = Some((node, connection));
                    (Failure::Answered { node: host.clone(), status, said }, pause)
                }
            },
            Ok(Err(source)) => {
                self.is_uncertain = true;
                (Failure::Exchange { node: host.clone(), source }, None)
            }
            Err(_elapsed) => {
                self.is_uncertain = true;
                (Failure::Late { node: host.clone() }, None)
            }
        };
        nodes.turn_from(node);
        Err(failure)
    }

    /// Until it makes sense to try again. The other nodes are asked at once; only when all of them failed is there a
    /// pause, and a longer one each time.
    async fn wait(&mut self, nodes: &Nodes, (failure, asked): (Failure, Option<Duration>)) -> Result<(), GaveUp> {
        let is_round = self.failed.is_multiple_of(nodes.hosts.len());
        let pause = if is_round {
            let pause = asked.unwrap_or(self.pause).min(LONGEST_PAUSE);
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            pause
        } else {
            Duration::ZERO
        };
        if Instant::now() + pause >= self.deadline {
            return Err(self.gave_up(failure));
        }
        if is_round {
            sleep(pause).await;
        }
        Ok(())
    }

    pub(crate) fn gave_up(&self, last: Failure) -> GaveUp {
        GaveUp { is_uncertain: self.is_uncertain, last: Arc::new(last) }
    }

    /// An answer that says nothing: what became of the request is not known.
    pub(crate) fn unreadable(&self, status: u16, body: &[u8]) -> GaveUp {
        let node = "the ledger".to_owned();
        GaveUp { is_uncertain: true, last: Arc::new(Failure::Answered { node, status, said: said(body) }) }
    }

    /// Whether a refusal now is all that there is to know.
    pub(crate) fn is_uncertain(&self) -> bool {
        self.is_uncertain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_find_a_node_away_turn_once() {
        let nodes = Nodes::new(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], Duration::from_secs(1));
        nodes.turn_from(0);
        nodes.turn_from(0);
        assert_eq!(nodes.current(), 1);
        nodes.turn_from(1);
        nodes.turn_from(2);
        assert_eq!(nodes.current(), 0);
    }
}
