//! The max size of each part of a request.

/// The maximum of each part of a request. Every number is a setting of the registry.
///
/// A registry is open to anyone, so what one peer may store is what an attacker may store a
/// million times. The defaults leave room several times over for what nodes send today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Characters of a `peerId`. A libp2p id has 52; 128 leaves room for other schemes.
    pub peer_id_chars: usize,
    /// Entries of `addresses`, and of `turnAddresses`. A node has a few interfaces and transports.
    pub addresses: usize,
    /// Bytes of one address. A relayed WebTransport multiaddr with two certificate hashes and two
    /// peer ids takes about 350.
    pub address_bytes: usize,
    /// Entries of `stores`. Each costs an entry in the registry's index.
    pub stores: usize,
    /// Bytes of one store id. A DIG store id has 64.
    pub store_bytes: usize,
    /// Bytes of any other string.
    pub string_bytes: usize,
    /// Bytes of `capabilities`, and of `capabilityList`, written as compact JSON.
    pub capabilities_bytes: usize,
    /// The highest `turnCapacity`, in sessions.
    pub turn_capacity: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            peer_id_chars: 128,
            addresses: 16,
            address_bytes: 512,
            stores: 1024,
            store_bytes: 128,
            string_bytes: 64,
            capabilities_bytes: 8 * 1024,
            turn_capacity: 10_000,
        }
    }
}
