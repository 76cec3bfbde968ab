//! All SQL of the registry, over one SQLite connection.
//!
//! The registry commits in groups: a [`Changes`] is everything one transaction does, set by set
//! rather than row by row. `synchronous=FULL` makes a commit survive kill -9 and power loss.

mod access;
mod batch;
mod changes;
mod cost;
mod error;
mod files;
mod files_lost;
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
mod turn;
mod uptime;

pub(crate) use changes::{Changes, Cleanup, CommitOutcome, OfferedTurn, RelayChanges};
pub(crate) use error::StorageError;
pub(crate) use files_lost::FilesLost;
pub(crate) use loaded::{DataVersion, Loaded, Memory, PeerRows, RelayRows};
pub(crate) use lost::{Deed, FileGone};
pub use open_error::OpenError;
pub(crate) use quarantine::FaultyRow;
pub(crate) use rescue::Known;
pub(crate) use store::Store;
pub(crate) use uptime::Resumed;
