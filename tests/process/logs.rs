//! What the log must contain and what it must not.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::json;

use crate::child::{self, Registry, folder, peer, soon};
use crate::database;
use crate::deaf::Deaf;
use crate::wire::Connection;

/// Whether a line is a whole log record: `[<time> <LEVEL>] <text>`.
fn is_record(line: &str) -> bool {
    let Some((head, _)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) else {
        return false;
    };
    let mut words = head.split_whitespace();
    let time = words.next().unwrap_or_default();
    let level = words.next().unwrap_or_default();
    time.starts_with("20")
        && time.ends_with('Z')
        && ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level)
}

#[track_caller]
fn assert_plain_records(lines: &[String]) {
    for line in lines {
        assert!(is_record(line), "{line:?}");
        let is_plain = |c: char| {
            !c.is_control()
                && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}')
                && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert!(line.chars().all(is_plain), "{line:?}");
    }
}

const ODD_TEXTS: [&str; 6] = [
    "quote \" and ' and \\ and \\n",
    "[2026-01-01T00:00:00Z INFO] forged",
    "\u{2028}[2026-01-01T00:00:00Z INFO] forged",
    "\u{202e}gnirts a",
    "\u{2029}\u{2066}\u{200f}\u{feff}",
    "%0a%1b[31m {} {:?} \u{1f980}",
];

#[tokio::test]
async fn one_event_is_one_line_whatever_a_client_sends() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &[]).await;
    let mut accepted = Vec::new();
    for (at, text) in ODD_TEXTS.iter().enumerate() {
        let mut body = peer(&format!("odd-{at}"));
        body["networkId"] = json!(text);
        body["version"] = json!(text);
        body["softwareVersion"] = json!(text);
        body["stores"] = json!([text]);
        let (status, _) = registry.post("/register", &body).await;
        if status == 200 {
            accepted.push(at);
        }
    }
    assert_eq!(accepted, [0, 1, 5], "what is visible");
    registry.register(&peer("last")).await;
    registry.line("peer=last").await;
    let lines = registry.lines();
    assert_plain_records(&lines);
    let about = |id: &str| lines.iter().filter(|line| line.contains(id)).count();
    for at in accepted {
        assert_eq!(about(&format!("peer=odd-{at} ")), 1, "{lines:#?}");
    }
}

#[tokio::test]
async fn a_refused_request_forges_no_line_even_at_debug() {
    let folder = folder();
    let env = [("RUST_LOG", "debug")];
    let registry = Registry::start_with(folder.path(), &[], &env).await;
    for text in ODD_TEXTS
        .iter()
        .chain(&["a\nb", "a\r\n\u{1b}[2Jb", "\u{85}\u{0}"])
    {
        let bodies = [
            json!({ "peerId": text, "addresses": [] }),
            json!({ "peerId": "a", "addresses": [text] }),
            json!({ "peerId": "a", "addresses": [], "cryptoIPv6": text }),
            json!({ "peerId": "a", "addresses": [format!("/ip6/fd00::1/{text}/1")] }),
        ];
        for body in bodies {
            let (status, answer) = registry.post("/register", &body).await;
            // An odd address is dropped; anything else is refused.
            let is_dropped = status == 200 && answer["dropped"].is_array();
            assert!(status.is_client_error() || is_dropped, "{answer}");
        }
        let twice = format!("{{{0}: 1, {0}: 2}}", json!(text));
        let mut by_hand = Connection::open(registry.addr).await;
        by_hand
            .send(&format!(
                "POST /register HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{twice}",
                twice.len()
            ))
            .await;
        assert_eq!(by_hand.answer().await.expect("an answer").status, 400);
    }
    for garbage in [
        "GET /a%0ab?limit=%0a%1b HTTP/1.1",
        "\u{1b}[2J HTTP/9.9",
        "GET",
    ] {
        let mut by_hand = Connection::open(registry.addr).await;
        by_hand
            .send(&format!("{garbage}\r\nHost: a\tb\r\n\r\n"))
            .await;
        by_hand.answer().await;
    }
    registry.register(&peer("last")).await;
    registry.line("peer=last").await;
    assert_plain_records(&registry.lines());
}

