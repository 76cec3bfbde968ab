//! A response is bounded in bytes, in time and in what it costs while it is not read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{Instant, sleep, timeout};

use crate::arena::{Arena, Server, Settings};
use crate::bodies::everything_full;
use crate::honest::Honest;
use crate::load::{Load, Plan};
use crate::verdict::{Verdict, slack};
use crate::wire::{get, get_with, post};

/// Peers of over 100 kB each.
const PEERS: usize = 400;
const BUDGET_MIB: u64 = 256;
const BESIDE_MIB: u64 = 150;
/// How far above its start the memory may stay afterwards: allocators keep some.
const KEPT_MIB: u64 = 64;
const FULL: &str = "/peers?includeStores=true&includeCapabilities=true";
const SETTINGS: Settings<'_> = &[
    ("MAX_MEMORY_MB", "256"),
    ("RUST_LOG", "warn"),
    ("RESPONSE_TIMEOUT_SECS", "4"),
];

fn server_with_large_peers(arena: &Arena) -> Server {
    let server = arena.start(SETTINGS);
    let load = Load::begin(server.addr, Plan::large(PEERS, 0), |number| {
        post("/register", &everything_full(number))
    });
    let tally = load.done();
    assert_eq!(tally.count("200"), PEERS, "{tally:?}");
    server
}

/// Holds honest peers and the memory beside what `attack` does meanwhile.
fn survive(attack: impl FnOnce(&Server, &mut Verdict)) {
    let arena = Arena::enter();
    let server = server_with_large_peers(&arena);
    let honest = Honest::begin(&server);
    let mut verdict = Verdict::default();
    let before = server.rss_mib();
    attack(&server, &mut verdict);
    honest.end().judge(&mut verdict);
    let peak = server.peak_mib();
    verdict.measured("MiB before and at most", format!("{before}, {peak}"));
    verdict.check(
        peak < BUDGET_MIB + BESIDE_MIB,
        format!("{peak} MiB with a budget of {BUDGET_MIB} MiB"),
    );
    verdict.check(
        server.settles_under(before + KEPT_MIB),
        format!("{} MiB afterwards, {before} before", server.rss_mib()),
    );
    verdict.finish();
}

/// How many of `clients` asked for full listings that they then read at a rate.
async fn read_slowly(
    addr: SocketAddr,
    requests: usize,
    bytes_per_sec: usize,
    stop: Arc<AtomicBool>,
) -> Option<Duration> {
    let socket = TcpSocket::new_v4().ok()?;
    // Otherwise the system reads for it.
    socket.set_recv_buffer_size(8 * 1024).ok()?;
    let mut stream = timeout(Duration::from_secs(5), socket.connect(addr)).await;
    let stream = stream.as_mut().ok()?.as_mut().ok()?;
    let asked = Instant::now();
    stream.write_all(&get(FULL).repeat(requests)).await.ok()?;
    let mut piece = vec![0; (bytes_per_sec / 4).max(1)];
    while !stop.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(250)).await;
        if bytes_per_sec == 0 {
            continue;
        }
        match timeout(Duration::from_secs(1), stream.read(&mut piece)).await {
            Ok(Ok(0) | Err(_)) => return Some(asked.elapsed()),
            Ok(Ok(_)) | Err(_) => {}
        }
    }
    None
}

/// Lets clients read slowly for a time; returns when the server cut each off, if it did.
fn slow_readers(
    addr: SocketAddr,
    (clients, requests): (usize, usize),
    bytes_per_sec: usize,
    time: Duration,
) -> Vec<Option<Duration>> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let client = || read_slowly(addr, requests, bytes_per_sec, Arc::clone(&stopped));
            let tasks: Vec<_> = (0..clients).map(|_| tokio::spawn(client())).collect();
            let mut cut_off = Vec::new();
            for task in tasks {
                cut_off.push(task.await.unwrap());
            }
            cut_off
        })
    });
    std::thread::sleep(time);
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap()
}

#[test]
fn clients_that_never_read_cost_little() {
    survive(|server, _| {
        slow_readers(server.addr, (24, 4), 0, Duration::from_secs(5));
    });
}

