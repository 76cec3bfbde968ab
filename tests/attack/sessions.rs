//! Ended TURN sessions are kept for late reports, but their number is bounded.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::arena::{Arena, Server};
use crate::database;
use crate::honest::Honest;
use crate::verdict::{Verdict, eventually};
use crate::wire::{Connection, Response, post};

const PEERS: usize = 40;
const CONNECTIONS: usize = 8;

fn register_relay_and_peers(server: &Server) {
    let relay = json!({ "peerId": "relay", "addresses": [], "cryptoIPv6": "fd00::1",
                        "turnCapable": true, "turnAddresses": ["turn.example.org"],
                        "turnPort": 3478, "turnCapacity": 10000 });
    assert_eq!(server.post("/register", &relay).status, 200);
    for peer in 0..PEERS {
        let peer = json!({ "peerId": format!("p{peer}"), "addresses": [],
                           "cryptoIPv6": "fd00::1" });
        assert_eq!(server.post("/register", &peer).status, 200);
    }
}

/// The results of a loop of allocations and releases.
#[derive(Debug, Default)]
struct Looped {
    granted: AtomicUsize,
    throttled: AtomicUsize,
    without_retry_after: AtomicUsize,
}

/// For `time`, allocates and releases for each peer in turn, from several connections.
fn allocate_and_release(server: &Server, time: Duration) -> Looped {
    let looped = Looped::default();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for sender in 0..CONNECTIONS {
            let looped = &looped;
            scope.spawn(move || {
                let mut connection = Connection::open(server.addr).unwrap();
                let mut ask = |path, body: serde_json::Value| -> Response {
                    connection.exchange(&post(path, &body.to_string())).unwrap()
                };
                for turn in 0.. {
                    if began.elapsed() > time {
                        return;
                    }
                    let peer = (sender + turn * CONNECTIONS) % PEERS;
                    let id = format!("p{peer}");
                    let granted = ask(
                        "/allocate-turn",
                        json!({ "peerId": id, "estimatedBandwidthMbps": 1, "p2pAttempted": true }),
                    );
                    if granted.status != 200 {
                        looped.throttled.fetch_add(1, Ordering::Relaxed);
                        if granted.header("retry-after").is_none() {
                            looped.without_retry_after.fetch_add(1, Ordering::Relaxed);
                        }
                        continue;
                    }
                    looped.granted.fetch_add(1, Ordering::Relaxed);
                    let session = granted.json()["sessionId"].clone();
                    ask(
                        "/release-turn",
                        json!({ "peerId": id, "sessionId": session }),
                    );
                }
            });
        }
    });
    looped
}

#[test]
fn a_peer_gets_a_limited_number_of_new_sessions_per_minute() {
    let arena = Arena::enter();
    let server = arena.start(&[("MAX_ALLOCATIONS_PER_MINUTE", "10")]);
    register_relay_and_peers(&server);
    let honest = Honest::begin(&server);
    let looped = allocate_and_release(&server, Duration::from_secs(5));
    let mut verdict = Verdict::default();
    honest.end().judge(&mut verdict);
    let granted = looped.granted.load(Ordering::Relaxed);
    verdict.measured("granted", granted);
    // The loop may span two minutes of the limit.
    verdict.check(
        granted <= 2 * 10 * PEERS,
        format!("{granted} sessions for {PEERS} peers"),
    );
    let once_more = json!({ "peerId": "p0", "p2pAttempted": true });
    let refused = server.post("/allocate-turn", &once_more);
    verdict.check(
        refused.kind() == "429 throttled",
        format!("one more allocation gets {}", refused.kind()),
    );
    let silent = looped.without_retry_after.load(Ordering::Relaxed);
    verdict.check(
        silent == 0,
        format!("{silent} refusals without Retry-After"),
    );
    verdict.finish();
}

#[test]
fn ended_sessions_have_a_max_in_total_and_per_peer() {
    const IN_ALL: i64 = 300;
    const BY_PEER: i64 = 8;
    let arena = Arena::enter();
    let server = arena.start(&[
        ("MAX_ALLOCATIONS_PER_MINUTE", "1000000"),
        ("MAX_ENDED_SESSIONS", "300"),
        ("MAX_ENDED_SESSIONS_PER_PEER", "8"),
    ]);
    register_relay_and_peers(&server);
    let honest = Honest::begin(&server);
    let looped = allocate_and_release(&server, Duration::from_secs(5));
    let mut verdict = Verdict::default();
    honest.end().judge(&mut verdict);
    verdict.measured("granted", looped.granted.load(Ordering::Relaxed));
    let path = arena.path("peers.db");
    let in_all = || database::number(&path, "SELECT count(*) FROM turn_sessions");
    let by_peer = || {
        let query = "SELECT max(n) FROM \
                     (SELECT count(*) AS n FROM turn_sessions GROUP BY peer_id)";
        database::number(&path, query)
    };
    // The next write may remove the oldest.
    let is_bounded = eventually(Duration::from_secs(5), || {
        in_all() <= IN_ALL + 50 && by_peer() <= BY_PEER + 1
    });
    verdict.measured(
        "rows in all and by peer",
        format!("{}, {}", in_all(), by_peer()),
    );
    verdict.check(
        is_bounded,
        format!("{} sessions are kept, {} of one peer", in_all(), by_peer()),
    );
    verdict.finish();
}
