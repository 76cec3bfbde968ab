//! What a hostile client could make expensive: filters, stores that many peers share, and leases that
//! end together. Each row compares the expensive case with the plain one.
//!
//! Filtered listings are compared with unfiltered ones where each peer has a different version.
//! Registrations with many stores are compared with a bare server, and with the same ones among
//! few peers. Expiry is measured by the longest heartbeat during it, because whatever blocks the actor
//! delays heartbeats. Servers and load generator share the machine, so only ratios mean
//! anything; each is the median of some rounds.
//! `cargo bench --bench bounds -- expiry` runs the parts with `expiry` in their names.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

#[expect(dead_code, reason = "the other benchmarks use the rest")]
mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use support::command_line::is_wanted;
use support::load::{Until, drive, fetch, median};
use support::peers::{announcement, get, heartbeat, next_version, registration};
use support::servers::{Answers, bare, registry};

// The allocator of the server's binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(500);
const CONNECTIONS: usize = 64;
/// Peers whose versions all differ, and peers that expire together.
const MANY: usize = 100_000;
/// Store ids that peers share.
const SHARED: usize = 1_024;
/// Stores of each peer in the comparison with the bare server.
const STORES: usize = 64;
/// Peers that all have the shared stores, in the registries that are compared.
const FEWER_SHARERS: [usize; 2] = [30, 300];
const MANY_SHARERS: usize = 3_000;
/// Peers that send heartbeats while the others expire.
const HONEST: usize = 16;

/// Store ids as nodes in the field announce them, as JSON strings.
static FIELD_STORES: LazyLock<Vec<String>> =
    LazyLock::new(|| (0..SHARED).map(|at| format!("\"{at:064x}\"")).collect());
/// Short store ids, so that a body of all of them is small, as JSON strings.
static SHORT_STORES: LazyLock<String> = LazyLock::new(|| {
    let stores: Vec<_> = (0..SHARED).map(|at| format!("\"s{at}\"")).collect();
    stores.join(",")
});

/// The copied peers all have the `last_seen` of the first one, so they expire in the same moment.
const FILL: &str = "
    PRAGMA synchronous = OFF;
    WITH RECURSIVE counter (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM counter LIMIT 99999)
    INSERT INTO peers
    SELECT n, '12D3KooW' || printf('%044d', n * 7919 % 1000003), last_seen, registered_at,
           network_id, 'v' || n, crypto_ipv6, addresses, privacy_mode, bootstrap_capable,
           turn_capable, turn_addresses, turn_port, turn_capacity, software_version, server_port,
           node_type, stores, capabilities, capability_list, authenticated
    FROM counter, peers WHERE peers.id = 1;
    PRAGMA wal_checkpoint(TRUNCATE);";

fn main() {
    let parts: [(&str, fn()); 4] = [
        ("listings", compare_listings),
        ("stores", compare_with_bare),
        ("sharing", compare_sharing),
        ("expiry", measure_expiry),
    ];
    for (_, part) in parts.iter().filter(|(name, _)| is_wanted(name)) {
        part();
    }
}

/// Filtered listings against unfiltered ones of the same number of peers.
fn compare_listings() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = registry(folder.path(), &["--max-listed=50"]);
    drive(server.addr, CONNECTIONS, Until::Requests(MANY), |number| {
        announcement(number, number, &FIELD_STORES[number % SHARED])
    });
    let list =
        |target: &'static str| drive(server.addr, 8, Until::Elapsed(ROUND), move |_| get(target));
    for (filtered, plain) in [
        ("/peers?turnCapable=false&limit=50", "/peers?limit=50"),
        ("/peers?networkId=mainnet&limit=50", "/peers?limit=50"),
        ("/peers?turnCapable=false", "/peers"),
        ("/peers?networkId=mainnet", "/peers"),
    ] {
        let page: serde_json::Value =
            serde_json::from_slice(&fetch(server.addr, get(filtered))).expect("JSON");
        assert_eq!(page["peers"].as_array().map(Vec::len), Some(50), "{page}");
        let (ratio, dear, cheap) = median(ROUNDS, || list(filtered), || list(plain));
        println!(
            "cost of GET {filtered} against {plain}, {MANY} versions: {ratio:.2} (goal at most 2; \
             {dear:.0}/s against {cheap:.0}/s)"
        );
    }
}