#[tokio::test]
async fn changes_of_the_listing_are_logged_at_info_and_heartbeats_are_not() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &[]).await;
    registry.register(&peer("a")).await;
    registry.register(&peer("silent")).await;
    let mut body = peer("a");
    body["version"] = json!("2");
    registry.register(&body).await;
    let offer = json!({ "peerId": "a", "turnAddresses": ["turn.example.org"], "turnPort": 3478 });
    let (status, answer) = registry.post("/register-turn-server", &offer).await;
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = registry.post("/heartbeat", &json!({ "peerId": "a" })).await;
    assert_eq!(status, 200, "{answer}");
    let (status, _) = registry
        .post("/heartbeat", &json!({ "peerId": "nobody" }))
        .await;
    assert_eq!(status, 404);
    let mut operator = database::open_in(folder.path()).await;
    let silent = "UPDATE peers SET last_seen = last_seen - 3600000 WHERE peer_id = 'silent'";
    assert_eq!(database::execute(&mut operator, silent).await, 1);
    let answer = registry.register(&peer("last")).await;
    assert_eq!(answer["cleanedExpiredPeers"], 1, "{answer}");
    registry.line("registered peer=last").await;
    let lines = registry.lines();
    for part in [
        "INFO] registered peer=a ",
        "INFO] updated peer=a",
        "INFO] registered TURN server peer=a ",
        "WARN] the peer table was changed from outside",
        "INFO] cleanup removed=1",
    ] {
        // The level is padded to a width.
        let holds = |line: &&String| line.replace(" ]", "]").contains(part);
        assert_eq!(lines.iter().filter(holds).count(), 1, "{part}: {lines:#?}");
    }
    let all = lines.join("\n");
    assert!(!all.contains("heartbeat peer="), "{all}");
    let about = lines.iter().filter(|line| line.contains("nobody"));
    let about: Vec<_> = about.collect();
    assert!(
        about.len() == 1 && about[0].contains("code=peer_not_found"),
        "{all}"
    );
    assert!(!all.contains("DEBUG"), "{all}");
}

#[tokio::test]
async fn the_backup_cleanup_is_logged_at_info() {
    let folder = folder();
    let registry = Registry::start(folder.path(), &["--cleanup-interval-secs=1"]).await;
    let line = registry.line("cleanup removed=").await;
    assert!(line.contains("INFO") && line.contains("interval"), "{line}");
}

#[tokio::test]
async fn heartbeats_are_logged_at_debug() {
    let folder = folder();
    let env = [("RUST_LOG", "debug")];
    let registry = Registry::start_with(folder.path(), &[], &env).await;
    registry.register(&peer("a")).await;
    let (status, answer) = registry.post("/heartbeat", &json!({ "peerId": "a" })).await;
    assert_eq!(status, 200, "{answer}");
    let line = registry.line("heartbeat peer=a").await;
    assert!(line.contains("DEBUG"), "{line}");
    assert_plain_records(&registry.lines());
}

#[tokio::test]
async fn no_address_of_a_client_is_logged_or_stored() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    // All of 127.0.0.0/8 is this machine.
    registry.client = reqwest::Client::builder()
        .local_address(std::net::IpAddr::from([127, 45, 67, 89]))
        .no_proxy()
        .build()
        .unwrap();
    let mut body = peer("a");
    body["realAddresses"] = json!(["/ip4/198.51.100.7/tcp/4001"]);
    registry.register(&body).await;
    let mut revealing = peer("b");
    revealing["addresses"] = json!(["/ip4/198.51.100.8/tcp/4001"]);
    let (status, _) = registry.post("/register", &revealing).await;
    assert_eq!(status, 403);
    let mut forwarded = Connection::open(registry.addr).await;
    forwarded
        .send("GET /peers HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 198.51.100.9\r\n\r\n")
        .await;
    assert_eq!(forwarded.answer().await.expect("an answer").status, 200);
    drop(forwarded);
    registry.stop().await;
    let lines = registry.lines().join("\n");
    let database = std::fs::read(folder.path().join("peers.db")).unwrap();
    let database = String::from_utf8_lossy(&database);
    assert!(lines.contains("registered peer=a "), "{lines}");
    for address in ["127.45.67.89", "198.51.100."] {
        assert!(!lines.contains(address), "{lines}");
        assert!(!database.contains(address), "{address} is in the database");
    }
}

/// The numbers behind `name=` in the lines that hold `part`.
fn counts(lines: &[String], part: &str, name: &str) -> Vec<u64> {
    let name = format!("{name}=");
    let count = |line: &String| {
        let (_, rest) = line.split_once(&name)?;
        rest.split(' ').next()?.parse().ok()
    };
    let told = lines.iter().filter(|line| line.contains(part));
    told.filter_map(count).collect()
}

