//! The binary as a child process, with a folder of its own and no settings but those of the test.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use std::{fs, io};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// The timeout of every wait. Generous, because other tests run at the same time.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for `future`; panics after [`PATIENCE`].
#[track_caller]
pub fn soon<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let what = what.to_owned();
    async move {
        timeout(PATIENCE, future)
            .await
            .unwrap_or_else(|_| panic!("{what} did not happen within {PATIENCE:?}"))
    }
}

/// The binary, to be run in `folder`, with an empty environment but for `env`.
pub fn command(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-registry"));
    command
        .current_dir(folder)
        .args(args)
        .env_clear()
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// The binary, to be run in `folder` under limits that a shell sets.
pub fn limited(folder: &Path, args: &[&str], limits: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{limits} && exec \"$0\" \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_peer-registry"))
        .args(args)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    shell
}

/// What a process that ended by itself left behind.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the binary to its end.
pub async fn run(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Ended {
    let output = soon(
        "the end of the process",
        command(folder, args, env).output(),
    )
    .await
    .unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the binary, which must refuse to start with one message that holds each of `parts`, and
/// must leave the folder as it was. Returns the message.
pub async fn refused(folder: &Path, args: &[&str], env: &[(&str, &str)], parts: &[&str]) -> String {
    refused_with(2, folder, args, env, parts).await
}

/// Like [`refused`], but with the exit code for a fault that may pass by itself.
pub async fn refused_for_now(
    folder: &Path,
    args: &[&str],
    env: &[(&str, &str)],
    parts: &[&str],
) -> String {
    refused_with(75, folder, args, env, parts).await
}

async fn refused_with(
    code: i32,
    folder: &Path,
    args: &[&str],
    env: &[(&str, &str)],
    parts: &[&str],
) -> String {
    let before = contents(folder);
    let mut all = vec!["--listen-addr=127.0.0.1:0"];
    if args.iter().any(|arg| arg.starts_with("--listen-addr")) {
        all.clear();
    }
    all.extend(args);
    let ended = run(folder, &all, env).await;
    assert_eq!(ended.code, Some(code), "{args:?} {env:?}: {ended:?}");
    assert_eq!(ended.stdout, "", "{ended:?}");
    for part in parts {
        assert!(ended.stderr.contains(part), "{part:?} in {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    let after = contents(folder);
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        after.keys().collect::<Vec<_>>(),
        "{args:?} {env:?}"
    );
    for (path, bytes) in &before {
        assert!(bytes == &after[path], "{} was changed", path.display());
    }
    ended.stderr
}

/// Every file under `folder` with its bytes, and every folder without. Leaves out the files that
/// SQLite's locks create: they hold no data of their own.
pub fn contents(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.insert(path.clone(), None);
                folders.push(path);
                continue;
            }
            let name = path.to_string_lossy().into_owned();
            let bytes = fs::read(&path).unwrap();
            let is_trace = name.ends_with("-wal") && bytes.is_empty();
            if !(is_trace || name.ends_with("-shm")) {
                found.insert(path, Some(bytes));
            }
        }
    }
    found
}

/// A registry that runs. It is killed, by its own id, when this is dropped.
pub struct Registry {
    child: Child,
    lines: watch::Receiver<Vec<String>>,
    pub addr: SocketAddr,
    pub client: reqwest::Client,
}

impl Registry {
    /// Starts the binary in `folder`; the database is `peers.db` there unless `args` name another.
    pub async fn start(folder: &Path, args: &[&str]) -> Self {
        Self::start_with(folder, args, &[]).await
    }

    /// Starts the binary in `folder` with an environment, and waits until it listens.
    pub async fn start_with(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::start_command(command(folder, args, env)).await
    }

    /// Starts the binary in `folder`, after a command of the shell.
    pub async fn start_in_shell(folder: &Path, first: &str) -> Self {
        Self::start_limited(folder, &[], first).await
    }

    /// Starts the binary in `folder` under limits that a shell sets, e.g. `ulimit -n 100`.
    pub async fn start_limited(folder: &Path, args: &[&str], limits: &str) -> Self {
        Self::start_command(limited(folder, args, limits)).await
    }

    async fn start_command(mut command: Command) -> Self {
        command.arg("--listen-addr=127.0.0.1:0");
        Self::spawn(command).listening().await
    }

