//! What the response to every mutation says.

use serde::{Deserialize, Serialize};

/// The part that the responses to all accepted mutations share. What the mutation changed is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// The number of expired peers that the cleanup before this mutation removed. Mutations can share
    /// a cleanup; only one of their responses has the number, so that all of them add up.
    pub cleaned_expired_peers: u64,
    /// When the registry responded, RFC 3339.
    pub timestamp: String,
}
