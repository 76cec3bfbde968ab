//! Listings that nobody reads keep little memory, whatever happens to the listed peers meanwhile.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::arena::{Arena, Server};
use crate::background::Background;
use crate::honest::Honest;
use crate::load::{Load, Plan};
use crate::verdict::Verdict;
use crate::wire::{get, get_with, post};

/// How much the memory may grow, in MiB: what docs/operating.md allows for listings in transit, and
/// what the allocator keeps.
const MAX_GROWTH_MIB: u64 = 100;

/// 16 KiB of text that gzip cannot make much shorter.
fn dense_text(number: usize, bytes: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = number as u64 * 2 + 1;
    let mut next = || {
        // xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(ALPHABET[(state >> 32) as usize % ALPHABET.len()])
    };
    (0..bytes).map(|_| next()).collect()
}

fn dense_peer(number: usize, version: usize) -> Vec<u8> {
    let text = dense_text(number * 1_000 + version, 8_000);
    // So long that the listing does not fit into the buffers of a connection.
    const ID: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
    let address = format!(r#""/ip6/fd00::1/tcp/4001/p2p/{ID}/p2p-circuit/p2p/{ID}""#);
    let addresses = [&*address; 6].join(",");
    let body = format!(
        r#"{{"peerId":"dense-{number:05}","cryptoIPv6":"fd00::1","addresses":[{addresses}],
            "capabilities":{{"a":"{text}"}},"capabilityList":["{text}"]}}"#
    );
    post("/register", &body)
}

fn register(server: &Server, peers: usize, version: usize) {
    let load = Load::begin(server.addr, Plan::large(peers, 0), move |number| {
        dense_peer(number, version)
    });
    let tally = load.done();
    assert_eq!(tally.count("200"), peers, "{tally:?}");
}

/// Connections that sent a request, received the first bytes, and read no more.
struct Unread {
    addresses: mpsc::UnboundedSender<Vec<u8>>,
    opened: std::sync::mpsc::Receiver<io::Result<()>>,
    background: Background<()>,
}

impl Unread {
    fn begin(addr: SocketAddr) -> Self {
        let (addresses, mut requests) = mpsc::unbounded_channel::<Vec<u8>>();
        let (report, opened) = std::sync::mpsc::channel();
        let background = Background::begin(async move |stop| {
            let mut kept = Vec::new();
            let open_all = async {
                while let Some(request) = requests.recv().await {
                    let opened = open(addr, &request).await;
                    let result = opened.map(|stream| kept.push(stream));
                    let _ = report.send(result);
                }
            };
            tokio::select! {
                () = open_all => {}
                () = stop.wait() => {}
            }
        });
        Self {
            addresses,
            opened,
            background,
        }
    }

    fn add(&self, request: &[u8]) {
        self.addresses.send(request.to_vec()).unwrap();
        self.opened.recv().unwrap().unwrap();
    }

    fn end(self) {
        self.background.end();
    }
}

async fn open(addr: SocketAddr, request: &[u8]) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // With a large buffer the operating system would read the response for the client.
    socket.set_recv_buffer_size(2 * 1024)?;
    let mut stream = timeout(Duration::from_secs(5), socket.connect(addr)).await??;
    stream.write_all(request).await?;
    let mut first = [0; 64];
    timeout(Duration::from_secs(20), stream.read_exact(&mut first)).await??;
    Ok(stream)
}

fn judge(server: &Server, before: u64, honest: Honest) {
    let mut verdict = Verdict::default();
    honest.end().judge(&mut verdict);
    let peak = server.peak_mib();
    verdict.measured("MiB before and at most", format!("{before}, {peak}"));
    verdict.check(
        peak < before + MAX_GROWTH_MIB,
        format!("{peak} MiB, {before} MiB before"),
    );
    verdict.finish();
}

#[test]
fn compressed_listings_that_nobody_reads_cost_little() {
    let arena = Arena::enter();
    let server = arena.start(&[("MAX_MEMORY_MB", "64")]);
    register(&server, 100, 0);
    let before = server.rss_mib();
    let honest = Honest::begin(&server);
    let unread = Unread::begin(server.addr);
    let target = "/peers?includeCapabilities=true";
    for _ in 0..240 {
        unread.add(&get_with(target, "Accept-Encoding: gzip\r\n"));
    }
    judge(&server, before, honest);
    unread.end();
}

#[test]
fn listings_that_nobody_reads_do_not_keep_all_replaced_peers() {
    let arena = Arena::enter();
    let server = arena.start(&[("MAX_MEMORY_MB", "256")]);
    register(&server, 1_000, 0);
    let before = server.rss_mib();
    let honest = Honest::begin(&server);
    let unread = Unread::begin(server.addr);
    for version in 1..=16 {
        unread.add(&get("/peers"));
        register(&server, 1_000, version);
    }
    judge(&server, before, honest);
    unread.end();
}
