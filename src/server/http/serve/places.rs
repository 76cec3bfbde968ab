//! How many connections there is room for.

use super::open_files;
use crate::server::config::HttpConfig;
use crate::server::http::connection::Connections;

/// Makes places for the configured number of connections, or for as many as the system lets us open
/// files.
pub fn make(http: &HttpConfig) -> Connections {
    let max = open_files::make_room(http.max_connections, spare_connections(http));
    Connections::new(max, http.max_connections_per_address)
}

/// Connections that were accepted and have no place yet, or none any more.
pub(super) fn spare_connections(http: &HttpConfig) -> usize {
    http.max_connections / 8 + 64
}
