//! A registry behind basic authentication of nginx: `cargo test --test agent nginx -- --ignored`.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command};

use peer_registry::agent::Event;
use peer_registry::agent::doctor::{Finding, Subject, examine};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::helpers::*;

/// A running nginx that asks for the user `me` and the password `s@cret`.
struct Nginx {
    addr: SocketAddr,
    process: Child,
    _folder: TempDir,
}

impl Nginx {
    async fn before(registry: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        drop(listener);
        fs::write(folder.path().join("users"), "me:{PLAIN}s@cret\n").unwrap();
        fs::write(
            folder.path().join("conf"),
            config(folder.path(), addr, registry),
        )
        .unwrap();
        let process = Command::new("nginx")
            .arg("-c")
            .arg(folder.path().join("conf"))
            .args(["-e", "stderr"])
            .spawn()
            .expect("nginx is installed");
        while TcpStream::connect(addr).await.is_err() {
            tokio::task::yield_now().await;
        }
        Self {
            addr,
            process,
            _folder: folder,
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn config(folder: &Path, addr: SocketAddr, registry: SocketAddr) -> String {
    let folder = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {folder}/{kind};\n"))
        .collect();
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/pid;\nevents {{}}\nhttp {{\n{temporary}\
         access_log off;\nserver {{\nlisten {addr};\nauth_basic registry;\n\
         auth_basic_user_file {folder}/users;\nlocation / {{ proxy_pass http://{registry}; }}\n}}\n}}\n"
    )
}

#[actix_web::test]
#[ignore = "needs nginx"]
async fn behind_basic_authentication_of_nginx_the_password_in_the_address_is_enough() {
    let time = Time::start();
    let registry = TestRegistry::start(&time).await;
    let nginx = Nginx::before(registry.addr()).await;
    let node = node();

    let without = format!("http://{}", nginx.addr);
    let agent = time.agent(node.clone(), &without).start().unwrap();
    time.wait_until_idle(1).await;
    let first = present(&mut agent.events()).await.remove(0);
    assert!(matches!(first, Event::Unreachable { .. }), "{first:?}");
    agent.stop().await;
    let findings = examine(&time.client(&without), Subject::Registry).await;
    let has_password = false;
    assert_eq!(findings, [Finding::PasswordWanted { has_password }]);

    let with = format!("http://me:s%40cret@{}", nginx.addr);
    let agent = time.agent(node.clone(), &with).start().unwrap();
    time.wait_until_idle(1).await;
    let first = present(&mut agent.events()).await.remove(0);
    assert!(matches!(first, Event::Registered { .. }), "{first:?}");
    assert!(registry.lists(&id_of(&node)).await);
    agent.stop().await;
}