    /// Starts the binary and does not wait.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        let (sender, lines) = watch::channel(Vec::new());
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        tokio::spawn(async move {
            while let Ok(Some(line)) = stderr.next_line().await {
                sender.send_modify(|lines: &mut Vec<String>| lines.push(line));
            }
        });
        Self {
            child,
            lines,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    /// Waits until it listens.
    pub async fn listening(mut self) -> Self {
        let line = self.line("listening on http://").await;
        let (_, rest) = line.split_once("http://").unwrap();
        self.addr = rest.split([' ', ',']).next().unwrap().parse().unwrap();
        self
    }

    /// Waits until a line on stderr holds `part`, and returns the line.
    pub async fn line(&self, part: &str) -> String {
        let holds = |lines: &Vec<String>| lines.iter().any(|line| line.contains(part));
        let mut follower = self.lines.clone();
        let lines = soon(part, follower.wait_for(holds)).await;
        match lines {
            Ok(lines) => lines
                .iter()
                .find(|line| line.contains(part))
                .cloned()
                .unwrap(),
            Err(_) => panic!("no {part:?} in {:#?}", self.lines()),
        }
    }

    /// Waits until `holds` returns true for the lines on stderr, and returns them.
    pub async fn lines_until(
        &self,
        what: &str,
        holds: impl Fn(&Vec<String>) -> bool,
    ) -> Vec<String> {
        let mut follower = self.lines.clone();
        let lines = soon(what, follower.wait_for(|lines| holds(lines))).await;
        lines.expect("a running process").clone()
    }

    /// The lines on stderr so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// The memory that the process takes, in KiB.
    pub fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.unwrap().parse().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("a running process")
    }

    /// Sends a signal, e.g. `TERM`.
    pub async fn signal(&self, name: &str) {
        let status = std::process::Command::new("kill")
            .args([format!("-{name}"), self.pid().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// Sends SIGKILL and waits for the end.
    pub async fn kill_nine(&mut self) {
        soon("the end of the process", self.child.kill())
            .await
            .unwrap();
    }

    /// Waits for the end of the process and of its stderr.
    pub async fn ended(&mut self) -> ExitStatus {
        let status = soon("the end of the process", self.child.wait()).await;
        let closed = async { while self.lines.changed().await.is_ok() {} };
        soon("the end of stderr", closed).await;
        status.unwrap()
    }

    /// Stops in order by SIGTERM.
    pub async fn stop(&mut self) {
        // The process would wait for a pooled connection of ours.
        self.client = reqwest::Client::builder().no_proxy().build().unwrap();
        self.signal("TERM").await;
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "{status:?} {:#?}", self.lines());
    }

    pub async fn get(&self, target: &str) -> (StatusCode, Value) {
        let request = self.client.get(format!("http://{}{target}", self.addr));
        let response = soon(target, request.send()).await.unwrap();
        let status = response.status();
        (status, soon(target, response.json()).await.unwrap())
    }

    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.client.post(format!("http://{}{path}", self.addr));
        let response = soon(path, request.json(body).send()).await.unwrap();
        let status = response.status();
        (status, soon(path, response.json()).await.unwrap())
    }

    /// Registers a peer and returns the answer.
    pub async fn register(&self, body: &Value) -> Value {
        let (status, body) = self.post("/register", body).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }

    /// Every peer listed, page by page.
    pub async fn listed(&self) -> Vec<Value> {
        let mut peers = Vec::new();
        let mut query = String::new();
        loop {
            let (status, mut page) = self.get(&format!("/peers{query}")).await;
            assert_eq!(status, StatusCode::OK, "{page}");
            peers.append(page["peers"].as_array_mut().unwrap());
            match page["nextCursor"].as_str() {
                Some(cursor) => query = format!("?cursor={cursor}"),
                None => return peers,
            }
        }
    }

    /// The ids of every peer listed, in order.
    pub async fn listed_ids(&self) -> Vec<String> {
        let peers = self.listed().await;
        let id = |peer: &Value| peer["peerId"].as_str().unwrap().to_owned();
        let mut ids: Vec<String> = peers.iter().map(id).collect();
        ids.sort_unstable();
        ids
    }
}

/// The smallest valid registration under the default policy.
pub fn peer(id: &str) -> Value {
    json!({ "peerId": id, "addresses": [format!("/ip6/fd00::1/tcp/4001/p2p/{id}")] })
}

/// A registration of a peer that relays.
pub fn turn_server(id: &str) -> Value {
    let mut server = peer(id);
    server["turnCapable"] = json!(true);
    server["turnAddresses"] = json!(["203.0.113.20"]);
    server["turnPort"] = json!(3478);
    server["turnCapacity"] = json!(5);
    server
}

/// A folder that is removed when it is dropped.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Whether a connection was ended by the other side, however roughly.
pub fn is_cut_off(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
    )
}
