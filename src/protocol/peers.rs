//! Registering, renewing and listing peers.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::dropped::{Announced, DroppedField};
use super::fields::Fields;
use super::receipt::Receipt;
use super::request::RequestBody;
use super::{Limits, PeerId, RequestError, TurnOffer};

/// `POST /register`: a peer announces itself and replaces everything that it announced before,
/// except a TURN offer that it does not mention.
///
/// `realAddresses` is allowed in the body and dropped unread: what is never read can never leak.
///
/// The default has an empty id, which every registry refuses: the id must be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegisterRequest {
    /// The peer's name.
    pub peer_id: PeerId,
    /// Where the peer can be reached, usually as multiaddrs; may be empty.
    pub addresses: Vec<String>,
    /// The peer's crypto-IPv6, in the spelling the peer uses.
    #[serde(rename = "cryptoIPv6", skip_serializing_if = "Option::is_none")]
    pub crypto_ipv6: Option<String>,
    /// Ids of the data stores that the peer serves, each once.
    pub stores: Vec<String>,
    /// The protocol version the peer speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether the peer asks for privacy; shown in listings, otherwise unused.
    pub privacy_mode: bool,
    /// A JSON object of capabilities, opaque to the registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Value>,
    /// Whether the peer relays; `false` withdraws an earlier TURN registration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn_capable: Option<bool>,
    /// Whether the peer helps others to bootstrap.
    pub bootstrap_capable: bool,
    /// The TURN fields, if `turnAddresses` names an address.
    #[serde(flatten)]
    pub turn: Option<TurnOffer>,
    /// The network the peer belongs to, e.g. `mainnet`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_id: Option<String>,
    /// The version of the peer's software.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
    /// The port the node serves on, 1 to 65535.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_port: Option<u16>,
    /// The node's type as Chia's protocol numbers it, 0 to 65535.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_type: Option<u16>,
    /// A JSON array of `[number, name]` pairs, opaque to the registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capability_list: Option<Value>,
}

/// All fields that are read of a registration, with those about TURN at the end.
const NAMES: [&str; 17] = {
    let [turn_addresses, turn_port, turn_capacity] = TurnOffer::FIELDS;
    [
        "peerId",
        "addresses",
        "cryptoIPv6",
        "stores",
        "version",
        "privacyMode",
        "capabilities",
        "turnCapable",
        "bootstrapCapable",
        "networkId",
        "softwareVersion",
        "serverPort",
        "nodeType",
        "capabilityList",
        turn_addresses,
        turn_port,
        turn_capacity,
    ]
};

impl RequestBody for Announced<RegisterRequest> {
    /// Parses a registration. What describes the node but places it nowhere is dropped if it is
    /// wrong; its id, its network and its flags must be right.
    fn parse(body: &[u8], limits: &Limits) -> Result<Self, RequestError> {
        let mut fields = Fields::parse(body, limits)?;
        let turn_capable = fields.flag("turnCapable")?;
        let peer_id = fields.new_peer_id()?;
        let (addresses, odd_addresses) = fields.addresses("addresses")?;
        let (crypto_ipv6, odd_crypto_ipv6) = match fields.trimmed_text("cryptoIPv6") {
            Ok(text) => (text, None),
            Err(error) => (None, Some(error)),
        };
        // Some nodes always send the TURN fields, with whatever they have.
        let offer = match turn_capable {
            Some(true) => TurnOffer::from_fields(&mut fields, limits)?,
            Some(false) | None => None,
        };
        let (turn, turn_positions) = offer.unzip();
        let request = RegisterRequest {
            peer_id,
            addresses,
            crypto_ipv6,
            stores: fields.stores("stores"),
            version: fields.or_drop(|fields| fields.text("version")),
            privacy_mode: fields.flag("privacyMode")?.unwrap_or(false),
            capabilities: fields
                .or_drop(|fields| fields.json("capabilities", "an object", Value::is_object)),
            turn_capable,
            bootstrap_capable: fields.flag("bootstrapCapable")?.unwrap_or(false),
            turn,
            network_id: fields.trimmed_text("networkId")?,
            software_version: fields.or_drop(|fields| fields.text("softwareVersion")),
            server_port: fields.or_drop(|fields| fields.port("serverPort")),
            node_type: fields.or_drop(|fields| fields.number("nodeType", 0, i64::from(u16::MAX))),
            capability_list: fields
                .or_drop(|fields| fields.json("capabilityList", "an array", Value::is_array)),
        };
        // Without `turnCapable` the TURN fields are not read, however they are spelled.
        let read = match turn_capable {
            Some(true) => &NAMES[..],
            Some(false) | None => &NAMES[..NAMES.len() - TurnOffer::FIELDS.len()],
        };
        Ok(Self {
            request,
            odd_addresses,
            odd_crypto_ipv6,
            turn_positions: turn_positions.unwrap_or_default(),
            dropped: fields.into_dropped(read),
        })
    }
}

