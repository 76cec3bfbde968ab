//! The node by its id alone, and by addresses of its own.

use serde_json::{Value, json};

use crate::helpers::*;

/// An id that is a hash of its key, and its spelling as a CID (libp2p specification).
const HASHED: &str = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
const HASHED_CID: &str = "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe";
const ADDRESS: &str = "/ip4/203.0.113.7/tcp/4001";

fn cid_of(id: &str) -> String {
    const LIBP2P_KEY: u64 = 0x72;
    let hash = bs58::decode(id).into_vec().unwrap();
    let hash = cid::multihash::Multihash::from_bytes(&hash).unwrap();
    cid::Cid::new_v1(LIBP2P_KEY, hash).to_string()
}

async fn registry_of_any() -> TestRegistry {
    let clock = std::sync::Arc::new(peer_registry::clock::SystemClock::start());
    TestRegistry::start_with(clock, &["--address-policy=any"]).await
}

#[actix_web::test]
async fn an_id_is_taken_in_any_spelling() {
    let registry = registry_of_any().await;
    let node = Node::new();
    for (spelling, id) in [(HASHED, HASHED), (HASHED_CID, HASHED), ("node-1", "node-1")] {
        let by_id = format!("--peer-id={spelling}");
        let to = ["--registry", &registry.url, &by_id];
        let address = format!("--address={ADDRESS}");
        node.done(&[&["register", &address], &to[..]].concat())
            .await;
        let printed = node.done(&[&["heartbeat"], &to[..]].concat()).await;
        assert!(printed.starts_with(&format!("{id} renewed")), "{printed}");
        let args = [&["doctor", &address], &to[..]].concat();
        assert!(node.done(&args).await.contains("the node is registered"));
    }
    let mut listed = registry.listed().await;
    listed.sort();
    assert_eq!(listed, [HASHED, "node-1"]);
    assert!(!node.path("node.key").exists());
}

#[actix_web::test]
async fn an_id_of_a_key_has_a_crypto_ipv6_in_each_spelling() {
    let node = Node::new();
    let id = node.id().await;
    let cid = cid_of(&id);
    let by = |id: &str| format!("--peer-id={id}");
    let shown: Value = serde_json::from_str(&node.done(&["id", "--json"]).await).unwrap();
    let by_cid = node.done(&["id", "--json", &by(&cid)]).await;
    assert_eq!(serde_json::from_str::<Value>(&by_cid).unwrap(), shown);
}

#[actix_web::test]
async fn an_id_that_is_misspelled_or_cannot_have_a_port_is_a_fault_of_the_settings() {
    let node = Node::new();
    let id = node.id().await;
    let misspelled = format!("--peer-id={}", &id[..id.len() - 1]);
    let at = "--registry=http://127.0.0.1:9";
    for (peer_id, part) in [
        (&*misspelled, "begins like a libp2p id"),
        ("--peer-id=Qm123", "begins like a libp2p id"),
        ("--peer-id=node 1", "PEER_AGENT_PEER_ID must be a string"),
    ] {
        node.fails(2, &["heartbeat", at, peer_id], &[part]).await;
    }
    let hashed = format!("--peer-id={HASHED_CID}");
    let args = ["register", at, &hashed, "--port=4001"];
    node.fails(2, &args, &["--address", "--key-file"]).await;
    node.fails(2, &["id", &hashed], &["--key-file"]).await;
    let args = ["register", at];
    node.fails(2, &args, &["--port PORT", "--address ADDRESS"])
        .await;
}

#[actix_web::test]
async fn with_addresses_and_no_port_only_these_are_listed() {
    let registry = registry_of_any().await;
    let node = Node::new();
    let second = "/dns4/node.example.org/tcp/4001";
    let address = format!("--address={ADDRESS},{second}");
    let to = ["--registry", &registry.url];
    node.done(&[&["register", &address], &to[..]].concat())
        .await;
    let addresses = async || registry.get("/peers").await["peers"][0]["addresses"].clone();
    assert_eq!(addresses().await, json!([ADDRESS, second]));

    // The old name does the same, and a port adds the crypto-IPv6.
    let old = format!("--reveal-address={ADDRESS}");
    node.done(&[&["register", &old, "--port=9"], &to[..]].concat())
        .await;
    assert_eq!(addresses().await.as_array().unwrap().len(), 2);
    node.done(&[&["register", &old], &to[..]].concat()).await;
    assert_eq!(addresses().await, json!([ADDRESS]));
}

#[actix_web::test]
async fn an_address_that_is_garbage_is_left_out_and_named_and_the_rest_is_registered() {
    for registry in [TestRegistry::start().await, registry_of_any().await] {
        let node = Node::new();
        let to = ["--registry", &registry.url, "--port=4001"];
        let args = [&["register", "--reveal-address=garbage"], &to[..]].concat();
        let ended = node.run(&args).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let named = "addresses[1] is neither a multiaddr";
        assert!(ended.stderr.contains(named), "{ended:?}");
        let peer = registry.get("/peers").await["peers"][0].clone();
        assert_eq!(peer["addresses"].as_array().unwrap().len(), 1);

        let args = [&["doctor", "--reveal-address=garbage"], &to[..]].concat();
        let ended = node.run(&args).await;
        assert_eq!(
            ended.code,
            Some(1),
            "what is left out is no good finding: {ended:?}"
        );
        assert!(
            ended.stdout.contains("addresses[1] is neither"),
            "{ended:?}"
        );
        assert!(
            ended.stdout.contains("the node is registered;"),
            "{ended:?}"
        );

        let mut running = node.start(&registry, &["--reveal-address=garbage"]);
        running
            .line("this agent leaves out of the registration: addresses[1]")
            .await;
        running.line("registered with").await;
    }
}

#[actix_web::test]
async fn a_node_proves_its_key_and_leaves_with_unregister() {
    let registry = TestRegistry::start().await;
    let (node, thief) = (Node::new(), Node::new());
    let with = |args: &[&'static str]| [args, &["--registry", &registry.url]].concat();
    node.done(&with(&["register", "--port=4001"])).await;
    let id = node.id().await;
    let by_id = format!("--peer-id={id}");
    let args = ["heartbeat", "--registry", &registry.url, &by_id];
    thief.fails(1, &args, &["authentication_required"]).await;
    let args = ["unregister", "--registry", &registry.url, &by_id];
    thief.fails(2, &args, &["needs the node's key"]).await;
    thief
        .fails(2, &with(&["unregister"]), &["no key file", "node.key"])
        .await;
    thief
        .fails(2, &["unregister"], &["no registry is given", "no key file"])
        .await;
    let page = portal().await;
    let args = ["unregister", "--registry", &page];
    node.fails(3, &args, &["not as a registry does"]).await;
    assert_eq!(registry.listed().await, [id.as_str()]);

    let printed = node.done(&with(&["unregister"])).await;
    assert!(printed.contains("has left"), "{printed}");
    assert!(registry.listed().await.is_empty());
    let printed = node.done(&with(&["unregister"])).await;
    assert!(printed.contains("is not registered with"), "{printed}");
}
