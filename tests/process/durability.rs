//! A 200 is on disk.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sqlx::Row;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::child::{Registry, folder, peer, soon};
use crate::database;

const ROUNDS: usize = 20;
const SENDERS: usize = 12;

/// What is known of a peer from the requests alone.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The latest version sent.
    sent: u64,
    /// The latest version acknowledged.
    acknowledged: Option<u64>,
    /// When the latest acknowledged renewal was, in Unix milliseconds.
    renewed_ms: i64,
}

type Ledger = Arc<Mutex<BTreeMap<String, Known>>>;

#[tokio::test]
async fn acknowledged_registrations_survive_kill_nine() {
    let folder = folder();
    let ledger = Ledger::default();
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let mut registry = Registry::start(folder.path(), &["--max-listed=100"]).await;
        check(&registry, folder.path(), &ledger).await;
        // A different number each time, and sometimes none, has been acknowledged.
        let enough = if round % 7 == 6 { 0 } else { round * 53 % 149 };
        let (acknowledge, mut acknowledgements) = mpsc::unbounded_channel();
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            let name = format!("round-{round}-sender-{sender}");
            let stream = stream(
                registry.addr,
                name,
                sender,
                ledger.clone(),
                acknowledge.clone(),
            );
            senders.spawn(stream);
        }
        for _ in 0..enough {
            soon("an acknowledgement", acknowledgements.recv()).await;
        }
        registry.kill_nine().await;
        soon("the end of the senders", senders.join_all()).await;
        acknowledged += enough;
    }
    let mut registry = Registry::start(folder.path(), &["--max-listed=100"]).await;
    check(&registry, folder.path(), &ledger).await;
    registry.stop().await;
    assert!(acknowledged > 1000, "{acknowledged}");
}

/// Registers new peers, and updates and renews old ones, until the server is gone. No two senders
/// write to the same peer, so the versions of each are sent in order.
async fn stream(
    addr: SocketAddr,
    name: String,
    sender: usize,
    ledger: Ledger,
    acknowledge: mpsc::UnboundedSender<()>,
) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let old: Vec<String> = {
        let own = format!("sender-{sender}-");
        let ledger = ledger.lock().unwrap();
        ledger
            .keys()
            .filter(|id| id.contains(&own))
            .cloned()
            .collect()
    };
    for step in 0.. {
        let (id, path) = match step % 4 {
            1 if !old.is_empty() => (old[step % old.len()].clone(), "/register"),
            3 if !old.is_empty() => (old[(step + 7) % old.len()].clone(), "/heartbeat"),
            _ => (format!("{name}-{step}"), "/register"),
        };
        let (body, version) = next_request(&ledger, &id, path);
        let request = client.post(format!("http://{addr}{path}")).json(&body);
        let Ok(response) = request.send().await else {
            return;
        };
        let is_ok = response.status().is_success();
        let Ok(answer) = response.json::<Value>().await else {
            return;
        };
        if !is_ok {
            // A heartbeat for a peer whose registration never arrived.
            assert_eq!(answer["code"], "peer_not_found", "{answer}");
            let known = ledger.lock().unwrap()[&id];
            assert_eq!(known.acknowledged, None, "{id} was acknowledged: {answer}");
            continue;
        }
        let renewed_ms = answer["lastSeen"].as_i64().unwrap();
        if let Some(known) = ledger.lock().unwrap().get_mut(&id) {
            known.acknowledged = version.or(known.acknowledged);
            known.renewed_ms = renewed_ms;
        }
        if acknowledge.send(()).is_err() {
            return;
        }
    }
}

/// The body to send for a peer, noted in the ledger, and its version if it has one.
fn next_request(ledger: &Ledger, id: &str, path: &str) -> (Value, Option<u64>) {
    if path == "/heartbeat" {
        return (json!({ "peerId": id }), None);
    }
    let mut ledger = ledger.lock().unwrap();
    let known = ledger.entry(id.to_owned()).or_default();
    known.sent += 1;
    let mut body = peer(id);
    body["version"] = known.sent.to_string().into();
    (body, Some(known.sent))
}

/// Compares the listing and the table with what was sent and acknowledged.
async fn check(registry: &Registry, folder: &Path, ledger: &Ledger) {
    let known = ledger.lock().unwrap().clone();
    let mut listed = BTreeMap::new();
    for peer in registry.listed().await {
        let id = peer["peerId"].as_str().unwrap().to_owned();
        let version: u64 = peer["version"].as_str().unwrap().parse().unwrap();
        let last_seen = peer["lastSeen"].as_i64().unwrap();
        let twice = listed.insert(id.clone(), (version, last_seen));
        assert!(twice.is_none(), "{id} is listed twice");
    }
    for (id, (version, _)) in &listed {
        let known = known.get(id);
        assert!(
            known.is_some_and(|known| (1..=known.sent).contains(version)),
            "{id} at {version} was never sent: {known:?}"
        );
    }
    for (id, known) in &known {
        let Some(acknowledged) = known.acknowledged else {
            continue;
        };
        let (version, last_seen) = listed.get(id).unwrap_or_else(|| panic!("{id} is lost"));
        assert!(*version >= acknowledged, "{id} is at {version}: {known:?}");
        assert!(*last_seen >= known.renewed_ms, "{id}: {known:?}");
    }
    let mut database = database::open_in(folder).await;
    let integrity: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_all(&mut database)
        .await
        .unwrap();
    assert_eq!(integrity, ["ok"]);
    let rows = sqlx::query("SELECT peer_id, version, last_seen FROM peers")
        .fetch_all(&mut database)
        .await
        .unwrap();
    let stored: BTreeMap<String, (u64, i64)> = rows
        .iter()
        .map(|row| {
            let version: String = row.get(1);
            (row.get(0), (version.parse().unwrap(), row.get(2)))
        })
        .collect();
    assert_eq!(stored, listed);
}
