//! Expensive reads must not delay writes, timers or signals, even if a new read arrives before the
//! last one is done.

use std::time::Duration;

use crate::arena::{Arena, Server};
use crate::bodies::register_tiny;
use crate::honest::Honest;
use crate::load::{Load, Plan};
use crate::verdict::{Verdict, eventually, scaled, slack};
use crate::wire::{get, get_with};

/// The number of registered peers; each has a different version.
const PEERS: usize = 20_000;
const ATTACK: Duration = Duration::from_secs(6);
const SHUTDOWN_SECS: u64 = 5;

fn server_with_many_versions(arena: &Arena) -> Server {
    let server = arena.start(&[("SHUTDOWN_TIMEOUT_SECS", "5"), ("MAX_MEMORY_MB", "512")]);
    let peers = scaled(PEERS);
    let tally = Load::begin(server.addr, Plan::all(peers), register_tiny).done();
    assert_eq!(tally.count("200"), peers, "{tally:?}");
    server
}

/// Checks honest peers during a load of reads, and that SIGTERM works during it.
fn survive(connections: usize, depth: usize, read: fn(usize) -> Vec<u8>) {
    let arena = Arena::enter();
    let mut server = server_with_many_versions(&arena);
    let honest = Honest::begin(&server);
    let plan = Plan {
        depth,
        ..Plan::closed_loop(connections)
    };
    let load = Load::begin(server.addr, plan, read);
    // Measures the honest peers for as long as the attack lasts.
    std::thread::sleep(ATTACK);
    let mut verdict = Verdict::default();
    honest.end().judge(&mut verdict);
    let max = Duration::from_secs(SHUTDOWN_SECS) + Duration::from_secs(2) * slack();
    let stopped = server.stop_within(max);
    verdict.measured("SIGTERM", format!("{stopped:.1?}"));
    verdict.check(stopped.is_some(), "SIGTERM was not obeyed");
    let tally = load.stop();
    verdict.measured("reads", format!("{:?}", tally.kinds));
    verdict.finish();
}

#[test]
fn two_connections_of_filtered_listings_stop_nobody() {
    survive(2, 1, |_| get("/peers?turnCapable=false&cursor=zzzz"));
}

#[test]
fn filters_of_each_kind_stop_nobody() {
    survive(8, 1, |number| match number % 6 {
        0 => get("/peers?turnCapable=false&cursor=zzzz"),
        1 => get(&format!("/peers?version=tiny-{number:07}")),
        2 => get("/peers?store=nobody-has-it"),
        3 => get("/peers?bootstrapCapable=false&limit=1"),
        4 => get("/peers?turnCapable=false&exclude=tiny-0000001&limit=1000"),
        _ => get("/peers?networkId=none&version=none&turnCapable=true"),
    });
}

#[test]
fn cheap_reads_in_long_pipelines_stop_nobody() {
    survive(8, 32, |number| match number % 6 {
        0 => get("/health"),
        1 => get("/stats"),
        2 => get("/cost-stats"),
        3 => get("/turn-servers"),
        4 => get("/peers?limit=1"),
        _ => b"HEAD /peers?limit=1 HTTP/1.1\r\nHost: test\r\n\r\n".to_vec(),
    });
}

#[test]
fn pages_and_conditional_requests_stop_nobody() {
    survive(16, 4, |number| match number % 4 {
        0 => get("/peers"),
        1 => b"HEAD /peers HTTP/1.1\r\nHost: test\r\n\r\n".to_vec(),
        2 => get_with("/peers?turnCapable=false", "If-None-Match: *\r\n"),
        _ => {
            let tags = vec!["W/\"0-0\""; 500].join(",");
            get_with(
                "/peers?turnCapable=false",
                &format!("If-None-Match: {tags}\r\n"),
            )
        }
    });
}

#[test]
fn health_is_not_well_while_writes_wait() {
    let arena = Arena::enter();
    let server = server_with_many_versions(&arena);
    // Like an operator's shell in the middle of a transaction: no write succeeds.
    let lock = crate::database::hold(arena.path("peers.db"));
    let heartbeat = Load::begin(server.addr, Plan::all(1), |_| {
        crate::wire::heartbeat("tiny-0000001")
    });
    let mut verdict = Verdict::default();
    let is_told = eventually(Duration::from_millis(7_500), || {
        server.get("/health").status == 503
    });
    verdict.check(is_told, "health says that all is well");
    lock.end();
    heartbeat.stop();
    let is_well = eventually(Duration::from_secs(10), || {
        server.post(
            "/heartbeat",
            &serde_json::json!({ "peerId": "tiny-0000001" }),
        );
        server.get("/health").status == 200
    });
    verdict.check(is_well, "health does not recover");
    verdict.finish();
}
