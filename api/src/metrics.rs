//! Prometheus metrics: requests are counted here, batches, fsyncs and checkpoints by the consensus crate.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use metrics::{Counter, Histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use parking_lot::RwLock;

use crate::routes::cluster::role_name;
use partita_consensus::cluster::status::LocalStatus;
use partita_consensus::{NodeStatus, Role};

static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

const SECONDS: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const SIZES: &[f64] = &[1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0, 10_000_000.0];

/// Starts recording, once a process.
pub fn install() {
    RECORDER.get_or_init(|| {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_commands".to_owned()), SIZES))
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), SIZES))
            .expect("the buckets are not empty");
        match builder.install_recorder() {
            Ok(handle) => Some(handle),
            Err(error) => {
                tracing::warn!(%error, "metrics are not recorded");
                None
            }
        }
    });
}

/// Sums up what histograms have taken since the last time. They keep every value until then: a node that nobody asks
/// for its metrics would grow with each request.
pub(crate) fn sum_up() {
    if let Some(Some(handle)) = RECORDER.get() {
        handle.run_upkeep();
    }
}

/// Everything recorded so far, and what is the case now.
pub(crate) fn render(status: &NodeStatus, local: &LocalStatus) -> String {
    metrics::gauge!("partita_queue_commands").set(float(status.queued_commands));
    metrics::gauge!("partita_ready").set(if status.recovered && status.leader.is_some() { 1.0 } else { 0.0 });
    match RECORDER.get() {
        Some(Some(handle)) => {
            handle.run_upkeep();
            handle.render() + &raft(status, local)
        }
        Some(None) | None => raft(status, local),
    }
}

/// Written anew each time and not kept: of a follower that is gone, or of a lead that is lost, nothing stays behind.
fn raft(status: &NodeStatus, local: &LocalStatus) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, values: &[(String, String)]| {
        text.push_str(&format!("# TYPE partita_{name} gauge\n"));
        for (labels, value) in values {
            text.push_str(&format!("partita_{name}{labels} {value}\n"));
        }
    };
    let plain = |value: u64| [(String::new(), value.to_string())];
    let label = |name: &str, of: &str| format!("{{{name}=\"{of}\"}}");
    let role = |role: Role| (label("role", role_name(role)), u8::from(local.role == role).to_string());
    gauge("raft_role", &[Role::Leader, Role::Candidate, Role::Follower, Role::Learner].map(role));
    gauge("raft_term", &plain(local.term));
    gauge("raft_leader", &plain(local.leader.unwrap_or(0)));
    for (name, index) in [
        ("raft_last_index", local.last_index),
        ("raft_committed_index", local.committed_index),
        ("raft_applied_index", status.applied_index),
        ("raft_durable_index", status.durable_index),
        ("raft_purged_index", status.purged_index),
    ] {
        gauge(name, &plain(index.unwrap_or(0)));
    }
    let members = [("voter", local.voters), ("learner", local.learners)];
    gauge("cluster_members", &members.map(|(standing, count)| (label("standing", standing), count.to_string())));
    let node = |id: u64| label("node", &id.to_string());
    let lag: Vec<_> = local.followers.iter().map(|of| (node(of.node_id), of.lag_entries.to_string())).collect();
    let heard = local.followers.iter().filter_map(|of| Some((node(of.node_id), of.heard?.as_secs_f64().to_string())));
    let heard: Vec<_> = heard.collect();
    if !local.followers.is_empty() {
        gauge("follower_lag_entries", &lag);
        gauge("follower_heard_seconds", &heard);
    }
    text
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// How long the edge's own stages of a write take, and how much is asked for at once.
#[derive(Clone, Debug)]
pub(crate) struct Stages {
    /// From a body's bytes to what it asks for.
    pub(crate) parse: Histogram,
    /// From decisions to the bytes of the answer.
    pub(crate) answer: Histogram,
    pub(crate) commands: Histogram,
}

impl Stages {
    pub(crate) fn new() -> Self {
        Self {
            parse: metrics::histogram!("partita_parse_seconds"),
            answer: metrics::histogram!("partita_answer_seconds"),
            commands: metrics::histogram!("partita_request_commands"),
        }
    }
}

/// The series of requests, kept at hand: looking one up by its labels costs more than the rest of counting.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests(Arc<RwLock<HashMap<String, Vec<OfMethod>>>>);

/// Of one route and method.
#[derive(Debug)]
struct OfMethod {
    method: Method,
    seconds: Histogram,
    by_status: Vec<(StatusCode, Counter)>,
}

impl OfMethod {
    fn counter(&self, status: StatusCode) -> Option<&Counter> {
        self.by_status.iter().find(|(known, _)| *known == status).map(|(_, counter)| counter)
    }
}

impl Requests {
    fn record(&self, route: &str, method: &Method, status: StatusCode, elapsed: Duration) {
        let of = |methods: &Vec<OfMethod>| methods.iter().position(|known| known.method == *method);
        {
            let routes = self.0.read();
            let known = routes.get(route).and_then(|methods| Some(&methods[of(methods)?]));
            if let Some(known) = known
                && let Some(counter) = known.counter(status)
            {
                counter.increment(1);
                known.seconds.record(elapsed.as_secs_f64());
                return;
            }
        }
        let mut routes = self.0.write();
        let methods = routes.entry(route.to_owned()).or_default();
        let index = of(methods).unwrap_or_else(|| {
            let (route, name) = (route.to_owned(), method.as_str().to_owned());
            let seconds = metrics::histogram!("partita_http_request_seconds", "route" => route, "method" => name);
            methods.push(OfMethod { method: method.clone(), seconds, by_status: Vec::new() });
            methods.len() - 1
        });
        let known = &mut methods[index];
        if known.counter(status).is_none() {
            let labels = [
                ("route", route.to_owned()),
                ("method", method.as_str().to_owned()),
                ("status", status.as_u16().to_string()),
            ];
            known.by_status.push((status, metrics::counter!("partita_http_requests_total", &labels)));
        }
        if let Some(counter) = known.counter(status) {
            counter.increment(1);
        }
        known.seconds.record(elapsed.as_secs_f64());
    }
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct Counted {
    requests: Requests,
    route: Option<MatchedPath>,
    method: Method,
    began: Instant,
}

impl Requests {
    /// Counts a request under its route, so that ids in paths make no series of their own.
    pub(crate) fn begin(&self, request: &Request) -> Counted {
        Counted {
            requests: self.clone(),
            route: request.extensions().get::<MatchedPath>().cloned(),
            method: request.method().clone(),
            began: Instant::now(),
        }
    }
}

impl Counted {
    pub(crate) fn end(self, status: StatusCode) {
        let route = self.route.as_ref().map_or("unmatched", MatchedPath::as_str);
        self.requests.record(route, &self.method, status, self.began.elapsed());
    }
}
