//! The subcommands that send single requests.

use serde_json::{Value, json};

use crate::helpers::*;

#[actix_web::test]
async fn a_node_registers_renews_offers_to_relay_and_is_listed() {
    let registry = TestRegistry::start().await;
    let node = Node::new();
    let registry_flag = ["--registry", &registry.url];
    let with = |args: &[&'static str]| [args, &registry_flag].concat();

    let args = with(&[
        "register",
        "--port=4001",
        "--network-id=mainnet",
        "--store=a,b",
    ]);
    let printed = node.done(&args).await;
    let id = node.id().await;
    assert!(
        printed.starts_with(&format!("{id} registered with")),
        "{printed}"
    );
    assert!(node.done(&with(&["heartbeat"])).await.contains("600 s"));
    let args = [
        "turn",
        "register",
        "--turn-address=relay.example.org",
        "--turn-port=3478",
    ];
    node.done(&with(&args)).await;

    let table = node.done(&with(&["turn", "list"])).await;
    assert!(
        table.contains("relay.example.org  3478  0 of 10"),
        "{table}"
    );
    let servers: Value =
        serde_json::from_str(&node.done(&with(&["turn", "list", "--json"])).await).unwrap();
    assert_eq!(servers["servers"][0]["peerId"], id);
    let table = node.done(&with(&["peers"])).await;
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.contains(&id) && table.contains("mainnet"), "{table}");
    let args = with(&["peers", "--json", "--include-stores"]);
    let list: Value = serde_json::from_str(&node.done(&args).await).unwrap();
    assert_eq!(list["peers"][0]["stores"], json!(["a", "b"]));
    let address = list["peers"][0]["addresses"][0].as_str().unwrap();
    assert!(
        address.ends_with(&format!("/tcp/4001/p2p/{id}")),
        "{address}"
    );

    // A registration without the offer withdraws it.
    node.done(&with(&["register", "--port=4001"])).await;
    assert_eq!(registry.get("/turn-servers").await["total"], 0);
}

#[actix_web::test]
async fn a_node_announces_quic_and_websocket_and_by_its_id_alone() {
    let registry = TestRegistry::start().await;
    let (keeper, node) = (Node::new(), Node::new());
    let id = keeper.id().await;
    let by_id = format!("--peer-id={id}");
    let args = [
        "register",
        "--registry",
        &registry.url,
        &by_id,
        "--quic-port=4001",
        "--websocket-port=4002",
        "--server-port=8444",
        "--node-type=1",
        r#"--capability-list=[[1,"base"]]"#,
    ];
    node.done(&args).await;
    assert!(!node.path("node.key").exists());
    let peer = registry.get("/peers?includeCapabilities=true").await["peers"][0].clone();
    assert_eq!(peer["peerId"], id);
    assert_eq!(peer["capabilityList"], json!([[1, "base"]]));
    let own = peer["cryptoIPv6"].as_str().unwrap();
    let addresses = [
        format!("/ip6/{own}/udp/4001/quic-v1/p2p/{id}"),
        format!("/ip6/{own}/tcp/4002/ws/p2p/{id}"),
    ];
    assert_eq!(peer["addresses"], json!(addresses));
}

#[actix_web::test]
async fn an_endless_listing_is_cut_and_that_is_reported() {
    let registry = TestRegistry::start().await;
    registry.register_others(&["a"]).await;
    let mut page = registry.get("/peers").await;
    page["nextCursor"] = json!("a");
    let endless = respond_with(&page.to_string()).await;
    let ended = Node::new().run(&["peers", "--registry", &endless]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout.lines().count(), 2, "{ended:?}");
    let message = "lists without end: stopped after 1 peers";
    assert!(ended.stderr.contains(message), "{ended:?}");
}

#[actix_web::test]
async fn peers_turns_all_pages_filters_samples_and_merges() {
    let flags = ["--max-listed=2"];
    let clock = std::sync::Arc::new(peer_registry::clock::SystemClock::start());
    let paged = TestRegistry::start_with(clock, &flags).await;
    paged.register_others(&["a", "b", "c", "d", "e"]).await;
    let other = TestRegistry::start().await;
    other.register_others(&["e", "f"]).await;
    let node = Node::new();
    let both = format!("{}, {}", paged.url, other.url);
    let count = async |args: &[&str]| {
        let all = [&["peers", "--json", "--registry", &both], args].concat();
        let list: Value = serde_json::from_str(&node.done(&all).await).unwrap();
        list["peers"].as_array().unwrap().len()
    };
    assert_eq!(count(&[]).await, 6);
    assert_eq!(count(&["--exclude=e"]).await, 5);
    assert_eq!(count(&["--network-id=elsewhere"]).await, 0);
    assert_eq!(count(&["--turn-capable"]).await, 0);
    assert_eq!(count(&["--turn-capable=false"]).await, 6);
    assert!((1..=2).contains(&count(&["--limit=1"]).await));
}

