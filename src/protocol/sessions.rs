//! Allocating, renewing and ending TURN sessions, and reporting what they relayed.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::compatible::{list_or_text, text_or_number};
use super::fields::Fields;
use super::receipt::Receipt;
use super::request::RequestBody;
use super::{CostInfo, CostMode, ErrorCode, Limits, PeerId, RequestError, Tier};

/// The maximum number of sessions in one usage report. The limit on the body applies as well.
const MAX_REPORTED_SESSIONS: usize = 1024;

/// The maximum number of bytes in a report: 2^53 − 1, up to which JavaScript counts exactly.
const MAX_BYTES: i64 = (1 << 53) - 1;

/// The bandwidth of a request that names none, in Mbit/s.
const DEFAULT_MBPS: u32 = 10;

/// `POST /allocate-turn`: a registered peer asks for relay capacity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AllocateTurnRequest {
    /// The peer that asks.
    pub peer_id: PeerId,
    /// The bandwidth it needs, in Mbit/s; fractions are rounded up.
    #[serde(rename = "estimatedBandwidthMbps")]
    pub estimated_mbps: u32,
    /// The tier that it claims. It can lower the tier that the operator set, and raises it only if
    /// the operator trusts clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_tier: Option<Tier>,
    /// Whether it claims to be premium. `false` lowers a premium tier; `true` has an effect only if
    /// the operator trusts clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_premium: Option<bool>,
    /// Whether it has tried a direct connection.
    pub p2p_attempted: bool,
    /// The live session to renew, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
}

impl RequestBody for AllocateTurnRequest {
    /// Parses a request body; `storeId`, `rangeStart` and `rangeEnd` are checked and dropped.
    fn parse(body: &[u8], limits: &Limits) -> Result<Self, RequestError> {
        let mut fields = Fields::parse(body, limits)?;
        let request = Self {
            peer_id: fields.peer_id()?,
            estimated_mbps: fields
                .decimal(
                    "estimatedBandwidthMbps",
                    0.0..=100_000.0,
                    "a number of Mbit/s from 0 to 100000",
                )?
                .map_or(DEFAULT_MBPS, |mbps| (mbps.ceil() as u32).max(1)),
            user_tier: fields.word("userTier", "free, basic, standard or premium")?,
            is_premium: fields.flag("isPremium")?,
            p2p_attempted: fields.flag("p2pAttempted")?.unwrap_or(false),
            session_id: fields.text("sessionId")?,
        };
        fields.store_id("storeId")?;
        fields.number::<i64>("rangeStart", 0, MAX_BYTES)?;
        fields.number::<i64>("rangeEnd", 0, MAX_BYTES)?;
        Ok(request)
    }
}

/// The response to `POST /allocate-turn`: the session is on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AllocateTurnResponse {
    /// Always true.
    pub success: bool,
    /// The peer that asked.
    pub peer_id: PeerId,
    /// The id of the session, to renew, report and release it. Anyone who knows the id and the peer
    /// can do that.
    pub session_id: String,
    /// What was granted.
    pub limits: SessionLimits,
    /// What the month costs.
    pub cost_info: CostInfo,
    /// The mode in which it was granted.
    pub mode: CostMode,
    /// The server that relays.
    pub turn_server: AllocatedTurnServer,
    /// When the session ends unless it is renewed, in Unix milliseconds.
    pub expires_at: i64,
    /// The server as a browser's `RTCPeerConnection` takes it.
    pub ice_servers: Vec<IceServer>,
    /// What the response to every mutation says.
    #[serde(flatten)]
    pub receipt: Receipt,
}

/// What a session may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionLimits {
    /// Bandwidth, in Mbit/s.
    pub max_bandwidth_mbps: u32,
    /// How long it lasts unless it is renewed, in seconds.
    pub max_duration_seconds: u64,
    /// The name of its tier; from an earlier registry, the number in `priority`.
    #[serde(deserialize_with = "text_or_number")]
    pub priority_level: String,
    /// The priority of its tier, 1 to 4. `None` from an earlier registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
}

/// The TURN server of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AllocatedTurnServer {
    /// The peer that relays.
    pub peer_id: PeerId,
    /// Hosts or multiaddrs of the relay.
    pub addresses: Vec<String>,
    /// The port it listens on.
    pub port: u16,
}

