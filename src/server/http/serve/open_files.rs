//! The system's limit on open files, which limits the connections.

use log::warn;

use crate::server::open_files;

/// Open files other than connections: the database, its log, sockets, timers.
const OTHER_FILES: usize = 64;

/// Raises the limit on open files to the system's maximum. Returns how many connections it allows:
/// `max_connections`, or fewer if the limit is too low for those and `spare` more.
pub(crate) fn raise_limit(max_connections: usize, spare: usize) -> usize {
    let Some(allowed) = open_files::raise_limit() else {
        return max_connections;
    };
    let needed = max_connections + spare + OTHER_FILES;
    if allowed >= needed {
        return max_connections;
    }
    let fitting = fitting(max_connections, allowed, spare);
    warn!(
        "{max_connections} connections (MAX_CONNECTIONS) need {needed} open files, and the \
         system allows {allowed} (ulimit -n, LimitNOFILE); {fitting} connections are accepted"
    );
    fitting
}

/// Like [`raise_limit`], but says nothing: for a server that soon makes room for another one.
pub(crate) fn raise_limit_quietly(max_connections: usize, spare: usize) -> usize {
    let allowed = open_files::raise_limit();
    allowed.map_or(max_connections, |allowed| {
        fitting(max_connections, allowed, spare)
    })
}

fn fitting(max_connections: usize, allowed: usize, spare: usize) -> usize {
    allowed
        .saturating_sub(OTHER_FILES + spare)
        .clamp(1, max_connections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_limited_by_open_files() {
        assert_eq!(fitting(10_000, 1024, 100), 860);
        assert_eq!(fitting(10_000, 100_000, 100), 10_000);
        assert_eq!(fitting(10_000, 20, 100), 1);
    }
}
