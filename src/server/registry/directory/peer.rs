//! A peer in the directory, prepared for listings.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use serde::Serialize;
use serde_json::value::RawValue;

use super::digest::registration_digest;
use super::history::History;
use super::interner::TextId;
use super::pool::{ENTRY_BYTES, Pooled};
use crate::protocol::{PeerId, TurnOffer};
use crate::server::model::Profile;
use crate::server::policy::selection::Traits;

/// The number of combinations of the flags that filters use.
pub(crate) const FLAGS: usize = 8;

/// The index of a combination, below [`FLAGS`].
pub(crate) fn flags_of(turn_capable: bool, bootstrap_capable: bool, authenticated: bool) -> usize {
    let flags = [turn_capable, bootstrap_capable, authenticated];
    flags
        .iter()
        .fold(0, |index, flag| index * 2 + usize::from(*flag))
}

/// Traits that many peers share, stored once, with their JSON.
#[derive(Debug)]
pub(crate) struct SharedTraits {
    pub(crate) traits: Traits,
    pub(crate) network: Option<TextId>,
    pub(crate) version: Option<TextId>,
    /// The JSON members of a listed peer from `version` to `authenticated`.
    json: Box<str>,
}

impl SharedTraits {
    pub(crate) fn new(traits: Traits, network: Option<TextId>, version: Option<TextId>) -> Self {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Members<'t> {
            version: &'t Option<String>,
            turn_capable: bool,
            bootstrap_capable: bool,
            privacy_mode: bool,
            network_id: &'t Option<String>,
            authenticated: bool,
        }
        let json = members(&Members {
            version: &traits.version,
            turn_capable: traits.turn_capable,
            bootstrap_capable: traits.bootstrap_capable,
            privacy_mode: traits.privacy_mode,
            network_id: &traits.network_id,
            authenticated: traits.authenticated,
        });
        Self {
            traits,
            network,
            version,
            json,
        }
    }

    /// The index of the peer's combination of flags.
    pub(crate) fn flags(&self) -> usize {
        let traits = &self.traits;
        flags_of(
            traits.turn_capable,
            traits.bootstrap_capable,
            traits.authenticated,
        )
    }
}

impl Pooled for SharedTraits {
    type Key = Traits;

    fn key(&self) -> &Traits {
        &self.traits
    }

    fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, |text| text.len() + 8);
        let texts = text(&self.traits.network_id) + text(&self.traits.version);
        size_of::<Self>() + ENTRY_BYTES + self.json.len() + texts
    }
}

/// Which of the long optional members a listing includes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Include {
    /// `stores`.
    pub stores: bool,
    /// `capabilities` and `capabilityList`.
    pub capabilities: bool,
}

/// A registered peer.
///
/// Most of it is JSON text that is made once, when the peer registers. So a listing only copies
/// text, and a hundred thousand peers take tens of megabytes instead of hundreds.
#[derive(Debug)]
pub(crate) struct DirectoryPeer {
    pub(crate) row_id: i64,
    pub(crate) peer_id: PeerId,
    pub(crate) registered_at_ms: i64,
    /// Written only by the actor, after a commit.
    pub(crate) last_seen_ms: AtomicI64,
    /// The number of the last comparison with the table in which its row was found.
    pub(crate) sweep: AtomicU32,
    /// The digest of the profile without TURN.
    pub(crate) digest: u64,
    pub(crate) history: History,
    /// The JSON members from `peerId` to `cryptoIPv6`.
    pub(crate) head: Box<str>,
    pub(crate) traits: Arc<SharedTraits>,
    pub(crate) stores: Box<[TextId]>,
    /// The JSON members `capabilities` and `capabilityList`.
    pub(crate) capabilities: Arc<str>,
    pub(crate) turn: Option<Box<TurnOffer>>,
}

impl DirectoryPeer {
    pub(crate) fn peer_id(&self) -> &PeerId {
        &self.peer_id
    }

    /// The key of its row in the table.
    pub(crate) fn row_id(&self) -> i64 {
        self.row_id
    }

    /// When it first registered, in Unix milliseconds.
    pub(crate) fn registered_at_ms(&self) -> i64 {
        self.registered_at_ms
    }

    /// The digest of the profile without TURN.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// The digest of all that is stored for the peer.
    pub(crate) fn registration_digest(&self) -> u64 {
        registration_digest(self.digest, self.is_turn_capable(), self.turn())
    }

    /// The registrations before the present one.
    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// Whether it announces that it can relay.
    pub(crate) fn is_turn_capable(&self) -> bool {
        self.traits.traits.turn_capable
    }

