//! Honest peers: each sends a heartbeat every second during an attack.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep_until, timeout};

use crate::arena::Server;
use crate::background::{Background, Stop};
use crate::verdict::{Verdict, eventually, slack};
use crate::wire::{AsyncConnection, Response, heartbeat};

/// The max latency of 99 % of the heartbeats.
const P99_MS: u64 = 250;
/// A heartbeat without a response after this time counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(5);
/// The number of connections that stay open; the peers share them.
const KEPT_CONNECTIONS: usize = 8;
/// The time between two heartbeats of a peer.
const INTERVAL: Duration = Duration::from_secs(1);
/// The number of peers that open a new connection for each heartbeat.
const FRESH: usize = 5;
/// The default number of peers.
pub const PEERS: usize = 200;

/// Peers that send heartbeats from another thread.
pub struct Honest {
    background: Background<Report>,
    /// The number of heartbeats that got a response or were lost.
    over: Arc<AtomicUsize>,
    pub ids: Vec<String>,
}

/// The results of the heartbeats.
#[derive(Debug, Default)]
pub struct Report {
    latencies: Vec<Duration>,
    refused: BTreeMap<String, usize>,
    lost: BTreeMap<String, usize>,
}

/// The id of an honest peer; the ids are spread over the alphabet.
pub fn honest_id(number: usize) -> String {
    let mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let first = char::from(b'A' + (mixed >> 32) as u8 % 26);
    format!("{first}onest-{mixed:016x}")
}

/// Registers honest peers without starting their heartbeats; returns their ids.
pub fn register(server: &Server, peers: usize) -> Vec<String> {
    let ids: Vec<_> = (0..peers).map(honest_id).collect();
    for id in &ids {
        let response = server.post("/register", &body(id));
        assert_eq!(response.status, 200, "{}", response.json());
    }
    ids
}

fn body(id: &str) -> serde_json::Value {
    json!({ "peerId": id, "addresses": [format!("/ip6/fd00::1/tcp/4001/p2p/{id}")],
            "networkId": "mainnet", "version": "1.0.0" })
}

impl Honest {
    /// Registers [`PEERS`] peers and sends their heartbeats until [`end`](Self::end).
    pub fn begin(server: &Server) -> Self {
        let ids = register(server, PEERS);
        Self::go_on(server, ids)
    }

    /// Starts the heartbeats of registered peers.
    pub fn go_on(server: &Server, ids: Vec<String>) -> Self {
        let over = Arc::new(AtomicUsize::new(0));
        let (addr, all, count) = (server.addr, ids.clone(), Arc::clone(&over));
        let background = Background::begin(async move |stop| {
            let sender = Sender {
                addr,
                stop,
                over: count,
            };
            sender.run(all).await
        });
        Self {
            background,
            over,
            ids,
        }
    }

    /// Waits until each peer has sent `rounds` more heartbeats and each has a result.
    pub fn wait_for_rounds(&self, rounds: usize) {
        let count = || self.over.load(Ordering::Relaxed);
        let enough = count() + rounds * self.ids.len();
        let max = (INTERVAL + LOST_AFTER) * rounds as u32 * slack();
        eventually(max, || count() >= enough);
    }

    /// Stops the heartbeats and returns the results.
    pub fn end(self) -> Report {
        let mut report = self.background.end();
        report.latencies.sort_unstable();
        report
    }
}

impl Report {
    fn at(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let index = (last as f64 * share) as usize;
        self.latencies.get(index).copied().unwrap_or(LOST_AFTER)
    }

    /// Checks the results: heartbeats must be fast, and none may be lost or refused.
    pub fn judge(&self, verdict: &mut Verdict) {
        let (p50, p99, max) = (self.at(0.5), self.at(0.99), self.at(1.0));
        verdict.measured(
            "heartbeats",
            format!(
                "{} p50 {p50:.0?} p99 {p99:.0?} max {max:.0?} lost {:?} refused {:?}",
                self.latencies.len(),
                self.lost,
                self.refused
            ),
        );
        verdict.check(
            p99 <= Duration::from_millis(P99_MS) * slack(),
            format!("the p99 of honest heartbeats is {p99:.0?}"),
        );
        verdict.check(
            self.lost.is_empty(),
            format!("heartbeats were lost: {:?}", self.lost),
        );
        verdict.check(
            self.refused.is_empty(),
            format!("heartbeats were refused: {:?}", self.refused),
        );
    }

