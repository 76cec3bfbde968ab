//! `peer-agent doctor`: its output and its exit code.

use std::sync::Arc;
use std::time::Duration;

use peer_registry::clock::{Clock, ManualClock, SystemClock};

use crate::helpers::*;

/// Runs the doctor, which must end with `code` and print each of `parts`.
async fn look(node: &Node, code: i32, args: &[&str], parts: &[&str]) {
    let ended = node.run(&[&["doctor"], args].concat()).await;
    assert_eq!(ended.code, Some(code), "{ended:?}");
    for part in parts {
        assert!(ended.stdout.contains(part), "{part:?}: {}", ended.stdout);
    }
    assert_eq!(ended.stderr, "");
}

#[actix_web::test]
async fn it_helps_from_the_missing_identity_to_the_registration() {
    let registry = TestRegistry::start().await;
    let node = Node::new();
    let at = ["--registry", registry.url.as_str()];
    look(
        &node,
        1,
        &at,
        &["answers and serves", "no identity", "peer-agent id"],
    )
    .await;
    assert!(!node.path("node.key").exists());

    let id = node.id().await;
    let announcing = [&at[..], &["--port=4001"]].concat();
    look(
        &node,
        1,
        &announcing,
        &["not registered", "doctor --register"],
    )
    .await;
    assert!(registry.listed().await.is_empty());

    let revealing = "--reveal-address=/ip4/203.0.113.7/tcp/4001";
    let args = [&announcing[..], &[revealing]].concat();
    look(
        &node,
        1,
        &args,
        &["would announce where it is: /ip4/203.0.113.7"],
    )
    .await;
    let args = [&args[..], &["--register"]].concat();
    look(
        &node,
        1,
        &args,
        &["address policy refuses the node: addresses[1]"],
    )
    .await;

    let args = [&announcing[..], &["--register"]].concat();
    look(
        &node,
        0,
        &args,
        &["took the registration: a lease of 600 s"],
    )
    .await;
    assert_eq!(registry.listed().await, [id]);
    look(&node, 0, &announcing, &["the node is registered"]).await;
    let moved = [&at[..], &["--port=4002"]].concat();
    look(&node, 1, &moved, &["other addresses", "/tcp/4001/"]).await;
}

#[actix_web::test]
async fn a_lease_that_is_nearly_out_and_a_wrong_clock_are_reported() {
    let now_ms = SystemClock::start().now_ms();
    let clock = Arc::new(ManualClock::new(now_ms - 400_000));
    let registry = TestRegistry::start_with(clock.clone(), &[]).await;
    let node = Node::new();
    let at = ["--registry", registry.url.as_str()];
    node.done(&["register", "--port=4001", at[0], at[1]]).await;
    look(
        &node,
        1,
        &at,
        &["s ahead of the registry's", "set this machine's clock"],
    )
    .await;
    clock.advance(Duration::from_secs(400));
    look(
        &node,
        1,
        &at,
        &[
            "lease is nearly out: it was renewed 400 s ago",
            "leases last 600 s",
        ],
    )
    .await;
    let args = [&at[..], &["--lease-secs=900"]].concat();
    look(&node, 0, &args, &["was renewed 400 s ago"]).await;
    let stats = registry.get("/stats").await;
    assert_eq!(
        (&stats["registrations"], &stats["heartbeats"]),
        (&1.into(), &2.into()),
        "no heartbeat while the lease is nearly out"
    );
}

#[actix_web::test]
async fn a_registration_by_the_doctor_never_replaces_the_entry_of_a_running_node() {
    let registry = TestRegistry::start_with(
        Arc::new(SystemClock::start()),
        &["--turn-shared-secret=a-secret-of-the-test"],
    )
    .await;
    let node = Node::new();
    let own = [
        "--network-id=testnet",
        "--store=s1,s2",
        "--turn-address=relay.example.org",
        "--turn-port=3478",
    ];
    let mut running = node.start(&registry, &[&own[..], &["--json"]].concat());
    running.event("registered").await;
    let full = "/peers?includeStores=true";
    let before = registry.get(full).await["peers"][0].clone();

    let other = ["--registry", &registry.url, "--port=4001", "--register"];
    for _ in 0..2 {
        let args = [&["doctor"], &other[..]].concat();
        let ended = node.run(&args).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        for part in [
            "--register was left out",
            "networkId: registered \"testnet\", here nothing",
            "stores: 2 registered that are not here",
            "turnCapable: registered true, here false",
        ] {
            assert!(ended.stdout.contains(part), "{part}: {ended:?}");
        }
        assert!(!ended.stdout.contains("second node"), "{ended:?}");
    }
    let args = [&other[..], &own].concat();
    look(&node, 0, &args, &["only its lease was renewed"]).await;
    let mut after = registry.get(full).await["peers"][0].clone();
    after["lastSeen"] = before["lastSeen"].clone();
    assert_eq!(after, before);
    assert_eq!(registry.get("/stats").await["registrations"], 1);
}

