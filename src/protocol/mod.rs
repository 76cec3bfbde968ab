//! The wire contract as types, shared by the registry and the node's agent. No I/O.
//!
//! Requests are parsed here, not merely checked: a [`RegisterRequest`] that exists has passed
//! every limit that does not depend on the registry's address policy. A registry MUST refuse what
//! [`parse`](RequestBody::parse) refuses and MUST ignore fields it does not know. A node MUST
//! renew its lease well before `expiresAt` (at `heartbeatIntervalSecs`, if it has no better plan)
//! and SHOULD register again only when a heartbeat is answered by the code `peer_not_found`.

mod cost;
mod errors;
mod fields;
mod ids;
mod limits;
pub mod paths;
mod peers;
mod request;
mod sessions;
mod status;
mod text;
mod turn;

pub use cost::{
    AdminResponse, AllocationStats, CostInfo, CostMetrics, CostMode, CostStatsResponse,
    HealthCostInfo, ModeOverride, ModeStats, SessionStats, SetModeRequest, SetSpendRequest,
    SetTierRequest, SpendSource, Tier,
};
pub use errors::{ErrorBody, ErrorCode, RequestError};
pub use ids::PeerId;
pub use limits::Limits;
pub use peers::{
    HeartbeatRequest, HeartbeatResponse, ListedPeer, PeersResponse, RegisterRequest,
    RegisterResponse,
};
pub use request::RequestBody;
pub use sessions::{
    AllocateTurnRequest, AllocateTurnResponse, AllocatedTurnServer, AllocationRefusedResponse,
    HitLimit, IceServer, ReleaseTurnRequest, ReleaseTurnResponse, ReportTurnUsageRequest,
    ReportTurnUsageResponse, SessionLimits, SessionUsage,
};
pub use status::{HealthResponse, HealthStatus, StartingResponse, StatsResponse};
pub use text::is_visible;
pub use turn::{
    ListedTurnServer, RegisterTurnServerRequest, RegisterTurnServerResponse, TurnOffer,
    TurnServersResponse,
};
