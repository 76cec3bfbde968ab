//! Runs the binary as a child process, one test at a time.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::verdict::{Verdict, eventually};
use crate::wire::{Connection, PATIENCE, Response, get, post};

/// Names and values of settings.
pub type Settings<'s> = &'s [(&'s str, &'s str)];

static ALONE: Mutex<()> = Mutex::new(());

/// The place of a test: its own folder, and no other test at the same time.
pub struct Arena {
    folder: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// Limits of a server, in the syntax of a shell's `ulimit`, e.g. `-v 524288`.
#[derive(Clone, Copy, Default)]
pub struct Ulimit(pub &'static str);

impl Arena {
    pub fn enter() -> Self {
        // A panicked test has cleaned up after itself, so ignore the poisoning.
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            folder: tempfile::tempdir().unwrap(),
            _alone: alone,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder()).unwrap();
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        entries.map(|entry| name(entry.unwrap())).collect()
    }

    /// Starts a server and waits until it is ready.
    pub fn start(&self, settings: Settings<'_>) -> Server {
        self.start_under(Ulimit::default(), settings)
    }

    /// Starts a server under a limit and waits until it is ready.
    pub fn start_under(&self, limit: Ulimit, settings: Settings<'_>) -> Server {
        let server = self.begin(limit, settings);
        server.expect("the server did not start").follow()
    }

    /// Starts a server whose log no process reads.
    pub fn start_unread(&self, settings: Settings<'_>) -> Server {
        let server = self.begin(Ulimit::default(), settings);
        server.expect("the server did not start").leave_unread()
    }

    /// Starts a server that may refuse to start; then returns its exit status and its log.
    pub fn try_start(&self, settings: Settings<'_>) -> Result<Server, (ExitStatus, String)> {
        self.begin(Ulimit::default(), settings)
            .map(Starting::follow)
    }

    fn begin(
        &self,
        Ulimit(limit): Ulimit,
        settings: Settings<'_>,
    ) -> Result<Starting, (ExitStatus, String)> {
        let binary = std::env::var("PEER_REGISTRY_BINARY")
            .unwrap_or_else(|_| env!("CARGO_BIN_EXE_peer-registry").to_owned());
        let mut command = if limit.is_empty() {
            Command::new(binary)
        } else {
            let mut shell = Command::new("/bin/sh");
            let script = format!("ulimit {limit} && exec \"$0\"");
            shell.args(["-c", &script, &binary]);
            shell
        };
        command
            .current_dir(self.folder())
            .env_clear()
            .env("LISTEN_ADDR", "127.0.0.1:0")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let began = Instant::now();
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || sender.send(read_until_listening(stderr)));
        let Ok((stderr, lines, addr)) = receiver.recv_timeout(PATIENCE) else {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the server neither listens nor ends");
        };
        match addr {
            Some(addr) => Ok(Starting {
                child,
                stderr,
                lines,
                addr,
                began,
            }),
            None => Err((child.wait().unwrap(), lines.join("\n"))),
        }
    }
}

/// Reads the log up to the line with the server's address, or to the end.
fn read_until_listening(
    mut stderr: BufReader<ChildStderr>,
) -> (BufReader<ChildStderr>, Vec<String>, Option<SocketAddr>) {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stderr.read_line(&mut line).unwrap_or(0) == 0 {
            return (stderr, lines, None);
        }
        lines.push(line.trim_end().to_owned());
        if let Some((_, rest)) = line.split_once("listening on http://") {
            let addr = rest.split_whitespace().next().unwrap_or_default();
            return (stderr, lines, addr.parse().ok());
        }
    }
}

/// A server that listens but may not be ready yet.
struct Starting {
    child: Child,
    stderr: BufReader<ChildStderr>,
    lines: Vec<String>,
    addr: SocketAddr,
    began: Instant,
}

impl Starting {
    /// Reads the log in another thread.
    fn follow(self) -> Server {
        let lines = Arc::new(Mutex::new(self.lines));
        let kept = Arc::clone(&lines);
        let stderr = self.stderr;
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                kept.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
            }
        });
        Server::ready(self.child, self.addr, self.began, lines, None)
    }

    /// Keeps the pipe open but never reads it again.
    fn leave_unread(self) -> Server {
        let lines = Arc::new(Mutex::new(self.lines));
        Server::ready(self.child, self.addr, self.began, lines, Some(self.stderr))
    }
}

