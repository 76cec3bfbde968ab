//! Offering relay capacity, and listing the peers that offer it.

use serde::{Deserialize, Serialize};

use super::dropped::{Announced, DroppedField};
use super::fields::Fields;
use super::receipt::Receipt;
use super::request::RequestBody;
use super::{Limits, PeerId, RequestError};

/// Sessions at a time on a TURN server whose offer does not say.
const DEFAULT_TURN_CAPACITY: u32 = 10;

/// What a peer offers as a TURN server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct TurnOffer {
    /// Hosts or multiaddrs of the relay; public by choice.
    #[serde(rename = "turnAddresses")]
    pub addresses: Vec<String>,
    /// The port the relay listens on.
    #[serde(rename = "turnPort")]
    pub port: u16,
    /// Sessions the relay takes at a time.
    #[serde(rename = "turnCapacity")]
    pub capacity: u32,
}

impl TurnOffer {
    /// Takes the TURN fields of a registration, in which they are optional as a group: nodes send
    /// an empty `turnAddresses`, or a lone port, when they found no public address. Returns the
    /// positions of the addresses, too.
    pub(crate) fn from_fields(
        fields: &mut Fields<'_>,
        limits: &Limits,
    ) -> Result<Option<(Self, Vec<usize>)>, RequestError> {
        let addresses = fields.turn_addresses("turnAddresses")?;
        if addresses.is_empty() {
            return Ok(None);
        }
        let port = fields
            .port("turnPort")?
            .ok_or_else(|| RequestError::missing("turnPort", "a whole number from 1 to 65535"))?;
        let max = limits.turn_capacity;
        let default = DEFAULT_TURN_CAPACITY.min(max);
        let reason = format!("turnCapacity is 0, which counts as absent: {default} is stored");
        fields.drop_zero("turnCapacity", reason);
        let reason = format!("turnCapacity is over the max: {max} is stored");
        fields.lower_to("turnCapacity", max, reason);
        let capacity = fields.number("turnCapacity", 1, i64::from(max))?;
        let (positions, addresses) = addresses.into_iter().unzip();
        let offer = Self {
            addresses,
            port,
            capacity: capacity.unwrap_or(default),
        };
        Ok(Some((offer, positions)))
    }

    /// The names of the fields.
    pub(crate) const FIELDS: [&'static str; 3] = ["turnAddresses", "turnPort", "turnCapacity"];
}

/// `POST /register-turn-server`: a registered peer offers to relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegisterTurnServerRequest {
    /// The peer that offers.
    pub peer_id: PeerId,
    /// What it offers.
    #[serde(flatten)]
    pub offer: TurnOffer,
}

impl RequestBody for Announced<RegisterTurnServerRequest> {
    fn parse(body: &[u8], limits: &Limits) -> Result<Self, RequestError> {
        const NAMES: [&str; 4] = {
            let [addresses, port, capacity] = TurnOffer::FIELDS;
            ["peerId", addresses, port, capacity]
        };
        let mut fields = Fields::parse(body, limits)?;
        let peer_id = fields.peer_id()?;
        let (offer, turn_positions) =
            TurnOffer::from_fields(&mut fields, limits)?.ok_or_else(|| {
                RequestError::missing(
                    "turnAddresses",
                    "an array of at least one host or multiaddr",
                )
            })?;
        Ok(Self {
            request: RegisterTurnServerRequest { peer_id, offer },
            odd_addresses: Vec::new(),
            odd_crypto_ipv6: None,
            turn_positions,
            dropped: fields.into_dropped(&NAMES),
        })
    }
}

/// The response to `POST /register-turn-server`: the offer is on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegisterTurnServerResponse {
    /// Always true.
    pub success: bool,
    /// The peer that offers.
    pub peer_id: PeerId,
    /// Active TURN servers, this one included.
    pub turn_servers: u64,
    /// A digest of what is stored for the peer, as in the responses to its heartbeats. Opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_digest: Option<String>,
    /// What the response to every mutation says.
    #[serde(flatten)]
    pub receipt: Receipt,
    /// What the registry warns the node of, e.g. that two nodes use its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// What the registry left out of the offer; absent if nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Vec<DroppedField>>,
}

/// The response to `GET /turn-servers`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnServersResponse {
    /// Active servers with room, the least loaded first.
    pub servers: Vec<ListedTurnServer>,
    /// Active servers with room, listed or not.
    pub total: u64,
    /// When the registry responded, RFC 3339.
    pub timestamp: String,
}

/// A TURN server as `GET /turn-servers` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedTurnServer {
    /// The peer that relays.
    pub peer_id: PeerId,
    /// Hosts or multiaddrs of the relay.
    pub turn_addresses: Vec<String>,
    /// The port the relay listens on.
    pub turn_port: u16,
    /// Sessions the relay takes at a time.
    pub turn_capacity: u32,
    /// Sessions it has now.
    pub current_load: u32,
    /// When the peer's lease was last renewed, in Unix milliseconds.
    pub last_seen: i64,
}
