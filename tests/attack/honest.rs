//! Honest peers: each sends a heartbeat every second, whatever else goes on.

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

/// The most that 99 of 100 heartbeats may take.
const P99_MS: u64 = 250;
/// After this long without a response a heartbeat counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(5);
/// Connections that are kept, each shared by some of the peers.
const KEPT_CONNECTIONS: usize = 8;
/// How often each peer sends a heartbeat.
const INTERVAL: Duration = Duration::from_secs(1);
/// Peers that open a connection for each heartbeat.
const FRESH: usize = 5;
/// Peers by default.
pub const PEERS: usize = 200;

/// Peers whose thread sends heartbeats.
pub struct Honest {
    background: Background<Report>,
    /// Heartbeats that were answered or lost.
    over: Arc<AtomicUsize>,
    pub ids: Vec<String>,
}

/// What the peers saw.
#[derive(Debug, Default)]
pub struct Report {
    latencies: Vec<Duration>,
    refused: BTreeMap<String, usize>,
    lost: BTreeMap<String, usize>,
}

/// The name of an honest peer; the names are spread over the alphabet.
pub fn honest_id(number: usize) -> String {
    let mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let first = char::from(b'A' + (mixed >> 32) as u8 % 26);
    format!("{first}onest-{mixed:016x}")
}

/// Registers honest peers without starting their heartbeats; returns their names.
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
    /// Registers [`PEERS`] peers and lets them send heartbeats until [`end`](Self::end).
    pub fn begin(server: &Server) -> Self {
        let ids = register(server, PEERS);
        Self::go_on(server, ids)
    }

    /// Lets peers that are registered send heartbeats.
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

    /// Waits until each peer has sent some more heartbeats and knows what came of them.
    pub fn wait_for_rounds(&self, rounds: usize) {
        let count = || self.over.load(Ordering::Relaxed);
        let enough = count() + rounds * self.ids.len();
        let most = (INTERVAL + LOST_AFTER) * rounds as u32 * slack();
        eventually(most, || count() >= enough);
    }

    /// Stops the heartbeats and tells what the peers saw.
    pub fn end(self) -> Report {
        let mut report = self.background.end();
        report.latencies.sort_unstable();
        report
    }
}

impl Report {
    fn at(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let at = (last as f64 * share) as usize;
        self.latencies.get(at).copied().unwrap_or(LOST_AFTER)
    }

    /// Holds what the peers saw to the promise: quick, none lost, none refused.
    pub fn judge(&self, verdict: &mut Verdict) {
        let (p50, p99, most) = (self.at(0.5), self.at(0.99), self.at(1.0));
        verdict.measured(
            "heartbeats",
            format!(
                "{} p50 {p50:.0?} p99 {p99:.0?} max {most:.0?} lost {:?} refused {:?}",
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
                // It counts for the quantiles too.
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

/// What each task that sends heartbeats needs.
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

    /// Sends the heartbeats of several peers over one connection that is kept. A latency begins when
    /// the heartbeat was due, so that one slow response delays all that wait behind it.
    async fn keep_one(self, ids: Vec<String>) -> Report {
        let mut report = Report::default();
        let mut connection = None;
        let mut due = Instant::now();
        let step = INTERVAL / ids.len() as u32;
        for id in ids.iter().cycle() {
            due += step;
            // Peers send heartbeats at their own pace, which is what the server is measured at.
            sleep_until(due).await;
            if self.stop.is_set() {
                break;
            }
            let result = timeout(LOST_AFTER, try_twice(self.addr, &mut connection, id)).await;
            if result.is_err() {
                connection = None;
            }
            self.note(&mut report, due, result);
            // The heartbeats that fell due meanwhile were waiting with this one; the peers send one
            // each, not all that they have missed.
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
            let result = timeout(LOST_AFTER, async {
                let mut connection = open(self.addr).await?;
                let response = connection.exchange(&request).await;
                response.map_err(|error| error.kind().to_string())
            });
            let result = result.await;
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

/// Sends a heartbeat, again if a connection that was kept turns out to be closed: a server may
/// close an idle one at any moment, and every client repeats the request then.
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

async fn open(addr: SocketAddr) -> Result<AsyncConnection, String> {
    let opened = AsyncConnection::open(addr).await;
    opened.map_err(|error| format!("connecting: {}", error.kind()))
}
