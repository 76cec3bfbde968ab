//! Another program that writes to the database continuously. Each write makes the registry compare
//! the table with memory; these comparisons must not delay other work forever.

use std::time::Duration;

use sqlx::sqlite::SqliteConnection;
use tokio::time::timeout;

use crate::helpers::{TestRegistry, peer};

/// Large enough that a comparison takes longer than the pause between two writes of the program.
const ROWS: u64 = 20_000;

/// The other program, with its own connection.
struct Program {
    database: SqliteConnection,
}

impl Program {
    async fn write(&mut self) {
        let write = "UPDATE peers SET version = version + 1 WHERE peer_id = 'a'";
        let result = sqlx::query(write).execute(&mut self.database).await;
        assert_eq!(result.unwrap().rows_affected(), 1);
    }
}

/// A registry with `a` and many other peers, and a program that has not written yet.
async fn start(flags: &[&str]) -> (TestRegistry, Program) {
    let registry = TestRegistry::start_with(flags).await;
    let mut body = peer("a");
    body["version"] = "1".into();
    registry.register(&body).await.ok();
    registry.add_rows(ROWS).await;
    registry.wait_for_peers("a", ROWS + 1).await;
    let database = registry.database().await;
    (registry, Program { database })
}

/// Lets the leases of all but `a` run out.
async fn expire_others(registry: &TestRegistry) {
    registry.advance_secs(300);
    registry.heartbeat("a").await.ok();
    registry.advance_ms(300_001);
}

#[actix_web::test]
async fn a_change_in_the_last_row_is_noticed_although_writes_never_end() {
    let (registry, mut program) = start(&[]).await;
    registry
        .execute("UPDATE peers SET version = 'edited' WHERE peer_id = 'row-20000'")
        .await;
    for _ in 0..1_000 {
        program.write().await;
        registry.heartbeat("a").await.ok();
        if registry.peers("version=edited").await.ok()["total"] == 1 {
            return;
        }
    }
    panic!("no comparison comes as far as the last row");
}

#[actix_web::test]
async fn cleanups_are_delayed_for_seconds_and_not_forever() {
    let (registry, mut program) = start(&[]).await;
    program.write().await;
    expire_others(&registry).await;
    // Comparisons delay a cleanup for 5 s on the machine's clock, which a test cannot move.
    let first_cleanup = timeout(Duration::from_secs(30), async {
        loop {
            program.write().await;
            let answer = registry.heartbeat("a").await.ok();
            let cleaned = answer["cleanedExpiredPeers"].as_u64().unwrap();
            if cleaned > 0 {
                return cleaned;
            }
        }
    });
    let mut cleaned = first_cleanup.await.expect("a cleanup");
    cleaned += registry.wait_for_peers("a", 1).await;
    assert_eq!(cleaned, ROWS);
    assert_eq!(registry.stored_ids().await, ["a"]);
}

#[actix_web::test]
async fn places_of_expired_peers_are_free_even_before_a_cleanup_removes_them() {
    let flag = format!("--max-peers={}", ROWS + 1);
    let (registry, mut program) = start(&[&flag]).await;
    let refused = registry.register(&peer("early")).await;
    refused.refused(503, "registry_full");
    program.write().await;
    expire_others(&registry).await;
    // Peers that expire together become inactive a few thousand at a time.
    for _ in 0..50 {
        program.write().await;
        let answer = registry.register(&peer("newcomer")).await;
        if answer.status == 200 {
            return;
        }
        answer.refused(503, "registry_full");
    }
    panic!("the registry stays full");
}
