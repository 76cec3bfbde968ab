//! The registry over HTTP, compared with a bare actix-web server in the same process and run.
//!
//! Both servers and the load generator share the machine, so only the ratio means anything. Each
//! load runs on the two in turn, several times; the table shows the round with the median ratio.
//! `cargo bench --bench http -- turn` runs the loads with `turn` in their names.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

// The allocator of the server's binary, for both servers.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(dead_code, reason = "the other benchmarks use the rest")]
mod support;

// Not in `support`, as it needs the feature `agent`, which the other benchmarks do not.
#[path = "support/provers.rs"]
mod provers;

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use provers::{Prover, register_provers};
use support::command_line::is_wanted;
use support::load::{Measured, Until, drive, drive_expecting, fetch, median};
use support::peers::{HOST, authorized, get, heartbeat, heartbeat_body, post, registration};
use support::servers::{Answers, bare, registry};

const PEERS: usize = 10_000;
const CONNECTIONS: usize = 256;
const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(700);

/// Peers that prove their ids, and as many that do not.
const PROVERS: usize = 1_000;
const WITH_TOKEN: &str = "heartbeats with a token";
const HANDSHAKES: &str = "handshakes for a token";

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = registry(folder.path(), &[]);
    register_all(registry.addr, PEERS);
    let json = |request| serde_json::from_slice(&fetch(registry.addr, request)).expect("JSON");
    let bare = bare(Answers {
        heartbeat: json(heartbeat(0)),
        registration: json(registration(0, 0)),
        sample: fetch(registry.addr, get("/peers?limit=50")).into(),
        page: fetch(registry.addr, get("/peers")).into(),
    });

    println!("{PEERS} peers, closed loop, {ROUNDS} rounds of {ROUND:?} each, median ratio");
    println!(
        "{:<36} {:>10} {:>9} {:>9} {:>10} {:>6} {:>5}",
        "load", "requests/s", "p50 ms", "p99 ms", "bare/s", "ratio", "goal"
    );
    let compare = |name: &str,
                   goal,
                   connections,
                   ours: fn(usize) -> Vec<u8>,
                   theirs: fn(usize) -> Vec<u8>| {
        if !is_wanted(name) {
            return;
        }
        let mut rounds: Vec<_> = (0..ROUNDS)
            .map(|_| {
                let bare = drive(bare.addr, connections, Until::Elapsed(ROUND), theirs);
                let ours = drive(registry.addr, connections, Until::Elapsed(ROUND), ours);
                (ours.per_second / bare.per_second, ours, bare)
            })
            .collect();
        rounds.sort_by(|left, right| left.0.total_cmp(&right.0));
        let (ratio, ours, bare) = rounds[ROUNDS / 2];
        print_row(name, &ours, bare.per_second, ratio, goal);
    };
    let in_turn = |number| heartbeat(number % PEERS);
    let at_random = |number| heartbeat(shuffled(number));
    compare("heartbeats in turn", 0.6, CONNECTIONS, in_turn, in_turn);
    compare(
        "heartbeats at random",
        0.25,
        CONNECTIONS,
        at_random,
        at_random,
    );
    let update = |number| registration(number % PEERS, 1 + number / PEERS);
    compare("registrations (updates)", 0.2, CONNECTIONS, update, update);
    compare(
        "GET /peers?limit=50",
        0.5,
        CONNECTIONS,
        |_| get("/peers?limit=50"),
        |_| get("/sample"),
    );
    compare(
        "GET /peers, 1000 peers",
        0.5,
        32,
        |_| get("/peers"),
        |_| get("/page"),
    );
    drop((registry, bare));
    if is_wanted("cost by size") {
        compare_sizes();
    }
    if is_wanted(WITH_TOKEN) || is_wanted(HANDSHAKES) {
        measure_proofs();
    }
}

