//! The paths of the registry's resources.

/// `POST`: announces a peer.
pub const REGISTER: &str = "/register";
/// `POST`: renews a lease.
pub const HEARTBEAT: &str = "/heartbeat";
/// `POST`: offers to relay.
pub const REGISTER_TURN_SERVER: &str = "/register-turn-server";
/// `GET`: lists active peers.
pub const PEERS: &str = "/peers";
/// `GET`: one active peer. `DELETE`: removes it.
pub const PEER: &str = "/peers/{peerId}";
/// `GET`: lists active TURN servers.
pub const TURN_SERVERS: &str = "/turn-servers";
/// `POST`: asks for relay capacity.
pub const ALLOCATE_TURN: &str = "/allocate-turn";
/// `POST`: ends a TURN session.
pub const RELEASE_TURN: &str = "/release-turn";
/// `POST`: reports what TURN sessions have relayed.
pub const REPORT_TURN_USAGE: &str = "/report-turn-usage";
/// Any method: proves a key and does nothing else.
pub const AUTH: &str = "/auth";
/// `GET`: the protocols of libp2p that the registry speaks over HTTP.
pub const PROTOCOLS: &str = "/.well-known/libp2p/protocols";
/// `GET`: what the registry has counted.
pub const STATS: &str = "/stats";
/// `GET`: what relaying costs.
pub const COST_STATS: &str = "/cost-stats";
/// `GET`: whether the registry serves.
pub const HEALTH: &str = "/health";
/// `PUT`, for the operator: the tier of a peer.
pub const ADMIN_PEER_TIER: &str = "/admin/peers/{peerId}/tier";
/// `PUT`, for the operator: what the cloud's bill says.
pub const ADMIN_SPEND: &str = "/admin/spend";
/// `PUT`, for the operator: forces a mode.
pub const ADMIN_MODE: &str = "/admin/mode";
