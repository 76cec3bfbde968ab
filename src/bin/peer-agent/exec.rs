//! Runs a command of the node for each list of peers.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use log::{info, warn};
use peer_registry::agent::PeerList;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long the command may run.
const MAX_RUN: Duration = Duration::from_secs(60);
/// How long the command may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// A list as JSON; `None` before the first list.
type PendingList = Option<Arc<Vec<u8>>>;

/// Runs a command once for each list of peers, one run at a time. If several lists wait, it gets the
/// newest.
pub(crate) struct Exec {
    lists: watch::Sender<PendingList>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Exec {
    pub(crate) fn start(command: &str) -> Self {
        Self::with_max_run(command, MAX_RUN)
    }

    fn with_max_run(command: &str, max_run: Duration) -> Self {
        let (lists, pending) = watch::channel(None);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(run_all(command.to_owned(), max_run, pending, stopped));
        Self { lists, stop, task }
    }

    /// Runs the command with `list`: at once, or when the current run has ended.
    pub(crate) fn run_with(&self, list: &PeerList) {
        match serde_json::to_vec(list) {
            Ok(json) => drop(self.lists.send_replace(Some(Arc::new(json)))),
            Err(error) => warn!("a list of peers has no JSON form: {error}"),
        }
    }

    /// Ends the command if it runs, and waits until it has ended.
    pub(crate) async fn stop(self) {
        // The task ends early only after a panic, which is already printed.
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

/// Runs the command for each list until it is stopped.
async fn run_all(
    command: String,
    max_run: Duration,
    mut lists: watch::Receiver<PendingList>,
    mut stopped: oneshot::Receiver<()>,
) {
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            changed = lists.changed() => if changed.is_err() {
                return;
            }
        }
        let Some(list) = lists.borrow_and_update().clone() else {
            continue;
        };
        let mut child = match spawn(&command) {
            Ok(child) => child,
            Err(error) => {
                warn!("cannot run {command:?}: {error}");
                continue;
            }
        };
        tokio::select! {
            status = feed(&mut child, &list) => report(&command, status),
            _ = &mut stopped => {
                info!("ending {command:?}");
                return end(&mut child).await;
            }
            () = tokio::time::sleep(max_run) => {
                warn!("{command:?} has run for {} s, ending it", max_run.as_secs());
                end(&mut child).await;
            }
        }
    }
}

/// Starts the command in its own process group, so that the processes it starts can be ended too.
fn spawn(command: &str) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        // The events may be on stdout.
        .stdout(io::stderr())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Writes the list to the command, if the command reads it, and waits until the command has ended.
async fn feed(child: &mut Child, list: &[u8]) -> io::Result<ExitStatus> {
    let stdin = child.stdin.take();
    let write = async {
        if let Some(mut stdin) = stdin {
            // Fails if the command does not read, which is fine.
            let _ = stdin.write_all(list).await;
        }
        std::future::pending().await
    };
    tokio::select! {
        status = child.wait() => status,
        () = write => unreachable!("it waits for the end of the command"),
    }
}

fn report(command: &str, status: io::Result<ExitStatus>) {
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => warn!("{command:?} failed: {status}"),
        Err(error) => warn!("cannot wait for {command:?}: {error}"),
    }
}

/// Ends the command and all processes that it started: with SIGTERM, and after a while with SIGKILL.
async fn end(child: &mut Child) {
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let Some(group) = group.and_then(Pid::from_raw) else {
        return; // It has ended already.
    };
    // Fails only if the group has ended meanwhile.
    let _ = kill_process_group(group, Signal::TERM);
    let _ = timeout(GRACE, child.wait()).await;
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait().await;
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use peer_registry::agent::PeerSource;
    use tempfile::TempDir;

    use super::*;

    /// A list with a name, to tell lists apart.
    fn list(name: &str) -> PeerList {
        PeerList {
            peers: Vec::new(),
            source: PeerSource::Registries,
            failures: vec![name.to_owned()],
        }
    }

    /// A folder with named pipes, so that a command and a test can wait for each other.
    struct Pipes(TempDir);

    impl Pipes {
        fn new(names: &[&str]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let paths = names.iter().map(|name| folder.path().join(name));
            let made = std::process::Command::new("mkfifo").args(paths).status();
            assert!(made.unwrap().success());
            Self(folder)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn script(&self, text: &str) -> String {
            format!("cd '{}'; {text}", self.0.path().display())
        }

        async fn read(&self, name: &str) -> String {
            wait(self.path(name), |path| fs::read_to_string(path).unwrap()).await
        }

        async fn write(&self, name: &str) {
            wait(self.path(name), |path| fs::write(path, "go\n").unwrap()).await;
        }
    }

    async fn wait<T: Send + 'static>(
        path: PathBuf,
        work: impl FnOnce(&Path) -> T + Send + 'static,
    ) -> T {
        let work = tokio::task::spawn_blocking(move || work(&path));
        timeout(Duration::from_secs(30), work)
            .await
            .unwrap()
            .unwrap()
    }

    #[tokio::test]
    async fn one_run_at_a_time_and_the_next_with_the_newest_list() {
        let pipes = Pipes::new(&["begun", "gate", "ended"]);
        let script = "echo > begun; read go < gate; cat >> all; echo > ended";
        let exec = Exec::start(&pipes.script(script));
        exec.run_with(&list("first"));
        pipes.read("begun").await;
        exec.run_with(&list("second"));
        exec.run_with(&list("third"));
        for _ in 0..2 {
            pipes.write("gate").await;
            pipes.read("ended").await;
            if fs::read_to_string(pipes.path("all"))
                .unwrap()
                .contains("third")
            {
                break;
            }
            pipes.read("begun").await;
        }
        exec.stop().await;
        let all = fs::read_to_string(pipes.path("all")).unwrap();
        let order = ["first", "second", "third"].map(|name| all.find(name));
        assert!(order[0] < order[2] && order[1].is_none(), "{all}");
    }

    #[tokio::test]
    async fn a_run_that_takes_too_long_is_ended_and_the_next_list_gets_its_run() {
        let pipes = Pipes::new(&["begun"]);
        let script = pipes.script("echo > begun; sleep 600");
        let exec = Exec::with_max_run(&script, Duration::from_millis(200));
        for name in ["first", "second"] {
            exec.run_with(&list(name));
            pipes.read("begun").await;
        }
        exec.stop().await;
    }
}
