//! A peer as the directory holds it: ready to be written into a listing.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde::Serialize;

use crate::protocol::{PeerId, TurnOffer};
use crate::server::policy::selection::Traits;

/// What many peers have in common, kept once, with its JSON.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SharedTraits {
    pub(super) traits: Traits,
    /// The members of a listed peer from `version` to `networkId`.
    json: Box<str>,
}

impl SharedTraits {
    pub(super) fn new(traits: Traits) -> Self {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Members<'t> {
            version: &'t Option<String>,
            turn_capable: bool,
            bootstrap_capable: bool,
            privacy_mode: bool,
            network_id: &'t Option<String>,
        }
        let json = members(&Members {
            version: &traits.version,
            turn_capable: traits.turn_capable,
            bootstrap_capable: traits.bootstrap_capable,
            privacy_mode: traits.privacy_mode,
            network_id: &traits.network_id,
        });
        Self { traits, json }
    }
}

/// Which of the longer members a listing shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Include {
    /// `stores`.
    pub stores: bool,
    /// `capabilities` and `capabilityList`.
    pub capabilities: bool,
}

/// A registered peer.
///
/// Most of it is JSON text made once, when the peer registers: a listing copies text, and a
/// hundred thousand peers take tens of megabytes rather than hundreds.
#[derive(Debug)]
pub struct DirectoryPeer {
    pub(super) row_id: i64,
    pub(super) peer_id: PeerId,
    pub(super) registered_at_ms: i64,
    /// Written by the actor alone, after a commit.
    pub(super) last_seen_ms: AtomicI64,
    /// Tells profiles apart, TURN aside.
    pub(super) digest: u64,
    /// The members from `peerId` to `cryptoIPv6`.
    pub(super) head: Box<str>,
    pub(super) traits: Arc<SharedTraits>,
    pub(super) stores: Box<[Arc<str>]>,
    /// The members `capabilities` and `capabilityList`.
    pub(super) capabilities: Arc<str>,
    pub(super) turn: Option<Box<TurnOffer>>,
}

impl DirectoryPeer {
    /// The peer's name.
    pub fn peer_id(&self) -> &PeerId {
        &self.peer_id
    }

    /// The key of its row.
    pub(in super::super) fn row_id(&self) -> i64 {
        self.row_id
    }

    /// When it first registered, in Unix milliseconds.
    pub(in super::super) fn registered_at_ms(&self) -> i64 {
        self.registered_at_ms
    }

    /// Tells its profile from others, TURN aside.
    pub(in super::super) fn digest(&self) -> u64 {
        self.digest
    }

    /// Whether it says that it relays.
    pub(in super::super) fn is_turn_capable(&self) -> bool {
        self.traits.traits.turn_capable
    }

    /// What it offers as a TURN server.
    pub fn turn(&self) -> Option<&TurnOffer> {
        self.turn.as_deref()
    }

    /// When its lease was last renewed, in Unix milliseconds.
    pub fn last_seen_ms(&self) -> i64 {
        self.last_seen_ms.load(Ordering::Relaxed)
    }

    pub(super) fn id(&self) -> &str {
        self.peer_id.as_str()
    }

    /// Writes the peer as [`ListedPeer`](crate::protocol::ListedPeer) in JSON to the end of `out`.
    pub fn write_json(&self, out: &mut Vec<u8>, include: Include) {
        out.push(b'{');
        out.extend_from_slice(self.head.as_bytes());
        // Writing to a Vec cannot fail.
        let _ = write!(out, ",\"lastSeen\":{},", self.last_seen_ms());
        out.extend_from_slice(self.traits.json.as_bytes());
        if include.stores {
            out.extend_from_slice(b",\"stores\":");
            let _ = serde_json::to_writer(&mut *out, &StoreTexts(&self.stores));
        }
        if include.capabilities {
            out.push(b',');
            out.extend_from_slice(self.capabilities.as_bytes());
        }
        out.push(b'}');
    }

    #[cfg(test)]
    pub(super) fn named(id: &str) -> Arc<Self> {
        Arc::new(Self {
            row_id: 0,
            peer_id: PeerId::from_trusted(id),
            registered_at_ms: 0,
            last_seen_ms: AtomicI64::new(0),
            digest: 0,
            head: "".into(),
            traits: Arc::new(SharedTraits::new(Traits {
                version: None,
                turn_capable: false,
                bootstrap_capable: false,
                privacy_mode: false,
                network_id: None,
            })),
            stores: Box::default(),
            capabilities: "".into(),
            turn: None,
        })
    }
}

struct StoreTexts<'s>(&'s [Arc<str>]);

impl Serialize for StoreTexts<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|store| &**store))
    }
}

/// The members of an object as JSON, without its braces.
pub(super) fn members(object: &impl Serialize) -> Box<str> {
    let json = serde_json::to_string(object).unwrap_or_default();
    json.strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or_default()
        .into()
}
