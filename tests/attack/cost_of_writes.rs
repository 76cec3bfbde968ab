//! The cost of a registration, and of its expiry, depends on its own size, not on how many peers
//! have the same stores.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::arena::{Arena, Server};
use crate::honest::Honest;
use crate::load::{Load, Plan};
use crate::verdict::{Verdict, eventually, scaled};
use crate::wire::{Connection, get, heartbeat, post};

const PEERS: usize = 1_600;
/// The number of registrations that are timed together.
const BATCH: usize = 100;
/// The number of stores of each registration: large enough that the transaction is not the main
/// cost.
const STORES: usize = 1_024;
/// After this time the server counts as failed.
const MAX_TIME: Duration = Duration::from_secs(24);

/// The number of peers whose leases run out together.
const EXPIRING: usize = 1_200;

/// A registration with the same stores as all others but a different version.
fn body(number: usize) -> String {
    let stores: Vec<_> = (0..STORES).map(|index| format!("s{index}")).collect();
    json!({ "peerId": format!("same-{number:05}"), "addresses": [], "cryptoIPv6": "fd00::1",
            "version": format!("v{number}"), "stores": stores })
    .to_string()
}

/// Registers the peers one after the other. Returns the time of each batch; stops after
/// [`MAX_TIME`].
fn register_in_turn(server: &Server, peers: usize) -> Vec<Duration> {
    let began = Instant::now();
    let mut connection = Connection::open(server.addr).unwrap();
    let mut batches = Vec::new();
    for first in (0..peers).step_by(BATCH) {
        let batch = Instant::now();
        for number in first..first + BATCH {
            let response = connection.exchange(&post("/register", &body(number)));
            let response = response.unwrap();
            assert_eq!(response.status, 200, "{}", response.json());
        }
        batches.push(batch.elapsed());
        if began.elapsed() > MAX_TIME {
            break;
        }
    }
    batches
}

#[test]
fn registrations_with_the_same_stores_do_not_become_more_expensive_each_time() {
    let arena = Arena::enter();
    let server = arena.start(&[("MAX_MEMORY_MB", "512")]);
    let honest = Honest::begin(&server);
    let peers = scaled(PEERS).max(10 * BATCH);
    let batches = register_in_turn(&server, peers);
    let mut verdict = Verdict::default();
    honest.end().judge(&mut verdict);
    verdict.measured("batches of registrations", format!("{batches:.0?}"));
    verdict.check(
        batches.len() == peers / BATCH,
        format!("only {} batches of {BATCH} in {MAX_TIME:?}", batches.len()),
    );
    // The fastest of four batches, because the machine may pause during one of them.
    let early = batches.iter().take(4).min().copied().unwrap_or_default();
    let late = batches.iter().rev().take(4).min().copied();
    let late = late.unwrap_or_default();
    verdict.check(
        late < early * 2,
        format!("a batch takes {late:.0?} at the end and {early:.0?} at the beginning"),
    );
    verdict.finish();
}

/// Lets the leases of many peers run out together while some clients list peers again and again.
fn expire_together(listing_clients: usize) {
    const TIMEOUT_SECS: u64 = 14;
    let arena = Arena::enter();
    let server = arena.start(&[
        ("MAX_MEMORY_MB", "512"),
        ("PEER_TIMEOUT_SECS", "14"),
        ("HEARTBEAT_INTERVAL_SECS", "5"),
    ]);
    let began = Instant::now();
    let peers = register_in_turn(&server, scaled(EXPIRING).max(6 * BATCH)).len() * BATCH;
    let took = began.elapsed();
    let renewals = Load::begin(server.addr, Plan::all(peers), |number| {
        heartbeat(&format!("same-{number:05}"))
    });
    let tally = renewals.done();
    // Measures the honest peers mainly while the leases run out. Leases run by the machine's clock,
    // so the test has to wait.
    std::thread::sleep(Duration::from_secs(TIMEOUT_SECS - 2));
    let honest = Honest::begin(&server);
    let plan = Plan::closed_loop(listing_clients);
    let listings = Load::begin(server.addr, plan, |_| get("/peers?turnCapable=true"));
    let all_cleaned = eventually(Duration::from_secs(20), || {
        let total = server.get("/stats").json()["totalPeers"].as_u64();
        total.is_some_and(|total| total as usize <= honest.ids.len())
    });
    let mut verdict = Verdict::default();
    verdict.measured("registered in", format!("{took:.1?}"));
    verdict.measured("renewed together", format!("{:?}", tally.kinds));
    verdict.check(
        tally.count("200") == peers,
        "the registrations took longer than their leases last",
    );
    verdict.check(all_cleaned, "the peers did not all expire");
    honest.end().judge(&mut verdict);
    verdict.measured("listings", format!("{:?}", listings.stop().kinds));
    verdict.finish();
}

#[test]
fn leases_that_run_out_together_hold_nobody_up() {
    expire_together(0);
}

#[test]
fn leases_that_run_out_together_beside_listings_hold_nobody_up() {
    expire_together(6);
}
