//! What an allocation costs among 50,000 live TURN sessions, against what it costs among 100.
//!
//! Each connection of a closed loop allocates a session and releases it again, so that the number
//! of live ones stays as it is. The two registries are driven in turn, several times.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

#[expect(dead_code, reason = "the other benchmarks use the rest")]
mod support;

use std::net::SocketAddr;
use std::time::Duration;

use support::load::{Until, drive, drive_on};
use support::peers::{peer_id, post, registration};
use support::servers::registry;

// The allocator of the server's binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FEW: usize = 100;
const MANY: usize = 50_000;
/// Peers that hold no session of their own before the measurement.
const ASKERS: usize = 5_000;
const SERVERS: usize = 20;
const CONNECTIONS: usize = 64;
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_secs(1);

fn main() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    // The budget is beside the point here.
    let flags = [
        "--monthly-budget-usd=1000000000",
        "--trust-client-tier=true",
    ];
    let servers = [&folders[0], &folders[1]].map(|folder| registry(folder.path(), &flags));
    for (server, sessions) in servers.iter().zip([FEW, MANY]) {
        fill(server.addr, sessions);
    }
    let mut rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let [few, many] = servers.each_ref().map(|server| measure(server.addr));
            (few / many, few, many)
        })
        .collect();
    rounds.sort_by(|left, right| left.0.total_cmp(&right.0));
    let (ratio, few, many) = rounds[ROUNDS / 2];
    println!(
        "cost of an allocation and its release, {MANY} live sessions against {FEW}: {ratio:.2} \
         (goal at most 2; {many:.0}/s against {few:.0}/s)"
    );
}

/// Registers peers and TURN servers, and allocates `sessions`.
fn fill(addr: SocketAddr, sessions: usize) {
    drive(
        addr,
        CONNECTIONS,
        Until::Requests(MANY + ASKERS),
        |number| registration(number, 0),
    );
    drive(addr, 1, Until::Requests(SERVERS), |number| {
        let id = peer_id(number);
        let body = format!(
            r#"{{"peerId":"{id}","turnAddresses":["203.0.113.1"],"turnPort":3478,"turnCapacity":10000}}"#
        );
        post("/register-turn-server", &body)
    });
    drive(addr, CONNECTIONS, Until::Requests(sessions), allocation);
}

fn allocation(number: usize) -> Vec<u8> {
    let id = peer_id(number);
    post(
        "/allocate-turn",
        &format!(r#"{{"peerId":"{id}","isPremium":true}}"#),
    )
}

/// Allocations and releases in a second, taken together.
fn measure(addr: SocketAddr) -> f64 {
    let measured = drive_on(
        addr,
        CONNECTIONS,
        Until::Elapsed(ROUND),
        |number, before| {
            let asker = MANY + number % ASKERS;
            let granted: serde_json::Value = serde_json::from_slice(before).unwrap_or_default();
            let owner = granted["iceServers"].is_array().then_some(&granted);
            match owner {
                None => allocation(asker),
                Some(granted) => {
                    let (peer_id, session_id) = (&granted["peerId"], &granted["sessionId"]);
                    post(
                        "/release-turn",
                        &format!(r#"{{"peerId":{peer_id},"sessionId":{session_id}}}"#),
                    )
                }
            }
        },
    );
    measured.per_second
}