#[actix_web::test]
async fn a_node_whose_addresses_are_all_left_out_has_that_named() {
    let registry = TestRegistry::start().await;
    let node = Node::new();
    node.id().await;
    let at = [
        "--registry",
        registry.url.as_str(),
        "--address=my host:4001",
    ];
    look(&node, 1, &at, &["addresses[0]", "no address is left"]).await;
}

#[actix_web::test]
async fn a_cloned_key_is_named_without_a_registration() {
    let registry = TestRegistry::start().await;
    let node = Node::new();
    let at = ["--registry", registry.url.as_str(), "--port=4001"];
    for store in ["--store=s1", "--store=s2", "--store=s1"] {
        node.done(&[&["register"], &at[..], &[store]].concat())
            .await;
    }
    let parts = ["alternate", "second node that runs with this node's key"];
    look(&node, 1, &at, &parts).await;
    assert_eq!(registry.get("/stats").await["registrations"], 3);
}

#[actix_web::test]
async fn an_unreachable_registry_is_reported_and_ends_with_3() {
    let registry = TestRegistry::start().await;
    let tls = registry.url.replace("http://", "https://");
    let path = format!("{}/base", registry.url);
    let down = TestRegistry::start().await.stop().await;
    let portal = portal().await;
    let node = Node::new();
    node.id().await;
    for (url, message) in [
        (
            "http://registry.invalid",
            "registry.invalid does not resolve",
        ),
        (&down, "no connection to 127.0.0.1:"),
        (&tls, "no trusted connection (TLS)"),
        (&portal, "not a peer-registry"),
        (&path, "not at this path"),
    ] {
        look(&node, 3, &["--registry", url], &[message, "to do: "]).await;
    }
    let both = format!("{},{down}", registry.url);
    look(
        &node,
        3,
        &["--registry", &both],
        &["answers and serves", "no connection"],
    )
    .await;
}

#[actix_web::test]
async fn a_proxy_that_is_down_is_named_and_neither_the_name_nor_tls_is_blamed() {
    let down = TestRegistry::start().await.stop().await;
    let proxy = down.replace("http://", "http://me:secret@");
    let node = Node::new();
    let env = [("HTTP_PROXY", &*proxy), ("HTTPS_PROXY", &*proxy)];
    for registry in ["http://registry.invalid", "https://registry.invalid"] {
        let ended = node
            .run_with(&["doctor", "--registry", registry], &env)
            .await;
        assert_eq!(ended.code, Some(3), "{ended:?}");
        let through = format!("through the proxy {down}/ failed");
        assert!(ended.stdout.contains(&through), "{ended:?}");
        assert!(ended.stdout.contains("NO_PROXY"), "{ended:?}");
        for word in ["TLS", "resolve", "secret"] {
            assert!(!ended.stdout.contains(word), "{word}: {ended:?}");
        }
    }
}

#[actix_web::test]
async fn a_registry_is_reached_through_a_proxy_and_without_it() {
    let registry = TestRegistry::start().await;
    let health = registry.get("/health").await.to_string();
    let proxy = respond_with(&health).await;
    let node = Node::new();
    node.id().await;
    let args = ["doctor", "--registry", "http://registry.invalid"];
    let ended = node.run_with(&args, &[("HTTP_PROXY", &proxy)]).await;
    assert!(ended.stdout.contains("answers and serves"), "{ended:?}");
    let args = ["doctor", "--registry", &registry.url];
    let env = [
        ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("NO_PROXY", "127.0.0.1"),
    ];
    let ended = node.run_with(&args, &env).await;
    assert!(ended.stdout.contains("answers and serves"), "{ended:?}");
}

#[actix_web::test]
async fn a_file_of_certificates_that_has_none_is_a_fault_of_the_settings() {
    let node = Node::new();
    node.write("ca.pem", "no certificate\n");
    for (file, part) in [
        ("ca.pem", "no certificate in PEM"),
        ("none.pem", "none.pem"),
    ] {
        let file = format!("--ca-file={file}");
        let args = ["peers", "--registry=https://127.0.0.1:9", &file];
        node.fails(2, &args, &["PEER_AGENT_CA_FILE", part]).await;
    }
}
