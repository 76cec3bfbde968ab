//! A closed-loop generator: each connection sends its next request when the last is answered.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a run measured.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
    pub max: Duration,
}

/// How long a run lasts.
#[derive(Clone, Copy)]
pub enum Until {
    Elapsed(Duration),
    Requests(usize),
}

const OK: &str = "200";

/// Drives `addr` from `connections` keep-alive connections; `request` makes the bytes of the n-th
/// request. Panics unless every answer is a 200.
pub fn drive(
    addr: SocketAddr,
    connections: usize,
    until: Until,
    request: impl Fn(usize) -> Vec<u8> + 'static,
) -> Measured {
    drive_on(addr, connections, until, move |number, _| request(number))
}

/// Like [`drive`], but the response to the n-th request must have the status `status(n)`.
pub fn drive_expecting(
    addr: SocketAddr,
    connections: usize,
    until: Until,
    status: fn(usize) -> &'static str,
    request: impl Fn(usize) -> Vec<u8> + 'static,
) -> Measured {
    let request = move |number, _: &[u8]| request(number);
    drive_with(addr, connections, until, status, request)
}

/// Like [`drive`], for requests that depend on the body of the previous response on the same
/// connection, which is empty at first.
pub fn drive_on(
    addr: SocketAddr,
    connections: usize,
    until: Until,
    request: impl Fn(usize, &[u8]) -> Vec<u8> + 'static,
) -> Measured {
    drive_with(addr, connections, until, |_| OK, request)
}

fn drive_with(
    addr: SocketAddr,
    connections: usize,
    until: Until,
    status: fn(usize) -> &'static str,
    request: impl Fn(usize, &[u8]) -> Vec<u8> + 'static,
) -> Measured {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let tasks = tokio::task::LocalSet::new();
    let request = Rc::new(request);
    let next = Rc::new(std::cell::Cell::new(0));
    let started = Instant::now();
    let mut latencies = runtime.block_on(tasks.run_until(async move {
        let clients: Vec<_> = (0..connections)
            .map(|_| {
                let (request, next) = (Rc::clone(&request), Rc::clone(&next));
                tokio::task::spawn_local(async move {
                    let mut connection = Connection::open(addr).await;
                    let mut latencies = Vec::new();
                    let mut body = 0..0;
                    loop {
                        let number = next.get();
                        let is_over = match until {
                            Until::Elapsed(limit) => started.elapsed() >= limit,
                            Until::Requests(count) => number >= count,
                        };
                        if is_over {
                            return latencies;
                        }
                        next.set(number + 1);
                        let bytes = request(number, &connection.buffer[body]);
                        let asked = Instant::now();
                        let (start, end) = connection.exchange(&bytes, status(number)).await;
                        latencies.push(asked.elapsed());
                        body = start..end;
                    }
                })
            })
            .collect();
        let mut all = Vec::new();
        for client in clients {
            all.extend(client.await.expect("a client"));
        }
        all
    }));
    let elapsed = started.elapsed();
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    Measured {
        per_second: latencies.len() as f64 / elapsed.as_secs_f64(),
        p50: at(0.5),
        p99: at(0.99),
        max: at(1.0),
    }
}

/// The round with the median of `cheap` over `dear`, both in requests per second. Returns this ratio
/// and the two rates.
pub fn median(
    rounds: usize,
    mut dear: impl FnMut() -> Measured,
    mut cheap: impl FnMut() -> Measured,
) -> (f64, f64, f64) {
    let mut all: Vec<_> = (0..rounds)
        .map(|_| {
            let (cheap, dear) = (cheap().per_second, dear().per_second);
            (cheap / dear, dear, cheap)
        })
        .collect();
    all.sort_by(|left, right| left.0.total_cmp(&right.0));
    all[rounds / 2]
}

/// The body of one answer.
pub fn fetch(addr: SocketAddr, request: Vec<u8>) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut connection = Connection::open(addr).await;
        let (body_at, end) = connection.exchange(&request, OK).await;
        connection.buffer[body_at..end].to_vec()
    })
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Self {
            stream,
            buffer: vec![0; 16 * 1024],
        }
    }

    /// Sends a request and reads its answer, which must have the status `status`; returns where in the
    /// buffer the body lies.
    async fn exchange(&mut self, request: &[u8], status: &str) -> (usize, usize) {
        self.stream
            .write_all(request)
            .await
            .expect("a request sent");
        let mut filled = 0;
        let mut answer = None;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await;
            let read = read.expect("an answer");
            assert!(read > 0, "the server closed the connection");
            filled += read;
            if answer.is_none() {
                answer = answer_at(&self.buffer[..filled], status);
            }
            if let Some((_, end)) = answer {
                if filled >= end {
                    break;
                }
                self.buffer.resize(self.buffer.len().max(end), 0);
            }
        }
        answer.expect("an answer")
    }
}

/// Where the body of an answer begins and ends, once its head is there.
fn answer_at(bytes: &[u8], status: &str) -> Option<(usize, usize)> {
    let head_end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..head_end]).expect("a head of text");
    assert!(
        head["HTTP/1.1 ".len()..].starts_with(status),
        "{}",
        String::from_utf8_lossy(bytes)
    );
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .expect("a content length");
    let length: usize = length.parse().expect("a number");
    Some((head_end, head_end + length))
}
