//! What the registry knows of peers and of the sessions that it granted.

use std::sync::Arc;

use crate::protocol::{PeerId, Tier, TurnOffer};

/// What a peer announced, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Profile {
    /// Where the peer can be reached.
    pub addresses: Vec<String>,
    /// The peer's crypto-IPv6 in its own spelling.
    pub crypto_ipv6: Option<String>,
    /// Ids of the stores it serves, each once.
    pub stores: Vec<String>,
    /// The protocol version it speaks.
    pub version: Option<String>,
    /// Whether it asks for its privacy.
    pub privacy_mode: bool,
    /// A JSON object, as compact text.
    pub capabilities: Option<String>,
    /// A JSON array, as compact text.
    pub capability_list: Option<String>,
    /// Whether it helps others to bootstrap.
    pub bootstrap_capable: bool,
    /// The network it belongs to.
    pub network_id: Option<String>,
    /// The version of its software.
    pub software_version: Option<String>,
    /// The port it serves on.
    pub server_port: Option<u16>,
    /// Its type in Chia's numbering.
    pub node_type: Option<u16>,
    /// Whether it relays; true whenever `turn` is there.
    pub turn_capable: bool,
    /// Its TURN registration.
    pub turn: Option<TurnOffer>,
}

/// A request to be registered that passed the address policy.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The peer to register.
    pub peer_id: PeerId,
    /// What it announced; its `turn` holds the offer of this request only.
    pub profile: Profile,
    /// What the request said about `turnCapable`, if anything.
    pub turn_capable: Option<bool>,
}

/// A row of the peer table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPeer {
    /// The row's key, given by the registry, never reused while the process runs.
    pub row_id: i64,
    /// The peer's name.
    pub peer_id: PeerId,
    /// When the peer first registered, in Unix milliseconds.
    pub registered_at_ms: i64,
    /// When its lease was last renewed, in Unix milliseconds.
    pub last_seen_ms: i64,
    /// What it announced.
    pub profile: Profile,
}

/// Bytes that one Mbit/s moves in a millisecond.
const BYTES_PER_MBPS_MS: i64 = 125;

/// A TURN session that was granted. It is live until its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnSession {
    /// Its name, which nobody can guess.
    pub session_id: Arc<str>,
    /// The peer that it was granted to.
    pub peer_id: PeerId,
    /// The peer that relays.
    pub server_id: PeerId,
    /// The tier that it was granted to.
    pub tier: Tier,
    /// The bandwidth that was granted last, in Mbit/s.
    pub mbps: u32,
    /// When it was granted first, in Unix milliseconds.
    pub granted_at_ms: i64,
    /// When it ends or has ended, in Unix milliseconds.
    pub expires_at_ms: i64,
    /// Since when `mbps` holds, in Unix milliseconds.
    pub rate_from_ms: i64,
    /// What it is taken to have relayed before that.
    pub accrued_bytes: i64,
    /// What it has relayed by the last report.
    pub reported_bytes: Option<i64>,
    /// What of it is in the books of the days.
    pub booked_bytes: i64,
    /// Up to which moment the books are kept, in Unix milliseconds.
    pub booked_until_ms: i64,
}

impl TurnSession {
    /// Whether it is live at `now_ms`.
    pub fn is_live(&self, now_ms: i64) -> bool {
        now_ms < self.expires_at_ms
    }

    /// Whether it has ended and all of it is in the books.
    pub fn is_settled(&self) -> bool {
        self.booked_until_ms >= self.expires_at_ms
    }

    /// Bytes a millisecond at the bandwidth that was granted.
    pub fn bytes_per_ms(&self) -> i64 {
        i64::from(self.mbps) * BYTES_PER_MBPS_MS
    }

    /// What it has relayed by `at_ms`: by report, or else as much as it was granted.
    pub fn relayed_bytes(&self, at_ms: i64) -> i64 {
        let granted = || self.granted_bytes(at_ms);
        self.reported_bytes.unwrap_or_else(granted)
    }

    /// What it may have relayed by `at_ms` at the bandwidth that was granted.
    pub fn granted_bytes(&self, at_ms: i64) -> i64 {
        let elapsed_ms = at_ms.min(self.expires_at_ms) - self.rate_from_ms;
        self.accrued_bytes + self.bytes_per_ms() * elapsed_ms.max(0)
    }
}

/// Bytes sent on one day, or a change of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayTraffic {
    /// By the HTTP server.
    pub http_bytes: i64,
    /// By TURN servers.
    pub relayed_bytes: i64,
}
