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

pub use changes::{Changes, Cleanup, CommitOutcome, OfferedTurn, RelayChanges};
pub use error::StorageError;
pub use files_lost::FilesLost;
pub use loaded::{DataVersion, Loaded, Memory, PeerRows, RelayRows};
pub use lost::{Deed, FileGone};
pub use open_error::OpenError;
pub use quarantine::FaultyRow;
pub use rescue::Known;
pub use store::Store;
pub use uptime::Resumed;
