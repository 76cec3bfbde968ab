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
        let (lists, handed) = watch::channel(None);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(work(command.to_owned(), handed, stopped));
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
            () = tokio::time::sleep(LONGEST_RUN) => {
                warn!("{command:?} has run for {} s, ending it", LONGEST_RUN.as_secs());
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