#[test]
fn a_response_that_is_read_too_slowly_is_cut_off() {
    survive(|server, verdict| {
        let time = Duration::from_secs(4 + 6);
        let cut_off = slow_readers(server.addr, (4, 12), 64 * 1024, time);
        let times = cut_off.iter().flatten().collect::<Vec<_>>();
        verdict.measured("cut off after", format!("{times:.1?}"));
        verdict.check(
            times.len() == cut_off.len(),
            format!("only {} of {} were cut off", times.len(), cut_off.len()),
        );
    });
}

#[test]
fn compressing_for_hundreds_holds_nobody_up() {
    survive(|server, verdict| {
        let plan = Plan::closed_loop(400);
        let load = Load::begin(server.addr, plan, |_| {
            get_with(FULL, "Accept-Encoding: gzip\r\n")
        });
        std::thread::sleep(Duration::from_secs(6));
        verdict.measured("responses", format!("{:?}", load.stop().kinds));
    });
}

#[test]
fn listings_in_long_pipelines_hold_nobody_up() {
    survive(|server, verdict| {
        let plan = Plan {
            depth: 16,
            ..Plan::closed_loop(8)
        };
        let load = Load::begin(server.addr, plan, |_| get(FULL));
        std::thread::sleep(Duration::from_secs(6));
        let tally = load.stop();
        verdict.measured("responses", format!("{:?}", tally.kinds));
    });
}

#[test]
fn no_page_is_longer_than_promised_and_none_is_left_out() {
    const MAX_RESPONSE_BYTES: usize = 1 << 20;
    let arena = Arena::enter();
    let server = server_with_large_peers(&arena);
    let mut verdict = Verdict::default();
    let mut ids = Vec::new();
    let mut target = FULL.to_owned();
    let mut longest = 0;
    let mut pages = 0;
    loop {
        let response = server.get(&target);
        longest = longest.max(response.body.len());
        pages += 1;
        let page = response.json();
        let peers = page["peers"].as_array().unwrap();
        verdict.check(!peers.is_empty() || pages > 1, "an empty page");
        ids.extend(peers.iter().map(|peer| peer["peerId"].to_string()));
        verdict.check(
            page["returned"].as_u64() == Some(peers.len() as u64),
            "returned is not the number of peers",
        );
        match page["nextCursor"].as_str() {
            Some(cursor) if pages <= PEERS => target = format!("{FULL}&cursor={cursor}"),
            _ => break,
        }
    }
    verdict.measured("pages and longest", format!("{pages}, {longest} bytes"));
    verdict.check(
        longest <= MAX_RESPONSE_BYTES,
        format!("a page of {longest} bytes"),
    );
    let listed = ids.len();
    ids.sort_unstable();
    ids.dedup();
    verdict.check(
        listed == PEERS && ids.len() == PEERS,
        format!("{listed} peers listed, {} different ones", ids.len()),
    );
    let sample = server.get(&format!("{FULL}&limit=1000")).body.len();
    verdict.check(
        sample <= MAX_RESPONSE_BYTES,
        format!("a sample of {sample} bytes"),
    );
    verdict.finish();
}

#[test]
fn a_shutdown_does_not_wait_for_those_who_never_read() {
    let arena = Arena::enter();
    let settings: Vec<_> = SETTINGS
        .iter()
        .copied()
        .chain([("SHUTDOWN_TIMEOUT_SECS", "3")])
        .collect();
    let mut server = arena.start(&settings);
    let load = Load::begin(server.addr, Plan::large(50, 0), |number| {
        post("/register", &everything_full(number))
    });
    assert_eq!(load.done().count("200"), 50);
    let addr = server.addr;
    let readers =
        std::thread::spawn(move || slow_readers(addr, (24, 8), 0, Duration::from_secs(8)));
    std::thread::sleep(Duration::from_secs(1));
    let most = Duration::from_secs(3) + Duration::from_secs(2) * slack();
    let stopped = server.stop_within(most);
    readers.join().unwrap();
    let mut verdict = Verdict::default();
    verdict.measured("SIGTERM", format!("{stopped:.1?}"));
    verdict.check(stopped.is_some(), "SIGTERM was not obeyed");
    verdict.finish();
}
