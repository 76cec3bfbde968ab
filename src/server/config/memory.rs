//! How much memory the registry may use by default: a quarter of what the process may use.

use std::fs;
use std::path::{Path, PathBuf};

const MIB: u64 = 1 << 20;

/// The bounds of the default.
const MIN_BYTES: u64 = 32 * MIB;
const MAX_BYTES: u64 = 2048 * MIB;

/// The default if the system reports no limit.
const UNKNOWN_BYTES: u64 = 512 * MIB;

/// A quarter of the smallest of the machine's memory, the control group's limit and the process's
/// limit, from 32 MiB to 2 GiB; 512 MiB on a system that reports none of them.
pub(crate) fn default_max_bytes() -> usize {
    let limits = [machine_bytes(), cgroup_bytes(), process_bytes()];
    let bytes = quarter(limits.into_iter().flatten().min());
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn quarter(min_bytes: Option<u64>) -> u64 {
    min_bytes.map_or(UNKNOWN_BYTES, |bytes| {
        (bytes / 4).clamp(MIN_BYTES, MAX_BYTES)
    })
}

fn machine_bytes() -> Option<u64> {
    mem_total_bytes(&fs::read_to_string("/proc/meminfo").ok()?)
}

/// `MemTotal` in `/proc/meminfo`.
fn mem_total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The lowest limit of the control groups that this process is in.
fn cgroup_bytes() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let limits = limit_files(&groups)
        .into_iter()
        .filter_map(|file| limit_bytes(&fs::read_to_string(file).ok()?));
    limits.min()
}

/// The files that may contain a limit, given `/proc/self/cgroup`: for each group and for its parents,
/// whose limits apply too. In a container only some of them exist.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (root, name) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|one| one == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        let group = Path::new(group.trim_start_matches('/'));
        // The last of the ancestors is the empty path, the root itself.
        let folders = group.ancestors();
        files.extend(folders.map(|folder| Path::new(root).join(folder).join(name)));
    }
    files
}

/// The limit in a file; without a limit the file says `max`, or some exabytes.
fn limit_bytes(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The limit of the process's address space.
#[cfg(unix)]
fn process_bytes() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::As).current
}

#[cfg(not(unix))]
fn process_bytes() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_the_machine_is_read() {
        let meminfo = "MemTotal:        8039488 kB\nMemFree:          162024 kB\n";
        assert_eq!(mem_total_bytes(meminfo), Some(8_039_488 * 1024));
        for odd in ["", "MemTotal: lots kB", "MemTotal: 5", "MemFree: 1 kB"] {
            assert_eq!(mem_total_bytes(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn limits_of_all_parent_groups_are_read() {
        let files = limit_files("0::/system.slice/registry.service\n");
        let expected = [
            "/sys/fs/cgroup/system.slice/registry.service/memory.max",
            "/sys/fs/cgroup/system.slice/memory.max",
            "/sys/fs/cgroup/memory.max",
        ];
        assert_eq!(files, expected.map(PathBuf::from));
        assert_eq!(
            limit_files("0::/\n"),
            expected[2..].iter().map(PathBuf::from).collect::<Vec<_>>()
        );
    }

    #[test]
    fn the_older_version_of_control_groups_is_known_too() {
        let groups = "12:cpu,cpuacct:/a\n5:memory:/docker/0123\n1:name=systemd:/a\nnonsense\n";
        let expected = [
            "/sys/fs/cgroup/memory/docker/0123/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        ];
        assert_eq!(limit_files(groups), expected.map(PathBuf::from));
    }

    #[test]
    fn a_group_without_a_limit_says_max() {
        assert_eq!(limit_bytes("536870912\n"), Some(512 * MIB));
        assert_eq!(limit_bytes("max\n"), None);
    }

    #[test]
    fn a_quarter_is_taken_within_bounds() {
        assert_eq!(quarter(None), 512 * MIB);
        assert_eq!(quarter(Some(512 * MIB)), 128 * MIB);
        assert_eq!(quarter(Some(MIB)), 32 * MIB);
        assert_eq!(quarter(Some(u64::MAX)), 2048 * MIB);
    }

    #[test]
    fn this_machine_has_a_default_within_bounds() {
        let bytes = default_max_bytes() as u64;
        assert!((MIN_BYTES..=MAX_BYTES).contains(&bytes), "{bytes}");
    }
}
