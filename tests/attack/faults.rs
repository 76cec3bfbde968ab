//! One faulty row or refused write does not affect other peers.

use std::time::Duration;

use serde_json::json;

use crate::arena::{Arena, Ulimit};
use crate::bodies::{everything_full, register_tiny};
use crate::database;
use crate::honest::Honest;
use crate::load::{Load, Plan};
use crate::verdict::{Verdict, eventually, scaled};
use crate::wire::post;

/// Checks honest peers while an operator changes a row.
fn survive_operator(edit: &str) {
    let arena = Arena::enter();
    let mut server = arena.start(&[]);
    let honest = Honest::begin(&server);
    let odd = json!({ "peerId": "odd", "addresses": [], "cryptoIPv6": "fd00::1",
                      "stores": ["a"], "version": "1" });
    assert_eq!(server.post("/register", &odd).status, 200);
    honest.wait_for_rounds(1);
    let touched = database::execute(&arena.path("peers.db"), edit);
    assert!(touched > 0, "{edit}");
    honest.wait_for_rounds(2);
    let mut verdict = Verdict::default();
    verdict.measured(edit, "");
    let ids = honest.ids.clone();
    honest.end().judge(&mut verdict);
    let newcomer = json!({ "peerId": "newcomer", "addresses": [], "cryptoIPv6": "fd00::1" });
    let newcomer = server.post("/register", &newcomer);
    verdict.check(
        newcomer.status == 200,
        format!("a newcomer gets {}", newcomer.kind()),
    );
    server.kill();
    match arena.try_start(&[]) {
        Ok(server) => server.check_lists(&ids, &mut verdict),
        Err((status, said)) => verdict.check(false, format!("no restart: {status}: {said}")),
    }
    verdict.finish();
}

#[test]
fn a_row_with_addresses_that_are_no_texts_stops_nobody() {
    survive_operator("UPDATE peers SET addresses = '[1]' WHERE peer_id = 'odd'");
}

#[test]
fn a_row_with_stores_that_are_no_texts_stops_nobody() {
    survive_operator("UPDATE peers SET stores = '[{\"a\": 1}]' WHERE peer_id = 'odd'");
}

#[test]
fn a_row_with_bytes_that_are_not_utf_8_stops_nobody() {
    survive_operator("UPDATE peers SET version = CAST(x'ff00fe' AS TEXT) WHERE peer_id = 'odd'");
}

#[test]
fn a_row_seen_in_the_far_future_expires_like_others() {
    let arena = Arena::enter();
    let server = arena.start(&[("PEER_TIMEOUT_SECS", "4"), ("HEARTBEAT_INTERVAL_SECS", "2")]);
    crate::honest::register(&server, 3);
    let edit = "UPDATE peers SET last_seen = 9000000000000000";
    assert_eq!(database::execute(&arena.path("peers.db"), edit), 3);
    let mut verdict = Verdict::default();
    let is_gone = eventually(Duration::from_secs(12), || {
        // The next write notices the edit, if nothing has before.
        let other = json!({ "peerId": "other", "addresses": [], "cryptoIPv6": "fd00::1" });
        server.post("/register", &other);
        server.listed_ids() == ["other"]
    });
    verdict.check(is_gone, format!("still listed: {:?}", server.listed_ids()));
    verdict.finish();
}

#[test]
fn absurd_numbers_beside_the_peers_stop_nobody() {
    survive_operator(
        "INSERT INTO outages VALUES (-9223372036854775807, 9223372036854775807), \
         (1, 9000000000000000000); \
         INSERT OR REPLACE INTO cost_state (id, mode, mode_since) VALUES (1, 'absurd', -1); \
         INSERT OR REPLACE INTO traffic_days VALUES \
         (date('now'), 9223372036854775807, -9223372036854775807), \
         ('9999-12-31', 9223372036854775807, 9223372036854775807); \
         INSERT INTO turn_sessions VALUES ('absurd', 'odd', 'nobody', 'free', 1, 0, \
         253402300799999, 0, 4611686018427387904, 4611686018427387904, 0, 0)",
    );
}

