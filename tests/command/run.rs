//! `peer-agent run`: its events, its log and its end.

use crate::helpers::*;

#[actix_web::test]
async fn it_registers_prints_events_as_json_and_stops_at_each_signal() {
    for signal in ["TERM", "INT"] {
        let registry = TestRegistry::start().await;
        let node = Node::new();
        let mut running = node.start(&registry, &["--json"]);
        let event = running.event("registered").await;
        assert_eq!(event["registry"], registry.url);
        assert_eq!(event["heartbeatIntervalMs"], 120_000);
        assert_eq!(registry.listed().await, [node.id().await]);
        running.signal(signal);
        assert_eq!(running.ended().await.code(), Some(0));
    }
}

#[actix_web::test]
async fn it_sends_heartbeats_at_the_pace_of_the_registry() {
    let clock = std::sync::Arc::new(peer_registry::clock::SystemClock::start());
    let flags = ["--peer-timeout-secs=2", "--heartbeat-interval-secs=1"];
    let registry = TestRegistry::start_with(clock, &flags).await;
    let node = Node::new();
    let mut running = node.start(&registry, &["--json"]);
    running.event("registered").await;
    running.event("renewed").await;
    running.event("renewed").await;
    assert_eq!(registry.get("/stats").await["registrations"], 1);
}

#[actix_web::test]
async fn without_json_it_logs_the_events() {
    let registry = TestRegistry::start().await;
    let node = Node::new();
    let mut running = node.start(&registry, &[]);
    running.line("made the key file node.key").await;
    let id = node.id().await;
    running.line(&format!("this node is {id}")).await;
    running.line("registered with http://").await;
    running.signal("TERM");
    running.line("SIGTERM received, stopping").await;
    assert_eq!(running.ended().await.code(), Some(0));
}

#[actix_web::test]
async fn a_registry_that_is_down_and_a_portal_do_not_end_the_command() {
    let registry = TestRegistry::start().await;
    let down = TestRegistry::start().await.stop().await;
    let portal = portal().await;
    let others = format!("--registry={down},{portal}");
    let node = Node::new();
    let mut running = node.start(&registry, &[&others]);
    let mut reached = ["cannot reach", "not as a registry does", "registered with"];
    while reached.iter().any(|part| !part.is_empty()) {
        let line = running.line("").await;
        for part in &mut reached {
            if line.contains(*part) {
                *part = "";
            }
        }
    }
    running.signal("TERM");
    assert_eq!(running.ended().await.code(), Some(0));
}

#[actix_web::test]
async fn a_refusal_is_logged_with_the_reason_of_the_registry() {
    let registry = TestRegistry::start().await;
    let node = Node::new();
    let flags = ["--reveal-address=/ip4/203.0.113.7/tcp/4001"];
    let mut running = node.start(&registry, &flags);
    running
        .line("refuses the registration (privacy_violation)")
        .await;
}

#[actix_web::test]
async fn it_ends_quietly_when_the_pipe_is_closed() {
    let clock = std::sync::Arc::new(peer_registry::clock::SystemClock::start());
    let flags = ["--peer-timeout-secs=2", "--heartbeat-interval-secs=1"];
    let registry = TestRegistry::start_with(clock, &flags).await;
    let node = Node::new();
    let mut running = node.start(&registry, &["--json"]);
    running.event("registered").await;
    let mut child = running.close_stdout();
    let status = soon("the end", child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(0));
}

#[actix_web::test]
async fn the_number_of_connections_is_read_from_the_file_of_the_node() {
    let registry = TestRegistry::start().await;
    registry.register_others(&["a"]).await;
    let node = Node::new();
    let flags = [
        "--json",
        "--connected-file=connections",
        "--fallback-after-secs=0",
    ];
    let mut running = node.start(&registry, &flags);
    let event = running.event("fallback_started").await;
    assert_eq!(event["connectedPeers"], 0, "the node has not started yet");
    running.event("peers_found").await;

    node.write("connections", "2\n");
    let mut running = node.start(&registry, &flags);
    assert_eq!(running.event("fallback_started").await["connectedPeers"], 2);

    node.write("connections", "b\nc\n");
    let mut running = node.start(&registry, &flags);
    assert_eq!(running.event("fallback_started").await["connectedPeers"], 2);

    node.write("connections", "too many\n");
    let mut running = node.start(&registry, &flags);
    running.line("no connections in connections").await;
    assert_eq!(running.event("fallback_started").await["connectedPeers"], 0);
}

