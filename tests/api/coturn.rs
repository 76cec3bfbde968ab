//! Credentials of the registry against a real TURN server: Debian's coturn, on loopback.

use std::net::UdpSocket;
use std::process::Stdio;

use peer_registry::clock::{Clock, SystemClock};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::helpers::{TestRegistry, secret};

/// A coturn that accepts credentials signed with the secret. Dropping this kills it.
struct Coturn {
    _process: Child,
    port: u16,
}

impl Coturn {
    async fn start(secret: &str) -> Self {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut process = Command::new("turnserver")
            .args([
                "-n",
                "-v",
                "--no-cli",
                "--no-tls",
                "--no-dtls",
                "--realm=test",
            ])
            .args(["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1"])
            .args([
                "--allow-loopback-peers",
                "--log-file=stdout",
                "--simple-log",
            ])
            .args(["--pidfile=/dev/null", "--use-auth-secret"])
            .arg(format!("--static-auth-secret={secret}"))
            .arg(format!("--listening-port={port}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("turnserver, of Debian's package coturn");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        loop {
            let line = lines.next_line().await.unwrap();
            let line = line.expect("coturn ended before it listened");
            if line.contains("UDP listener opened") {
                break;
            }
        }
        // coturn stops if its output is not read.
        actix_web::rt::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            _process: process,
            port,
        }
    }

    /// Whether a client gets an allocation and its packets are relayed.
    async fn relays(&self, username: &str, credential: &str) -> bool {
        let port = self.port.to_string();
        let limit = std::time::Duration::from_secs(20);
        for _ in 0..5 {
            let status = Command::new("turnutils_uclient")
                .args(["-y", "-c", "-n", "1", "-m", "1", "-p", &port])
                .args(["-u", username, "-w", credential, "127.0.0.1"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .status();
            // The client waits forever for a packet that a busy machine has lost.
            if let Ok(status) = tokio::time::timeout(limit, status).await {
                return status.unwrap().success();
            }
        }
        panic!("turnutils_uclient does not end");
    }
}

/// Registers a TURN server on `port` and a peer, and returns what the peer is granted.
async fn allocate(registry: &TestRegistry, port: u16) -> (String, String) {
    let relay = json!({
        "peerId": "relay", "addresses": ["here"], "turnCapable": true,
        "turnAddresses": ["203.0.113.20"], "turnPort": port,
    });
    registry.register(&relay).await.ok();
    let peer = json!({ "peerId": "alice", "addresses": ["there"] });
    registry.register(&peer).await.ok();
    let answer = registry
        .post("/allocate-turn", &json!({ "peerId": "alice" }))
        .await
        .ok();
    let server = &answer["iceServers"][0];
    assert_eq!(
        server["urls"][0],
        format!("turn:203.0.113.20:{port}?transport=udp")
    );
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&server["username"]), text(&server["credential"]))
}

async fn start(secrets: &str) -> TestRegistry {
    TestRegistry::start_changed(&["--address-policy=any"], |config| {
        config.turn_secrets = secret(secrets).split().collect();
    })
    .await
}

#[actix_web::test]
#[ignore = "needs coturn (Debian's package); run by cargo test --test api coturn -- --ignored"]
async fn an_unmodified_coturn_accepts_our_credentials_and_no_others() {
    let coturn = Coturn::start("test-secret").await;
    let registry = start("test-secret,retired").await;
    // The registry's clock starts in the past; coturn reads the machine's clock.
    let (username, credential) = allocate(&registry, coturn.port).await;
    assert!(!coturn.relays(&username, &credential).await, "expired");

    let now_ms = SystemClock::start().now_ms();
    registry.advance_ms((now_ms - registry.now_ms()).try_into().unwrap());
    let (username, credential) = allocate(&registry, coturn.port).await;
    assert!(coturn.relays(&username, &credential).await, "as granted");

    let first = if credential.starts_with('A') {
        "B"
    } else {
        "A"
    };
    let changed = format!("{first}{}", &credential[1..]);
    assert!(
        !coturn.relays(&username, &changed).await,
        "one character changed"
    );
    let longer = username.replacen(|digit: char| digit.is_ascii_digit(), "9", 1);
    assert!(!coturn.relays(&longer, &credential).await, "a later expiry");
}

#[actix_web::test]
#[ignore = "needs coturn (Debian's package); run by cargo test --test api coturn -- --ignored"]
async fn credentials_signed_with_another_secret_are_refused() {
    let coturn = Coturn::start("another-secret").await;
    let registry = start("test-secret,another-secret").await;
    let now_ms = SystemClock::start().now_ms();
    registry.advance_ms((now_ms - registry.now_ms()).try_into().unwrap());
    let (username, credential) = allocate(&registry, coturn.port).await;
    assert!(!coturn.relays(&username, &credential).await);
}
