//! The one actor that owns the database.
//!
//! Mutations wait while a transaction is under way; the next transaction takes all of them. Commits
//! run outside the actor's context and report back by message, because the context would poll each
//! of its futures at every wake-up.
//!
//! [`registry_actor`] has the fields and the timers, and chooses the next piece of work; [`start`]
//! fills it from the tables. [`batches`] writes, [`failures`] handles a write that fails,
//! [`resyncing`] compares memory with a table that another program has changed, and [`files`]
//! checks the files.

mod batches;
mod failures;
mod files;
mod handlers;
mod registry_actor;
mod resyncing;
mod start;

pub(crate) use registry_actor::RegistryActor;