    /// Whether its registration is proven.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.traits.traits.authenticated
    }

    /// Its TURN offer, if it has made one.
    pub(crate) fn turn(&self) -> Option<&TurnOffer> {
        self.turn.as_deref()
    }

    /// When its lease was last renewed, in Unix milliseconds.
    pub(crate) fn last_seen_ms(&self) -> i64 {
        self.last_seen_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn id(&self) -> &str {
        self.peer_id.as_str()
    }

    /// Memory of this peer in bytes, including its entries in the directory, without what it
    /// shares.
    pub(crate) fn bytes(&self) -> usize {
        let turn = self.turn.as_deref().map_or(0, turn_bytes);
        let stores = size_of_val(&*self.stores);
        PEER_BYTES + 2 * self.id().len() + self.head.len() + stores + turn + self.history.bytes()
    }

    /// The work of adding this peer to the lists or removing it, in changes of sets of peers.
    pub(crate) fn weight(&self) -> usize {
        1 + self.stores.len()
    }

    /// The length of the peer's JSON in bytes. `stores` is the JSON of its stores, which
    /// [`Directory`](super::Directory) writes.
    pub(crate) fn json_len(
        &self,
        last_seen_ms: i64,
        stores: Option<&[u8]>,
        include: Include,
    ) -> usize {
        // Braces, `,"lastSeen":` and a comma.
        const FRAME_BYTES: usize = 2 + 12 + 1;
        let sign = usize::from(last_seen_ms < 0);
        let digits = last_seen_ms.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
        let stores = stores.map_or(0, |stores| stores.len() + 10);
        let capabilities = if include.capabilities {
            self.capabilities.len() + 1
        } else {
            0
        };
        FRAME_BYTES
            + sign
            + digits
            + self.head.len()
            + self.traits.json.len()
            + stores
            + capabilities
    }

    /// Appends the peer to `out` in JSON, as a [`ListedPeer`](crate::protocol::ListedPeer).
    pub(crate) fn write_json(
        &self,
        out: &mut Vec<u8>,
        last_seen_ms: i64,
        stores: Option<&[u8]>,
        include: Include,
    ) {
        out.push(b'{');
        out.extend_from_slice(self.head.as_bytes());
        // Writing to a Vec cannot fail.
        let _ = write!(out, ",\"lastSeen\":{last_seen_ms},");
        out.extend_from_slice(self.traits.json.as_bytes());
        if let Some(stores) = stores {
            out.extend_from_slice(b",\"stores\":");
            out.extend_from_slice(stores);
        }
        if include.capabilities {
            out.push(b',');
            out.extend_from_slice(self.capabilities.as_bytes());
        }
        out.push(b'}');
    }

    #[cfg(test)]
    pub(crate) fn named(id: &str) -> Arc<Self> {
        Self::with_traits(id, None, None, 0)
    }

    #[cfg(test)]
    pub(crate) fn with_traits(
        id: &str,
        network: Option<TextId>,
        version: Option<TextId>,
        flags: usize,
    ) -> Arc<Self> {
        let traits = Traits {
            version: None,
            turn_capable: flags & 4 != 0,
            bootstrap_capable: flags & 2 != 0,
            privacy_mode: false,
            network_id: None,
            authenticated: flags & 1 != 0,
        };
        Arc::new(Self {
            row_id: 0,
            peer_id: PeerId::from_trusted(id),
            registered_at_ms: 0,
            last_seen_ms: AtomicI64::new(0),
            sweep: AtomicU32::new(0),
            digest: 0,
            history: History::default(),
            head: "".into(),
            traits: Arc::new(SharedTraits::new(traits, network, version)),
            stores: Box::default(),
            capabilities: "".into(),
            turn: None,
        })
    }
}

/// The fixed memory of a peer in bytes: the value itself, and its entries in the table of peers, in
/// the order of leases and in the set of active peers. Measured: see `benches/memory.rs`.
pub(crate) const PEER_BYTES: usize = 400;

/// Memory of a TURN offer and of the server's entries, in bytes.
pub(crate) fn turn_bytes(offer: &TurnOffer) -> usize {
    let addresses = offer.addresses.iter();
    300 + addresses.map(|address| address.len() + 32).sum::<usize>()
}

/// The members of an object as JSON, without its braces.
pub(crate) fn members(object: &impl Serialize) -> Box<str> {
    let json = serde_json::to_string(object).unwrap_or_default();
    json.strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or_default()
        .into()
}

/// The members `capabilities` and `capabilityList` of a listed peer.
pub(crate) fn capabilities_json(profile: &Profile) -> Box<str> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Capabilities {
        capabilities: Option<Box<RawValue>>,
        capability_list: Option<Box<RawValue>>,
    }
    let raw = |json: &Option<String>| {
        json.clone()
            .and_then(|json| RawValue::from_string(json).ok())
    };
    members(&Capabilities {
        capabilities: raw(&profile.capabilities),
        capability_list: raw(&profile.capability_list),
    })
}