/// A server in the form of `RTCIceServer` (W3C WebRTC, section 4.2.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// TURN URIs by RFC 7065. One text is read as a list of one, since WebRTC allows both.
    #[serde(deserialize_with = "list_or_text")]
    pub urls: Vec<String>,
    /// `<expiry in Unix seconds>:<peerId>`, if the registry signs credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password that a TURN server with the same secret accepts for this user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// The response to an allocation that is refused for its cost or by a limit: 429, or 503 in
/// `shutdown` mode and when no TURN server has room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AllocationRefusedResponse {
    /// Always false.
    pub success: bool,
    /// A sentence that says which limit was hit.
    pub error: String,
    /// What kind of refusal it is.
    pub code: ErrorCode,
    /// When to ask again, in seconds; the same as the header `Retry-After`.
    pub retry_after: u64,
    /// What the peer can do about it; with `attempt_p2p_first` this word, which nodes compare with.
    pub suggestion: String,
    /// What the month costs.
    pub cost_info: CostInfo,
    /// The mode in which it was refused.
    pub mode: CostMode,
    /// The limit that was hit.
    pub limit: HitLimit,
}

/// The limit that an allocation hit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HitLimit {
    /// Its name, in camelCase.
    pub name: String,
    /// What it allows, if it is a number.
    pub allowed: Option<u64>,
}

/// `POST /release-turn`: a peer ends a session early.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseTurnRequest {
    /// The peer whose session it is.
    pub peer_id: PeerId,
    /// The session.
    pub session_id: String,
    /// What it relayed, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_transferred: Option<i64>,
}

impl RequestBody for ReleaseTurnRequest {
    fn parse(body: &[u8], limits: &Limits) -> Result<Self, RequestError> {
        let mut fields = Fields::parse(body, limits)?;
        Ok(Self {
            peer_id: fields.peer_id()?,
            session_id: fields.text("sessionId")?.ok_or_else(|| {
                RequestError::missing("sessionId", "the sessionId of an allocation")
            })?,
            bytes_transferred: fields.number("bytesTransferred", 0, MAX_BYTES)?,
        })
    }
}

/// The response to `POST /release-turn`: the end of the session is on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseTurnResponse {
    /// Always true.
    pub success: bool,
    /// The session that ended.
    pub session_id: String,
    /// Bytes that the registry counts for it.
    pub bytes_transferred: i64,
    /// What the response to every mutation says.
    #[serde(flatten)]
    pub receipt: Receipt,
}

/// What a session relayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionUsage {
    /// The session.
    pub session_id: String,
    /// What it has relayed since it began, in bytes.
    pub bytes_transferred: i64,
}

/// `POST /report-turn-usage`: a TURN server reports what its sessions relayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportTurnUsageRequest {
    /// The TURN server that reports.
    pub peer_id: PeerId,
    /// What its sessions relayed.
    pub sessions: Vec<SessionUsage>,
}

impl RequestBody for ReportTurnUsageRequest {
    fn parse(body: &[u8], limits: &Limits) -> Result<Self, RequestError> {
        let form = format!(
            "an array of at most {MAX_REPORTED_SESSIONS} objects of sessionId and bytesTransferred"
        );
        let mut fields = Fields::parse(body, limits)?;
        let peer_id = fields.peer_id()?;
        let items = fields
            .items("sessions", MAX_REPORTED_SESSIONS, &form)?
            .ok_or_else(|| RequestError::missing("sessions", &form))?;
        let mut sessions = Vec::with_capacity(items.len());
        for (at, item) in items.into_iter().enumerate() {
            sessions.push(usage(item).ok_or_else(|| {
                let form = "an object of sessionId, a string, and bytesTransferred, a whole number";
                RequestError::invalid(format!("sessions[{at}]"), form)
            })?);
        }
        Ok(Self { peer_id, sessions })
    }
}

fn usage(mut item: Value) -> Option<SessionUsage> {
    let bytes_transferred = item.get("bytesTransferred")?.as_i64()?;
    let Some(Value::String(session_id)) = item.get_mut("sessionId").map(Value::take) else {
        return None;
    };
    (0..=MAX_BYTES)
        .contains(&bytes_transferred)
        .then_some(SessionUsage {
            session_id,
            bytes_transferred,
        })
}

/// The response to `POST /report-turn-usage`: what was accepted is on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportTurnUsageResponse {
    /// Always true.
    pub success: bool,
    /// Sessions of this server, whose usage was counted.
    pub accepted: u64,
    /// Sessions that are not this server's, or ended more than an hour ago.
    pub unknown: u64,
    /// What the response to every mutation says.
    #[serde(flatten)]
    pub receipt: Receipt,
}
