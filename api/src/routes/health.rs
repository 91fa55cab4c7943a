//! Whether the process lives, whether the node serves, and its metrics.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::time::{Duration, Instant};
use utoipa::ToSchema;

use crate::app::{App, json, read_problem, with_position};
use crate::metrics;
use crate::problem::{Problem, ProblemJson};

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub struct HealthJson {
    pub status: &'static str,
}

/// The process runs. Says nothing about whether it can serve.
#[utoipa::path(get, path = "/livez", tag = "operations", responses((status = 200, body = HealthJson)))]
pub async fn live() -> Response {
    json(StatusCode::OK, &HealthJson { status: "live" })
}

/// How long readiness waits for the leader's confirmation.
const PATIENCE: Duration = Duration::from_secs(2);

/// The node has recovered, knows a leader, and serves linearizable reads.
#[utoipa::path(get, path = "/readyz", tag = "operations",
    responses((status = 200, body = HealthJson), (status = 503, body = ProblemJson)))]
pub async fn ready(State(app): State<App>) -> Result<Response, Problem> {
    let deadline = Instant::now() + PATIENCE;
    app.node().wait_recovered(deadline).await.map_err(read_problem)?;
    app.node().barrier(deadline).await.map_err(read_problem)?;
    Ok(with_position(json(StatusCode::OK, &HealthJson { status: "ready" }), app.reader().position()))
}

/// Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn prometheus(State(app): State<App>) -> Response {
    let text = metrics::render(&app.node().status(), &app.node().cluster().local());
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}
