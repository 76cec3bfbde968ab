//! No client can hold all connections, and half a request costs little.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::arena::{Arena, Server};
use crate::background::Background;
use crate::honest::Honest;
use crate::verdict::{Verdict, eventually, slack};
use crate::wire::{Connection, PATIENCE, get};

const PLACES: usize = 200;
const NEWCOMER_MS: u64 = 500;

/// What each client of the crowd does: it sends the same bytes again and again.
#[derive(Clone)]
struct Member {
    bytes: Vec<u8>,
    every: Duration,
    reads: bool,
}

/// Starts a crowd whose clients reconnect as soon as their connections are closed.
fn begin_crowd(addr: SocketAddr, members: usize, member: Member) -> Background<()> {
    Background::begin(async move |stop| {
        for _ in 0..members {
            tokio::spawn(stay(addr, member.clone()));
        }
        stop.wait().await;
    })
}

async fn stay(addr: SocketAddr, member: Member) {
    loop {
        if let Ok(stream) = TcpStream::connect(addr).await {
            send_until_closed(stream, &member).await;
        }
        // An attacker with more machines would reconnect sooner; this one shares our processor.
        sleep(Duration::from_millis(100)).await;
    }
}

/// Sends the bytes at the client's interval; the interval is the attack.
async fn send_until_closed(mut stream: TcpStream, member: &Member) {
    while stream.write_all(&member.bytes).await.is_ok() {
        let next = sleep(member.every);
        if !member.reads {
            next.await;
            continue;
        }
        tokio::select! {
            () = read_to_end(&mut stream) => return,
            () = next => {}
        }
    }
}

async fn read_to_end(stream: &mut TcpStream) {
    let mut piece = vec![0; 4096];
    while stream.read(&mut piece).await.is_ok_and(|read| read > 0) {}
}

/// Checks that newcomers get a health response while a crowd holds all connections.
fn newcomers_get_in(member: Member) {
    let arena = Arena::enter();
    let places = PLACES.to_string();
    let server = arena.start(&[("MAX_CONNECTIONS", &places)]);
    let honest = Honest::begin(&server);
    let crowd = begin_crowd(server.addr, PLACES + 50, member);
    let mut verdict = Verdict::default();
    let is_full = eventually(PATIENCE, || server.open_files() >= PLACES);
    verdict.check(is_full, "the crowd does not take all places");
    let mut times = Vec::new();
    for _ in 0..30 {
        times.push(server.health_within(Duration::from_secs(2)));
        // Spreads the newcomers over several seconds of the attack.
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

/// Sends the same bytes on many connections and keeps them open while the honest peers continue.
/// Returns the growth of the memory, in MiB.
fn memory_of_half_requests(server: &Server, honest: &Honest, count: usize, bytes: &[u8]) -> u64 {
    let before = server.rss_mib();
    let mut kept = Vec::new();
    for _ in 0..count {
        let Ok(mut connection) = Connection::open_within(server.addr, Duration::from_secs(2))
        else {
            continue;
        };
        // The server may stop reading or close the connection.
        let _ = connection.send(bytes);
        kept.push(connection);
    }
    honest.wait_for_rounds(3);
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
    let growth = memory_of_half_requests(&server, &honest, 1_500, &head);
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
    let growth = memory_of_half_requests(&server, &honest, 1_500, &bytes);
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
