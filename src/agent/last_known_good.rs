//! The last list that named a peer, kept for a start while every registry is down.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use log::warn;
use serde::{Deserialize, Serialize};

use super::words;
use crate::protocol::ListedPeer;

/// The most peers that are kept; more addresses to try help nobody to start.
const MOST_PEERS: usize = 256;
/// The largest file that is read, in bytes; 256 ordinary peers take 100 KB.
const MOST_BYTES: u64 = 1024 * 1024;

/// A list of peers and its date.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SavedPeers {
    /// When the registries named them, in Unix milliseconds.
    pub(super) saved_at_ms: i64,
    /// The network that they were looked for in; none for all networks.
    #[serde(default)]
    pub(super) network_id: Option<String>,
    pub(super) peers: Vec<ListedPeer>,
}

/// Keeps the last good list in memory, and in a file if it is given one.
///
/// The file is a help and no condition: if it cannot be read or written, that is logged and the
/// agent goes on.
#[derive(Clone)]
pub(super) struct LastKnownGood {
    inner: Arc<Inner>,
}

struct Inner {
    path: Option<PathBuf>,
    saved: Mutex<Option<SavedPeers>>,
}

impl LastKnownGood {
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        let saved = Mutex::default();
        Self {
            inner: Arc::new(Inner { path, saved }),
        }
    }

    /// Remembers `peers`, which are not empty and were looked for in this network.
    pub(super) async fn keep(&self, peers: &[ListedPeer], network_id: Option<&str>, now_ms: i64) {
        let saved = SavedPeers {
            saved_at_ms: now_ms,
            network_id: network_id.map(str::to_owned),
            peers: peers.iter().take(MOST_PEERS).cloned().collect(),
        };
        self.on_disk(move |inner| {
            if let Some(path) = &inner.path
                && let Err(error) = write(path, &saved)
            {
                warn!("cannot keep the peers in {}: {error}", path.display());
            }
            inner.remember(saved);
        })
        .await;
    }

    /// The last good list, from memory or else from the file.
    pub(super) async fn recall(&self) -> Option<SavedPeers> {
        self.on_disk(|inner| {
            if let Some(saved) = inner.remembered() {
                return Some(saved);
            }
            let path = inner.path.as_ref()?;
            match read(path) {
                Ok(saved) => {
                    inner.remember(saved.clone());
                    Some(saved)
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => {
                    warn!("ignoring the peers kept in {}: {error}", path.display());
                    None
                }
            }
        })
        .await?
    }

    /// Runs what waits for the disk where it holds up nobody; none if the runtime is going down.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> Option<T> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || work(&inner)).await.ok()
    }
}

impl Inner {
    fn remember(&self, saved: SavedPeers) {
        *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = Some(saved);
    }

    fn remembered(&self) -> Option<SavedPeers> {
        let saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        saved.clone()
    }
}

/// Replaces the file at `path`: whatever happens, it holds the old list or the new one.
fn write(path: &Path, saved: &SavedPeers) -> io::Result<()> {
    let json = serde_json::to_vec(saved)?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{:016x}.tmp", rand::random::<u64>()));
    let draft = PathBuf::from(draft);
    let replaced = File::create_new(&draft)
        .and_then(|mut file| {
            file.write_all(&json)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&draft, path));
    if replaced.is_err() {
        // It may never have been made.
        let _ = fs::remove_file(&draft);
    }
    replaced
}

fn read(path: &Path) -> io::Result<SavedPeers> {
    let mut json = Vec::new();
    File::open(path)?.take(MOST_BYTES).read_to_end(&mut json)?;
    let mut saved: SavedPeers = serde_json::from_slice(&json)?;
    saved.peers.retain(words::is_printable_peer);
    if saved.peers.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it names no peer",
        ));
    }
    Ok(saved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(count: usize) -> Vec<ListedPeer> {
        let peer = |at: usize| {
            serde_json::json!({
                "peerId": format!("peer-{at}"), "addresses": [], "cryptoIPv6": null,
                "lastSeen": at, "version": null, "turnCapable": false,
                "bootstrapCapable": false, "privacyMode": false, "networkId": null,
            })
        };
        let peers = (0..count).map(|at| serde_json::from_value(peer(at)).unwrap());
        peers.collect()
    }

    #[tokio::test]
    async fn what_is_kept_outlives_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peers.json");
        let store = LastKnownGood::new(Some(path.clone()));
        assert_eq!(store.recall().await, None);
        store.keep(&peers(2), None, 1_000).await;
        store.keep(&peers(3), None, 2_000).await;

        let saved = LastKnownGood::new(Some(path)).recall().await.unwrap();
        assert_eq!((saved.saved_at_ms, saved.peers.len()), (2_000, 3));
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no draft is left"
        );
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peers.json");
        LastKnownGood::new(Some(path.clone()))
            .keep(&peers(10_000), None, 0)
            .await;
        let saved = LastKnownGood::new(Some(path.clone()))
            .recall()
            .await
            .unwrap();
        assert_eq!(saved.peers.len(), MOST_PEERS);
        assert!(fs::metadata(path).unwrap().len() < MOST_BYTES / 4);
    }

    #[tokio::test]
    async fn a_damaged_file_is_ignored_and_replaced_by_the_next_list() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peers.json");
        for text in ["", "{", "[]", r#"{"savedAtMs":1,"peers":[]}"#] {
            fs::write(&path, text).unwrap();
            assert_eq!(
                LastKnownGood::new(Some(path.clone())).recall().await,
                None,
                "{text}"
            );
        }
        let store = LastKnownGood::new(Some(path.clone()));
        store.keep(&peers(1), None, 5).await;
        assert!(read(&path).is_ok());
    }

    #[tokio::test]
    async fn without_a_file_the_list_is_kept_in_memory() {
        let store = LastKnownGood::new(None);
        store.keep(&peers(1), None, 5).await;
        assert_eq!(store.recall().await.unwrap().saved_at_ms, 5);

        let nowhere = LastKnownGood::new(Some(PathBuf::from("/dev/null/peers.json")));
        nowhere.keep(&peers(1), None, 6).await;
        assert_eq!(nowhere.recall().await.unwrap().saved_at_ms, 6);
    }
}