/// Registrations with many stores against a bare server that parses the same bodies.
fn compare_with_bare() {
    const PEERS: usize = 5_000;
    let folder = tempfile::tempdir().expect("a folder");
    let ours = registry(folder.path(), &[]);
    // Neighbours in number share all but one of their stores.
    let with_stores = |number: usize, version| {
        let first = number % (SHARED - STORES);
        let stores = FIELD_STORES[first..first + STORES].join(",");
        announcement(number, version, &stores)
    };
    let answer = fetch(ours.addr, with_stores(0, 0));
    let bare = bare(Answers {
        heartbeat: serde_json::Value::Null,
        registration: serde_json::from_slice(&answer).expect("JSON"),
        sample: Default::default(),
        page: Default::default(),
    });
    drive(
        ours.addr,
        CONNECTIONS,
        Until::Requests(PEERS),
        move |number| with_stores(number, 0),
    );
    let update = |addr| {
        drive(addr, CONNECTIONS, Until::Elapsed(ROUND), move |number| {
            with_stores(number % PEERS, next_version())
        })
    };
    let add = |addr| {
        drive(addr, CONNECTIONS, Until::Elapsed(ROUND), move |_| {
            let version = next_version();
            with_stores(PEERS + version, version)
        })
    };
    let rows = [
        (
            "updates",
            median(ROUNDS, || update(ours.addr), || update(bare.addr)),
        ),
        (
            "new peers",
            median(ROUNDS, || add(ours.addr), || add(bare.addr)),
        ),
    ];
    for (kind, (ratio, ours, bare)) in rows {
        println!(
            "registrations with {STORES} stores against a bare server, {kind}: {:.2} \
             ({ours:.0}/s against {bare:.0}/s)",
            1.0 / ratio
        );
    }
}

/// Registrations with the stores that all other peers have too, among many such peers and among
/// fewer. Each one changes the version of its peer, so it takes the peer out of all its sets and
/// adds it again. A set of at most 64 peers is not split, so the case with the fewest peers shows what
/// splitting costs.
fn compare_sharing() {
    let sharers = |peers: usize| {
        let folder = tempfile::tempdir().expect("a folder");
        let server = registry(folder.path(), &["--max-memory-mb=2048"]);
        drive(server.addr, HONEST, Until::Requests(peers), |number| {
            announcement(number, next_version(), &SHORT_STORES)
        });
        (folder, server)
    };
    let register = |addr: SocketAddr, peers: usize| {
        drive(addr, HONEST, Until::Elapsed(ROUND), move |number| {
            announcement(number % peers, next_version(), &SHORT_STORES)
        })
    };
    let (_folder, many) = sharers(MANY_SHARERS);
    for fewer in FEWER_SHARERS {
        let (_folder, few) = sharers(fewer);
        let (ratio, dear, cheap) = median(
            ROUNDS,
            || register(many.addr, MANY_SHARERS),
            || register(few.addr, fewer),
        );
        println!(
            "cost of a registration, {MANY_SHARERS} peers sharing {SHARED} stores against \
             {fewer}: {ratio:.2} (goal at most 2; {dear:.0}/s against {cheap:.0}/s)"
        );
    }
}

/// The longest heartbeat while leases run out together, until their peers are removed.
fn measure_expiry() {
    let folder = tempfile::tempdir().expect("a folder");
    let flags = ["--peer-timeout-secs=10", "--heartbeat-interval-secs=5"];
    let server = registry(folder.path(), &flags);
    fetch(server.addr, registration(0, 0));
    drop(server);
    fill(folder.path());
    let server = registry(folder.path(), &flags);
    for number in 1..=HONEST {
        fetch(server.addr, registration(number, 0));
    }
    let (mut before, mut during) = (Duration::ZERO, Duration::ZERO);
    let mut began = None;
    loop {
        let round = Instant::now();
        let until = Until::Elapsed(Duration::from_millis(250));
        let measured = drive(server.addr, HONEST, until, |number| {
            heartbeat(1 + number % HONEST)
        });
        let stats = fetch(server.addr, get("/stats"));
        let stats: serde_json::Value = serde_json::from_slice(&stats).expect("JSON");
        if began.is_none() && stats["activePeers"] == MANY + HONEST {
            before = before.max(measured.max);
            continue;
        }
        began = began.or(Some(round));
        during = during.max(measured.max);
        if stats["totalPeers"] == HONEST {
            break;
        }
    }
    let took = began.map_or(Duration::ZERO, |began| began.elapsed());
    println!(
        "longest heartbeat while {MANY} peers expire at once: {:.0} ms (goal below 250; {:.0} ms \
         before; all removed in {:.2} s)",
        during.as_secs_f64() * 1e3,
        before.as_secs_f64() * 1e3,
        took.as_secs_f64()
    );
}

/// Copies the one peer there is, each copy with a version of its own.
fn fill(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(async {
        let options = SqliteConnectOptions::new().filename(folder.join("peers.db"));
        let mut database = options.connect().await.expect("the database");
        sqlx::raw_sql(FILL)
            .execute(&mut database)
            .await
            .expect("the copies");
        sqlx::Connection::close(database)
            .await
            .expect("an orderly end");
    });
}
