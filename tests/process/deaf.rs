//! The binary with a pipe on stderr that is not read after the line with its address.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr};

use crate::child::{command, peer, soon};

/// Enough requests for a log at level trace that exceeds the pipe and the queue together.
const REQUESTS: usize = 1_000;

/// A registry that runs. It is killed, by its own id, when this is dropped.
pub struct Deaf {
    child: Child,
    stderr: Option<Lines<BufReader<ChildStderr>>>,
    pub addr: SocketAddr,
    client: reqwest::Client,
}

impl Deaf {
    /// Starts the binary in `folder` with log level trace.
    pub async fn start(folder: &Path) -> Self {
        let mut child = command(
            folder,
            &["--listen-addr=127.0.0.1:0"],
            &[("RUST_LOG", "trace")],
        )
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut deaf = Self {
            child,
            stderr: Some(stderr),
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        };
        let line = deaf.line("listening on http://").await;
        let (_, rest) = line.split_once("http://").unwrap();
        deaf.addr = rest.split(' ').next().unwrap().parse().unwrap();
        deaf
    }

    /// Reads on until a line holds `part`, and returns the line.
    pub async fn line(&mut self, part: &str) -> String {
        let stderr = self.stderr.as_mut().expect("a pipe that is open");
        soon(part, async {
            loop {
                let line = stderr.next_line().await.unwrap();
                let line = line.unwrap_or_else(|| panic!("no line with {part:?}"));
                if line.contains(part) {
                    return line;
                }
            }
        })
        .await
    }

    /// Closes the pipe, so that its stderr can never be read.
    pub fn close(&mut self) {
        self.stderr = None;
    }

    /// Makes it log more than the pipe and the queue of the log can hold.
    pub async fn fill_the_log(&self) {
        for _ in 0..REQUESTS {
            self.post("/heartbeat", "nobody", 404).await;
        }
    }

    /// Asserts that it takes a registration and a heartbeat, and is healthy.
    pub async fn serves(&self, id: &str) {
        self.post("/register", id, 200).await;
        self.post("/heartbeat", id, 200).await;
        let health = self.client.get(format!("http://{}/health", self.addr));
        let health = soon("health", health.send()).await.unwrap();
        assert_eq!(health.status(), 200);
    }

    async fn post(&self, path: &str, id: &str, status: u16) {
        let body = match path {
            "/register" => peer(id),
            _ => json!({ "peerId": id }),
        };
        let request = self.client.post(format!("http://{}{path}", self.addr));
        let response = soon(path, request.json(&body).send()).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
    }

    /// Waits until it takes no more connections.
    pub async fn refuses_connections(&self) {
        soon("the end of listening", async {
            while let Ok(stream) = tokio::net::TcpStream::connect(self.addr).await {
                drop(stream);
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Sends a signal, e.g. `TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().expect("a running process");
        let status = std::process::Command::new("kill")
            .args([format!("-{name}"), pid.to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// Waits for the end of the process without reading its stderr.
    pub async fn ended(&mut self) -> ExitStatus {
        // The process would wait for a pooled connection of ours.
        self.client = reqwest::Client::new();
        soon("the end of the process", self.child.wait())
            .await
            .unwrap()
    }
}
