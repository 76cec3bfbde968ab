//! Where to listen, and secrets from mounted files.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use reqwest::StatusCode;

use crate::child::{Registry, command, folder, run};

/// Starts with this environment only, without a flag for the address.
async fn start(env: &[(&str, &str)]) -> (tempfile::TempDir, Registry) {
    let folder = folder();
    let registry = Registry::spawn(command(folder.path(), &[], env));
    let registry = registry.listening().await;
    (folder, registry)
}

async fn health_at(registry: &Registry, host: &str, port: u16) -> StatusCode {
    let url = format!("http://{host}:{port}/health");
    registry.client.get(url).send().await.unwrap().status()
}

#[tokio::test]
async fn a_port_of_the_platform_is_listened_on_on_all_addresses() {
    let (_folder, registry) = start(&[("PORT", "0")]).await;
    assert!(registry.addr.ip().is_unspecified(), "{}", registry.addr);
    let port = registry.addr.port();
    assert_eq!(
        health_at(&registry, "127.0.0.1", port).await,
        StatusCode::OK
    );
    if registry.addr.is_ipv6() {
        assert_eq!(health_at(&registry, "[::1]", port).await, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_port_beside_an_address_is_not_even_checked() {
    let env = [
        ("PORT", "tcp://10.0.0.1:80"),
        ("LISTEN_ADDR", "127.0.0.1:0"),
    ];
    let (_folder, registry) = start(&env).await;
    assert!(registry.addr.ip().is_loopback(), "{}", registry.addr);
    let folder = folder();
    let ended = run(folder.path(), &[], &env[..1]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("PORT must be a port"), "{ended:?}");
}

#[tokio::test]
async fn all_listed_addresses_are_served() {
    let (_folder, registry) = start(&[("LISTEN_ADDR", "127.0.0.1:0, 127.0.0.2:0")]).await;
    let line = registry.line("listening on").await;
    let addrs: Vec<_> = line.split("http://").skip(1).collect();
    assert_eq!(addrs.len(), 2, "{line}");
    for addr in addrs {
        let addr = addr.split([',', ' ']).next().unwrap();
        let (host, port) = addr.rsplit_once(':').unwrap();
        let status = health_at(&registry, host, port.parse().unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{addr}");
    }
}

#[tokio::test]
async fn a_start_on_loopback_in_a_container_warns() {
    let env = [("LISTEN_ADDR", "127.0.0.1:0"), ("container", "oci")];
    let (_folder, registry) = start(&env).await;
    registry.line("nothing outside of it reaches").await;
    let env = [("PORT", "0"), ("container", "oci")];
    let (_folder, registry) = start(&env).await;
    registry.line("credited an outage").await;
    let lines = registry.lines().join("\n");
    assert!(!lines.contains("nothing outside of it reaches"), "{lines}");
}

#[tokio::test]
async fn mounted_secrets_that_others_can_read_work_with_a_warning() {
    let folder = folder();
    for (mode, warns) in [(0o400, false), (0o440, true), (0o444, true), (0o644, true)] {
        let (data, link) = (folder.path().join("data"), folder.path().join("token"));
        let _ = (fs::remove_file(&data), fs::remove_file(&link));
        fs::write(&data, "token-of-the-operator\n").unwrap();
        fs::set_permissions(&data, Permissions::from_mode(mode)).unwrap();
        // As Kubernetes mounts them.
        symlink("data", &link).unwrap();
        let mut registry =
            Registry::start_with(folder.path(), &[], &[("ADMIN_TOKEN_FILE", "token")]).await;
        registry.line("admin paths on").await;
        registry.stop().await;
        let lines = registry.lines().join("\n");
        let warning = format!("can read token (mode {mode:03o})");
        assert_eq!(lines.contains(&warning), warns, "{mode:o}: {lines}");
    }
}
