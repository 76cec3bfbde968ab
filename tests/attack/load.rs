//! Attackers: connections that send given requests from another thread.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::background::{Background, Stop};
use crate::wire::AsyncConnection;

/// How a load is sent.
#[derive(Clone, Copy)]
pub struct Plan {
    pub connections: usize,
    /// The number of requests written before the first response is read.
    pub depth: usize,
    /// The max number of requests in total.
    pub max: usize,
    /// The status that ends the load; 0 if none does.
    pub until: u16,
}

impl Plan {
    /// Each connection sends its next request after the last response, until the load is stopped.
    pub fn closed_loop(connections: usize) -> Self {
        Self {
            connections,
            depth: 1,
            max: usize::MAX,
            until: 0,
        }
    }

    /// Sends `max` requests as fast as possible.
    pub fn all(max: usize) -> Self {
        Self {
            connections: 16,
            depth: 16,
            max,
            until: 0,
        }
    }

    /// Sends at most `max` large requests; stops at the status `until`.
    pub fn large(max: usize, until: u16) -> Self {
        Self {
            connections: 4,
            depth: 1,
            max,
            until,
        }
    }
}

/// The responses of a load.
#[derive(Debug, Default)]
pub struct Tally {
    pub kinds: BTreeMap<String, usize>,
    /// Connections that failed or were closed.
    pub cut_off: usize,
    /// The length of the longest body with status 200.
    pub longest_bytes: usize,
}

impl Tally {
    pub fn count(&self, kind: &str) -> usize {
        self.kinds.get(kind).copied().unwrap_or(0)
    }
}

/// A running load.
pub struct Load(Background<Tally>);

impl Load {
    /// Starts to send; `request` returns the bytes of the n-th request.
    pub fn begin(
        addr: SocketAddr,
        plan: Plan,
        request: impl Fn(usize) -> Vec<u8> + Send + 'static,
    ) -> Self {
        Self(Background::begin(async move |stop| {
            run(addr, plan, request, stop).await
        }))
    }

    /// Waits until all requests are sent.
    pub fn done(self) -> Tally {
        self.0.done()
    }

    pub fn is_done(&self) -> bool {
        self.0.is_done()
    }

    /// Stops sending and waits for the pending responses.
    pub fn stop(self) -> Tally {
        self.0.end()
    }
}

struct Sender<R> {
    addr: SocketAddr,
    plan: Plan,
    request: R,
    next: AtomicUsize,
    stop: Stop,
}

async fn run<R: Fn(usize) -> Vec<u8> + 'static>(
    addr: SocketAddr,
    plan: Plan,
    request: R,
    stop: Stop,
) -> Tally {
    let sender = Rc::new(Sender {
        addr,
        plan,
        request,
        next: AtomicUsize::new(0),
        stop,
    });
    let tasks: Vec<_> = (0..plan.connections)
        .map(|_| spawn_local(Rc::clone(&sender).send_all()))
        .collect();
    let mut all = Tally::default();
    for task in tasks {
        let tally = task.await.unwrap();
        all.cut_off += tally.cut_off;
        all.longest_bytes = all.longest_bytes.max(tally.longest_bytes);
        for (kind, count) in tally.kinds {
            *all.kinds.entry(kind).or_default() += count;
        }
    }
    all
}

impl<R: Fn(usize) -> Vec<u8>> Sender<R> {
    fn is_over(&self) -> bool {
        self.stop.is_set() || self.next.load(Ordering::Relaxed) >= self.plan.max
    }

    async fn send_all(self: Rc<Self>) -> Tally {
        let mut tally = Tally::default();
        while !self.is_over() {
            match AsyncConnection::open(self.addr).await {
                Ok(mut connection) => {
                    tokio::select! {
                        () = self.drive(&mut connection, &mut tally) => {}
                        () = self.given_up() => {}
                    }
                }
                Err(_) => {
                    tally.cut_off += 1;
                    // If the server refuses connections, do not retry in a busy loop.
                    sleep(Duration::from_millis(20)).await;
                }
            }
        }
        tally
    }

    /// Resolves one second after the stop signal.
    async fn given_up(&self) {
        self.stop.wait().await;
        // Pending responses still count, but one that takes longer may never come.
        sleep(Duration::from_secs(1)).await;
    }

    /// Sends over one connection until it is closed or all requests are sent.
    async fn drive(&self, connection: &mut AsyncConnection, tally: &mut Tally) {
        while !self.is_over() {
            let mut batch = Vec::new();
            let mut heads = Vec::new();
            for _ in 0..self.plan.depth {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                if number >= self.plan.max {
                    break;
                }
                let request = (self.request)(number);
                heads.push(request.starts_with(b"HEAD"));
                batch.extend_from_slice(&request);
            }
            if connection.send(&batch).await.is_err() {
                tally.cut_off += 1;
                return;
            }
            for is_head_only in heads {
                let Ok(response) = connection.receive(is_head_only).await else {
                    tally.cut_off += 1;
                    return;
                };
                if response.status == 200 {
                    tally.longest_bytes = tally.longest_bytes.max(response.body.len());
                    *tally.kinds.entry("200".to_owned()).or_default() += 1;
                } else {
                    *tally.kinds.entry(response.kind()).or_default() += 1;
                }
                if response.status == self.plan.until {
                    self.stop.set();
                }
            }
        }
    }
}
