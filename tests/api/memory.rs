//! The memory budget: what counts, what is refused, and what remains after a restart.

use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::helpers::{TestRegistry, ask, peer, turn_server};

const MIB: u64 = 1 << 20;
/// Requests that are sent at a time, so that they share transactions.
const TOGETHER: usize = 32;
/// Set in the separate process of a test that uses memory which other tests must not see.
const ALONE: &str = "PEER_REGISTRY_TEST_ALONE";

/// The memory of all peers and sessions that `/stats` reports, in bytes.
async fn peer_bytes(registry: &TestRegistry) -> u64 {
    let stats = registry.stats().await.ok();
    stats["peerBytes"].as_u64().unwrap()
}

/// Registers a body; the only allowed refusal is for lack of memory. Returns whether it was accepted.
async fn is_taken(registry: &TestRegistry, body: &Value) -> bool {
    let answer = registry.register(body).await;
    if answer.status == 200 {
        return true;
    }
    answer.refused(503, "registry_full");
    false
}

/// Registers bodies, several at a time; returns how many were accepted.
async fn take_all(registry: &TestRegistry, bodies: impl Iterator<Item = Value>) -> usize {
    let mut bodies = bodies.peekable();
    let mut taken = 0;
    while bodies.peek().is_some() {
        let some: Vec<_> = bodies.by_ref().take(TOGETHER).collect();
        let results = join_all(some.iter().map(|body| is_taken(registry, body))).await;
        taken += results.into_iter().filter(|is_taken| *is_taken).count();
    }
    taken
}

/// Registers peers that share their largest field, then registers each with a text of its own, and
/// checks that these texts count. `body_of` makes the body of an id with shared or own text. The own
/// text is shorter, so a registry that still counted the shared text would see no growth.
async fn unshare(peers: usize, body_of: impl Fn(&str, bool) -> Value) {
    let registry = TestRegistry::start_with(&["--max-memory-mb=1"]).await;
    let ids: Vec<_> = (0..peers).map(id_of).collect();
    let shared = || ids.iter().map(|id| body_of(id, true));
    assert_eq!(take_all(&registry, shared()).await, peers);
    let before = peer_bytes(&registry).await;
    for _ in 0..2 {
        let taken = take_all(&registry, ids.iter().map(|id| body_of(id, false))).await;
        assert!((1..peers).contains(&taken), "{taken} of {peers} were taken");
        // Registered peers may exceed the budget by a sixteenth. Memory is allocated in pages, which
        // are a large part of this small budget.
        let own = peer_bytes(&registry).await;
        assert!(own <= MIB + MIB / 8, "{own} bytes of 1 MiB");
        // Sharing again is always accepted, and frees the memory.
        assert_eq!(take_all(&registry, shared()).await, peers);
        let after = peer_bytes(&registry).await;
        // What is kept about the earlier registrations of each peer counts, too.
        assert!(after < before + before / 4, "{before} bytes, then {after}");
    }
}

#[actix_web::test]
async fn capabilities_that_are_no_longer_shared_count_for_each_peer() {
    unshare(400, |id, is_shared| {
        let mut body = peer(id);
        let text = if is_shared {
            "x".repeat(4_000)
        } else {
            format!("{id}-{}", "x".repeat(3_000))
        };
        body["capabilities"] = json!({ "text": text });
        body
    })
    .await;
}

#[actix_web::test]
async fn stores_that_are_no_longer_shared_count_for_each_peer() {
    unshare(100, |id, is_shared| {
        let mut body = peer(id);
        let store = |number| match is_shared {
            true => format!("shared-{number:0110}"),
            false => format!("{id}-{number:090}"),
        };
        body["stores"] = (0..100).map(store).collect();
        body
    })
    .await;
}

/// A peer with stores that nobody else has.
fn with_stores(id: &str, stores: usize) -> Value {
    let mut body = peer(id);
    body["stores"] = (0..stores).map(|number| format!("{id}-{number}")).collect();
    body
}

fn id_of(number: usize) -> String {
    format!("p{number:05}")
}

/// Registers peers until there is no memory for another one; returns their ids.
async fn fill(registry: &TestRegistry, stores: usize) -> Vec<String> {
    for first in (0..).step_by(TOGETHER) {
        let numbers = first..first + TOGETHER;
        let bodies = numbers.map(|number| with_stores(&id_of(number), stores));
        if take_all(registry, bodies).await < TOGETHER {
            break;
        }
    }
    registry.listed_ids().await
}

/// Restarts, and checks that every peer is still listed.
async fn restart(mut registry: TestRegistry) {
    let ids = registry.listed_ids().await;
    registry.stop().await;
    registry.resume().await;
    let listed = registry.listed_ids().await;
    assert_eq!(listed.len(), ids.len());
    assert_eq!(listed, ids);
    assert_eq!(registry.stored_ids().await, ids);
}

#[actix_web::test]
async fn peers_beyond_the_budget_stay_registered_over_a_restart() {
    let registry = TestRegistry::start_with(&["--max-memory-mb=1"]).await;
    let ids = fill(&registry, 0).await;
    // Registered peers may exceed the budget a little.
    let changed = ids.iter().map(|id| {
        let mut body = peer(id);
        body["version"] = json!(format!("{id:060}"));
        body
    });
    assert!(take_all(&registry, changed).await < ids.len());
    let before = peer_bytes(&registry).await;
    // Memory is allocated in pages, so a little of the budget may be unused.
    assert!(
        before > MIB / 16 * 15,
        "{before} bytes are well within the budget"
    );
    restart(registry).await;
}

