//! Which file system the database is on.

use std::fs;
use std::path::{Path, PathBuf};

/// File systems whose files are on another machine, or are passed through from the host of a virtual
/// machine. `fuse.` stands for all names that begin with it, such as `fuse.sshfs`.
const REMOTE: [&str; 20] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "ncpfs",
    "afs",
    "coda",
    "9p",
    "ceph",
    "glusterfs",
    "lustre",
    "gfs2",
    "ocfs2",
    "beegfs",
    "gpfs",
    "pvfs2",
    "virtiofs",
    "vboxsf",
    "fuse.",
];

/// The type of the network file system that the file at `path` is on; `None` if it is on another one.
pub(crate) fn network(path: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    // The file may not exist yet.
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()?;
    let kind = kind_of(&folder, &mounts)?;
    is_remote(kind).then(|| kind.to_owned())
}

fn is_remote(kind: &str) -> bool {
    REMOTE.iter().any(|name| match name.strip_suffix('.') {
        Some(_) => kind.starts_with(name),
        None => kind == *name,
    })
}

/// A notice for the operator if the file at `real` is on a network file system.
pub(crate) fn notice(real: &Path) -> Option<String> {
    network(real).map(|kind| {
        format!(
            "the database {} is on a network file system ({kind}), where SQLite's log and locks are \
             not reliable: a second server or an sqlite3 shell on another machine can damage it; use \
             a local disk",
            real.display()
        )
    })
}

/// The type of the file system at `path`, from the text of `/proc/self/mountinfo`.
fn kind_of<'m>(path: &Path, mounts: &'m str) -> Option<&'m str> {
    let mut found: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        // 36 35 98:0 /root /mount/point options shared:1 - type source options
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let (Some(point), Some(kind)) = (left.split(' ').nth(4), right.split(' ').next()) else {
            continue;
        };
        let point = PathBuf::from(unescape(point));
        let depth = point.components().count();
        // Of two mounts at one point, the later one is on top.
        if path.starts_with(&point) && found.is_none_or(|(deepest, _)| depth >= deepest) {
            found = Some((depth, kind));
        }
    }
    found.map(|(_, kind)| kind)
}

/// A path without the octal escapes that the kernel writes for blanks.
fn unescape(text: &str) -> String {
    let escapes = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    escapes
        .iter()
        .fold(text.to_owned(), |text, (escape, sign)| {
            text.replace(escape, sign)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:5 / /proc rw - proc proc rw
40 22 0:50 / /srv/data rw,relatime shared:30 master:2 - nfs4 host:/export rw,vers=4.2
41 40 8:2 / /srv/data/local rw - xfs /dev/sdb1 rw
42 22 0:51 / /mnt/my\\040disk rw - fuse.sshfs me@host: rw
43 22 8:3 / /twice rw - cifs //host/share rw
44 22 8:4 / /twice rw - ext4 /dev/sdc1 rw
a line that is no mount
";

    #[test]
    fn the_file_system_is_that_of_the_deepest_mount_on_top() {
        for (path, kind) in [
            ("/var/lib/peers.db", "ext4"),
            ("/srv/data/peers.db", "nfs4"),
            ("/srv/database/peers.db", "ext4"),
            ("/srv/data/local/peers.db", "xfs"),
            ("/mnt/my disk/peers.db", "fuse.sshfs"),
            ("/twice/peers.db", "ext4"),
        ] {
            assert_eq!(kind_of(Path::new(path), MOUNTS), Some(kind), "{path}");
        }
    }

    #[test]
    fn a_local_disk_is_no_network_file_system() {
        for kind in ["nfs", "nfs4", "cifs", "fuse.sshfs", "9p", "virtiofs"] {
            assert!(is_remote(kind), "{kind}");
        }
        for kind in [
            "ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", "f2fs",
        ] {
            assert!(!is_remote(kind), "{kind}");
        }
    }
}