#[test]
fn a_session_whose_id_is_no_text_stops_nobody() {
    survive_operator(
        "INSERT INTO turn_sessions VALUES (CAST(x'ff00fe' AS TEXT), CAST(x'ff' AS TEXT), \
         'odd', 'free', 1, 0, 253402300799999, 0, 0, NULL, 0, 0)",
    );
}

#[test]
fn a_tier_of_a_peer_that_is_no_text_stops_nobody() {
    survive_operator("INSERT INTO peer_tiers VALUES (CAST(x'ff00fe' AS TEXT), 'premium')");
}

#[test]
fn a_trigger_that_refuses_one_peer_refuses_that_one_only() {
    let arena = Arena::enter();
    let server = arena.start(&[]);
    let odd = json!({ "peerId": "odd", "addresses": [], "cryptoIPv6": "fd00::1" });
    assert_eq!(server.post("/register", &odd).status, 200);
    let honest = Honest::begin(&server);
    database::execute(
        &arena.path("peers.db"),
        "CREATE TRIGGER refuse BEFORE UPDATE ON peers WHEN old.peer_id = 'odd' \
         BEGIN SELECT raise(ABORT, 'not this one'); END",
    );
    let odd = Load::begin(server.addr, Plan::closed_loop(1), |_| {
        crate::wire::heartbeat("odd")
    });
    honest.wait_for_rounds(3);
    let mut verdict = Verdict::default();
    honest.end().judge(&mut verdict);
    verdict.measured("the one", format!("{:?}", odd.stop().kinds));
    verdict.finish();
}

#[test]
fn a_row_with_the_max_id_stops_nobody() {
    survive_operator("UPDATE peers SET id = 9007199254740992 WHERE peer_id = 'odd'");
}

#[test]
fn a_file_size_limit_refuses_writes_and_kills_nobody() {
    let arena = Arena::enter();
    // The unit is 512 bytes in some shells and 1,024 bytes in others.
    let mut server = arena.start_under(Ulimit("-f 16384"), &[]);
    let honest = crate::honest::register(&server, 50);
    let load = Load::begin(server.addr, Plan::large(600, 503), |number| {
        post("/register", &everything_full(number))
    });
    eventually(Duration::from_secs(20), || load.is_done());
    let tally = load.stop();
    let mut verdict = Verdict::default();
    verdict.measured("registrations", format!("{:?}", tally.kinds));
    verdict.check(
        tally.count("503 storage_unavailable") > 0,
        "no write was refused for want of space",
    );
    let ended = server.has_ended();
    verdict.check(ended.is_none(), format!("the process died: {ended:?}"));
    if ended.is_none() {
        server.check_lists(&honest, &mut verdict);
        let health = server.get("/health");
        verdict.measured("health", health.status);
    }
    verdict.finish();
}

#[test]
fn an_operators_edits_do_not_stop_writes_for_long() {
    const PEERS: usize = 80_000;
    let arena = Arena::enter();
    let server = arena.start(&[("MAX_MEMORY_MB", "512")]);
    let peers = scaled(PEERS);
    let load = Load::begin(server.addr, Plan::all(peers), register_tiny);
    assert_eq!(load.done().count("200"), peers);
    let honest = Honest::begin(&server);
    let before = server.rss_mib();
    for round in 0..8 {
        let edit =
            format!("UPDATE peers SET network_id = 'n{round}' WHERE peer_id = 'tiny-0000007'");
        assert_eq!(database::execute(&arena.path("peers.db"), &edit), 1);
        // With pauses, so that the edits meet the resync at different points.
        std::thread::sleep(Duration::from_millis(800));
    }
    let mut verdict = Verdict::default();
    honest.end().judge(&mut verdict);
    let peak = server.peak_mib();
    verdict.measured("MiB before and at most", format!("{before}, {peak}"));
    verdict.check(
        peak < before + before / 2 + 32,
        format!("{peak} MiB, {before} before the edits"),
    );
    let seen = eventually(Duration::from_secs(5), || {
        let target = "/peers?networkId=n7";
        server.get(target).json()["total"] == json!(1)
    });
    verdict.check(seen, "the edit is not seen");
    verdict.finish();
}