#[actix_web::test]
async fn a_full_pipe_blocks_neither_heartbeats_nor_the_stop() {
    let clock = std::sync::Arc::new(peer_registry::clock::SystemClock::start());
    let flags = ["--peer-timeout-secs=2", "--heartbeat-interval-secs=1"];
    let registry = TestRegistry::start_with(clock, &flags).await;
    // The pipe is full now.
    let (_unread, mut stdout) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut stdout, &[b'x'; 65_536]).unwrap();
    let node = Node::new();
    let mut running = node.start_to(&registry, &["--json"], stdout.into());
    let heartbeats = async { while registry.get("/stats").await["heartbeats"] != 2 {} };
    soon("two heartbeats", heartbeats).await;
    running.signal("TERM");
    assert_eq!(running.ended().await.code(), Some(0));
}

#[cfg(target_os = "linux")]
#[actix_web::test]
async fn a_full_disk_is_reported_and_the_node_stays_registered() {
    let clock = std::sync::Arc::new(peer_registry::clock::SystemClock::start());
    let flags = ["--peer-timeout-secs=2", "--heartbeat-interval-secs=1"];
    let registry = TestRegistry::start_with(clock, &flags).await;
    let full = std::fs::File::options().write(true).open("/dev/full");
    let node = Node::new();
    let mut running = node.start_to(&registry, &["--json"], full.unwrap().into());
    running.line("cannot write to stdout").await;
    let heartbeats = async { while registry.get("/stats").await["heartbeats"] != 2 {} };
    soon("two heartbeats", heartbeats).await;
    running.signal("TERM");
    running.line("SIGTERM received, stopping").await;
    assert_eq!(running.ended().await.code(), Some(0));
}

#[actix_web::test]
async fn at_sighup_it_reads_its_file_again_and_announces_what_has_changed() {
    let registry = TestRegistry::start().await;
    let node = Node::new();
    let id = node.id().await;
    node.write(
        "peer-agent.env",
        "PEER_AGENT_NETWORK_ID=testnet\nPEER_AGENT_STORE=a,b\n",
    );
    let mut running = node.start(&registry, &["--bootstrap-capable"]);
    running.line("registered with").await;
    let listed = async || registry.get("/peers?includeStores=true").await["peers"][0].clone();
    assert_eq!(listed().await["networkId"], "testnet");

    node.write(
        "peer-agent.env",
        "PEER_AGENT_NETWORK_ID=mainnet\nPEER_AGENT_PROTOCOL_VERSION=2.0\nPEER_AGENT_PORT=9\n",
    );
    running.signal("HUP");
    running.line("announcing the new settings").await;
    running.line("registered with").await;
    let peer = listed().await;
    assert_eq!(
        (&peer["networkId"], &peer["version"]),
        (&"mainnet".into(), &"2.0".into())
    );
    assert_eq!(
        peer["stores"],
        serde_json::json!([]),
        "it is no longer in the file"
    );
    assert_eq!(peer["bootstrapCapable"], true, "flags stay");
    let address = peer["addresses"][0].as_str().unwrap();
    assert!(
        address.contains("/tcp/4001/"),
        "a flag comes first: {address}"
    );

    running.signal("HUP");
    running.line("nothing new to announce").await;
    node.write("peer-agent.env", "PEER_AGENT_PRIVACY_MODE=perhaps\n");
    running.signal("HUP");
    running
        .line("settings stay as they are: PEER_AGENT_PRIVACY_MODE")
        .await;
    node.write("peer-agent.env", "PEER_AGENT_PORTS=1\n");
    running.signal("HUP");
    running.line("unknown settings: PEER_AGENT_PORTS").await;
    node.write("peer-agent.env", "PEER_AGENT_PEER_SAMPLE=many\n");
    running.signal("HUP");
    running
        .line("settings stay as they are: PEER_AGENT_PEER_SAMPLE")
        .await;
    node.write("peer-agent.env", "no setting at all\n");
    running.signal("HUP");
    running
        .line("settings stay as they are: the settings file")
        .await;
    std::fs::remove_file(node.path("peer-agent.env")).unwrap();
    running.signal("HUP");
    running.line("peer-agent.env: it does not exist").await;
    assert_eq!(
        listed().await["networkId"],
        "mainnet",
        "nothing has changed"
    );
    node.write("peer-agent.env", "PEER_AGENT_NETWORK_ID=mainnet\nPEER_AGENT_PROTOCOL_VERSION=2.0\nPEER_AGENT_PEER_SAMPLE=9\n");
    running.signal("HUP");
    let line = running.line("need a restart").await;
    assert!(
        line.ends_with("need a restart: PEER_AGENT_PEER_SAMPLE"),
        "{line}"
    );
    running.line("nothing new to announce").await;
    assert_eq!(registry.listed().await, [id]);
    running.signal("TERM");
    assert_eq!(running.ended().await.code(), Some(0));
}
