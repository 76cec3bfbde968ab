//! Nobody holds all places, and half a request costs little.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::arena::{Arena, Server};
use crate::honest::Honest;
use crate::verdict::{Verdict, slack};
use crate::wire::{Connection, get};

const PLACES: usize = 200;
const NEWCOMER_MS: u64 = 500;

/// A crowd that opens its connections again as soon as they are closed.
struct Crowd {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// What each member of a crowd does: sends some bytes, again and again.
#[derive(Clone)]
struct Member {
    bytes: Vec<u8>,
    every: Duration,
    reads: bool,
}

impl Crowd {
    fn begin(addr: SocketAddr, members: usize, member: Member) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                for _ in 0..members {
                    tokio::spawn(stay(addr, member.clone(), Arc::clone(&stopped)));
                }
                while !stopped.load(Ordering::Relaxed) {
                    sleep(Duration::from_millis(50)).await;
                }
            });
        });
        Self { stop, thread }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

async fn stay(addr: SocketAddr, member: Member, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        if let Ok(mut stream) = TcpStream::connect(addr).await {
            let mut piece = vec![0; 4096];
            while stream.write_all(&member.bytes).await.is_ok() {
                let until = Instant::now() + member.every;
                let mut is_open = true;
                while is_open && Instant::now() < until {
                    if !member.reads {
                        sleep(member.every).await;
                        break;
                    }
                    let rest = until.saturating_duration_since(Instant::now());
                    if let Ok(Ok(0) | Err(_)) = timeout(rest, stream.read(&mut piece)).await {
                        is_open = false;
                    }
                }
                if !is_open {
                    break;
                }
            }
        }
        // An attacker with more addresses would be back sooner; this one has one processor.
        sleep(Duration::from_millis(100)).await;
    }
}

/// Lets newcomers ask for health beside a crowd that has taken all places.
fn newcomers_get_in(member: Member) {
    let arena = Arena::enter();
    let places = PLACES.to_string();
    let server = arena.start(&[("MAX_CONNECTIONS", &places)]);
    let honest = Honest::begin(&server);
    let crowd = Crowd::begin(server.addr, PLACES + 50, member);
    std::thread::sleep(Duration::from_secs(2));
    let mut verdict = Verdict::default();
    let mut times = Vec::new();
    for _ in 0..30 {
        times.push(server.health_within(Duration::from_secs(2)));
        std::thread::sleep(Duration::from_millis(100));
    }
    let failed = times.iter().filter(|time| time.is_none()).count();
    let slowest = times.iter().flatten().max().copied().unwrap_or_default();
    verdict.measured(
        "newcomers",
        format!("{failed} of 30 failed, slowest {slowest:.0?}"),
    );
    verdict.check(
        failed == 0,
        format!("{failed} of 30 newcomers did not get in"),
    );
    verdict.check(
        slowest < Duration::from_millis(NEWCOMER_MS) * slack(),
        format!("a newcomer waited for {slowest:.0?}"),
    );
    honest.end().judge(&mut verdict);
    crowd.end();
    verdict.finish();
}

#[test]
fn connections_kept_by_a_small_request_each_do_not_hold_all_places() {
    newcomers_get_in(Member {
        bytes: get("/health"),
        every: Duration::from_secs(3),
        reads: true,
    });
}

#[test]
fn connections_that_say_nothing_do_not_hold_all_places() {
    newcomers_get_in(Member {
        bytes: Vec::new(),
        every: Duration::from_secs(3),
        reads: true,
    });
}

#[test]
fn half_heads_do_not_hold_all_places() {
    newcomers_get_in(Member {
        bytes: b"GET /health HTTP/1.1\r\nX-Slow: a".to_vec(),
        every: Duration::from_secs(30),
        reads: true,
    });
}

#[test]
fn half_bodies_do_not_hold_all_places() {
    newcomers_get_in(Member {
        bytes: b"POST /heartbeat HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n\
                 Content-Length: 50\r\n\r\n{"
            .to_vec(),
        every: Duration::from_secs(30),
        reads: true,
    });
}

#[test]
fn responses_that_nobody_reads_do_not_hold_all_places() {
    newcomers_get_in(Member {
        bytes: get("/stats").repeat(50),
        every: Duration::from_millis(500),
        reads: false,
    });
}

/// Sends the same bytes on many connections and keeps them; returns the growth of the memory, in MiB.
fn memory_of_half_requests(server: &Server, count: usize, bytes: &[u8]) -> u64 {
    let before = server.rss_mib();
    let mut kept = Vec::new();
    for _ in 0..count {
        let Ok(mut connection) = Connection::open_within(server.addr, Duration::from_secs(2))
        else {
            continue;
        };
        // The server may stop to read, or close.
        let _ = connection.send(bytes);
        kept.push(connection);
    }
    // The honest peers are watched for this long at least.
    std::thread::sleep(Duration::from_secs(3));
    server.peak_mib().saturating_sub(before)
}

#[test]
fn half_heads_cost_little_memory() {
    const BYTES: usize = 100_000;
    let arena = Arena::enter();
    let server = arena.start(&[]);
    let honest = Honest::begin(&server);
    let mut head = b"GET /health HTTP/1.1\r\nHost: test\r\nX-Long: ".to_vec();
    head.resize(BYTES, b'a');
    let growth = memory_of_half_requests(&server, 1_500, &head);
    let mut verdict = Verdict::default();
    verdict.measured("MiB for 1500 half heads of 100 kB", growth);
    verdict.check(growth < 64, format!("{growth} MiB for 1500 half heads"));
    honest.end().judge(&mut verdict);
    let mut connection = Connection::open(server.addr).unwrap();
    let _ = connection.send(&head);
    let closed = connection.receive();
    verdict.check(
        closed
            .as_ref()
            .map_or(true, |response| response.status >= 400),
        format!("a head of {BYTES} bytes gets {closed:?}"),
    );
    verdict.finish();
}

#[test]
fn half_heads_behind_a_good_request_cost_little_memory() {
    let arena = Arena::enter();
    let server = arena.start(&[]);
    let honest = Honest::begin(&server);
    let mut bytes = get("/health");
    bytes.extend_from_slice(b"GET /health HTTP/1.1\r\nX-Long: ");
    bytes.resize(100_000, b'a');
    let growth = memory_of_half_requests(&server, 1_500, &bytes);
    let mut verdict = Verdict::default();
    verdict.measured("MiB for 1500 half heads behind a request", growth);
    verdict.check(growth < 64, format!("{growth} MiB for 1500 half heads"));
    honest.end().judge(&mut verdict);
    verdict.finish();
}

#[test]
fn a_head_longer_than_the_maximum_is_refused() {
    let arena = Arena::enter();
    let server = arena.start(&[]);
    let mut verdict = Verdict::default();
    for (bytes, is_good) in [(12_000, true), (20_000, false), (60_000, false)] {
        let value = "a".repeat(bytes);
        let request = crate::wire::get_with("/health", &format!("X-Long: {value}\r\n"));
        let mut connection = Connection::open(server.addr).unwrap();
        let response = connection.exchange(&request);
        let status = response.as_ref().ok().map(|response| response.status);
        verdict.measured("head", format!("{bytes} bytes: {status:?}"));
        verdict.check(
            (status == Some(200)) == is_good,
            format!("a head of {bytes} bytes gets {status:?}"),
        );
    }
    verdict.finish();
}
