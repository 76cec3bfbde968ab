//! Why the registry did not do what it was asked to do.

/// Why the registry did not do what it was asked to do.
///
/// Nothing was changed, with one exception: if the database failed in the middle of a commit and
/// cannot be read either, a [`StorageUnavailable`](Self::StorageUnavailable) write may turn out to be
/// on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RegistryError {
    /// The peer is not registered.
    #[error("the peer is not registered")]
    UnknownPeer,
    /// The peer holds no such TURN session.
    #[error("the peer holds no live TURN session of this sessionId")]
    UnknownSession,
    /// There is no room for another peer.
    #[error("the registry is full")]
    RegistryFull,
    /// The maximum of requests is in flight.
    #[error("the registry is overloaded")]
    Overloaded,
    /// The database takes no writes.
    #[error("the database takes no writes")]
    StorageUnavailable,
    /// The actor is gone.
    #[error("the registry has stopped")]
    Stopped,
    /// The actor has not moved for some time.
    #[error("the registry is stuck")]
    Stuck,
}
