//! How long a start takes with a million registered peers, after a stop in order and after kill -9.
#![expect(clippy::disallowed_methods, reason = "the benchmark measures time")]

#[expect(dead_code, reason = "the other benchmarks use the rest")]
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use support::load::{Until, drive};
use support::peers::registration;

const PEERS: u32 = 1_000_000;

/// Copies the one peer there is, under a million names.
const FILL: &str = "
    PRAGMA synchronous = OFF;
    WITH RECURSIVE counter (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM counter LIMIT 999999)
    INSERT INTO peers
    SELECT n, '12D3KooW' || printf('%044d', n * 7919 % 1000003), last_seen - n % 300000,
           registered_at, network_id, version, crypto_ipv6, addresses, privacy_mode,
           bootstrap_capable, turn_capable, turn_addresses, turn_port, turn_capacity,
           software_version, server_port, node_type, stores, capabilities, capability_list, authenticated
    FROM counter, peers WHERE peers.id = 1;
    PRAGMA wal_checkpoint(TRUNCATE);";

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let addr = free_addr();
    let mut server = spawn(folder.path(), addr);
    until_it_serves(addr);
    drive(addr, 1, Until::Requests(1), |number| {
        registration(number, 0)
    });
    server.kill().expect("the server is killed");
    server.wait().expect("the server ends");
    fill(folder.path());
    println!(
        "{:<36} {:>10} {:>10}",
        "start with 1,000,000 peers", "answers s", "serves s"
    );
    measure("after a fill", folder.path(), true);
    measure("after kill -9", folder.path(), false);
    measure("after a stop in order", folder.path(), false);
    println!("goal: serves within 6 s, answers from the first second");
}

fn measure(when: &str, folder: &Path, kills: bool) {
    let addr = free_addr();
    let begun = Instant::now();
    let mut server = spawn(folder, addr);
    while TcpStream::connect(addr).is_err() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(!get(addr, "/health").is_empty());
    let answers = begun.elapsed();
    until_it_serves(addr);
    let serves = begun.elapsed();
    println!(
        "{when:<36} {:>10.2} {:>10.2}",
        answers.as_secs_f64(),
        serves.as_secs_f64()
    );
    if kills {
        server.kill().expect("the server is killed");
    } else {
        let id = server.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.expect("kill").success());
    }
    server.wait().expect("the server ends");
}

fn free_addr() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    free.local_addr().expect("its address")
}

fn spawn(folder: &Path, addr: SocketAddr) -> Child {
    let mut server = Command::new(env!("CARGO_BIN_EXE_peer-registry"))
        .args([&format!("--listen-addr={addr}"), "--max-memory-mb=8192"])
        .current_dir(folder)
        .env("RUST_LOG", "info")
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let lines = BufReader::new(server.stderr.take().expect("its stderr")).lines();
    let _reader = std::thread::spawn(move || {
        for line in lines
            .map_while(Result::ok)
            .filter(|line| line.contains("loaded"))
        {
            println!("    {line}");
        }
    });
    server
}

fn until_it_serves(addr: SocketAddr) {
    while !get(addr, "/peers?limit=1").starts_with("HTTP/1.1 200") {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The response; empty if the connection is refused or cut off.
fn get(addr: SocketAddr, target: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut stream) = TcpStream::connect(addr) {
        let request = format!("GET {target} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
        let sent = stream.write_all(request.as_bytes());
        let _ = sent.and_then(|()| stream.read_to_string(&mut answer));
    }
    answer
}

fn fill(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(async {
        let path = folder.join("peers.db");
        let mut database = SqliteConnectOptions::new()
            .filename(path)
            .connect()
            .await
            .expect("the database");
        sqlx::raw_sql(FILL)
            .execute(&mut database)
            .await
            .expect("a million rows");
        let rows: u32 = sqlx::query_scalar("SELECT count(*) FROM peers")
            .fetch_one(&mut database)
            .await
            .expect("a count");
        assert_eq!(rows, PEERS);
        sqlx::Connection::close(database)
            .await
            .expect("an orderly end");
    });
}
