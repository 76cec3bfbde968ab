//! The one actor that owns the database.
//!
//! Mutations queue up while a transaction is under way; the next one takes all that wait. Commits
//! run outside the actor's context, as futures spawned on its context would all be polled at each
//! wake, and report back by message.
//!
//! [`registry_actor`] has the fields and the timers, and chooses what comes next; [`start`] fills it
//! from the tables. [`batches`] writes, [`failures`] copes where that fails, [`resyncing`] compares
//! memory with a table that somebody else has changed, and [`files`] watches the files.

mod batches;
mod failures;
mod files;
mod handlers;
mod registry_actor;
mod resyncing;
mod start;

pub(crate) use registry_actor::RegistryActor;
