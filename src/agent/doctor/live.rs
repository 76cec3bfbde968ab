//! Decides what it means for a registration that the node is registered already. Pure: every observation is a
//! parameter.

use std::collections::BTreeSet;

use serde::Serialize;

use super::diagnosis::judge_write_failure;
use super::finding::Finding;
use crate::agent::client::ClientError;
use crate::agent::client::sanitize::sanitize;
use crate::protocol::{HeartbeatResponse, ListedPeer, RegisterRequest};

/// Judges the heartbeat of a node that is registered already.
pub(crate) fn judge_renewal(
    result: &Result<HeartbeatResponse, ClientError>,
    address: &str,
    has_password: bool,
) -> Finding {
    match result {
        Ok(response) => Finding::Renewed {
            lease_ms: response.expires_at.saturating_sub(response.last_seen),
            heartbeat_interval_secs: response.heartbeat_interval_secs,
        },
        Err(error) => judge_write_failure(error, address, has_password),
    }
}

/// Compares the entry of a registered node with what is to be announced, as far as the registry shows it.
/// `None` if there is no difference.
pub(crate) fn judge_live(live: &ListedPeer, announced: &RegisterRequest) -> Option<Finding> {
    let mut found = Differences(Vec::new());
    found.compare("addresses", &live.addresses, &announced.addresses);
    // A registry adds the one of a proven key.
    if announced.crypto_ipv6.is_some() {
        found.compare("cryptoIPv6", &live.crypto_ipv6, &announced.crypto_ipv6);
    }
    found.compare("version", &live.version, &announced.version);
    found.compare("networkId", &live.network_id, &announced.network_id);
    found.compare("privacyMode", &live.privacy_mode, &announced.privacy_mode);
    let bootstraps = &announced.bootstrap_capable;
    found.compare("bootstrapCapable", &live.bootstrap_capable, bootstraps);
    // A registration that does not mention relaying keeps the offer.
    if let Some(relays) = &announced.turn_capable {
        found.compare("turnCapable", &live.turn_capable, relays);
    }
    // Older registries show neither stores nor capabilities here.
    if let Some(stores) = &live.stores {
        found.stores(stores, &announced.stores);
        found.compare("capabilities", &live.capabilities, &announced.capabilities);
        let list = &announced.capability_list;
        found.compare("capabilityList", &live.capability_list, list);
    }
    let differences = found.0;
    (!differences.is_empty()).then_some(Finding::RegisteredOtherwise { differences })
}

struct Differences(Vec<String>);

impl Differences {
    fn compare<T: PartialEq + Serialize>(&mut self, name: &str, live: &T, announced: &T) {
        if live != announced {
            let (live, announced) = (json(live), json(announced));
            let difference = format!("{name}: registered {live}, here {announced}");
            self.0.push(sanitize(&difference));
        }
    }

    /// Their order does not count, and there may be a thousand.
    fn stores(&mut self, live: &[String], announced: &[String]) {
        let (live, announced) = (set_of(live), set_of(announced));
        let (only_live, only_here) = (
            live.difference(&announced).count(),
            announced.difference(&live).count(),
        );
        if only_live + only_here > 0 {
            let difference = format!(
                "stores: {only_live} registered that are not here, {only_here} here that are not registered"
            );
            self.0.push(difference);
        }
    }
}

/// A value as JSON; `nothing` if it is absent.
fn json(value: &impl Serialize) -> String {
    match serde_json::to_string(value) {
        Ok(json) if json != "null" => json,
        _ => "nothing".to_owned(),
    }
}

fn set_of(stores: &[String]) -> BTreeSet<&String> {
    stores.iter().collect()
}
