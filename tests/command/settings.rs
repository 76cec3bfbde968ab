//! Where settings come from, and the messages about wrong ones.

use std::collections::BTreeMap;

use crate::helpers::*;

#[actix_web::test]
async fn flags_come_before_the_environment_and_that_before_the_file() {
    let registries = [
        TestRegistry::start().await,
        TestRegistry::start().await,
        TestRegistry::start().await,
    ];
    let node = Node::new();
    let id = node.id().await;
    node.write(
        "peer-agent.env",
        &format!(
            "# Settings\nPEER_REGISTRY_URL={}\nPEER_AGENT_PORT=4001\n",
            registries[0].url
        ),
    );
    let env = [("PEER_REGISTRY_URL", registries[1].url.as_str())];
    node.done(&["register"]).await;
    assert_eq!(registries[0].listed().await, [id.as_str()]);
    assert_eq!(node.run_with(&["register"], &env).await.code, Some(0));
    assert_eq!(registries[1].listed().await, [id.as_str()]);
    let flags = ["register", "--registry", &registries[2].url];
    assert_eq!(node.run_with(&flags, &env).await.code, Some(0));
    assert_eq!(registries[2].listed().await, [id.as_str()]);
}

#[actix_web::test]
async fn a_file_that_is_named_must_exist() {
    let node = Node::new();
    node.write("other.env", "PEER_AGENT_KEY_FILE=other.key\n");
    node.done(&["id", "--config", "other.env"]).await;
    assert!(node.path("other.key").exists());
    assert!(!node.path("node.key").exists());
    node.fails(2, &["id", "--config", "none.env"], &["none.env"])
        .await;
    node.write("peer-agent.env", "just words\n");
    node.fails(2, &["id"], &["peer-agent.env", "NAME=VALUE"])
        .await;
}

#[actix_web::test]
async fn a_value_in_the_file_loses_no_part_of_itself() {
    let node = Node::new();
    for (written, meant) in [
        ("ab$c.key", "ab$c.key"),
        ("ab\\c.key", "ab\\c.key"),
        ("c.key\\", "c.key\\"),
        ("it's.key", "it's.key"),
        ("'a b$c.key' # comment", "a b$c.key"),
        ("\"a'b.key\"", "a'b.key"),
    ] {
        let file = format!("PEER_AGENT_KEY_FILE={written}\nPEER_AGENT_NETWORK_ID=x\n");
        node.write("peer-agent.env", &file);
        node.done(&["id"]).await;
        assert!(node.path(meant).exists(), "{written}");
    }
    node.write("peer-agent.env", "");
    let quoted = [("PEER_AGENT_NETWORK_ID", "\"testnet\"")];
    let ended = node.run_with(&["id"], &quoted).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.stderr.contains("PEER_AGENT_NETWORK_ID has quotes"),
        "{ended:?}"
    );
}

#[actix_web::test]
async fn a_fault_of_the_file_is_reported_without_a_password() {
    let node = Node::new();
    node.write(
        "peer-agent.env",
        "PEER_REGISTRY_URL=https://me:se cret@registry.example.org\n",
    );
    let ended = node.run(&["id"]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(!ended.stderr.contains("cret@"), "{ended:?}");
    let args = [
        "heartbeat",
        "--registry=htps://me:secret@registry.example.org",
    ];
    let ended = node
        .run_with(&args, &[("PEER_AGENT_CONFIG", "/dev/null")])
        .await;
    assert!(ended.stderr.contains("htps://***@"), "{ended:?}");
    assert!(!ended.stderr.contains("secret"), "{ended:?}");
}

#[actix_web::test]
async fn an_unknown_setting_in_the_file_is_reported() {
    let node = Node::new();
    let file = "PEER_AGENT_PORTS=4001\nPEER_AGENT_LEASE_SECS=900\nOTHER=1\n";
    node.write("peer-agent.env", file);
    node.fails(2, &["id"], &["peer-agent.env", "PEER_AGENT_PORTS"])
        .await;
}

#[actix_web::test]
async fn an_empty_setting_counts_as_not_given() {
    let registry = TestRegistry::start().await;
    let node = Node::new();
    let names = [
        "PORT",
        "REVEAL_ADDRESS",
        "NETWORK_ID",
        "STORE",
        "CAPABILITIES",
        "PRIVACY_MODE",
        "TURN_ADDRESS",
        "TURN_PORT",
        "KEY_FILE",
        "CONNECTED_FILE",
        "LAST_KNOWN_GOOD",
        "EXEC",
    ];
    let lines = names.map(|name| format!("PEER_AGENT_{name}=\n"));
    node.write("peer-agent.env", &lines.concat());
    let at = ["--registry", &registry.url];
    node.fails(2, &["register", at[0], at[1]], &["--port PORT"])
        .await;
    let args = ["register", at[0], at[1], "--port=4001"];
    node.done(&args).await;
    assert!(node.path("node.key").exists());
    let nothing = [("PEER_AGENT_CONFIG", ""), ("PEER_AGENT_KEY_FILE", "")];
    assert_eq!(node.run_with(&args, &nothing).await.code, Some(0));
    let mut running = node.start(&registry, &["--json"]);
    running.event("registered").await;
}

#[actix_web::test]
async fn a_network_from_a_mounted_file_has_a_line_end_that_does_not_count() {
    let registry = TestRegistry::start().await;
    let node = Node::new();
    let args = ["register", "--port=4001", "--registry", &registry.url];
    let env = [("PEER_AGENT_NETWORK_ID", "mainnet\n")];
    let ended = node.run_with(&args, &env).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(registry.get("/peers?networkId=mainnet").await["total"], 1);
}

#[actix_web::test]
async fn an_unknown_setting_in_the_environment_is_reported() {
    let node = Node::new();
    let env = [
        ("PEER_AGENT_NETWORK", "x"),
        ("PEER_AGENT_SERVICE_HOST", "y"),
    ];
    let ended = node.run_with(&["id"], &env).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("PEER_AGENT_NETWORK, which is not a setting"),
        "{ended:?}"
    );
    assert!(!ended.stderr.contains("SERVICE_HOST"), "{ended:?}");
}

