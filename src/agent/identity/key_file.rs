//! The file that keeps the node's key.
//!
//! The file has the key in libp2p's protobuf encoding, as raw bytes. rust-libp2p's
//! `Keypair::to_protobuf_encoding` writes the same, so a node and its agent can share the file. A file
//! with the same as base64 text, as other implementations of libp2p keep it, is read too.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use log::warn;

use super::error::IdentityError;
use super::keypair::Identity;
use crate::draft_file::{Access, sync_folder_of, write_draft};

/// The largest file that is read, in bytes; an Ed25519 key has 68.
const MAX_KEY_BYTES: u64 = 1024;

impl Identity {
    /// Reads the key file at `path`.
    ///
    /// # Errors
    /// [`IdentityError`] if the file does not exist, cannot be read, is not a key, or can be written to
    /// by others. It is never replaced.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, IdentityError> {
        let path = path.as_ref();
        read_key(path)?.ok_or_else(|| IdentityError::Read {
            path: path.to_owned(),
            source: io::ErrorKind::NotFound.into(),
        })
    }

    /// Reads the key file at `path`. If it does not exist, makes it with a new key and mode 0600.
    ///
    /// # Errors
    /// [`IdentityError`] if the file cannot be read, is not a key, or can be written to by others (it
    /// is never replaced), or if it cannot be made.
    pub fn load_or_create(path: impl AsRef<Path>) -> Result<Self, IdentityError> {
        let path = path.as_ref();
        if let Some(identity) = read_key(path)? {
            return Ok(identity);
        }
        let identity = Self::generate();
        match save_new(&identity, path) {
            Ok(()) => Ok(identity),
            // Another process was faster: its key becomes the node's key.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::load(path),
            Err(source) => Err(IdentityError::Create {
                path: path.to_owned(),
                source,
            }),
        }
    }
}

/// Gives a complete key the name `path`, unless a file has that name already.
fn save_new(identity: &Identity, path: &Path) -> io::Result<()> {
    let bytes = identity.to_protobuf().ok_or(io::ErrorKind::InvalidData)?;
    let draft = write_draft(path, &bytes, Access::Owner)?;
    match draft.persist_noclobber(path) {
        Ok(_) => {}
        Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(failed.error);
        }
        // Some file systems have neither hard links nor renames that replace nothing.
        Err(_) => write_in_place(path, &bytes)?,
    }
    sync_folder_of(path)
}

/// Writes a new file under its final name. A process that is killed meanwhile leaves a damaged file,
/// which the next start names.
fn write_in_place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // The file is ours, since it did not exist.
        fs::remove_file(path)?;
    }
    written
}

/// Reads a key file; `None` if it does not exist.
fn read_key(path: &Path) -> Result<Option<Identity>, IdentityError> {
    let failed = |source| IdentityError::Read {
        path: path.to_owned(),
        source,
    };
    // Anything but a file, e.g. a pipe, may never end.
    let file = match fs::metadata(path).map(|metadata| metadata.is_file()) {
        Ok(true) => File::open(path).map_err(failed)?,
        Ok(false) => {
            let path = path.to_owned();
            return Err(IdentityError::NotAFile { path });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    (&file)
        .take(MAX_KEY_BYTES)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    check_access(path, &file.metadata().map_err(failed)?)?;
    let by_text = || Identity::from_base64(str::from_utf8(&bytes).ok()?).ok();
    match Identity::from_protobuf(&bytes).ok().or_else(by_text) {
        Some(identity) => Ok(Some(identity)),
        None => Err(IdentityError::Damaged {
            path: path.to_owned(),
        }),
    }
}

/// Refuses a file that others can write to, and warns about one that others can read: secrets that a
/// container mounts are often readable to its group or to everyone in it.
#[cfg(unix)]
fn check_access(path: &Path, metadata: &fs::Metadata) -> Result<(), IdentityError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o022 == 0 {
        if mode & 0o044 != 0 {
            warn!(
                "others can read the key file {} (mode {mode:03o}); it should have mode 600",
                path.display()
            );
        }
        return Ok(());
    }
    Err(IdentityError::TooOpen {
        path: path.to_owned(),
        mode,
    })
}

#[cfg(not(unix))]
fn check_access(_: &Path, _: &fs::Metadata) -> Result<(), IdentityError> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_key_file_is_made_once_and_for_its_owner_only() {
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
    fn a_key_file_may_be_base64_text() {
        use base64::Engine;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        let identity = Identity::load_or_create(&path).unwrap();
        let text = base64::engine::general_purpose::STANDARD.encode(fs::read(&path).unwrap());
        fs::write(&path, text + "\n").unwrap();
        let again = Identity::load_or_create(&path).unwrap();
        assert_eq!(again.peer_id(), identity.peer_id());
    }

    #[test]
    fn a_missing_key_file_is_made_only_on_request() {
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
    fn threads_that_make_the_key_at_the_same_time_get_the_same_key() {
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
    fn a_damaged_key_file_is_an_error_and_stays_unchanged() {
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
        assert!(matches!(error, IdentityError::NotAFile { .. }), "{error}");
        assert!(error.to_string().contains("it is not a file"), "{error}");
        assert!(folder.path().is_dir());
        let endless = Path::new("/dev/zero");
        let error = Identity::load(endless).unwrap_err();
        assert!(matches!(error, IdentityError::NotAFile { .. }), "{error}");
    }

    #[test]
    fn a_key_file_that_others_can_write_to_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        Identity::load_or_create(&path).unwrap();
        for open in [0o660, 0o602, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
            let error = Identity::load_or_create(&path).unwrap_err();
            assert!(
                error.to_string().contains(&format!("mode {open:o}")),
                "{error}"
            );
            assert_eq!(mode(&path), open);
        }
    }

    #[test]
    fn a_key_from_a_mounted_secret_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        let identity = Identity::load_or_create(&path).unwrap();
        for mounted in [0o440, 0o444, 0o644, 0o400] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mounted)).unwrap();
            let again = Identity::load_or_create(&path).unwrap();
            assert_eq!(again.peer_id(), identity.peer_id());
            assert_eq!(mode(&path), mounted);
        }
    }

    #[test]
    fn a_key_written_in_place_is_complete_and_replaces_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        let identity = Identity::generate();
        let bytes = identity.to_protobuf().unwrap();
        write_in_place(&path, &bytes).unwrap();
        assert_eq!(mode(&path), 0o600);
        let again = Identity::load(&path).unwrap();
        assert_eq!(again.peer_id(), identity.peer_id());
        let error = write_in_place(&path, b"other").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}