    fn note(&mut self, began: Instant, result: Result<Response, String>) {
        match result {
            Ok(response) if response.status == 200 => self.latencies.push(began.elapsed()),
            Ok(response) => *self.refused.entry(response.kind()).or_default() += 1,
            Err(why) => {
                // A lost heartbeat also counts in the quantiles.
                self.latencies.push(began.elapsed().max(LOST_AFTER));
                *self.lost.entry(why).or_default() += 1;
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        for (kind, count) in other.refused {
            *self.refused.entry(kind).or_default() += count;
        }
        for (why, count) in other.lost {
            *self.lost.entry(why).or_default() += count;
        }
    }
}

/// The state that all heartbeat tasks share.
#[derive(Clone)]
struct Sender {
    addr: SocketAddr,
    stop: Stop,
    over: Arc<AtomicUsize>,
}

impl Sender {
    async fn run(self, mut ids: Vec<String>) -> Report {
        let fresh = ids.split_off(ids.len().saturating_sub(FRESH));
        let mut tasks = Vec::new();
        for group in 0..KEPT_CONNECTIONS {
            let own = ids.iter().skip(group).step_by(KEPT_CONNECTIONS);
            let own: Vec<_> = own.cloned().collect();
            if !own.is_empty() {
                tasks.push(tokio::spawn(self.clone().keep_one(own)));
            }
        }
        for id in fresh {
            tasks.push(tokio::spawn(self.clone().open_each_time(id)));
        }
        let mut report = Report::default();
        for task in tasks {
            report.add(task.await.unwrap());
        }
        report
    }

    /// Sends the heartbeats of several peers over one connection that stays open. The latency
    /// counts from the time at which the heartbeat was due, so a slow response also increases the
    /// latency of those behind it.
    async fn keep_one(self, ids: Vec<String>) -> Report {
        let mut report = Report::default();
        let mut connection = None;
        let mut due = Instant::now();
        let step = INTERVAL / ids.len() as u32;
        for id in ids.iter().cycle() {
            due += step;
            // Heartbeats start at a fixed interval, as those of real peers do.
            sleep_until(due).await;
            if self.stop.is_set() {
                break;
            }
            let result = timeout(LOST_AFTER, try_twice(self.addr, &mut connection, id)).await;
            if result.is_err() {
                connection = None;
            }
            self.note(&mut report, due, result);
            // Heartbeats that became due meanwhile are sent late. Each peer sends one, not all that
            // it has missed.
            if due.elapsed() > INTERVAL {
                due = Instant::now();
            }
        }
        report
    }

    async fn open_each_time(self, id: String) -> Report {
        let mut report = Report::default();
        let mut due = Instant::now();
        let request = heartbeat(&id);
        while !self.stop.is_set() {
            let result = timeout(LOST_AFTER, open_and_send(self.addr, &request)).await;
            self.note(&mut report, due, result);
            due = Instant::now().max(due + INTERVAL);
            sleep_until(due).await;
        }
        report
    }

    fn note(
        &self,
        report: &mut Report,
        due: Instant,
        result: Result<Result<Response, String>, Elapsed>,
    ) {
        let result = result.unwrap_or_else(|_| Err("no response".to_owned()));
        report.note(due, result);
        self.over.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sends a heartbeat. Retries on a new connection if the old one is closed: a server may close an
/// idle connection at any time, and every client retries then.
async fn try_twice(
    addr: SocketAddr,
    kept: &mut Option<AsyncConnection>,
    id: &str,
) -> Result<Response, String> {
    if let Some(mut connection) = kept.take()
        && let Ok(response) = connection.exchange(&heartbeat(id)).await
    {
        *kept = Some(connection);
        return Ok(response);
    }
    let mut connection = open(addr).await?;
    let response = connection
        .exchange(&heartbeat(id))
        .await
        .map_err(|error| error.kind().to_string())?;
    *kept = Some(connection);
    Ok(response)
}

/// Sends a heartbeat on a new connection. Retries once: while the server handles requests on nearly
/// all connections, a new one can be the only one that may be closed for the next.
async fn open_and_send(addr: SocketAddr, request: &[u8]) -> Result<Response, String> {
    if let Ok(mut connection) = open(addr).await
        && let Ok(response) = connection.exchange(request).await
    {
        return Ok(response);
    }
    let mut connection = open(addr).await?;
    let response = connection.exchange(request).await;
    response.map_err(|error| error.kind().to_string())
}

async fn open(addr: SocketAddr) -> Result<AsyncConnection, String> {
    let opened = AsyncConnection::open(addr).await;
    opened.map_err(|error| format!("connecting: {}", error.kind()))
}
