//! `peer-agent run --exec`.

use serde_json::Value;

use crate::helpers::*;

async fn with_a_peer() -> (TestRegistry, Node) {
    let registry = TestRegistry::start().await;
    registry.register_others(&["a"]).await;
    (registry, Node::new())
}

fn flags(exec: &str) -> [&str; 4] {
    ["--json", "--fallback-after-secs=0", "--exec", exec]
}

/// Whether the process with this id is running.
fn is_alive(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

/// Waits until the process with this id has ended.
async fn gone(pid: &str) {
    let ended = async {
        while is_alive(pid) {
            tokio::task::yield_now().await;
        }
    };
    soon("the end of the child", ended).await;
}

#[actix_web::test]
async fn the_command_gets_the_list_and_its_output_stays_out_of_the_events() {
    let (registry, node) = with_a_peer().await;
    let mut running = node.start(&registry, &flags("cat > list.json; echo handed over"));
    running.line("handed over").await;
    let list = std::fs::read(node.path("list.json")).unwrap();
    let list: Value = serde_json::from_slice(&list).unwrap();
    assert_eq!(list["peers"][0]["peerId"], "a");
    assert_eq!(list["source"]["from"], "registries");
    let event = running.event("peers_found").await;
    assert_eq!(event["list"], list);
}

#[actix_web::test]
async fn a_command_that_reads_nothing_or_fails_does_no_harm() {
    let (registry, node) = with_a_peer().await;
    let mut running = node.start(&registry, &flags("exit 7"));
    running.line("\"exit 7\" failed: exit status: 7").await;
    let mut running = node.start(&registry, &flags("no-such-program"));
    running.line("failed: exit status: 127").await;
    running.signal("TERM");
    assert_eq!(running.ended().await.code(), Some(0));
}

#[actix_web::test]
async fn a_stop_ends_the_command_and_all_processes_that_it_started() {
    let (registry, node) = with_a_peer().await;
    let script = "sleep 600 & echo child $!; wait";
    let mut running = node.start(&registry, &flags(script));
    let line = running.line("child ").await;
    let pid = line.strip_prefix("child ").unwrap().to_owned();
    assert!(is_alive(&pid));
    running.signal("TERM");
    assert_eq!(running.ended().await.code(), Some(0));
    gone(&pid).await;
}

#[actix_web::test]
async fn a_command_that_ignores_sigterm_is_killed() {
    let (registry, node) = with_a_peer().await;
    let script = "trap '' TERM; echo child $$; while :; do sleep 600; done";
    let mut running = node.start(&registry, &flags(script));
    let line = running.line("child ").await;
    let pid = line.strip_prefix("child ").unwrap().to_owned();
    running.signal("INT");
    assert_eq!(running.ended().await.code(), Some(0));
    gone(&pid).await;
}
