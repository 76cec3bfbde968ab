//! The file that keeps the node's key.
//!
//! It holds the key in libp2p's protobuf encoding, as raw bytes: what rust-libp2p's
//! `Keypair::to_protobuf_encoding` writes, so that a node and its agent can share one file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::identity::Identity;

/// More than any key takes, in bytes; an Ed25519 key takes 68.
const MOST_KEY_BYTES: u64 = 1024;

/// Why an identity could not be had. The key file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read.
    #[error("cannot read the key file {path}")]
    Read {
        /// The key file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file cannot be made.
    #[error("cannot make the key file {path}")]
    Create {
        /// The key file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds no Ed25519 key.
    #[error(
        "the key file {path} is damaged or holds another kind of key: restore it from a copy, or \
         move it away to become a new peer"
    )]
    Damaged {
        /// The key file.
        path: PathBuf,
    },
    /// Others than the owner may read or write the file.
    #[error("the key file {path} is open to others (mode {mode:o}): run chmod 600 on it")]
    TooOpen {
        /// The key file.
        path: PathBuf,
        /// Its mode bits.
        mode: u32,
    },
    /// The bytes are no Ed25519 key in libp2p's encoding.
    #[error("the key is not an Ed25519 key in libp2p's protobuf encoding")]
    NotAKey,
}

impl Identity {
    /// Reads the key file at `path`.
    ///
    /// # Errors
    /// If it is not there, not readable, not a key, or open to others. It is never replaced.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, IdentityError> {
        let path = path.as_ref();
        read_key(path)?.ok_or_else(|| IdentityError::Read {
            path: path.to_owned(),
            source: io::ErrorKind::NotFound.into(),
        })
    }

    /// Reads the key file at `path`, or makes it, with mode 0600, if there is none.
    ///
    /// # Errors
    /// If it is not readable, not a key, or open to others, it is never replaced; or it cannot be
    /// made.
    pub fn load_or_create(path: impl AsRef<Path>) -> Result<Self, IdentityError> {
        let path = path.as_ref();
        if let Some(identity) = read_key(path)? {
            return Ok(identity);
        }
        let identity = Self::generate();
        match save_new(&identity, path) {
            Ok(()) => Ok(identity),
            // Another process was faster; then its key is the node's.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::load(path),
            Err(source) => Err(IdentityError::Create {
                path: path.to_owned(),
                source,
            }),
        }
    }
}

/// Writes the key beside `path` and then gives it that name, unless the name is taken: there is
/// never half a key under it.
fn save_new(identity: &Identity, path: &Path) -> io::Result<()> {
    let bytes = identity.to_protobuf().map_err(io::Error::other)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{:016x}.tmp", rand::random::<u64>()));
    let draft = PathBuf::from(draft);
    let written = write_new(&draft, &bytes).and_then(|()| fs::hard_link(&draft, path));
    // Without the draft or with it, the key is either in place or was never used.
    let _ = fs::remove_file(&draft);
    written?;
    sync_folder(folder)
}

/// Makes sure that a name given in `folder` survives power loss.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Reads a key file; none if there is no such file.
fn read_key(path: &Path) -> Result<Option<Identity>, IdentityError> {
    let failed = |source| IdentityError::Read {
        path: path.to_owned(),
        source,
    };
    // What is no file, e.g. a pipe, might never come to an end.
    let file = match fs::metadata(path).map(|metadata| metadata.is_file()) {
        Ok(true) => File::open(path).map_err(failed)?,
        Ok(false) => return Err(failed(io::Error::other("it is not a file"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    (&file)
        .take(MOST_KEY_BYTES)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    check_private(path, &file.metadata().map_err(failed)?)?;
    match Identity::from_protobuf(&bytes) {
        Ok(identity) => Ok(Some(identity)),
        Err(_) => Err(IdentityError::Damaged {
            path: path.to_owned(),
        }),
    }
}

#[cfg(unix)]
fn check_private(path: &Path, metadata: &fs::Metadata) -> Result<(), IdentityError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(IdentityError::TooOpen {
        path: path.to_owned(),
        mode,
    })
}

#[cfg(not(unix))]
fn check_private(_: &Path, _: &fs::Metadata) -> Result<(), IdentityError> {
    Ok(())
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_key_file_is_made_once_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        let first = Identity::load_or_create(&path).unwrap();
        let again = Identity::load_or_create(&path).unwrap();
        assert_eq!(first.peer_id(), again.peer_id());
        assert_eq!(mode(&path), 0o600);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no draft is left"
        );
    }

    #[test]
    fn a_key_file_that_is_not_there_is_made_only_when_that_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        assert!(matches!(
            Identity::load(&path),
            Err(IdentityError::Read { .. })
        ));
        assert!(!path.exists());
        let nowhere = folder.path().join("none/node.key");
        let error = Identity::load_or_create(&nowhere).unwrap_err();
        assert!(matches!(error, IdentityError::Create { .. }), "{error}");
        assert!(error.to_string().contains("none/node.key"), "{error}");
    }

    #[test]
    fn two_that_make_the_key_at_the_same_time_become_one_peer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        let make = || Identity::load_or_create(&path).unwrap().peer_id().clone();
        let ids: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }

    #[test]
    fn a_damaged_key_file_is_an_error_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        Identity::load_or_create(&path).unwrap();
        let whole = fs::read(&path).unwrap();
        let longer = vec![7; 5_000];
        for bytes in [&[][..], b"not a key", &whole[..whole.len() - 1], &longer] {
            fs::write(&path, bytes).unwrap();
            let error = Identity::load_or_create(&path).unwrap_err();
            assert!(matches!(error, IdentityError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains("node.key"), "{error}");
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
    }

    #[test]
    fn an_unreadable_key_file_is_an_error_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        // A folder in its place cannot be read, not even by root.
        let error = Identity::load_or_create(folder.path()).unwrap_err();
        assert!(matches!(error, IdentityError::Read { .. }), "{error}");
        assert!(folder.path().is_dir());
        let endless = Path::new("/dev/zero");
        let error = Identity::load(endless).unwrap_err();
        assert!(matches!(error, IdentityError::Read { .. }), "{error}");
    }

    #[test]
    fn a_key_file_open_to_others_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        Identity::load_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Identity::load_or_create(&path).unwrap_err();
        assert!(error.to_string().contains("mode 640"), "{error}");
        assert_eq!(mode(&path), 0o640);
    }
}
