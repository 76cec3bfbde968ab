//! Leaves out of a registration what no registry takes, so that the rest is not refused with it.

use std::collections::HashSet;
use std::fmt::Display;

use serde_json::Value;

use super::address_form::{FORM, may_be_address};
use crate::agent::client::SetupError;
use crate::agent::client::sanitize::sanitize;
use crate::protocol::{
    DroppedField, Limits, RegisterRequest, TurnOffer, is_clean_json, is_clean_text,
};

/// The field with the addresses of the node itself. Those of a relay have other forms.
const ADDRESSES: &str = "addresses";
/// How much of a wrong text is shown.
const MAX_SHOWN_CHARS: usize = 80;

/// Returns a `networkId` without the blanks and line ends around it, as they come with a mounted file.
///
/// # Errors
/// [`SetupError::NetworkId`] if it is wrong otherwise. A registry refuses that, and without a network the node
/// would be in all networks.
pub fn check_network_id(text: &str, limits: &Limits) -> Result<String, SetupError> {
    let trimmed = text.trim();
    let max_bytes = limits.string_bytes;
    if is_clean_text(trimmed, max_bytes) {
        return Ok(trimmed.to_owned());
    }
    let given = trimmed.chars().take(MAX_SHOWN_CHARS).collect();
    Err(SetupError::NetworkId { given, max_bytes })
}

/// Returns the registration without what exceeds `limits`, and what was left out.
///
/// A registry may refuse a registration as a whole because of one detail, and the node would vanish
/// from its listing. A wrong `networkId` stays, for the registry to refuse: without it the node would be in all
/// networks.
#[must_use]
pub fn within_limits(
    mut registration: RegisterRequest,
    limits: &Limits,
) -> (RegisterRequest, Vec<DroppedField>) {
    let mut trim = Trim {
        limits,
        dropped: Vec::new(),
    };
    trim.addresses(ADDRESSES, &mut registration.addresses);
    trim.stores(&mut registration.stores);
    trim.text("cryptoIPv6", &mut registration.crypto_ipv6);
    trim.text("version", &mut registration.version);
    registration.network_id = registration
        .network_id
        .map(|text| check_network_id(&text, limits).unwrap_or(text))
        .filter(|text| !text.trim().is_empty());
    trim.text("softwareVersion", &mut registration.software_version);
    // Zero counts as none.
    registration.server_port = registration.server_port.filter(|port| *port > 0);
    let (object, array) = (Value::is_object, Value::is_array);
    trim.json("capabilities", &mut registration.capabilities, object);
    trim.json("capabilityList", &mut registration.capability_list, array);
    registration.turn = registration.turn.and_then(|offer| trim.turn(offer));
    if registration.turn.is_none() && registration.turn_capable == Some(true) {
        registration.turn_capable = None;
    }
    (registration, trim.dropped)
}

struct Trim<'l> {
    limits: &'l Limits,
    dropped: Vec<DroppedField>,
}

impl Trim<'_> {
    /// Adds a field. `reason` goes on with the sentence that its name begins.
    fn drop(&mut self, field: impl Into<String>, reason: impl Display) {
        let field = field.into();
        let reason = format!("{field} {reason}");
        self.dropped.push(DroppedField { field, reason });
    }

    fn addresses(&mut self, name: &str, addresses: &mut Vec<String>) {
        let (count, bytes) = (self.limits.addresses, self.limits.address_bytes);
        let mut kept = Vec::with_capacity(addresses.len().min(count));
        for (index, address) in addresses.drain(..).enumerate() {
            let field = || format!("{name}[{index}]");
            if !is_clean_text(&address, bytes) || address.contains(char::is_whitespace) {
                let form = "printable text without blanks";
                self.drop(field(), format!("is not 1 to {bytes} bytes of {form}"));
            } else if name == ADDRESSES && !may_be_address(&address) {
                self.drop(
                    field(),
                    format!("is neither {FORM}: {}", sanitize(&address)),
                );
            } else if kept.len() == count {
                self.drop(field(), format!("is beyond the {count} that are kept"));
            } else {
                kept.push(address);
            }
        }
        *addresses = kept;
    }

    /// Repeated stores are left out without a word: each is listed once in any case.
    fn stores(&mut self, stores: &mut Vec<String>) {
        let (count, bytes) = (self.limits.stores, self.limits.store_bytes);
        let mut seen = HashSet::new();
        stores.retain(|store| seen.insert(store.clone()));
        let found = stores.len();
        stores.retain(|store| is_clean_text(store, bytes));
        let unclean = found - stores.len();
        if unclean > 0 {
            let reason = format!(
                "include {unclean} of {found} that are not 1 to {bytes} bytes of visible text"
            );
            self.drop("stores", reason);
        }
        if stores.len() > count {
            self.drop("stores", format!("are more than the {count} that are kept"));
            stores.truncate(count);
        }
    }

    /// An empty text counts as none, and blanks around it do not count.
    fn text(&mut self, name: &str, text: &mut Option<String>) {
        let bytes = self.limits.string_bytes;
        if let Some(given) = text {
            *given = given.trim().to_owned();
        }
        match text {
            Some(given) if given.is_empty() => *text = None,
            Some(given) if !is_clean_text(given, bytes) => {
                self.drop(name, format!("is not 1 to {bytes} bytes of visible text"));
                *text = None;
            }
            _ => {}
        }
    }

    fn json(&mut self, name: &str, value: &mut Option<Value>, is_kind: fn(&Value) -> bool) {
        let bytes = self.limits.capabilities_bytes;
        let Some(given) = value.as_ref().filter(|given| !given.is_null()) else {
            *value = None;
            return;
        };
        if is_kind(given) && is_clean_json(given) && given.to_string().len() <= bytes {
            return;
        }
        let kind = if name == "capabilities" {
            "an object"
        } else {
            "an array"
        };
        self.drop(
            name,
            format!("is not {kind} of at most {bytes} bytes of JSON with visible text"),
        );
        *value = None;
    }

    /// An offer without an address or a port is none.
    fn turn(&mut self, mut offer: TurnOffer) -> Option<TurnOffer> {
        self.addresses("turnAddresses", &mut offer.addresses);
        let max = self.limits.turn_capacity;
        if offer.capacity == 0 || offer.capacity > max {
            let reason = format!("is not 1 to {max}: the nearest of them is sent");
            self.drop("turnCapacity", reason);
            offer.capacity = offer.capacity.clamp(1, max.max(1));
        }
        if offer.addresses.is_empty() || offer.port == 0 {
            self.drop(
                "turnAddresses",
                "or turnPort has nothing left: a TURN offer needs an address and a port",
            );
            return None;
        }
        Some(offer)
    }
}
