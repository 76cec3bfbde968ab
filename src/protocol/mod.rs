//! The wire contract as types, and the rules of the protocol. Shared by the registry and the node's
//! agent. No I/O.
//!
//! Requests are parsed here, not merely checked: a [`RegisterRequest`] that was parsed has passed every
//! limit except the number of addresses, since those that nobody may list are taken out first.
//!
//! # The rules
//!
//! The words MUST, MUST NOT, SHOULD, SHOULD NOT and MAY are used as in RFC 2119. A *registry* is a
//! server of this protocol, a *node* is a client that wants to be listed, a *reader* is any client
//! that lists peers.
//!
//! ## Messages
//!
//! - A request body MUST be one JSON object in UTF-8, with `Content-Type: application/json`. It MAY be
//!   compressed with gzip. A registry MUST refuse an object, at any depth, that names a key twice.
//! - A registry MUST ignore fields that it does not know, and MUST take `null` as absent. It SHOULD take
//!   the empty string as absent, and `1`, `0`, `"true"`, `"no"` and the like as flags, since nodes send
//!   them. It MAY take a name that differs from a field's only in case, hyphens and underscores for that
//!   field, if the field itself is absent.
//! - A node MUST ignore response fields that it does not know. It SHOULD work with a response that
//!   lacks a field which older registries do not send; these fields have a default here.
//! - A registry MUST NOT rename, retype or remove a field.
//! - The response to each request that a registry refuses MUST be an [`ErrorBody`], except what a proxy
//!   refuses.
//! - A node MUST decide by `code`, not by the words of `error`. It SHOULD treat a `code` that it does
//!   not know by the HTTP status.
//! - A node SHOULD NOT follow redirects. It SHOULD take a 200 for a renewal only if `peerId` in the
//!   response is its own, since a proxy may respond 200 to anything.
//!
//! ## Registration
//!
//! - A node MUST register before it sends heartbeats. A new `peerId` MUST begin with a letter or a
//!   digit (see [`PeerId`]).
//! - A registration replaces everything that the peer announced before, except its TURN offer.
//! - A registry MUST refuse what [`parse`](RequestBody::parse) refuses. Under the address policy
//!   `crypto-ipv6` it MUST also refuse, with `privacy_violation`, a registration that names a host
//!   other than the peer's crypto-IPv6, and MUST NOT store any part of it.
//! - A registry MUST NOT refuse a registration for a detail that is surplus or unknown to it and harms
//!   nobody: an address or a store too many, an unknown transport behind the crypto-IPv6, an entry of
//!   `addresses` that names no host, a `version`, port or capability of the wrong form. It stores the rest
//!   and names the detail in `dropped`. It MUST refuse what would make the entry wrong: a wrong `peerId`,
//!   `networkId` or flag, or under the policy `crypto-ipv6` a wrong `cryptoIPv6`.
//! - Under the policy `crypto-ipv6`, a host in an address that would be dropped MUST be refused, too.
//!   `dropped` MUST NOT repeat what the node sent, except the name of a misspelled field.
//! - A registry MUST NOT read the TURN fields unless `turnCapable` is true.
//! - Under the policy `any`, a registry SHOULD drop addresses that lead to no other machine, and those of
//!   private networks, also from a TURN offer.
//! - A registry MUST take an id that is spelled as a CIDv1 of a libp2p key for the same peer as its
//!   base58 form, and MUST store and return the latter.
//! - A registry MUST NOT read `realAddresses`.
//! - A registry MUST NOT respond 200 before the change is committed and synced to disk. After an error
//!   nothing of the request is stored.
//! - A node MUST register again when a heartbeat gets `peer_not_found`, and when it has
//!   something new to announce. It MAY do so when its lease has run out by its own clock. In all other
//!   cases it SHOULD send a heartbeat.
//! - If a registry keeps responding `peer_not_found`, a node SHOULD register at once only the first
//!   time, and back off from then on.
//! - A node SHOULD wait 10 minutes before it repeats a registration that was refused with 400 or 403,
//!   unless it changes the registration.
//!
//! ## Heartbeat
//!
//! - A node SHOULD send a heartbeat every `heartbeatIntervalSecs`, or every 120 s if the response does
//!   not say. It SHOULD move each one by a random time of up to a tenth of the interval either way.
//! - A node MUST send it well before the end of its lease, and SHOULD use an interval of at most half
//!   a lease. It SHOULD keep the interval between 1 s and 1 h, whatever the registry says.
//! - The response to a heartbeat of a peer that is not registered MUST be 404 `peer_not_found`. A
//!   node MUST NOT take another 404 for that, e.g. the error page of a proxy.
//! - A registry MUST accept the heartbeat of a registered peer whose lease has run out, if no cleanup
//!   has removed the peer yet. The peer is active again.
//!
//! ## What is stored
//!
//! - A registry MAY send `registrationDigest` in the responses to registrations and heartbeats. Equal
//!   texts MUST mean that the same registration and TURN offer are stored, and a node MUST treat the
//!   text as opaque.
//! - If a heartbeat brings another digest than the node's last registration or TURN offer, another node
//!   has registered with its id. A node SHOULD then register again, but at most once in a lease, since
//!   two nodes with one key would otherwise replace each other for ever. It SHOULD warn its operator.
//! - A registry that stores less than was announced MUST name the rest in `dropped`. A node SHOULD show
//!   it, and any `warning`, to its operator.
//!
//! ## Lease
//!
//! - These requests of a peer renew its lease: a registration, a heartbeat, a TURN offer, a granted or
//!   released session, a usage report with at least one known session. A refused request does not,
//!   except that a registry MAY renew the lease of a registered peer when it refuses the registration
//!   with `registry_full`.
//! - A lease lasts from `lastSeen` to `expiresAt`, both included. A registry MUST list a peer for that
//!   time, and MUST NOT list it afterwards.
//! - A registry MUST NOT count time in which it was down, or could not write, against a lease. So a
//!   lease may last longer than `expiresAt` says, never shorter.
//! - A request MUST NOT expire the peer that sent it.
//! - A node MUST NOT compare `expiresAt` with its own clock. It MAY use `expiresAt - lastSeen` as the
//!   length of the lease.
//!
//! ## Proofs
//!
//! - A node MAY prove that it holds the key of its id, with the scheme of `authentication`, on any path
//!   or on `/auth` alone. A registry that speaks the scheme MUST take the proof before it looks at the rest
//!   of the request, and MUST NOT take a wrong one for none: it sends 401 `invalid_authentication`.
//! - Once an id was proven, a registry MUST refuse writes for it without a proof, with 401
//!   `authentication_required`, for at least as long as the peer is registered. It MUST refuse a write with
//!   the proof of another id, with 403 `identity_mismatch`.
//! - A registry MUST set `authenticated` of a listed peer only if its registration was proven, and MUST list
//!   such a peer with the crypto-IPv6 of its key or none.
//! - A node SHOULD verify the registry's own proof, and SHOULD warn its operator if the registry has another
//!   key than before.
//! - A reader MUST NOT take `authenticated` for a statement about the addresses of a peer.
//!
//! ## TURN
//!
//! - `turnCapable: true` with `turnAddresses` and `turnPort` in a registration replaces the TURN offer
//!   of the peer. `turnCapable: false` MUST withdraw it and end its sessions. Anything else MUST leave
//!   it as it is.
//! - Only a registered peer can offer to relay, and only an active one gets a session. A registry MUST
//!   NOT choose the peer itself as its TURN server, nor a server without room.
//! - A registry MUST NOT refuse a registration, a heartbeat or a listing because of the cost of
//!   relaying.
//! - A node MUST keep its `sessionId` secret, except from its TURN server. It SHOULD renew a session
//!   before `expiresAt` by sending the `sessionId`, and release it when it is done.
//! - A node SHOULD try a direct connection before it asks, and say so with `p2pAttempted`.
//! - A TURN server SHOULD report what its sessions relayed, at most one hour after they ended. A
//!   registry SHOULD bound what it believes.
//! - `userTier` and `isPremium` MUST NOT raise the tier of a peer, unless the operator trusts clients.
//!
//! ## Retry
//!
//! - A registry MUST send `Retry-After` with each 429 and 503 that has a `code`, with a random part, so
//!   that nodes refused together do not come back together.
//! - After 429 and 503, a node MUST wait for `Retry-After` (5 s if there is none; it MAY stop waiting
//!   after 10 minutes), and SHOULD add a random time of up to the same length, or up to its heartbeat
//!   interval if it was told to wait 10 s or more. A registry does not send 429 to a registration or
//!   a heartbeat, but a proxy may.
//! - After no response, or one that no registry sends, a node SHOULD wait a random time from 0 to a bound:
//!   1 s at first, five times as much after each further failure, at most the heartbeat interval.
//! - A node SHOULD NOT retry earlier because of something else, e.g. a changed registration.
//!
//! ## Cursor
//!
//! - A reader MUST treat `nextCursor` as opaque: it passes it back as `cursor`, with the same filters,
//!   and MUST NOT build one.
//! - A reader MUST stop when `nextCursor` is null, and SHOULD stop when a page brings no new peer.
//! - A registry MUST list each matching peer that is active throughout on exactly one page. It MAY list
//!   or leave out peers that join or leave meanwhile. A cursor MUST stay valid when its peer leaves.
//! - `cursor` and `limit` exclude each other. A registry MAY return fewer peers than `limit` asks for.

