//! The wire contract as types, shared by the registry and the node's agent. No I/O.
//!
//! Requests are parsed here, not merely checked: a [`RegisterRequest`] that exists has passed
//! every limit that does not depend on the registry's address policy. A registry MUST refuse what
//! [`parse`](RegisterRequest::parse) refuses and MUST ignore fields it does not know. A node MUST
//! renew its lease well before `expiresAt` (at `heartbeatIntervalSecs`, if it has no better plan)
//! and SHOULD register again only when a heartbeat is answered by the code `peer_not_found`.

mod errors;
mod fields;
mod ids;
mod limits;
mod peers;
mod status;
mod turn;

pub use errors::{ErrorBody, ErrorCode, RequestError};
pub use ids::PeerId;
pub use limits::Limits;
pub use peers::{
    HeartbeatRequest, HeartbeatResponse, ListedPeer, PeersResponse, RegisterRequest,
    RegisterResponse,
};
pub use status::{HealthResponse, HealthStatus, StatsResponse};
pub use turn::{
    ListedTurnServer, RegisterTurnServerRequest, RegisterTurnServerResponse, TurnOffer,
    TurnServersResponse,
};