#[actix_web::test]
async fn all_faults_are_reported_together_and_no_file_is_made() {
    let node = Node::new();
    let args = [
        "run",
        "--registry=127.0.0.1:3000,https://fine.example.org,ftp://a",
        "--port=70000",
        "--request-timeout-secs=0",
        "--capabilities=[1]",
        "--privacy-mode=perhaps",
        "--turn-port=3478",
        "--enough-peers=-1",
        "--peer-sample=many",
        "--network-id=test\u{202e}net",
        "--fallback-after-secs=",
    ];
    let parts = [
        "PEER_REGISTRY_URL: \"127.0.0.1:3000\"",
        "PEER_REGISTRY_URL: \"ftp://a\"",
        "PEER_AGENT_PORT",
        "PEER_AGENT_REQUEST_TIMEOUT_SECS",
        "PEER_AGENT_CAPABILITIES",
        "PEER_AGENT_PRIVACY_MODE",
        "--turn-address",
        "PEER_AGENT_ENOUGH_PEERS",
        "PEER_AGENT_PEER_SAMPLE",
        "PEER_AGENT_NETWORK_ID: networkId must be 1 to 64 bytes",
        "PEER_AGENT_FALLBACK_AFTER_SECS",
    ];
    node.fails(2, &args, &parts).await;
    assert!(!node.path("node.key").exists());
}

#[actix_web::test]
async fn missing_settings_are_named() {
    let node = Node::new();
    node.fails(2, &[], &["Usage:"]).await;
    node.fails(2, &["dance"], &["unrecognized subcommand"])
        .await;
    node.fails(2, &["peers"], &["--registry URL"]).await;
    node.fails(2, &["register"], &["--registry URL", "--port PORT"])
        .await;
    let at = "--registry=http://127.0.0.1:9";
    node.fails(
        2,
        &["heartbeat", at],
        &["no key file node.key", "peer-agent id"],
    )
    .await;
    node.fails(2, &["turn", "register", at], &["--turn-address"])
        .await;
    let levels = [("RUST_LOG", "peer_registry=loud")];
    let ended = node.run_with(&["id"], &levels).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
}

#[actix_web::test]
async fn the_help_has_examples_and_shows_no_password() {
    let node = Node::new();
    let help = node.done(&["--help"]).await;
    for part in ["Examples:", "peer-agent run", "--exec", "Exit codes:"] {
        assert!(help.contains(part), "{part}");
    }
    let env = [(
        "PEER_REGISTRY_URL",
        "https://user:secret@registry.example.org",
    )];
    let ended = node.run_with(&["run", "--help"], &env).await;
    assert!(ended.stdout.contains("PEER_REGISTRY_URL"));
    assert!(!ended.stdout.contains("secret"), "{}", ended.stdout);
}

/// Each setting that the help of a subcommand names, with its default, empty if it has none.
async fn settings_in_help() -> BTreeMap<String, String> {
    let node = Node::new();
    let mut settings = BTreeMap::new();
    for subcommand in [
        "run",
        "peers",
        "register",
        "heartbeat",
        "turn register",
        "turn list",
        "id",
        "doctor",
    ] {
        // In the short help an option is one line, which ends in `[env: NAME=] [default: VALUE]`.
        let args: Vec<_> = subcommand.split(' ').chain(["-h"]).collect();
        for line in node.done(&args).await.lines() {
            let Some((_, rest)) = line.split_once("[env: ") else {
                continue;
            };
            let (name, rest) = rest.split_once(']').unwrap();
            let default = rest.trim().trim_start_matches("[default: ");
            settings.insert(
                name.trim_end_matches('=').to_owned(),
                default.trim_end_matches(']').to_owned(),
            );
        }
    }
    assert!(settings.len() > 20, "{settings:?}");
    settings
}

#[actix_web::test]
async fn the_document_has_a_row_for_each_setting_with_its_default_and_no_other() {
    let document = include_str!("../../docs/nodes.md");
    let (_, section) = document
        .split_once("\n### Settings of `peer-agent`\n")
        .unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let settings = settings_in_help().await;
    for (name, default) in &settings {
        let default = match default.as_str() {
            "" => String::new(),
            text => format!("`{text}` "),
        };
        let row = format!("\n| `{name}` | {default}|");
        assert!(section.contains(&row), "{row}");
    }
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    for row in rows {
        let (name, _) = row.split_once('`').unwrap();
        assert!(settings.contains_key(name) || name == "RUST_LOG", "{name}");
    }
}
