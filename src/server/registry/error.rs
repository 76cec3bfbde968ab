//! The errors of the registry.

/// Why the registry refused a request.
///
/// The request changed nothing, with one exception: if the database fails in the middle of a commit
/// and cannot be read afterwards, a write that was refused with
/// [`StorageUnavailable`](Self::StorageUnavailable) may still be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RegistryError {
    /// The peer is not registered.
    #[error("the peer is not registered")]
    UnknownPeer,
    /// The peer holds no such TURN session.
    #[error("the peer holds no live TURN session of this sessionId")]
    UnknownSession,
    /// The id of the peer was proven before, and this request proves nothing.
    #[error("peerId belongs to a key, and this request does not prove that it holds the key")]
    AuthenticationRequired,
    /// The registry has no room for another peer.
    #[error("the registry is full")]
    RegistryFull,
    /// The maximum number of requests is in flight.
    #[error("the registry is overloaded")]
    Overloaded,
    /// The database takes no writes.
    #[error("the database takes no writes")]
    StorageUnavailable,
    /// The actor has stopped.
    #[error("the registry has stopped")]
    Stopped,
    /// The actor has made no progress for some time.
    #[error("the registry is stuck")]
    Stuck,
}
