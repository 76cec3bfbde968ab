//! The memory of the server's process with 100,000 registered peers: the kernel's count of resident
//! pages (`VmRSS` in `/proc/<pid>/status`), so Linux only.
#![expect(
    clippy::disallowed_methods,
    reason = "the load generator measures time"
)]

#[expect(dead_code, reason = "the other benchmark uses the rest")]
mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use support::load::{Until, drive};
use support::peers::{heartbeat, registration};

const PEERS: usize = 100_000;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut server, addr) = start(folder.path());
    println!("{:<44} {:>8}", "resident memory", "MiB");
    report("just started", &server);
    drive(addr, 256, Until::Requests(PEERS), |number| {
        registration(number, 0)
    });
    report("100,000 peers registered", &server);
    drive(addr, 256, Until::Requests(PEERS), |number| {
        heartbeat(number % PEERS)
    });
    report("and each renewed once", &server);
    stop(&mut server);
    let (mut server, _) = start(folder.path());
    report("after a restart", &server);
    stop(&mut server);
    println!("goal: below 120 MiB");
}

fn start(folder: &std::path::Path) -> (Child, std::net::SocketAddr) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_peer-registry"))
        .args(["--listen-addr=127.0.0.1:0", "--http-workers=2"])
        .current_dir(folder)
        .env(
            "RUST_LOG",
            "warn,peer_registry::server=info,peer_registry::server::registry=warn",
        )
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let lines = BufReader::new(server.stderr.take().expect("its stderr")).lines();
    let addr = lines
        .map_while(Result::ok)
        .find_map(|line| {
            let rest = line.split_once("http://")?.1;
            rest.split_whitespace().next()?.parse().ok()
        })
        .expect("the line that names the address");
    (server, addr)
}

fn report(when: &str, server: &Child) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()));
    let status = status.expect("the process's status");
    let kib: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse().ok())
        .expect("its resident memory");
    println!("{when:<44} {:>8.1}", kib / 1024.0);
}

fn stop(server: &mut Child) {
    server.kill().expect("the server is killed");
    server.wait().expect("the server ends");
}
