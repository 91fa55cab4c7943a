//! The routes of the cluster on a node that runs alone: it says so. What they do in a cluster is tried with processes
//! (`jepsen/tests/membership.rs`).

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::Ledger;

#[tokio::test]
async fn a_node_that_runs_alone_is_its_only_member_and_changes_nothing() {
    let ledger = Ledger::start().await;
    let mut status = ledger.get("/v1/cluster").await.expect(200);
    let cluster = status["cluster"].take();
    assert_eq!(cluster.as_str().map(str::len), Some(32), "{cluster}");
    let member = status["members"][0].take();
    assert_eq!(
        (&member["node_id"], &member["standing"], &member["role"], &member["address"], &member["lag_entries"]),
        (&json!(1), &json!("voter"), &json!("leader"), &json!(""), &Value::Null)
    );
    assert_eq!(
        (&status["node_id"], &status["leader"], &status["next_node_id"]),
        (&json!(1), &json!(1), &json!(2)),
        "{status}"
    );
    assert_eq!(status["members"].as_array().map(Vec::len), Some(1));

    let remove = Request::delete("/v1/cluster/members/1").body(Body::empty()).unwrap();
    for refused in [
        ledger.post_without_key("/v1/cluster/members", &json!({"node_id": 2, "address": "b:7071"})).await,
        ledger.post_without_key("/v1/cluster/members/1/promote", &json!({})).await,
        ledger.post_without_key("/v1/cluster/transfer-leader", &json!({})).await,
        ledger.send(remove).await,
    ] {
        let problem = refused.expect(409);
        assert_eq!(problem["code"], "not_clustered", "{problem}");
    }
    let malformed = ledger.post_without_key("/v1/cluster/members", &json!({"node_id": "two"})).await.expect(400);
    assert_eq!(malformed["pointer"], "/node_id", "{malformed}");
    let nobody = ledger.post_without_key("/v1/cluster/members/x/promote", &json!({})).await.expect(404);
    assert_eq!(nobody["code"], "not_found");
    assert_eq!(ledger.get("/v1/cluster").await.expect(200)["members"].as_array().map(Vec::len), Some(1));
    ledger.close().await;
}

#[tokio::test]
async fn the_metrics_say_who_leads() {
    let ledger = Ledger::start().await;
    let metrics = ledger.get("/metrics").await;
    for line in [
        "partita_raft_role{role=\"leader\"} 1",
        "partita_raft_role{role=\"follower\"} 0",
        "partita_raft_term 1",
        "partita_raft_leader 1",
        "partita_cluster_members{standing=\"voter\"} 1",
    ] {
        assert!(metrics.text.lines().any(|found| found == line), "{line} is missing from\n{}", metrics.text);
    }
    ledger.close().await;
}