/// A running server. Dropping it kills the process by its id.
pub struct Server {
    child: Child,
    pub addr: SocketAddr,
    /// The time from the start of the process to the first healthy response.
    pub started_in: Duration,
    lines: Arc<Mutex<Vec<String>>>,
    _unread: Option<BufReader<ChildStderr>>,
}

impl Server {
    fn ready(
        child: Child,
        addr: SocketAddr,
        began: Instant,
        lines: Arc<Mutex<Vec<String>>>,
        unread: Option<BufReader<ChildStderr>>,
    ) -> Self {
        let mut server = Self {
            child,
            addr,
            started_in: Duration::ZERO,
            lines,
            _unread: unread,
        };
        let is_ready = eventually(PATIENCE, || {
            let health = server.try_get("/health");
            health.is_ok_and(|response| response.status != 503)
        });
        assert!(is_ready, "not ready: {:#?}", server.lines());
        server.started_in = began.elapsed();
        server
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The log so far.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.clone()
    }

    pub fn try_get(&self, target: &str) -> std::io::Result<Response> {
        Connection::open(self.addr)?.exchange(&get(target))
    }

    pub fn get(&self, target: &str) -> Response {
        self.try_get(target)
            .unwrap_or_else(|error| panic!("GET {target}: {error}"))
    }

    pub fn post(&self, path: &str, body: &Value) -> Response {
        Connection::open(self.addr)
            .and_then(|mut connection| connection.exchange(&post(path, &body.to_string())))
            .unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    /// The time until a successful health response; `None` if it fails or takes longer than `max`.
    pub fn health_within(&self, max: Duration) -> Option<Duration> {
        let began = Instant::now();
        let response = Connection::open_within(self.addr, max)
            .and_then(|mut connection| connection.exchange(&get("/health")));
        let is_well = response.is_ok_and(|response| response.status == 200);
        is_well.then(|| began.elapsed())
    }

    /// The ids of all listed peers, read page by page.
    pub fn listed_ids(&self) -> Vec<String> {
        let mut ids = Vec::new();
        let mut query = String::new();
        loop {
            let page = self.get(&format!("/peers{query}")).json();
            let peers = page["peers"].as_array().into_iter().flatten();
            ids.extend(peers.filter_map(|peer| peer["peerId"].as_str().map(str::to_owned)));
            match page["nextCursor"].as_str() {
                Some(cursor) => query = format!("?cursor={cursor}"),
                None => return ids,
            }
        }
    }

    /// Adds a fault if not all of these peers are listed.
    pub fn check_lists(&self, ids: &[String], verdict: &mut Verdict) {
        let listed: HashSet<_> = self.listed_ids().into_iter().collect();
        let missing = ids.iter().filter(|id| !listed.contains(*id)).count();
        verdict.check(
            missing == 0,
            format!("{missing} of {} peers are not listed", ids.len()),
        );
    }

    /// The current memory of the process, in MiB.
    pub fn rss_mib(&self) -> u64 {
        self.status_mib("VmRSS:")
    }

    /// The max memory of the process so far, in MiB.
    pub fn peak_mib(&self) -> u64 {
        self.status_mib("VmHWM:")
    }

    fn status_mib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) / 1024
    }

    /// The number of open files and sockets of the process.
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).map_or(0, Iterator::count)
    }

    /// Whether the memory falls to `max_mib` or less within 20 seconds.
    pub fn settles_under(&self, max_mib: u64) -> bool {
        eventually(Duration::from_secs(20), || self.rss_mib() <= max_mib)
    }

    /// Sends a signal, e.g. `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.pid().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// The exit status; `None` while the process runs.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits at most `max` for the end of the process.
    pub fn ended_within(&mut self, max: Duration) -> Option<ExitStatus> {
        let mut status = None;
        eventually(max, || {
            status = self.has_ended();
            status.is_some()
        });
        status
    }

    /// Sends SIGTERM and waits at most `max`. Returns how long the process took to end.
    pub fn stop_within(&mut self, max: Duration) -> Option<Duration> {
        let began = Instant::now();
        self.signal("TERM");
        self.ended_within(max)?;
        Some(began.elapsed())
    }

    /// Sends SIGKILL and waits for the end of the process.
    pub fn kill(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
