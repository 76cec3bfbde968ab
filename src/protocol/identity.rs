//! What only the holder of a key can do.

use serde::{Deserialize, Serialize};

use super::PeerId;
use super::receipt::Receipt;

/// The response to `DELETE /peers/{peerId}`: on disk, the peer is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnregisterResponse {
    /// Always true.
    pub success: bool,
    /// The peer that left.
    pub peer_id: PeerId,
    /// Registered peers that are left.
    pub total_peers: u64,
    /// What the response to every mutation says.
    #[serde(flatten)]
    pub receipt: Receipt,
}

/// The response to `/auth`: the sender holds the key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthResponse {
    /// Always true.
    pub success: bool,
    /// The id of the key.
    pub peer_id: PeerId,
    /// When the key must be proven again, in Unix milliseconds.
    pub expires_at: i64,
}
