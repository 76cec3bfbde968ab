//! The keys of the registry, in a file beside the database.
//!
//! They are not in the database, so that a copy of it does not contain them. The file is created at
//! the first start. Whoever loses it loses no peer: peers prove their keys again, and their operators
//! see that the registry has another key.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libp2p_identity::{Keypair, ed25519};
use log::{info, warn};
use serde::{Deserialize, Serialize};

use crate::draft_file::{Access, sync_folder_of, write_draft};
use crate::protocol::authentication::{SealingKey, SealingKeys, ServerKeys};

/// How long a sealing key seals, in milliseconds: 30 days. It opens for 30 days more, so a rotation ends
/// no token early.
const SEALING_MS: i64 = 30 * 24 * 3600 * 1000;

/// The file, as JSON. Keys are in base64.
#[derive(Serialize, Deserialize)]
struct KeyFile {
    /// A sentence for a person who opens the file.
    note: String,
    /// The key pair of the registry, in libp2p's protobuf encoding.
    identity: String,
    /// The key that seals challenges and tokens.
    sealing_key: String,
    /// The sealing key before it, whose tokens are still valid.
    previous_sealing_key: Option<String>,
    /// Since when the sealing key is in use, in Unix milliseconds.
    sealing_since: i64,
}

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read or written.
    #[error("cannot use the key file {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds no keys.
    #[error(
        "the key file {} is damaged: restore it from a backup, or remove it, and the registry makes new \
         keys, which its peers see as the keys of another registry", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// The keys of the registry, and the file that holds them.
pub(crate) struct RegistryKeys {
    path: PathBuf,
    file: KeyFile,
}

impl RegistryKeys {
    /// Reads the keys of the database at `database`. Makes them if there are none.
    ///
    /// # Errors
    /// A file that cannot be read, or holds no keys. If a new file cannot be written, the keys are used
    /// all the same, until the process ends.
    pub(crate) fn beside(database: &Path, now_ms: i64) -> Result<Self, KeysError> {
        let mut path = database.as_os_str().to_owned();
        path.push(".keys");
        let path = PathBuf::from(path);
        match fs::read(&path) {
            Ok(bytes) => {
                warn_if_public(&path);
                let Ok(file) = serde_json::from_slice(&bytes) else {
                    return Err(KeysError::Damaged { path });
                };
                let keys = Self { path, file };
                keys.server_keys()?;
                Ok(keys)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::create(path, now_ms)),
            Err(source) => Err(KeysError::Io { path, source }),
        }
    }

    fn create(path: PathBuf, now_ms: i64) -> Self {
        let identity = Keypair::from(ed25519::Keypair::generate());
        let keys = Self {
            file: KeyFile {
                note:
                    "The keys of a peer-registry. Keep this file secret, and out of backups that \
                       others can read."
                        .to_owned(),
                // Encoding an Ed25519 key pair never fails.
                identity: STANDARD.encode(identity.to_protobuf_encoding().unwrap_or_default()),
                sealing_key: random_key(),
                previous_sealing_key: None,
                sealing_since: now_ms,
            },
            path,
        };
        keys.save();
        keys
    }

    /// The keys, for use.
    ///
    /// # Errors
    /// If the file is damaged.
    pub(crate) fn server_keys(&self) -> Result<ServerKeys, KeysError> {
        self.decode().ok_or_else(|| KeysError::Damaged {
            path: self.path.clone(),
        })
    }

    fn decode(&self) -> Option<ServerKeys> {
        let identity = STANDARD.decode(&self.file.identity).ok()?;
        let identity = Keypair::from_protobuf_encoding(&identity).ok()?;
        let current = sealing_key(&self.file.sealing_key)?;
        let previous = match &self.file.previous_sealing_key {
            None => None,
            Some(previous) => Some(sealing_key(previous)?),
        };
        let sealing = SealingKeys::new(current, previous);
        Some(ServerKeys::new(identity.try_into_ed25519().ok()?, sealing))
    }

    /// Replaces the sealing key if it is old. Returns whether it was replaced.
    pub(crate) fn rotate_if_due(&mut self, now_ms: i64) -> bool {
        if now_ms.saturating_sub(self.file.sealing_since) < SEALING_MS {
            return false;
        }
        let previous = std::mem::replace(&mut self.file.sealing_key, random_key());
        self.file.previous_sealing_key = Some(previous);
        self.file.sealing_since = now_ms;
        self.save();
        true
    }

    fn save(&self) {
        let path = self.path.display();
        let bytes = serde_json::to_vec_pretty(&self.file).unwrap_or_default();
        let written = write_draft(&self.path, &bytes, Access::Owner)
            .and_then(|draft| draft.persist(&self.path).map_err(|error| error.error))
            .and_then(|_| sync_folder_of(&self.path));
        match written {
            Ok(()) => info!("wrote the keys of this registry to {path}"),
            Err(error) => warn!(
                "cannot write the key file {path}, so peers must prove their keys again after the next \
                 start: {error}"
            ),
        }
    }
}

fn random_key() -> String {
    STANDARD.encode(rand::random::<[u8; 32]>())
}

fn sealing_key(text: &str) -> Option<SealingKey> {
    let bytes: [u8; 32] = STANDARD.decode(text).ok()?.try_into().ok()?;
    Some(SealingKey::new(&bytes))
}

fn warn_if_public(path: &Path) {
    let mode = fs::metadata(path).map_or(0, |file| file.permissions().mode());
    if mode & 0o077 != 0 {
        let path = path.display();
        warn!("other users can read the key file {path}: chmod 600 {path}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_800_000_000_000;

    #[test]
    fn keys_are_made_once_and_only_their_owner_can_read_them() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("peers.db");
        let first = RegistryKeys::beside(&database, NOW_MS).unwrap();
        let second = RegistryKeys::beside(&database, NOW_MS).unwrap();
        let id = |keys: &RegistryKeys| keys.server_keys().unwrap().public_key();
        assert_eq!(id(&first), id(&second));
        assert_eq!(first.file.sealing_key, second.file.sealing_key);
        let mode = fs::metadata(&first.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_sealing_key_is_replaced_after_thirty_days_and_the_one_before_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("peers.db");
        let mut keys = RegistryKeys::beside(&database, NOW_MS).unwrap();
        let before = keys.file.sealing_key.clone();
        assert!(!keys.rotate_if_due(NOW_MS + SEALING_MS - 1));
        assert!(keys.rotate_if_due(NOW_MS + SEALING_MS));
        assert_ne!(keys.file.sealing_key, before);
        let read = RegistryKeys::beside(&database, NOW_MS).unwrap();
        assert_eq!(read.file.previous_sealing_key, Some(before));
    }

    #[test]
    fn a_damaged_file_is_named_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("peers.db");
        let path = folder.path().join("peers.db.keys");
        fs::write(&path, "{}").unwrap();
        let error = RegistryKeys::beside(&database, NOW_MS).err().unwrap();
        assert!(error.to_string().contains("peers.db.keys is damaged"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}");
    }
}
