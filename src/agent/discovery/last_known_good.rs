//! The last list that names a peer, kept for a start while every registry is down, and the keys that
//! registries have proven.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::warn;
use serde::{Deserialize, Serialize};

use crate::agent::client::sanitize::is_printable_peer;
use crate::draft_file::{Access, write_draft};
use crate::protocol::ListedPeer;
use crate::protocol::authentication::{KeyTypes, PeerKey};

/// The max number of peers that are kept. A node that starts needs no more.
const MAX_PEERS: usize = 256;
/// The largest file that is read, in bytes; 256 ordinary peers take 100 KB.
const MAX_BYTES: u64 = 1024 * 1024;

/// A list of peers, and when it was saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SavedPeers {
    /// When the registries sent the list, in Unix milliseconds.
    pub(crate) saved_at_ms: i64,
    /// The network of the peers; `None` for all networks.
    #[serde(default)]
    pub(crate) network_id: Option<String>,
    pub(crate) peers: Vec<ListedPeer>,
}

/// What the file has: the list, and the keys of the registries.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Saved {
    /// Without a peer before the first list.
    #[serde(flatten)]
    list: SavedPeers,
    /// The keys that registries have proven, by their addresses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    registry_keys: BTreeMap<String, String>,
}

/// Keeps the last good list and the keys of registries in memory, and in a file if there is a path.
///
/// The agent works without the file: an error of the file system is logged and otherwise ignored.
#[derive(Clone)]
pub(crate) struct LastKnownGood {
    inner: Arc<Inner>,
}

struct Inner {
    path: Option<PathBuf>,
    /// What the file has; `None` before it was read.
    saved: Mutex<Option<Saved>>,
}

impl LastKnownGood {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        let saved = Mutex::default();
        Self {
            inner: Arc::new(Inner { path, saved }),
        }
    }

    /// Keeps `peers`, which must not be empty. `network_id` is the network they belong to, `now_ms`
    /// the current time in Unix milliseconds.
    pub(crate) async fn keep(&self, peers: &[ListedPeer], network_id: Option<&str>, now_ms: i64) {
        let list = SavedPeers {
            saved_at_ms: now_ms,
            network_id: network_id.map(str::to_owned),
            peers: peers.iter().take(MAX_PEERS).cloned().collect(),
        };
        self.on_disk(move |inner| inner.change(|saved| saved.list = list))
            .await;
    }

    /// The last good list, from memory or else from the file; `None` if there is none.
    pub(crate) async fn recall(&self) -> Option<SavedPeers> {
        let list = self.on_disk(|inner| inner.saved().list).await?;
        (!list.peers.is_empty()).then_some(list)
    }

    /// Keeps the key that a registry has proven. Writes the file only if the key is new.
    pub(crate) async fn keep_registry_key(&self, registry: &str, key: &PeerKey) {
        let (registry, key) = (registry.to_owned(), key.to_string());
        self.on_disk(move |inner| {
            if inner.saved().registry_keys.get(&registry) != Some(&key) {
                inner.change(|saved| drop(saved.registry_keys.insert(registry, key)));
            }
        })
        .await;
    }

    /// The key that a registry has proven before; `None` if none is known.
    pub(crate) async fn registry_key(&self, registry: &str) -> Option<PeerKey> {
        let registry = registry.to_owned();
        let text = self
            .on_disk(move |inner| inner.saved().registry_keys.remove(&registry))
            .await??;
        PeerKey::from_text(&text, KeyTypes::supported()).ok()
    }

    /// Runs `work` on a thread where it may wait for the disk; `None` if the runtime is shutting
    /// down.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> Option<T> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || work(&inner)).await.ok()
    }
}

impl Inner {
    /// A copy of what is saved.
    fn saved(&self) -> Saved {
        self.read_once(&mut self.lock()).clone()
    }

    /// Changes what is saved, and writes the file.
    fn change(&self, change: impl FnOnce(&mut Saved)) {
        let mut saved = self.lock();
        let saved = self.read_once(&mut saved);
        change(saved);
        if let Some(path) = &self.path
            && let Err(error) = write(path, saved)
        {
            warn!("cannot keep the peers in {}: {error}", path.display());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Saved>> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is saved, from memory or else from the file; nothing if there is no file that can be read.
    fn read_once<'s>(&self, saved: &'s mut Option<Saved>) -> &'s mut Saved {
        saved.get_or_insert_with(|| {
            let path = self.path.as_ref();
            let read = path.map_or_else(|| Ok(Saved::nothing()), |path| read(path));
            read.unwrap_or_else(|error| {
                if let Some(path) = path
                    && error.kind() != io::ErrorKind::NotFound
                {
                    warn!("ignoring what is kept in {}: {error}", path.display());
                }
                Saved::nothing()
            })
        })
    }
}

impl Saved {
    fn nothing() -> Self {
        Self {
            list: SavedPeers {
                saved_at_ms: 0,
                network_id: None,
                peers: Vec::new(),
            },
            registry_keys: BTreeMap::new(),
        }
    }
}

/// Replaces the file at `path`. Even after a crash, it has the old content or the new one.
fn write(path: &Path, saved: &Saved) -> io::Result<()> {
    let draft = write_draft(path, &serde_json::to_vec(saved)?, Access::Umask)?;
    draft.persist(path).map_err(|failed| failed.error)?;
    Ok(())
}

fn read(path: &Path) -> io::Result<Saved> {
    let mut json = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut json)?;
    let mut saved: Saved = serde_json::from_slice(&json)?;
    saved.list.peers.retain(is_printable_peer);
    if saved.list.peers.is_empty() && saved.registry_keys.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it names no peer",
        ));
    }
    Ok(saved)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn peers(count: usize) -> Vec<ListedPeer> {
        let peer = |index: usize| {
            serde_json::json!({
                "peerId": format!("peer-{index}"), "addresses": [], "cryptoIPv6": null,
                "lastSeen": index, "version": null, "turnCapable": false,
                "bootstrapCapable": false, "privacyMode": false, "networkId": null,
            })
        };
        let peers = (0..count).map(|index| serde_json::from_value(peer(index)).unwrap());
        peers.collect()
    }

    #[tokio::test]
    async fn a_list_survives_the_process() {
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
    async fn a_key_and_a_list_do_not_overwrite_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peers.json");
        let public = libp2p_identity::Keypair::generate_ed25519().public();
        let key = PeerKey::from_bytes(public.encode_protobuf(), KeyTypes::supported()).unwrap();
        let store = LastKnownGood::new(Some(path.clone()));
        store.keep_registry_key("http://a", &key).await;
        assert_eq!(store.recall().await, None);
        let again = LastKnownGood::new(Some(path.clone()));
        again.keep(&peers(2), None, 1_000).await;

        let last = LastKnownGood::new(Some(path));
        assert_eq!(last.registry_key("http://a").await, Some(key));
        assert_eq!(last.registry_key("http://b").await, None);
        assert_eq!(last.recall().await.unwrap().peers.len(), 2);
    }

    #[tokio::test]
    async fn a_list_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peers.json");
        LastKnownGood::new(Some(path.clone()))
            .keep(&peers(10_000), None, 0)
            .await;
        let saved = LastKnownGood::new(Some(path.clone()))
            .recall()
            .await
            .unwrap();
        assert_eq!(saved.peers.len(), MAX_PEERS);
        assert!(fs::metadata(path).unwrap().len() < MAX_BYTES / 4);
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
