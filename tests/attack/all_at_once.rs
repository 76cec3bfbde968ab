//! All attacks at the same time.

use std::time::Duration;

use crate::arena::Arena;
use crate::bodies::{KINDS, register_tiny};
use crate::honest::Honest;
use crate::load::{Load, Plan};
use crate::verdict::{Verdict, slack};
use crate::wire::{get, get_with, post};

const BUDGET_MIB: u64 = 64;
const BESIDE_MIB: u64 = 150;
const ATTACK: Duration = Duration::from_secs(15);
const FULL: &str = "/peers?includeStores=true&includeCapabilities=true";

#[test]
fn all_attacks_at_once_stop_nobody() {
    let arena = Arena::enter();
    let mut server = arena.start_unread(&[
        ("MAX_MEMORY_MB", "64"),
        ("SHUTDOWN_TIMEOUT_SECS", "5"),
        ("RESPONSE_TIMEOUT_SECS", "5"),
        ("MAX_ENDED_SESSIONS", "500"),
    ]);
    let honest = Honest::begin(&server);
    let addr = server.addr;
    let loads = [
        Load::begin(addr, Plan::closed_loop(2), register_tiny),
        Load::begin(addr, Plan::closed_loop(2), |number| {
            let (_, body, _) = KINDS[number % KINDS.len()];
            post("/register", &body(number))
        }),
        Load::begin(addr, Plan::closed_loop(2), |_| {
            get("/peers?turnCapable=false&cursor=zzzz")
        }),
        Load::begin(addr, Plan::closed_loop(4), |_| {
            get_with(FULL, "Accept-Encoding: gzip\r\n")
        }),
        Load::begin(addr, Plan::closed_loop(4), |number| match number % 3 {
            0 => get("/health"),
            1 => get("/stats"),
            _ => get(FULL),
        }),
        Load::begin(addr, Plan::closed_loop(1), |number| {
            let id = format!("tiny-{:07}", number % 1_000);
            post(
                "/allocate-turn",
                &format!(r#"{{"peerId":"{id}","p2pAttempted":true}}"#),
            )
        }),
    ];
    // Request heads that never end, and connections that send nothing.
    let held: Vec<_> = (0..400)
        .filter_map(|number| {
            let mut connection = crate::wire::Connection::open(addr).ok()?;
            if number % 2 == 0 {
                let _ = connection.send(&[b'a'; 50_000]);
            }
            Some(connection)
        })
        .collect();
    // Measures the honest peers for as long as the attack lasts.
    std::thread::sleep(ATTACK);
    let mut verdict = Verdict::default();
    honest.end().judge(&mut verdict);
    let peak = server.peak_mib();
    verdict.measured("peak MiB", peak);
    verdict.check(
        peak < BUDGET_MIB + BESIDE_MIB,
        format!("{peak} MiB for a budget of {BUDGET_MIB} MiB"),
    );
    let stopped = server.stop_within(Duration::from_secs(5) + Duration::from_secs(2) * slack());
    verdict.measured("SIGTERM", format!("{stopped:.1?}"));
    verdict.check(stopped.is_some(), "SIGTERM was not obeyed");
    for load in loads {
        let tally = load.stop();
        verdict.measured(
            "load",
            format!("{:?} cut off {}", tally.kinds, tally.cut_off),
        );
    }
    drop(held);
    verdict.finish();
}
