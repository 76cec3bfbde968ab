//! The maximum number of connections.

use super::open_files;
use crate::server::config::HttpConfig;
use crate::server::http::connection::Connections;

/// Creates the table for the configured number of connections, or for fewer if the system allows
/// too few open files.
pub(crate) fn new_connections(http: &HttpConfig) -> Connections {
    let max = open_files::raise_limit(http.max_connections, spare_connections(http));
    Connections::new(max, http.max_connections_per_address)
}

/// Like [`new_connections`], for the server of the start.
pub(crate) fn new_starting_connections(http: &HttpConfig) -> Connections {
    let max = open_files::raise_limit_quietly(http.max_connections, spare_connections(http));
    Connections::new(max, http.max_connections_per_address)
}

/// The maximum number of connections that were accepted but are not in the table: not yet, or no
/// longer because they were evicted.
pub(crate) fn spare_connections(http: &HttpConfig) -> usize {
    http.max_connections / 8 + 64
}
