//! The messages of the actor. Requests of peers do not come as messages: see [`Inbox`](super::inbox).

use actix::Message;

use super::batch::Batch;
use super::error::RegistryError;
use super::tables::Written;
use crate::server::storage::StorageError;

/// Tells the actor that mutations wait in its inbox.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct TakeMutations;

/// Tells the actor how the transaction of a batch has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct BatchFinished {
    pub(crate) batch: Batch,
    pub(crate) result: Result<Written, StorageError>,
    /// Whether the database would refuse the same of any other peer.
    pub(crate) refuses_everyone: bool,
}

/// Tells the actor to finish what it has, close the database and stop.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Result<(), RegistryError>")]
pub(crate) struct Drain;
