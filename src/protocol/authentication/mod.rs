//! The authentication scheme `libp2p-PeerID`: how a client and a server prove to each other that they
//! hold the keys of their ids. The pure part of both sides; times and random bytes are parameters.
//!
//! The source is "Peer ID Authentication over HTTP" (libp2p/specs, `http/peer-id-auth.md`, revision 1 of
//! 2025-05-28), named "the specification" in this module.
//!
//! There are two handshakes and a token:
//!
//! - Server-initiated: the server sends a challenge with 401, the client returns its proof with a challenge
//!   of its own, the server serves the request and proves itself in `Authentication-Info`.
//! - Client-initiated: the client sends a challenge, the server proves itself with 401 and sends its
//!   challenge, the client returns its proof and the server serves the request.
//! - Bearer: after either handshake the server sends a token, which proves the client until it expires.
//!
//! The server stores nothing. What it must remember of a handshake is in `opaque`, and what it must
//! remember of a client is in `bearer`, both sealed with a key that only the server has.
//!
//! # What is in which file
//!
//! - `scheme`: names and limits; `parameters`: the parameters, and how they are written; `header`: how they
//!   are read; `base64url`: how bytes are written in them
//! - `signing`: the bytes that each side signs
//! - `keys`: public keys, of the kinds in `key_types`; `ids`: the names of a key
//! - feature `agent`: `client_side`, the handshake of a client, with `client_outcome`
//! - feature `server`: `server_side`, the decision on the header of a request, with `outcome`; `hosts`, the
//!   names of the server; `server_keys`; `challenge` and `token`, what the server remembers, as `sealed` has it

mod base64url;
#[cfg(feature = "server")]
mod challenge;
#[cfg(feature = "agent")]
mod client_outcome;
#[cfg(feature = "agent")]
mod client_side;
mod header;
#[cfg(feature = "server")]
mod hosts;
mod ids;
mod key_types;
mod keys;
#[cfg(feature = "server")]
mod outcome;
mod parameters;
mod scheme;
#[cfg(feature = "server")]
mod sealed;
#[cfg(feature = "server")]
mod server_keys;
#[cfg(feature = "server")]
mod server_side;
mod signing;
#[cfg(all(test, feature = "server", feature = "agent"))]
mod tests;
#[cfg(feature = "server")]
mod token;

#[cfg(feature = "agent")]
pub use client_outcome::{ClientFault, NextStep, ResponseHead};
#[cfg(feature = "agent")]
pub use client_side::ClientAuthentication;
pub use header::HeaderFault;
#[cfg(feature = "server")]
pub use hosts::{PublicHostFault, PublicHosts};
pub use ids::KeyNames;
#[cfg(feature = "agent")]
pub(crate) use ids::crypto_ipv6;
pub use key_types::{KeyType, KeyTypes};
pub use keys::{KeyFault, PeerKey};
#[cfg(feature = "server")]
pub use outcome::{InvalidReason, Outcome, Proof};
pub use parameters::{ParameterName, Parameters};
pub use scheme::{CHALLENGE_BYTES, MAX_HEADER_BYTES, MIN_CHALLENGE_CHARS, PROTOCOL_ID, SCHEME};
#[cfg(feature = "server")]
pub use sealed::{SealFault, SealingKey, SealingKeys};
#[cfg(feature = "server")]
pub use server_keys::ServerKeys;
#[cfg(feature = "server")]
pub use server_side::{ServerAuthentication, ServerSettings};
pub use signing::{bytes_to_sign, client_signs, server_signs};