/// The response to `POST /register`: the registration is on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegisterResponse {
    /// Always true.
    pub success: bool,
    /// The peer that registered.
    pub peer_id: PeerId,
    /// Registered peers, this one included.
    pub total_peers: u64,
    /// What the response to every mutation says.
    #[serde(flatten)]
    pub receipt: Receipt,
    /// When the lease was renewed, in Unix milliseconds. Zero from a registry that does not say.
    #[serde(default)]
    pub last_seen: i64,
    /// When the lease runs out unless it is renewed, in Unix milliseconds.
    /// Zero from a registry that does not say.
    #[serde(default)]
    pub expires_at: i64,
    /// How often the registry wants a heartbeat, in seconds. Zero from one that does not say.
    #[serde(default)]
    pub heartbeat_interval_secs: u64,
    /// A digest of what is stored for the peer: equal texts mean that the same is stored. Opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_digest: Option<String>,
    /// What the registry warns the node of, e.g. that two nodes use its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// What the registry left out of the registration; absent if nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Vec<DroppedField>>,
}

/// `POST /heartbeat`: a peer renews its lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatRequest {
    /// The peer whose lease to renew.
    pub peer_id: PeerId,
}

impl RequestBody for HeartbeatRequest {
    fn parse(body: &[u8], limits: &Limits) -> Result<Self, RequestError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        struct Plain<'b> {
            peer_id: &'b str,
        }
        // Most requests have exactly this form, so it has a fast path. Any other body is parsed, and
        // its faults reported, as in every other request.
        let peer_id = match serde_json::from_slice(body) {
            Ok(Plain { peer_id }) => PeerId::parse(peer_id, "peerId", limits)?,
            Err(_) => Fields::parse(body, limits)?.peer_id()?,
        };
        Ok(Self { peer_id })
    }
}

/// The response to `POST /heartbeat`: the renewal is on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatResponse {
    /// Always true.
    pub success: bool,
    /// The peer whose lease was renewed.
    pub peer_id: PeerId,
    /// When the lease was renewed, in Unix milliseconds.
    pub last_seen: i64,
    /// Registered peers.
    pub total_peers: u64,
    /// What the response to every mutation says.
    #[serde(flatten)]
    pub receipt: Receipt,
    /// When the lease runs out unless it is renewed, in Unix milliseconds.
    /// Zero from a registry that does not say.
    #[serde(default)]
    pub expires_at: i64,
    /// How often the registry wants a heartbeat, in seconds. Zero from one that does not say.
    #[serde(default)]
    pub heartbeat_interval_secs: u64,
    /// A digest of what is stored for the peer: equal texts mean that the same is stored. Opaque.
    /// If it differs from the one in the response to the registration, another node has registered
    /// with the peer's id since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_digest: Option<String>,
    /// What the registry warns the node of, e.g. that two nodes use its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl HeartbeatResponse {
    /// The response as JSON, the same text as serde writes, which takes four times as long.
    pub fn to_json(&self) -> String {
        let Self {
            success,
            peer_id,
            last_seen,
            total_peers,
            receipt,
            expires_at,
            heartbeat_interval_secs,
            registration_digest,
            warning,
        } = self;
        let Receipt {
            cleaned_expired_peers,
            timestamp,
        } = receipt;
        let mut json = String::with_capacity(320 + peer_id.as_str().len());
        // Writing to a String cannot fail; neither an id nor a timestamp needs escaping.
        let _ = write!(
            json,
            "{{\"success\":{success},\"peerId\":\"{peer_id}\",\"lastSeen\":{last_seen},\
             \"totalPeers\":{total_peers},\"cleanedExpiredPeers\":{cleaned_expired_peers},\
             \"timestamp\":\"{timestamp}\",\"expiresAt\":{expires_at},\
             \"heartbeatIntervalSecs\":{heartbeat_interval_secs}"
        );
        let texts = [
            ("registrationDigest", registration_digest),
            ("warning", warning),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                let _ = write!(json, ",\"{name}\":{}", Value::from(text.as_str()));
            }
        }
        json.push('}');
        json
    }
}