#[actix_web::test]
async fn an_empty_listing_is_a_table_without_rows() {
    let registry = TestRegistry::start().await;
    let table = Node::new()
        .done(&["peers", "--registry", &registry.url])
        .await;
    assert_eq!(table.lines().count(), 1, "{table}");
}

#[actix_web::test]
async fn a_refusal_is_printed_with_the_reason_and_ends_with_1() {
    let registry = TestRegistry::start().await;
    let node = Node::new();
    let id = node.id().await;
    let heartbeat = ["heartbeat", "--registry", &registry.url];
    node.fails(1, &heartbeat, &["peer_not_found", "POST /register"])
        .await;
    let revealing = [
        "register",
        "--port=4001",
        "--reveal-address=/ip4/203.0.113.7/tcp/4001",
        "--registry",
        &registry.url,
    ];
    node.fails(1, &revealing, &["privacy_violation"]).await;
    assert!(!registry.listed().await.contains(&id));
}

#[actix_web::test]
async fn an_unreachable_registry_is_printed_and_ends_with_3() {
    let down = TestRegistry::start().await.stop().await;
    let portal = portal().await;
    let node = Node::new();
    node.id().await;
    let unlike = "not as a registry does";
    for (url, message) in [(&down, "cannot reach"), (&portal, unlike)] {
        for args in [
            &["peers"][..],
            &["heartbeat"],
            &["register", "--port=4001"],
            &["turn", "list"],
            &["turn", "register", "--turn-address=a", "--turn-port=1"],
        ] {
            node.fails(3, &[args, &["--registry", url]].concat(), &[message])
                .await;
        }
    }
}

#[actix_web::test]
async fn of_two_registries_one_that_is_down_empties_nothing_and_hides_nothing() {
    let registry = TestRegistry::start().await;
    registry.register_others(&["a"]).await;
    let down = TestRegistry::start().await.stop().await;
    let node = Node::new();
    let both = format!("{down},{}", registry.url);
    let ended = node.run(&["peers", "--registry", &both]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout.lines().count(), 2);
    assert!(ended.stderr.contains("cannot reach"), "{ended:?}");

    let ended = node
        .run(&["register", "--port=4001", "--registry", &both])
        .await;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert_eq!(ended.stdout.lines().count(), 1, "{ended:?}");
}

#[cfg(unix)]
#[actix_web::test]
async fn the_identity_is_made_once_and_a_damaged_file_stays_unchanged() {
    use std::os::unix::fs::PermissionsExt;
    let node = Node::new();
    let first = node.id().await;
    assert_eq!(node.id().await, first);
    let mode = std::fs::metadata(node.path("node.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(node.done(&["id"]).await.contains(&first));

    std::fs::write(node.path("node.key"), "half a key").unwrap();
    node.fails(2, &["id"], &["node.key", "damaged"]).await;
    assert_eq!(std::fs::read(node.path("node.key")).unwrap(), b"half a key");
    let nowhere = ["id", "--key-file=nowhere/node.key"];
    node.fails(2, &nowhere, &["cannot make the key file nowhere/node.key"])
        .await;
}

#[actix_web::test]
async fn an_offer_beyond_the_limits_is_corrected_and_that_is_said() {
    let registry = TestRegistry::start().await;
    let node = Node::new();
    let to = ["--registry", &registry.url];
    node.done(&[&["register", "--port=4001"], &to[..]].concat())
        .await;
    let offer = [
        "turn",
        "register",
        "--turn-port=3478",
        "--turn-capacity=20000",
    ];
    let good = [&offer[..], &["--turn-address=relay.example.org"], &to].concat();
    let ended = node.run(&good).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let said = "left out of the offer: turnCapacity is not 1 to 10000";
    assert!(ended.stderr.contains(said), "{ended:?}");
    assert_eq!(registry.get("/turn-servers").await["total"], 1);
    let bad = [&offer[..], &["--turn-address=a b"], &to].concat();
    node.fails(2, &bad, &["nothing of the offer is left"]).await;
}

#[actix_web::test]
async fn a_search_that_finds_nobody_says_so() {
    let registry = TestRegistry::start().await;
    let args = ["peers", "--registry", &registry.url];
    let ended = Node::new().run(&args).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stderr.contains("no registry lists such a peer"),
        "{ended:?}"
    );
}

#[actix_web::test]
async fn the_warning_of_a_registry_is_printed_for_a_heartbeat_and_for_the_doctor() {
    let registry = TestRegistry::start().await;
    let node = Node::new();
    let to = ["--registry", &registry.url];
    // Two nodes with the same key, each of which has replaced the other twice.
    for port in ["--port=1", "--port=2"].repeat(3) {
        node.done(&[&["register", port], &to[..]].concat()).await;
    }
    let ended = node.run(&[&["heartbeat"], &to[..]].concat()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("warns: "), "{ended:?}");
    let args = [&["doctor", "--register", "--port=1"], &to[..]].concat();
    let ended = node.run(&args).await;
    assert!(ended.stdout.contains("the registry warns: "), "{ended:?}");
}