#[actix_web::test]
async fn peers_with_many_stores_stay_registered_over_a_restart() {
    let registry = TestRegistry::start_with(&["--max-memory-mb=1"]).await;
    fill(&registry, 40).await;
    restart(registry).await;
}

#[actix_web::test]
async fn peers_with_shared_stores_stay_registered_over_a_restart() {
    let registry = TestRegistry::start_with(&["--max-memory-mb=1"]).await;
    let stores: Vec<_> = (0..40).map(|index| format!("shared-{index}")).collect();
    let bodies = (0..2_000).map(|index| {
        let mut body = peer(&id_of(index));
        body["stores"] = json!(stores);
        body
    });
    assert!(take_all(&registry, bodies).await < 2_000);
    restart(registry).await;
}

#[actix_web::test]
async fn a_start_with_too_little_memory_removes_the_oldest_leases() {
    let mut registry = TestRegistry::start_with(&["--max-memory-mb=2"]).await;
    let ids = fill(&registry, 40).await;
    registry.advance_secs(60);
    let renewed: Vec<_> = ids.iter().step_by(4).collect();
    for id in &renewed {
        registry.heartbeat(id).await.ok();
    }
    registry.stop().await;
    registry.config.registry.max_memory_bytes = MIB as usize;
    registry.resume().await;
    let listed = registry.listed_ids().await;
    let kept = listed.len();
    assert!((ids.len() / 4..ids.len() * 2 / 3).contains(&kept), "{kept}");
    assert!(renewed.iter().all(|id| listed.contains(id)));
    assert_eq!(registry.stored_ids().await, listed);
    registry.heartbeat(&listed[0]).await.ok();
    // The others do not fill the memory, so that a new peer finds room.
    let bytes = peer_bytes(&registry).await;
    assert!(bytes <= MIB, "{bytes} bytes of 1 MiB");
    registry.register(&peer("newcomer")).await.ok();
}

#[actix_web::test]
async fn a_start_that_cannot_remove_what_does_not_fit_fails_and_a_later_one_succeeds() {
    let mut registry = TestRegistry::start_with(&["--max-memory-mb=2"]).await;
    let ids = fill(&registry, 40).await;
    let refuse = "CREATE TRIGGER refuse BEFORE DELETE ON peers
        BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END";
    registry.execute(refuse).await;
    registry.stop().await;
    registry.config.registry.max_memory_bytes = MIB as usize;
    registry.resume().await;
    assert_eq!(registry.health().await.status, 503);
    let listed = registry.listed_ids().await;
    assert!(listed.len() < ids.len());
    registry.execute("DROP TRIGGER refuse").await;
    registry.heartbeat(&listed[0]).await.ok();
    registry.health().await.ok();
}

#[actix_web::test]
async fn ended_sessions_do_not_keep_new_peers_out() {
    let registry = TestRegistry::start_with(&[
        "--max-memory-mb=1",
        "--max-allocations-per-minute=100000",
        "--max-ended-sessions-per-peer=100000",
    ])
    .await;
    registry.register(&turn_server("turn", 100)).await.ok();
    // All sessions together would exceed the budget.
    let allocate_and_release = async |id: String| {
        registry.register(&peer(&id)).await.ok();
        for _ in 0..50 {
            let granted = registry.allocate(&ask(&id)).await.ok();
            let release = json!({ "peerId": id, "sessionId": granted["sessionId"] });
            registry.release(&release).await.ok();
        }
    };
    join_all((0..TOGETHER).map(|number| allocate_and_release(id_of(number)))).await;
    registry.register(&peer("newcomer")).await.ok();
}

#[test]
fn a_process_that_takes_more_memory_than_is_counted_takes_no_newcomers() {
    // The memory must not affect the other tests in this process.
    let name = "memory::in_a_process_of_its_own_newcomers_wait_while_memory_is_taken";
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored"])
        .env(ALONE, "1")
        .status();
    assert!(status.unwrap().success());
}

#[actix_web::test]
#[ignore = "runs in a process of its own, which another test starts"]
async fn in_a_process_of_its_own_newcomers_wait_while_memory_is_taken() {
    if std::env::var_os(ALONE).is_none() {
        return;
    }
    let registry = TestRegistry::start_with(&["--max-memory-mb=8"]).await;
    registry.register(&peer("a")).await.ok();
    // More than the budget and the 112 MiB that the process may use beside it. Every page is written,
    // because the system counts only those.
    let taken = vec![1_u8; 160 << 20];
    wait_until_newcomers_are_taken(&registry, false).await;
    assert!(peer_bytes(&registry).await < MIB, "the peers take little");
    // A registered peer may renew, and may register with less than before.
    registry.heartbeat("a").await.ok();
    registry.register(&peer("a")).await.ok();
    assert!(!is_taken(&registry, &with_stores("a", 50)).await);
    assert_eq!(std::hint::black_box(&taken).len(), 160 << 20);
    drop(taken);
    wait_until_newcomers_are_taken(&registry, true).await;
}

/// Registers new peers until they are accepted or refused, as expected. A timer in real time measures
/// the memory, so this takes half a second.
async fn wait_until_newcomers_are_taken(registry: &TestRegistry, expected: bool) {
    let outcome = timeout(Duration::from_secs(10), async {
        for number in 0.. {
            let body = peer(&format!("{expected}-{number}"));
            if is_taken(registry, &body).await == expected {
                return;
            }
        }
    });
    outcome.await.expect("newcomers are treated as before");
}
