//! Who may write in the name of a peer id.

use crate::protocol::PeerId;

/// Whether the sender of a request proved to hold the key of its peer id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The key was proven.
    Proven,
    /// The request proves nothing.
    Unproven,
}

/// The record that an id was proven. From then on, unproven writes for it are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub peer_id: PeerId,
    /// When the key was last proven, in Unix milliseconds. Up to a day older than the last proof, since
    /// not every proof is written.
    pub proven_at_ms: i64,
}
