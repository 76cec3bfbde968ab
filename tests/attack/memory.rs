//! All peers together stay within the memory budget, whatever their fields contain.

use std::time::Duration;

use crate::arena::{Arena, Server, Settings, Ulimit};
use crate::bodies::{Costly, KINDS};
use crate::honest::{Honest, register};
use crate::load::{Load, Plan};
use crate::verdict::{Verdict, eventually, slack};
use crate::wire::post;

const BUDGET_MIB: u64 = 64;
/// The max memory of the process beyond the budget, in MiB.
const BESIDE_MIB: u64 = 150;
const RESTART: Duration = Duration::from_secs(10);

/// Registers peers of one kind until the budget is used up, then checks the server and a restart.
fn fill((kind, body, max): (&str, Costly, usize)) {
    let arena = Arena::enter();
    let settings = [("MAX_MEMORY_MB", "64")];
    let mut server = arena.start(&settings);
    let honest = Honest::begin(&server);
    let plan = Plan::large(max, 503);
    let load = Load::begin(server.addr, plan, move |number| {
        post("/register", &body(number))
    });
    // Stops early if the memory is already far too large.
    eventually(Duration::from_secs(25) * slack(), || {
        load.is_done() || server.rss_mib() > 3 * (BUDGET_MIB + BESIDE_MIB)
    });
    let tally = load.stop();
    let mut verdict = Verdict::default();
    verdict.measured(kind, format!("{:?}", tally.kinds));
    let peak = server.peak_mib();
    verdict.measured("peak MiB", peak);
    verdict.check(
        tally.count("503 registry_full") > 0,
        format!("{max} registrations do not use up the budget"),
    );
    verdict.check(
        peak < BUDGET_MIB + BESIDE_MIB,
        format!("{peak} MiB for a budget of {BUDGET_MIB} MiB"),
    );
    let ids = honest.ids.clone();
    honest.end().judge(&mut verdict);

    server.kill();
    let server = restart(&arena, Ulimit::default(), &settings, &mut verdict);
    let rss = server.rss_mib();
    verdict.measured("MiB after a restart", rss);
    verdict.check(
        rss < BUDGET_MIB + BESIDE_MIB,
        format!("{rss} MiB after a restart"),
    );
    server.check_lists(&ids, &mut verdict);
    verdict.finish();
}

/// Starts a server on the database of the last one and checks how long it takes.
fn restart(arena: &Arena, limit: Ulimit, settings: Settings<'_>, verdict: &mut Verdict) -> Server {
    let server = arena.start_under(limit, settings);
    let took = server.started_in;
    verdict.measured("restart", format!("{took:.1?}"));
    verdict.check(
        took < RESTART * slack(),
        format!("a restart takes {took:.1?}"),
    );
    server
}

#[test]
fn short_stores_of_their_own_stay_within_the_budget() {
    fill(KINDS[0]);
}

#[test]
fn registrations_with_everything_full_stay_within_the_budget() {
    fill(KINDS[1]);
}

#[test]
fn deep_and_wide_json_stays_within_the_budget() {
    fill(KINDS[2]);
}

#[test]
fn turn_servers_with_many_addresses_stay_within_the_budget() {
    fill(KINDS[3]);
}

#[test]
fn under_half_a_gigabyte_the_worst_bodies_kill_nobody() {
    let arena = Arena::enter();
    let limit = Ulimit("-v 524288");
    // Otherwise the C library reserves 64 MiB of address space per thread, and the limit counts
    // address space.
    let settings = [("MALLOC_ARENA_MAX", "1")];
    let mut server = arena.start_under(limit, &settings);
    let honest = Honest::begin(&server);
    let load = Load::begin(server.addr, Plan::large(usize::MAX, 0), |number| {
        let (_, body, _) = KINDS[number % 2];
        post("/register", &body(number))
    });
    let died = server.ended_within(Duration::from_secs(15));
    let mut verdict = Verdict::default();
    let said = server.lines();
    let last = &said[said.len().saturating_sub(4)..];
    verdict.check(
        died.is_none(),
        format!("the process died: {died:?}, after saying {last:#?}"),
    );
    let ids = honest.ids.clone();
    verdict.measured("peak MiB", server.peak_mib());
    honest.end().judge(&mut verdict);
    verdict.measured("registrations", format!("{:?}", load.stop().kinds));
    server.kill();
    let size = std::fs::metadata(arena.path("peers.db")).unwrap().len() >> 20;
    verdict.measured("database MiB", size);
    if died.is_none() {
        let server = restart(&arena, limit, &settings, &mut verdict);
        server.check_lists(&ids, &mut verdict);
    }
    verdict.finish();
}

#[test]
fn a_full_registry_renews_and_tells_newcomers_when_to_come_back() {
    let arena = Arena::enter();
    let server = arena.start(&[("MAX_PEERS", "300")]);
    let ids = register(&server, 200);
    let load = Load::begin(server.addr, Plan::all(5_000), crate::bodies::register_tiny);
    let honest = Honest::go_on(&server, ids);
    let mut verdict = Verdict::default();
    let newcomer = server.post(
        "/register",
        &serde_json::json!({ "peerId": "late", "addresses": [], "cryptoIPv6": "fd00::1" }),
    );
    let tally = load.done();
    verdict.measured("registrations", format!("{:?}", tally.kinds));
    verdict.check(tally.count("200") <= 100, "more than MAX_PEERS were taken");
    if newcomer.status != 200 {
        verdict.check(newcomer.kind() == "503 registry_full", newcomer.kind());
        verdict.check(newcomer.header("retry-after").is_some(), "no Retry-After");
    }
    honest.wait_for_rounds(2);
    honest.end().judge(&mut verdict);
    verdict.finish();
}
