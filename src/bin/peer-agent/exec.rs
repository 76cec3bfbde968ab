//! Runs the node's command for each list of peers.

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
const LONGEST_RUN: Duration = Duration::from_secs(60);
/// How long it may take to end after it is told to.
const GRACE: Duration = Duration::from_secs(2);

/// A list as JSON; none before the first.
type Handed = Option<Arc<Vec<u8>>>;

/// Hands lists of peers to a command, one after the other; of lists that wait, the newest.
pub(crate) struct Exec {
    lists: watch::Sender<Handed>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Exec {
    pub(crate) fn start(command: &str) -> Self {
        Self::bounded(command, LONGEST_RUN)
    }

    fn bounded(command: &str, longest_run: Duration) -> Self {
        let (lists, handed) = watch::channel(None);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(work(command.to_owned(), longest_run, handed, stopped));
        Self { lists, stop, task }
    }

    /// Has the command run with `list`, at once or when the run before has ended.
    pub(crate) fn hand_over(&self, list: &PeerList) {
        match serde_json::to_vec(list) {
            Ok(json) => drop(self.lists.send_replace(Some(Arc::new(json)))),
            Err(error) => warn!("cannot hand over a list of peers: {error}"),
        }
    }

    /// Ends the command if it runs, and waits for its end.
    pub(crate) async fn stop(self) {
        // The task ends early only by a panic, which has been told.
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

async fn work(
    command: String,
    longest_run: Duration,
    mut lists: watch::Receiver<Handed>,
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
            () = tokio::time::sleep(longest_run) => {
                warn!("{command:?} has run for {} s, ending it", longest_run.as_secs());
                end(&mut child).await;
            }
        }
    }
}

/// Starts the command in a process group of its own, so that it can be ended with all it started.
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

/// Writes the list to the command, for as long as it reads, and waits for its end.
async fn feed(child: &mut Child, list: &[u8]) -> io::Result<ExitStatus> {
    let stdin = child.stdin.take();
    let write = async {
        if let Some(mut stdin) = stdin {
            // A command need not read.
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

/// Asks the command, and all that it started, to end; then makes it end.
async fn end(child: &mut Child) {
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let Some(group) = group.and_then(Pid::from_raw) else {
        return; // It has ended by itself.
    };
    // Fails only for a group that has ended meanwhile.
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

    /// A list that can be told from others.
    fn list(name: &str) -> PeerList {
        PeerList {
            peers: Vec::new(),
            source: PeerSource::Registries,
            failures: vec![name.to_owned()],
        }
    }

    /// A folder with named pipes, on which a command and a test wait for each other.
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
    async fn it_runs_one_at_a_time_and_then_with_the_newest_list() {
        let pipes = Pipes::new(&["begun", "gate", "ended"]);
        let script = "echo > begun; read go < gate; cat >> all; echo > ended";
        let exec = Exec::start(&pipes.script(script));
        exec.hand_over(&list("first"));
        pipes.read("begun").await;
        exec.hand_over(&list("second"));
        exec.hand_over(&list("third"));
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
    async fn one_that_runs_too_long_is_ended_and_the_next_list_is_handed_over() {
        let pipes = Pipes::new(&["begun"]);
        let script = pipes.script("echo > begun; sleep 600");
        let exec = Exec::bounded(&script, Duration::from_millis(200));
        for name in ["first", "second"] {
            exec.hand_over(&list(name));
            pipes.read("begun").await;
        }
        exec.stop().await;
    }
}
