//! Time in which the process did not run expires no peer, and does not keep dead peers either.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::arena::{Arena, Server};
use crate::honest::register;
use crate::verdict::Verdict;

/// Stops the process for longer than a lease of 4 s. The process reads the machine's clock, which a
/// test cannot move, so the test has to wait.
fn stand_still(server: &Server) {
    server.signal("STOP");
    std::thread::sleep(Duration::from_secs(6));
    server.signal("CONT");
}

#[test]
fn a_process_that_was_stopped_loses_nobody() {
    let arena = Arena::enter();
    let server = arena.start(&[("PEER_TIMEOUT_SECS", "4"), ("HEARTBEAT_INTERVAL_SECS", "2")]);
    let ids = register(&server, 100);
    stand_still(&server);
    let mut verdict = Verdict::default();
    server.check_lists(&ids, &mut verdict);
    let refused = ids.iter().filter(|id| {
        let response = server.post("/heartbeat", &json!({ "peerId": id }));
        response.status != 200
    });
    let refused = refused.count();
    verdict.check(
        refused == 0,
        format!("{refused} of 100 heartbeats are refused"),
    );
    verdict.finish();
}

#[test]
fn leases_gain_the_time_of_a_stop_and_no_more() {
    let arena = Arena::enter();
    let server = arena.start(&[("PEER_TIMEOUT_SECS", "4"), ("HEARTBEAT_INTERVAL_SECS", "2")]);
    register(&server, 10);
    stand_still(&server);
    let began = Instant::now();
    let is_gone =
        crate::verdict::eventually(Duration::from_secs(10), || server.listed_ids().is_empty());
    let mut verdict = Verdict::default();
    let after = began.elapsed();
    verdict.measured("gone after", format!("{after:.1?}"));
    verdict.check(is_gone, "the dead are listed for ever");
    verdict.check(
        after > Duration::from_millis(2_500),
        format!("the leases ran out {after:.1?} after the stop"),
    );
    verdict.finish();
}

#[test]
fn a_crash_loop_does_not_keep_the_dead() {
    const TIMEOUT: Duration = Duration::from_secs(6);
    const LIFE: Duration = Duration::from_millis(700);
    const MAX_TIME: Duration = Duration::from_secs(26);
    let settings = [("PEER_TIMEOUT_SECS", "6"), ("HEARTBEAT_INTERVAL_SECS", "3")];
    let arena = Arena::enter();
    let mut server = arena.start(&settings);
    register(&server, 20);
    let began = Instant::now();
    let mut lived = Duration::ZERO;
    let mut lives = 0;
    let mut listed = 20;
    while listed > 0 && began.elapsed() < MAX_TIME {
        // Leases run by the machine's clock while the process is alive.
        std::thread::sleep(LIFE);
        lived += LIFE;
        lives += 1;
        server.kill();
        server = arena.start(&settings);
        listed = server.listed_ids().len();
    }
    let mut verdict = Verdict::default();
    verdict.measured(
        "still listed",
        format!("{listed} after {lives} lives, {lived:.1?}"),
    );
    verdict.check(
        listed == 0,
        format!("{listed} of 20 are listed after {lived:.1?} of life with leases of {TIMEOUT:?}"),
    );
    verdict.finish();
}