#[tokio::test]
async fn many_registrations_cause_a_few_lines_and_a_count() {
    const PEERS: usize = 2_000;
    let folder = folder();
    let registry = Registry::start(folder.path(), &[]).await;
    let register = |at: usize| {
        let request = registry
            .client
            .post(format!("http://{}/register", registry.addr));
        request.json(&peer(&format!("storm-{at}"))).send()
    };
    let sends = (0..8).map(|task| async move {
        for at in (task..PEERS).step_by(8) {
            let response = soon("a registration", register(at)).await.unwrap();
            assert_eq!(response.status(), 200);
        }
    });
    futures_util::future::join_all(sends).await;
    // The last window ends even without further requests.
    let total = |lines: &Vec<String>| {
        let written = counts(lines, "] registered peer=", "addresses").len() as u64;
        let left_out = counts(lines, "left out log lines kind=registered ", "count");
        written + left_out.iter().sum::<u64>()
    };
    let lines = registry
        .lines_until("the count", |lines| total(lines) == PEERS as u64)
        .await;
    assert!(lines.len() < 100, "{lines:#?}");
    assert_plain_records(&lines);
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nothing() {
    let folder = folder();
    let mut deaf = Deaf::start(folder.path()).await;
    deaf.fill_the_log().await;
    deaf.serves("a").await;
    deaf.signal("TERM");
    let status = deaf.ended().await;
    assert_eq!(status.code(), Some(0), "{status:?}");
}

#[tokio::test]
async fn a_second_signal_ends_at_once_though_nobody_reads_the_log() {
    let folder = folder();
    let mut deaf = Deaf::start(folder.path()).await;
    deaf.fill_the_log().await;
    // A request that does not end keeps the first stop waiting.
    let half = "POST /register HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
                Content-Length: 10\r\n\r\n{";
    let mut by_hand = Connection::open(deaf.addr).await;
    by_hand.send(half).await;
    deaf.serves("a").await;
    deaf.signal("TERM");
    deaf.refuses_connections().await;
    deaf.signal("TERM");
    let status = deaf.ended().await;
    assert!([Some(130), Some(0)].contains(&status.code()), "{status:?}");
}

#[tokio::test]
async fn a_reader_that_reads_again_learns_how_many_lines_it_missed() {
    let folder = folder();
    let mut deaf = Deaf::start(folder.path()).await;
    deaf.fill_the_log().await;
    let line = deaf.line("WARN ] dropped ").await;
    let (_, rest) = line.split_once("dropped ").unwrap();
    let dropped: u64 = rest.split(' ').next().unwrap().parse().unwrap();
    assert!(dropped > 0, "{line}");
    assert!(is_record(&line), "{line}");
    deaf.serves("after").await;
    deaf.line("registered peer=after").await;
}

#[tokio::test]
async fn a_log_whose_reader_has_gone_stops_nothing() {
    let folder = folder();
    let mut deaf = Deaf::start(folder.path()).await;
    deaf.close();
    for at in 0..50 {
        deaf.serves(&format!("peer-{at}")).await;
    }
    deaf.signal("TERM");
    let status = deaf.ended().await;
    assert_eq!(status.code(), Some(0), "{status:?}");
}

#[tokio::test]
async fn a_fault_at_the_start_ends_the_process_though_nobody_reads_why() {
    let folder = folder();
    fs::write(folder.path().join("peers.db"), "no database").unwrap();
    for args in [&["--max-peers=lots"][..], &[]] {
        let (_reader, mut stderr) = std::io::pipe().unwrap();
        // The capacity of a pipe on Linux, so that the pipe is full.
        stderr.write_all(&[b'x'; 65_536]).unwrap();
        let mut child = child::command(folder.path(), args, &[])
            .arg("--listen-addr=127.0.0.1:0")
            .stderr(Stdio::from(stderr))
            .spawn()
            .unwrap();
        let status = soon("the end of the process", child.wait()).await.unwrap();
        assert_eq!(status.code(), Some(2), "{args:?}");
    }
}

#[tokio::test]
async fn a_log_level_that_would_silence_everything_is_info_and_said() {
    for levels in ["", "\"info\"", "warning", "inof"] {
        let folder = folder();
        let env = [("RUST_LOG", levels)];
        let registry = Registry::start_with(folder.path(), &[], &env).await;
        let line = registry.line("RUST_LOG is").await;
        assert!(line.contains("WARN"), "{line}");
        registry.register(&peer("a")).await;
        registry.line("registered peer=a").await;
        let lines = registry.lines();
        let said = lines.iter().filter(|line| line.contains("RUST_LOG"));
        assert_eq!(said.count(), 1, "{lines:#?}");
    }
}