#[cfg(any(feature = "server", feature = "agent"))]
pub mod authentication;
mod body_fault;
mod compatible;
mod cost;
mod dropped;
mod errors;
mod fields;
mod identity;
mod ids;
mod limits;
mod parameters;
pub mod paths;
mod peers;
mod peers_query;
mod receipt;
mod request;
mod sessions;
mod spelling;
mod status;
mod text;
mod turn;
mod unique_keys;

pub use cost::{
    AdminResponse, AllocationStats, CostInfo, CostMetrics, CostMode, CostStatsResponse,
    HealthCostInfo, ModeOverride, ModeStats, SessionStats, SetModeRequest, SetSpendRequest,
    SetTierRequest, SpendSource, Tier,
};
pub use dropped::{Announced, DroppedField, DroppedFields, OddAddress};
pub use errors::{ErrorBody, ErrorCode, RequestError};
pub use identity::{AuthResponse, UnregisterResponse};
pub use ids::PeerId;
pub use limits::Limits;
pub use peers::{
    HeartbeatRequest, HeartbeatResponse, ListedPeer, PeerResponse, PeersResponse, RegisterRequest,
    RegisterResponse,
};
pub use peers_query::{PeerFilter, PeersQuery};
pub use receipt::Receipt;
pub use request::RequestBody;
pub use sessions::{
    AllocateTurnRequest, AllocateTurnResponse, AllocatedTurnServer, AllocationRefusedResponse,
    HitLimit, IceServer, ReleaseTurnRequest, ReleaseTurnResponse, ReportTurnUsageRequest,
    ReportTurnUsageResponse, SessionLimits, SessionUsage,
};
pub use status::{HealthResponse, HealthStatus, StartingResponse, StatsResponse};
pub use text::is_visible;
#[cfg(feature = "agent")]
pub(crate) use text::{is_clean_json, is_clean_text};
pub use turn::{
    ListedTurnServer, RegisterTurnServerRequest, RegisterTurnServerResponse, TurnOffer,
    TurnServersResponse,
};
