//! The messages of the actor. Mutations do not arrive as messages, but in the
//! [`Inbox`](super::inbox).

use actix::Message;

use super::batch::Batch;
use super::error::RegistryError;
use super::tables::Written;
use crate::server::storage::StorageError;

/// Announces that mutations wait in the inbox.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct TakeMutations;

/// Reports the result of a batch's transaction.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct BatchFinished {
    pub(crate) batch: Batch,
    pub(crate) result: Result<Written, StorageError>,
    /// Whether the database refuses the same write for every other peer too.
    pub(crate) refuses_everyone: bool,
}

/// Makes the actor write what waits, close the database and stop.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<(), RegistryError>")]
pub(crate) struct Drain;
