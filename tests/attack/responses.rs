//! Responses have bounded size, time and memory, even if the client does not read them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::arena::{Arena, Server, Settings};
use crate::background::Background;
use crate::bodies::everything_full;
use crate::honest::Honest;
use crate::load::{Load, Plan};
use crate::verdict::{Verdict, eventually, slack};
use crate::wire::{PATIENCE, get, get_with, post};

/// The number of peers, each larger than 100 kB.
const PEERS: usize = 400;
const BUDGET_MIB: u64 = 256;
const BESIDE_MIB: u64 = 150;
/// How much the memory may stay above its start, in MiB: allocators keep some.
const KEPT_MIB: u64 = 64;
const FULL: &str = "/peers?includeStores=true&includeCapabilities=true";
const SETTINGS: Settings<'_> = &[("MAX_MEMORY_MB", "256"), ("RESPONSE_TIMEOUT_SECS", "4")];

fn server_with_large_peers(arena: &Arena) -> Server {
    let server = arena.start(SETTINGS);
    let load = Load::begin(server.addr, Plan::large(PEERS, 0), |number| {
        post("/register", &everything_full(number))
    });
    let tally = load.done();
    assert_eq!(tally.count("200"), PEERS, "{tally:?}");
    server
}

/// Checks honest peers and the memory during `attack`.
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

/// Clients that request full listings and read them slowly until they are cut off.
struct SlowReaders {
    background: Background<()>,
    /// The number of clients that have received the first bytes of a response.
    answered: Arc<AtomicUsize>,
}

impl SlowReaders {
    fn begin(addr: SocketAddr, clients: usize, requests: usize, bytes_per_sec: usize) -> Self {
        let answered = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&answered);
        let background = Background::begin(async move |stop| {
            for _ in 0..clients {
                let count = Arc::clone(&count);
                tokio::spawn(async move {
                    let mut stream = ask_for_listings(addr, requests).await?;
                    stream.readable().await?;
                    count.fetch_add(1, Ordering::Relaxed);
                    read_slowly(&mut stream, bytes_per_sec).await
                });
            }
            stop.wait().await;
        });
        Self {
            background,
            answered,
        }
    }

    fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    fn end(self) {
        self.background.end();
    }
}

async fn ask_for_listings(addr: SocketAddr, requests: usize) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // With a large buffer the operating system would read the response for the client.
    socket.set_recv_buffer_size(8 * 1024)?;
    let mut stream = timeout(Duration::from_secs(5), socket.connect(addr)).await??;
    stream.write_all(&get(FULL).repeat(requests)).await?;
    Ok(stream)
}

async fn read_slowly(stream: &mut TcpStream, bytes_per_sec: usize) -> io::Result<()> {
    if bytes_per_sec == 0 {
        std::future::pending::<()>().await;
    }
    let mut piece = vec![0; bytes_per_sec / 4];
    loop {
        // The slow reading is the attack.
        sleep(Duration::from_millis(250)).await;
        if stream.read(&mut piece).await? == 0 {
            return Ok(());
        }
    }
}

/// Waits for `time`. Stops early if the memory is already far too large.
fn attack_for(server: &Server, time: Duration) {
    eventually(time, || server.rss_mib() > 4 * (BUDGET_MIB + BESIDE_MIB));
}

#[test]
fn clients_that_never_read_cost_little() {
    survive(|server, _| {
        let readers = SlowReaders::begin(server.addr, 24, 4, 0);
        attack_for(server, Duration::from_secs(5));
        readers.end();
    });
}

#[test]
fn a_response_that_is_read_too_slowly_is_cut_off() {
    survive(|server, verdict| {
        const READERS: usize = 20;
        let before = server.open_files();
        let readers = SlowReaders::begin(server.addr, READERS, 12, 64 * 1024);
        attack_for(server, Duration::from_secs(4 + 5));
        // The client notices the cut-off only after reading its buffer, so count the server's
        // sockets.
        let after = server.open_files();
        readers.end();
        verdict.measured("open files before and after", format!("{before}, {after}"));
        verdict.check(
            after < before + READERS / 2,
            "readers that are too slow are not cut off",
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
        attack_for(server, Duration::from_secs(5));
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
        attack_for(server, Duration::from_secs(5));
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
    let readers = SlowReaders::begin(server.addr, 24, 8, 0);
    let mut verdict = Verdict::default();
    let all_wait = eventually(PATIENCE, || readers.answered() == 24);
    verdict.check(all_wait, "not all requests are being answered");
    let max = Duration::from_secs(3) + Duration::from_secs(2) * slack();
    let stopped = server.stop_within(max);
    readers.end();
    verdict.measured("SIGTERM", format!("{stopped:.1?}"));
    verdict.check(stopped.is_some(), "SIGTERM was not obeyed");
    verdict.finish();
}
