//! The command in its own folder and with the settings of the test only, and a registry.

use std::fs;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use peer_registry::clock::{Clock, SystemClock};
use peer_registry::server::Server;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

use crate::flags::settings;

/// How long a test waits before it fails. Generous, because other tests run at the same time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for `future`; panics after 30 s.
pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    let output = timeout(PATIENCE, future).await;
    output.unwrap_or_else(|_| panic!("{what} did not happen within {PATIENCE:?}"))
}

/// A registry in the process of the test.
pub struct TestRegistry {
    pub url: String,
    server: Server,
    client: reqwest::Client,
    _folder: TempDir,
}

impl TestRegistry {
    pub async fn start() -> Self {
        Self::start_with(Arc::new(SystemClock::start()), &[]).await
    }

    pub async fn start_with(clock: Arc<dyn Clock>, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite://{}", folder.path().join("peers.db").display());
        let usual = [
            "--listen-addr=127.0.0.1:0",
            "--http-workers=1",
            &format!("--database-url={database}"),
        ];
        let config = settings([&usual, flags].concat()).check().unwrap();
        let server = Server::start(&config, clock).await.unwrap();
        Self {
            url: format!("http://{}", server.addr()),
            server,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            _folder: folder,
        }
    }

    /// Stops the registry and returns its address, which now refuses connections.
    pub async fn stop(self) -> String {
        self.server.stop().await.unwrap();
        self.url
    }

    pub async fn get(&self, target: &str) -> Value {
        let request = self.client.get(format!("{}{target}", self.url)).send();
        request.await.unwrap().json().await.unwrap()
    }

    /// Registers a peer that no agent keeps alive.
    pub async fn register(&self, body: &Value) {
        let request = self
            .client
            .post(format!("{}/register", self.url))
            .json(body);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{body}");
    }

    /// Registers peers with short names.
    pub async fn register_others(&self, ids: &[&str]) {
        for id in ids {
            let address = format!("/ip6/fd00::1/tcp/4001/p2p/{id}");
            let body = json!({ "peerId": id, "addresses": [address], "networkId": "mainnet" });
            self.register(&body).await;
        }
    }

    /// The ids of all listed peers.
    pub async fn listed(&self) -> Vec<String> {
        let listing = self.get("/peers").await;
        let peers = listing["peers"].as_array().unwrap().iter();
        peers
            .map(|peer| peer["peerId"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// Responds to every request with the same page, as a captive portal does.
pub async fn portal() -> String {
    respond_with("<html>Welcome</html>").await
}

/// Responds to every request with 200 and `body`.
pub async fn respond_with(body: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let length = body.len();
    let page =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(page.as_bytes()).await;
        }
    });
    url
}

/// The exit code and the output of a command.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The folder of a node.
pub struct Node {
    folder: TempDir,
}

impl Node {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, args: &[&str], env: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_peer-agent"));
        command
            .current_dir(self.folder.path())
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs the command to its end.
    pub async fn run(&self, args: &[&str]) -> Ended {
        self.run_with(args, &[]).await
    }

    /// Runs the command to its end, with an environment.
    pub async fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> Ended {
        let output = soon("the end", self.command(args, env).output())
            .await
            .unwrap();
        let ended = Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(!ended.stderr.contains("panicked"), "{args:?}: {ended:?}");
        ended
    }

    /// Runs the command, which must succeed; returns its output.
    pub async fn done(&self, args: &[&str]) -> String {
        let ended = self.run(args).await;
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
        ended.stdout
    }

    /// Runs the command, which must fail with `code`, print nothing on stdout, and name each of
    /// `parts` on stderr.
    pub async fn fails(&self, code: i32, args: &[&str], parts: &[&str]) {
        let ended = self.run(args).await;
        assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{args:?}");
        for part in parts {
            assert!(ended.stderr.contains(part), "{part:?}: {}", ended.stderr);
        }
    }

    /// Starts `peer-agent run` with these flags.
    pub fn start(&self, registry: &TestRegistry, args: &[&str]) -> Running {
        self.start_to(registry, args, Stdio::piped())
    }

    /// Starts `peer-agent run` with another stdout, from which `event` cannot read.
    pub fn start_to(&self, registry: &TestRegistry, args: &[&str], stdout: Stdio) -> Running {
        let mut all = vec!["run", "--registry", &registry.url, "--port=4001"];
        all.extend(args);
        self.spawn(&all, &[], stdout)
    }

    /// Starts `peer-agent run` with these flags and this environment.
    pub fn start_in(&self, args: &[&str], env: &[(&str, &str)]) -> Running {
        let args = [&["run", "--port=4001"], args].concat();
        self.spawn(&args, env, Stdio::piped())
    }

    fn spawn(&self, args: &[&str], env: &[(&str, &str)], stdout: Stdio) -> Running {
        let mut child = self.command(args, env).stdout(stdout).spawn().unwrap();
        Running {
            stdout: child
                .stdout
                .take()
                .map(|stdout| BufReader::new(stdout).lines()),
            stderr: BufReader::new(child.stderr.take().unwrap()).lines(),
            child,
        }
    }

    /// The id of the node, from `peer-agent id`.
    pub async fn id(&self) -> String {
        let json = self.done(&["id", "--json"]).await;
        let json: Value = serde_json::from_str(&json).unwrap();
        json["peerId"].as_str().unwrap().to_owned()
    }
}

/// A running command. It is killed when this is dropped.
pub struct Running {
    child: Child,
    stdout: Option<Lines<BufReader<ChildStdout>>>,
    stderr: Lines<BufReader<ChildStderr>>,
}

impl Running {
    /// Waits for the next event of this name.
    pub async fn event(&mut self, name: &str) -> Value {
        loop {
            let stdout = self.stdout.as_mut().expect("stdout is piped");
            let line = soon(name, stdout.next_line()).await.unwrap();
            let event: Value = serde_json::from_str(&line.expect(name)).unwrap();
            if event["event"] == name {
                return event;
            }
        }
    }

    /// Waits for the next line on stderr that contains `part`.
    pub async fn line(&mut self, part: &str) -> String {
        loop {
            let line = soon(part, self.stderr.next_line()).await.unwrap();
            let line = line.expect(part);
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Closes the pipe, so that no further event is read.
    pub fn close_stdout(self) -> Child {
        self.child
    }

    /// Sends a signal, e.g. `TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().expect("a running process").to_string();
        let kill = std::process::Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status();
        assert!(kill.unwrap().success());
    }

    pub async fn ended(&mut self) -> ExitStatus {
        soon("the end", self.child.wait()).await.unwrap()
    }
}
