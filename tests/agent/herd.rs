//! Five thousand nodes and one registry that goes away and comes back.

use std::time::Duration;

use peer_registry::agent::Agent;
use peer_registry::protocol::{Limits, PeerId, PeersQuery};

use crate::helpers::*;

const NODES: usize = 5_000;
const INTERVAL_SECS: usize = 120;
/// The max number of requests in one second: 5 % of the nodes.
const MAX_PER_SECOND: u64 = NODES as u64 / 20;

/// Moves the clock by one second, in quarters.
async fn pass_a_second(time: &Time, nodes: usize) {
    for _ in 0..4 {
        time.clock.advance(Duration::from_millis(250));
        time.wait_until_idle(nodes).await;
    }
}

/// Starts the nodes one after the other, over one heartbeat interval.
async fn start_herd(time: &Time, url: &str) -> Vec<Agent> {
    let mut agents = Vec::with_capacity(NODES);
    let mut announced = peer("template");
    for second in 1..=INTERVAL_SECS {
        while agents.len() < NODES * second / INTERVAL_SECS {
            let id = format!("peer-{}", agents.len());
            announced.peer_id = PeerId::parse(&id, "peerId", &Limits::default()).unwrap();
            agents.push(time.agent(announced.clone(), url).start().unwrap());
        }
        time.wait_until_idle(agents.len()).await;
        pass_a_second(time, agents.len()).await;
    }
    agents
}

/// The number of requests from nodes since the start of the registry.
async fn requests(registry: &TestRegistry) -> u64 {
    let stats = registry.client.stats().await.unwrap();
    stats.registrations + stats.heartbeats + stats.heartbeats_refused
}

/// The max number of requests in one second of the two intervals after an outage.
async fn busiest_second_after(outage_secs: usize) -> u64 {
    let time = Time::start();
    let mut registry = TestRegistry::start(&time).await;
    let agents = start_herd(&time, &registry.url).await;
    registry.stop().await;
    for _ in 0..outage_secs {
        pass_a_second(&time, NODES).await;
    }
    registry.resume().await;

    let back_ms = time.now_ms();
    let (mut before, mut max) = (0, 0);
    for _ in 0..2 * INTERVAL_SECS {
        pass_a_second(&time, NODES).await;
        let after = requests(&registry).await;
        max = max.max(after - before);
        before = after;
    }
    assert!(agents.iter().all(Agent::is_registered));
    assert_all_seen_since(&registry, back_ms).await;
    max
}

async fn assert_all_seen_since(registry: &TestRegistry, back_ms: i64) {
    let mut query = PeersQuery::default();
    let mut seen = 0;
    loop {
        let page = registry.client.peers(&query).await.unwrap();
        seen += page
            .peers
            .iter()
            .filter(|peer| peer.last_seen >= back_ms)
            .count();
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, NODES);
}

#[actix_web::test]
async fn after_two_minutes_of_outage_all_are_back_without_a_burst() {
    let max = busiest_second_after(120).await;
    println!("120 s: at most {max} requests a second");
    assert!(max <= MAX_PER_SECOND, "{max}");
}

#[actix_web::test]
async fn after_their_leases_have_run_out_all_are_back_without_a_burst() {
    let max = busiest_second_after(700).await;
    println!("700 s: at most {max} requests a second");
    assert!(max <= MAX_PER_SECOND, "{max}");
}
