//! Nodes come and go: founding, joining, promotion, removal, restarts; and who is not let in.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use partita_jepsen::HarnessError;
use partita_jepsen::command::{Ended, partita};
use partita_jepsen::node::{Node, free_address};
use partita_jepsen::transfers;
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(60);

/// Nodes' directories and raft addresses; processes are the tests' own.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

fn address() -> String {
    free_address().expect("a free port")
}

/// `--node-id`, `--raft-listen`, and who to join.
fn flags(id: u64, raft: &str, join: Option<&str>, more: &[&str]) -> Vec<String> {
    let mut flags = vec!["--node-id".to_owned(), id.to_string(), "--raft-listen".to_owned(), raft.to_owned()];
    if let Some(join) = join {
        flags.extend(["--join".to_owned(), join.to_owned()]);
    }
    flags.extend(more.iter().map(|flag| (*flag).to_owned()));
    flags
}

async fn start(data: &Path, flags: &[String]) -> Result<Node, HarnessError> {
    Node::start(data, &flags.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// A start that has to fail; what the node said.
async fn refused(data: &Path, flags: &[String]) -> Result<String, HarnessError> {
    let mut node = Node::spawn(data, &flags.iter().map(String::as_str).collect::<Vec<_>>())?;
    let status = node.wait_for_end("the refusal").await?;
    assert!(!status.success(), "{}", node.log_tail());
    Ok(node.log_tail())
}

async fn cluster(node: &Node) -> Result<Value, HarnessError> {
    node.client().read("/v1/cluster").await
}

fn member(cluster: &Value, id: u64) -> Value {
    let members = cluster["members"].as_array().expect("a cluster has members");
    members.iter().find(|member| member["node_id"] == id).cloned().unwrap_or(Value::Null)
}

/// Polls a node's view of the cluster until it is as wanted.
async fn until(node: &Node, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value, HarnessError> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let seen = cluster(node).await?;
        if wanted(&seen) {
            return Ok(seen);
        }
        assert!(Instant::now() < deadline, "{what} did not come about: {seen:#}\n{}", node.log_tail());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until_standing(node: &Node, id: u64, standing: &str) -> Result<Value, HarnessError> {
    until(node, &format!("node {id} as {standing}"), |seen| member(seen, id)["standing"] == standing).await
}

async fn ask(node: &Node, command: &[&str]) -> Result<Ended, HarnessError> {
    partita([&["cluster"], command, &["--url", node.url(), "--format", "json"]].concat()).await
}

/// One more transfer through this node; the position that it got.
async fn write(node: &Node, key: &str) -> Result<u64, HarnessError> {
    let transfer = json!({"debit": "assets:bank", "credit": "liabilities:wallet/cus_1", "amount": "1.00",
        "currency": "USD"});
    let path = format!("/v1/books/{}/transfers", transfers::BOOK);
    let (made, _replayed) = node.client().create(&path, key, &transfer).await?;
    Ok(made["position"].as_u64().expect("a decision has a position"))
}

/// The position and head that a linearizable read through this node shows.
async fn head(node: &Node) -> Result<(Value, Value), HarnessError> {
    partita_jepsen::books::head(&node.client(), transfers::BOOK).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_come_and_go_and_no_id_comes_twice() -> Result<(), HarnessError> {
    let place = Place::new();
    let (first, second, third, fourth) = (address(), address(), address(), address());

    // The founder takes its settings from a file.
    let config = place.path("node-1.toml");
    std::fs::write(&config, format!("node-id = 1\nraft-listen = \"{first}\"\nmemory = \"256MiB\"\n")).expect("a file");
    let config = config.to_string_lossy().into_owned();
    let mut one = Node::start(&place.path("1"), &["--config", &config]).await?;
    transfers::open_book(&one.client()).await?;
    write(&one, "k-1").await?;

    // A joining node learns, catches up, and votes; one on standby waits for its promotion.
    let mut two = start(&place.path("2"), &flags(2, &second, Some(&first), &[])).await?;
    let seen = until_standing(&one, 2, "voter").await?;
    assert_eq!(seen["leader"], 1, "{seen:#}");
    let mut three =
        start(&place.path("3"), &flags(3, &third, Some(&format!("{second},{first}")), &["--learner"])).await?;
    let seen = until_standing(&three, 3, "standby").await?;
    assert_eq!(member(&seen, 3)["role"], "learner", "{seen:#}");
    let promoted = ask(&three, &["promote", "3"]).await?;
    assert!(promoted.succeeded(), "{}", promoted.said());
    until_standing(&three, 3, "voter").await?;

    // Any node takes writes, and every other shows them.
    let position = write(&three, "k-2").await?;
    assert_eq!(head(&two).await?, head(&one).await?);
    assert_eq!(head(&two).await?.0, position);

    // Another one's directory, an id that is taken, an id that was taken.
    let said = refused(&place.path("3-as-4"), &flags(2, &fourth, Some(&first), &[])).await?;
    assert!(said.contains("node 2 is a member already"), "{said}");
    let said = refused(&place.path("2"), &flags(4, &fourth, Some(&first), &[])).await?;
    assert!(said.contains("in use by another process"), "{said}");

    // The leader hands over, and a removed node does not come back under its id.
    let handed = ask(&one, &["transfer-leader", "2"]).await?;
    assert!(handed.succeeded(), "{}", handed.said());
    until(&one, "node 2's lead", |seen| seen["leader"] == 2).await?;
    let removed = ask(&one, &["remove", "3"]).await?;
    assert!(removed.succeeded(), "{}", removed.said());
    let again = ask(&one, &["remove", "3"]).await?;
    assert!(!again.succeeded() && again.said().contains("node 3 is not a member"), "{}", again.said());
    let said = refused(&place.path("3-anew"), &flags(3, &third, Some(&first), &[])).await?;
    assert!(said.contains("no id is given twice") && said.contains("above 3"), "{said}");

    // An announced node keeps its id for the address that was named.
    let announced = ask(&two, &["add", "4", "--address", &fourth]).await?;
    assert!(announced.succeeded(), "{}", announced.said());
    let said = refused(&place.path("4-elsewhere"), &flags(4, &third, Some(&first), &[])).await?;
    assert!(said.contains("was announced at"), "{said}");
    let mut four = start(&place.path("4"), &flags(4, &fourth, Some(&first), &[])).await?;
    until_standing(&four, 4, "voter").await?;

    // A node that lost its data stays out under its old id, whatever it calls itself.
    four.kill()?;
    std::fs::remove_dir_all(place.path("4")).expect("its directory goes");
    let said = refused(&place.path("4"), &flags(4, &fourth, Some(&first), &[])).await?;
    assert!(said.contains("lost its data") && said.contains("above 4"), "{said}");

    until(&two, "node 4's silence", |seen| member(seen, 4)["heard_ms"].as_u64() > Some(2_500)).await?;
    // Without node 1 only node 2 of 2 and 4 would live: no quorum is given away.
    let stuck = ask(&one, &["remove", "1"]).await?;
    assert!(!stuck.succeeded() && stuck.said().contains("would stand still"), "{}", stuck.said());
    let removed = ask(&one, &["remove", "4"]).await?;
    assert!(removed.succeeded(), "{}", removed.said());

    // Whoever leads and is removed hands over first. What is left goes on, also after a restart.
    write(&two, "k-3").await?;
    assert!(one.stop().await?.success(), "{}", one.log_tail());
    let one = Node::start(&place.path("1"), &["--config", &config]).await?;
    let removed = ask(&one, &["remove", "2"]).await?;
    assert!(removed.succeeded(), "{}", removed.said());
    let seen = until(&one, "node 1 alone", |seen| seen["members"].as_array().is_some_and(|all| all.len() == 1)).await?;
    assert_eq!((&seen["leader"], &seen["next_node_id"]), (&json!(1), &json!(5)), "{seen:#}");
    two.kill()?;
    let last = ask(&one, &["remove", "1"]).await?;
    assert!(!last.succeeded() && last.said().contains("the only voter"), "{}", last.said());
    write(&one, "k-4").await?;

    // Nobody told node 3; it asked.
    let deadline = Instant::now() + DEADLINE;
    while !three.log_tail().contains("was removed from its cluster") {
        assert!(Instant::now() < deadline, "node 3 does not know: {}", three.log_tail());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(three.stop().await?.success(), "{}", three.log_tail());
    Ok(())
}

/// `--tls-…` with what `partita cluster certs` made for a node.
fn tls(certificates: &Path, id: u64) -> Vec<String> {
    let file = |name: String| certificates.join(name).to_string_lossy().into_owned();
    let (ca, certificate) = (file("ca.pem".to_owned()), file(format!("node-{id}.pem")));
    vec![
        "--tls-ca".to_owned(),
        ca,
        "--tls-cert".to_owned(),
        certificate,
        "--tls-key".to_owned(),
        file(format!("node-{id}-key.pem")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn only_certificates_of_the_authority_let_a_node_in() -> Result<(), HarnessError> {
    let place = Place::new();
    let (ours, theirs) = (place.path("certs"), place.path("other-certs"));
    for directory in [&ours, &theirs] {
        let directory = directory.to_string_lossy();
        let nodes = ["--node", "1=127.0.0.1", "--node", "2=127.0.0.1,localhost"];
        let made = partita([&["cluster", "certs", "--dir", &directory], &nodes[..]].concat()).await?;
        assert!(made.succeeded(), "{}", made.said());
        let again = partita(["cluster", "certs", "--dir", &directory, "--node", "1=127.0.0.1"]).await?;
        assert!(!again.succeeded(), "nothing is overwritten: {}", again.said());
    }
    let (first, second) = (address(), address());
    let founder = [flags(1, &first, None, &[]), tls(&ours, 1)].concat();
    let one = start(&place.path("1"), &founder).await?;
    transfers::open_book(&one.client()).await?;

    for (name, certificate) in [("stranger", tls(&theirs, 2)), ("bare", vec![])] {
        let flags = [flags(2, &second, Some(&first), &[]), certificate].concat();
        let stranger = Node::spawn(&place.path(name), &flags.iter().map(String::as_str).collect::<Vec<_>>())?;
        let deadline = Instant::now() + DEADLINE;
        while !stranger.log_tail().contains("not taken into the cluster yet") {
            assert!(Instant::now() < deadline, "{name} was not kept out: {}", stranger.log_tail());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let seen = cluster(&one).await?;
    assert_eq!(seen["members"].as_array().map(Vec::len), Some(1), "{seen:#}");

    let member = [flags(2, &second, Some(&first), &[]), tls(&ours, 2)].concat();
    let two = start(&place.path("2"), &member).await?;
    until_standing(&one, 2, "voter").await?;
    write(&two, "k-1").await?;
    assert_eq!(head(&two).await?, head(&one).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_cluster_is_not_spoken_to() -> Result<(), HarnessError> {
    let place = Place::new();
    let (first, second) = (address(), address());
    let one = start(&place.path("1"), &flags(1, &first, None, &[])).await?;
    transfers::open_book(&one.client()).await?;
    let mut two = start(&place.path("2"), &flags(2, &second, Some(&first), &["--learner"])).await?;
    until_standing(&one, 2, "standby").await?;
    assert!(two.stop().await?.success(), "{}", two.log_tail());

    // A founder of its own, under the id and the address of node 2.
    let mut stranger = start(&place.path("stranger"), &flags(2, &second, None, &[])).await?;
    let position = write(&one, "k-1").await?;
    let deadline = Instant::now() + DEADLINE;
    while !one.log_tail().contains("it is of cluster") {
        assert!(Instant::now() < deadline, "nobody was refused: {}", one.log_tail());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(stranger.log_tail().contains("was refused"), "{}", stranger.log_tail());
    let seen = cluster(&one).await?;
    assert_eq!((&member(&seen, 2)["role"], &member(&seen, 2)["position"]), (&Value::Null, &Value::Null), "{seen:#}");
    let books = stranger.client().read("/v1/books?consistency=local").await?;
    assert_eq!(books["data"], json!([]), "nothing of the one cluster is in the other");
    assert!(stranger.stop().await?.success(), "{}", stranger.log_tail());

    // The one who belongs there goes on where it was, with no --join said.
    let two = start(&place.path("2"), &flags(2, &second, None, &[])).await?;
    assert_eq!(head(&two).await?.0, position);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_ran_alone_becomes_the_first_of_a_cluster() -> Result<(), HarnessError> {
    let place = Place::new();
    let (first, second) = (address(), address());
    let mut alone = Node::start(&place.path("1"), &[]).await?;
    transfers::open_book(&alone.client()).await?;
    write(&alone, "k-1").await?;
    let refused = ask(&alone, &["add", "2", "--address", &second]).await?;
    assert!(!refused.succeeded() && refused.said().contains("runs alone"), "{}", refused.said());
    assert!(alone.stop().await?.success(), "{}", alone.log_tail());

    let one = start(&place.path("1"), &flags(1, &first, None, &[])).await?;
    until(&one, "its address", |seen| member(seen, 1)["address"] == first.as_str()).await?;
    let two = start(&place.path("2"), &flags(2, &second, Some(&first), &[])).await?;
    until_standing(&two, 2, "voter").await?;
    assert_eq!(head(&two).await?, head(&one).await?);
    Ok(())
}
