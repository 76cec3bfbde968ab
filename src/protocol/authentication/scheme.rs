//! The names and the limits of the scheme.

/// The name of the scheme (specification, "Introduction").
pub const SCHEME: &str = "libp2p-PeerID";

/// The id of the protocol of a path that does nothing but authenticate (specification,
/// "Authentication URI Endpoint").
pub const PROTOCOL_ID: &str = "/http-peer-id-auth/1.0.0";

/// The maximum length of a header of the scheme, in bytes (specification, "Considerations for
/// Implementations").
pub const MAX_HEADER_BYTES: usize = 2048;

/// The number of random bytes in a challenge. In base64url they are 44 characters.
pub const CHALLENGE_BYTES: usize = 32;

/// The minimum length of a challenge of the other side, in characters. go-libp2p requires the same.
pub const MIN_CHALLENGE_CHARS: usize = 32;
