//! All SQL of the registry, over one SQLite connection.
//!
//! A [`Changes`] is everything that one transaction does. Its statements work on sets of rows, not
//! on single ones. With `synchronous=FULL` a commit survives kill -9 and power loss.

mod access;
mod batch;
mod changes;
mod cost;
mod error;
mod file_system;
mod files;
mod files_lost;
mod leftover;
mod load;
mod loaded;
mod lock;
mod lost;
mod open;
mod open_error;
mod overwritten;
mod peers;
mod quarantine;
mod rescue;
mod schema;
mod sessions;
mod settle;
mod slot;
mod store;
mod table;
mod turn;
mod uptime;
mod wal;

pub(crate) use changes::{Changes, Cleanup, CommitOutcome, OfferedTurn, RelayChanges};
pub(crate) use error::StorageError;
pub(crate) use files_lost::FilesLost;
pub(crate) use loaded::{DataVersion, Loaded, Memory, PeerRows, RelayRows};
pub(crate) use lost::{FileGone, Loss};
pub use open_error::OpenError;
pub(crate) use quarantine::FaultyRow;
pub(crate) use rescue::RescueData;
pub(crate) use store::Store;
pub(crate) use uptime::Resumed;
