//! Writes a file beside its final name, so that half a file never has that name.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// The access rights of a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Only the owner may read and write it (mode 0600).
    Owner,
    /// The umask of the process decides, as for any other file.
    #[cfg(any(feature = "agent", test))]
    Umask,
}

/// Writes `bytes` to a new file in the folder of `path` and syncs it to disk.
///
/// The caller gives the file its final name with `persist` or `persist_noclobber`. If it does not,
/// the file is removed when it is dropped.
///
/// # Errors
/// Those of the file system.
pub(crate) fn write_draft(path: &Path, bytes: &[u8], access: Access) -> io::Result<NamedTempFile> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let mut prefix = name.to_owned();
    prefix.push(".");
    let mut builder = Builder::new();
    builder.prefix(&prefix).suffix(".tmp").rand_bytes(16);
    if let Some(permissions) = permissions(access) {
        builder.permissions(permissions);
    }
    let mut draft = builder.tempfile_in(folder_of(path))?;
    draft.write_all(bytes)?;
    draft.as_file().sync_all()?;
    Ok(draft)
}

/// Makes sure that a new name in the folder of `path` survives power loss.
///
/// # Errors
/// Those of the file system.
#[cfg(unix)]
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    fs::File::open(folder_of(path))?.sync_all()
}

/// Does nothing: only Unix opens folders as files.
#[cfg(not(unix))]
pub(crate) fn sync_folder_of(_: &Path) -> io::Result<()> {
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(unix)]
fn permissions(access: Access) -> Option<fs::Permissions> {
    use std::os::unix::fs::PermissionsExt;
    Some(fs::Permissions::from_mode(match access {
        Access::Owner => 0o600,
        #[cfg(any(feature = "agent", test))]
        Access::Umask => 0o666,
    }))
}

#[cfg(not(unix))]
fn permissions(_: Access) -> Option<fs::Permissions> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_without_a_final_name_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        let draft = write_draft(&path, b"key", Access::Owner).unwrap();
        assert_eq!(draft.path().parent(), Some(folder.path()));
        assert!(!path.exists());
        drop(draft);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn the_umask_decides_unless_only_the_owner_has_access() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let usual = folder.path().join("usual");
        fs::write(&usual, "").unwrap();
        let path = folder.path().join("file");
        let draft = write_draft(&path, b"", Access::Umask).unwrap();
        assert_eq!(mode(draft.path()), mode(&usual));
        let draft = write_draft(&path, b"", Access::Owner).unwrap();
        assert_eq!(mode(draft.path()), 0o600);
    }
}
