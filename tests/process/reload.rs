//! SIGHUP and other signals that would end a process which does not handle them.

use std::fs;
use std::io::Write;
use std::path::Path;

use reqwest::StatusCode;
use serde_json::json;

use crate::child::{Registry, command, folder, peer, soon, turn_server};

const OLD: &str = "token-of-the-operator";
const NEW: &str = "token-of-the-successor";

async fn status_with(registry: &Registry, token: &str) -> StatusCode {
    let url = format!("http://{}/admin/mode", registry.addr);
    let request = registry.client.put(url).bearer_auth(token);
    let body = json!({ "mode": "normal", "expiresAt": "2026-12-01T00:00:00Z" });
    request.json(&body).send().await.unwrap().status()
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

#[tokio::test]
async fn sighup_puts_changed_secrets_and_log_levels_in_use() {
    let folder = folder();
    let at = folder.path();
    write(at, "token", OLD);
    write(
        at,
        ".env",
        "ADMIN_TOKEN_FILE=token\nTURN_SHARED_SECRET=old\nMAX_PEERS=5\n",
    );
    let mut registry = Registry::start(at, &[]).await;
    assert_ne!(status_with(&registry, OLD).await, StatusCode::UNAUTHORIZED);
    write(at, "token", NEW);
    let env = "ADMIN_TOKEN_FILE=token\nTURN_SHARED_SECRET=new,old\nMAX_PEERS=6\nRUST_LOG=debug\n";
    write(at, ".env", env);
    registry.signal("HUP").await;
    let line = registry.line("SIGHUP received").await;
    let names = "now in use: TURN_SHARED_SECRET, ADMIN_TOKEN, RUST_LOG";
    assert!(line.contains(names), "{line}");
    let line = registry.line("need a restart").await;
    assert!(line.ends_with("need a restart: MAX_PEERS"), "{line}");
    assert_ne!(status_with(&registry, NEW).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status_with(&registry, OLD).await, StatusCode::UNAUTHORIZED);
    registry.register(&peer("a")).await;
    registry.post("/heartbeat", &json!({ "peerId": "a" })).await;
    registry.line("DEBUG").await;
    let lines = registry.lines().join("\n");
    assert!(!lines.contains("successor"), "{lines}");
    registry.stop().await;
}

#[tokio::test]
async fn a_faulty_file_at_a_sighup_changes_nothing_and_ends_nothing() {
    let folder = folder();
    let at = folder.path();
    write(at, ".env", &format!("ADMIN_TOKEN={OLD}\n"));
    let mut registry = Registry::start(at, &[]).await;
    write(
        at,
        ".env",
        &format!("ADMIN_TOKEN={NEW}\nMAX_PEERS=many\nMAX_LISTED=0\n"),
    );
    registry.signal("HUP").await;
    let line = registry.line("a setting is wrong").await;
    assert!(
        line.contains("MAX_PEERS") && line.contains("MAX_LISTED"),
        "{line}"
    );
    assert_ne!(status_with(&registry, OLD).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status_with(&registry, NEW).await, StatusCode::UNAUTHORIZED);
    registry.stop().await;
}

#[tokio::test]
async fn no_signal_but_those_to_end_ends_the_process() {
    let folder = folder();
    let mut registry = Registry::start(folder.path(), &[]).await;
    registry.register(&turn_server("a")).await;
    for (name, line) in [
        ("HUP", "nothing changes"),
        ("USR1", "SIGUSR1 received, which does nothing"),
        ("USR2", "SIGUSR2 received, which does nothing"),
    ] {
        registry.signal(name).await;
        registry.line(line).await;
    }
    assert_eq!(registry.listed_ids().await, ["a"]);
    registry.client = reqwest::Client::builder().no_proxy().build().unwrap();
    registry.signal("QUIT").await;
    let status = registry.ended().await;
    assert_eq!(status.code(), Some(0), "{:#?}", registry.lines());
    let lines = registry.lines().join("\n");
    assert!(lines.contains("the database is closed"), "{lines}");
}

#[tokio::test]
async fn a_sighup_before_the_settings_are_read_ends_nothing() {
    let folder = folder();
    let file = folder.path().join(".env");
    // A start that reads it waits until someone writes to it.
    let made = std::process::Command::new("mkfifo").arg(&file).status();
    assert!(made.unwrap().success());
    let args = ["--listen-addr=127.0.0.1:0"];
    let registry = Registry::spawn(command(folder.path(), &args, &[]));
    let opened = tokio::task::spawn_blocking({
        let file = file.clone();
        move || fs::File::options().write(true).open(file).unwrap()
    });
    let mut writer = soon("a reader of the file", opened).await.unwrap();
    registry.signal("HUP").await;
    fs::remove_file(&file).unwrap();
    writer.write_all(b"MAX_PEERS=7\n").unwrap();
    drop(writer);
    let mut registry = registry.listening().await;
    registry.line("SIGHUP received").await;
    registry.register(&peer("a")).await;
    registry.stop().await;
}

#[tokio::test]
async fn a_missing_or_unreadable_file_at_a_sighup_takes_no_secret_away() {
    let folder = folder();
    let at = folder.path();
    let env = format!("ADMIN_TOKEN={OLD}\nTURN_SHARED_SECRET=old\n");
    write(at, ".env", &env);
    let mut registry = Registry::start(at, &[]).await;
    fs::rename(at.join(".env"), at.join("away")).unwrap();
    registry.signal("HUP").await;
    registry.line("the file .env is gone").await;
    registry.line("nothing changes").await;
    assert_ne!(status_with(&registry, OLD).await, StatusCode::UNAUTHORIZED);

    // Nobody can read a folder as a file.
    fs::create_dir(at.join(".env")).unwrap();
    registry.signal("HUP").await;
    registry.line("the file .env: cannot read it").await;
    assert_ne!(status_with(&registry, OLD).await, StatusCode::UNAUTHORIZED);

    // The file is there and says nothing, which is a choice and is named.
    fs::remove_dir(at.join(".env")).unwrap();
    write(at, ".env", "");
    registry.signal("HUP").await;
    let line = registry.line("no longer given").await;
    let names = "no longer given: TURN_SHARED_SECRET, ADMIN_TOKEN";
    assert!(line.contains(names), "{line}");
    assert_eq!(status_with(&registry, OLD).await, StatusCode::UNAUTHORIZED);
    registry.stop().await;
}

#[tokio::test]
async fn a_wrong_log_level_at_a_sighup_does_not_silence_the_log() {
    let folder = folder();
    let at = folder.path();
    let registry = Registry::start(at, &[]).await;
    write(at, ".env", "RUST_LOG=inof\n");
    registry.signal("HUP").await;
    registry.line("names no level for peer-registry").await;
    registry.register(&peer("a")).await;
    registry.line("registered peer=a").await;
}
