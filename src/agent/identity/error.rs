//! Why the node's identity cannot be read or made.

use std::io;
use std::path::PathBuf;

/// Why an identity cannot be read or made. The key file is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file cannot be read.
    #[error("cannot read the key file {path}")]
    Read {
        /// The key file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// What has the name of the file is a folder, a pipe or a device.
    #[error("cannot read the key file {path}: it is not a file")]
    NotAFile {
        /// The key file.
        path: PathBuf,
    },
    /// The file cannot be made.
    #[error("cannot make the key file {path}")]
    Create {
        /// The key file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The file does not contain an Ed25519 key.
    #[error(
        "the key file {path} is damaged or holds another kind of key: restore it from a copy, or \
         move it away to become a new peer"
    )]
    Damaged {
        /// The key file.
        path: PathBuf,
    },
    /// Others than the owner may write to the file.
    #[error("others can write to the key file {path} (mode {mode:o}): run chmod 600 on it")]
    TooOpen {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The text is not a libp2p id that contains its public key.
    #[error("this is not a libp2p id of an Ed25519 key, like 12D3KooW...")]
    NoPublicKey,
    /// The bytes are not an Ed25519 key in libp2p's encoding.
    #[error("the key is not an Ed25519 key in libp2p's protobuf encoding")]
    NotAKey,
}