/// The response to `GET /peers`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeersResponse {
    /// The peers of this page or sample.
    pub peers: Vec<ListedPeer>,
    /// Active peers that match the query, on all pages.
    pub total: u64,
    /// Registered peers, active or not, matching or not.
    pub total_registered: u64,
    /// When the registry responded, RFC 3339.
    pub timestamp: String,
    /// Number of peers in this response.
    #[serde(default)]
    pub returned: u64,
    /// What to pass as `cursor` for the next page; null on the last page and with `limit`.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// The response to `GET /peers/{peerId}`. An inactive peer is answered as an unknown one, with 404
/// `peer_not_found`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerResponse {
    /// The peer.
    pub peer: ListedPeer,
    /// When the registry responded, RFC 3339.
    pub timestamp: String,
}

/// A peer as `GET /peers` shows it. A field that the peer did not announce is null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedPeer {
    /// The peer's name.
    pub peer_id: PeerId,
    /// Where the peer can be reached.
    pub addresses: Vec<String>,
    /// The peer's crypto-IPv6.
    #[serde(rename = "cryptoIPv6")]
    pub crypto_ipv6: Option<String>,
    /// When the peer's lease was last renewed, in Unix milliseconds.
    pub last_seen: i64,
    /// The protocol version the peer speaks.
    pub version: Option<String>,
    /// Whether the peer relays.
    pub turn_capable: bool,
    /// Whether the peer helps others to bootstrap.
    pub bootstrap_capable: bool,
    /// Whether the peer asks for privacy.
    pub privacy_mode: bool,
    /// The network the peer belongs to.
    pub network_id: Option<String>,
    /// Whether the sender of the registration proved to hold the key of the peer's id. False from a
    /// registry that does not say.
    #[serde(default)]
    pub authenticated: bool,
    /// Store ids; only with `includeStores=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stores: Option<Vec<String>>,
    /// Capabilities, an object; only with `includeCapabilities=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Value>,
    /// Capability list, an array; only with `includeCapabilities=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability_list: Option<Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_is_answered_in_the_same_json_as_by_serde() {
        let mut answer = HeartbeatResponse {
            success: true,
            peer_id: PeerId::parse("12D3KooW.-_", "peerId", &Limits::default()).unwrap(),
            last_seen: 1_795_470_772_675,
            total_peers: 10_000,
            receipt: Receipt {
                cleaned_expired_peers: 3,
                timestamp: crate::clock::rfc3339(1_795_470_772_675),
            },
            expires_at: 1_795_471_372_675,
            heartbeat_interval_secs: 120,
            registration_digest: None,
            warning: None,
        };
        assert_eq!(answer.to_json(), serde_json::to_string(&answer).unwrap());
        answer.registration_digest = Some("a1b2".to_owned());
        answer.warning = Some("two nodes \"announce\"\n".to_owned());
        assert_eq!(answer.to_json(), serde_json::to_string(&answer).unwrap());
    }

    #[test]
    fn a_heartbeat_is_read_alike_however_it_is_written() {
        let limits = Limits::default();
        let parse = |body: &str| HeartbeatRequest::parse(body.as_bytes(), &limits);
        for body in [
            r#"{"peerId":"abc"}"#,
            r#" { "peerId" : "a\u0062c" } "#,
            r#"{"peerId":"abc","more":[1]}"#,
        ] {
            assert_eq!(parse(body).unwrap().peer_id.as_str(), "abc", "{body}");
        }
        for body in [
            r#"{"peerId":"abc","peerId":"abc"}"#,
            r#"{"peerId":"abc"} x"#,
            r#"{"peerId":"a b"}"#,
            r#"{"peerId":null}"#,
            "",
        ] {
            assert!(parse(body).is_err(), "{body}");
        }
    }
}
