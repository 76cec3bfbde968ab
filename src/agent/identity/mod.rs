//! The node's key, the names that are derived from it, and the file that keeps it.

mod error;
mod key_file;
mod keypair;

pub use error::IdentityError;
pub use keypair::Identity;