/// What a heartbeat costs among many peers, against what it costs among few.
fn compare_sizes() {
    const FEW: usize = 1_000;
    const MANY: usize = 100_000;
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let servers = [&folders[0], &folders[1]].map(|folder| registry(folder.path(), &[]));
    for (server, peers) in servers.iter().zip([FEW, MANY]) {
        register_all(server.addr, peers);
    }
    let mut rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let until = Until::Elapsed(ROUND);
            let few = drive(servers[0].addr, CONNECTIONS, until, |number| {
                heartbeat(number % FEW)
            });
            let many = drive(servers[1].addr, CONNECTIONS, until, |number| {
                heartbeat(number % MANY)
            });
            (few.per_second / many.per_second, few, many)
        })
        .collect();
    rounds.sort_by(|left, right| left.0.total_cmp(&right.0));
    let (ratio, few, many) = rounds[ROUNDS / 2];
    println!(
        "\ncost of a heartbeat in turn, {MANY} peers against {FEW}: {ratio:.2} (goal below 1.7; \
         {:.0}/s against {:.0}/s)",
        many.per_second, few.per_second
    );
}

/// What proofs cost.
fn measure_proofs() {
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = format!("--public-hosts={HOST}");
    let registry = registry(folder.path(), &[&hosts]);
    register_all(registry.addr, PROVERS);
    let provers = register_provers(registry.addr, PROVERS);
    if is_wanted(WITH_TOKEN) {
        compare_tokens(registry.addr, &provers);
    }
    if is_wanted(HANDSHAKES) {
        count_handshakes(registry.addr, &provers);
    }
}

/// What a heartbeat with a token costs, against one without a proof.
fn compare_tokens(addr: SocketAddr, provers: &[Prover]) {
    let without: Rc<[_]> = (0..PROVERS).map(heartbeat).collect();
    let with = provers.iter().map(|prover| {
        let request = post("/heartbeat", &heartbeat_body(&prover.id));
        authorized(&request, &prover.token)
    });
    let with: Rc<[_]> = with.collect();
    let run = |requests: &Rc<[Vec<u8>]>| {
        let requests = Rc::clone(requests);
        let request = move |number: usize| requests[number % PROVERS].clone();
        drive(addr, CONNECTIONS, Until::Elapsed(ROUND), request)
    };
    let (ratio, without, with) = median(ROUNDS, || run(&without), || run(&with));
    println!(
        "\n{WITH_TOKEN} against heartbeats without: {ratio:.3} (goal min 0.95; {with:.0}/s against \
         {without:.0}/s)"
    );
}

/// How many handshakes the registry finishes. Both of their requests are computed in advance.
fn count_handshakes(addr: SocketAddr, provers: &[Prover]) {
    let steps = provers.iter().flat_map(|prover| {
        [&prover.challenge, &prover.proof].map(|step| authorized(&get("/auth"), step))
    });
    let steps: Rc<[_]> = steps.collect();
    let mut rates: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let steps = Rc::clone(&steps);
            let request = move |number: usize| steps[number % steps.len()].clone();
            let until = Until::Elapsed(ROUND);
            let status = |number: usize| ["401", "200"][number % 2];
            drive_expecting(addr, CONNECTIONS, until, status, request).per_second / 2.0
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    println!("\n{HANDSHAKES}: {:.0}/s", rates[ROUNDS / 2]);
}

fn register_all(addr: SocketAddr, peers: usize) {
    drive(addr, CONNECTIONS, Until::Requests(peers), |number| {
        registration(number, 0)
    });
}

/// A number below `PEERS` that is as good as random, and the same in each run.
fn shuffled(number: usize) -> usize {
    let mut mixed = (number as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) as usize % PEERS
}

fn print_row(name: &str, ours: &Measured, bare_per_second: f64, ratio: f64, goal: f64) {
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    println!(
        "{name:<36} {:>10.0} {:>9.2} {:>9.2} {bare_per_second:>10.0} {ratio:>6.2} {goal:>5.2}",
        ours.per_second,
        ms(ours.p50),
        ms(ours.p99),
    );
}
